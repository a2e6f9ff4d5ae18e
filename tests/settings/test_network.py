"""Proxies and files of TLS that cannot be used, told before the first request."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

from preflight.sandbox.certificates import make_certificates
from preflight.settings import Need, load_settings, masked
from preflight.settings.network import proxy_for, read_proxy, tls_problem
from tests.settings.samples import PLACED, refused

REAL = "https://oss-cn-beijing.aliyuncs.com"


def test_a_proxy_is_shown_without_its_login() -> None:
    for value, shown in [
        ("http://proxy.corp:8080", "proxy.corp:8080"),
        ("proxy.corp:8080", "proxy.corp:8080"),
        ("http://proxy.corp:8080/", "proxy.corp:8080"),
        ("https://10.0.0.1:3128", "10.0.0.1:3128"),
        ("http://user:p%23ss%2Fword@proxy.corp:8080", "proxy.corp:8080 with a login"),
        ("http://user:with@sign@proxy.corp:8080", "proxy.corp:8080 with a login"),
        ("http://[fd00::1]:8080", "fd00::1:8080"),
    ]:
        found = read_proxy("HTTPS_PROXY", value)
        assert (found.shown, found.problem) == (shown, "")


def test_nothing_is_shown_of_a_proxy_that_cannot_be_used(tmp_path: Path) -> None:
    for value, words in [
        ("http://user:planted#2024@proxy:1", "%23 for #"),
        ("http://user:planted/2024@proxy:1", "%2F for /"),
        ("user:planted?2024@proxy:1", "%3F for ?"),
        ("http://user:#planted2024@proxy:1", "%23 for #"),
        ("http://user:planted2024@proxy:99999", "no host and port"),
        ("http://user:planted2024@proxy:port", "no host and port"),
        ("http://user:planted2024@", "no host and port"),
        ("gopher://user:planted2024@proxy:1", "of a kind"),
        ("http://user:planted2024@proxy:1\n", "space or newline"),
        ("'http://user:planted2024@proxy:1'", "quotation marks"),
        ("http://<user>:planted2024@<proxy>", "quotation marks or brackets"),
        ("http://", "no host and port"),
    ]:
        settings = load_settings({**PLACED, "HTTPS_PROXY": value}, home=tmp_path)
        for need in Need:
            error = refused(settings, need)
            assert error.message.startswith("HTTPS_PROXY ")
            assert words in error.message
            assert "NO_PROXY" in error.hint
            assert "planted" not in f"{error.message}{settings!r}{settings.ways}"
        assert "planted" not in masked(value)
        assert settings.ways == {}


def test_a_socks_proxy_needs_its_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("preflight.settings.network.find_spec", lambda _: None)
    for kind in ("socks4", "socks5", "socks5h"):
        found = read_proxy("ALL_PROXY", f"{kind}://127.0.0.1:1080")
        assert "ALL_PROXY names a SOCKS proxy" in found.problem
        assert "pip install pysocks" in found.problem
    some = importlib.util.find_spec("json")
    monkeypatch.setattr("preflight.settings.network.find_spec", lambda _: some)
    assert read_proxy("ALL_PROXY", "socks5h://127.0.0.1:1080").problem == ""


def test_the_variable_that_requests_would_take() -> None:
    for environ, variable in [
        ({}, None),
        ({"HTTP_PROXY": "http://a:1"}, None),
        ({"HTTPS_PROXY": ""}, None),
        ({"https_proxy": "", "HTTPS_PROXY": "http://b:1"}, None),
        ({"HTTPS_PROXY": "", "https_proxy": "http://b:1"}, "https_proxy"),
        ({"https_proxy": "", "ALL_PROXY": "http://b:1"}, "ALL_PROXY"),
        ({"HTTPS_PROXY": "http://a:1"}, "HTTPS_PROXY"),
        ({"https_proxy": "http://a:1", "HTTPS_PROXY": "http://b:1"}, "https_proxy"),
        ({"ALL_PROXY": "http://a:1", "HTTPS_PROXY": "http://b:1"}, "HTTPS_PROXY"),
        ({"all_proxy": "http://a:1"}, "all_proxy"),
        ({"HTTPS_PROXY": "http://a:1", "NO_PROXY": ".aliyuncs.com"}, None),
        ({"HTTPS_PROXY": "http://a:1", "no_proxy": "*"}, None),
        ({"HTTPS_PROXY": "http://a:1", "NO_PROXY": "example.com"}, "HTTPS_PROXY"),
    ]:
        found = proxy_for(REAL, environ)
        assert (found.variable if found else None) == variable
        assert proxy_for("http://127.0.0.1:1", environ) is None


def test_requests_takes_the_same_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is checked here is what is used there."""
    from requests.utils import get_environ_proxies, select_proxy

    for names in ("https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY", "no_proxy"):
        monkeypatch.delenv(names, raising=False)
    for environ in (
        {"https_proxy": "", "HTTPS_PROXY": "http://b:1"},
        {"https_proxy": "http://a:1", "HTTPS_PROXY": "http://b:1"},
        {"https_proxy": "", "ALL_PROXY": "http://c:1"},
    ):
        for name, value in environ.items():
            monkeypatch.setenv(name, value)
        taken = select_proxy(REAL, get_environ_proxies(REAL))
        found = proxy_for(REAL, environ)
        assert taken == (environ[found.variable] if found else None)
        for name in environ:
            monkeypatch.delenv(name)


def test_a_service_that_is_exempt_is_not_bothered(tmp_path: Path) -> None:
    environ = {
        **PLACED,
        "HTTPS_PROXY": "gopher://proxy:1",
        "NO_PROXY": "oss-ap-southeast-1.aliyuncs.com",
    }
    settings = load_settings(environ, home=tmp_path)
    settings.require(Need.OSS)
    refused(settings, Need.STUDIO)
    environ["OSS_ENDPOINT"] = "http://127.0.0.1:1"
    environ["DASHSCOPE_HTTP_BASE_URL"] = "http://127.0.0.1:1/api/v1"
    load_settings(environ, home=tmp_path).require(Need.OSS, Need.STUDIO)


def test_certificates_and_key_logs_that_cannot_be_used(tmp_path: Path) -> None:
    made = make_certificates(tmp_path / "ca", "localhost")
    words = tmp_path / "words.txt"
    words.write_text("no certificate\n")
    gone, hashed = tmp_path / "gone.pem", tmp_path / "hashed"
    hashed.mkdir()
    (hashed / "0a1b2c3d.0").symlink_to(made.authority)
    for name, value, told in (
        ("REQUESTS_CA_BUNDLE", str(made.authority), ""),
        ("REQUESTS_CA_BUNDLE", str(tmp_path), "without certificates by their hash"),
        ("REQUESTS_CA_BUNDLE", str(hashed), ""),
        ("REQUESTS_CA_BUNDLE", str(gone), f"a file that is not there: {gone}"),
        ("CURL_CA_BUNDLE", f'"{made.authority}"', "quotation marks around it"),
        ("CURL_CA_BUNDLE", str(words), "without a certificate in PEM form"),
        ("SSLKEYLOGFILE", str(tmp_path / "keys.log"), ""),
        ("SSLKEYLOGFILE", str(gone / "keys.log"), "that cannot be written"),
        ("SSLKEYLOGFILE", str(tmp_path), "that cannot be written"),
    ):
        problem = tls_problem({name: value})
        assert told in problem
        assert bool(problem) == bool(told)
        assert not problem or problem.startswith(f"{name} ")
    first = {"REQUESTS_CA_BUNDLE": str(made.authority), "CURL_CA_BUNDLE": str(gone)}
    assert tls_problem(first) == ""
    made.authority.write_text("no certificate any more\n")
    assert "without a certificate" in tls_problem(first)
    settings = load_settings({**PLACED, "CURL_CA_BUNDLE": str(gone)}, home=tmp_path)
    error = refused(settings)
    assert error.message.count("CURL_CA_BUNDLE") == 1


def test_a_short_secret_is_masked_where_it_stands_alone(tmp_path: Path) -> None:
    environ = {**PLACED, "HTTPS_PROXY": "http://me:heron@proxy:1"}
    load_settings(environ, home=tmp_path)
    assert masked("heron, herons and http://me:heron@x") == (
        "***, herons and http://me:***@x"
    )
