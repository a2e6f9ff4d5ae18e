"""Where the tool refuses what the sandbox's job takes, each with its reason."""

from __future__ import annotations

from collections.abc import Mapping

# Why the tool refuses what the job takes; "kind:" before a fault that is of both.
STRICTER: Mapping[str, str] = {
    "the job reads headers only: NaN, infinite and zero weights import, useless": (
        "nan-first nan-last nan-all nan-one-tensor inf-first inf-last "
        "lora:b-all-zero lora:b-all-minus-zero lora:a-all-zero"
    ),
    "the job imports onto the base it is told; that another one was trained shows in"
    " the directory alone": (
        "base-coder base-qwq base-distill base-qwen2 base-thinking base-small"
        " full:base-of-full"
    ),
    "a flag switches a variant on that no tensor shows; as plain LoRA it is wrong": (
        "dora-flag pissa pissa-converted pissa-niter olora corda loftq qalora bdlora"
        " alora arrow layer-replication"
    ),
    "the config speaks of weights that the file lacks: it is not the whole result": (
        "lora-bias-flag bias-lora-only modules-to-save-flag token-indices-flag"
    ),
    "the job reads rank and kind of the config; PEFT and vLLM need the rest": (
        "targets-null targets-object alpha-text alpha-zero"
    ),
    "a file far beyond what any trainer writes is not read to its end": "config-large",
    "which of the two is meant cannot be told; whoever asks for one gets that one": (
        "both-kinds adapter-inside"
    ),
    "the job compares dimensions, not the class that loads them": (
        "full:architecture-classifier"
    ),
    "the index names what is to be read; shards of another save beside it are a sign"
    " that the wrong set goes up": "full:shard-foreign full:shard-second-set",
    "the job reads no image processor; transformers and vLLM load it first of all": (
        "full:no-image-processor full:image-processor-class full:image-processor-size"
    ),
    "the job sees what goes up; what was trained and stays behind it cannot know": (
        "lora:beside-tower"
    ),
    "the job takes shards by the index's names, loaders that go by the form do not": (
        "full:shard-names"
    ),
}


# Why the tool lets through, with a warning, what the job refuses.
LAXER: Mapping[str, str] = {
    "the pages want the same files as the open-source model has, and do not say what an"
    " import does without a template: the job takes them at their word": (
        "full:no-template"
    ),
}


def is_laxer(kind: str, fault: str) -> bool:
    """Whether the job may refuse what the tool only warns of."""
    return any(f"{kind}:{fault}" in names.split() for names in LAXER.values())


def is_listed(kind: str, fault: str) -> bool:
    """Whether the job may take what the tool refuses for this fault."""
    return any(
        {fault, f"{kind}:{fault}"} & set(names.split()) for names in STRICTER.values()
    )
