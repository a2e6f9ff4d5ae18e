"""C: adapter_config.json as its tensors tell that it should be."""

from __future__ import annotations

from collections.abc import Mapping

from preflight.findings import Unavailable, WeightType
from preflight.language import glued, joined, say
from preflight.model.files import FileEntry
from preflight.model.source import OpenFile
from preflight.model.steady import Changed, Unreadable
from preflight.repair._repair import Change, changed, repair
from preflight.repair.draft import Draft
from preflight.repair.lenient import lenient_object
from preflight.rules.c_config import common_rank, declared_rank, shown

_MOST = 16 << 20  # bytes of a JSON file that is mended
_MOST_NAMED = 60  # modules in a list of targets


def raw_bytes(draft: Draft, entry: FileEntry) -> bytes | None:
    """All bytes of a small file."""
    file: OpenFile | Unavailable = draft.source.open(entry)
    if isinstance(file, Unavailable):
        return None
    try:
        return file.read(0, file.size) if 0 < file.size <= _MOST else None
    except (Changed, Unreadable):
        return None
    finally:
        file.close()


@repair(
    "C01 D18",
    say(
        "Writes JSON that only its writer could read as plain UTF-8: byte order marks, "
        "UTF-16, a comma too many, NaN, a key given twice."
    ),
    kinds=frozenset(WeightType),
)
def json_text(draft: Draft) -> Change | None:
    """Read each JSON file that is refused as leniently as PEFT does."""
    told = []
    for name, entry in draft.files.items():
        if not name.endswith(".json") or not isinstance(entry, FileEntry):
            continue
        if not isinstance(draft.found.documents.get(entry.name), Unavailable):
            continue
        data = raw_bytes(draft, entry)
        read = lenient_object(data, name) if data else None
        if read is not None:
            value, odd = read
            draft = draft.with_document(name, value)
            told.append(glued(name, ": ", joined(", ", odd) if odd else say("read")))
    return changed(draft, *told) if told else None


def _leaves(draft: Draft) -> list[str]:
    """The last names of all adapted modules."""
    return sorted({module.rpartition(".")[2] for module in draft.lora.pairs})


@repair("C01", say('Sets peft_type to "LORA" where the tensors are a LoRA\'s.'))
def adapter_type(draft: Draft) -> Change | None:
    """Write the type as PEFT spells it."""
    config = draft.config
    if config is None or not draft.lora.pairs or "lora_alpha" not in config:
        return None
    kind = config.get("peft_type")
    if kind == "LORA" or not (kind is None or str(kind).upper() == "LORA"):
        return None
    return changed(
        draft.with_config(peft_type="LORA"),
        say("{field} was {value}", field="peft_type", value=shown(kind)),
    )


@repair("C01", say("Lists as target_modules the modules of which there are tensors."))
def target_modules(draft: Draft) -> Change | None:
    """Name the targets where the config names none."""
    config, leaves = draft.config, _leaves(draft)
    if config is None or not 0 < len(leaves) <= _MOST_NAMED:
        return None
    targets = config.get("target_modules")
    if targets and isinstance(targets, (str, list)):
        return None
    made = draft.with_config(target_modules=leaves)
    return changed(made, f"target_modules: {', '.join(leaves)}")


@repair("C01 C03", say("Sets r to the rank that every tensor has; lora_alpha stays."))
def rank_of_tensors(draft: Draft) -> Change | None:
    """Take the rank from the tensors where all agree and no pattern explains another.

    What `lora_alpha` was trained with no tensor tells; it is left as it is.
    """
    config, common = draft.config, common_rank(draft.lora)
    if config is None or common is None or declared_rank(config) == common:
        return None
    if _gives_all(config.get("rank_pattern"), common):
        return None
    told = say(
        "r: {common}, as every tensor has it, not {value}",
        common=common,
        value=shown(config.get("r")),
    )
    kept = say(
        "lora_alpha stays {value}: no tensor tells it",
        value=shown(config.get("lora_alpha")),
    )
    return changed(draft.with_config(r=common), told, kept)


def _gives_all(pattern: object, rank: int) -> bool:
    """Whether a pattern seems to be what gave the tensors their rank."""
    return isinstance(pattern, Mapping) and rank in pattern.values()


_UNUSED = {
    "modules_to_save": ("C07", None),
    "trainable_token_indices": ("C08", None),
    "lora_bias": ("C06", False),
    "bias": ("C06", "none"),
}


@repair(
    "C06 C07 C08",
    say(
        "Switches off what the config asks for and the file has no tensor of: biases, "
        "modules_to_save, trained tokens."
    ),
)
def unused_switches(draft: Draft) -> Change | None:
    """Loaders would take those tensors from the base, which is the same."""
    config, lora = draft.config, draft.lora
    if config is None or not lora.pairs:
        return None
    biases = [h for h in lora.halves if not h.is_weight]
    if biases or lora.others:
        return None
    fields = {
        field: off
        for field, (_, off) in _UNUSED.items()
        if config.get(field) not in (None, False, "none", [], {})
    }
    if not fields:
        return None
    told = tuple(
        say("{field} was {value}", field=field, value=shown(config[field]))
        for field in fields
    )
    return changed(draft.with_config(**fields), *told)
