"""The base model as its hub describes it: small files and headers, no weights."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from preflight.catalog.base_models import BaseModel
from preflight.findings import Unavailable
from preflight.language import say
from preflight.model.caches import hub_cache
from preflight.model.reference import (
    CONFIG,
    TEMPLATE_FILES,
    TOKENIZER,
    TOKENIZER_CONFIG,
    Reference,
    Shapes,
    read_reference,
)
from preflight.text import shortened

if TYPE_CHECKING:
    from huggingface_hub import HfApi

SECONDS = 10.0  # without an answer, per request


def fetch_reference(base: BaseModel) -> Reference | Unavailable:
    """Ask the Hugging Face hub (or `$HF_ENDPOINT`) for a base model.

    A few MB go into the ordinary cache. Whatever goes wrong is told as the reason.
    """
    from huggingface_hub import HfApi

    cache = hub_cache()
    if isinstance(cache, Unavailable):
        told = say(
            "{reason}: set HF_HOME to a place for copies from the hub",
            reason=cache.reason,
        )
        return Unavailable(told)
    api = HfApi(endpoint=os.environ.get("HF_ENDPOINT") or None)
    try:
        with _quiet():
            directory = _download(api, base.hub_id, cache)
            shapes = _shapes(api, base.hub_id)
    # Its errors derive from those of requests or of httpx, as its version has it.
    except Exception as error:  # noqa: BLE001
        first = str(error).strip().split("\n", 1)[0]
        told = shortened(first or type(error).__name__, 160)
        return Unavailable(
            say(
                "{hub_id} could not be had from the hub: {told}",
                hub_id=base.hub_id,
                told=told,
            )
        )
    return read_reference(
        directory, say("the hub ({hub_id})", hub_id=base.hub_id), shapes
    )


def _download(api: HfApi, hub_id: str, cache: Path) -> Path:
    from huggingface_hub import hf_hub_url

    # A download tries for 20 s and more where there is no network; this asks once.
    url = hf_hub_url(hub_id, CONFIG, endpoint=api.endpoint)
    api.get_hf_file_metadata(url=url, timeout=SECONDS)
    config = _one(api, hub_id, CONFIG, cache)
    for name in (TOKENIZER, TOKENIZER_CONFIG, *TEMPLATE_FILES):
        _one_if_any(api, hub_id, name, cache)
    return config.parent


def _one(api: HfApi, hub_id: str, name: str, cache: Path) -> Path:
    return Path(
        api.hf_hub_download(hub_id, name, cache_dir=cache, etag_timeout=SECONDS)
    )


def _one_if_any(api: HfApi, hub_id: str, name: str, cache: Path) -> None:
    from huggingface_hub.errors import EntryNotFoundError, LocalEntryNotFoundError

    try:
        _one(api, hub_id, name, cache)
    except LocalEntryNotFoundError:  # no answer, which is another matter
        raise
    except EntryNotFoundError:
        return


def _shapes(api: HfApi, hub_id: str) -> Shapes:
    found = api.get_safetensors_metadata(hub_id)
    return {
        name: tuple(tensor.shape)
        for file in found.files_metadata.values()
        for name, tensor in file.tensors.items()
    }


@contextmanager
def _quiet() -> Iterator[None]:
    """No progress bars: the files are small and the screen is somebody else's."""
    from huggingface_hub.utils.tqdm import (
        are_progress_bars_disabled,
        disable_progress_bars,
        enable_progress_bars,
    )

    were_disabled = are_progress_bars_disabled()
    disable_progress_bars()
    try:
        yield
    finally:
        if not were_disabled:
            enable_progress_bars()
