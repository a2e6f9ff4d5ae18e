from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from preflight.sandbox.oss.listing import Entry, list_page

KEYS = st.lists(st.text("ab/", min_size=1, max_size=5), max_size=12)


def all_pages(
    entries: list[Entry], limit: int, prefix: str, delimiter: str
) -> list[Entry]:
    """Everything that a client finds which follows the markers to the end."""
    found: list[Entry] = []
    after = ("", "")
    while True:
        page = list_page(
            entries, prefix=prefix, delimiter=delimiter, after=after, limit=limit
        )
        assert len(page.entries) + len(page.prefixes) <= limit
        found += [*page.entries, *((name, "*") for name in page.prefixes)]
        if not page.truncated:
            return found
        after = page.last


@given(KEYS, st.integers(1, 4), st.text("ab/", max_size=2), st.sampled_from(["", "/"]))
def test_pages_of_any_size_show_the_same(
    keys: list[str], limit: int, prefix: str, delimiter: str
) -> None:
    entries = sorted((key, str(number)) for number, key in enumerate(keys))
    found = all_pages(entries, limit, prefix, delimiter)
    expected: set[Entry] = set()
    for key, number in entries:
        head, cut, _ = key[len(prefix) :].partition(delimiter or "\0")
        if key.startswith(prefix):
            expected.add((prefix + head + cut, "*") if cut else (key, number))
    assert len(found) == len(set(found))
    assert set(found) == expected
