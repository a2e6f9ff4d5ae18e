"""Our own engine, from a plan to a manifest; with `--scan` it also looks at values."""

from __future__ import annotations

import argparse
from functools import partial
from pathlib import Path

from preflight.destination import Destination
from preflight.findings import WeightType
from preflight.model.files import walk
from preflight.model.headers import Container, read_container
from preflight.model.scan import ValueScanner
from preflight.model.steady import open_regular
from preflight.oss.access import OssAccess
from preflight.oss.client import BucketClient
from preflight.tasks import Task, parse_task
from preflight.upload.helper import HelperUpload
from preflight.upload.parts import TransferOptions
from preflight.upload.plan import UploadPlan, plan_upload
from preflight.upload.publisher import Shared, SharedUpload
from preflight.upload.transfer import Upload
from tests.benchmarks.told import time_and_tell


class Scanners:
    """One for each file of weights."""

    def __init__(self, directory: Path) -> None:
        self._of: dict[str, ValueScanner] = {}
        for path in directory.glob("*.safetensors"):
            container = read_container(open_regular(path), path.name)
            if not isinstance(container, Container):
                raise TypeError(container)
            self._of[path.name] = ValueScanner(container)

    def take(self, name: str, offset: int, block: memoryview) -> None:
        """Scan a block of a file, unless it has no values."""
        if scanner := self._of.get(name):
            scanner.feed(offset, block)

    def conclude(self) -> None:
        """Raise PreflightError unless every byte was seen; complain of any NaN."""
        for name, scanner in self._of.items():
            if any(values.nonfinite for values in scanner.result()):
                raise ValueError(f"{name} has values that are not finite")


def upload(
    plan: UploadPlan,
    client: BucketClient,
    options: TransferOptions,
    scanners: Scanners | None,
) -> None:
    """All of it; with scanners the values are part of the work."""
    look = scanners.take if scanners else None
    with Upload(plan, client, options, on_block=look) as transfer:
        transfer.stage()
        if scanners:
            scanners.conclude()
        transfer.publish()


def upload_share(
    plan: UploadPlan, client: BucketClient, options: TransferOptions, task: Task
) -> None:
    """One task's part in an upload by several."""
    if task.publishes:
        transfer = SharedUpload(plan, client, options, Shared(task))
        with transfer:
            transfer.stage()
            while transfer.gather():
                pass
            transfer.publish()
        return
    with HelperUpload(plan, client, options, Shared(task)) as share:
        share.join()
        share.stage()
        share.vouch()


def main() -> None:
    """One upload."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("endpoint")
    parser.add_argument("prefix")
    parser.add_argument("directory", type=Path)
    parser.add_argument("--scan", action="store_true")
    parser.add_argument("--workers", type=int, default=0)
    parser.add_argument("--task", type=parse_task, metavar="K/N")
    args = parser.parse_args()
    access = OssAccess("k", "s", region="ap-southeast-1", endpoint=args.endpoint)
    destination = Destination("bench-bucket", args.prefix)
    plan = plan_upload(walk(args.directory), destination, WeightType.FULL)
    options = TransferOptions(workers=args.workers)
    scanners = Scanners(args.directory) if args.scan else None
    with BucketClient(
        access, "bench-bucket", connections=options.most_workers + 2
    ) as client:
        work = partial(upload, plan, client, options, scanners)
        if args.task:
            work = partial(upload_share, plan, client, options, args.task)
        time_and_tell(work)


if __name__ == "__main__":
    main()
