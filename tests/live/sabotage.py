"""A server with a defect, to see that the storm can fail.

    python -m tests.live.sabotage DEFECT serve

Each defect is one that a subscription could have unseen: the numbers go on, the stream looks well.
"""

import sys
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from api import stall
from api.cli import main
from models import event_key, log, ring, subscription
from models.log import Event, Position
from models.stream import Reader

ONE_IN = 50


def skipping(batch: list[Event]) -> list[Event]:
    return [event for event in batch if event.seq % ONE_IN]


def repeating(batch: list[Event]) -> list[Event]:
    return [event for event in batch for _ in range(1 if event.seq % ONE_IN else 2)]


def disordering(batch: list[Event]) -> list[Event]:
    """As a reader sees them that goes by numbers given before the commit."""
    return sorted(batch, key=lambda event: -event.seq)


def batches(change: Callable[[list[Event]], list[Event]]) -> None:
    take = Reader.take

    async def changed(self: Reader, *args: Any) -> Any:
        batch = await take(self, *args)
        return replace(batch, events=change(list(batch.events)))

    Reader.take = changed  # type: ignore[assignment, method-assign]  # broken on purpose


def unfiled() -> None:
    """Who follows a queue is not told of what left it."""

    def fewer(event: Event) -> set[event_key.Key]:
        return event_key.keys_of(event) - {("queue", event.from_queue_id)}

    setattr(ring, "keys_of", fewer)  # noqa: B010 - it is imported there, not exported


def cursors(shift: int) -> None:
    """Whoever resumes is led one event too far, or not far enough."""
    holds = log.Head.holds
    of_cursor = Position.of_cursor.__func__  # type: ignore[attr-defined]  # a classmethod

    def shifted(cls: type[Position], cursor: str) -> Position:
        position = of_cursor(cls, cursor)
        return Position(position.epoch, max(position.seq + shift, 0), position.at)

    Position.of_cursor = classmethod(shifted)  # type: ignore[assignment, method-assign]  # too
    log.Head.holds = lambda self, at: at.seq > self.seq or holds(self, at)  # type: ignore[assignment, method-assign]  # too


def keeping() -> None:
    """Nobody is asked again whether they still may see what they follow."""
    setattr(subscription, "access_keys", lambda _event: set())  # noqa: B010 - imported there, too


def patient() -> None:
    """Who reads nothing is waited for, by us and by the kernel."""
    stall.STALL_SECONDS_MAX = 1_000.0
    stall.UNANSWERED_SECONDS_MAX = 1_000


DEFECTS: dict[str, Callable[[], None]] = {
    "skips": lambda: batches(skipping),
    "repeats": lambda: batches(repeating),
    "disorders": lambda: batches(disordering),
    "unfiled": unfiled,
    "keeps": keeping,
    "waits": patient,
    "cursor-ahead": lambda: cursors(1),
    "cursor-behind": lambda: cursors(-1),
}

if __name__ == "__main__":
    DEFECTS[sys.argv.pop(1)]()
    main()
