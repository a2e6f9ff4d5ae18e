"""Model Studio's own SDK: it has no imports, and asks for deployments."""

from __future__ import annotations

import os

import dashscope
from reporting import must, report

dashscope.base_http_api_url = os.environ["DASHSCOPE_HTTP_BASE_URL"]
dashscope.api_key = os.environ["DASHSCOPE_API_KEY"]


def listing() -> None:
    answer = dashscope.Deployments.list()
    must(answer.status_code == 200, f"{answer.code}: {answer.message}")
    must(answer.output.deployments == [], answer.output)


def unknown() -> None:
    answer = dashscope.Deployments.get("no-such-model")
    must((answer.status_code, answer.code) == (404, "NotFound"), answer)


def refused() -> None:
    answer = dashscope.Generation.call(model="qwen-plus", prompt="hello")
    must((answer.status_code, answer.code) == (501, "NotImplemented"), answer)


report("dashscope", {"list": listing, "not found": unknown, "not offered": refused})
