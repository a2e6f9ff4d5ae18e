"""The vendor's v2 SDK with its `Uploader`; run it with the Python that has it."""

from __future__ import annotations

import sys
from functools import partial
from pathlib import Path

import alibabacloud_oss_v2 as oss  # type: ignore[import-not-found]

from tests.benchmarks.told import time_and_tell


def upload(client: oss.Client, prefix: str, directory: str) -> None:
    """Every file, one after the other, with the uploader's defaults."""
    uploader = client.uploader()
    for path in sorted(Path(directory).iterdir()):
        request = oss.PutObjectRequest(bucket="bench-bucket", key=prefix + path.name)
        uploader.upload_file(request, str(path))


def main() -> None:
    """ENDPOINT PREFIX DIRECTORY."""
    endpoint, prefix, directory = sys.argv[1:]
    config = oss.config.load_default()
    config.credentials_provider = oss.credentials.StaticCredentialsProvider("k", "s")
    config.region, config.endpoint = "ap-southeast-1", endpoint
    config.use_path_style = True
    time_and_tell(partial(upload, oss.Client(config), prefix, directory))


if __name__ == "__main__":
    main()
