from __future__ import annotations

from functools import partial

import pytest

from preflight.destination import (
    MAX_KEY_BYTES,
    PLACEHOLDERS,
    Destination,
    DestinationTemplate,
    parse_destination,
)
from preflight.errors import UsageError


@pytest.mark.parametrize(
    ("url", "bucket", "prefix", "slash_added"),
    [
        ("oss://my-bucket/models/a/", "my-bucket", "models/a/", False),
        ("oss://my-bucket/models/a", "my-bucket", "models/a/", True),
        ("oss://abc/x", "abc", "x/", True),
        ("oss://abc/50%25 off/模型/", "abc", "50%25 off/模型/", False),
        ("oss://abc/{name}-{digest}/", "abc", "{name}-{digest}/", False),
        ("oss://abc/why?not#here/", "abc", "why?not#here/", False),
        ("oss://abc/..a/b../", "abc", "..a/b../", False),
        (f"oss://{'b' * 63}/p/", "b" * 63, "p/", False),
    ],
)
def test_a_destination_is_taken_literally(
    url: str, bucket: str, prefix: str, slash_added: bool
) -> None:
    found = parse_destination(url)
    assert (found.bucket, found.prefix, found.slash_added) == (
        bucket,
        prefix,
        slash_added,
    )
    assert found.url == f"oss://{bucket}/{prefix}"
    assert found.key("config.json") == prefix + "config.json"


def test_the_added_slash_makes_no_other_destination() -> None:
    assert parse_destination("oss://abc/p") == Destination("abc", "p/")


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("", "not a destination"),
        ("models/a", "not a destination"),
        ("s3://abc/p/", "not a destination"),
        ("OSS://abc/p/", "not a destination"),
        ("oss:/abc/p/", "not a destination"),
        ("oss://", "no bucket"),
        ("oss:///p/", "no bucket"),
        ("oss://ab/p/", "not a bucket name"),
        (f"oss://{'b' * 64}/p/", "not a bucket name"),
        ("oss://-abc/p/", "not a bucket name"),
        ("oss://abc-/p/", "not a bucket name"),
        ("oss://Abc/p/", "not a bucket name"),
        ("oss://a.b.c/p/", "not a bucket name"),
        ("oss://abc\n/p/", "not a bucket name"),
        ("oss://abc", "root"),
        ("oss://abc/", "root"),
        ("oss://abc//", "starts with a slash"),
        ("oss://abc//p/", "starts with a slash"),
        ("oss://abc/p//q/", "empty part"),
        ("oss://abc/p//", "empty part"),
        ("oss://abc/p\\q/", "backslash"),
        ("oss://abc/p\x07/", "control character"),
        ("oss://abc/p\n", "control character"),
        ("oss://abc/p\x7f", "control character"),
        ("oss://abc/../p/", "part that is"),
        ("oss://abc/p/..", "part that is"),
        ("oss://abc/./p", "part that is"),
        ("oss://abc/p\udcff/", "UTF-8"),
    ],
)
def test_what_is_no_destination_says_why(url: str, words: str) -> None:
    with pytest.raises(UsageError, match=words) as caught:
        parse_destination(url)
    assert caught.value.hint


@pytest.mark.parametrize("letter", ["x", "é", "模"])
def test_the_prefix_is_limited_in_bytes(letter: str) -> None:
    most = (MAX_KEY_BYTES - 1) // len(letter.encode())
    parse_destination(f"oss://abc/{letter * most}")
    with pytest.raises(UsageError, match="at most 1023"):
        parse_destination(f"oss://abc/{letter * (most + 1)}")


def settled(url: str, **values: str) -> str:
    known = {name: partial(str, value) for name, value in values.items()}
    return DestinationTemplate.parse(url).settle(known).url


@pytest.mark.parametrize(
    ("url", "expanded"),
    [
        ("oss://abc/models/", "oss://abc/models/"),
        ("oss://abc/{name}/", "oss://abc/my-model/"),
        ("oss://abc/{base}/{name}-{digest}/", "oss://abc/qwen3-8b/my-model-c0ffee/"),
        ("oss://abc/{name}{name}", "oss://abc/my-modelmy-model/"),
        ("oss://abc/a}b{c/", "oss://abc/a}b{c/"),
    ],
)
def test_placeholders_are_filled(url: str, expanded: str) -> None:
    assert settled(url, name="my-model", base="qwen3-8b", digest="c0ffee") == expanded


def test_a_value_is_not_looked_at_again() -> None:
    assert settled("oss://abc/{name}/", name="{digest}") == "oss://abc/{digest}/"


def test_only_the_values_that_are_used_are_asked_for() -> None:
    def dear() -> str:
        raise AssertionError("all files would have been read")

    template = DestinationTemplate.parse("oss://abc/{name}/")
    assert template.settle({"name": lambda: "a", "digest": dear}).prefix == "a/"


@pytest.mark.parametrize("name", ["step", "", "Name", "name "])
def test_an_unknown_placeholder_names_the_known_ones(name: str) -> None:
    with pytest.raises(UsageError, match="is not known") as caught:
        DestinationTemplate.parse(f"oss://abc/{{{name}}}/")
    assert all(f"{{{known}}}" in caught.value.hint for known in PLACEHOLDERS)


def test_a_placeholder_without_a_value() -> None:
    with pytest.raises(UsageError, match="has no value"):
        settled("oss://abc/{base}/", name="a")


@pytest.mark.parametrize("value", ["..", "a//b", "/"])
def test_a_value_that_makes_no_key(value: str) -> None:
    with pytest.raises(UsageError, match="the prefix"):
        settled("oss://abc/{name}/", name=value)


def test_part_of_a_template_is_filled_before_the_rest() -> None:
    template = DestinationTemplate.parse("oss://abc/{base}/{parent}-{name}-{digest}/")
    assert template.names == ("parent", "name")
    half = template.partly({"name": lambda: "adapter", "parent": lambda: "3"})
    assert half.url == "oss://abc/{base}/3-adapter-{digest}/"
    assert half.placeholders == {"base", "digest"}
