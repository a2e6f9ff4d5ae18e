"""C, continued: what in an adapter is more, or other, than plain LoRA."""

from __future__ import annotations

import math
from collections.abc import Iterator

from preflight.catalog.service import LORA_RANKS
from preflight.findings import Problem, Severity, Unavailable
from preflight.language import say
from preflight.model.configs import JsonObject
from preflight.model.files import Walk
from preflight.model.identity import Identity
from preflight.model.location import Location
from preflight.model.lora import LoraTensor, LoraView
from preflight.model.vocabulary_layers import vocabulary_layer
from preflight.rules._rule import LORA, rule
from preflight.rules.c_config import CONFIG, declared_rank, shown
from preflight.rules.d_subdirectories import command, subdirectories
from preflight.rules.k_keys import foreign
from preflight.text import shortened

# Switches of LoRA variants; what they hold while unused is false, null or empty.
_VARIANTS = {
    "use_dora": "DoRA",
    "use_qalora": "QALoRA",
    "use_bdlora": say("block-diagonal LoRA"),
    "layer_replication": say("layer replication"),
    "alora_invocation_tokens": say("activated LoRA"),
    "kasa_config": "KaSA",
    "velora_config": "VeLoRA",
    "monteclora_config": "MonteCLoRA",
    "arrow_config": say("Arrow routing"),
}
_CHANGES_THE_BASE = ("pissa", "olora", "corda", "loftq")
_LEAVES_THE_BASE = ("gaussian", "eva", "orthogonal", "mica", "true", "false")
_VARIANT_TENSOR = "lora_magnitude_vector"
_TRAINABLE_TOKENS = "trainable_tokens"


@rule(
    "C05",
    applies=LORA,
    fix=say("Train plain LoRA, or merge the adapter and import full weights."),
)
def plain_lora(
    adapter_config: JsonObject, lora: LoraView | Unavailable
) -> Iterator[Problem]:
    """Variants of LoRA need code of their own where the adapter is served.

    How Model Studio reacts to them is not documented; vLLM refuses each of them, and
    an engine that ignores the switch computes something else than was trained.
    Causes: `use_dora=True` and the like in LoraConfig.
    Source: vLLM, vllm/lora/peft_helper.py.
    """
    for field, kind in _VARIANTS.items():
        value = adapter_config.get(field)
        if value:
            yield Problem(
                f"{CONFIG}: {field}",
                say("is {value} ({kind})", value=shown(value), kind=kind),
            )
    if isinstance(lora, Unavailable):
        return
    found = [t.name for t in lora.others if _VARIANT_TENSOR in t.name]
    if found:
        yield Problem(
            found[0], say("{count:,} magnitude vectors (DoRA)", count=len(found))
        )


@rule("C06", applies=LORA, fix=say('Train with bias="none" and lora_bias=False.'))
def no_trained_bias(
    adapter_config: JsonObject, lora: LoraView | Unavailable
) -> Iterator[Problem]:
    """Trained biases are not part of a LoRA; they are refused or silently dropped.

    How Model Studio reacts is not documented; vLLM refuses them.
    Causes: `bias="all"`, `bias="lora_only"` or `lora_bias=True`.
    Source: vLLM, vllm/lora/peft_helper.py.
    """
    bias = adapter_config.get("bias")
    if bias not in ("none", None, False):
        yield Problem(
            f"{CONFIG}: bias", say("is {bias}; none is needed", bias=shown(bias))
        )
    if adapter_config.get("lora_bias"):
        yield Problem(f"{CONFIG}: lora_bias", say("is set; false is needed"))
    if isinstance(lora, Unavailable):
        return
    found = [h.tensor.name for h in lora.halves if not h.is_weight]
    found += [t.name for t in lora.others if t.name.endswith(".bias")]
    if found:
        yield Problem(
            found[0], say("{count:,} tensors are trained biases", count=len(found))
        )


def _kind(name: str) -> str:
    """What a tensor that is no LoRA half probably is."""
    parts = set(name.split("."))
    if name.endswith("base_layer.weight"):
        return say("a whole matrix of the base (base_layer)")
    if layer := vocabulary_layer(name.removesuffix(".weight")):
        return say("a whole {layer}", layer=layer)
    if any("norm" in part for part in parts):
        return say("a normalisation weight")
    if parts & {"score", "classifier"}:
        return say("a classification head")
    return say("no LoRA tensor")


@rule(
    "C07",
    applies=LORA,
    fix=say(
        "Train only LoRA layers (no modules_to_save), or merge the "
        "adapter and import full weights."
    ),
)
def only_lora_tensors(
    adapter_config: JsonObject | Unavailable, lora: LoraView | Unavailable
) -> Iterator[Problem]:
    """An adapter file holds lora_A and lora_B matrices and nothing else.

    Fully trained modules beside them are refused by vLLM; a saved embedding or output
    layer means a changed vocabulary, which the import forbids.
    Causes: `modules_to_save`, `lm_head` or `embed_tokens` as a target, added tokens
    (PEFT then saves both layers by itself), `save_embedding_layers`.
    Source: user guide "Model import" (vocabulary); https://github.com/vllm-project/vllm/issues/9280
    """
    if not isinstance(adapter_config, Unavailable):
        saved = adapter_config.get("modules_to_save")
        if saved:
            yield Problem(
                f"{CONFIG}: modules_to_save", say("is {value}", value=shown(saved))
            )
    if isinstance(lora, Unavailable):
        return
    groups: dict[str, list[str]] = {}
    for tensor in lora.others:
        if not _told_elsewhere(tensor.name):
            groups.setdefault(_kind(tensor.name), []).append(tensor.name)
    for kind, names in groups.items():
        told = say("is {value}", value=kind)
        if len(names) > 1:
            told = say("{told}; so {count:,} tensors", told=told, count=len(names))
        yield Problem(names[0], told)


def _told_elsewhere(name: str) -> bool:
    """Whether C05, C06, C08 or K01 tells of a tensor of this name."""
    marked = _VARIANT_TENSOR in name or _TRAINABLE_TOKENS in name
    return marked or name.endswith(".bias") or bool(foreign(name))


@rule("C08", applies=LORA, fix=say("Train without trainable_token_indices."))
def no_trained_tokens(
    adapter_config: JsonObject | Unavailable, lora: LoraView | Unavailable
) -> Iterator[Problem]:
    """Trained token embeddings change the vocabulary, which must stay as it was.

    Causes: `trainable_token_indices` in LoraConfig.
    Source: vocabulary, user guide "Model import".
    """
    if not isinstance(adapter_config, Unavailable):
        indices = adapter_config.get("trainable_token_indices")
        if indices:
            yield Problem(
                f"{CONFIG}: trainable_token_indices",
                say("is {value}", value=shown(indices)),
            )
    if isinstance(lora, Unavailable):
        return
    for tensor in lora.others:
        if _TRAINABLE_TOKENS in tensor.name:
            yield Problem(tensor.name, say("holds trained token embeddings"))


@rule(
    "C09",
    applies=LORA,
    fix=say(
        "Convert the adapter to plain LoRA, or merge it into the base "
        "that it was trained on and import full weights."
    ),
)
def adapter_fits_the_original_base(
    adapter_config: JsonObject,
    location: Location,
    walk: Walk,
    requested: Identity | Unavailable,
) -> Iterator[Problem]:
    """Some initialisations change the base; the adapter fits the changed base alone.

    On the unchanged base, which is what is served, its answers are wrong. No tensor
    name shows it. How Model Studio reacts is not documented; vLLM refuses them. PEFT
    can subtract what was changed, which takes a LoRA of twice the rank: 32 becomes 64,
    64 becomes 128 and is refused.
    Causes: `init_lora_weights` pissa, olora, corda or loftq without conversion. Of
    LoRA-GA it is only a warning: vLLM takes it.
    Source: PEFT's page "LoRA", section on initialisation,
    https://huggingface.co/docs/peft/developer_guides/lora
    """
    initial = adapter_config.get("init_lora_weights")
    where, told = (
        f"{CONFIG}: init_lora_weights",
        say("is {value}", value=shown(initial)),
    )
    kind = initial.lower() if isinstance(initial, str) else ""
    changed = kind.startswith(_CHANGES_THE_BASE)
    if changed:
        message = say("{told}: the base that it was trained on was changed", told=told)
        there = _converted(location, walk, requested)
        yield Problem(where, message, fix=there or _conversion(adapter_config))
    elif kind == "lora_ga":
        message = say(
            "{told}: it starts from a changed base, unless it was converted", told=told
        )
        yield Problem(where, message, Severity.WARNING)
    elif kind and kind not in _LEAVES_THE_BASE:
        yield Problem(
            where, say("{told}, which is not known here", told=told), Severity.WARNING
        )
    if adapter_config.get("loftq_config") and not changed:
        message = say("is set, though init_lora_weights says otherwise")
        yield Problem(f"{CONFIG}: loftq_config", message, Severity.WARNING)


def _converted(
    location: Location, walk: Walk, requested: Identity | Unavailable
) -> str:
    """The adapter that a trainer converted already, if it lies there."""
    # ms-swift leaves it in converted/default/, LLaMA-Factory in pissa_converted/.
    for found in subdirectories(walk):
        if "convert" in found.folder.lower():
            there = command(location.below(found.folder), requested)
            return say(
                "Take the converted adapter in {folder}: {there}",
                folder=found.folder,
                there=there,
            )
    return ""


def _conversion(config: JsonObject) -> str:
    """How to come to an adapter of the base as it is published."""
    kind, rank = str(config.get("init_lora_weights")).lower(), declared_rank(config)
    if kind.startswith("loftq") or rank is None:
        return ""
    doubled = 2 * rank
    if doubled in LORA_RANKS:
        return say(
            "Save with path_initial_model_for_weight_conversion of PEFT's "
            "save_pretrained, which doubles the rank: {rank} becomes {doubled}.",
            rank=rank,
            doubled=doubled,
        )
    return say(
        "The conversion (path_initial_model_for_weight_conversion of PEFT's "
        "save_pretrained) doubles the rank: {rank} becomes {doubled}, which is "
        "refused: train again with r of at most {half}, or merge it into the base "
        "that it was trained on and import full weights.",
        rank=rank,
        doubled=doubled,
        half=max(LORA_RANKS) // 2,
    )


@rule(
    "C10",
    severity=Severity.WARNING,
    applies=LORA,
    fix=say(
        "Set lora_alpha to lora_alpha * sqrt(r), and use_rslora to false: the same."
    ),
)
def plain_scaling(adapter_config: JsonObject) -> Iterator[Problem]:
    """rsLoRA scales by alpha / sqrt(r); an engine that ignores it by alpha / r.

    Which of the two Model Studio does is not documented.
    Causes: `use_rslora=True` (Unsloth offers it as an option).
    Source: https://github.com/sgl-project/sglang/issues/374
    """
    if adapter_config.get("use_rslora"):
        rank, alpha = declared_rank(adapter_config), adapter_config.get("lora_alpha")
        told = say("is set")
        if rank and rank > 0 and isinstance(alpha, (int, float)):
            told = say(
                "{told}; the same without it: lora_alpha {alpha:g}",
                told=told,
                alpha=alpha * math.sqrt(rank),
            )
        yield Problem(f"{CONFIG}: use_rslora", told)


@rule(
    "C11",
    severity=Severity.WARNING,
    applies=LORA,
    fix=say("Target linear layers by target_modules instead."),
)
def no_target_parameters(adapter_config: JsonObject) -> Iterator[Problem]:
    """Adapting bare parameters (fused experts) is a special case in every engine.

    Causes: `target_parameters` in LoraConfig; PEFT sets it for fused MoE layers.
    Source: PEFT's page "LoRA", https://huggingface.co/docs/peft/developer_guides/lora
    """
    found = adapter_config.get("target_parameters")
    if found:
        yield Problem(
            f"{CONFIG}: target_parameters", say("is {value}", value=shown(found))
        )


def touches_vocabulary(half: LoraTensor) -> bool:
    """Whether the tensor adapts the embedding or the output layer."""
    return half.embedding or bool(vocabulary_layer(half.module))


_UNEMBED = say(
    "Train again without it (Tinker: train_unembed=False, which is "
    "not the default); a trained output layer goes up in merged "
    "full weights alone."
)


@rule(
    "C15",
    applies=LORA,
    fix=say("Leave lm_head and embed_tokens out of target_modules and train again."),
)
def no_lora_on_the_vocabulary(lora: LoraView) -> Iterator[Problem]:
    """A LoRA on the embedding or the output layer changes how tokens are treated.

    The import wants the vocabulary unchanged; how it reacts to a LoRA there is not
    documented, and PEFT adds the whole matrix to the file. Libraries have names of
    their own for these layers, such as `unembed_tokens` or `output_layer`.
    Causes: `lm_head` or `embed_tokens` among the target modules; Tinker trains the
    output layer unless it is told not to.
    Source: vocabulary, user guide "Model import".
    """
    layers: dict[str, list[LoraTensor]] = {}
    for half in lora.halves:
        if touches_vocabulary(half):
            layer = vocabulary_layer(half.module) or say("embedding")
            layers.setdefault(layer, []).append(half)
    for layer, halves in layers.items():
        name = halves[0].module.rpartition(".")[2]
        told = say(
            "adapts the {layer} ({name}); so {count:,} of {total:,} tensors",
            layer=layer,
            name=shortened(name, 60),
            count=len(halves),
            total=len(lora.halves),
        )
        fix = _UNEMBED if name.startswith("unembed") else ""
        yield Problem(halves[0].tensor.name, told, fix=fix)


@rule(
    "C14",
    severity=Severity.WARNING,
    applies=LORA,
    fix=say("Train a causal language model with plain linear layers."),
)
def usual_task(adapter_config: JsonObject) -> Iterator[Problem]:
    """Model Studio serves text generation; other tasks' adapters make little sense.

    Causes: `task_type` SEQ_CLS and the like, `fan_in_fan_out` of GPT-2 layers,
    Megatron layers.
    Source: PEFT's TaskType.
    """
    task = adapter_config.get("task_type")
    if task not in (None, "CAUSAL_LM", ""):
        yield Problem(
            f"{CONFIG}: task_type", say("is {task}, not CAUSAL_LM", task=shown(task))
        )
    for field in ("fan_in_fan_out", "megatron_config"):
        if adapter_config.get(field):
            yield Problem(
                f"{CONFIG}: {field}", say("is set; these bases do not need it")
            )
