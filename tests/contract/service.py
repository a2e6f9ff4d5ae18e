"""Both services as the contract speaks to them: the sandbox's, or the real ones."""

from __future__ import annotations

import ipaddress
import os
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from urllib.parse import quote, urlencode, urlsplit

import oss2
import requests

from preflight.sandbox import Sandbox
from tests.contract.signer import Keys, sign

TIMEOUT = 60  # seconds for one request
_NEEDED = (
    "OSS_ACCESS_KEY_ID",
    "OSS_ACCESS_KEY_SECRET",
    "OSS_REGION",
    "PREFLIGHT_LIVE_BUCKET",
    "DASHSCOPE_API_KEY",
)
# The import API is open in two regions, each with a domain of its own.
_STUDIO = {
    "ap-southeast-1": "https://dashscope-intl.aliyuncs.com/api/v1",
    "cn-beijing": "https://dashscope.aliyuncs.com/api/v1",
}


def wants_live(environment: Mapping[str, str]) -> bool:
    """Whether the real services are asked for."""
    return environment.get("PREFLIGHT_LIVE") == "1"


def missing_for_live(environment: Mapping[str, str]) -> list[str]:
    """The variables that the live run lacks."""
    missing = [name for name in _NEEDED if not environment.get(name)]
    known = environment.get("OSS_REGION", "") in _STUDIO
    if not known and not environment.get("DASHSCOPE_HTTP_BASE_URL"):
        missing.append("DASHSCOPE_HTTP_BASE_URL")
    return missing


@dataclass
class Service:
    """One OSS bucket and one import API. Everything written lies under `prefix`."""

    keys: Keys
    oss_url: str
    bucket: str
    studio_url: str
    api_key: str
    sandbox: Sandbox | None = None
    prefix: str = field(default_factory=lambda: f"preflight-contract/{uuid.uuid4()}/")
    http: requests.Session = field(default_factory=requests.Session)
    _sessions: list[requests.Session] = field(default_factory=list)

    @property
    def is_live(self) -> bool:
        return self.sandbox is None

    @property
    def may_import(self) -> bool:
        """Whether calls may be made that could begin a job."""
        return not self.is_live or os.environ.get("PREFLIGHT_LIVE_IMPORT") == "1"

    def send(
        self,
        method: str,
        key: str = "",
        *,
        query: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        body: bytes | None = None,
        bucket: str = "",
        keys: Keys | None = None,
        anonymous: bool = False,
    ) -> requests.Response:
        """A request to OSS, signed by hand; `key` is the whole object key."""
        bucket, query = bucket or self.bucket, dict(query or {})
        sent = dict(headers or {})
        if not anonymous:
            resource = f"/{bucket}/{key}"
            sent = sign(method, resource, query, sent, keys or self.keys)
        url = f"{self.base(bucket)}/{quote(key, safe='')}"
        if query:
            url += "?" + urlencode(query, quote_via=quote)
        return self.http.request(
            method,
            url,
            headers=sent,
            data=body,
            timeout=TIMEOUT,
            allow_redirects=False,
        )

    def base(self, bucket: str) -> str:
        """Path style for an address, the bucket in the host for a name."""
        parts = urlsplit(self.oss_url)
        try:
            ipaddress.ip_address(parts.hostname or "")
        except ValueError:
            return f"{parts.scheme}://{bucket}.{parts.netloc}"
        return f"{self.oss_url}/{bucket}"

    def client(self, keys: Keys | None = None) -> oss2.Bucket:
        """The vendor's SDK for the same bucket, with our keys or others."""
        keys = keys or self.keys
        version = oss2.AUTH_VERSION_4
        auth = oss2.make_auth(keys.id, keys.secret, version)
        if keys.token:
            auth = oss2.StsAuth(keys.id, keys.secret, keys.token, version)
        session = oss2.Session()
        self._sessions.append(session.session)
        return oss2.Bucket(
            auth, self.oss_url, self.bucket, region=keys.region, session=session
        )

    def imports(
        self,
        method: str,
        tail: str = "",
        *,
        api_key: str | None = None,
        params: Mapping[str, str] | None = None,
        json: object = None,
    ) -> requests.Response:
        """A request to the import API; an empty `api_key` sends none."""
        key = self.api_key if api_key is None else api_key
        return self.http.request(
            method,
            f"{self.studio_url}/custom_models/import{tail}",
            headers={"Authorization": f"Bearer {key}"} if key else {},
            params=params,
            json=json,
            timeout=TIMEOUT,
        )

    def close(self) -> None:
        """Remove all that was written, abort all that was begun, hang up."""
        client = self.client()
        for found in list(oss2.ObjectIteratorV2(client, prefix=self.prefix)):
            client.delete_object(found.key)
        for upload in list(oss2.MultipartUploadIterator(client, prefix=self.prefix)):
            client.abort_multipart_upload(upload.key, upload.upload_id)
        for session in (self.http, *self._sessions):
            session.close()


@contextmanager
def sandbox_service() -> Iterator[Service]:
    """The sandbox; what it itself fails on fails whoever uses it."""
    with Sandbox() as box:
        keys = Keys(box.access_key_id, box.access_key_secret, box.region)
        made = Service(keys, box.oss_url, box.bucket, box.studio_url, box.api_key, box)
        try:
            yield made
        finally:
            made.close()
        box.check()


@contextmanager
def live_service(environment: Mapping[str, str]) -> Iterator[Service]:
    """The real services; the variables must all be there."""
    region = environment["OSS_REGION"]
    keys = Keys(
        environment["OSS_ACCESS_KEY_ID"],
        environment["OSS_ACCESS_KEY_SECRET"],
        region,
        environment.get("OSS_SESSION_TOKEN", ""),
    )
    made = Service(
        keys,
        environment.get("OSS_ENDPOINT") or f"https://oss-{region}.aliyuncs.com",
        environment["PREFLIGHT_LIVE_BUCKET"],
        environment.get("DASHSCOPE_HTTP_BASE_URL") or _STUDIO[region],
        environment["DASHSCOPE_API_KEY"],
    )
    try:
        yield made
    finally:
        made.close()
