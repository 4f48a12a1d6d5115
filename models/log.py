"""Reading the numbered log: positions that survive restarts, and events after one of them."""

import base64
import binascii
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid5

import orjson

from models.access import ActorKind
from models.database import Row, Transaction, fetch, fetchrow
from models.decision import Rule
from models.errors import InvalidCursor
from models.event import Kind

READ_SIZE_MAX = 500
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

    @property
    def position(self) -> Position:
        return Position(self.epoch, self.seq, self.at)

    def holds(self, position: Position) -> bool:
        """Whether everything after a position can still be read from this log."""
        return position.epoch == self.epoch and self.floor_seq <= position.seq <= self.seq


async def head(workspace_id: UUID, transaction: Transaction | None = None) -> Head:
    """Read inside a snapshot's transaction, the head is of the snapshot's instant.

    A restored or failed-over cluster is another history even with the same rows before it, so its
    identity is part of the epoch.
    """
    read = transaction.fetchrow if transaction else fetchrow
    row = await read(
        """
        SELECT l.epoch, l.floor_seq, coalesce(e.seq, l.floor_seq) AS seq,
               coalesce(e.logged_at, relevo_now()) AS at,
               (SELECT system_identifier FROM pg_control_system()) AS cluster,
               (SELECT timeline_id FROM pg_control_checkpoint()) AS timeline
        FROM logs l LEFT JOIN LATERAL (
            SELECT seq, logged_at FROM events
            WHERE workspace_id = l.workspace_id ORDER BY seq DESC LIMIT 1) e ON true
        WHERE l.workspace_id = $1
        """,
        workspace_id,
    )
    assert row is not None  # noqa: S101 - a workspace is founded with its log
    return Head(epoch_of(row), row["seq"], row["floor_seq"], row["at"])


def epoch_of(row: Row) -> UUID:
    """The history that a log's epoch, its cluster and timeline stand for."""
    return uuid5(UUID(bytes=row["epoch"].bytes), f"{row['cluster']}/{row['timeline']}")


async def read(workspace_id: UUID, after: int, limit: int = READ_SIZE_MAX) -> list[Event]:
    """The events that follow a number, in order and without holes."""
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


async def read_all(after: dict[UUID, int], limit: int = READ_SIZE_MAX) -> list[Event]:
    """What is new in several logs, in one statement; at most `limit` of each."""
    rows = await fetch(
        f"""
        SELECT {COLUMNS} FROM unnest($1::uuid[], $2::bigint[]) AS w(id, last)
        CROSS JOIN LATERAL (
            SELECT * FROM events WHERE workspace_id = w.id AND seq > w.last
            ORDER BY seq LIMIT $3) e
        ORDER BY e.workspace_id, e.seq
        """,  # noqa: S608 - constants
        list(after),
        list(after.values()),
        limit,
    )
    return [Event.of(row) for row in rows]


@dataclass(frozen=True, slots=True)
class Filter:
    """Which events: all conditions that are set hold."""

    kinds: list[Kind] | None = None
    conversation_id: UUID | None = None
    queue_id: UUID | None = None
    agent_id: UUID | None = None
    ticket_id: UUID | None = None


async def page(
    head: Head,
    workspace_id: UUID,
    wanted: Filter,
    *,
    size: int,
    after: str | None = None,
    before: str | None = None,
    backward: bool = False,
) -> list[Event]:
    """At most `size` events between two cursors, from the start, or from the end if `backward`.

    Raises InvalidCursor for a cursor of another history.
    """
    way = "DESC" if backward else "ASC"
    rows = await fetch(
        f"""
        SELECT {COLUMNS} FROM events e
        WHERE e.workspace_id = $1 AND e.seq > $2 AND e.seq < $3
          AND ($4::text[] IS NULL OR e.kind = ANY($4))
          AND ($5::uuid IS NULL OR e.conversation_id = $5)
          AND ($6::uuid IS NULL OR $6 IN (e.from_queue_id, e.to_queue_id))
          AND ($7::uuid IS NULL OR $7 IN (e.from_agent_id, e.to_agent_id))
        ORDER BY e.seq {way} LIMIT $8
        """,  # noqa: S608 - constants
        workspace_id,
        0 if after is None else _seq(after, head),
        head.seq + 1 if before is None else _seq(before, head),
        wanted.kinds and [kind.value for kind in wanted.kinds],
        wanted.conversation_id,
        wanted.queue_id,
        wanted.agent_id,
        size,
    )
    return [Event.of(row) for row in rows]


def _seq(cursor: str, head: Head) -> int:
    position = Position.of_cursor(cursor)
    if position.epoch != head.epoch:
        raise InvalidCursor
    return position.seq
