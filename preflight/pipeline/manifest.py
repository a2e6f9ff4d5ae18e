"""What a push left in a bucket, as a file: names, sizes, sums, and what was said of it.

The file is an in-toto statement with the predicate of OpenSSF's `model-signing`, which
signs and reads it (https://github.com/sigstore/model-transparency): each file with a
digest, and a digest over these digests. What that library does not know stands under
`preflight` in the predicate, which it lets be.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from preflight import __version__
from preflight.errors import UsageError
from preflight.findings import Report, Result
from preflight.language import say
from preflight.model.steady import open_steady
from preflight.pipeline.checked import Checked
from preflight.pipeline.uploaded import Uploaded
from preflight.regular import read_regular
from preflight.upload.plan import UploadItem

STATEMENT = "https://in-toto.io/Statement/v1"
PREDICATE = "https://model_signing/signature/v1.0"


@dataclass(frozen=True, slots=True)
class ExpectedFile:
    """A file as it should be; `sha256` in hex, empty where nobody asked for it."""

    name: str
    size: int
    crc64: int
    sha256: str = ""

    def resource(self) -> dict[str, str]:
        """As the predicate lists it: by SHA-256, else by CRC-64."""
        # The CRC-64 is known of every upload; a SHA-256 costs one more reading.
        crc = f"{self.crc64:016x}"
        algorithm, digest = ("sha256", self.sha256) if self.sha256 else ("crc64", crc)
        return {"name": self.name, "algorithm": algorithm, "digest": digest}


@dataclass(frozen=True, slots=True)
class ModelManifest:
    """The files of a model, where they went, and what else a run knew of them."""

    name: str
    destination: str
    files: tuple[ExpectedFile, ...]
    about: Mapping[str, Any]

    @property
    def job_id(self) -> str:
        """The import job that was made of them, if one is on record."""
        return str(self.about.get("job_id") or "")

    def statement(self) -> dict[str, Any]:
        """The in-toto statement; resources are in the order of their names."""
        files = sorted(self.files, key=lambda file: file.name)
        resources = [file.resource() for file in files]
        total = hashlib.sha256()
        for each in resources:
            total.update(bytes.fromhex(each["digest"]))
        alike = all(file.sha256 for file in files)
        return {
            "_type": STATEMENT,
            "subject": [{"name": self.name, "digest": {"sha256": total.hexdigest()}}],
            "predicateType": PREDICATE,
            "predicate": {
                "serialization": {
                    "method": "files",
                    "hash_type": "sha256" if alike else "crc64",
                    "allow_symlinks": False,
                    "ignore_paths": [],
                },
                "resources": resources,
                "preflight": {
                    "version": __version__,
                    "destination": self.destination,
                    "files": [
                        # As text: many readers of JSON keep but 53 bits of a number.
                        {"name": f.name, "size": f.size, "crc64": str(f.crc64)}
                        for f in files
                    ],
                    **self.about,
                },
            },
        }


def manifest_of(
    done: Uploaded, checked: Checked, *, job_id: str, sha256: bool
) -> ModelManifest:
    """The manifest of a verified upload; with `sha256` the files are read once more.

    Raises `SourceChanged` for a file that is not any more what was sent.
    """
    items = {item.key: item for item in done.plan.items}
    files = tuple(
        ExpectedFile(
            items[sent.key].name,
            sent.size,
            sent.crc64,
            _sha256(items[sent.key]) if sha256 else "",
        )
        for sent in done.manifest.objects
    )
    found = checked.found
    about = {
        "base_model": getattr(found.base, "code", None),
        "weight_type": getattr(found.weight_type, "value", None),
        "job_id": job_id,
        "findings": list(_findings(checked.report)),
        "accepted": dict(checked.options.policy.ignore),
    }
    url = done.plan.destination.url
    return ModelManifest(found.location.name, url, files, about)


def _findings(report: Report) -> Iterable[dict[str, str]]:
    for outcome in report.select(Result.FAILED):
        first = outcome.problems[0]
        yield {
            "code": outcome.code,
            "severity": outcome.severity.value,
            "message": f"{first.where}: {first.message}",
        }


def _sha256(item: UploadItem) -> str:
    if isinstance(item.source, bytes):
        return hashlib.sha256(item.source).hexdigest()
    total = hashlib.sha256()
    # Refused if it is not the file any more that was sent.
    with open_steady(item.source, item.name, item.stamp) as file:
        for block in file.blocks():
            total.update(block.data)
    return total.hexdigest()


def read_manifest(path: Path) -> ModelManifest:
    """A manifest that a push wrote. Raises `UsageError` for what is none."""
    try:
        form = json.loads(read_regular(path))
        return manifest_from(form)
    except OSError as error:
        told = say("{path}: {why}", path=str(path), why=error.strerror or "")
        raise UsageError(told) from error
    except (ValueError, KeyError, TypeError, IndexError) as error:
        raise UsageError(
            say("{path} is no manifest of preflight", path=str(path)),
            hint=say("`preflight push` writes one beside the record of its run"),
        ) from error


def manifest_from(form: Mapping[str, Any]) -> ModelManifest:
    """The same from JSON; raises `KeyError`, `TypeError` or `ValueError` for others."""
    if form["predicateType"] != PREDICATE:
        raise ValueError("another predicate")
    predicate = form["predicate"]
    digests = {
        each["name"]: each["digest"]
        for each in predicate["resources"]
        if each["algorithm"] == "sha256"
    }
    ours = dict(predicate["preflight"])
    files = tuple(
        ExpectedFile(
            str(each["name"]),
            int(each["size"]),
            int(each["crc64"]),
            str(digests.get(each["name"], "")),
        )
        for each in ours.pop("files")
    )
    name, destination = str(form["subject"][0]["name"]), str(ours.pop("destination"))
    ours.pop("version", None)
    return ModelManifest(name, destination, files, ours)
