"""Clients of the field, unmodified and in environments of their own: `make clients`."""
