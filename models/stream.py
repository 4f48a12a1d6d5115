"""Live delivery: one reader and one bounded ring per workspace and process.

Subscribers hold only a position. One that is older than the ring reads what concerns it from
PostgreSQL; nothing per subscriber can grow.
"""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TypeVar
from uuid import UUID

import structlog

from models import log as event_log
from models.database import is_retryable
from models.errors import Busy
from models.event_key import WORKSPACE, Key
from models.log import Event, Head
from models.look import Look, look
from models.ring import Follower, Gap, LogBroken, ResetReason, Ring, require_contiguous
from models.scope.access import Access
from models.scope.base import Course

LOOK_SECONDS = 1.0
RETRY_SECONDS = 0.2
# Followers that read from the database at once: commands need its connections too.
READERS_MAX = 4

# Insufficient resources, and intervention of an operator or of a time-out.
_PASSING_CLASSES = frozenset({"53", "57"})

Result = TypeVar("Result")

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Batch:
    """Events of a course, in order; those that were `read` belong to a past of unknown rights."""

    events: list[Event]
    was_read: bool


class Reader:
    """Reads the logs of all workspaces that somebody follows here, in one statement a look."""

    def __init__(self) -> None:
        self.access = Access()
        # Whoever reads for itself, to begin or to catch up, waits for its turn.
        self.turns = asyncio.Semaphore(READERS_MAX)
        self._rings: dict[UUID, Ring] = {}
        self._wake = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        self._task = asyncio.create_task(self._read_always())

    async def stop(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    def wake(self, workspace_id: UUID | None) -> None:
        """A hint that a log may have grown; without one it shows within a second."""
        if workspace_id is None or workspace_id in self._rings:
            self._wake.set()

    @contextmanager
    def following(
        self, workspace_id: UUID, keys: Iterable[Key], *, after: int, head: Head
    ) -> Iterator[Follower]:
        """Follow some keys of a workspace's log from a number on.

        `head` is where the log stood when that was checked: a new ring begins there, so that a
        follower far behind holds up nobody but itself.
        """
        ring = self._rings.get(workspace_id)
        if ring is not None and ring.head.epoch != head.epoch:
            # Whichever of both is the present one, the next look ends the other.
            self._end(ring, workspace_id, Gap(ResetReason.OTHER_HISTORY))
            ring = None
        if ring is None:
            ring = self._rings[workspace_id] = Ring(head)
        follower = Follower(ring, keys, after)
        self._wake.set()
        try:
            yield follower
        finally:
            follower.leave()
            if not ring.followers and self._rings.get(workspace_id) is ring:
                del self._rings[workspace_id]

    async def follow(
        self, workspace_id: UUID, course: Course, *, after: int, head: Head
    ) -> AsyncGenerator[list[Event], None]:
        """Every event of a course after a number, in order, in batches, for ever.

        Raises LogBroken, and Gap when what follows cannot be told any more.
        """
        with self.following(workspace_id, course.keys, after=after, head=head) as follower:
            while True:
                await follower.wait(None)
                batch = await self.take(follower, course, workspace_id)
                if events := [event for event in batch.events if course.concerns(event)]:
                    yield events

    async def take(self, follower: Follower, course: Course, workspace_id: UUID) -> Batch:
        """What is there for a follower, from the ring, or from the database if it is older."""
        found = follower.take()
        if found is not None:
            return Batch(found, was_read=False)
        head, until = follower.ring.head, follower.ring.last
        async with self.turns:
            events, seq = await patiently(
                lambda: _catch_up(workspace_id, course, follower.seq, until, head)
            )
        follower.rewind(seq)
        return Batch(events, was_read=True)

    async def _read_always(self) -> None:
        while True:
            try:
                async with asyncio.timeout(LOOK_SECONDS):
                    await self._wake.wait()
            except TimeoutError:
                pass
            self._wake.clear()
            if self._rings:
                await self._look()

    async def _look(self) -> None:
        rings = dict(self._rings)
        try:
            seen = await look({id: (ring.last, ring.head.history) for id, ring in rings.items()})
            await self._verify(rings, seen)
        except Exception as error:  # noqa: BLE001 - the database may be away; its readers wait
            log.warning("log not readable", error=type(error).__name__)
            await asyncio.sleep(RETRY_SECONDS)
            self._wake.set()
            return
        self._hand_out(seen, rings)
        if not seen.is_all:
            self._wake.set()

    async def _verify(self, rings: dict[UUID, Ring], seen: Look) -> None:
        """End what strayed, and what another server than before does not go on with."""
        doubted = {
            id: ring
            for id, ring in rings.items()
            if id in seen.strayed or ring.server != seen.server
        }
        if not doubted:
            return
        heads = await event_log.heads(list(doubted))
        for id, ring in doubted.items():
            head = heads.get(id)
            if head is not None and head.server != seen.server:
                raise ConnectionResetError
            reason = _strays(ring, head)
            if reason is None:
                ring.server = seen.server
            else:
                self._end(ring, id, Gap(reason))

    def _hand_out(self, seen: Look, rings: dict[UUID, Ring]) -> None:
        """To the rings that were asked for: one made since may begin elsewhere."""
        for id, events in seen.events.items():
            ring = rings[id]
            if ring.ended is None:
                try:
                    ring.add(events)
                except LogBroken as error:
                    self._end(ring, id, error)

    def _end(self, ring: Ring, workspace_id: UUID, error: LogBroken | Gap) -> None:
        log.error("log ended", workspace=str(workspace_id), error=str(error))
        if self._rings.get(workspace_id) is ring:
            del self._rings[workspace_id]
        ring.end(error)


def _strays(ring: Ring, head: Head | None) -> ResetReason | None:
    """Why a ring cannot go on with what a log is now."""
    if head is None or head.epoch != ring.head.epoch or head.seq < ring.last:
        return ResetReason.OTHER_HISTORY
    return ResetReason.FELL_BEHIND if head.floor_seq > ring.last else None


async def _catch_up(
    workspace_id: UUID, course: Course, after: int, until: int, known: Head
) -> tuple[list[Event], int]:
    """What belongs to a course after a number, and up to which; raises Gap, LogBroken."""
    events, seq = await event_log.read_arms(workspace_id, course.arms, after, until)
    # Asked afterwards: what was forgotten before it was read has moved the floor by now.
    head = (await event_log.heads([workspace_id])).get(workspace_id)
    if head is None or head.epoch != known.epoch or head.seq < until:
        raise Gap(ResetReason.OTHER_HISTORY)
    if head.floor_seq > after:
        raise Gap(ResetReason.FELL_BEHIND)
    if WORKSPACE in course.keys and events:
        require_contiguous(after, events)
    return events, seq


async def patiently(call: Callable[[], Awaitable[Result]]) -> Result:
    """Ask until the database answers: whoever follows notices a delay, and nothing else."""
    while True:
        try:
            return await call()
        except Exception as error:
            if not passes(error):
                raise
            log.info("asked again", error=type(error).__name__)
        await asyncio.sleep(RETRY_SECONDS)


def passes(error: Exception) -> bool:
    """Whether the database may well answer later: it is away, restarts, or has too much to do."""
    state = getattr(error, "sqlstate", None) or ""
    known = is_retryable(error) or isinstance(error, (Busy, OSError, TimeoutError))
    return known or state[:2] in _PASSING_CLASSES
