"""The log as pages: what a filter lets through, found by walking one index a bounded way.

No page walks the whole log. Where what is asked for is rare, a page may hold fewer events than
asked, or none, and say how far it looked: the next one goes on from there.
"""

from dataclasses import dataclass
from uuid import UUID

from models import log
from models.database import Transaction, snapshot
from models.errors import InvalidCursor
from models.log import HOLDS, Event, Filter, Head, Position

WALK_SIZE_MAX = 20_000
# In the order of an index: the planner reckons with all of a walk, and most pages end early.
_BY_INDEX_ONLY = """
    SET LOCAL enable_sort = off;
    SET LOCAL enable_seqscan = off;
    SET LOCAL enable_bitmapscan = off
"""


@dataclass(frozen=True, slots=True)
class LogPage:
    """Events in the order of the log; `looked_to` is the farthest that was looked at, if that is
    beyond them.
    """

    head: Head
    events: list[Event]
    is_more: bool
    looked_to: Position | None

    def position_of(self, event: Event) -> Position:
        return Position(self.head.epoch, event.seq, event.logged_at)


async def page(
    workspace_id: UUID,
    wanted: Filter,
    *,
    size: int,
    after: str | None = None,
    before: str | None = None,
    backward: bool = False,
) -> LogPage:
    """At most `size` events between two cursors, from the start, or from the end if `backward`.

    Raises InvalidCursor for a cursor of another history, and for one that is older than what the
    log holds, unless all that is asked for is kept for ever.
    """
    async with snapshot() as transaction:
        # Of one instant: what is forgotten meanwhile would leave a hole.
        head = await log.head(workspace_id, transaction)
        await transaction.execute(_BY_INDEX_ONLY)
        start = _seq(after, head, wanted) if after is not None else None
        end = _seq(before, head, wanted) if before is not None else None
        least = 0 if wanted.is_kept else head.floor_seq
        bounds = (max(start or 0, least), head.seq + 1 if end is None else end)
        walk = _Walk(wanted, (workspace_id, *bounds), "DESC" if backward else "ASC")
        events = await walk.events(transaction, size + 1)
        more, events = len(events) > size, events[:size]
        looked_to = None
        if not more:
            looked_to = await walk.end(transaction, head.epoch)
            more = looked_to is not None
            if not more and end is None and not backward:
                looked_to = head.position
    return LogPage(head, events[::-1] if backward else events, more, looked_to)


def _seq(cursor: str, head: Head, wanted: Filter) -> int:
    position = Position.of_cursor(cursor)
    # A number that the log does not have yet was given by another history.
    if position.epoch != head.epoch or position.seq > head.seq:
        raise InvalidCursor.of_other_history()
    if position.seq < head.floor_seq and not wanted.is_kept:
        raise InvalidCursor.too_old(head.floor.cursor())
    return position.seq


@dataclass(frozen=True, slots=True)
class _Walk:
    """The first so many events one way, by the index that finds the fewest of what is wanted."""

    wanted: Filter
    # The workspace, and the numbers after and before which.
    place: tuple[UUID, int, int]
    way: str

    async def events(self, transaction: Transaction, size: int) -> list[Event]:
        """At most so many that the filter lets through."""
        rows = await transaction.fetch(
            f"""
            SELECT {log.COLUMNS} FROM ({self._bounded}) e WHERE e.workspace_id = $1 AND {HOLDS}
            ORDER BY e.seq {self.way} LIMIT $4
            """,  # noqa: S608 - constants
            *self.place,
            size,
            *self.wanted.arguments,
        )
        return [Event.of(row) for row in rows]

    async def end(self, transaction: Transaction, epoch: UUID) -> Position | None:
        """The last place of a walk that was broken off; None when it came to its end."""
        row = await transaction.fetchrow(
            # What holds does not matter here, but tells what the arguments are.
            f"""
            SELECT seq, logged_at FROM events WHERE workspace_id = $1 AND seq = (
                SELECT e.seq FROM ({self._bounded}) e WHERE ({HOLDS}) OR true
                ORDER BY e.seq {self.way} OFFSET $4 LIMIT 1)
            """,  # noqa: S608 - constants
            *self.place,
            WALK_SIZE_MAX - 1,
            *self.wanted.arguments,
        )
        return None if row is None else Position(epoch, row["seq"], row["logged_at"])

    @property
    def _bounded(self) -> str:
        first = f"ORDER BY e.seq {self.way} LIMIT {WALK_SIZE_MAX}"
        found = " UNION ALL ".join(
            f"(SELECT e.* FROM events e WHERE {condition} AND e.seq > $2 AND e.seq < $3 {first})"  # noqa: S608 - constants
            for condition in self.wanted.arms.conditions or ("e.workspace_id = $1",)
        )
        # Of what belongs to another workspace there is nothing to walk along.
        return f"SELECT * FROM ({found}) e WHERE {_IS_HERE} {first}"  # noqa: S608 - constants


# What a filter names is of the workspace.
_IS_HERE = " AND ".join(
    f"({number}::uuid IS NULL OR EXISTS (SELECT FROM {table} WHERE id = {number}"
    " AND workspace_id = $1))"
    for table, number in (
        ("conversations", "$7"),
        ("teams", "$8"),
        ("agents", "$9"),
        ("tickets", "$10"),
        ("agents", "$11"),
    )
)
