"""One bucket of OSS: access, signed and retried requests, typed answers."""
