"""The sandbox as a user holds it: one object, its environment, its directory."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import oss2
import pytest
import requests

from preflight.sandbox import Sandbox
from tests.sandbox.studio import models


def bucket_of(box: Sandbox) -> oss2.Bucket:
    """What a user's script makes of the environment."""
    values = box.environment()
    auth = oss2.AuthV4(values["OSS_ACCESS_KEY_ID"], values["OSS_ACCESS_KEY_SECRET"])
    region = values["OSS_REGION"]
    return oss2.Bucket(auth, values["OSS_ENDPOINT"], box.bucket, region=region)


def imports(
    box: Sandbox, method: str, tail: str = "", **other: object
) -> requests.Response:
    values = box.environment()
    url = f"{values['DASHSCOPE_HTTP_BASE_URL']}/custom_models/import{tail}"
    headers = {"Authorization": f"Bearer {values['DASHSCOPE_API_KEY']}"}
    return requests.request(method, url, headers=headers, timeout=10, **other)  # type: ignore[arg-type]


def submit(box: Sandbox) -> str:
    storage = {"bucket_name": box.bucket, "object_key": models.PREFIX}
    wanted = {"model_name": "tiny", "source": "oss", "weight_type": "lora"}
    answer = imports(box, "POST", json={**wanted, "storage_info": storage})
    return str(answer.json()["output"]["job_id"])


def test_upload_import_and_break_it_again(sandbox: Sandbox) -> None:
    """With oss2 and requests alone, through both services."""
    sandbox.studio.bases["tiny"] = models.tiny()
    bucket = bucket_of(sandbox)
    assert bucket.get_bucket_tagging().tag_set.tagging_rule == models.TAGS
    for name, content in models.lora(models.tiny()).items():
        bucket.put_object(models.PREFIX + name, content)
    job_id = submit(sandbox)
    seen = [imports(sandbox, "GET", f"/{job_id}").json() for _ in range(3)]
    assert [answer["output"]["status"] for answer in seen][-1] == "SUCCESSED"
    assert sandbox.studio.model_is_valid(job_id)
    bucket.delete_object(models.PREFIX + "adapter_config.json")
    assert not sandbox.studio.model_is_valid(job_id)


def test_the_same_directory_goes_on(tmp_path: Path) -> None:
    with Sandbox(directory=tmp_path, bases=[models.tiny()]) as first:
        bucket_of(first).put_object("runs/one/a.txt", b"kept")
        job_id = submit(first)
        before = first.environment()
    with Sandbox(directory=tmp_path, bases=[models.tiny()]) as again:
        after = again.environment()
        assert bucket_of(again).get_object("runs/one/a.txt").read() == b"kept"
        assert imports(again, "GET", f"/{job_id}").status_code == 200
    changed = {name for name in before if before[name] != after[name]}
    assert changed <= {"OSS_ENDPOINT", "DASHSCOPE_HTTP_BASE_URL"}


def test_two_sandboxes_do_not_share_keys() -> None:
    with Sandbox() as one, Sandbox() as two:
        url = f"{two.studio_url}/custom_models/import"
        headers = {"Authorization": f"Bearer {one.api_key}"}
        assert requests.get(url, headers=headers, timeout=10).status_code == 401
        assert one.access_key_id != two.access_key_id


def test_it_listens_on_loopback_alone_and_stops(tmp_path: Path) -> None:
    box = Sandbox(directory=tmp_path)
    box.start()
    urls = (box.oss_url, box.studio_url)
    assert all(url.startswith("http://127.0.0.1:") for url in urls)
    box.close()
    box.close()
    for url in urls:
        with pytest.raises(requests.ConnectionError):
            requests.get(url, timeout=10)


def test_a_taken_port_is_an_error_and_leaves_nothing_running() -> None:
    with Sandbox() as one:
        taken = int(one.oss_url.rpartition(":")[2])
        other = Sandbox(studio_port=taken)
        with pytest.raises(OSError, match="in use"):
            other.start()
        assert not other.oss_endpoint.is_running()


def python(code: str) -> subprocess.CompletedProcess[str]:
    root = Path(__file__).parents[2]
    return subprocess.run(
        [sys.executable, "-c", code],
        cwd=root,
        env={**os.environ, "PYTHONPATH": str(root)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_the_import_is_cheap() -> None:
    done = python(
        "import sys, preflight.sandbox, preflight.sandbox.faults\n"
        "heavy = {'werkzeug', 'pytest_httpserver', 'fastcrc', 'oss2', 'requests'}\n"
        "print(sorted(heavy & set(sys.modules)))"
    )
    assert (done.stdout, done.stderr) == ("[]\n", "")
