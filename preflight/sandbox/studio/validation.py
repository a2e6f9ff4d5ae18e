"""What the import job does with the objects: reach them, then hold them to the rules.

Every rule stands in Model Studio's user guide, "Model import" and "My Models". It is
written apart from the tool's own rules, so that the two can prove each other.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from preflight.sandbox.oss.errors import OssError
from preflight.sandbox.studio.full import check_full
from preflight.sandbox.studio.importable import BaseModel
from preflight.sandbox.studio.jobs import Source, WeightType
from preflight.sandbox.studio.lora import check_lora
from preflight.sandbox.studio.policy import FILES_MISSING, Policy
from preflight.sandbox.studio.store import CannotFetch, Files, ObjectStore, Rejected

TAG = ("bailian-datahub-access", "read")
_FROZEN = {"archive", "coldarchive", "deepcoldarchive"}


@dataclass(frozen=True, slots=True)
class Verdict:
    """Empty when the import succeeds; `reasons` are for tests, not for the client."""

    error_code: str = ""
    reasons: tuple[str, ...] = ()


def _is_frozen(storage_class: str) -> bool:
    """Archive, Cold Archive and Deep Cold Archive cannot be read without a restore."""
    return storage_class.replace(" ", "").lower() in _FROZEN


def _reach(
    store: ObjectStore, source: Source, region: str, *, service_role: bool
) -> Files:
    if not service_role:
        raise CannotFetch("the account has no service-linked role")
    bucket = store.bucket(source.bucket)
    if bucket.tags.get(TAG[0]) != TAG[1]:
        raise CannotFetch(f"bucket {source.bucket} lacks the tag {TAG[0]}={TAG[1]}")
    if bucket.region.removeprefix("oss-") != region:
        raise CannotFetch(f"the bucket lies in {bucket.region}, not in {region}")
    files = Files(store, source.bucket, source.prefix)
    if not files.objects:
        raise CannotFetch(f"there is no file directly under {source.prefix}")
    classes = {bucket.storage_class, *(o.storage_class for o in files.objects.values())}
    if frozen := sorted(filter(_is_frozen, classes)):
        raise CannotFetch(f"storage class {frozen[0]} cannot be read")
    return files


def _problems(
    files: Files, base: BaseModel, weight_type: WeightType, policy: Policy
) -> Iterator[str]:
    try:
        if weight_type is WeightType.LORA:
            need = policy.require_base_config
            yield from check_lora(files, base, need_config=need)
        else:
            yield from check_full(files, base)
    except Rejected as exc:
        yield str(exc)


def validate(
    store: ObjectStore,
    source: Source,
    base: BaseModel,
    *,
    weight_type: WeightType,
    region: str,
    policy: Policy,
) -> Verdict:
    """How an import of these objects ends, read by ranges: headers and small files."""
    try:
        files = _reach(store, source, region, service_role=policy.service_role)
    except (CannotFetch, OssError) as exc:
        return Verdict(policy.fetch_failed, (str(exc),))
    reasons = tuple(_problems(files, base, weight_type, policy))
    return Verdict(FILES_MISSING, reasons) if reasons else Verdict()
