"""What a subscriber follows: a snapshot or a resumed position, then every event of its scope.

A scope says what belongs to it, what its state is at one instant, and whether the subscriber may
still see it; the rest is the same for all.
"""

from collections.abc import AsyncGenerator
from dataclasses import dataclass, field
from enum import StrEnum

from models import log
from models.access import Actor
from models.database import Read, fetch, snapshot
from models.errors import NotFound
from models.event_key import TREE, Key, keys_of
from models.log import Event, Position
from models.scope.base import Course, Row, Scope
from models.scope.conversation import ConversationScope
from models.scope.inbox import InboxScope
from models.scope.queue import QueueScope
from models.scope.team import TeamScope
from models.scope.ticket import TicketScope
from models.scope.workspace_log import LogScope
from models.sight import Sight, Viewer, viewer_of
from models.stream import Reader
from models.visibility import sees_by_team

__all__ = [
    "ConversationScope",
    "InboxScope",
    "Item",
    "LogScope",
    "Logged",
    "Mark",
    "QueueScope",
    "Reset",
    "ResetReason",
    "Resumed",
    "Scope",
    "Snapshot",
    "TeamScope",
    "TicketScope",
    "subscribe",
]

SNAPSHOT_SIZE_MAX = 500


class ResetReason(StrEnum):
    """Why a stream could not go on from where it was."""

    TOO_OLD = "TOO_OLD"
    OTHER_HISTORY = "OTHER_HISTORY"
    FELL_BEHIND = "FELL_BEHIND"


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The state of a scope at one position of the log, as its viewer sees it.

    Rows have the columns of `models.projection`, and of tickets those of their search.
    """

    position: Position
    sight: Sight
    conversations: list[Row] = field(default_factory=list)
    agents: list[Row] = field(default_factory=list)
    tickets: list[Row] = field(default_factory=list)
    is_complete: bool = True


@dataclass(frozen=True, slots=True)
class Resumed:
    """The stream goes on directly after this position."""

    position: Position


@dataclass(frozen=True, slots=True)
class Reset:
    """What came after the last position cannot be told any more; a fresh snapshot follows."""

    position: Position
    reason: ResetReason


@dataclass(frozen=True, slots=True)
class Logged:
    """An event of the scope, the position after it, and for whom it is shown."""

    position: Position
    event: Event
    sight: Sight


@dataclass(frozen=True, slots=True)
class Mark:
    """The log moved, and nothing of it belongs to the scope: the stream goes on after this."""

    position: Position


Item = Snapshot | Resumed | Reset | Logged | Mark


@dataclass(slots=True)
class _Start:
    """What a stream begins with, where, and for whom."""

    items: list[Item]
    position: Position
    head: int
    viewer: Viewer
    course: Course


async def subscribe(  # noqa: C901 - one loop reads better than its parts
    reader: Reader, scope: Scope, *, by: Actor, after: str | None = None
) -> AsyncGenerator[Item, None]:
    """A snapshot, or what came after a cursor; then every event of the scope, in order.

    Ends when the subscriber may no longer see the scope, at the very event that took it away.
    Raises NotFound when it never might, InvalidCursor, Unauthenticated when its token ends.
    """
    start = await _open(scope, by, after)
    viewer, course, position = start.viewer, start.course, start.position
    for item in start.items:
        yield item
    async for batch in reader.follow(by.workspace_id, after=position.seq, head=start.head):
        for logged in batch:
            if keys_of(logged) & access_keys(viewer) or course.moves_access(logged):
                viewer = await viewer_of(viewer.actor)
                if not await _is_seen(scope, viewer):
                    return
                course = await scope.course(logged.seq, viewer, read=fetch)
            if course.concerns(logged):
                yield Logged(
                    Position(position.epoch, logged.seq, logged.logged_at), logged, viewer.sight
                )
            course = course.after(logged)


def access_keys(viewer: Viewer) -> frozenset[Key]:
    """What is filed under these may change what a viewer may see."""
    actor = viewer.actor
    own: set[Key] = {("access", id) for id in (actor.agent_id, actor.token_id) if id}
    return frozenset({TREE, *own} if sees_by_team(actor) else own)


async def _is_seen(scope: Scope, viewer: Viewer) -> bool:
    [seen] = await type(scope).seen([(scope, viewer)], read=fetch)
    return seen


async def _open(scope: Scope, by: Actor, after: str | None) -> _Start:
    """What a stream begins with."""
    if after is None:
        return await _fresh(scope, by)
    position = Position.of_cursor(after)
    async with snapshot() as transaction:
        viewer = await _require_seen(scope, by, transaction.fetch)
        head = await log.head(by.workspace_id, transaction)
        if head.holds(position):
            course = await scope.course(position.seq, viewer, read=transaction.fetch)
            return _Start([Resumed(position)], position, head.seq, viewer, course)
    old = position.epoch == head.epoch and position.seq < head.floor_seq
    return await _fresh(scope, by, ResetReason.TOO_OLD if old else ResetReason.OTHER_HISTORY)


async def _fresh(scope: Scope, by: Actor, reason: ResetReason | None = None) -> _Start:
    """State, position and rights of one instant; READ COMMITTED gets a third of these wrong."""
    async with snapshot() as transaction:
        read = transaction.fetch
        viewer = await _require_seen(scope, by, read)
        rows = await scope.rows(viewer, limit=SNAPSHOT_SIZE_MAX + 1, read=read)
        head = await log.head(by.workspace_id, transaction)
        course = await scope.course(head.seq, viewer, read=read)
    lists = (rows.conversations, rows.agents, rows.tickets)
    shown = Snapshot(
        head.position,
        viewer.sight,
        rows.conversations[:SNAPSHOT_SIZE_MAX],
        rows.agents[:SNAPSHOT_SIZE_MAX],
        rows.tickets[:SNAPSHOT_SIZE_MAX],
        is_complete=all(len(rows) <= SNAPSHOT_SIZE_MAX for rows in lists),
    )
    items: list[Item] = [shown] if reason is None else [Reset(head.position, reason), shown]
    return _Start(items, head.position, head.seq, viewer, course)


async def _require_seen(scope: Scope, by: Actor, read: Read) -> Viewer:
    viewer = await viewer_of(by, read=read)
    [seen] = await type(scope).seen([(scope, viewer)], read=read)
    if not seen:
        raise NotFound("subscription target")
    return viewer
