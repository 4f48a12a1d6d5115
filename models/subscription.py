"""What a subscriber follows: a snapshot or a resumed position, then every event of its scope.

A scope says what belongs to it, what its state is at one instant, and whether the subscriber may
still see it; the rest is the same for all.
"""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from functools import partial

from models import log
from models.access import Actor
from models.database import Read, fetch, snapshot
from models.errors import NotFound
from models.event_key import Key, access_keys
from models.log import Event, Head, Position
from models.ring import Follower, Gap, ResetReason, Ring
from models.scope.access import keys_of_viewer
from models.scope.base import Course, Row, Scope
from models.scope.conversation import ConversationScope
from models.scope.inbox import InboxScope
from models.scope.queue import QueueScope
from models.scope.team import TeamScope
from models.scope.ticket import TicketScope
from models.scope.workspace_log import LogScope
from models.sight import Sight, Viewer, viewer_of
from models.stream import Reader, patiently

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
    "subscribe_in_batches",
]

SNAPSHOT_SIZE_MAX = 500
MARK_SECONDS = 60.0
# Events that came at once are told together, and no more than these.
TOGETHER_MAX = 16


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
    head: Head
    viewer: Viewer
    course: Course


async def subscribe(
    reader: Reader, scope: Scope, *, by: Actor, after: str | None = None
) -> AsyncGenerator[Item, None]:
    """A snapshot, or what came after a cursor; then every event of the scope, in order.

    Ends when the subscriber may no longer see the scope, at the very event that took it away.
    Raises NotFound when it never might, InvalidCursor, Unauthenticated when its token ends.
    """
    async with aclosing(subscribe_in_batches(reader, scope, by=by, after=after)) as batches:
        async for batch in batches:
            for item in batch:
                yield item


async def subscribe_in_batches(
    reader: Reader, scope: Scope, *, by: Actor, after: str | None = None
) -> AsyncGenerator[list[Item], None]:
    """The same, as much at a time as came at once."""
    async with reader.turns:
        start = await _open(scope, by, after)
    while True:
        yield start.items
        stream = _Stream(reader, scope, start)
        try:
            async with aclosing(stream.batches()) as batches:
                async for batch in batches:
                    yield batch
            return
        except Gap as gap:
            reason = gap.reason
        try:
            async with reader.turns:
                start = await patiently(partial(_fresh, scope, stream.viewer.actor, reason))
        except NotFound:
            return


class _Stream:
    """One subscriber, from where it begins until it may see no more, or the log tells no more."""

    def __init__(self, reader: Reader, scope: Scope, start: _Start) -> None:
        self.viewer = start.viewer
        # What is shown below an event is of now, so it is shown by no more than the rights of now.
        self._sight = start.viewer.sight
        self._reader = reader
        self._scope = scope
        self._start = start
        self._course = start.course
        self._sent_seq = start.position.seq
        self._now = asyncio.get_running_loop().time
        self._sent_at = self._now()

    async def batches(  # noqa: C901, PLR0915 - one loop reads better than its parts
        self,
    ) -> AsyncGenerator[list[Item], None]:
        """Every event of the scope, and marks while there is none; raises Gap, Unauthenticated."""
        start, workspace_id = self._start, self.viewer.actor.workspace_id
        with self._reader.following(
            workspace_id, self._keys, after=start.position.seq, head=start.head
        ) as follower:
            while True:
                await follower.wait(self._until)
                batch = await self._reader.take(follower, self._course, workspace_id)
                # What was read instead of told may have moved access, though nothing of it shows.
                if (self._has_ended or batch.was_read) and not await self._may_go_on(follower):
                    return
                if not batch.was_read and len(batch.events) > TOGETHER_MAX:
                    await self._look_ahead(follower, batch.events)
                told: list[Event] = []
                for event in batch.events:
                    if not batch.was_read and self._moves_access(event):
                        may_go_on = await self._may_go_on(follower, event)
                        # What came before is told, but no longer shown by what was lost since.
                        if told:
                            yield self._logged(told, follower.ring)
                            told = []
                        if not may_go_on:
                            return
                    if self._course.concerns(event):
                        told.append(event)
                    if self._goes_another_way(event, follower):
                        break
                    if len(told) == TOGETHER_MAX:
                        yield self._logged(told, follower.ring)
                        told = []
                        await self._look_ahead(follower)
                items: list[Item] = self._logged(told, follower.ring)
                if mark := self._mark(follower):
                    items.append(mark)
                if items:
                    yield items

    @property
    def _keys(self) -> frozenset[Key]:
        return self._course.keys | keys_of_viewer(self.viewer)

    @property
    def _until(self) -> float:
        """When to stop waiting for events, by the loop's clock."""
        marked = self._sent_at + MARK_SECONDS
        return marked if self.viewer.ends_at is None else min(marked, self.viewer.ends_at)

    @property
    def _has_ended(self) -> bool:
        return self.viewer.ends_at is not None and self.viewer.ends_at <= self._now()

    def _moves_access(self, event: Event) -> bool:
        filed = access_keys(event)
        return bool(filed and filed & self._keys) or self._course.moves_access(event)

    async def _may_go_on(self, follower: Follower, event: Event | None = None) -> bool:
        """Ask again who sees what: all of it, or only what this event may have moved."""
        access = self._reader.access
        while True:
            last, keys = follower.ring.last, self._keys
            viewer = await patiently(partial(access.renewed, self.viewer))
            self._sight = viewer.sight
            if viewer == self.viewer and event and not self._course.moves_access(event):
                self.viewer = viewer
                return True
            if not await patiently(partial(access.is_seen, self._scope, viewer)):
                return False
            self._course = await patiently(partial(self._course.shown_to, viewer, read=fetch))
            self.viewer = viewer
            follower.follow(self._keys)
            if self._keys <= keys or follower.ring.last == last:
                return True
            # What moved access by a new key while we asked was told to nobody here.
            event = None

    def _goes_another_way(self, event: Event, follower: Follower) -> bool:
        """Whether something else belongs to the scope after an event: then that is read anew."""
        course = self._course.after(event)
        if course is self._course:
            return False
        self._course = course
        follower.follow(self._keys)
        follower.rewind(event.seq)
        return True

    async def _look_ahead(self, follower: Follower, taken: Sequence[Event] = ()) -> None:
        """Show the rest by the rights of now, where whoever is told was slower than their loss."""
        if any(map(self._moves_access, taken)) or follower.is_overtaken(self._moves_access):
            renewed = await patiently(partial(self._reader.access.renewed, self.viewer))
            self._sight = renewed.sight

    def _logged(self, events: Sequence[Event], ring: Ring) -> list[Item]:
        if events:
            self._sent_seq, self._sent_at = events[-1].seq, self._now()
        return [
            Logged(Position(ring.head.epoch, event.seq, event.logged_at), event, self._sight)
            for event in events
        ]

    def _mark(self, follower: Follower) -> Mark | None:
        """Where a stream stands that has had nothing to tell for long, if that is elsewhere now."""
        if self._now() < self._sent_at + MARK_SECONDS:
            return None
        ring = follower.ring
        self._sent_at = self._now()
        if follower.seq < ring.last or self._sent_seq >= ring.last:
            return None
        self._sent_seq = ring.last
        return Mark(ring.position)


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
            return _Start([Resumed(position)], position, head, viewer, course)
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
    return _Start(items, head.position, head, viewer, course)


async def _require_seen(scope: Scope, by: Actor, read: Read) -> Viewer:
    viewer = await viewer_of(by, read=read)
    [seen] = await type(scope).seen([(scope, viewer)], read=read)
    if not seen:
        raise NotFound("subscription target")
    return viewer
