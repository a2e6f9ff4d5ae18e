"""oss2's own way to upload large files."""

from __future__ import annotations

import argparse
import tempfile
from functools import partial
from pathlib import Path

import oss2

from tests.benchmarks.told import time_and_tell


def upload(bucket: oss2.Bucket, prefix: str, directory: Path, threads: int) -> None:
    """Every file, one after the other, with `resumable_upload`'s defaults."""
    with tempfile.TemporaryDirectory() as journal:
        store = oss2.ResumableStore(root=journal)
        for path in sorted(directory.iterdir()):
            oss2.resumable_upload(
                bucket,
                prefix + path.name,
                str(path),
                store=store,
                num_threads=threads,
            )


def main() -> None:
    """One upload."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("endpoint")
    parser.add_argument("prefix")
    parser.add_argument("directory", type=Path)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--no-crc", action="store_true")
    args = parser.parse_args()
    bucket = oss2.Bucket(
        oss2.AuthV4("k", "s"),
        args.endpoint,
        "bench-bucket",
        region="ap-southeast-1",
        enable_crc=not args.no_crc,
    )
    time_and_tell(partial(upload, bucket, args.prefix, args.directory, args.threads))


if __name__ == "__main__":
    main()
