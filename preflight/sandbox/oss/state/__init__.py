"""Buckets, objects and uploads: the behaviour of OSS without any HTTP.

Every method is safe to call from many threads. A body is streamed to the storage
first; an object becomes visible in one transaction at the end of a put or a
completion (OSS docs, "Strong consistency"), so nobody ever sees half of one.
"""

from __future__ import annotations

from preflight.sandbox.oss.state.uploads import Uploads

__all__ = ["OssState"]


class OssState(Uploads):
    """All that the fake OSS knows.

    With a `directory` the buckets outlive the process: opening the same one again
    goes on where the last run stopped, however it stopped. Without one they live in a
    temporary directory that `close()` removes. `database` is one that others share.
    `clock` gives seconds since 1970.
    """
