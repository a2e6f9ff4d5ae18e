"""B: which base model this is, and whether it can be imported onto."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from preflight.catalog.base_models import BaseModel, load_bases
from preflight.findings import CannotTell, Problem, Severity, Unavailable, WeightType
from preflight.language import glued, say
from preflight.model.base_claim import CLASS_FIELD, BaseClaim
from preflight.model.config_figures import unlike
from preflight.model.configs import JsonObject
from preflight.model.headers import Tensor
from preflight.model.identity import Identity, Match, nearest, takes_an
from preflight.model.lora import LoraView
from preflight.model.reference import Reference, WrongReference
from preflight.rules._rule import Answer, rule
from preflight.rules.k_modules import fitting, judged

_FLAG = "--base-model"


def fitting_bases(
    lora: LoraView | Unavailable, tensors: tuple[Tensor, ...] | Unavailable
) -> tuple[BaseModel, ...] | None:
    """The bases whose shapes all tensors have; `None` where nothing can be said."""
    if not isinstance(lora, Unavailable):
        halves = judged(lora)
        if not halves:
            return None
        return fitting(halves)
    if isinstance(tensors, Unavailable) or not tensors:
        return None
    shapes = {t.name: t.shape for t in tensors}
    return tuple(b for b in load_bases().values() if _same_tensors(shapes, b))


def _same_tensors(shapes: dict[str, tuple[int, ...]], base: BaseModel) -> bool:
    wanted = base.checkpoint_tensors()
    return all(shapes.get(spec.name) == spec.shape for spec in wanted)


def is_pretrained_sibling(identity: Identity) -> bool:
    """Whether it is the same model before instruction tuning."""
    if identity.base is None or not identity.same_shapes:
        return False
    name = identity.canonical.rpartition("/")[2].lower()
    code = identity.base.code.lower()
    return f"{name}-instruct" == code or name == f"{code}-base"


def _named(identity: Identity) -> str:
    near = identity.base or nearest(identity.canonical)
    name = identity.canonical or identity.given
    told = say("is {name}, which cannot be imported onto", name=name)
    if identity.why:  # it names the nearest base, too
        return glued(told, ": ", identity.why)
    if near is None:
        return told
    return say("{told}; the nearest that can is {code}", told=told, code=near.code)


def _fit_told(fits: tuple[BaseModel, ...] | None) -> str:
    codes = ", ".join(base.code for base in fits or ())
    return (
        say("the shapes fit {codes}", codes=codes)
        if codes
        else say("the shapes could not be compared")
    )


_FIX = say(
    "Give the base that was trained with --base-model; `preflight "
    "bases` lists those that can be imported onto."
)
_FIX_ASKED = say("Give the base that these weights were trained on.")
_FIX_ANOTHER = say(
    "Train on a base that can be imported onto; `preflight bases` lists them."
)
_FIX_TUNED = say(
    "Train both stages on the base, or merge this adapter into the "
    "fine-tune and import full weights."
)


@rule("B01", fix=_FIX)
def base_model_supported(
    claim: BaseClaim,
    requested: Identity | Unavailable,
    weight_type: WeightType,
    lora: LoraView | Unavailable,
    tensors: tuple[Tensor, ...] | Unavailable,
    compared: BaseModel | Unavailable,
) -> Iterator[Answer]:
    """Imports exist for certain base models, and weights fit only their own base.

    An adapter of another model of the same shapes (Coder, QwQ, Thinking, Qwen2 for
    Qwen2.5) loads without an error and answers nonsense. What names the base: the
    adapter's config, ms-swift's `args.json`, mlx's `model`, the class that Unsloth
    records, and the config of the directory that is named, if it lies on this machine.
    Another model is an error. A fine-tune of a base, a name that is not known and a
    name that no model has (`Qwen3-8B-Instruct`) are warnings: they may be right. Full
    weights that no file names are known by their figures and shapes.
    Causes: the base is not on the list, `--base-model` names another one, the adapter
    is the second stage on a merged first one, or the base was a local directory whose
    name says nothing.
    Source: list of models, user guide pages "Model import" and "My models".
    """
    if not isinstance(requested, Unavailable):
        for problem in _requested(requested, claim, weight_type):
            told = problem.fix or _FIX_ASKED
            yield replace(problem, fix=told)
    else:
        fits = fitting_bases(lora, tensors)
        yield from _claimed(claim, weight_type, fits, compared)


def _importable(
    where: str, base: BaseModel, weight_type: WeightType
) -> Iterator[Problem]:
    if weight_type in base.importable:
        return
    if weight_type is WeightType.FULL and base.importable:
        told = say(
            "the only published list of bases for full weights, an older one, does not "
            "name {code}; that is no refusal, the import may take it",
            code=base.code,
        )
        yield Problem(where, told, Severity.WARNING)
    else:
        told = say(
            "{code} does not take {value} weights",
            code=base.code,
            value=weight_type.value,
        )
        yield Problem(where, told)


def _requested(
    requested: Identity, claim: BaseClaim, weight_type: WeightType
) -> Iterator[Problem]:
    base = requested.base
    if requested.match is not Match.IMPORTABLE or base is None:
        yield Problem(_FLAG, _named(requested), fix=_FIX)
        return
    if requested.doubt:
        yield _doubtful(requested, _FLAG)
    yield from _importable(_FLAG, base, weight_type)
    asked = say("{flag} says {code}", flag=_FLAG, code=base.code)
    if claim.contradicts([base]):
        told = say(
            "is {model_class}, {code} is {architecture}",
            model_class=claim.model_class,
            code=base.code,
            architecture=base.architecture,
        )
        yield Problem(CLASS_FIELD, told, fix=_FIX)
    if told := _lies_elsewhere(claim, base):
        yield Problem(claim.where, say("{told}; {asked}", told=told, asked=asked))
    elif claim.identity is not None:
        yield from _against(claim.identity, claim.where, base, weight_type)


def _against(
    found: Identity, where: str, base: BaseModel, weight_type: WeightType
) -> Iterator[Problem]:
    """What the model's own name for its base says against the one asked for."""
    told, asked = (
        say("is {value}", value=found.canonical or found.given),
        say("{flag} says {code}", flag=_FLAG, code=base.code),
    )
    another = found.base is not base
    if found.match is Match.RELATIVE and not another:
        if not is_pretrained_sibling(found):  # else B06 tells
            yield Problem(where, _named(found), fix=_FIX_ANOTHER)
    elif found.match is Match.IMPORTABLE and another and found.base:
        fix = say(
            "If the files are right, give --base-model {code}.", code=found.base.code
        )
        yield Problem(where, say("{told}, {asked}", told=told, asked=asked), fix=fix)
    elif found.foreign or (found.match is Match.RELATIVE and another):
        yield Problem(
            where,
            say("{told}, another model; {asked}", told=told, asked=asked),
            fix=_FIX_ANOTHER,
        )
    elif found.doubt:
        yield _doubtful(found, where)
    elif found.match is Match.FINE_TUNE:
        yield from _second_stage(found, where, base, weight_type)
    elif found.match is Match.UNKNOWN:
        told = say(
            "{told}, a model that is not known here, {asked}", told=told, asked=asked
        )
        yield Problem(where, told, Severity.WARNING)


def _second_stage(
    found: Identity, where: str, base: BaseModel, weight_type: WeightType
) -> Iterator[Problem]:
    """Trained on a fine-tune: full weights hold all of it, an adapter does not."""
    asked = say("{flag} says {code}", flag=_FLAG, code=base.code)
    if found.base and found.base is not base:
        yield Problem(where, say("{tuned}; {asked}", tuned=_tuned(found), asked=asked))
    elif weight_type is WeightType.LORA:
        told = say("{tuned}; {asked}", tuned=_tuned(found), asked=asked)
        yield Problem(where, told, Severity.WARNING, fix=_FIX_TUNED)


def _doubtful(found: Identity, where: str) -> Problem:
    fix = say(
        "Write the base's own name, {canonical}, if that is what was trained.",
        canonical=found.canonical,
    )
    told = say("is {given}; {doubt}", given=found.given, doubt=found.doubt)
    return Problem(where, told, Severity.WARNING, fix=fix)


def _tuned(found: Identity) -> str:
    told = glued(found.canonical, " ", found.note)
    return say("{told}, whose weights are not the base's own", told=told)


def _lies_elsewhere(claim: BaseClaim, base: BaseModel) -> str:
    """How the base in the directory that is named differs; empty if it does not."""
    if isinstance(claim.config, Unavailable) or claim.identity is None:
        return ""
    told = unlike(claim.config, base)
    return f"{claim.identity.given} {told}" if told else ""


def _claimed(
    claim: BaseClaim,
    weight_type: WeightType,
    fits: tuple[BaseModel, ...] | None,
    compared: BaseModel | Unavailable,
) -> Iterator[Answer]:
    if claim.contradicts(load_bases().values()):
        told = say(
            "is {model_class}, the class of no base that can be imported onto",
            model_class=claim.model_class,
        )
        yield Problem(CLASS_FIELD, told, fix=_FIX_ANOTHER)
        return
    found = claim.identity
    if found is not None and found.match is Match.IMPORTABLE and found.base is not None:
        if told := _lies_elsewhere(claim, found.base):
            yield Problem(claim.where, told)
        elif found.doubt:
            yield _doubtful(found, claim.where)
        yield from _importable(claim.where, found.base, weight_type)
    elif found is not None and found.match is Match.RELATIVE:
        if not is_pretrained_sibling(found):  # B06 tells of the other case
            yield Problem(claim.where, _named(found), fix=_FIX_ANOTHER)
    elif found is not None and found.foreign:
        yield Problem(claim.where, _named(found), fix=_FIX_ANOTHER)
    elif weight_type is WeightType.FULL and fits and compared in fits:
        # Full weights stand by themselves: what they were made from changes nothing.
        yield from _importable(".", compared, weight_type)
        told = say(
            "no file names the base model; figures and shapes are those of {code}",
            code=compared.code,
        )
        yield CannotTell(told)
    else:
        yield _untold(claim, fits, compared)


def _untold(
    claim: BaseClaim,
    fits: tuple[BaseModel, ...] | None,
    compared: BaseModel | Unavailable,
) -> Problem:
    """The base is not told by a name: what figures and shapes make of it."""
    found, where = claim.identity, claim.where or "."
    named = found is not None and found.match is Match.UNKNOWN
    told = say("no file names the base model, so it cannot be told")
    if found is not None and found.match is Match.FINE_TUNE:
        told = _tuned(found)
    elif found is not None:
        shown = (found.canonical if named else "") or found.given
        told = say(
            "is {shown}, not a known base model, so it cannot be told", shown=shown
        )
    if fits is not None and not fits:
        if isinstance(compared, Unavailable):
            none = say("the shapes fit none that can be imported")
            return Problem(where, say("{told}; {none}", told=told, none=none))
    elif named and fits is None and isinstance(compared, Unavailable):
        return Problem(where, told)
    guessed, code = _fit_told(fits), fits[0].code if fits and len(fits) == 1 else "CODE"
    if not fits and not isinstance(compared, Unavailable):
        # Other rules tell what is wrong with the tensors of that base.
        code = compared.code
        guessed = say("the figures are those of {code}", code=code)
    fix = say("If that is what was trained, give {flag} {code}.", flag=_FLAG, code=code)
    message = say(
        "{told}; {guessed}; give {flag}", told=told, guessed=guessed, flag=_FLAG
    )
    return Problem(where, message, Severity.WARNING, fix=fix)


@rule(
    "B02",
    severity=Severity.WARNING,
    fix=say(
        "Compare a few answers after the import; train on the 16-bit base to be sure."
    ),
)
def base_not_quantised(
    claim: BaseClaim, config: JsonObject | Unavailable, weight_type: WeightType
) -> Iterator[Problem]:
    """An adapter trained on a quantised copy is served on the 16-bit base.

    This is how QLoRA is meant, and answers may differ a little: a warning. Quantised
    full weights are an error: they are not the files of the open-source model.
    Causes: `load_in_4bit`, Unsloth's `-bnb-4bit` copies, AWQ or GPTQ as the base.
    Source: user guide "My models": the files are those of the open-source model.
    """
    found = claim.identity
    if found is not None and found.quantised:
        name, kind = found.given, found.quantised
        told = say("{name} is a {kind} copy", name=name, kind=kind)
        if takes_an(kind):
            told = say("{name} is an {kind} copy", name=name, kind=kind)
        yield Problem(claim.where, told)
    elif found is not None and _is_quantised(claim.config):
        yield Problem(
            claim.where, say("the model in {given} is quantised", given=found.given)
        )
    if key := _is_quantised(config):
        full = weight_type is WeightType.FULL
        severity = Severity.ERROR if full else Severity.WARNING
        fix = _NOT_QUANTISED if full else ""
        told = say("the weights are quantised")
        if key == "quantization":
            told = say("the weights are quantised by MLX")
        yield Problem(f"config.json: {key}", told, severity, fix=fix)


_NOT_QUANTISED = say(
    "Save the 16-bit model: load the 16-bit base, merge the "
    "adapter into it and save_pretrained that. Where the weights "
    "are 16-bit ones, remove the field."
)
_QUANTISED = ("quantization_config", "quantization")  # the second is MLX's


def _is_quantised(config: JsonObject | Unavailable) -> str:
    """The field that tells of quantised weights, or nothing."""
    if isinstance(config, Unavailable):
        return ""
    return next((key for key in _QUANTISED if config.get(key)), "")


@rule(
    "B06",
    severity=Severity.WARNING,
    fix=say(
        "Import it only if answers of the instruction-tuned base plus "
        "this adapter are what you want; else train on the base that "
        "is served."
    ),
)
def base_is_the_tuned_one(claim: BaseClaim) -> Iterator[Answer]:
    """An adapter of the pretrained model would be served on the instruction-tuned one.

    The two have the same shapes, and only the tuned one can be imported onto. The
    adapter loads and answers on other weights than it was trained on; some do so on
    purpose, so that this is a warning.
    Causes: trained on Qwen2.5-7B instead of Qwen2.5-7B-Instruct, Qwen3-8B-Base
    instead of Qwen3-8B.
    Source: list of models, user guide "Model import".
    """
    found = claim.identity
    if found is not None and is_pretrained_sibling(found) and found.base is not None:
        told = say(
            "is {name}, the pretrained model; {code} would be served",
            name=found.canonical,
            code=found.base.code,
        )
        yield Problem(claim.where, told)


@rule("B07", fix=say("Give --base-dir the directory of the base model itself."))
def base_dir_holds_the_base(reference: Reference | Unavailable) -> Iterator[Problem]:
    """`--base-dir` points at a different model, so every comparison was skipped.

    A good directory compared with it would look broken, so nothing was compared.
    Causes: the directory of another size, of a quantised copy, or of an earlier
    fine-tune was given.
    Source: config.json of the base models.
    """
    if isinstance(reference, WrongReference):
        yield Problem("--base-dir", reference.reason)
