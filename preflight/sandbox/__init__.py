"""A fake OSS and a fake Model Studio on loopback, to try everything without either.

    with Sandbox() as box:
        subprocess.run([...], env={**os.environ, **box.environment()})

It stands on pytest-httpserver: what a test wants answered otherwise it may expect in
that package's way, `box.studio_endpoint.expect_oneshot_request(...)`.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING

from preflight.errors import ConfigurationError

if TYPE_CHECKING:
    from ssl import SSLContext

    from preflight.sandbox.faults import FaultPlan
    from preflight.sandbox.oss.state import OssState
    from preflight.sandbox.server import Endpoint
    from preflight.sandbox.studio.importable import BaseModel
    from preflight.sandbox.studio.state import StudioState

__all__ = ["Sandbox"]


class Sandbox:
    """Both services with one set of keys and one bucket that may be imported from.

    `directory`: keep buckets, jobs and keys there and go on with them next time;
    without one they vanish with the sandbox. `digests`: keep checksums instead of the
    bytes of large objects. `job_seconds`: how long an import takes. `bases`: base
    models beside the real ones. `clock`: seconds since the epoch, for both services.
    `tls`: speak https, with an authority whose certificate is in `ca_file`.
    More is switched on `studio.policy`, `oss` and `faults`. One process at a time may
    use a directory. Constructing raises ConfigurationError for a directory that
    another sandbox uses or an earlier version wrote, and for `tls` without its extra.
    """

    oss: OssState
    studio: StudioState
    faults: FaultPlan

    def __init__(
        self,
        *,
        directory: Path | None = None,
        digests: bool = False,
        region: str = "ap-southeast-1",
        oss_port: int = 0,
        studio_port: int = 0,
        faults: FaultPlan | None = None,
        seed_bucket: str = "preflight-sandbox",
        job_seconds: float = 0.0,
        bases: Iterable[BaseModel] = (),
        clock: Callable[[], float] = time.time,
        tls: bool = False,
    ) -> None:
        self.region = region
        self.bucket = seed_bucket
        self._directory = directory
        self._clock = clock
        self._closed = False
        self._open_database()
        self._open_oss(digests)
        self._open_studio(bases, job_seconds)
        self.ca_file: Path | None = None
        context = self._certified() if tls else None
        self._make_endpoints(faults, (oss_port, studio_port), context)

    def _open_database(self) -> None:
        from preflight.sandbox.database import Database

        self._database = Database(self._directory)

    def _open_oss(self, digests: bool) -> None:
        from preflight.sandbox import seed
        from preflight.sandbox.oss.state import OssState

        keys = seed.keys(self._database)
        self.access_key_id = keys.access_key_id
        self.access_key_secret = keys.access_key_secret
        self.api_key = keys.api_key
        self.oss = OssState(
            directory=self._directory,
            database=self._database,
            digests=digests,
            region=self.region,
            clock=self._clock,
        )
        seed.account(self.oss, keys, self.bucket)

    def _open_studio(self, bases: Iterable[BaseModel], job_seconds: float) -> None:
        from preflight.sandbox.studio.importable import IMPORTABLE
        from preflight.sandbox.studio.policy import Policy
        from preflight.sandbox.studio.state import StudioState

        self.studio = StudioState(
            self.oss,
            region=self.region,
            bases=(*IMPORTABLE, *bases),
            policy=Policy(job_seconds=job_seconds),
            clock=self._clock,
            database=self._database,
        )

    def _certified(self) -> SSLContext:
        try:
            from preflight.sandbox.certificates import kept_certificates
        except ImportError as exc:
            raise ConfigurationError(
                f"https needs a package that is not installed: {exc.name}",
                hint="pip install 'modelstudio-preflight[tls]'",
            ) from exc

        hosts = ("127.0.0.1", "localhost", "*.localhost")
        made = kept_certificates(self.oss.directory / "tls", *hosts)
        self.ca_file = made.authority
        return made.context()

    def _make_endpoints(
        self,
        faults: FaultPlan | None,
        ports: tuple[int, int],
        tls: SSLContext | None,
    ) -> None:
        from preflight.sandbox.faults import FaultPlan
        from preflight.sandbox.oss.routes import OssRoutes
        from preflight.sandbox.server import Endpoint
        from preflight.sandbox.studio.deployments import Deployments
        from preflight.sandbox.studio.routes import StudioRoutes

        self.faults = faults if faults is not None else FaultPlan()
        self.oss_endpoint: Endpoint = Endpoint(
            "oss",
            OssRoutes(self.oss),
            faults=self.faults,
            port=ports[0],
            tls=tls,
            clock=lambda: self.oss.clock(),  # noqa: PLW0108 - it can be replaced
        )
        studio_routes = StudioRoutes(
            self.studio,
            api_key=self.api_key,
            deployments=Deployments(self.studio, self._database),
        )
        self.studio_endpoint: Endpoint = Endpoint(
            "studio",
            studio_routes,
            faults=self.faults,
            port=ports[1],
            tls=tls,
            clock=lambda: self.studio.clock(),  # noqa: PLW0108
        )

    def start(self) -> None:
        """Listen on 127.0.0.1; raises OSError when a wanted port is taken."""
        try:
            self.oss_endpoint.start()
            self.studio_endpoint.start()
        except OSError:
            self.close()
            raise

    def close(self) -> None:
        """Stop both services and release the files; once is enough."""
        if self._closed:
            return
        self._closed = True
        self.oss_endpoint.stop()
        self.studio_endpoint.stop()
        self.oss.close()
        self._database.close()

    def __enter__(self) -> Sandbox:
        """Start, unless it runs already."""
        if not self.oss_endpoint.is_running():
            self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Stop."""
        self.close()

    @property
    def oss_url(self) -> str:
        """The endpoint for OSS clients, path style; valid once started."""
        return self.oss_endpoint.url

    @property
    def studio_url(self) -> str:
        """The base URL of Model Studio with `/api/v1`; valid once started."""
        return f"{self.studio_endpoint.url}/api/v1"

    def environment(self) -> dict[str, str]:
        """The variables that point preflight and dashscope here; valid once started."""
        trusted = {"REQUESTS_CA_BUNDLE": str(self.ca_file)} if self.ca_file else {}
        return {
            "OSS_ACCESS_KEY_ID": self.access_key_id,
            "OSS_ACCESS_KEY_SECRET": self.access_key_secret,
            "OSS_REGION": self.region,
            "OSS_ENDPOINT": self.oss_url,
            "DASHSCOPE_API_KEY": self.api_key,
            "DASHSCOPE_HTTP_BASE_URL": self.studio_url,
            **trusted,
        }

    def restrict(self, document: Mapping[str, object] | None) -> None:
        """Let a policy decide: what the key may do, or who may do what to the bucket.

        A document whose statements have a Principal becomes the bucket's policy, any
        other the RAM policy of the sandbox's own key, as if a RAM user had it; None
        takes both away. Raises ValueError for what is no policy.
        """
        from preflight.sandbox.oss.policy import Policy

        policy = Policy.from_json(document) if document is not None else None
        if policy is None or not policy.is_of_a_bucket:
            self.oss.restrict(self.access_key_id, policy)
        if policy is None or policy.is_of_a_bucket:
            self.oss.set_policy(self.bucket, policy)

    def check(self) -> None:
        """Raise what went wrong inside the sandbox while it answered, if anything."""
        self.oss_endpoint.check()
        self.studio_endpoint.check()
