"""Modules that oss2 imports and an upload never uses, left out until somebody does.

oss2 encrypts on this side where that is asked for, and brings ciphers and a client of
Alibaba Cloud's key service for it. That one, with a copy of requests and a parser for
keys of its own, takes 11 of 80 MB and a third of the time until the first request; the
ciphers, with a parser of C declarations, 4 MB and a tenth.
"""

from __future__ import annotations

import sys
from importlib import import_module
from types import ModuleType

_ENCRYPTION = (
    "Crypto.Cipher.AES",
    "Crypto.Cipher.PKCS1_OAEP",
    "Crypto.Cipher.PKCS1_v1_5",
    "Crypto.PublicKey.RSA",
    "Crypto.Random",
    "Crypto.Util.Counter",
    "aliyunsdkcore.client",
    "aliyunsdkkms.request.v20160120.DecryptRequest",
    "aliyunsdkkms.request.v20160120.EncryptRequest",
    "aliyunsdkkms.request.v20160120.GenerateDataKeyRequest",
)


class _Deferred(ModuleType):
    """Stands in for a module until one of its names is asked for.

    `importlib.util.LazyLoader` would do, but before Python 3.12 the import statement
    itself asks for a name.
    """

    def __getattr__(self, name: str) -> object:
        # The machinery of imports asks for these and can do without them.
        if name.startswith("__"):
            raise AttributeError(name)
        if sys.modules.get(self.__name__) is self:
            del sys.modules[self.__name__]
        return getattr(import_module(self.__name__), name)


def defer_encryption() -> None:
    """To be called before oss2 is imported for the first time; later it does nothing.

    Whoever uses oss2's encryption in the same process gets the real modules.
    """
    if "oss2" in sys.modules:
        return
    for name in _ENCRYPTION:
        sys.modules.setdefault(name, _Deferred(name))
