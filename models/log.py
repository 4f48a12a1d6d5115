"""Reading the numbered log: positions that survive restarts, and events after one of them."""

import base64
import binascii
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid5

import orjson

from models.access import Actor, ActorKind, Right
from models.database import Read, Row, Transaction, fetch
from models.decision import Rule
from models.errors import InvalidCursor, NotFound
from models.event import AUDIT, Kind

READ_SIZE_MAX = 500
# Numbers that one statement without an index of its own may pass over.
SCAN_SIZE_MAX = 10_000
SEQ_MAX = 2**63 - 1
_LAYOUT = struct.Struct(">16sQQ")
_MARK = b"log1"


@dataclass(frozen=True, slots=True)
class Event:
    """One fact as it was logged; `data` holds what only some kinds carry."""

    workspace_id: UUID
    seq: int
    kind: Kind
    logged_at: datetime
    actor_kind: ActorKind
    actor_id: UUID | None
    conversation_id: UUID | None
    contact_id: UUID | None
    channel_id: UUID | None
    message_id: UUID | None
    from_queue_id: UUID | None
    to_queue_id: UUID | None
    from_agent_id: UUID | None
    to_agent_id: UUID | None
    from_team_id: UUID | None
    to_team_id: UUID | None
    ticket_id: UUID | None
    data: dict[str, Any]

    @property
    def ticket_ids(self) -> list[UUID]:
        """The tickets that it is about: a link may have moved from one to another."""
        before = self.data.get("from_ticket")
        return [id for id in (self.ticket_id, UUID(before) if before else None) if id]

    @property
    def own_of(self) -> set[UUID | None]:
        """The agents whose own part of the log it is in."""
        did = self.actor_id if self.actor_kind is ActorKind.AGENT else None
        return {did, self.from_agent_id, self.to_agent_id}

    @classmethod
    def of(cls, row: Row | Mapping[str, Any]) -> "Event":
        fields = {name: row[name] for name in cls.__slots__}
        # A newer version may log what this one does not know: its readers must not stop for it.
        known = fields["kind"] in Kind.__members__
        fields["kind"] = Kind(fields["kind"]) if known else Kind.OTHER
        fields["actor_kind"] = ActorKind(fields["actor_kind"])
        fields["data"] = orjson.loads(fields["data"]) if fields["data"] else {}
        return cls(**fields)

    @property
    def rule(self) -> Rule | None:
        """Which rule chose the place; none for one that only a newer version knows."""
        rule = str(self.data.get("rule"))
        return Rule(rule) if rule in Rule.__members__ else None


COLUMNS = ", ".join(f"e.{name}" for name in Event.__slots__)


@dataclass(frozen=True, slots=True)
class Position:
    """A place in one history of one workspace's log; `seq` itself has been seen."""

    epoch: UUID
    seq: int
    at: datetime

    def cursor(self) -> str:
        """Opaque: the history, the number and the time, in 48 characters."""
        milliseconds = int(self.at.timestamp() * 1_000)
        packed = _LAYOUT.pack(self.epoch.bytes, self.seq, milliseconds)
        return base64.urlsafe_b64encode(_MARK + packed).decode()

    @classmethod
    def of_cursor(cls, cursor: str) -> "Position":
        """Raise InvalidCursor unless this is a cursor of a log."""
        try:
            packed = base64.b64decode(cursor.encode("ascii"), altchars=b"-_", validate=True)
            epoch, seq, milliseconds = _LAYOUT.unpack(packed[len(_MARK) :])
            if packed[: len(_MARK)] != _MARK or seq > SEQ_MAX:
                raise InvalidCursor
            return cls(UUID(bytes=epoch), seq, datetime.fromtimestamp(milliseconds / 1_000, UTC))
        except (ValueError, OverflowError, OSError, binascii.Error, struct.error) as error:
            raise InvalidCursor from error


@dataclass(frozen=True, slots=True)
class Head:
    """Where a log stands: its history, its last number, and the last number it has forgotten."""

    epoch: UUID
    seq: int
    floor_seq: int
    at: datetime
    # What tells another history or server cheaply: the log's own part of the epoch, and since when
    # the server runs.
    history: UUID
    server: datetime

    @property
    def position(self) -> Position:
        return Position(self.epoch, self.seq, self.at)

    @property
    def floor(self) -> Position:
        """After it nothing is missing; its time, which is forgotten, is that of the head."""
        return Position(self.epoch, self.floor_seq, self.at)

    def holds(self, position: Position) -> bool:
        """Whether everything after a position can still be read from this log."""
        return position.epoch == self.epoch and self.floor_seq <= position.seq <= self.seq


async def head(workspace_id: UUID, transaction: Transaction | None = None) -> Head:
    """Read inside a snapshot's transaction, the head is of the snapshot's instant."""
    return (await heads([workspace_id], transaction))[workspace_id]


async def heads(
    workspace_ids: Sequence[UUID], transaction: Transaction | None = None
) -> dict[UUID, Head]:
    """Where these logs stand, in one statement; nothing of a workspace that is not there.

    A restored or failed-over cluster is another history even with the same rows before it, so its
    identity is part of the epoch.
    """
    rows = await (transaction.fetch if transaction else fetch)(
        """
        SELECT l.workspace_id, l.epoch, l.floor_seq, coalesce(e.seq, l.floor_seq) AS seq,
               coalesce(e.logged_at, relevo_now()) AS at,
               (SELECT system_identifier FROM pg_control_system()) AS cluster,
               (SELECT timeline_id FROM pg_control_checkpoint()) AS timeline,
               pg_postmaster_start_time() AS server
        FROM logs l LEFT JOIN LATERAL (
            SELECT seq, logged_at FROM events
            WHERE workspace_id = l.workspace_id ORDER BY seq DESC LIMIT 1) e ON true
        WHERE l.workspace_id = ANY($1)
        """,
        list(workspace_ids),
    )
    return {row["workspace_id"]: _head(row) for row in rows}


def _head(row: Row) -> Head:
    return Head(epoch_of(row), row["seq"], row["floor_seq"], row["at"], row["epoch"], row["server"])


def epoch_of(row: Row) -> UUID:
    """The history that a log's epoch, its cluster and timeline stand for."""
    return uuid5(UUID(bytes=row["epoch"].bytes), f"{row['cluster']}/{row['timeline']}")


async def begin_other_history(workspace: str | None = None) -> int:
    """Let no cursor of before fit any more, of the workspace of that name or of all; of how many.

    For whoever brought back an older state of the database in a way that its identity does not
    tell: what was logged after that state has its numbers again. Raises NotFound.
    """
    rows = await fetch(
        """
        UPDATE logs SET epoch = gen_random_uuid() WHERE $1::text IS NULL OR workspace_id = (
            SELECT id FROM workspaces WHERE name = $1 ORDER BY created_at LIMIT 1)
        RETURNING workspace_id
        """,
        workspace,
    )
    if workspace is not None and not rows:
        raise NotFound(f"workspace as {workspace!r}")
    return len(rows)


async def read(workspace_id: UUID, after: int, limit: int = READ_SIZE_MAX) -> list[Event]:
    """The events that follow a number, in order; without holes from the floor on."""
    rows = await fetch(
        f"""
        SELECT {COLUMNS} FROM events e
        WHERE e.workspace_id = $1 AND e.seq > $2 ORDER BY e.seq LIMIT $3
        """,  # noqa: S608 - constants
        workspace_id,
        after,
        limit,
    )
    return [Event.of(row) for row in rows]


@dataclass(frozen=True, slots=True)
class Arms:
    """How some events are found: by any of these conditions of an event `e`, each with an index.

    Without one, all of the workspace's are scanned. What they find must meet `rest` too. Where
    that, or several arguments, can pass over many, a statement reads a window of numbers only.
    """

    conditions: tuple[str, ...]
    # `$5` and so on.
    arguments: tuple[object, ...] = ()
    rest: str = "true"
    windowed: bool = False

    @property
    def is_windowed(self) -> bool:
        return self.windowed or not self.conditions

    @property
    def statement(self) -> str:
        """Events of a workspace `$1` after `$2` and until `$3`, the first `$4`."""
        # The workspace is asked for last: its own index would walk the whole of a busy log.
        arms = " UNION ALL ".join(
            f"""(SELECT e.* FROM events e
                 WHERE {arm} AND e.seq > $2 AND e.seq <= $3 AND {self.rest}
                 ORDER BY e.seq LIMIT $4)"""  # noqa: S608 - constants
            for arm in self.conditions or ("e.workspace_id = $1",)
        )
        return f"""
            SELECT {COLUMNS} FROM ({arms}) e WHERE e.workspace_id = $1 ORDER BY e.seq LIMIT $4
        """  # noqa: S608 - constants


async def read_arms(
    workspace_id: UUID, arms: Arms, after: int, until: int, *, read: Read = fetch
) -> tuple[list[Event], int]:
    """Events after a number that some arms find, in order, each once; and the number up to which
    these are all, `until` at most.
    """
    if arms.is_windowed:
        until = min(until, after + SCAN_SIZE_MAX)
    limit = READ_SIZE_MAX
    rows = await read(arms.statement, workspace_id, after, until, limit, *arms.arguments)
    events = [Event.of(row) for row in {row["seq"]: row for row in rows}.values()]
    return events, until if len(rows) < limit else events[-1].seq


@dataclass(frozen=True, slots=True)
class Filter:
    """Which events: all conditions that are set hold.

    `own_of` is an agent, whose own part is what it did and what was about itself.
    """

    kinds: Sequence[Kind] | None = None
    conversation_id: UUID | None = None
    queue_id: UUID | None = None
    agent_id: UUID | None = None
    ticket_id: UUID | None = None
    own_of: UUID | None = None

    def __post_init__(self) -> None:
        if self.kinds is not None:
            # Filters are compared, and keys of what is shared.
            object.__setattr__(self, "kinds", tuple(self.kinds))

    def holds(self, event: Event) -> bool:
        """Whether an event meets it; agrees with `HOLDS`."""
        return (
            (self.kinds is None or event.kind in self.kinds)
            and self.conversation_id in (None, event.conversation_id)
            and self.queue_id in (None, event.from_queue_id, event.to_queue_id)
            and self.agent_id in (None, event.from_agent_id, event.to_agent_id)
            and (self.ticket_id is None or self.ticket_id in event.ticket_ids)
            and (self.own_of is None or self.own_of in event.own_of)
        )

    def within_sight(self, by: Actor) -> "Filter":
        """The same of what the actor may read: all, or its own part; raises Forbidden."""
        if by.may(Right.READ_LOG):
            return self
        by.require(Right.READ_OWN_LOG)
        return replace(self, own_of=by.agent_id)

    def is_within_sight(self, by: Actor) -> bool:
        """Whether the actor may read all of this."""
        is_own = self.own_of is not None and self.own_of == by.agent_id
        return by.may(Right.READ_LOG) or (is_own and by.may(Right.READ_OWN_LOG))

    @property
    def is_kept(self) -> bool:
        """Whether all such events are kept for ever."""
        return self.kinds is not None and AUDIT.issuperset(self.kinds)

    @property
    def arguments(self) -> tuple[object, ...]:
        """What the condition `HOLDS` takes, from `$5` on."""
        return (
            None if self.kinds is None else [kind.value for kind in self.kinds],
            _KNOWN_KINDS,
            self.conversation_id,
            self.queue_id,
            self.agent_id,
            self.ticket_id,
            self.own_of,
        )

    @property
    def arms(self) -> Arms:
        """By one index, the most selective, where one fits; the rest is compared.

        Where nothing else is asked for, nothing is: the planner would take what is compared for
        rare, and read and sort all of a busy queue for the first few.
        """
        named = [name for name in _BY_INDEX if getattr(self, name) is not None]
        is_more = len(named) != 1 or self.kinds is not None
        return Arms(
            _BY_INDEX[named[0]] if named else (),
            self.arguments,
            # The arguments are there in any case.
            rest=HOLDS if is_more else f"(({HOLDS}) OR true)",
            windowed=is_more,
        )


_KNOWN_KINDS = [kind.value for kind in Kind]
# Of an event `e`; agrees with `Filter.holds`. What this version does not know counts as OTHER.
HOLDS = """
    ($5::text[] IS NULL OR e.kind = ANY($5) OR 'OTHER' = ANY($5) AND e.kind <> ALL($6::text[]))
    AND ($7::uuid IS NULL OR e.conversation_id = $7)
    AND ($8::uuid IS NULL OR $8 IN (e.from_queue_id, e.to_queue_id))
    AND ($9::uuid IS NULL OR $9 IN (e.from_agent_id, e.to_agent_id))
    AND ($10::uuid IS NULL OR $10 IN (e.ticket_id, (e.data ->> 'from_ticket')::uuid))
    AND ($11::uuid IS NULL OR $11 IN (e.from_agent_id, e.to_agent_id)
         OR e.actor_kind = 'AGENT' AND e.actor_id = $11)
"""
# What an index finds, the most selective first; nothing meets two conditions of one.
_BY_INDEX = {
    "conversation_id": ("e.conversation_id = $7",),
    "ticket_id": (
        "e.ticket_id = $10",
        "e.data ? 'from_ticket' AND (e.data ->> 'from_ticket')::uuid = $10",
    ),
    "agent_id": (
        "e.from_agent_id = $9",
        "e.to_agent_id = $9 AND e.from_agent_id IS DISTINCT FROM e.to_agent_id",
    ),
    "own_of": (
        "e.from_agent_id = $11",
        "e.to_agent_id = $11 AND e.from_agent_id IS DISTINCT FROM e.to_agent_id",
        """e.actor_id = $11 AND e.actor_kind = 'AGENT'
           AND e.from_agent_id IS DISTINCT FROM e.actor_id
           AND e.to_agent_id IS DISTINCT FROM e.actor_id""",
    ),
    "queue_id": (
        "e.from_queue_id = $8",
        "e.to_queue_id = $8 AND e.from_queue_id IS DISTINCT FROM e.to_queue_id",
    ),
}
