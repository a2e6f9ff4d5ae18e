"""Our own engine, from a plan to a manifest; with `--scan` it also looks at values."""

from __future__ import annotations

import argparse
from functools import partial
from pathlib import Path

from preflight.destination import Destination
from preflight.findings import WeightType
from preflight.model.files import walk
from preflight.oss.access import oss_access
from preflight.oss.client import BucketClient
from preflight.oss.plan import UploadPlan, plan_upload
from preflight.oss.transfer import transfer
from tests.benchmarks.told import time_and_tell


def main() -> None:
    """One upload."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("endpoint")
    parser.add_argument("prefix")
    parser.add_argument("directory", type=Path)
    args = parser.parse_args()
    access = oss_access("k", "s", region="ap-southeast-1", endpoint=args.endpoint)
    destination = Destination("bench-bucket", args.prefix)
    plan = plan_upload(walk(args.directory), destination, WeightType.FULL)
    with BucketClient(access, "bench-bucket") as client:
        time_and_tell(partial(transfer, plan, client, on_bytes=lambda _: None))


if __name__ == "__main__":
    main()
