"""Processes of preflight that are forked from one that has all of it loaded.

    spawn(["check", "out/adapter"], env, stdout=1, stderr=2)

behaves like `python -m preflight check out/adapter`: a process of its own with its own
environment, directory, streams and signals, whose `__main__` runs from its first line.
Only what Python does before that, and the imports, are done already; they cost more
than most commands do. The server is started once in each process that asks, and once
for each library of `LD_PRELOAD`. What shells and make start by name asks at its door:
`tests.launcher`.

Where the start itself matters (another encoding, a limit, another user)
`tests.running` starts Python instead.
"""

from __future__ import annotations

import atexit
import contextlib
import functools
import gc
import json
import os
import pkgutil
import runpy
import select
import selectors
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Mapping, Sequence
from importlib import import_module
from pathlib import Path
from types import TracebackType
from typing import IO, Any, NoReturn

ROOT = Path(__file__).parents[1]
POSSIBLE = sys.platform == "linux"
_TASK = 1 << 20  # bytes; arguments and environment are far smaller


class Forked:
    """One process, as `subprocess.Popen` with `text=True` shows it."""

    def __init__(self, pid: int, status: int, args: Sequence[str]) -> None:
        self.pid, self.args = pid, list(args)
        self.returncode: int | None = None
        self.stdout: IO[str] | None = None
        self.stderr: IO[str] | None = None
        self._status = status

    def poll(self) -> int | None:
        """The exit code, negative for a signal, if it is over."""
        return self._ended_within(0)

    def wait(self, timeout: float | None = None) -> int:
        """The exit code; raises `subprocess.TimeoutExpired`."""
        code = self._ended_within(timeout)
        if code is None:
            raise subprocess.TimeoutExpired(self.args, timeout or 0)
        return code

    def communicate(self, timeout: float | None = None) -> tuple[str, str]:
        """All that it writes to its pipes until both are closed."""
        out, err = (_decoded(each) for each in self.communicate_bytes(timeout))
        return out, err

    def communicate_bytes(self, timeout: float | None = None) -> tuple[bytes, bytes]:
        """The same, undecoded."""
        deadline = None if timeout is None else time.monotonic() + timeout
        streams = [s for s in (self.stdout, self.stderr) if s is not None]
        read = {s.fileno(): bytearray() for s in streams}
        with selectors.DefaultSelector() as ready:
            for stream in streams:
                ready.register(stream.fileno(), selectors.EVENT_READ)
            while ready.get_map():
                left = None if deadline is None else deadline - time.monotonic()
                if left is not None and left <= 0:
                    raise subprocess.TimeoutExpired(self.args, timeout or 0)
                for key, _ in ready.select(left):
                    piece = os.read(key.fd, 65536)
                    read[key.fd] += piece
                    if not piece:
                        ready.unregister(key.fd)
        self.wait(None if deadline is None else max(0, deadline - time.monotonic()))
        found = [bytes(read[s.fileno()]) if s else b"" for s in self._pipes()]
        return found[0], found[1]

    def send_signal(self, number: int) -> None:
        """Send a signal, unless it is over."""
        if self.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, number)

    def terminate(self) -> None:
        """SIGTERM."""
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """SIGKILL."""
        self.send_signal(signal.SIGKILL)

    def __enter__(self) -> Forked:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for stream in self._pipes():
            if stream is not None:
                stream.close()
        self.wait()

    def _pipes(self) -> tuple[IO[str] | None, IO[str] | None]:
        return self.stdout, self.stderr

    def _ended_within(self, timeout: float | None) -> int | None:
        if self.returncode is None:
            ready, _, _ = select.select([self._status], [], [], timeout)
            if ready:
                told = os.read(self._status, 16)
                os.close(self._status)
                assert told, "the process that forks is gone"
                self.returncode = int(told)
        return self.returncode


def spawn(
    words: Sequence[str],
    env: Mapping[str, str],
    *,
    cwd: str | None = None,
    stdin: int | None = None,
    stdout: int,
    stderr: int,
    encoding: str = "utf-8",
    new_session: bool = False,
    script: str = "",
) -> Forked:
    """Begin `preflight`, or a script, with these words, on these file descriptors."""
    task = {
        "words": list(words),
        "env": dict(env),
        "cwd": cwd or os.getcwd(),  # noqa: PTH109 - as a process inherits it
        "umask": _umask(),
        "encoding": encoding,
        "new_session": new_session,
        "script": script,
        "hurry": False,
    }
    with open(os.devnull) as nothing:  # noqa: PTH123
        source = nothing.fileno() if stdin is None else stdin
        server = _server(env.get("LD_PRELOAD", ""))
        return server.begin(task, (source, stdout, stderr))


def piped(
    words: Sequence[str],
    env: Mapping[str, str],
    *,
    cwd: str | None = None,
    script: str = "",
) -> Forked:
    """The same, with both streams in pipes that the caller reads."""
    (out, out_end), (err, err_end) = os.pipe(), os.pipe()
    try:
        process = spawn(
            words, env, cwd=cwd, stdout=out_end, stderr=err_end, script=script
        )
    finally:
        os.close(out_end)
        os.close(err_end)
    process.stdout, process.stderr = os.fdopen(out), os.fdopen(err)
    return process


def door() -> Path:
    """The socket at which a program of `tests.launcher` asks; made on first use."""
    return _server("").door


def _decoded(data: bytes) -> str:
    return data.decode("utf-8").replace("\r\n", "\n")


def _umask() -> int:
    now = os.umask(0o022)
    os.umask(now)
    return now


class _Server:
    """Our end of the process that forks."""

    def __init__(self, preload: str) -> None:
        self._asked = threading.Lock()
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._socket = ours
        self.door = Path(tempfile.mkdtemp()) / "door"
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        listener.bind(str(self.door))
        listener.listen()
        kept = {
            n: v for n, v in os.environ.items() if not n.startswith(("LC_", "LANG"))
        }
        with theirs, listener:
            ends = [theirs.fileno(), listener.fileno()]
            self._process = subprocess.Popen(
                [sys.executable, "-m", "tests.forked", *map(str, ends)],
                env={**kept, "PYTHONPATH": str(ROOT), "LD_PRELOAD": preload},
                pass_fds=ends,
                stdin=subprocess.DEVNULL,
                cwd=ROOT,
            )
        atexit.register(self.close)

    def begin(self, task: dict[str, Any], streams: tuple[int, int, int]) -> Forked:
        status, theirs = os.pipe()
        try:
            with self._asked:
                sent = [json.dumps(task).encode()]
                socket.send_fds(self._socket, sent, [*streams, theirs])
                pid = int(self._socket.recv(16))
        finally:
            os.close(theirs)
        return Forked(pid, status, ["preflight", *task["words"]])

    def close(self) -> None:
        self._socket.close()
        self._process.wait()
        shutil.rmtree(self.door.parent)


@functools.cache
def _server(preload: str) -> _Server:
    """One for each library that is loaded before all others."""
    return _Server(preload)


def _load() -> None:
    """All that a command may need: our own modules, and what these import late."""
    import preflight

    for found in pkgutil.walk_packages(preflight.__path__, "preflight."):
        if not found.name.endswith(("__main__", "preflight.integrations.transformers")):
            import_module(found.name)
    for name in ("numpy", "oss2", "requests", "jinja2", "safetensors", "wcwidth"):
        import_module(name)
    gc.collect()
    gc.freeze()  # what is never touched stays shared


def _serve(control: socket.socket, listener: socket.socket) -> dict[str, Any]:
    """Fork for each task; comes back in the children only, with their task."""
    status: dict[int, int] = {}
    waking, wake = os.pipe()
    for end in (waking, wake):
        os.set_blocking(end, False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.set_wakeup_fd(wake, warn_on_full_buffer=False)
    ends = [control.fileno(), listener.fileno(), waking]
    while True:
        ready, _, _ = select.select(ends, [], [])
        if waking in ready:
            os.read(waking, 4096)
            _reap(status)
        if listener.fileno() in ready:
            with listener.accept()[0] as asked:
                task = _begun(asked, status)
        elif control.fileno() in ready:
            task = _begun(control, status) or os._exit(0)
        else:
            continue
        if "streams" in task:
            signal.set_wakeup_fd(-1)
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            for fd in (waking, wake, *status.values()):
                os.close(fd)
            control.close()
            listener.close()
            return task


def _begun(asked: socket.socket, status: dict[int, int]) -> dict[str, Any]:
    """The task that came; in its own process with its streams; {} if none came."""
    data, fds, _, _ = socket.recv_fds(asked, _TASK, 4)
    if not data:
        return {}
    task: dict[str, Any] = json.loads(data)
    child = os.fork()
    if not child:
        os.close(fds[3])
        return {**task, "streams": fds[:3]}
    status[child] = fds[3]
    for fd in fds[:3]:
        os.close(fd)
    with contextlib.suppress(BrokenPipeError):  # a launcher was killed
        asked.send(str(child).encode())
    return task


def _reap(status: dict[int, int]) -> None:
    with contextlib.suppress(ChildProcessError):
        while True:
            child, code = os.waitpid(-1, os.WNOHANG)
            if not child:
                return
            told = status.pop(child)
            with contextlib.suppress(BrokenPipeError):
                os.write(told, str(os.waitstatus_to_exitcode(code)).encode())
            os.close(told)


def _become(task: dict[str, Any]) -> None:
    """Make this process what `python -m preflight` would have been."""
    if task["new_session"]:
        os.setsid()
    for number, fd in enumerate(task["streams"]):
        os.dup2(fd, number)
    for fd in task["streams"]:
        os.close(fd)
    os.environ.clear()
    os.environ.update(task["env"])
    os.chdir(task["cwd"])
    os.umask(task["umask"])
    time.tzset()
    signal.signal(signal.SIGINT, signal.default_int_handler)
    # As Python opens them where no locale is set, which is UTF-8.
    opened = functools.partial(_text, task["encoding"])
    sys.stdin = opened(0, "r", "surrogateescape")
    sys.stdout = opened(1, "w", "surrogateescape")
    sys.stderr = opened(2, "w", "backslashreplace", buffering=1)
    sys.argv = ["-c" if task["script"] else "preflight", *task["words"]]


def _run_main(script: str, *, hurry: bool) -> int:
    """What `python -m preflight` or `-c` runs; the exit code as Python makes it."""
    from preflight.clock import compressed

    try:
        with compressed() if hurry else contextlib.nullcontext():
            if script:
                exec(compile(script, "<string>", "exec"), {"__name__": "__main__"})  # noqa: S102
            else:
                runpy.run_module("preflight", run_name="__main__", alter_sys=True)
    except SystemExit as end:
        if end.code is None or isinstance(end.code, int):
            return end.code or 0
        sys.stderr.write(f"{end.code}\n")
        return 1
    except BaseException:  # noqa: BLE001 - as Python itself would
        sys.excepthook(*sys.exc_info())
        return 1
    return 0


def _end(code: int) -> NoReturn:
    """Python's own end, but for freeing what is shared with the other forks."""
    threading._shutdown()  # type: ignore[attr-defined]
    atexit._run_exitfuncs()
    try:
        sys.stdout.flush()
    except (OSError, ValueError):
        code = 120
    with contextlib.suppress(OSError, ValueError):
        sys.stderr.flush()
    os._exit(code)


def _text(
    encoding: str, number: int, mode: str, errors: str, *, buffering: int = -1
) -> Any:  # noqa: ANN401 - text or bytes, to the type checker
    if encoding == "ascii":
        errors = {"surrogateescape": "strict"}.get(errors, errors)
    return open(
        number, mode, buffering, encoding=encoding, errors=errors, closefd=False
    )


if __name__ == "__main__":
    os.environ.update(dict.fromkeys(("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS"), "1"))
    _load()
    _task = _serve(*(socket.socket(fileno=int(end)) for end in sys.argv[1:]))
    _become(_task)
    _end(_run_main(_task["script"], hurry=_task["hurry"]))
