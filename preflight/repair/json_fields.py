"""Single fields of config files that have one right value."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

from preflight.catalog.processors import IMAGE_PROCESSORS
from preflight.findings import Unavailable, WeightType
from preflight.language import say
from preflight.model.config_figures import architectures
from preflight.repair._repair import Change, changed, repair
from preflight.repair.draft import Draft

_FULL = frozenset({WeightType.FULL})
_TOKENIZER, _CONFIG = "tokenizer_config.json", "config.json"
_OWN, _JOINT = "preprocessor_config.json", "processor_config.json"
_EDGES = {"min_pixels": "shortest_edge", "max_pixels": "longest_edge"}
_SPELLED = {"BF16": "bfloat16", "F16": "float16", "F32": "float32"}


@repair(
    "B03",
    say("Takes a wrapper's prefix off the class in config.json, such as that of FSDP."),
    kinds=_FULL,
)
def class_name(draft: Draft) -> Change | None:
    """A class whose name ends in the base's own is that class, wrapped."""
    base, config = draft.known.base, draft.document(_CONFIG)
    if isinstance(base, Unavailable) or config is None:
        return None
    own = base.architecture
    wrapped = [n for n in architectures(config) if n.endswith(own) and n != own]
    if not wrapped:
        return None
    made = draft.with_fields(_CONFIG, architectures=[own])
    return changed(made, say("{name} becomes {new}", name=wrapped[0], new=own))


@repair("S15", say("Writes the number format that the weights have."), kinds=_FULL)
def stated_dtype(draft: Draft) -> Change | None:
    """Set dtype, or torch_dtype, to the format of most values."""
    config = draft.document(_CONFIG)
    if config is None or "S15" not in draft.known.failed:
        return None
    counted: Counter[str] = Counter()
    for one in draft.tensors:
        counted[one.dtype] += one.size
    found = _SPELLED.get(counted.most_common(1)[0][0]) if counted else None
    if found is None:
        return None
    field = "dtype" if "dtype" in config else "torch_dtype"
    return changed(
        draft.with_fields(_CONFIG, **{field: found}),
        f"{field}: {found}",
    )


@repair(
    "V06",
    say(
        "Writes beside what transformers 5 wrote what older releases read: rope_theta, "
        "the tokenizer's class, no empty list of tokens."
    ),
    kinds=_FULL,
)
def older_fields(draft: Draft) -> Change | None:
    """Add what is read by older releases; nothing that newer ones read goes away."""
    if "V06" not in draft.known.failed:
        return None
    told: list[str] = []
    tokenizer, config = draft.document(_TOKENIZER), draft.document(_CONFIG)
    if tokenizer is not None:
        new = dict(tokenizer)
        if new.get("tokenizer_class") == "TokenizersBackend":
            new["tokenizer_class"] = "Qwen2Tokenizer"
        if new.get("extra_special_tokens") == []:
            del new["extra_special_tokens"]
        if new != tokenizer:
            draft = draft.with_document(_TOKENIZER, new)
            told.append(_TOKENIZER)
    if config is not None and (with_theta := _with_theta(config)) != config:
        draft = draft.with_document(_CONFIG, with_theta)
        told.append(f"{_CONFIG}: rope_theta")
    return changed(draft, *told) if told else None


def _with_theta(config: Mapping[str, object]) -> dict[str, object]:
    new = dict(config)
    inner = config.get("text_config")
    if isinstance(inner, Mapping):
        new["text_config"] = _with_theta(inner)
    rope = config.get("rope_parameters")
    if isinstance(rope, Mapping) and "rope_theta" in rope:
        new.setdefault("rope_theta", rope["rope_theta"])
    return new


@repair(
    "D20",
    say(
        "Writes the image processor's class and sizes under the names that releases "
        "know."
    ),
    kinds=_FULL,
)
def image_processor(draft: Draft) -> Change | None:
    """Mend the settings, in the file of their own or in the joint one."""
    if "D20" not in draft.known.failed:
        return None
    own, joint = draft.document(_OWN), draft.document(_JOINT)
    if own is not None:
        new = _mended(own)
        made = draft.with_document(_OWN, new)
        return changed(made, _OWN) if new != own else None
    inner = (joint or {}).get("image_processor")
    if not isinstance(inner, Mapping) or _mended(inner) == inner:
        return None
    made = draft.with_fields(_JOINT, image_processor=_mended(inner))
    return changed(made, f"{_JOINT}: image_processor")


def _mended(settings: Mapping[str, object]) -> dict[str, object]:
    new = dict(settings)
    if new.get("image_processor_type") not in (None, *IMAGE_PROCESSORS):
        new["image_processor_type"] = IMAGE_PROCESSORS[0]
    size = new.get("size")
    if isinstance(size, Mapping):
        new["size"] = {_EDGES.get(key, key): value for key, value in size.items()}
    return new
