"""Which of several values counts, what follows from it, and what is wrong with it."""

from __future__ import annotations

from pathlib import Path

from preflight.settings import Need, Settings, load_settings, mask
from tests.settings.samples import (
    API_KEY,
    ID,
    KEYS,
    PLACED,
    SECRET,
    TOKEN,
    ossutil,
    refused,
)

INTL = "https://dashscope-intl.aliyuncs.com/api/v1"
BEIJING = "https://dashscope.aliyuncs.com/api/v1"
SINGAPORE_OSS = "https://oss-ap-southeast-1.aliyuncs.com"
BEIJING_OSS = "https://oss-cn-beijing.aliyuncs.com"


def places(settings: Settings) -> tuple[str, str, str]:
    return (
        settings.region.value,
        settings.endpoint.value,
        settings.base_url.value,
    )


def test_a_region_is_asked_for_and_never_guessed(home: Path) -> None:
    """Else a key of one region would be sent to another."""
    settings = load_settings(KEYS, home=home)
    for needs in ((Need.OSS,), (Need.STUDIO,), (Need.OSS, Need.STUDIO)):
        assert refused(settings, *needs).message == "not set: OSS_REGION"
    assert places(settings) == ("", "", "")
    settings = load_settings(PLACED, home=home)
    settings.require(Need.OSS, Need.STUDIO)
    assert places(settings) == ("ap-southeast-1", SINGAPORE_OSS, INTL)
    assert settings.access_key_id.value == ID
    assert settings.access_key_id.origin == "environment (OSS_ACCESS_KEY_ID)"


def test_an_endpoint_that_names_no_region_needs_one(home: Path) -> None:
    for endpoint, kind in [
        ("https://oss-accelerate.aliyuncs.com", "transfer acceleration"),
        ("https://files.example.com", "custom domain"),
        ("https://new-kind.aliyuncs.com", "unknown"),
        ("http://127.0.0.1:8080", "this machine"),
    ]:
        environ = {**KEYS, "OSS_ENDPOINT": endpoint}
        settings = load_settings(environ, home=home)
        for needs in ((Need.OSS,), (Need.STUDIO,)):
            message = refused(settings, *needs).message
            assert message == (
                f"OSS_ENDPOINT names no region ({kind}): set OSS_REGION to that of the "
                "bucket"
            )
        for more in (
            {"OSS_REGION": "cn-beijing"},
            {"DASHSCOPE_HTTP_BASE_URL": BEIJING},
        ):
            settings = load_settings({**environ, **more}, home=home)
            settings.require(Need.OSS, Need.STUDIO)
            assert places(settings) == ("cn-beijing", endpoint, BEIJING)


def test_region_endpoint_and_base_url_follow_from_each_other(home: Path) -> None:
    for environ, wanted in [
        ({"OSS_REGION": "cn-beijing"}, ("cn-beijing", BEIJING_OSS, BEIJING)),
        ({"OSS_REGION": "oss-cn-beijing"}, ("cn-beijing", BEIJING_OSS, BEIJING)),
        ({"OSS_REGION": " CN-Beijing\n"}, ("cn-beijing", BEIJING_OSS, BEIJING)),
        ({"OSS_REGION": "Singapore"}, ("ap-southeast-1", SINGAPORE_OSS, INTL)),
        ({"OSS_ENDPOINT": BEIJING_OSS}, ("cn-beijing", BEIJING_OSS, BEIJING)),
        (
            {"OSS_ENDPOINT": "oss-cn-beijing-internal.aliyuncs.com/"},
            ("cn-beijing", "https://oss-cn-beijing-internal.aliyuncs.com", BEIJING),
        ),
        (
            {"DASHSCOPE_HTTP_BASE_URL": BEIJING + "/"},
            ("cn-beijing", BEIJING_OSS, BEIJING),
        ),
        (
            {"DASHSCOPE_HTTP_BASE_URL": "dashscope.aliyuncs.com"},
            ("cn-beijing", BEIJING_OSS, BEIJING),
        ),
        (
            {"DASHSCOPE_HTTP_BASE_URL": "https://ws-1.cn-beijing.maas.aliyuncs.com"},
            (
                "cn-beijing",
                BEIJING_OSS,
                "https://ws-1.cn-beijing.maas.aliyuncs.com/api/v1",
            ),
        ),
        (
            {"OSS_ENDPOINT": "https://cn-beijing.oss.aliyuncs.com"},
            ("cn-beijing", "https://cn-beijing.oss.aliyuncs.com", BEIJING),
        ),
        (
            {
                "OSS_REGION": "cn-hangzhou",
                "DASHSCOPE_HTTP_BASE_URL": BEIJING,
            },
            ("cn-hangzhou", "https://oss-cn-hangzhou.aliyuncs.com", BEIJING),
        ),
        (
            {
                "OSS_REGION": "ap-southeast-1",
                "OSS_ENDPOINT": "127.0.0.1:8080",
                "DASHSCOPE_HTTP_BASE_URL": "http://localhost:81/api/v1",
            },
            ("ap-southeast-1", "http://127.0.0.1:8080", "http://localhost:81/api/v1"),
        ),
    ]:
        settings = load_settings({**KEYS, **environ}, home=home)
        settings.require(Need.OSS, Need.STUDIO)
        assert places(settings) == wanted


def test_a_flag_wins_over_the_environment_and_that_over_the_file(home: Path) -> None:
    ossutil(home, "endpoint = oss-us-east-1.aliyuncs.com", "region = us-east-1")
    from_file = load_settings(KEYS, home=home)
    assert from_file.region.value == "us-east-1"
    assert from_file.region.origin == str(home / ".ossutilconfig")
    environ = {**KEYS, "OSS_REGION": "cn-beijing"}
    from_environment = load_settings(environ, home=home)
    assert places(from_environment) == ("cn-beijing", BEIJING_OSS, BEIJING)
    environ["OSS_ENDPOINT"] = BEIJING_OSS
    flagged = load_settings(environ, home=home, region="ap-southeast-1")
    assert places(flagged) == ("ap-southeast-1", SINGAPORE_OSS, INTL)
    assert flagged.region.origin == "flag --region"
    assert "flag --region" in flagged.endpoint.origin
    flagged = load_settings(environ, home=home, endpoint=SINGAPORE_OSS)
    assert places(flagged) == ("ap-southeast-1", SINGAPORE_OSS, INTL)
    flagged = load_settings(environ, home=home, base_url=INTL)
    assert places(flagged) == ("cn-beijing", BEIJING_OSS, INTL)
    assert flagged.studio_region == "ap-southeast-1"


def test_a_region_and_an_endpoint_that_disagree_are_refused(home: Path) -> None:
    environ = {**KEYS, "OSS_REGION": "cn-beijing", "OSS_ENDPOINT": SINGAPORE_OSS}
    settings = load_settings(environ, home=home)
    error = refused(settings, Need.OSS)
    assert "OSS_REGION is cn-beijing" in error.message
    assert "ap-southeast-1" in error.message


def test_a_region_without_model_studio_needs_a_base_url(home: Path) -> None:
    settings = load_settings({**KEYS, "OSS_REGION": "eu-west-1"}, home=home)
    settings.require(Need.OSS)
    error = refused(settings, Need.STUDIO)
    assert "ap-southeast-1 and cn-beijing" in error.message
    assert "DASHSCOPE_HTTP_BASE_URL" in error.message


def test_all_that_is_missing_is_named_at_once(home: Path) -> None:
    error = refused(load_settings({"OSS_ACCESS_KEY_ID": ""}, home=home))
    assert error.message == (
        "not set: OSS_ACCESS_KEY_ID, OSS_ACCESS_KEY_SECRET, OSS_REGION, "
        "DASHSCOPE_API_KEY"
    )
    assert "export OSS_ACCESS_KEY_ID=… OSS_ACCESS_KEY_SECRET=…" in error.hint
    assert "--sandbox needs none" in error.hint
    error = refused(load_settings({}, home=home), Need.STUDIO)
    assert error.message == "not set: OSS_REGION, DASHSCOPE_API_KEY"


def test_a_command_is_not_bothered_by_what_it_does_not_need(home: Path) -> None:
    environ = {**PLACED, "OSS_ACCESS_KEY_SECRET": "a b"}
    load_settings(environ, home=home).require(Need.STUDIO)
    environ = {**PLACED, "DASHSCOPE_API_KEY": "sk-x\n"}
    load_settings(environ, home=home).require(Need.OSS)


def test_a_badly_pasted_key_is_named_but_not_shown(home: Path) -> None:
    for bad, words in [
        ("{}\n", "newline"),
        ("\r{}", "newline"),
        (" {}", "space or tab"),
        ("{}\t", "space or tab"),
        ('"{}"', "quotation marks"),
        ("'{}'\n", "quotation marks"),
        ("<{}>", "placeholder"),
        ("${}", "placeholder"),
        ("{}…", "characters that no key has"),
        ("{}\x00", "characters that no key has"),
    ]:
        value = bad.format("PLANTEDKEY")
        for name in (*KEYS, "OSS_SESSION_TOKEN"):
            settings = load_settings({**PLACED, name: value}, home=home)
            error = refused(settings)
            assert name in error.message
            assert words in error.message
            assert "not set" not in error.message
            shown = f"{error.message}{error.hint}{settings!r}{settings.describe()}"
            assert "PLANTEDKEY" not in shown


def test_several_problems_are_told_together(home: Path) -> None:
    environ = {"OSS_ACCESS_KEY_ID": "a b", "OSS_ENDPOINT": "http://oss.example.com"}
    error = refused(load_settings(environ, home=home))
    for words in ("space", "https://", "OSS_ACCESS_KEY_SECRET", "DASHSCOPE_API_KEY"):
        assert words in error.message


def test_a_bad_endpoint_is_refused(home: Path) -> None:
    for endpoint, words in [
        ("http://oss-cn-beijing.aliyuncs.com", "https://"),
        ("ftp://127.0.0.1", "https://"),
        ("http://127.0.0.1.example.com", "https://"),
        ("https://bkt.oss-cn-beijing.aliyuncs.com", "bucket 'bkt'"),
        ("https://oss-cn-beijing.aliyuncs.com/bucket", "path"),
        ("https://user:planted@oss-cn-beijing.aliyuncs.com", "user name"),
        ("https://oss-cn-beijing.aliyuncs.com?x=1", "query"),
        ("https://", "complete"),
        ("https://[::1", "not a URL"),
        ("http://[::1]:8080", "no IPv6 address"),
        ("[fd00::1]:8080", "no IPv6 address"),
        ("https://oss-<region>.aliyuncs.com", "complete"),
        ("https://a:99999", "not a URL"),
    ]:
        settings = load_settings({**KEYS, "OSS_ENDPOINT": endpoint}, home=home)
        error = refused(settings, Need.OSS)
        assert "OSS_ENDPOINT" in error.message
        assert words in error.message
        assert "planted@" not in error.message
        assert settings.endpoint.value == ""
        flagged = load_settings(KEYS, home=home, endpoint=endpoint)
        assert "--endpoint" in refused(flagged, Need.OSS).message


def test_what_a_url_may_be_spelt_like(home: Path) -> None:
    for endpoint, taken in [
        ("HTTPS://oss-cn-beijing.aliyuncs.com", "https://oss-cn-beijing.aliyuncs.com"),
        ("https://oss-cn-beijing.aliyuncs.com.", "https://oss-cn-beijing.aliyuncs.com"),
        (" oss-cn-beijing.aliyuncs.com./ ", "https://oss-cn-beijing.aliyuncs.com"),
        ("Http://127.0.0.1:1/", "http://127.0.0.1:1"),
        ("https://oss-cn-beijing.aliyuncs.com.:443", None),
    ]:
        settings = load_settings({**KEYS, "OSS_ENDPOINT": endpoint}, home=home)
        wanted = taken or "https://oss-cn-beijing.aliyuncs.com:443"
        assert settings.endpoint.value == wanted
        if "oss-" in endpoint:
            assert settings.region.value == "cn-beijing"


def test_a_bad_base_url_is_refused(home: Path) -> None:
    for base_url, words in [
        ("http://dashscope-intl.aliyuncs.com/api/v1", "https://"),
        ("https://dashscope-intl.aliyuncs.com/compatible-mode/v1", "/api/v1"),
        ("https://{workspace-id}.cn-beijing.maas.aliyuncs.com/api/v1", "complete"),
        ("https://dashscope-intl.aliyuncs.com/api/v1?key=1", "query"),
        ("http://[::1]:8080/api/v1", "no IPv6 address"),
        ("[fd00::1]:8080", "no IPv6 address"),
    ]:
        environ = {**KEYS, "DASHSCOPE_HTTP_BASE_URL": base_url}
        settings = load_settings(environ, home=home)
        assert words in refused(settings, Need.STUDIO).message
        assert settings.base_url.value == ""


def test_a_bad_region_is_refused(home: Path) -> None:
    for region in ["cn_beijing", "1", "oss-", "a b", "ap-"]:
        settings = load_settings(KEYS, home=home, region=region)
        error = refused(settings, Need.OSS)
        assert "--region is not a region id" in error.message
        assert settings.region.value == ""


def test_no_secret_is_shown(home: Path) -> None:
    settings = load_settings({**PLACED, "OSS_SESSION_TOKEN": TOKEN}, home=home)
    rows = settings.describe()
    shown = {row.name: row.shown for row in rows}
    assert shown["OSS_ACCESS_KEY_ID"] == f"LTAI…({len(ID)} chars)"
    assert shown["OSS_ACCESS_KEY_SECRET"] == f"…({len(SECRET)} chars)"
    assert shown["DASHSCOPE_API_KEY"] == f"sk-…({len(API_KEY)} chars)"
    assert shown["OSS_REGION"] == "ap-southeast-1"
    assert all(row.origin and not row.problem for row in rows)
    everything = f"{settings!r}{settings}{rows}{settings.api_key}"
    for secret in (ID, SECRET, TOKEN, API_KEY):
        assert secret not in everything
    assert set(settings.secrets()) == {ID, SECRET, TOKEN, API_KEY}


def test_describing_tells_what_is_wrong_or_absent(home: Path) -> None:
    rows = load_settings({"DASHSCOPE_API_KEY": "sk-x\n"}, home=home).describe()
    by_name = {row.name: row for row in rows}
    assert "newline" in by_name["DASHSCOPE_API_KEY"].problem
    assert by_name["OSS_ACCESS_KEY_ID"].origin == "not set"


def test_masks() -> None:
    for secret, shown in [
        ("", ""),
        ("abc", "…(3 chars)"),
        ("STS.xyz", "STS.…(7 chars)"),
    ]:
        assert mask(secret) == shown
