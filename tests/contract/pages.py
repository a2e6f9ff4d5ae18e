"""The pages of the documentation that the contract is taken from."""

from __future__ import annotations

_OSS = "https://www.alibabacloud.com/help/en/oss/"
_REFERENCE = f"{_OSS}developer-reference/"

PUT = f"{_REFERENCE}putobject"
GET = f"{_REFERENCE}getobject"
HEAD = f"{_REFERENCE}headobject"
META = f"{_REFERENCE}getobjectmeta"
DELETE = f"{_REFERENCE}deleteobject"
DELETE_MANY = f"{_REFERENCE}deletemultipleobjects"
LIST = f"{_REFERENCE}listobjects"
LIST_V2 = f"{_REFERENCE}listobjectsv2"
COPY = f"{_REFERENCE}copyobject"
APPEND = f"{_REFERENCE}appendobject"
OBJECT_TAGS = f"{_REFERENCE}putobjecttagging"
ENCRYPTION = f"{_OSS}user-guide/server-side-encryption-5"
STAT = f"{_REFERENCE}getbucketstat"
PART_COPY = f"{_REFERENCE}uploadpartcopy"
INITIATE = f"{_REFERENCE}initiatemultipartupload"
PART = f"{_REFERENCE}uploadpart"
COMPLETE = f"{_REFERENCE}completemultipartupload"
ABORT = f"{_REFERENCE}abortmultipartupload"
LIST_PARTS = f"{_REFERENCE}listparts"
LIST_UPLOADS = f"{_REFERENCE}listmultipartuploads"
INFO = f"{_REFERENCE}getbucketinfo"
LOCATION = f"{_REFERENCE}getbucketlocation"
ACL = f"{_REFERENCE}getbucketacl"
TAGS = f"{_REFERENCE}getbuckettags"
SIGNATURE = f"{_REFERENCE}recommend-to-use-signature-version-4"
HEADERS = f"{_REFERENCE}common-http-headers"
RANGES = f"{_OSS}how-to-obtain-oss-resources-by-segmenting-http-range-requests"
NAMING = f"{_OSS}user-guide/object-naming-conventions"
BUCKET_NAMING = f"{_OSS}user-guide/bucket-naming-conventions"
ERRORS = f"{_OSS}user-guide/error-responses"
MD5 = (
    f"{_OSS}the-the-content-md5-you-specified-was-invalid-error-message-is-returned-"
    "when-you-upload-a-file-to-oss-by-using-sts"
)
FORBID = f"{_OSS}user-guide/0042-00000214"
INVALID_PART = (
    f"{_OSS}oss-reports-an-invalidpart-error-when-using-the-multipart-upload-method-"
    "to-upload-files"
)

# Pages of Model Studio's API reference and user guide, by their titles.
CREATE_JOB = "Model Studio API reference: Create an import job"
GET_JOB = "Model Studio API reference: Get import job details"
LIST_JOBS = "Model Studio API reference: List import jobs"
DELETE_JOB = "Model Studio API reference: Delete an import job"
JOB_ERRORS = "Model Studio user guide: Model import"
STATUS_CODES = "Model Studio API reference: Status codes"
