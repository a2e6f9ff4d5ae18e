"""D, continued: the image processor that a vision model is served with."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from preflight.catalog.base_models import BaseModel
from preflight.catalog.processors import IMAGE_PROCESSORS, REMOVED_PROCESSORS
from preflight.findings import CannotTell, Problem, Unavailable
from preflight.language import joined, say
from preflight.model.configs import JsonObject
from preflight.rules._rule import FULL, Answer, rule

OWN, JOINT, KEY = "preprocessor_config.json", "processor_config.json", "image_processor"
_EDGES = ("shortest_edge", "longest_edge")

Documents = Mapping[str, JsonObject | Unavailable]


@rule(
    "D20",
    applies=FULL,
    fix=say(
        "Save the processor beside the weights: "
        "AutoProcessor.from_pretrained(BASE_MODEL).save_pretrained(DIRECTORY), "
        "or copy preprocessor_config.json from the base model's "
        "repository."
    ),
)
def image_processor_sound(
    documents: Documents,
    config: JsonObject | Unavailable,
    compared: BaseModel | Unavailable,
) -> Iterator[Answer]:
    """A vision model is loaded together with the processor of its images.

    Its settings lie in `preprocessor_config.json`, or as `image_processor` in
    `processor_config.json` (transformers 5). transformers and vLLM stop where there
    are none, or where they name a class that no release has.
    Causes: only model and tokenizer were saved, a merge script without the processor,
    a copy of Qwen2.5-VL of early 2025, which named `Qwen2_5_VLImageProcessor`.
    Source: https://github.com/huggingface/transformers/issues/36193 and
    https://github.com/2U1/Qwen-VL-Series-Finetune/issues/34
    """
    if isinstance(config, Unavailable) and isinstance(compared, Unavailable):
        yield CannotTell(config.reason)
        return
    if not _sees(config, compared):
        return
    own, joint = documents.get(OWN), documents.get(JOINT)
    if isinstance(own, Mapping):
        yield from _settings(own, OWN)
    elif isinstance(joint, Mapping) and isinstance(found := joint.get(KEY), Mapping):
        yield from _settings(found, f"{JOINT}: {KEY}")
    elif own is None and not isinstance(joint, Unavailable):
        told = say("missing, and so is image_processor in processor_config.json")
        yield Problem(OWN, told)


def _sees(config: JsonObject | Unavailable, compared: BaseModel | Unavailable) -> bool:
    if not isinstance(compared, Unavailable):
        return compared.vision is not None
    return isinstance(config, Mapping) and isinstance(
        config.get("vision_config"), Mapping
    )


def _settings(found: JsonObject, where: str) -> Iterator[Problem]:
    kind, size = found.get("image_processor_type"), found.get("size")
    # Without a name the class is taken from the model's type.
    if kind is not None and kind not in IMAGE_PROCESSORS:
        wanted = IMAGE_PROCESSORS[0]
        told = say(
            "is {kind!r}, and no release of transformers has such a class", kind=kind
        )
        if kind not in REMOVED_PROCESSORS:
            told = say(
                "is {kind!r}, not the class of these models ({wanted})",
                kind=kind,
                wanted=wanted,
            )
        fix = say(
            'Write "image_processor_type": "{wanted}" into {file}.',
            wanted=wanted,
            file=where.split(":")[0],
        )
        yield Problem(f"{where}: image_processor_type", told, fix=fix)
    if isinstance(size, Mapping) and not all(edge in size for edge in _EDGES):
        told = say(
            "has to contain {edges}, it has {size}",
            edges=joined(say(" and "), _EDGES),
            size=sorted(size),
        )
        fix = say(
            "Rename min_pixels to shortest_edge and max_pixels to longest_edge there."
        )
        yield Problem(f"{where}: size", told, fix=fix)
