"""The tables of speed in both READMEs, made of what `make bench` stored."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from preflight.language import ENGLISH, current_language

RESULT = Path(__file__).parent / "benchmarks" / "result.json"

_HEADS = {
    "uploader": "上传程序",
    "x oss2": "相对 oss2",
    "x plain": "相对裸套接字",
    "CPU s/GB": "CPU 秒/GB",
    "peak MB": "峰值 MB",
    "link": "链路",
    "found": "自动",
    "best fixed": "最佳固定值",
    "what": "项目",
    "figure": "结果",
}
_TITLES = {
    "values scanned": "同时扫描数值",
    "connections": "个连接",
    "threads": "个线程",
    "(its defaults)": "（默认设置）",
    "no CRC": "不校验 CRC",
    "read and send, nothing else": "只读取并发送",
}
_LINKS = {
    "as fast as the machine": "与机器同速",
    "60 MB/s a connection, 30 ms": "每个连接 60 MB/s，应答延迟 30 毫秒",
    "20 MB/s a connection, 150 ms": "每个连接 20 MB/s，应答延迟 150 毫秒",
    "5 MB/s a connection, 200 ms": "每个连接 5 MB/s，应答延迟 200 毫秒",
    "30 MB/s a connection, 5 ms, 503 above 100 MB/s in all": (
        "每个连接 30 MB/s，应答延迟 5 毫秒，合计超过 100 MB/s 时返回 503"
    ),
    "60 MB/s and 30 ms, then 5 MB/s and 200 ms": (
        "先是 60 MB/s 与 30 毫秒，中途变为 5 MB/s 与 200 毫秒"
    ),
}
_MORE = {
    "a whole push of {gb:.0f} GB over https: all rules, scan, upload, verification": (
        "经 https 完整推送 {gb:.0f} GB：全部规则、扫描、上传、校验"
    ),
    "{ratio:.2f} x a loop of `ssl.sendall`, {cpu:.2f} CPU s/GB": (
        "`ssl.sendall` 循环的 {ratio:.2f} 倍，{cpu:.2f} CPU 秒/GB"
    ),
    "two tasks, each on a link of its own (`push --share`)": (
        "两个任务各用自己的链路（`push --share`）"
    ),
    "{ratio:.2f} x the time of one": "单个任务所需时间的 {ratio:.2f} 倍",
    "the values of a model in a bucket, `check --scan oss://…`": (
        "扫描 Bucket 中模型的数值，`check --scan oss://…`"
    ),
    "{ratio:.2f} x `oss2.get_object_to_file`": (
        "`oss2.get_object_to_file` 的 {ratio:.2f} 倍"
    ),
    "the value scan alone, BF16": "单独的数值扫描，BF16",
    "{ratio:.2f} x an ordinary read of the file": "普通读取该文件的 {ratio:.2f} 倍",
    "answers waited for one after the other: a first push of an adapter": (
        "依次等待的应答数：首次推送适配器"
    ),
    "answers waited for: a push with nothing to do": "依次等待的应答数：无事可做的推送",
}


def _known(text: str) -> str:
    """In the page's language; names and figures stay."""
    if current_language() == ENGLISH:
        return text
    return {**_HEADS, **_LINKS, **_MORE}[text]


def _title(text: str) -> str:
    """A row's title, part by part."""
    if current_language() == ENGLISH:
        return text
    for english in sorted(_TITLES, key=len, reverse=True):
        text = text.replace(english, _TITLES[english])
    return text.replace(" （", "（").replace(", ", "，")


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _head(*cells: str) -> list[str]:
    return [_row(cells), f"|{' --- |' * len(cells)}"]


def stored() -> Mapping[str, Any]:
    """What the last `make bench` that was kept found."""
    found: Mapping[str, Any] = json.loads(RESULT.read_text("utf-8"))
    return found


def uploads_table(found: Mapping[str, Any]) -> str:
    """Each uploader over https and over http, ratios first."""
    figures = ("x oss2", "x plain", "CPU s/GB")
    heads = [_known("uploader")]
    for scheme in ("https", "http"):
        heads += [f"{scheme}: {_known(name)}" for name in figures] + ["GB/s"]
    lines = _head(*heads, _known("peak MB"))
    plain = {row["title"]: row for row in found["uploads"]["http"]["rows"]}
    for row in found["uploads"]["https"]["rows"]:
        cells = [_title(row["title"])]
        for one in (row, plain[row["title"]]):
            cells += [f"{one['times_oss2']:.1f}", f"{one['times_plain']:.2f}"]
            cells += [f"{one['cpu']:.2f}", f"{one['speed']:.2f}"]
        lines.append(_row([*cells, f"{row['peak'] / 1e6:.0f}"]))
    return "\n".join(lines)


def workers_table(found: Mapping[str, Any]) -> str:
    """What is found without a flag, times the best fixed number of workers."""
    times = f"{_known('found')} / {_known('best fixed')}"
    lines = _head(_known("link"), times, "MB/s", f"{_known('best fixed')}")
    for shape in found["workers"].values():
        ours, *fixed = shape["rows"]
        best = max(fixed, key=lambda row: float(row["speed"]))
        cells = [_known(shape["title"]), f"{ours['times_best']:.2f}"]
        cells += [f"{ours['speed']:.0f}", f"{best['workers']}"]
        lines.append(_row(cells))
    return "\n".join(lines)


def _more(found: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    whole = found["whole"]
    push = whole["rows"][0]
    title, figure, *texts = map(_known, _MORE)
    yield (
        title.format(gb=whole["bytes"] / 1e9),
        figure.format(ratio=push["times_plain"], cpu=push["cpu"]),
    )
    ratios = (
        found["share"]["times_one"],
        found["remote"]["rows"][0]["times_oss2"],
        found["scan"][0]["times_usual"],
    )
    for ratio in ratios:
        title, figure, *texts = texts
        yield title, figure.format(ratio=ratio)
    for title, number in zip(texts, found["answers"].values(), strict=True):
        yield title, str(number)


def more_table(found: Mapping[str, Any]) -> str:
    """What is not an uploader's row."""
    lines = _head(_known("what"), _known("figure"))
    return "\n".join([*lines, *(_row(cells) for cells in _more(found))])


def _setting(found: Mapping[str, Any]) -> str:
    """On what it was measured."""
    machine, http = found["machine"], found["uploads"]["http"]
    said = (
        "{cores} cores, Python {python}, OpenSSL {openssl}; {gb:.2f} GB, {rounds} "
        "rounds; over https {terminator} speaks TLS."
    )
    if current_language() != ENGLISH:
        said = (
            "{cores} 核，Python {python}，OpenSSL {openssl}；{gb:.2f} GB，{rounds} 轮；"
            "https 由 {terminator} 处理 TLS。"
        )
    gigabytes = http["bytes"] / 1e9
    return said.format(gb=gigabytes, rounds=http["rounds"], **machine)


def speed_tables() -> str:
    """All of it, as it stands in the page."""
    found = stored()
    parts = (_setting, uploads_table, workers_table, more_table)
    return "\n\n".join(each(found) for each in parts)
