"""S, continued: the number formats of the tensors."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from preflight.findings import Problem, Severity, WeightType
from preflight.language import joined, say
from preflight.model.configs import JsonObject
from preflight.model.headers import Container, Reading, Tensor
from preflight.model.quantised import is_quantised_part
from preflight.rules._rule import FULL, rule
from preflight.text import shortened

_FLOATS = ("BF16", "F16", "F32")
_ALLOWED = say("BF16, F16 or F32")
# How config.json spells them, as torch does.
_SPELLED = {"bfloat16": "BF16", "float16": "F16", "float32": "F32"}
_SIXTEEN = say(
    "Save what was trained in 16 bits: a LoRA without its "
    "quantised base, full weights merged into the 16-bit base or "
    "dequantised before saving."
)
Tensors = tuple[Tensor, ...]


@rule(
    "S07",
    fix=say("Save the weights in BF16, F16 or F32, cast from what was trained."),
)
def dtypes_are_floats(tensors: Tensors) -> Iterator[Problem]:
    """Weights are served from BF16, F16 or F32; all else is quantised or a mistake.

    Causes: a model loaded in 4 or 8 bits was saved as it was, FP8 training, numpy's
    float64.
    Source: the published bases are BF16, and the files are to be the same as theirs,
    user guide "My models".
    """
    for dtype in sorted({t.dtype for t in tensors} - set(_FLOATS)):
        found = [t for t in tensors if t.dtype == dtype]
        quantised = dtype != "F64"
        told = say("is {dtype}, not {allowed}", dtype=dtype, allowed=_ALLOWED)
        if quantised:
            told = say("{told}, as quantised weights are", told=told)
        told = say(
            "{told}; so {count:,} of {total:,} tensors",
            told=told,
            count=len(found),
            total=len(tensors),
        )
        yield Problem(found[0].name, told, fix=_SIXTEEN if quantised else "")


def _counted(tensors: Tensors) -> Counter[str]:
    """Elements by float format; what is no float is told by S07."""
    counted: Counter[str] = Counter()
    for tensor in tensors:
        if tensor.dtype in _FLOATS:
            counted[tensor.dtype] += tensor.count
    return counted


@rule(
    "S08",
    severity=Severity.WARNING,
    fix=say("Cast all weights to BF16 and save again."),
)
def dtypes_alike(tensors: Tensors, weight_type: WeightType) -> Iterator[Problem]:
    """Several number formats in one model are left by a half-finished merge or cast.

    An adapter in F32 throughout is usual: PEFT keeps it so on a BF16 base. Full
    weights in F32 are twice as long to upload as their base.
    Causes: layers cast for k-bit training, a merge of models in different formats.
    Source: PEFT's `autocast_adapter_dtype`; the published bases are BF16.
    """
    if weight_type is WeightType.LORA:
        # What else lies there is refused anyway, and often has the base's format.
        tensors = tuple(t for t in tensors if ".lora_" in t.name) or tensors
    if any(is_quantised_part(t.name) for t in tensors):
        return  # scales have a format of their own; S07 and K06 tell of the rest
    counted = _counted(tensors)
    if len(counted) > 1:
        rarest = counted.most_common()[-1][0]
        first = next(t.name for t in tensors if t.dtype == rarest)
        both = joined(
            ", ",
            [
                say(
                    "{count:,} tensors in {dtype}",
                    count=sum(t.dtype == dtype for t in tensors),
                    dtype=dtype,
                )
                for dtype, _ in counted.most_common()
            ],
        )
        yield Problem(
            first, say("is {rarest}; in all {both}", rarest=rarest, both=both)
        )
    elif weight_type is WeightType.FULL and "F32" in counted:
        size = sum(tensor.size for tensor in tensors)
        told = say("all are F32: {size:,} bytes, BF16 would take half", size=size)
        yield Problem(tensors[0].name, told)


@rule(
    "S15",
    severity=Severity.WARNING,
    applies=FULL,
    fix=say("Set torch_dtype in config.json to what the weights are."),
)
def dtype_as_the_config_says(tensors: Tensors, config: JsonObject) -> Iterator[Problem]:
    """Engines convert the weights to the format that the config names.

    Causes: a config copied from another save, a merge in another format.
    Source: https://huggingface.co/docs/transformers/main_classes/configuration
    """
    field = "dtype" if "dtype" in config else "torch_dtype"
    said = config.get(field)
    named = _SPELLED.get(said.removeprefix("torch.")) if isinstance(said, str) else None
    counted = _counted(tensors).most_common(1)
    if named and counted and counted[0][0] != named:
        told = say(
            "is {said!s}, the weights are {counted}", said=said, counted=counted[0][0]
        )
        yield Problem(f"config.json: {field}", told)


@rule(
    "S09",
    severity=Severity.WARNING,
    fix=say('Save with the metadata {"format": "pt"}, as save_pretrained does.'),
)
def metadata_says_format(
    containers: tuple[Reading, ...],
) -> Iterator[Problem]:
    """The header's metadata say which framework's layout the tensors have.

    transformers refuses full weights whose metadata name another format, and older
    releases those that name none.
    Causes: a converter that wrote the file by hand, mlx's own saver (`mlx`).
    Source: `load_state_dict` in transformers, modeling_utils.py.
    """
    for found in containers:
        if not isinstance(found, Container) or not found.tensors:
            continue
        named = (found.metadata or {}).get("format")
        if named != "pt":
            told = (
                say("is missing")
                if named is None
                else say("is {value}", value=shortened(named, 40))
            )
            where = f"{found.file}: __metadata__.format"
            yield Problem(where, say("{told}; save_pretrained writes pt", told=told))
