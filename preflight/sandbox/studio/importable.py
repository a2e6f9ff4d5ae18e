"""Base models that the fake imports onto: dimensions, template hash, added tokens.

Dimensions as in the published config.json of each model; hashes of the default chat
templates as kept by TRL 1.16 and computed by `template_digest`. Written apart from
the tool's own catalogue, so that one mistake does not hide in both.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from enum import Enum

_ADDED = (
    "<|endoftext|> <|im_start|> <|im_end|> <|object_ref_start|> <|object_ref_end|> "
    "<|box_start|> <|box_end|> <|quad_start|> <|quad_end|> <|vision_start|> "
    "<|vision_end|> <|vision_pad|> <|image_pad|> <|video_pad|> <tool_call> "
    "</tool_call> <|fim_prefix|> <|fim_middle|> <|fim_suffix|> <|fim_pad|> "
    "<|repo_name|> <|file_sep|> <tool_response> </tool_response> <think> </think>"
)
QWEN3_ADDED = tuple(_ADDED.split())
QWEN25_ADDED = QWEN3_ADDED[:22]
QWEN_VOCABULARY = 151_643  # entries of vocab.json, before the added tokens

_BIASED = ("self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj")  # Qwen2.5

_TEMPLATE_QWEN3 = "a55ee1b1660128b7098723e0abcd92caa0788061051c62d51cbe87d9cf1974d8"
# Of the first revisions of Qwen3, until the middle of 2025: copies have it still.
_TEMPLATE_QWEN3_FIRST = (
    "87a2728cb8dc9fe424d624542f6060ec05a1d285ebbec578bb078900e33396b5"
)
_TEMPLATE_2507 = "64f85b198065d0fba2a81f37e10ed68161ce2c19a754c7100e67e0ca2ee9c326"
_TEMPLATE_QWEN3_VL = "9d879ef91075acbfb2df7e441fd79d60bacfca989cf6d511d2af45c681e94f10"
_TEMPLATE_QWEN25 = "55b2f4a26ac9ee719330a61a0c39d9e538b0e9322212f048326318cff4f8674a"
_TEMPLATE_25_VL = "a0bc6f6fc7a29a80017a433e8f03a1cc1236e838a944a2d034295a60c4f2fddb"


class Family(str, Enum):
    """`model_type` in config.json; it decides the names of the tensors."""

    QWEN2 = "qwen2"
    QWEN3 = "qwen3"
    QWEN25_VL = "qwen2_5_vl"
    QWEN3_VL = "qwen3_vl"


def template_digest(template: str) -> str:
    """SHA-256 of a chat template with LF line ends and without a last newline.

    Jinja drops that newline itself, so both spellings are the same template.
    """
    text = template.replace("\r\n", "\n").removesuffix("\n")
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


@dataclass(frozen=True, slots=True)
class BaseModel:
    """One base model; a test may register its own, as small as it likes."""

    name: str
    family: Family
    hidden: int
    intermediate: int
    layers: int
    heads: int
    kv_heads: int
    vocab_size: int
    template: str  # by `template_digest`
    earlier_templates: tuple[str, ...] = ()
    added_tokens: tuple[str, ...] = QWEN3_ADDED
    vocabulary: int = QWEN_VOCABULARY
    head_dim: int = 128
    tied: bool = False
    vision_tensors: int = 0
    vision_parameters: int = 0

    @property
    def linears(self) -> dict[str, tuple[int, int]]:
        """(out, in) features of the seven linear layers of a block."""
        query, key = self.heads * self.head_dim, self.kv_heads * self.head_dim
        hidden, wide = self.hidden, self.intermediate
        return {
            "self_attn.q_proj": (query, hidden),
            "self_attn.k_proj": (key, hidden),
            "self_attn.v_proj": (key, hidden),
            "self_attn.o_proj": (hidden, query),
            "mlp.gate_proj": (wide, hidden),
            "mlp.up_proj": (wide, hidden),
            "mlp.down_proj": (hidden, wide),
        }

    @property
    def lora_roots(self) -> tuple[str, ...]:
        """What LoRA names start with; transformers 4.52 renamed Qwen2.5-VL's."""
        plain = "base_model.model.model.layers."
        nested = "base_model.model.model.language_model.layers."
        if self.family is Family.QWEN3_VL:
            return (nested,)
        return (plain, nested) if self.family is Family.QWEN25_VL else (plain,)

    def text_tensors(self) -> dict[str, tuple[int, ...]]:
        """Names and shapes of the language model's tensors in a full checkpoint."""
        nested = self.family is Family.QWEN3_VL
        root = "model.language_model." if nested else "model."
        table = (self.vocab_size, self.hidden)
        found: dict[str, tuple[int, ...]] = {f"{root}embed_tokens.weight": table}
        for number in range(self.layers):
            block = f"{root}layers.{number}."
            found |= {block + n: shape for n, shape in self._block().items()}
        found[f"{root}norm.weight"] = (self.hidden,)
        if not self.tied:
            found["lm_head.weight"] = table
        return found

    def _block(self) -> dict[str, tuple[int, ...]]:
        found: dict[str, tuple[int, ...]] = {}
        found |= {f"{name}.weight": shape for name, shape in self.linears.items()}
        norms = ("input_layernorm", "post_attention_layernorm")
        found |= {f"{name}.weight": (self.hidden,) for name in norms}
        if self.family in (Family.QWEN3, Family.QWEN3_VL):
            norms = ("self_attn.q_norm", "self_attn.k_norm")
            return found | {f"{name}.weight": (self.head_dim,) for name in norms}
        biased = {n: out for n, (out, _) in self.linears.items() if n in _BIASED}
        return found | {f"{name}.bias": (out,) for name, out in biased.items()}


def _qwen3(name: str, dimensions: tuple[int, int, int, int], **other: str) -> BaseModel:
    hidden, intermediate, layers, heads = dimensions
    template = other.get("template", _TEMPLATE_QWEN3)
    return BaseModel(
        name,
        Family.QWEN3,
        hidden,
        intermediate,
        layers,
        heads,
        kv_heads=8,
        vocab_size=151_936,
        template=template,
        earlier_templates=() if "template" in other else (_TEMPLATE_QWEN3_FIRST,),
        tied=name.startswith("qwen3-4b"),
    )


def _qwen25(
    name: str,
    dimensions: tuple[int, int, int, int, int],
    *,
    vision: tuple[int, int] = (0, 0),
) -> BaseModel:
    hidden, intermediate, layers, heads, kv_heads = dimensions
    sees = vision != (0, 0)
    return BaseModel(
        name,
        Family.QWEN25_VL if sees else Family.QWEN2,
        hidden,
        intermediate,
        layers,
        heads,
        kv_heads,
        vocab_size=152_064,
        template=_TEMPLATE_25_VL if sees else _TEMPLATE_QWEN25,
        added_tokens=QWEN25_ADDED,
        vision_tensors=vision[0],
        vision_parameters=vision[1],
    )


# Model Studio user guide, "Model import" and "My Models", read in 2026.
IMPORTABLE = (
    _qwen3("qwen3-32b", (5120, 25600, 64, 64)),
    _qwen3("qwen3-14b", (5120, 17408, 40, 40)),
    _qwen3("qwen3-8b", (4096, 12288, 36, 32)),
    _qwen3("qwen3-4b-instruct-2507", (2560, 9728, 36, 32), template=_TEMPLATE_2507),
    BaseModel(
        "qwen3-vl-8b-instruct",
        Family.QWEN3_VL,
        hidden=4096,
        intermediate=12288,
        layers=36,
        heads=32,
        kv_heads=8,
        vocab_size=151_936,
        template=_TEMPLATE_QWEN3_VL,
        vision_tensors=351,
        vision_parameters=576_388_336,
    ),
    _qwen25("qwen2.5-72b-instruct", (8192, 29568, 80, 64, 8)),
    _qwen25("qwen2.5-32b-instruct", (5120, 27648, 64, 40, 8)),
    _qwen25("qwen2.5-14b-instruct", (5120, 13824, 48, 40, 8)),
    _qwen25("qwen2.5-7b-instruct", (3584, 18944, 28, 28, 4)),
    _qwen25(
        "qwen2.5-vl-72b-instruct",
        (8192, 29568, 80, 64, 8),
        vision=(390, 704_573_696),
    ),
    _qwen25(
        "qwen2.5-vl-7b-instruct", (3584, 18944, 28, 28, 4), vision=(390, 676_550_144)
    ),
)
