"""`doctor` against set-ups that are broken in one place each."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from preflight.catalog.permissions import OF_A_PUSH, policy
from preflight.sandbox import Sandbox
from preflight.sandbox.faults import Fault
from preflight.sandbox.oss.credentials import Credential
from preflight.sandbox.oss.policy import READ_ONLY, Policy
from tests.running import ROOT, InProcess, tiny_adapter

TAG = {"bailian-datahub-access": "read"}
OTHER_SECRET = "wrongSecretOfTheRightLength0123"
BEIJING_KEY = "sk-ofbeijing0123456789abcdef0123"


@dataclass(frozen=True)
class Patient:
    """A sandbox, and preflight with its settings."""

    box: Sandbox
    preflight: InProcess
    patch: pytest.MonkeyPatch

    def set(self, **values: str) -> str:
        for name, value in values.items():
            self.patch.setenv(name, value)
        return f"oss://{self.box.bucket}/models/one/"


@pytest.fixture
def hours() -> list[float]:
    """By how many hours the sandbox's clock is ahead."""
    return [0.0]


@pytest.fixture
def patient(
    hours: list[float],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Iterator[Patient]:
    for name in ("HTTPS_PROXY", "HTTP_PROXY", "ALL_PROXY", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)
    with Sandbox(clock=lambda: time.time() + 3600 * hours[0]) as box:
        preflight = InProcess(tmp_path / "home", monkeypatch, capsys).use(box)
        yield Patient(box, preflight, monkeypatch)
        box.check()


def test_a_sound_set_up(patient: Patient) -> None:
    url = patient.set()
    before = patient.box.oss.objects(patient.box.bucket)
    done = patient.preflight("doctor", url)
    assert (done.code, done.err) == (0, "")
    verdict, following = done.out.splitlines()[-2:]
    assert verdict.startswith("✔ READY  0 problems, 0 warnings, ")
    assert following == f"next  preflight push MODEL_DIR {url}"
    for words in (
        "Model Studio accepts the key",
        "the clock is right",
        "is tagged, of an importable class and region",
        f"{url} may be listed, asked for uploads, written to, read from, ",
        "OSS_REGION ap-southeast-1 [environment (OSS_REGION)]",
    ):
        assert words in done.out
    assert patient.box.oss.objects(patient.box.bucket) == before
    assert patient.box.oss.uploads(patient.box.bucket) == []


def no_key(patient: Patient) -> str:
    return patient.set(DASHSCOPE_API_KEY="")


def key_of_another_region(patient: Patient) -> str:
    return patient.set(DASHSCOPE_API_KEY=BEIJING_KEY)


def wrong_secret(patient: Patient) -> str:
    return patient.set(OSS_ACCESS_KEY_SECRET=OTHER_SECRET)


def no_such_bucket(patient: Patient) -> str:
    patient.set()
    return "oss://not-there-at-all/models/one/"


def wrong_region(patient: Patient) -> str:
    return patient.set(OSS_REGION="cn-beijing")


def no_tag(patient: Patient) -> str:
    patient.box.oss.set_tags(patient.box.bucket, {"team": "nlp"})
    return patient.set()


def archive(patient: Patient) -> str:
    patient.box.oss.create_bucket("cold-bucket", storage_class="Archive", tags=TAG)
    return "oss://cold-bucket/models/one/"


def no_write_permission(patient: Patient) -> str:
    patient.box.oss.add_credential(Credential("LTAIr", "s" * 30, policy=READ_ONLY))
    return patient.set(OSS_ACCESS_KEY_ID="LTAIr", OSS_ACCESS_KEY_SECRET="s" * 30)


def proxy_in_the_way(patient: Patient) -> str:
    real = "https://dashscope-intl.aliyuncs.com/api/v1"
    proxy = "http://user:hunter2secret@127.0.0.1:9"  # port 9 discards: none listens
    return patient.set(DASHSCOPE_HTTP_BASE_URL=real, HTTPS_PROXY=proxy)


def endpoint_without_scheme(patient: Patient) -> str:
    return patient.set(OSS_ENDPOINT=patient.box.oss_url.removeprefix("http://"))


def bucket_in_endpoint(patient: Patient) -> str:
    host = f"{patient.box.bucket}.oss-ap-southeast-1.aliyuncs.com"
    return patient.set(OSS_ENDPOINT=f"https://{host}")


def temporary_key_without_token(patient: Patient) -> str:
    return patient.set(OSS_ACCESS_KEY_ID="STS.abc")


def swapped_keys(patient: Patient) -> str:
    names = ("OSS_ACCESS_KEY_ID", "OSS_ACCESS_KEY_SECRET")
    values = (patient.box.access_key_secret, patient.box.access_key_id)
    return patient.set(**dict(zip(names, values, strict=True)))


def key_of_a_plan(patient: Patient) -> str:
    return patient.set(DASHSCOPE_API_KEY="sk-sp-0123456789abcdef0123456789abcdef")


def socks_without_its_package(patient: Patient) -> str:
    real = "https://dashscope-intl.aliyuncs.com/api/v1"
    proxy = "socks5h://127.0.0.1:1080"
    return patient.set(DASHSCOPE_HTTP_BASE_URL=real, ALL_PROXY=proxy)


SET_UPS: list[tuple[Callable[[Patient], str], int, str, str]] = [
    (no_key, 2, "fail", "not set: DASHSCOPE_API_KEY"),
    (key_of_another_region, 4, "fail", "belongs to another region than the base URL"),
    (wrong_secret, 4, "fail", "the access key secret does not belong to the id"),
    (no_such_bucket, 2, "fail", "no bucket of this name"),
    (wrong_region, 2, "fail", "the region in the signature is not that of the bucket"),
    (no_tag, 2, "fail", "the tag bailian-datahub-access of"),
    (archive, 2, "fail", "cold-bucket is of storage class Archive"),
    (
        no_write_permission,
        4,
        "fail",
        "[oss:PutObject on acs:oss:*:*:preflight-sandbox/models/one/",
    ),
    (proxy_in_the_way, 6, "fail", "the proxy refuses connections"),
    (endpoint_without_scheme, 0, "warn", "OSS_ENDPOINT has no scheme"),
    (bucket_in_endpoint, 2, "fail", "OSS_ENDPOINT has the bucket"),
    (temporary_key_without_token, 2, "fail", "there is no session token"),
    (swapped_keys, 2, "fail", "OSS_ACCESS_KEY_SECRET begins with LTAI"),
    (key_of_a_plan, 2, "fail", "DASHSCOPE_API_KEY: the key is one of a Coding Plan"),
    (socks_without_its_package, 2, "fail", "ALL_PROXY names a SOCKS proxy"),
]


@pytest.mark.parametrize(
    ("break_it", "code", "level", "words"),
    SET_UPS,
    ids=[each[0].__name__ for each in SET_UPS],
)
def test_a_broken_set_up_is_named_in_the_first_line(
    patient: Patient,
    break_it: Callable[[Patient], str],
    code: int,
    level: str,
    words: str,
) -> None:
    url = break_it(patient)
    done = patient.preflight("doctor", url, "-vv")
    first = done.out.splitlines()[0]
    assert first.startswith(f"{level:5} "), done.out
    assert words in first, done.out
    assert done.code == code
    everything = done.out + done.err
    secrets = (
        patient.box.access_key_secret,
        patient.box.api_key,
        OTHER_SECRET,
        BEIJING_KEY,
        "hunter2secret",
        "s" * 30,
    )
    assert not [secret for secret in secrets if secret in everything]
    document = json.loads(patient.preflight("doctor", url, "--format", "json").out)
    assert document["exit_code"] == code
    assert words in document["findings"][0]["message"]


@pytest.mark.parametrize("ahead", [-2.0, 1.0])
def test_a_skewed_clock(patient: Patient, hours: list[float], ahead: float) -> None:
    hours[0] = ahead
    done = patient.preflight("doctor", patient.set())
    where = "behind" if ahead > 0 else "ahead"
    first = done.out.splitlines()[0]
    assert "this machine's clock is" in first, done.out
    for service in ("Model Studio", "OSS"):
        assert f"s {where} that of {service}" in done.out


def test_a_login_page_instead_of_the_service(patient: Patient) -> None:
    patient.box.faults.add(
        Fault.from_json(
            {
                "service": "studio",
                "operation": "*",
                "times": "always",
                "action": "captive_portal",
            }
        )
    )
    done = patient.preflight("doctor", patient.set())
    assert done.code == 6
    assert "answered with an HTML page" in done.out.splitlines()[0]
    assert "a proxy or a login page may stand in between" in done.out.splitlines()[1]


CALLS = {
    "GetBucketInfo": ("oss:GetBucketInfo", "warn"),
    "GetBucketTags": ("oss:GetBucketTagging", "warn"),
    "ListObjectsV2": ("oss:ListObjects on acs:oss:*:*:preflight-sandbox]", "fail"),
    "ListMultipartUploads": ("oss:ListMultipartUploads on acs:oss", "fail"),
    "InitiateMultipartUpload": ("oss:PutObject on acs:oss", "fail"),
    "HeadObject": ("oss:GetObject on acs:oss", "fail"),
    "ListParts": ("oss:ListParts on acs:oss", "fail"),
    "AbortMultipartUpload": ("oss:AbortMultipartUpload on acs:oss", "fail"),
}


def denied(patient: Patient, operation: str, **more: object) -> str:
    """The bucket, where one kind of call is refused."""
    form = {
        "service": "oss",
        "operation": operation,
        "action": "status",
        "status": 403,
        "code": "AccessDenied",
        "message": "You have no right to access this object because of bucket acl.",
        "times": "always",
    }
    patient.box.faults.add(Fault.from_json(form | more))
    return patient.set()


@pytest.mark.parametrize("operation", CALLS)
def test_each_action_that_is_denied_is_named_in_the_first_line(
    patient: Patient, operation: str
) -> None:
    action, level = CALLS[operation]
    url = denied(patient, operation)
    for _ in range(2):
        done = patient.preflight("doctor", url)
        first = done.out.splitlines()[0]
        assert first.startswith(level), done.out
        assert action in first, done.out
        assert done.code == (4 if level == "fail" else 0)
        assert done.out.count("\nfail") == 0  # the first line is the only one
    assert patient.box.oss.uploads(patient.box.bucket) == []
    assert patient.box.oss.objects(patient.box.bucket) == []


def allowed(patient: Patient, document: dict[str, Any]) -> str:
    """The bucket, as a RAM user sees it who has this policy."""
    key = Credential("LTAIramuser", "r" * 30, policy=Policy.from_json(document))
    patient.box.oss.add_credential(key)
    return patient.set(OSS_ACCESS_KEY_ID=key.id, OSS_ACCESS_KEY_SECRET="r" * 30)


def test_the_eight_actions_are_enough_and_each_is_needed(
    patient: Patient, tmp_path: Path
) -> None:
    """By the policy that `doctor --policy` prints, judged by the fake's own rules."""
    bucket = patient.box.bucket
    url = allowed(patient, policy(bucket, "models/one/"))
    adapter = tiny_adapter(tmp_path / "adapter")
    pushed = patient.preflight("push", adapter, url, "--poll-interval", "0.05")
    assert pushed.code == 0, pushed.err
    assert patient.preflight("doctor", url).code == 0
    for permission in OF_A_PUSH:
        document = policy(bucket, "models/one/")
        for statement in document["Statement"]:
            if permission.value in statement["Action"]:
                statement["Action"].remove(permission.value)
        allowed(patient, document)
        began = time.monotonic()
        done = patient.preflight("doctor", url)
        assert permission.value in done.out.splitlines()[0], done.out
        assert done.out.splitlines()[0].startswith(("fail", "warn"))
        assert time.monotonic() - began < 10
        assert patient.box.oss.uploads(bucket) == []


def test_all_that_is_denied_is_named_at_once(patient: Patient) -> None:
    all_denied = {"Effect": "Deny", "Action": ["oss:*"], "Resource": ["*"]}
    url = allowed(patient, {"Version": "1", "Statement": [all_denied]})
    done = patient.preflight("doctor", url)
    assert done.code == 4
    assert {p.value for p in OF_A_PUSH if p.value in done.out} == {
        p.value for p in OF_A_PUSH
    }
    assert patient.box.oss.uploads(patient.box.bucket) == []


def test_a_service_that_goes_away_during_the_looks_keeps_no_probe(
    patient: Patient,
) -> None:
    """What was begun is dropped by the next look at the latest."""
    gone = {"status": 503, "code": "ServiceUnavailable", "message": "x", "times": 2}
    done = patient.preflight("doctor", denied(patient, "HeadObject", **gone))
    assert done.code == 5, done.out
    assert patient.box.oss.uploads(patient.box.bucket) == []


@pytest.mark.parametrize(
    ("said", "ec", "words"),
    [
        ("The bucket you access does not belong to you.", "", "account that owns"),
        ("Access denied by bucket policy.", "", "Deny in the bucket policy"),
        ("Access denied by bucket policy.", "0003-00000201", "Deny in the policies"),
        ("no permission to use the KMS key (kms:GenerateDataKey).", "", "kms:Decrypt"),
        ("Access denied by authorizer's policy.", "", "temporary keys"),
        ("Nobody ever said that.", "", "give the RAM user or role"),
    ],
)
def test_a_refusal_has_its_own_remedy_in_push_and_doctor_alike(
    patient: Patient, tmp_path: Path, *, said: str, ec: str, words: str
) -> None:
    more = {"headers": {"x-oss-ec": ec}} if ec else {}
    url = denied(patient, "ListObjectsV2", message=said, **more)
    adapter = tiny_adapter(tmp_path / "adapter")
    examined = patient.preflight("doctor", url)
    pushed = patient.preflight("push", adapter, url)
    assert (examined.code, pushed.code) == (4, 4)
    hints = (examined.out.splitlines()[1], pushed.told()[1])
    assert hints[0] == hints[1]
    assert words in hints[0]
    assert "preflight doctor" not in hints[0]


def test_the_policy_is_printed_without_asking_anyone(patient: Patient) -> None:
    done = patient.preflight("doctor", "--policy", "oss://my-bucket/models/")
    assert done.code == 0
    readme = (ROOT / "README.md").read_text("utf-8")
    shown = readme.partition("<!-- policy -->")[2].partition("<!-- /policy -->")[0]
    assert json.loads(shown.strip().removeprefix("```json").removesuffix("```")) == (
        done.document
    )
    tagging = patient.preflight(
        "doctor", "--policy", "--fix", "oss://my-bucket/models/"
    )
    assert "oss:PutBucketTagging" in tagging.out
    assert patient.preflight("doctor", "--policy").code == 2
    assert patient.box.oss_endpoint.log_calls.count() == 0


def test_the_sum_says_what_to_do_first(patient: Patient) -> None:
    done = patient.preflight("doctor", no_key(patient))
    verdict, following = done.out.splitlines()[-2:]
    assert verdict.startswith("✘ NOT READY  ")
    assert verdict.endswith("skipped: fix the settings above first")
    assert following.startswith("next  mend it as named above, then: preflight doctor ")


def test_fix_sets_the_tag_and_keeps_the_others(patient: Patient) -> None:
    url = no_tag(patient)
    assert patient.preflight("doctor", url).code == 2
    assert patient.box.oss.bucket(patient.box.bucket).tags == {"team": "nlp"}
    done = patient.preflight("doctor", "--fix", url)
    assert done.code == 0, done.out
    assert f"tagged {patient.box.bucket}: bailian-datahub-access = read" in done.out
    assert patient.box.oss.bucket(patient.box.bucket).tags == {"team": "nlp", **TAG}
    again = patient.preflight("doctor", "--fix", url)
    assert again.code == 0
    assert "tagged preflight" not in again.out


def test_fix_without_a_bucket(patient: Patient) -> None:
    done = patient.preflight("doctor", "--fix")
    assert done.code == 2
    assert done.told()[0] == "preflight: --fix needs a bucket"


def test_without_a_bucket_it_is_said_that_none_was_looked_at(patient: Patient) -> None:
    done = patient.preflight("doctor")
    assert done.code == 0
    assert "no bucket was looked at" in done.out
    assert patient.box.oss_endpoint.log_calls.count() == 0


def test_nothing_set_is_all_told_at_once(patient: Patient) -> None:
    for name in patient.box.environment():
        patient.patch.delenv(name)
    done = patient.preflight("doctor", "oss://some-bucket/models/one/")
    assert done.code == 2
    fails = [line for line in done.out.splitlines() if line.startswith("fail")]
    assert len(fails) == 2
    assert "OSS_ACCESS_KEY_ID, OSS_ACCESS_KEY_SECRET" in fails[0]
    assert "DASHSCOPE_API_KEY" in fails[1]
    assert "OSS was not asked" in done.out
    assert "Model Studio was not asked" in done.out


def test_verbose_tells_where_each_value_is_from(patient: Patient) -> None:
    done = patient.preflight("jobs", "-v")
    assert f"DASHSCOPE_API_KEY: sk-…({len(patient.box.api_key)} chars)" in done.err
    assert "[environment (DASHSCOPE_API_KEY)]" in done.err
    assert patient.box.api_key not in done.err + done.out


@pytest.mark.parametrize("tag", [False, True])
def test_push_tags_the_bucket_only_when_asked(
    patient: Patient, tmp_path: Path, *, tag: bool
) -> None:
    url = no_tag(patient)
    adapter = tiny_adapter(tmp_path / "adapter")
    flags = ["--tag-bucket"] if tag else []
    done = patient.preflight("push", adapter, url, "--poll-interval", "0.05", *flags)
    assert done.code == (0 if tag else 2), done.err
    tags = patient.box.oss.bucket(patient.box.bucket).tags
    assert tags == ({"team": "nlp", **TAG} if tag else {"team": "nlp"})
    if not tag:
        assert "--tag-bucket" in done.told()[1]
        assert patient.box.oss.objects(patient.box.bucket) == []


def test_a_public_bucket_is_warned_of(patient: Patient) -> None:
    patient.box.oss.create_bucket("open-bucket", acl="public-read", tags=TAG)
    done = patient.preflight("doctor", "oss://open-bucket/models/one/")
    assert done.code == 0
    first = done.out.splitlines()[0]
    assert first.startswith("warn  open-bucket is public-read: anyone can read")
