"""Whole commands through the proxy of a company, by the real names of the services."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from preflight.clock import compressed
from preflight.sandbox import Sandbox
from preflight.sandbox.certificates import Certificates, make_certificates
from tests.proxy import Proxy, intercepting
from tests.raw_server import raw_server
from tests.running import InProcess, Run, tiny_adapter

OSS, STUDIO = "oss-ap-southeast-1.aliyuncs.com", "dashscope-intl.aliyuncs.com"
LOGIN, ENCODED = "someone:planted#pass/word", "someone:planted%23pass%2Fword"
SECRETS = ("planted#", "planted%23", "pass/word", "pass%2Fword")


class Office:
    """A sandbox that is reached through a proxy alone."""

    def __init__(self, box: Sandbox, proxy: Proxy, made: Certificates) -> None:
        self.box, self.proxy, self.made = box, proxy, made
        self.url = f"oss://{box.bucket}/models/one/"

    def address(self, login: str = ENCODED, scheme: str = "http") -> str:
        at = f"{login}@" if login else ""
        return f"{scheme}://{at}127.0.0.1:{self.proxy.port}"


@pytest.fixture(scope="module")
def office(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Office]:
    made = make_certificates(tmp_path_factory.mktemp("ca"), STUDIO, OSS, f"*.{OSS}")
    with ExitStack() as stack:
        box = stack.enter_context(Sandbox())

        def route(host: str) -> int:
            return box.studio_endpoint.port if host == STUDIO else box.oss_endpoint.port

        proxy = stack.enter_context(intercepting(route, made.context(), LOGIN))
        yield Office(box, proxy, made)


@pytest.fixture
def run(
    office: Office,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Callable[..., Run]:
    """A command with the proxy's address and whatever else the environment holds."""
    preflight = InProcess(tmp_path / "home", monkeypatch, capsys)

    def go(*words: object, **variables: str) -> Run:
        env = office.box.environment()
        del env["OSS_ENDPOINT"], env["DASHSCOPE_HTTP_BASE_URL"]
        bundle = {"REQUESTS_CA_BUNDLE": str(office.made.authority)}
        for name, value in {**env, **bundle, **variables}.items():
            monkeypatch.setenv(name, value)
        done = preflight(*words)
        for secret in SECRETS:
            assert secret not in done.out + done.err
        return done

    return go


def test_a_push_goes_through_a_proxy_that_wants_a_login(
    office: Office, run: Callable[..., Run], tmp_path: Path
) -> None:
    adapter = tiny_adapter(tmp_path / "adapter")
    words = ("push", adapter, office.url, "--poll-interval", "0.05", "-vv")
    done = run(*words, HTTPS_PROXY=office.address())
    assert done.code == 0, done.err
    assert set(office.proxy.asked) == {STUDIO, f"{office.box.bucket}.{OSS}"}
    told = run("doctor", office.url, HTTPS_PROXY=office.address())
    assert told.code == 0, told.out
    shown = f"HTTPS_PROXY is 127.0.0.1:{office.proxy.port} with a login"
    assert f"OSS is reached through a proxy: {shown}" in told.out


def test_a_proxy_that_breaks_connections_is_suspected(
    office: Office, run: Callable[..., Run], tmp_path: Path
) -> None:
    """No word of a proxy is in what http.client says then."""
    adapter = tiny_adapter(tmp_path / "adapter")
    with raw_server([b"\x00\x01garbage\r\n\r\n"]) as server:
        address = server.url.removesuffix("/api/v1")
        for words in (("push", adapter, office.url), ("jobs",), ("doctor", office.url)):
            with compressed():
                done = run(*words, HTTPS_PROXY=address)
            assert done.code in (5, 6)
            told = done.out + done.err
            assert f"HTTPS_PROXY is {address.removeprefix('http://')}" in told


def test_what_is_wrong_with_the_way_is_told_at_once_and_alike(
    office: Office, run: Callable[..., Run], tmp_path: Path
) -> None:
    adapter = tiny_adapter(tmp_path / "adapter")
    gone = str(tmp_path / "gone.pem")
    asked = len(office.proxy.asked)
    for variables, words in (
        ({"HTTPS_PROXY": office.address("")}, "asks for a login (HTTP 407)"),
        ({"HTTPS_PROXY": office.address(LOGIN)}, "write %23 for #"),
        ({"HTTPS_PROXY": office.address(scheme="https")}, "speaks plain http"),
        ({"HTTPS_PROXY": office.address(scheme="gopher")}, "of a kind"),
        (
            {"HTTPS_PROXY": office.address(), "REQUESTS_CA_BUNDLE": gone},
            f"REQUESTS_CA_BUNDLE names a file that is not there: {gone}",
        ),
    ):
        for command in (
            ("push", adapter, office.url, "-vv"),
            ("jobs", "-vv"),
            ("doctor", office.url),
        ):
            done = run(*command, **variables)
            assert done.code == 2, (command, done.out, done.err)
            assert words in done.out + done.err
            assert "Traceback" not in done.out
    assert len(office.proxy.asked) == asked  # nobody got a request
    strange = {"HTTPS_PROXY": office.address(), "REQUESTS_CA_BUNDLE": ""}
    pushed, listed = run("push", adapter, office.url, **strange), run("jobs", **strange)
    assert (pushed.code, listed.code) == (5, 6)
    for done in (pushed, listed):
        assert "REQUESTS_CA_BUNDLE" in done.told()[1]


def test_https_on_this_machine_is_trusted_by_whom_the_environment_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """It is reached without a proxy and without ~/.netrc, but not without proof."""
    preflight = InProcess(tmp_path / "home", monkeypatch, capsys)
    adapter = tiny_adapter(tmp_path / "adapter")
    with Sandbox(directory=tmp_path / "box", tls=True) as box:
        bundle = box.environment()["REQUESTS_CA_BUNDLE"]
        preflight.use(box, HTTPS_PROXY="http://127.0.0.1:9", REQUESTS_CA_BUNDLE="")
        words = ("push", adapter, f"oss://{box.bucket}/m/", "--poll-interval", "0.05")
        refused = preflight(*words)
        assert refused.code != 0
        assert "certificate" in " ".join(refused.told())
        monkeypatch.setenv("CURL_CA_BUNDLE", bundle)
        assert preflight(*words).code == 0
