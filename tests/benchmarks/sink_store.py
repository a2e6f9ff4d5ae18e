"""What the sink remembers: sizes and digests, and the documents made of them."""

from __future__ import annotations

import itertools
import re
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from xml.sax.saxutils import escape

from preflight.crc import combine_all

REGION = "ap-southeast-1"
_WHEN = "2026-11-01T00:00:00.000Z"
_OWNER = "<Owner><ID>1</ID><DisplayName>1</DisplayName></Owner>"
_LIST = frozenset(
    {"list-type", "prefix", "delimiter", "marker", "start-after", "max-keys"}
    | {"continuation-token", "encoding-type", "fetch-owner"}
)
_PART_NUMBER = re.compile(rb"<PartNumber>\s*(\d+)\s*</PartNumber>")


@dataclass(frozen=True, slots=True)
class Digest:
    """All that stays of some bytes; `size` in bytes."""

    size: int
    crc64: int

    @property
    def etag(self) -> str:
        """A tag in the shape of OSS's, though not an MD5: that would cost a core."""
        return f'"{self.crc64:032X}"'


@dataclass(frozen=True, slots=True)
class Request:
    """One request; `key` is empty for the bucket itself.

    `digest` is that of the body of a PUT; other bodies come whole.
    """

    method: str
    bucket: str
    key: str
    query: Mapping[str, str]
    digest: Digest
    body: bytes = b""


@dataclass(frozen=True, slots=True)
class Answer:
    """A status, headers beyond the usual and a document."""

    status: HTTPStatus = HTTPStatus.OK
    headers: Mapping[str, str] = field(default_factory=dict)
    body: str = ""


@dataclass(slots=True)
class _Upload:
    key: str
    parts: dict[int, Digest] = field(default_factory=dict)


def refusal(status: HTTPStatus, code: str) -> Answer:
    """An error as OSS words it."""
    body = (
        f"<Error><Code>{code}</Code><Message>{code}</Message>"
        "<RequestId>0</RequestId><HostId>sink</HostId></Error>"
    )
    return Answer(status, body=body)


def _headers(digest: Digest) -> dict[str, str]:
    return {"ETag": digest.etag, "x-oss-hash-crc64ecma": str(digest.crc64)}


def _object(key: str, digest: Digest) -> str:
    return (
        f"<Contents><Key>{escape(key)}</Key><LastModified>{_WHEN}</LastModified>"
        f"<ETag>{digest.etag}</ETag><Type>Normal</Type><Size>{digest.size}</Size>"
        f"<StorageClass>Standard</StorageClass>{_OWNER}</Contents>"
    )


def _part(number: int, digest: Digest) -> str:
    return (
        f"<Part><PartNumber>{number}</PartNumber><LastModified>{_WHEN}</LastModified>"
        f"<ETag>{digest.etag}</ETag><HashCrc64ecma>{digest.crc64}</HashCrc64ecma>"
        f"<Size>{digest.size}</Size></Part>"
    )


class Store:
    """The objects and unfinished uploads of every bucket; all buckets are one."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._numbers = itertools.count(1)
        self._objects: dict[str, Digest] = {}
        self._uploads: dict[str, _Upload] = {}

    def answer(self, request: Request) -> Answer:
        """Do what a request asks; what the sink does not know is refused with 501."""
        act = self._action(request)
        if act is None:
            return refusal(HTTPStatus.NOT_IMPLEMENTED, "NotImplemented")
        with self._lock:
            return act(request)

    def _action(self, request: Request) -> Callable[[Request], Answer] | None:
        query, method = request.query, request.method
        if not request.key:
            return self._bucket_action(request)
        if "uploadId" in query:
            return {
                "PUT": self._put_part,
                "POST": self._complete,
                "DELETE": self._abort,
                "GET": self._list_parts,
            }.get(method)
        if method == "POST" and "uploads" in query:
            return self._initiate
        return {
            "PUT": self._put,
            "HEAD": self._head,
            "DELETE": self._delete,
        }.get(method)

    def _bucket_action(self, request: Request) -> Callable[[Request], Answer] | None:
        if request.method != "GET":
            return None
        if "uploads" in request.query:
            return self._list_uploads
        if "bucketInfo" in request.query:
            return self._info
        if "tagging" in request.query:
            return self._tags
        return self._list if request.query.keys() <= _LIST else None

    def _put(self, request: Request) -> Answer:
        self._objects[request.key] = request.digest
        return Answer(headers=_headers(request.digest))

    def _head(self, request: Request) -> Answer:
        found = self._objects.get(request.key)
        if found is None:
            return refusal(HTTPStatus.NOT_FOUND, "NoSuchKey")
        length = {"Content-Length": str(found.size)}
        return Answer(headers={**_headers(found), **length})

    def _delete(self, request: Request) -> Answer:
        self._objects.pop(request.key, None)
        return Answer(HTTPStatus.NO_CONTENT)

    def _initiate(self, request: Request) -> Answer:
        upload_id = f"{next(self._numbers):032X}"
        self._uploads[upload_id] = _Upload(request.key)
        return Answer(
            body="<InitiateMultipartUploadResult>"
            f"<Bucket>{request.bucket}</Bucket><Key>{escape(request.key)}</Key>"
            f"<UploadId>{upload_id}</UploadId></InitiateMultipartUploadResult>"
        )

    def _upload(self, request: Request) -> _Upload | None:
        found = self._uploads.get(request.query["uploadId"])
        return found if found and found.key == request.key else None

    def _put_part(self, request: Request) -> Answer:
        if (upload := self._upload(request)) is None:
            return refusal(HTTPStatus.NOT_FOUND, "NoSuchUpload")
        upload.parts[int(request.query["partNumber"])] = request.digest
        return Answer(headers=_headers(request.digest))

    def _complete(self, request: Request) -> Answer:
        if (upload := self._upload(request)) is None:
            return refusal(HTTPStatus.NOT_FOUND, "NoSuchUpload")
        numbers = [int(found) for found in _PART_NUMBER.findall(request.body)]
        if not numbers or any(number not in upload.parts for number in numbers):
            return refusal(HTTPStatus.BAD_REQUEST, "InvalidPart")
        parts = [upload.parts[number] for number in numbers]
        crc = combine_all((part.crc64, part.size) for part in parts)
        whole = Digest(sum(part.size for part in parts), crc)
        self._objects[request.key] = whole
        del self._uploads[request.query["uploadId"]]
        body = (
            "<CompleteMultipartUploadResult><Location>sink</Location>"
            f"<Bucket>{request.bucket}</Bucket><Key>{escape(request.key)}</Key>"
            f"<ETag>{whole.etag}</ETag></CompleteMultipartUploadResult>"
        )
        return Answer(headers=_headers(whole), body=body)

    def _abort(self, request: Request) -> Answer:
        if self._upload(request) is None:
            return refusal(HTTPStatus.NOT_FOUND, "NoSuchUpload")
        del self._uploads[request.query["uploadId"]]
        return Answer(HTTPStatus.NO_CONTENT)

    def _list_parts(self, request: Request) -> Answer:
        if (upload := self._upload(request)) is None:
            return refusal(HTTPStatus.NOT_FOUND, "NoSuchUpload")
        marker = int(request.query.get("part-number-marker") or 0)
        numbers = [number for number in sorted(upload.parts) if number > marker]
        parts = "".join(_part(number, upload.parts[number]) for number in numbers)
        return Answer(
            body=f"<ListPartsResult><Bucket>{request.bucket}</Bucket>"
            f"<Key>{escape(request.key)}</Key>"
            f"<UploadId>{request.query['uploadId']}</UploadId>"
            f"<NextPartNumberMarker>{numbers[-1] if numbers else 0}"
            "</NextPartNumberMarker><MaxParts>10000</MaxParts>"
            f"<IsTruncated>false</IsTruncated>{parts}</ListPartsResult>"
        )

    def _list_uploads(self, request: Request) -> Answer:
        prefix = request.query.get("prefix", "")
        uploads = "".join(
            f"<Upload><Key>{escape(upload.key)}</Key><UploadId>{upload_id}</UploadId>"
            f"<Initiated>{_WHEN}</Initiated></Upload>"
            for upload_id, upload in sorted(self._uploads.items())
            if upload.key.startswith(prefix)
        )
        return Answer(
            body=f"<ListMultipartUploadsResult><Bucket>{request.bucket}</Bucket>"
            f"<KeyMarker/><UploadIdMarker/><Prefix>{escape(prefix)}</Prefix>"
            "<NextKeyMarker/><NextUploadIdMarker/><MaxUploads>1000</MaxUploads>"
            f"<IsTruncated>false</IsTruncated>{uploads}</ListMultipartUploadsResult>"
        )

    def _matching(self, request: Request) -> Iterator[tuple[str, Digest]]:
        prefix = request.query.get("prefix", "")
        after = request.query.get("marker") or request.query.get("start-after") or ""
        for key, digest in sorted(self._objects.items()):
            if key.startswith(prefix) and key > after:
                yield key, digest

    def _list(self, request: Request) -> Answer:
        found = [_object(key, digest) for key, digest in self._matching(request)]
        prefix = escape(request.query.get("prefix", ""))
        return Answer(
            body=f"<ListBucketResult><Name>{request.bucket}</Name>"
            f"<Prefix>{prefix}</Prefix><Marker/><MaxKeys>1000</MaxKeys><Delimiter/>"
            f"<KeyCount>{len(found)}</KeyCount><IsTruncated>false</IsTruncated>"
            f"{''.join(found)}</ListBucketResult>"
        )

    def _info(self, request: Request) -> Answer:
        return Answer(
            body=f"<BucketInfo><Bucket><Name>{request.bucket}</Name>"
            f"<Location>oss-{REGION}</Location><CreationDate>{_WHEN}</CreationDate>"
            "<ExtranetEndpoint>sink</ExtranetEndpoint>"
            "<IntranetEndpoint>sink</IntranetEndpoint>"
            "<StorageClass>Standard</StorageClass>"
            "<DataRedundancyType>LRS</DataRedundancyType>"
            f"{_OWNER}<AccessControlList><Grant>private</Grant></AccessControlList>"
            "</Bucket></BucketInfo>"
        )

    def _tags(self, _: Request) -> Answer:
        return Answer(
            body="<Tagging><TagSet><Tag><Key>bailian-datahub-access</Key>"
            "<Value>read</Value></Tag></TagSet></Tagging>"
        )
