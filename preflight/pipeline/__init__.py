"""The stages, each from value to value: checked, planned, uploaded, imported."""
