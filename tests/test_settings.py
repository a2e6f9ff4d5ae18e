from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
from pytest_httpserver import HTTPServer

from preflight.errors import ConfigurationError
from preflight.settings import (
    Need,
    Settings,
    is_loopback,
    load_settings,
    mask,
    with_role_keys,
)

ID = "LTAI5tPlantedKeyId012345"
SECRET = "planted-secret-0123456789abcde"
TOKEN = "CAISplantedtoken0123456789"
API_KEY = "sk-planted0123456789abcdef"
KEYS = {
    "OSS_ACCESS_KEY_ID": ID,
    "OSS_ACCESS_KEY_SECRET": SECRET,
    "DASHSCOPE_API_KEY": API_KEY,
}
INTL = "https://dashscope-intl.aliyuncs.com/api/v1"
BEIJING = "https://dashscope.aliyuncs.com/api/v1"
SINGAPORE_OSS = "https://oss-ap-southeast-1.aliyuncs.com"
BEIJING_OSS = "https://oss-cn-beijing.aliyuncs.com"


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path


def ossutil(home: Path, *lines: str, section: str = "Credentials") -> Path:
    path = home / ".ossutilconfig"
    path.write_text("\n".join([f"[{section}]", *lines]) + "\n")
    return path


def aliyun(home: Path, **profile: object) -> Path:
    path = home / ".aliyun" / "config.json"
    path.parent.mkdir()
    other = {"name": "other", "mode": "AK", "access_key_id": "LTAIother"}
    profiles = [other, {"name": "mine", **profile}]
    path.write_text(json.dumps({"current": "mine", "profiles": profiles}))
    return path


def places(settings: Settings) -> tuple[str, str, str]:
    return (
        settings.region.value,
        settings.endpoint.value,
        settings.base_url.value,
    )


def refused(settings: Settings, *needs: Need) -> ConfigurationError:
    with pytest.raises(ConfigurationError) as caught:
        settings.require(*(needs or (Need.OSS, Need.STUDIO)))
    assert caught.value.exit_code == 2
    return caught.value


def test_keys_alone_are_enough_and_mean_singapore(home: Path) -> None:
    settings = load_settings(KEYS, home=home)
    settings.require(Need.OSS, Need.STUDIO)
    assert places(settings) == ("ap-southeast-1", SINGAPORE_OSS, INTL)
    assert settings.region.origin == "default"
    assert settings.access_key_id.value == ID
    assert settings.access_key_id.origin == "environment (OSS_ACCESS_KEY_ID)"


@pytest.mark.parametrize(
    ("environ", "wanted"),
    [
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
            {"OSS_ENDPOINT": "https://oss-accelerate.aliyuncs.com"},
            ("ap-southeast-1", "https://oss-accelerate.aliyuncs.com", INTL),
        ),
        (
            {
                "OSS_ENDPOINT": "https://files.example.com",
                "DASHSCOPE_HTTP_BASE_URL": BEIJING,
            },
            ("cn-beijing", "https://files.example.com", BEIJING),
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
                "OSS_ENDPOINT": "127.0.0.1:8080",
                "DASHSCOPE_HTTP_BASE_URL": "http://localhost:81/api/v1",
            },
            ("ap-southeast-1", "http://127.0.0.1:8080", "http://localhost:81/api/v1"),
        ),
    ],
)
def test_region_endpoint_and_base_url_follow_from_each_other(
    home: Path, environ: dict[str, str], wanted: tuple[str, str, str]
) -> None:
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
        "not set: OSS_ACCESS_KEY_ID, OSS_ACCESS_KEY_SECRET, DASHSCOPE_API_KEY"
    )
    assert "export OSS_ACCESS_KEY_ID=… OSS_ACCESS_KEY_SECRET=…" in error.hint
    assert "--sandbox needs none" in error.hint
    error = refused(load_settings({}, home=home), Need.STUDIO)
    assert error.message == "not set: DASHSCOPE_API_KEY"


def test_a_command_is_not_bothered_by_what_it_does_not_need(home: Path) -> None:
    environ = {"DASHSCOPE_API_KEY": API_KEY, "OSS_ACCESS_KEY_SECRET": "a b"}
    load_settings(environ, home=home).require(Need.STUDIO)
    environ = {**KEYS, "DASHSCOPE_API_KEY": "sk-x\n"}
    load_settings(environ, home=home).require(Need.OSS)


@pytest.mark.parametrize(
    ("bad", "words"),
    [
        ("{}\n", "newline"),
        ("\r{}", "newline"),
        (" {}", "space or tab"),
        ("{}\t", "space or tab"),
        ('"{}"', "quotation marks"),
        ("'{}", "quotation marks"),
        ("'{}'\n", "quotation marks"),
        ("<{}>", "placeholder"),
        ("${}", "placeholder"),
        ("{}…", "characters that no key has"),
        ("{}\x00", "characters that no key has"),
    ],
)
@pytest.mark.parametrize(
    "name",
    [
        "OSS_ACCESS_KEY_ID",
        "OSS_ACCESS_KEY_SECRET",
        "OSS_SESSION_TOKEN",
        "DASHSCOPE_API_KEY",
    ],
)
def test_a_badly_pasted_key_is_named_but_not_shown(
    home: Path, *, name: str, bad: str, words: str
) -> None:
    value = bad.format("PLANTEDKEY")
    settings = load_settings({**KEYS, name: value}, home=home)
    error = refused(settings)
    assert name in error.message
    assert words in error.message
    assert "not set" not in error.message
    shown = f"{error.message}{error.hint}{settings!r}{settings.describe()}"
    assert "PLANTEDKEY" not in shown
    assert value not in [row.shown for row in settings.describe()]


def test_several_faults_are_told_together(home: Path) -> None:
    environ = {"OSS_ACCESS_KEY_ID": "a b", "OSS_ENDPOINT": "http://oss.example.com"}
    error = refused(load_settings(environ, home=home))
    for words in ("space", "https://", "OSS_ACCESS_KEY_SECRET", "DASHSCOPE_API_KEY"):
        assert words in error.message


@pytest.mark.parametrize(
    ("endpoint", "words"),
    [
        ("http://oss-cn-beijing.aliyuncs.com", "https://"),
        ("ftp://127.0.0.1", "https://"),
        ("http://127.0.0.1.example.com", "https://"),
        ("https://bkt.oss-cn-beijing.aliyuncs.com", "bucket 'bkt'"),
        ("https://oss-cn-beijing.aliyuncs.com/bucket", "path"),
        ("https://user:planted@oss-cn-beijing.aliyuncs.com", "user name"),
        ("https://oss-cn-beijing.aliyuncs.com?x=1", "query"),
        ("https://", "complete"),
        ("https://[::1", "not a URL"),
        ("https://oss-<region>.aliyuncs.com", "complete"),
        ("https://a:99999", "not a URL"),
    ],
)
def test_a_bad_endpoint_is_refused(home: Path, endpoint: str, words: str) -> None:
    settings = load_settings({**KEYS, "OSS_ENDPOINT": endpoint}, home=home)
    error = refused(settings, Need.OSS)
    assert "OSS_ENDPOINT" in error.message
    assert words in error.message
    assert "planted@" not in error.message
    assert settings.endpoint.value == ""
    flagged = load_settings(KEYS, home=home, endpoint=endpoint)
    assert "--endpoint" in refused(flagged, Need.OSS).message


@pytest.mark.parametrize(
    ("base_url", "words"),
    [
        ("http://dashscope-intl.aliyuncs.com/api/v1", "https://"),
        ("https://dashscope-intl.aliyuncs.com/compatible-mode/v1", "/api/v1"),
        ("https://{workspace-id}.cn-beijing.maas.aliyuncs.com/api/v1", "complete"),
        ("https://dashscope-intl.aliyuncs.com/api/v1?key=1", "query"),
    ],
)
def test_a_bad_base_url_is_refused(home: Path, base_url: str, words: str) -> None:
    environ = {**KEYS, "DASHSCOPE_HTTP_BASE_URL": base_url}
    settings = load_settings(environ, home=home)
    assert words in refused(settings, Need.STUDIO).message
    assert settings.base_url.value == ""


@pytest.mark.parametrize("region", ["cn_beijing", "1", "oss-", "a b", "ap-"])
def test_a_bad_region_is_refused(home: Path, region: str) -> None:
    settings = load_settings(KEYS, home=home, region=region)
    error = refused(settings, Need.OSS)
    assert "--region is not a region id" in error.message
    assert settings.region.value == ""


def test_the_second_names_of_the_keys_are_read(home: Path) -> None:
    environ = {
        "ALIBABA_CLOUD_ACCESS_KEY_ID": ID,
        "ALIBABA_CLOUD_ACCESS_KEY_SECRET": SECRET,
        "ALIBABA_CLOUD_SECURITY_TOKEN": TOKEN,
    }
    settings = load_settings(environ, home=home)
    settings.require(Need.OSS)
    assert settings.session_token.value == TOKEN
    settings = load_settings({**environ, **KEYS}, home=home)
    assert settings.access_key_id.origin == "environment (OSS_ACCESS_KEY_ID)"
    assert settings.session_token.value == ""  # it belongs to the other keys


def test_keys_of_two_sources_are_never_mixed(home: Path) -> None:
    ossutil(home, f"accessKeyID={ID}", f"accessKeySecret={SECRET}")
    settings = load_settings({"OSS_ACCESS_KEY_ID": "LTAIanother"}, home=home)
    assert refused(settings, Need.OSS).message == "not set: OSS_ACCESS_KEY_SECRET"


@pytest.mark.parametrize(
    ("names", "section"),
    [
        (("accessKeyID", "accessKeySecret", "stsToken"), "Credentials"),
        (("accessKeyId", "AccessKeySecret", "ststoken"), "Credentials"),
        (("access_key_id", "access_key_secret", "sts_token"), "Credentials"),
        (("accessid", "accesskey", "stsToken"), "Credentials"),
        (("access_id", "access_key", "stsToken"), "Credentials"),
        (("accessKeyID", "accessKeySecret", "stsToken"), "default"),
    ],
)
def test_ossutil_s_file_is_read_in_its_spellings(
    home: Path, names: tuple[str, str, str], section: str
) -> None:
    lines = [f"{n} = {v}" for n, v in zip(names, (ID, SECRET, TOKEN), strict=True)]
    path = ossutil(home, "language=EN", *lines, section=section)
    settings = load_settings({}, home=home)
    settings.require(Need.OSS)
    found = (
        settings.access_key_id.value,
        settings.access_key_secret.value,
        settings.session_token.value,
    )
    assert found == (ID, SECRET, TOKEN)
    assert settings.access_key_secret.origin == str(path)


def test_ossutil_s_http_endpoint_is_used_over_https(home: Path) -> None:
    ossutil(home, "endpoint = http://oss-cn-beijing.aliyuncs.com")
    settings = load_settings(KEYS, home=home)
    settings.require(Need.OSS)
    assert settings.endpoint.value == BEIJING_OSS


def test_the_file_can_be_named(home: Path) -> None:
    path = ossutil(home, f"accessKeyID={ID}", f"accessKeySecret={SECRET}")
    path.rename(home / "elsewhere")
    for named in (str(home / "elsewhere"), "~/elsewhere"):
        settings = load_settings({"OSS_CONFIG_FILE": named}, home=home)
        settings.require(Need.OSS)
    settings = load_settings({"OSS_CONFIG_FILE": "~/none"}, home=home)
    assert f"there is no file {home}/none" in refused(settings, Need.OSS).message


@pytest.mark.parametrize(
    "text",
    [f"accessKeySecret={SECRET}\n", f"[Credentials]\n{SECRET}\n =\n", "\x00\xff["],
)
def test_a_broken_file_is_named_but_not_quoted(home: Path, text: str) -> None:
    path = home / ".ossutilconfig"
    path.write_text(text, "latin-1")
    error = refused(load_settings({}, home=home), Need.OSS)
    assert SECRET not in f"{error.message}{error.hint}{error.__cause__}"
    assert error.__context__ is None
    load_settings(KEYS, home=home).require(Need.OSS, Need.STUDIO)


def test_a_directory_in_the_file_s_place_is_named(home: Path) -> None:
    (home / ".ossutilconfig").mkdir()
    error = refused(load_settings({}, home=home), Need.OSS)
    assert "cannot be read" in error.message


@pytest.mark.parametrize(("mode", "token"), [("AK", ""), ("StsToken", TOKEN)])
def test_the_cli_s_current_profile_is_read(home: Path, mode: str, token: str) -> None:
    path = aliyun(
        home,
        mode=mode,
        access_key_id=ID,
        access_key_secret=SECRET,
        sts_token=token,
        region_id="cn-hangzhou",
    )
    settings = load_settings({}, home=home)
    settings.require(Need.OSS)
    assert settings.access_key_id.value == ID
    assert settings.access_key_id.origin == f"{path}, profile mine"
    assert settings.session_token.value == token
    assert settings.region.value == "ap-southeast-1"
    ossutil(home, "accessKeyID=LTAIfirst", "accessKeySecret=s")
    assert load_settings({}, home=home).access_key_id.value == "LTAIfirst"


def test_a_profile_without_keys_is_named(home: Path) -> None:
    aliyun(home, mode="EcsRamRole", ram_role_name="x")
    error = refused(load_settings({}, home=home), Need.OSS)
    assert "profile mine holds no keys of its own (mode EcsRamRole)" in error.message


@pytest.mark.parametrize("text", ["{", "[]", '{"current": "x", "profiles": []}', "1"])
def test_a_broken_cli_file_is_named(home: Path, text: str) -> None:
    path = aliyun(home, mode="AK")
    path.write_text(text)
    error = refused(load_settings({}, home=home), Need.OSS)
    assert "names no usable profile" in error.message
    assert error.__context__ is None


def test_no_secret_is_shown(home: Path) -> None:
    settings = load_settings({**KEYS, "OSS_SESSION_TOKEN": TOKEN}, home=home)
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
    assert set(settings.secrets()) == {SECRET, TOKEN, API_KEY}


def test_describing_tells_what_is_wrong_or_absent(home: Path) -> None:
    rows = load_settings({"DASHSCOPE_API_KEY": "sk-x\n"}, home=home).describe()
    by_name = {row.name: row for row in rows}
    assert "newline" in by_name["DASHSCOPE_API_KEY"].problem
    assert by_name["OSS_ACCESS_KEY_ID"].origin == "not set"


@pytest.mark.parametrize(
    ("secret", "shown"),
    [("", ""), ("abc", "…(3 chars)"), ("STS.xyz", "STS.…(7 chars)")],
)
def test_masks(secret: str, shown: str) -> None:
    assert mask(secret) == shown


@pytest.mark.parametrize(
    ("url", "answer"),
    [
        ("http://127.0.0.1:1/x", True),
        ("http://127.9.9.9", True),
        ("http://[::1]:80", True),
        ("http://localhost", True),
        ("http://localhost.example.com", False),
        ("http://10.0.0.1", False),
        ("http://[::1", False),
        ("", False),
    ],
)
def test_loopback(*, url: str, answer: bool) -> None:
    assert is_loopback(url) == answer


ROLE_FORM = {
    "Code": "Success",
    "AccessKeyId": "STS.fromRole",
    "AccessKeySecret": SECRET,
    "SecurityToken": TOKEN,
}
ROLE_PATH = "/latest/meta-data/ram/security-credentials/trainer"
ASKED = {"ALIBABA_CLOUD_ECS_METADATA": "trainer"}


def from_role(environ: dict[str, str], home: Path, host: str) -> Settings:
    settings = load_settings(environ, home=home)
    return with_role_keys(settings, environ, home=home, host=host)


def test_a_role_s_keys_are_fetched_when_asked_for(
    home: Path, httpserver: HTTPServer
) -> None:
    httpserver.expect_request("/latest/api/token", method="PUT").respond_with_data("t1")
    header = {"X-aliyun-ecs-metadata-token": "t1"}
    httpserver.expect_request(ROLE_PATH, headers=header).respond_with_json(ROLE_FORM)
    settings = from_role(ASKED, home, httpserver.url_for("").rstrip("/"))
    settings.require(Need.OSS)
    assert settings.access_key_id.value == "STS.fromRole"
    assert settings.session_token.value == TOKEN
    assert settings.access_key_secret.origin == "role trainer of this ECS"
    assert SECRET not in repr(settings)


def test_the_cli_s_profile_may_name_the_role(
    home: Path, httpserver: HTTPServer
) -> None:
    aliyun(home, mode="EcsRamRole", ram_role_name="trainer")
    # A metadata service without the hardened mode knows no tokens.
    httpserver.expect_request("/latest/api/token").respond_with_data("", 404)
    httpserver.expect_request(ROLE_PATH).respond_with_json(ROLE_FORM)
    settings = from_role({}, home, httpserver.url_for("").rstrip("/"))
    settings.require(Need.OSS)
    assert settings.access_key_secret.value == SECRET


@pytest.mark.parametrize(
    "environ",
    [{}, {**KEYS, **ASKED}, {**ASKED, "ALIBABA_CLOUD_ECS_METADATA_DISABLED": "true"}],
)
def test_nobody_is_asked_unbidden(
    home: Path, httpserver: HTTPServer, environ: dict[str, str]
) -> None:
    found = from_role(environ, home, httpserver.url_for("").rstrip("/"))
    assert found.access_key_id.value == environ.get("OSS_ACCESS_KEY_ID", "")
    assert httpserver.log == []


@pytest.mark.parametrize(
    ("form", "status"), [({"Code": "Failed"}, 200), ({}, 404), ([], 200)]
)
def test_a_role_without_keys_is_named(
    home: Path, httpserver: HTTPServer, form: object, status: int
) -> None:
    httpserver.expect_request("/latest/api/token").respond_with_data("", 404)
    httpserver.expect_request(ROLE_PATH).respond_with_json(form, status)
    with pytest.raises(ConfigurationError, match="no keys of role trainer"):
        from_role(ASKED, home, httpserver.url_for("").rstrip("/"))


def test_a_machine_without_metadata_is_named(home: Path) -> None:
    with pytest.raises(ConfigurationError, match="gives no answer"):
        from_role(ASKED, home, "http://127.0.0.1:9")


def test_the_vendor_s_chain_needs_its_package(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "alibabacloud_credentials.client", None)
    with pytest.raises(ConfigurationError) as caught:
        from_role({"PREFLIGHT_CREDENTIALS": "chain"}, home, "http://127.0.0.1:9")
    assert "modelstudio-preflight[credentials]" in caught.value.hint


@pytest.mark.parametrize("named", ["", "elsewhere", "~/elsewhere"])
def test_the_api_key_may_lie_in_a_file(home: Path, named: str) -> None:
    path = home / (named.removeprefix("~/") or ".dashscope/api_key")
    path.parent.mkdir(exist_ok=True)
    path.write_text(f"{API_KEY}\n")
    given = named if named.startswith("~") or not named else str(path)
    environ = {"DASHSCOPE_API_KEY_FILE_PATH": given} if given else {}
    settings = load_settings(environ, home=home)
    settings.require(Need.STUDIO)
    assert settings.api_key.value == API_KEY
    assert settings.api_key.origin == str(path)
    direct = load_settings({**environ, "DASHSCOPE_API_KEY": "sk-2"}, home=home)
    assert direct.api_key.value == "sk-2"


def test_an_api_key_file_that_is_not_there_is_named(home: Path) -> None:
    environ = {"DASHSCOPE_API_KEY_FILE_PATH": "~/none"}
    error = refused(load_settings(environ, home=home), Need.STUDIO)
    assert f"no API key: there is no file {home}/none" in error.message
