from __future__ import annotations

from preflight.errors import TransferError
from preflight.pipeline.outage import Outage
from preflight.progress import NoProgress, Progress
from preflight.record import Gatherer, RunRecord
from preflight.retry import RetryEvent, Transient


class Listener(Gatherer):
    """Writes down what is said, and counts the retries."""

    def __init__(self) -> None:
        super().__init__(RunRecord("push", "model"))
        self.said: list[str] = []
        self.retries = 0

    def say(self, text: str) -> None:
        self.said.append(text)

    def retrying(self, event: RetryEvent) -> None:
        del event
        self.retries += 1

    def progress(self) -> Progress:
        return NoProgress()


def failed(idle: float, why: str) -> RetryEvent:
    cause = Transient(f"part 7 of a: {why}", why=why)
    return RetryEvent(1, 1.0, 0.0, cause, idle, 600.0)


def test_an_outage_is_a_few_lines() -> None:
    listener = Listener()
    outage = Outage(listener, "OSS")
    for idle in (0, 2, 4.9):  # something moved a moment ago
        outage.tell(failed(idle, "503 ServiceUnavailable"))
    assert listener.said == []
    for idle in range(6, 200):
        outage.tell(failed(idle, "503 ServiceUnavailable"))
        if idle >= 100:
            outage.tell(failed(idle, "oss refuses connections"))
    assert listener.said[0] == (
        "no byte for 6 s, waiting for OSS (503 ServiceUnavailable); "
        "gives up after 10 min without progress"
    )
    assert any("refuses connections" in line for line in listener.said)
    assert len(listener.said) == 4
    assert listener.retries == 3 + 194 + 100
    outage.tell(failed(1, "503 ServiceUnavailable"))  # it went on, and ended again
    outage.tell(failed(6, "503 ServiceUnavailable"))
    assert len(listener.said) == 5


def test_where_attempts_are_counted_nothing_is_promised() -> None:
    listener = Listener()
    event = RetryEvent(4, 1.0, 7.0, TransferError("no answer"))
    Outage(listener, "OSS").tell(event)
    assert listener.said == ["no byte for 7 s, waiting for OSS (no answer)"]
