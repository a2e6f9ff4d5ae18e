"""The keys that the fake account accepts."""

from __future__ import annotations

from dataclasses import dataclass, field

from preflight.sandbox.oss.policy import OWNER_ID, Policy


@dataclass(frozen=True, slots=True)
class Credential:
    """An access key; with a `token` it is a temporary one of STS.

    `expires_at` is in seconds since 1970. With a `policy` the key is that of a RAM
    user, who may do what it allows; without one it is the account's own. `account` is
    the one that it belongs to: another one's key may do what a bucket's policy allows.
    """

    id: str
    secret: str = field(repr=False)
    token: str | None = field(default=None, repr=False)
    expires_at: float | None = None
    policy: Policy | None = None
    account: str = OWNER_ID

    @property
    def principal(self) -> str:
        """The id by which a bucket's policy names it."""
        return self.account if self.policy is None else f"2{self.account[1:]}"
