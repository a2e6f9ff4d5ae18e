"""Temporary keys of a machine's role, from a metadata service on loopback."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from pytest_httpserver import HTTPServer

from preflight.errors import ConfigurationError
from preflight.settings import Need, Settings, load_settings, masked, with_role_keys
from tests.settings.samples import KEYS, SECRET, TOKEN, aliyun

ROLE_FORM = {
    "Code": "Success",
    "AccessKeyId": "STS.fromRole",
    "AccessKeySecret": SECRET,
    "SecurityToken": TOKEN,
}
ROLE_PATH = "/latest/meta-data/ram/security-credentials/trainer"
ASKED = {"ALIBABA_CLOUD_ECS_METADATA": "trainer", "OSS_REGION": "cn-beijing"}


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
    assert masked(f"{SECRET} {TOKEN}") == "*** ***"


def test_the_cli_s_profile_may_name_the_role(
    home: Path, httpserver: HTTPServer
) -> None:
    aliyun(home, mode="EcsRamRole", ram_role_name="trainer")
    # A metadata service without the hardened mode knows no tokens.
    httpserver.expect_request("/latest/api/token").respond_with_data("", 404)
    httpserver.expect_request(ROLE_PATH).respond_with_json(ROLE_FORM)
    settings = from_role(
        {"OSS_REGION": "cn-beijing"}, home, httpserver.url_for("").rstrip("/")
    )
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
