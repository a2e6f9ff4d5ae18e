"""The errors of OSS as data: code, status, usual message and EC where it is known.

Codes, statuses and messages: OSS docs, "Error responses" and the pages "HTTP status
code 400", "403", "404", "409" (alibabacloud.com/help/en/oss/support). The EC of a
code is its page's name there, for example support/0002-00000226; where no page was
found the EC is left out.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

# A document as data: (tag, text), or (tag, [children]).
Node = tuple[str, "str | Sequence[Node]"]


@dataclass(frozen=True, slots=True)
class Kind:
    """What all errors of one code have in common."""

    status: int
    message: str
    ec: str = ""


KINDS: Mapping[str, Kind] = {
    "AccessDenied": Kind(403, "You have no right to access this object."),
    "BucketAlreadyExists": Kind(409, "The requested bucket name is not available."),
    "BucketNotEmpty": Kind(409, "The bucket you tried to delete is not empty."),
    "EntityTooLarge": Kind(
        400, "Your proposed upload exceeds the maximum allowed object size."
    ),
    "EntityTooSmall": Kind(
        400, "Your proposed upload smaller than the minimum allowed size."
    ),
    "FileAlreadyExists": Kind(
        409, "The object you specified already exists and can not be overwritten."
    ),
    "InternalError": Kind(500, "Please contact the server administrator."),
    "InvalidAccessKeyId": Kind(
        403, "The OSS Access Key Id you provided does not exist in our records."
    ),
    "InvalidArgument": Kind(400, "The argument is invalid."),
    "InvalidBucketName": Kind(400, "The specified bucket is not valid."),
    "InvalidDigest": Kind(400, "The Content-MD5 you specified was invalid."),
    "InvalidEncryptionAlgorithmError": Kind(
        400, "The Encryption Algorithm you specified is not valid."
    ),
    "InvalidObjectName": Kind(400, "The specified object is not valid."),
    "InvalidObjectState": Kind(
        403, "The operation is not valid for the object's state."
    ),
    "InvalidPart": Kind(
        400,
        "One or more of the specified parts could not be found or the specified"
        " entity tag might not have matched the part's entity tag.",
    ),
    "InvalidPartOrder": Kind(
        400,
        "The list of parts was not in ascending order. The parts list must be"
        " specified in order by part number.",
    ),
    "InvalidRange": Kind(416, "The requested range cannot be satisfied"),
    "InvalidSecurityToken": Kind(
        403, "The security token you provided is invalid.", "0002-00000006"
    ),
    "InvalidStorageClass": Kind(
        400, "The storage class you specified is not valid.", "0013-00000101"
    ),
    "MalformedXML": Kind(
        400,
        "The XML you provided was not well-formed or did not validate against our"
        " published schema.",
    ),
    "MissingArgument": Kind(400, "Missing Some Required Arguments."),
    "MissingContentLength": Kind(
        411, "You must provide the Content-Length HTTP header."
    ),
    "NoSuchBucket": Kind(404, "The specified bucket does not exist."),
    "NoSuchBucketPolicy": Kind(404, "The bucket policy does not exist."),
    "NoSuchLifecycle": Kind(404, "No Row found in Lifecycle Table."),
    "NoSuchServerSideEncryptionRule": Kind(
        404, "The server side encryption configuration does not exist."
    ),
    "NoSuchKey": Kind(404, "The specified key does not exist.", "0026-00000001"),
    "NoSuchUpload": Kind(
        404,
        "The specified upload does not exist. The upload ID may be invalid, or the"
        " upload may have been aborted or completed.",
    ),
    "NotModified": Kind(304, ""),
    # The page "HTTP status code 501" has no EC; this one says who answers.
    "NotImplemented": Kind(501, "Not implemented by the sandbox.", "sandbox-501"),
    "ObjectNotAppendable": Kind(409, "The object is not appendable"),
    "PositionNotEqualToLength": Kind(409, "Position is not equal to file length"),
    "PreconditionFailed": Kind(
        412, "At least one of the pre-conditions you specified did not hold."
    ),
    "RequestTimeout": Kind(
        400,
        "Your socket connection to the server was not read from or written to within"
        " the timeout period.",
    ),
    "RequestTimeTooSkewed": Kind(
        403,
        "The difference between the request time and the current time is too large.",
        "0002-00000504",
    ),
    "SecurityTokenExpired": Kind(
        403, "The security token you provided has expired.", "0002-00000007"
    ),
    "SignatureDoesNotMatch": Kind(
        403,
        "The request signature we calculated does not match the signature you"
        " provided. Check your key and signing method.",
    ),
}


class OssError(Exception):
    """An error that OSS answers; the routes make XML of it, the state knows no HTTP.

    `details` become elements of the XML beside Code, Message, RequestId, HostId, EC.
    """

    def __init__(
        self,
        code: str,
        message: str = "",
        *,
        ec: str = "",
        details: Mapping[str, str | Sequence[Node]] | None = None,
    ) -> None:
        kind = KINDS[code]
        self.code = code
        self.status = kind.status
        self.message = message or kind.message
        self.ec = ec or kind.ec
        self.details: dict[str, str | Sequence[Node]] = dict(details or {})
        super().__init__(f"{code}: {self.message}")


def not_offered(why: str, *, ec: str = "") -> OssError:
    """501: the sandbox does not know how to do it, and says so instead of a success."""
    return OssError("NotImplemented", f"The sandbox does not do this: {why}.", ec=ec)


class ContentNotKept(LookupError):
    """The bytes were counted and summed only: the sandbox runs with digests."""
