"""The classes that process the images of the base models, as data.

Source: transformers 4.49 to 5.23, `models/qwen2_vl/image_processing_*.py`; Qwen2.5-VL
and Qwen3-VL use the classes of Qwen2-VL. `Qwen2_5_VLImageProcessor` was in no release:
https://github.com/huggingface/transformers/issues/36193, read 2026-11.
"""

from __future__ import annotations

IMAGE_PROCESSORS = (
    "Qwen2VLImageProcessor",
    "Qwen2VLImageProcessorFast",
    "Qwen2VLImageProcessorPil",
)

REMOVED_PROCESSORS = ("Qwen2_5_VLImageProcessor", "Qwen2_5_VLImageProcessorFast")
