"""B, continued: what config.json says of the model, against the base's own."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from preflight.catalog.base_models import BaseModel, load_bases
from preflight.findings import CannotTell, Problem, Severity, Unavailable, WeightType
from preflight.language import joined, say
from preflight.model.config_figures import (
    architectures,
    rope,
    structure_differences,
    text_section,
)
from preflight.model.configs import JsonObject
from preflight.model.files import FileEntry
from preflight.model.reference import Reference
from preflight.rules._rule import FULL, Answer, rule
from preflight.text import shortened

CONFIG = "config.json"
_DTYPES = ("bfloat16", "float16", "float32", "auto")
# Changed with care these can be meant, and the shapes stay as they are.
_SOFT = ("max_position_embeddings", "hidden_act", "attention_bias")


def _shown(value: object) -> str:
    return shortened(repr(value), 80)


@rule(
    "B03",
    applies=FULL,
    fix=say(
        "Save the model with the base's own class; take config.json from that save."
    ),
)
def architecture_supported(
    config: JsonObject | Unavailable,
    files: Mapping[str, FileEntry],
    compared: BaseModel | Unavailable,
) -> Iterator[Answer]:
    """Class and type in config.json decide which code serves the model.

    Only those of the base models can be imported.
    Causes: another model, a classifier or reward model made from the base, a config
    written by hand, a wrapper such as FSDP whose name stands before the class's.
    Source: list of models, user guide pages "Model import" and "My models".
    """
    if isinstance(config, Unavailable):
        if CONFIG in files:
            yield Problem(CONFIG, config.reason)
        else:
            yield CannotTell(config.reason)  # D08 tells of the missing file
        return
    bases = list(load_bases().values())
    if not isinstance(compared, Unavailable):
        bases = [compared]
    yield from _kind(config, bases)
    yield from _class(config, bases)


def _one_of(names: list[str]) -> str:
    return joined(say(" or "), sorted(set(names)))


def _kind(config: JsonObject, bases: list[BaseModel]) -> Iterator[Problem]:
    found, where = config.get("model_type"), f"{CONFIG}: model_type"
    wanted = _one_of([base.model_type for base in bases])
    if found is None:
        yield Problem(where, say("missing; {wanted} is needed", wanted=wanted))
    elif found not in [base.model_type for base in bases]:
        yield Problem(
            where,
            say("is {shown}; {wanted} is needed", shown=_shown(found), wanted=wanted),
        )


def _class(config: JsonObject, bases: list[BaseModel]) -> Iterator[Problem]:
    found, where = architectures(config), f"{CONFIG}: architectures"
    known = {base.architecture for base in bases}
    wanted = _one_of([base.architecture for base in bases])
    if not found:
        told = say(
            "names no class ({shown})", shown=_shown(config.get("architectures"))
        )
        yield Problem(
            where, say("{told}; {wanted} is needed", told=told, wanted=wanted)
        )
    elif known & set(found):
        return
    elif wrapped := _wrapped(found, known):
        told = say(
            "is {wrapped}: a wrapper's prefix stands before {wrapped_2}",
            wrapped=wrapped[0],
            wrapped_2=wrapped[1],
        )
        fix = say(
            'In {config} write "architectures": ["{wrapped}"].',
            config=CONFIG,
            wrapped=wrapped[1],
        )
        yield Problem(where, told, fix=fix)
    else:
        shown = ", ".join(shortened(name, 60) for name in found[:4])
        yield Problem(
            where, say("is {shown}; {wanted} is needed", shown=shown, wanted=wanted)
        )


def _wrapped(found: Iterable[str], known: Iterable[str]) -> tuple[str, str] | None:
    """A class name that ends in a base's, as FSDP and other wrappers make them."""
    pairs = ((mine, own) for mine in found for own in known)
    return next((pair for pair in pairs if pair[0].endswith(pair[1])), None)


@rule(
    "B04",
    severity=Severity.WARNING,
    applies=FULL,
    fix=say(
        "Save with the class of transformers itself; the base models need no code."
    ),
)
def no_code_of_its_own(
    config: JsonObject, files: Mapping[str, FileEntry]
) -> Iterator[Problem]:
    """Code in the model's directory is not uploaded and would not be run.

    A program that no config refers to is just left behind.
    Causes: a model with `trust_remote_code`, a modelling file of one's own.
    Source: the base models on Hugging Face are supported by transformers itself.
    """
    found = config.get("auto_map")
    if found:
        programs = [shortened(name, 60) for name in files if name.endswith(".py")]
        told = say("is {value}", value=_shown(found))
        if programs:
            told = say("{told}; beside it lies {name}", told=told, name=programs[0])
        yield Problem(f"{CONFIG}: auto_map", told)


@rule(
    "B05",
    fix=say(
        "Take config.json from the base; change nothing in it that was not trained."
    ),
)
def config_is_the_base_s(
    config: JsonObject,
    compared: BaseModel,
    reference: Reference | Unavailable,
    weight_type: WeightType,
) -> Iterator[Problem]:
    """config.json gives the sizes of the layers and how positions are encoded.

    With other sizes the weights do not fit: an error. With another position encoding
    they load and answer worse: a warning.
    Causes: the config of another size or of the pretrained model, a longer context
    set by hand, a script that wrote its own config.
    Source: config.json of the base models.
    """
    for field, (mine, wanted) in structure_differences(config, compared).items():
        told = say(
            "is {shown}, {code} has {wanted}",
            shown=_shown(mine),
            code=compared.code,
            wanted=_shown(wanted),
        )
        yield Problem(f"{CONFIG}: {field}", told)
    if weight_type is not WeightType.FULL:
        yield from _adapters_config(config, compared)
    own = compared.config()
    if not isinstance(reference, Unavailable):
        own = {**own, **_readable(reference.config)}
    for problem in (*_soft(config, own, compared), *_positions(config, own, compared)):
        yield Problem(problem.where, problem.message, Severity.WARNING)


def _readable(config: JsonObject | Unavailable) -> JsonObject:
    return {} if isinstance(config, Unavailable) else config


def _adapters_config(config: JsonObject, base: BaseModel) -> Iterator[Problem]:
    """Beside an adapter there lies the base's own config, which B03 does not judge."""
    found = config.get("model_type")
    if found is not None and found != base.model_type:
        told = say(
            "is {shown}, {code} has {model_type}",
            shown=_shown(found),
            code=base.code,
            model_type=base.model_type,
        )
        yield Problem(f"{CONFIG}: model_type", told)


def _soft(config: JsonObject, own: JsonObject, base: BaseModel) -> Iterator[Problem]:
    mine, wanted = text_section(config), text_section(own)
    for field in _SOFT:
        value, usual = mine.get(field), wanted.get(field)
        if value is not None and usual is not None and value != usual:
            told = say(
                "is {shown}, {code} has {wanted}",
                shown=_shown(value),
                code=base.code,
                wanted=_shown(usual),
            )
            yield Problem(f"{CONFIG}: {field}", told)
    dtype = mine.get("dtype", mine.get("torch_dtype"))
    if isinstance(dtype, str):
        dtype = dtype.removeprefix("torch.")
    if dtype is not None and dtype not in _DTYPES:
        yield Problem(
            f"{CONFIG}: dtype",
            say("is {shown}; bfloat16 is usual", shown=_shown(dtype)),
        )


def _positions(
    config: JsonObject, own: JsonObject, base: BaseModel
) -> Iterator[Problem]:
    mine, wanted = rope(config), rope(own)
    for field in ("rope_theta", "factor"):
        if field in mine and mine[field] != wanted.get(field):
            usual = _shown(wanted[field]) if field in wanted else say("none")
            told = say(
                "is {shown}, {code} has {usual}",
                shown=_shown(mine[field]),
                code=base.code,
                usual=usual,
            )
            yield Problem(f"{CONFIG}: {field}", told)
    # The sections of Qwen's vision models go by the name mrope or default.
    kind = "default" if mine["rope_type"] == "mrope" else mine["rope_type"]
    if kind != "default":
        told = say(
            "is {shown}; {code} uses it only for longer texts",
            shown=_shown(kind),
            code=base.code,
        )
        yield Problem(f"{CONFIG}: rope_type", told)
