"""Where keys come from: variables, and the files of the vendor's tools."""

from __future__ import annotations

from pathlib import Path

import pytest

from preflight.findings import Unavailable
from preflight.settings import Need, load_settings
from tests.settings.samples import (
    API_KEY,
    ID,
    KEYS,
    PLACED,
    SECRET,
    TOKEN,
    aliyun,
    ossutil,
    refused,
)

HERE = {"OSS_REGION": "cn-beijing"}
BEIJING_OSS = "https://oss-cn-beijing.aliyuncs.com"


def test_the_second_names_of_the_keys_are_read(home: Path) -> None:
    environ = {
        **HERE,
        "ALIBABA_CLOUD_ACCESS_KEY_ID": ID,
        "ALIBABA_CLOUD_ACCESS_KEY_SECRET": SECRET,
        "ALIBABA_CLOUD_SECURITY_TOKEN": TOKEN,
    }
    settings = load_settings(environ, home=home)
    settings.require(Need.OSS)
    assert settings.session_token.value == TOKEN
    settings = load_settings({**environ, **PLACED}, home=home)
    assert settings.access_key_id.origin == "environment (OSS_ACCESS_KEY_ID)"
    assert settings.session_token.value == ""  # it belongs to the other keys


def test_keys_of_two_sources_are_never_mixed(home: Path) -> None:
    ossutil(home, f"accessKeyID={ID}", f"accessKeySecret={SECRET}")
    settings = load_settings({**HERE, "OSS_ACCESS_KEY_ID": "LTAIanother"}, home=home)
    assert refused(settings, Need.OSS).message == "not set: OSS_ACCESS_KEY_SECRET"


def test_ossutil_s_file_is_read_in_its_spellings(home: Path) -> None:
    for names, section in [
        (("accessKeyID", "accessKeySecret", "stsToken"), "Credentials"),
        (("accessKeyId", "AccessKeySecret", "ststoken"), "Credentials"),
        (("access_key_id", "access_key_secret", "sts_token"), "Credentials"),
        (("accessid", "accesskey", "stsToken"), "Credentials"),
        (("access_id", "access_key", "stsToken"), "Credentials"),
        (("accessKeyID", "accessKeySecret", "stsToken"), "default"),
    ]:
        lines = [f"{n} = {v}" for n, v in zip(names, (ID, SECRET, TOKEN), strict=True)]
        path = ossutil(home, "language=EN", *lines, section=section)
        settings = load_settings(HERE, home=home)
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
        settings = load_settings({**HERE, "OSS_CONFIG_FILE": named}, home=home)
        settings.require(Need.OSS)
    settings = load_settings({"OSS_CONFIG_FILE": "~/none"}, home=home)
    assert f"there is no file {home}/none" in refused(settings, Need.OSS).message


def test_a_broken_file_is_named_but_not_quoted(home: Path) -> None:
    for text in [
        f"accessKeySecret={SECRET}\n",
        f"[Credentials]\n{SECRET}\n =\n",
        "\x00\xff[",
    ]:
        path = home / ".ossutilconfig"
        path.write_text(text, "latin-1")
        error = refused(load_settings({}, home=home), Need.OSS)
        assert SECRET not in f"{error.message}{error.hint}{error.__cause__}"
        assert error.__context__ is None
        load_settings(PLACED, home=home).require(Need.OSS, Need.STUDIO)


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
    assert settings.access_key_id.value == ID
    assert settings.access_key_id.origin == f"{path}, profile mine"
    assert settings.session_token.value == token
    assert settings.region.value == ""  # that of the CLI's other services
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


@pytest.mark.parametrize("named", ["", "elsewhere", "~/elsewhere"])
def test_the_api_key_may_lie_in_a_file(home: Path, named: str) -> None:
    path = home / (named.removeprefix("~/") or ".dashscope/api_key")
    path.parent.mkdir(exist_ok=True)
    path.write_text(f"{API_KEY}\n")
    given = named if named.startswith("~") or not named else str(path)
    environ = {**HERE, **({"DASHSCOPE_API_KEY_FILE_PATH": given} if given else {})}
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


def test_without_a_home_nothing_is_read_there() -> None:
    nowhere = Unavailable("HOME is empty")
    load_settings(PLACED, home=nowhere).require(Need.OSS, Need.STUDIO)
    error = refused(load_settings(HERE, home=nowhere))
    assert error.message.startswith("not set: OSS_ACCESS_KEY_ID")
    named = {"OSS_CONFIG_FILE": "~/x", "DASHSCOPE_API_KEY_FILE_PATH": "~/y"}
    error = refused(load_settings({**HERE, **named}, home=nowhere))
    for words in ("no ~/x: HOME is empty", "no ~/y: HOME is empty"):
        assert words in error.message
