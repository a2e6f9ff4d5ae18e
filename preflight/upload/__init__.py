"""One plan on its way into a bucket: parts, workers, resume, verification."""
