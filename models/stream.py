"""Live delivery: one reader and one bounded ring per workspace and process.

Subscribers hold only a position. One that is older than the ring reads from PostgreSQL; nothing
per subscriber can grow.
"""

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Iterator, Sequence
from contextlib import contextmanager
from uuid import UUID

import structlog

from models import log as event_log
from models.log import Event

RING_SIZE_MAX = 2_048
LOOK_SECONDS = 1.0
RETRY_SECONDS = 0.2

log = structlog.get_logger(__name__)


class LogBroken(Exception):
    """The log does not go on with the next number: a promise of the database is broken."""


def require_contiguous(last: int, events: Sequence[Event]) -> None:
    """Raise LogBroken unless these ordered events follow a number without a hole."""
    if events[-1].seq != last + len(events):
        raise LogBroken(f"The log has a hole after {last}: {events[-1].seq} came too early.")


class Ring:
    """The newest events of one workspace, and those who wait for the next."""

    def __init__(self, last: int) -> None:
        self.last = last
        self.followers = 0
        self._events: deque[Event] = deque(maxlen=RING_SIZE_MAX)
        self._grown = asyncio.Event()
        self._broken: LogBroken | None = None

    def add(self, event: Event) -> None:
        if event.seq <= self.last:
            return
        require_contiguous(self.last, [event])
        self._events.append(event)
        self.last = event.seq

    def wake(self) -> None:
        grown, self._grown = self._grown, asyncio.Event()
        grown.set()

    def break_off(self, error: "LogBroken") -> None:
        """End every follower with an error: to go on would be to lose events silently."""
        self._broken = error
        self.wake()

    async def grown(self, after: int) -> None:
        """Wait until there is more than a number; raises LogBroken."""
        while self.last <= after:
            if self._broken:
                raise self._broken
            await self._grown.wait()

    def since(self, after: int) -> list[Event] | None:
        """What follows a number, or None when the ring begins later than that."""
        if not self._events or self._events[0].seq > after + 1:
            return None
        start = after + 1 - self._events[0].seq
        return [self._events[index] for index in range(start, len(self._events))]


class Reader:
    """Reads the logs of all workspaces that somebody follows here, in one statement a look."""

    def __init__(self) -> None:
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

    async def follow(
        self, workspace_id: UUID, *, after: int, head: int
    ) -> AsyncGenerator[list[Event], None]:
        """Every event after a number, in order, in batches, for ever.

        `head` is where the log stood when `after` was checked: a new ring begins there, so that a
        subscriber far behind holds up nobody but itself.
        """
        with self._joined(workspace_id, head) as ring:
            while True:
                await ring.grown(after)
                batch = ring.since(after)
                if batch is None:
                    batch = await event_log.read(workspace_id, after)
                if batch:
                    require_contiguous(after, batch)
                    after = batch[-1].seq
                    yield batch

    @contextmanager
    def _joined(self, workspace_id: UUID, head: int) -> Iterator[Ring]:
        ring = self._rings.setdefault(workspace_id, Ring(head))
        ring.followers += 1
        self._wake.set()
        try:
            yield ring
        finally:
            ring.followers -= 1
            if ring.followers == 0 and self._rings.get(workspace_id) is ring:
                del self._rings[workspace_id]

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
        try:
            rings = dict(self._rings)
            after = {workspace_id: ring.last for workspace_id, ring in rings.items()}
            events = await event_log.read_all(after)
        except Exception as error:  # noqa: BLE001 - the database may be away; its readers wait
            log.warning("log not readable", error=type(error).__name__)
            await asyncio.sleep(RETRY_SECONDS)
            self._wake.set()
            return
        self._hand_out(events, rings)
        if len(events) >= event_log.READ_SIZE_MAX:
            self._wake.set()

    def _break_off(self, ring: Ring, workspace_id: UUID, error: LogBroken) -> None:
        log.error("log broken", workspace=str(workspace_id), error=str(error))
        self._rings.pop(workspace_id, None)
        ring.break_off(error)

    def _hand_out(self, events: list[Event], rings: dict[UUID, Ring]) -> None:
        """To the rings that were asked for: one made since may begin elsewhere."""
        grown = set()
        for event in events:
            ring = rings[event.workspace_id]
            try:
                ring.add(event)
            except LogBroken as error:
                self._break_off(ring, event.workspace_id, error)
                continue
            grown.add(ring)
        for ring in grown:
            ring.wake()
