"""D and V: the small files beside the weights, and what is no part of the model."""

from __future__ import annotations

from collections.abc import Mapping

from preflight.catalog.base_models import BaseModel
from preflight.catalog.templates import earlier_templates
from preflight.catalog.uploadable import role_of
from preflight.findings import Unavailable, WeightType
from preflight.language import say
from preflight.model.caches import is_there
from preflight.model.files import FileEntry
from preflight.model.templates import DEFAULT, Template, digests
from preflight.regular import read_regular
from preflight.repair._repair import CannotRepair, Change, changed, repair
from preflight.repair.draft import CONFIG, Draft, Source
from preflight.text import shortened

_BOTH = frozenset(WeightType)
_LORA, _FULL = (frozenset({kind}) for kind in (WeightType.LORA, WeightType.FULL))
INDEX = "model.safetensors.index.json"
_JINJA = "chat_template.jinja"
_WITH_TEMPLATE = ("tokenizer_config.json", "chat_template.json", "config.json")
_TOKENIZER = (
    "tokenizer.json", "tokenizer_config.json", "vocab.json", "merges.txt",
    "added_tokens.json", "special_tokens_map.json", "tokenizer.model",
)  # fmt: skip


@repair(
    "D15 D16",
    say(
        "Leaves out what is no part of the model: checkpoints, logs, states, leftovers."
    ),
    kinds=_BOTH,
)
def leftovers(draft: Draft) -> Change | None:
    """No file is in a draft that an import does not take; here it is told."""
    gone = [
        entry.name
        for entry in draft.found.walk.entries
        if entry.is_file and role_of(entry.name, draft.kind) is None
    ]
    if not {"D15", "D16"} & draft.known.failed or not gone:
        return None
    return changed(
        draft,
        say(
            "{count:,} files left out, as {name}",
            count=len(gone),
            name=shortened(gone[0], 60),
        ),
    )


def _is_broken(draft: Draft, name: str, source: Source) -> bool:
    """Whether a file is empty, or JSON that cannot be read."""
    if not isinstance(source, FileEntry) or name == CONFIG:
        return False
    if not source.size and not name.startswith(("README", "LICENSE", "NOTICE")):
        return True
    return isinstance(draft.found.documents.get(source.name), Unavailable)


@repair(
    "D13 D18 V02 V03",
    say(
        "Leaves out files beside an adapter that are empty or cannot be read: the "
        "service takes the base's own."
    ),
    kinds=_LORA,
)
def broken_files(draft: Draft) -> Change | None:
    """An adapter needs its weights and its config, and nothing else."""
    broken = [n for n, source in draft.files.items() if _is_broken(draft, n, source)]
    return changed(draft.without(*broken), ", ".join(broken)) if broken else None


@repair(
    "B05 V01 V05",
    say(
        "Leaves out a config.json beside an adapter that is not the base's: a push "
        "adds the base's own."
    ),
    kinds=_LORA,
)
def foreign_config(draft: Draft) -> Change | None:
    """The base's config is known, so that another one is of no use."""
    if "config.json" not in draft.files or "config.json" in draft.weights:
        return None
    if not {"B05"} & draft.known.failed and not _head_in_config(draft):
        return None
    return changed(draft.without("config.json"), "config.json")


def _head_in_config(draft: Draft) -> bool:
    """Whether V01 fails for the size in config.json, not for a tensor."""
    saved = any("embed" in t.name or "head" in t.name for t in draft.tensors)
    return "V01" in draft.known.failed and not saved


def _known_digests(base: BaseModel) -> set[str]:
    earlier = (one.sha256 for one in earlier_templates(base.code))
    return {*base.template_sha256, *earlier}


def _without_templates(draft: Draft, keep: str = "") -> tuple[Draft, list[str]]:
    """The draft without chat templates, but for the one that stands at `keep`."""
    gone = []
    if _JINJA in draft.files and keep != _JINJA:
        draft, gone = draft.without(_JINJA), [_JINJA]
    for name in _WITH_TEMPLATE:
        document = draft.document(name)
        where = f"{name}: chat_template"
        if document is None or "chat_template" not in document or keep == where:
            continue
        rest = {key: v for key, v in document.items() if key != "chat_template"}
        draft = draft.with_document(name, rest) if rest else draft.without(name)
        gone.append(where)
    return draft, gone


@repair(
    "V03 V04",
    say(
        "Takes a chat template out that is not the base's: the import wants the base's "
        "default and takes it where there is none. The weights stay as they are; where "
        "the training used another format, answers may suffer."
    ),
    kinds=_LORA,
)
def foreign_template(draft: Draft) -> Change | None:
    """Leave the template of an adapter to the service."""
    if not {"V03", "V04"} & draft.known.failed:
        return None
    made, gone = _without_templates(draft)
    told = say(
        "left out: {names}; where the training used it, answers may suffer",
        names=", ".join(gone),
    )
    return changed(made, told) if gone else None


def _own_template(draft: Draft) -> str | None:
    """The base's default template, where a copy of the base is at hand."""
    reference = draft.known.reference
    if isinstance(reference, Unavailable):
        return None
    for template in reference.templates:
        if template.name == DEFAULT and isinstance(template.text, str):
            return template.text
    return None


def _is_of_base(template: Template, base: BaseModel | Unavailable) -> bool:
    if isinstance(base, Unavailable) or not isinstance(template.text, str):
        return False
    known = _known_digests(base)
    return template.name == DEFAULT and not known.isdisjoint(digests(template.text))


@repair(
    "V03 V04 V07",
    say(
        "Puts the base's own chat template in the place of others, as "
        "chat_template.jinja; needs a copy of the base, or the template beside the "
        "others."
    ),
    kinds=_FULL,
)
def base_template(draft: Draft) -> Change | None:
    """Full weights need the template of their base, and that one alone."""
    if not {"V03", "V04", "V07"} & draft.known.failed:
        return None
    base = draft.known.base
    own = next((t for t in draft.found.templates if _is_of_base(t, base)), None)
    if own is not None:
        made, gone = _without_templates(draft, keep=own.where)
        return (
            changed(made, say("left out: {names}", names=", ".join(gone)))
            if gone
            else None
        )
    text = _own_template(draft)
    if text is None:
        raise CannotRepair(
            say("the base's chat template is not at hand: give --base-dir")
        )
    made, _ = _without_templates(draft)
    return changed(
        made.with_file(_JINJA, text.encode()), say("{names} of the base", names=_JINJA)
    )


@repair(
    "V02",
    say(
        "Takes the base's tokenizer in place of one with other tokens; text that uses "
        "those is split otherwise than in the training."
    ),
    kinds=_BOTH,
    flag="--base-tokenizer",
)
def base_tokenizer(draft: Draft) -> Change | None:
    """Beside an adapter there need be none; full weights get the base's files."""
    if "V02" not in draft.known.failed or not draft.known.losses.base_tokenizer:
        return None
    there = [name for name in _TOKENIZER if name in draft.files]
    if draft.kind is WeightType.LORA:
        return changed(
            draft.without(*there), say("left out: {names}", names=", ".join(there))
        )
    found = {name: data for name in _TOKENIZER if (data := base_file(draft, name))}
    if "tokenizer.json" not in found or "tokenizer_config.json" not in found:
        raise CannotRepair(say("the base's tokenizer is not at hand: give --base-dir"))
    made = draft.without(*there)
    for name, data in found.items():
        made = made.with_file(name, data)
    return changed(made, say("{names} of the base", names=", ".join(found)))


def base_file(draft: Draft, name: str) -> bytes | None:
    """A small file of the base's own copy, where there is one at hand."""
    reference = draft.known.reference
    if isinstance(reference, Unavailable) or not is_there(reference.directory / name):
        return None
    try:
        return read_regular(reference.directory / name)
    except OSError:
        return None


@repair(
    "D08 D13 D18 D20 B03 V02",
    say(
        "Copies from the base what full weights lack or what cannot be read: config, "
        "generation config, tokenizer, image processor. Needs a copy of the base."
    ),
    kinds=_FULL,
)
def base_files(draft: Draft) -> Change | None:
    """Complete the small files; none that can be read is replaced."""
    lacking = [n for n, source in draft.files.items() if _is_broken(draft, n, source)]
    if "D08" in draft.known.failed:
        wanted = ["config.json", "generation_config.json", "tokenizer_config.json"]
        if not {"tokenizer.json", "vocab.json"} & set(draft.files):
            wanted += ["tokenizer.json", "vocab.json", "merges.txt"]
        lacking += [name for name in wanted if name not in draft.files]
    if "D20" in draft.known.failed and not _has_processor(draft):
        lacking.append("preprocessor_config.json")
    made = draft
    copied: list[str] = []
    for name in dict.fromkeys(lacking):
        if name != INDEX and (data := base_file(draft, name)):
            made, copied = made.with_file(name, data), [*copied, name]
    return (
        changed(made, say("{names} of the base", names=", ".join(copied)))
        if copied
        else None
    )


def _has_processor(draft: Draft) -> bool:
    joint = draft.document("processor_config.json") or {}
    own = "preprocessor_config.json" in draft.files
    return own or isinstance(joint.get("image_processor"), Mapping)
