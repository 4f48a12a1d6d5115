"""Worker processes: who lives, what they did, and how late the timers are that they keep.

Rows that every worker replaces while it lives; nothing goes by them but those who look.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

import orjson

from models.database import Row, encode, fetch
from models.timer import Timer, first_due

BEAT_EVERY_SECONDS = 5.0
# Three beats, and what a busy database takes.
SILENT_AFTER_SECONDS = 20
KEPT_SECONDS = 3_600
SHOWN_MAX = 200
NAME_LENGTH_MAX = 200
# Past this nobody calls a timer exact: whoever watches is told.
LATE_SECONDS_MAX = 30.0


@dataclass(frozen=True, slots=True)
class Worker:
    """A worker process that was alive within the hour."""

    id: UUID
    name: str
    is_alive: bool
    started_at: datetime
    beat_at: datetime
    swept: dict[str, int]
    failing: list[str]


@dataclass(frozen=True, slots=True)
class Health:
    """The workers, the latest beat first, and by how many seconds each kind of timer is late."""

    workers: list[Worker]
    late_seconds: dict[Timer, float]

    @property
    def alive(self) -> int:
        return sum(worker.is_alive for worker in self.workers)

    @property
    def is_well(self) -> bool:
        """Whether somebody works, and nothing that is due waits for long."""
        return self.alive > 0 and max(self.late_seconds.values()) <= LATE_SECONDS_MAX


async def beat(id: UUID, name: str, *, swept: Mapping[str, int], failing: Sequence[str]) -> None:
    """Say that a worker lives; those that have been silent for an hour are forgotten."""
    await fetch(
        """
        WITH gone AS (
            DELETE FROM workers
            WHERE id <> $1 AND beat_at < relevo_now() - make_interval(secs => $5)
        )
        INSERT INTO workers (id, name, swept, failing)
        VALUES ($1, $2, $3::text::jsonb, $4::text::jsonb)
        ON CONFLICT (id) DO UPDATE SET swept = excluded.swept, failing = excluded.failing,
            beat_at = greatest(workers.started_at, relevo_now())
        """,
        id,
        name,
        encode({f"{name}": count for name, count in swept.items()}),
        encode(failing),
        float(KEPT_SECONDS),
    )


async def leave(id: UUID) -> None:
    """Forget a worker that ends in order."""
    await fetch("DELETE FROM workers WHERE id = $1", id)


async def health() -> Health:
    """Who works, and how late every kind of timer is; none is late while nothing is due."""
    rows = await fetch(
        """
        SELECT id, name, started_at, beat_at, swept, failing,
               beat_at > relevo_now() - make_interval(secs => $1) AS is_alive
        FROM workers ORDER BY beat_at DESC, id LIMIT $2
        """,
        float(SILENT_AFTER_SECONDS),
        SHOWN_MAX,
    )
    late = {due.timer: max(0.0, -due.seconds) for due in await first_due(0.0)}
    return Health(
        [Worker(**{**row, **_decoded(row)}) for row in rows],
        {timer: late.get(timer, 0.0) for timer in Timer},
    )


def _decoded(row: Row) -> dict[str, Any]:
    return {name: orjson.loads(row[name]) for name in ("swept", "failing")}
