from __future__ import annotations

import subprocess
import sys
from pathlib import Path

SCRIPT = """
import sys
from preflight.oss.access import OssAccess
from preflight.oss.client import BucketClient
access = OssAccess("id", "secret", region="cn-beijing", endpoint="http://127.0.0.1:1")
with BucketClient(access, "bucket"):
    pass
assert "oss2" in sys.modules
LARGE = ("aliyunsdkcore.vendored.req", "cffi", "Crypto.Util._")
loaded = [name for name in sys.modules if name.startswith(LARGE)]
assert loaded == [], loaded

import oss2
from aliyunsdkcore.client import AcsClient
from aliyunsdkkms.request.v20160120 import EncryptRequest
provider = oss2.AliKMSProvider("id", "secret", "cn-beijing", "key")
assert isinstance(provider.kms_client, AcsClient)
assert EncryptRequest.EncryptRequest().get_action_name() == "Encrypt"
assert type(sys.modules["aliyunsdkcore.client"]) is type(sys)
assert [name for name in sys.modules if name.startswith("aliyunsdkcore.vendored.req")]

from Crypto.Random import get_random_bytes
from oss2.utils import AESCTRCipher
cipher = AESCTRCipher()
key, start = cipher.get_key(), cipher.get_iv()
ciphers = [AESCTRCipher() for _ in range(2)]
for one in ciphers:
    one.initialize(key, start)
assert ciphers[1].decrypt(ciphers[0].encrypt(b"secret")) == b"secret"
from Crypto.PublicKey import RSA
assert oss2.LocalRsaProvider.__name__ and RSA.generate(1024).has_private()
"""


def test_encryption_is_left_out_until_somebody_uses_it() -> None:
    subprocess.run(
        [sys.executable, "-c", SCRIPT], check=True, cwd=Path(__file__).parents[2]
    )
