"""Both judges of a directory: `preflight push --dry-run`, and the sandbox's job.

The job is given what the plan would upload, and knows nothing of the tool's rules.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from fixtures.tiny import TINY_TEMPLATE, TINY_TEXT, TINY_VL, write_tiny_bases
from preflight.destination import Destination
from preflight.errors import PreflightError
from preflight.findings import WeightType
from preflight.model.files import walk
from preflight.sandbox.oss.records import Bucket
from preflight.sandbox.studio.importable import (
    IMPORTABLE,
    QWEN25_ADDED,
    BaseModel,
    Family,
    template_digest,
)
from preflight.sandbox.studio.jobs import Source
from preflight.sandbox.studio.policy import Policy
from preflight.sandbox.studio.store import ObjectStore
from preflight.sandbox.studio.validation import TAG, validate
from preflight.upload.plan import UploadItem, plan_upload
from tests.running import InProcess

BUCKET, PREFIX, REGION = "court", "models/one/", "ap-southeast-1"
_FAMILIES = {
    Family.QWEN2: "qwen2.5",
    Family.QWEN3: "qwen3",
    Family.QWEN25_VL: "qwen2.5-vl",
    Family.QWEN3_VL: "qwen3-vl",
}
_TEMPLATE = template_digest(TINY_TEMPLATE)
_VOCABULARY = 96  # entries of the invented tokenizer
_INVENTED = (
    "vocab_entries", "vocab_sha256", "merges_sha256", "template_sha256",
    "template_bytes", "template_ends_with_newline", "bos_token_id", "pad_token_id",
    "eos_token_id", "generation_eos",
)  # fmt: skip


def _tiny(name: str, family: Family) -> BaseModel:
    return BaseModel(
        name,
        family,
        hidden=64,
        intermediate=96,
        layers=2,
        heads=4,
        kv_heads=2,
        vocab_size=128,
        template=_TEMPLATE,
        vocabulary=_VOCABULARY,
        head_dim=16,
    )


def sandbox_bases() -> dict[str, BaseModel]:
    """The real bases with the invented tokenizer, and the invented ones."""
    real = (
        replace(base, vocabulary=_VOCABULARY, template=_TEMPLATE) for base in IMPORTABLE
    )
    text = _tiny(TINY_TEXT, Family.QWEN3)
    vision = replace(
        _tiny(TINY_VL, Family.QWEN25_VL),
        added_tokens=QWEN25_ADDED,
        vision_tensors=30,
        vision_parameters=45_920,
    )
    return {base.name: base for base in (*real, text, vision)}


def catalog_with_invented_tokenizers(folder: Path) -> Path:
    """A user's catalog that gives every real base the tokenizer of the fixtures.

    The real vocabularies and templates are other projects' files; names, shapes and
    figures of the bases stay as they are.
    """
    write_tiny_bases(folder)
    (tiny,) = json.loads((folder / "tiny-qwen3.json").read_text("utf-8"))["models"]
    changed = {name: tiny[name] for name in _INVENTED}
    for base in IMPORTABLE:
        document: dict[str, Any] = {"family": _FAMILIES[base.family]}
        document["models"] = [{"code": base.name, **changed}]
        (folder / f"real-{base.name}.json").write_text(json.dumps(document), "utf-8")
    return folder


@dataclass(frozen=True, slots=True)
class LocalObject:
    """An object that lies in a local file still."""

    key: str
    size: int
    source: Path | bytes
    storage_class: str = "Standard"


class LocalStore:
    """A bucket as it would be after the upload, read from the files themselves.

    So a model of 145 GB of holes is judged in no time, and any other one too.
    """

    def __init__(self, items: Iterable[UploadItem]) -> None:
        self._objects = {i.key: LocalObject(i.key, i.size, i.source) for i in items}

    def bucket(self, name: str, /) -> Bucket:
        return Bucket(name, REGION, "Standard", "private", 0.0, dict([TAG]))

    def objects(self, bucket: str, prefix: str, /) -> list[LocalObject]:
        assert bucket == BUCKET
        return [item for item in self._objects.values() if item.key.startswith(prefix)]

    def read(self, bucket: str, key: str, start: int, length: int, /) -> bytes:
        assert bucket == BUCKET
        source = self._objects[key].source
        if isinstance(source, bytes):
            return source[start : start + length]
        with source.open("rb") as file:
            file.seek(start)
            return file.read(length)

    def on_change(self, callback: Callable[[str, str], None], /) -> None:
        """Nothing changes here."""


@dataclass(frozen=True, slots=True)
class Judgement:
    """What came of one directory on both sides.

    `uploads`: the tool would send it; `verdict` and `failed` say why or why not.
    `reasons` are the job's, empty when it succeeds and None when there is nothing
    that could be uploaded at all. `said`: what the failed rules say, line by line,
    and their remedies.
    """

    uploads: bool
    verdict: str
    failed: tuple[str, ...]
    said: str
    reasons: tuple[str, ...] | None

    def __str__(self) -> str:
        codes = " ".join(self.failed) or "-"
        return f"check: {self.verdict} ({codes}); the job: {self.reasons}"

    @property
    def is_missed(self) -> bool:
        """The tool uploads what the job refuses: the worst that can happen."""
        return self.uploads and bool(self.reasons)

    @property
    def is_stricter(self) -> bool:
        """The tool refuses what the job would take."""
        return self.verdict == "fail" and self.reasons == ()


class Court:
    """Puts directories before both judges."""

    def __init__(self, preflight: InProcess) -> None:
        self._preflight = preflight
        self._bases = sandbox_bases()

    def judge(
        self, directory: Path, kind: WeightType, base: str, *, scan: bool = True
    ) -> Judgement:
        """Both judgements; `base` is named to the tool if the files cannot tell it."""
        words = ["push", directory, f"oss://{BUCKET}/{PREFIX}", "--dry-run", "-q"]
        words += ["--format", "json"]
        words += ["--base-model", base] if kind is WeightType.FULL else []
        words += [] if scan else ["--no-scan"]
        done = self._preflight(*words)
        assert done.code in (0, 1, 2), done.err  # sent, refused by a rule, unusable
        document = done.document
        failed = [o for o in document["outcomes"] if o["result"] == "failed"]
        codes = tuple(outcome["code"] for outcome in failed)
        said = [
            f"{p['where']}: {p['message']} fix: {p.get('fix') or o['fix']}"
            for o in failed
            for p in o["problems"]
        ]
        found = WeightType(document["weight_type"] or kind.value)
        judged_as = self._bases[document["base_model"] or base]
        reasons = self._job(directory, found, judged_as)
        uploads, verdict = done.code == 0, document["verdict"]
        return Judgement(uploads, verdict, codes, "\n".join(said), reasons)

    def _job(
        self, directory: Path, kind: WeightType, base: BaseModel
    ) -> tuple[str, ...] | None:
        try:
            plan = plan_upload(walk(directory), Destination(BUCKET, PREFIX), kind)
        except PreflightError:
            return None
        store: ObjectStore = LocalStore(plan.items)
        source, policy = Source(BUCKET, PREFIX), Policy()
        verdict = validate(
            store, source, base, weight_type=kind, region=REGION, policy=policy
        )
        return verdict.reasons
