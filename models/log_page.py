"""The log as pages: what a filter lets through, found by walking one index a bounded way.

No page walks the whole log. Where what is asked for is rare, a page may hold fewer events than
asked, or none, and say how far it looked: the next one goes on from there.
"""

from dataclasses import dataclass
from uuid import UUID

from models import log
from models.access import ActorKind
from models.database import Transaction, snapshot
from models.errors import InvalidCursor
from models.event import Kind
from models.log import Event, Filter, Head, Position

WALK_SIZE_MAX = 20_000


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
        start = _seq(after, head, wanted) if after is not None else None
        end = _seq(before, head, wanted) if before is not None else None
        least = 0 if wanted.is_kept else head.floor_seq
        bounds = (max(start or 0, least), head.seq + 1 if end is None else end)
        walk = _Walk.along(wanted, workspace_id, bounds, backward=backward)
        events = await walk.events(transaction, wanted, size + 1)
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
    if position.epoch != head.epoch:
        raise InvalidCursor.of_other_history()
    if position.seq < head.floor_seq and not wanted.is_kept:
        raise InvalidCursor.too_old(head.floor.cursor())
    return position.seq


@dataclass(frozen=True, slots=True)
class _Walk:
    """The first so many events in one order, by the index that the filter makes the shortest way.

    `source` has the numbers between `$2` and `$3`, of the workspace `$1`.
    """

    source: str
    arguments: tuple[object, ...]
    way: str

    @classmethod
    def along(
        cls, wanted: Filter, workspace_id: UUID, bounds: tuple[int, int], *, backward: bool
    ) -> "_Walk":
        sources: tuple[str, ...] = ("workspace_id = $1",)
        arguments: tuple[object, ...] = (workspace_id, *bounds)
        for name, table, conditions in _INDEXED:
            id = getattr(wanted, name)
            if id is not None:
                # Of another workspace's id there is nothing to walk along.
                guard = f"EXISTS (SELECT FROM {table} WHERE id = $4 AND workspace_id = $1)"
                sources = tuple(f"{condition} AND {guard}" for condition in conditions)
                arguments = (*arguments, id)
                break
        source = " UNION ALL ".join(
            f"SELECT * FROM events WHERE {source} AND seq > $2 AND seq < $3"  # noqa: S608 - constants
            for source in sources
        )
        return cls(source, arguments, "DESC" if backward else "ASC")

    async def events(self, transaction: Transaction, wanted: Filter, size: int) -> list[Event]:
        """At most so many that the filter lets through."""
        conditions, arguments = _conditions(wanted, len(self.arguments) + 1)
        rows = await transaction.fetch(
            f"""
            SELECT {log.COLUMNS} FROM ({self._bounded}) e
            WHERE e.workspace_id = $1{conditions} ORDER BY e.seq {self.way} LIMIT {size}
            """,  # noqa: S608 - constants and a number
            *self.arguments,
            *arguments,
        )
        return [Event.of(row) for row in rows]

    async def end(self, transaction: Transaction, epoch: UUID) -> Position | None:
        """The last place of a walk that was broken off; None when it came to its end."""
        row = await transaction.fetchrow(
            f"""
            SELECT seq, logged_at FROM events WHERE workspace_id = $1 AND seq = (
                SELECT seq FROM ({self._bounded}) e
                ORDER BY seq {self.way} OFFSET {WALK_SIZE_MAX - 1})
            """,  # noqa: S608 - constants
            *self.arguments,
        )
        return None if row is None else Position(epoch, row["seq"], row["logged_at"])

    @property
    def _bounded(self) -> str:
        return f"SELECT * FROM ({self.source}) s ORDER BY seq {self.way} LIMIT {WALK_SIZE_MAX}"  # noqa: S608 - constants


# The parts of the filter that an index serves, the most selective first: the table that says whose
# the id is, and conditions that no event meets two of.
_INDEXED: tuple[tuple[str, str, tuple[str, ...]], ...] = (
    ("conversation_id", "conversations", ("conversation_id = $4",)),
    ("ticket_id", "tickets", ("ticket_id = $4",)),
    (
        "agent_id",
        "agents",
        (
            "from_agent_id = $4",
            "to_agent_id = $4 AND from_agent_id IS DISTINCT FROM to_agent_id",
        ),
    ),
    (
        "own_of",
        "agents",
        (
            "from_agent_id = $4",
            "to_agent_id = $4 AND from_agent_id IS DISTINCT FROM to_agent_id",
            "actor_id = $4 AND actor_kind = 'AGENT' AND from_agent_id IS DISTINCT FROM actor_id"
            " AND to_agent_id IS DISTINCT FROM actor_id",
        ),
    ),
    (
        "queue_id",
        "teams",
        (
            "from_queue_id = $4",
            "to_queue_id = $4 AND from_queue_id IS DISTINCT FROM to_queue_id",
        ),
    ),
)
_TESTS = {
    "conversation_id": "e.conversation_id = ${n}",
    "ticket_id": "e.ticket_id = ${n}",
    "agent_id": "${n} IN (e.from_agent_id, e.to_agent_id)",
    "own_of": f"""(${{n}} IN (e.from_agent_id, e.to_agent_id)
        OR e.actor_id = ${{n}} AND e.actor_kind = '{ActorKind.AGENT}')""",
    "queue_id": "${n} IN (e.from_queue_id, e.to_queue_id)",
}


def _conditions(wanted: Filter, first: int) -> tuple[str, list[object]]:
    """What an event `e` must meet, with arguments numbered from `first` on."""
    conditions = ""
    arguments: list[object] = []
    for name, test in _TESTS.items():
        id = getattr(wanted, name)
        if id is not None:
            conditions += " AND " + test.format(n=first + len(arguments))
            arguments.append(id)
    if wanted.kinds is not None:
        number = first + len(arguments)
        conditions += f" AND (e.kind = ANY(${number})"
        arguments.append([kind.value for kind in wanted.kinds])
        if Kind.OTHER in wanted.kinds:
            # Whatever a newer version logs is told as this one.
            conditions += f" OR e.kind <> ALL(${number + 1})"
            arguments.append([kind.value for kind in Kind])
        conditions += ")"
    return conditions, arguments
