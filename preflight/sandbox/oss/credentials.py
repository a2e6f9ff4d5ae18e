"""The keys that the fake account accepts."""

from __future__ import annotations

from dataclasses import dataclass, field

WRITING = frozenset(
    {
        "PutObject",
        "DeleteObject",
        "DeleteMultipleObjects",
        "InitiateMultipartUpload",
        "UploadPart",
        "CompleteMultipartUpload",
        "AbortMultipartUpload",
        "PutBucket",
        "DeleteBucket",
        "PutBucketTags",
        "DeleteBucketTags",
    }
)


@dataclass(frozen=True, slots=True)
class Credential:
    """An access key; with a `token` it is a temporary one of STS.

    `expires_at` is in seconds since 1970. `read_only` refuses every operation that
    writes, `denied` the operations it names ("GetBucketTags"): both answer
    AccessDenied, as a RAM policy without the permission does.
    """

    id: str
    secret: str = field(repr=False)
    token: str | None = field(default=None, repr=False)
    expires_at: float | None = None
    read_only: bool = False
    denied: frozenset[str] = frozenset()

    def may(self, operation: str) -> bool:
        """Whether the key has the permission for this operation."""
        if self.read_only and operation in WRITING:
            return False
        return operation not in self.denied
