"""The deployment of an imported model, as the call that its owner may make.

preflight never makes it. Model Studio's pages "Create deployment" (every field that a
call needs, what to call afterwards, suffixes), "Deployment object" (states) and "Deploy
a model by using an API or CLI" (what is billed from when), read in November 2026.
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from preflight.catalog.regions import console_of_base_url
from preflight.errors import UsageError
from preflight.findings import WeightType
from preflight.language import say

DEFAULT_SERVICE = "https://dashscope-intl.aliyuncs.com/api/v1"
CALLED = say("call it by the answer's `deployed_model` (a second needs a `suffix`)")
DETAILS = (
    say("it runs after 5 to 10 minutes; `GET /deployments/{deployed_model}` tells"),
    say("a suffix has at most 8 lower-case letters and digits"),
)
_BILLING = {
    "lora": say(
        "billed by the token: nothing while unused, released after a month unused"
    ),
    "mu": say("billed by time, from the moment it runs, used or not"),
}
_SUFFIX = "abcdefghijklmnopqrstuvwxyz0123456789"
_LONGEST_SUFFIX = 8
_WIDTH = 64  # columns of a line of the body, where its fields allow that


@dataclass(frozen=True, slots=True)
class DeploymentCall:
    """`POST url` with `body` as JSON and the API key in the header deploys the model.

    `console`: the console's page of deployments, where the same can be done by hand.
    """

    url: str
    body: Mapping[str, Any]
    console: str

    @property
    def billing(self) -> str:
        """What is billed, and from when."""
        return _BILLING[self.body["plan"]]

    def curl(self) -> str:
        """The call for a shell, in lines that can be copied together.

        The key is not in it: the shell takes it from `DASHSCOPE_API_KEY`.
        """
        return "\n".join(self._curl())

    def _curl(self) -> Iterator[str]:
        yield f"curl -X POST {shlex.quote(self.url)} \\"
        yield '  -H "Authorization: Bearer $DASHSCOPE_API_KEY" \\'
        yield "  -H 'Content-Type: application/json' \\"
        yield f"  -d {shlex.quote(self._body())}"

    def _body(self) -> str:
        """As JSON in short lines, so that no terminal breaks a name in two."""
        fields = [json.dumps({name: value})[1:-1] for name, value in self.body.items()]
        lines = [fields[0]]
        for field in fields[1:]:
            if len(lines[-1]) + len(field) < _WIDTH:
                lines[-1] += f", {field}"
            else:
                lines.append(field)
        return "{" + ",\n       ".join(lines) + "}"


def deployment_call(
    model_name: str,
    weight_type: WeightType | None,
    *,
    name: str = "",
    suffix: str = "",
    service: str = "",
) -> DeploymentCall:
    """The call that deploys a model by its system-generated name.

    An adapter (or a model of unknown kind) goes by plan `lora`, full weights by model
    units, plan `mu`, of the smallest kind: `GET /deployments/models?version=v1.0` tells
    kinds and numbers. `name`: how the console shows it; `suffix`: tells a second
    deployment of one model from the first; `service`: the API's address. Raises
    `UsageError` for a suffix that the service would refuse.
    """
    if set(suffix) - set(_SUFFIX) or len(suffix) > _LONGEST_SUFFIX:
        raise UsageError(
            say("not a suffix: {suffix}", suffix=repr(suffix)),
            hint=say("at most 8 lower-case letters and digits"),
        )
    body: dict[str, Any] = {"name": name or model_name, "model_name": model_name}
    if weight_type is WeightType.FULL:
        units = {"billing_method": "POST_PAY", "deploy_spec": "MU1"}
        body |= {"plan": "mu", "capacity": 1, **units}
    else:
        body |= {"plan": "lora", "capacity": 1}
    body |= {"suffix": suffix} if suffix else {}
    address = service or DEFAULT_SERVICE
    console = console_of_base_url(address)
    return DeploymentCall(f"{address}/deployments", body, console)
