"""Check, upload and import fine-tuned models into Alibaba Cloud Model Studio."""

__version__ = "0.1.0"
