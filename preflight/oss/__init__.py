"""OSS: plan, transfer and verification of an upload."""
