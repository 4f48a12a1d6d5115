"""The newest answers of shared executions, and those under way, each workspace in its turn."""

import asyncio
from collections import OrderedDict, deque
from collections.abc import AsyncIterator, Awaitable, Callable, Hashable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from time import monotonic
from uuid import UUID

from models.event import Kind
from models.sight import Sight
from resolvers.onlooker import Notes

ANSWERS_KEPT_MAX = 2_048
# Long enough for those that are a little slower; who comes later is told how things are by then.
ANSWER_SECONDS_MAX = 5.0
ANSWER_CHARACTERS_KEPT_MAX = 32 * 2**20
# Of all subscriptions together, so that commands always find connections to the database.
EXECUTIONS_MAX = 8


@dataclass(frozen=True, slots=True)
class Answer:
    """What came of one execution, and for whom it is."""

    payload: str
    notes: Notes
    is_sound: bool
    made_at: float = field(default_factory=monotonic)

    @property
    def is_new(self) -> bool:
        return monotonic() - self.made_at < ANSWER_SECONDS_MAX


@dataclass(eq=False, slots=True, weakref_slot=True)
class Share:
    """One document with its variables, as those of one sight see it."""

    sight: Sight
    # Items about which this document asks what only each subscriber for itself can be told.
    personal: set[Kind]


# What is asked, of which event; and by whom, where that makes a difference.
Key = tuple[Share, UUID, int] | tuple[Share, UUID, int, UUID | None]
Execute = Callable[[], Awaitable[Answer]]


class Execution:
    """One that is under way: a task of its own, for whoever asked first may leave first."""

    def __init__(self, execute: Awaitable[Answer]) -> None:
        self._over = asyncio.Event()
        self.task = asyncio.ensure_future(execute)
        self.task.add_done_callback(lambda _: self._over.set())

    async def answer(self) -> Answer:
        # Not the task itself: to be cancelled while one waits for it would be to cancel it.
        await self._over.wait()
        return self.task.result()


class Turns:
    """So many at once, and of those who wait each workspace in turn: however much one asks for,
    the next of another waits for no more than what is under way.
    """

    def __init__(self, at_once_max: int) -> None:
        self._free = at_once_max
        self._waiting: OrderedDict[UUID, deque[asyncio.Future[None]]] = OrderedDict()

    @asynccontextmanager
    async def turn(self, workspace_id: UUID) -> AsyncIterator[None]:
        if self._free:
            self._free -= 1
        else:
            await self._wait(workspace_id)
        try:
            yield
        finally:
            self._pass_on()

    async def _wait(self, workspace_id: UUID) -> None:
        mine = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(workspace_id, deque()).append(mine)
        try:
            await mine
        except asyncio.CancelledError:
            if not mine.cancelled():
                self._pass_on()
            raise

    def _pass_on(self) -> None:
        while self._waiting:
            workspace_id, waiting = self._waiting.popitem(last=False)
            first = waiting.popleft()
            if waiting:
                self._waiting[workspace_id] = waiting
            if not first.done():
                first.set_result(None)
                return
        self._free += 1


class Answers:
    """The newest answers, and those under way."""

    def __init__(self) -> None:
        self._kept: OrderedDict[Hashable, Answer] = OrderedDict()
        self._characters = 0
        self._running: dict[Hashable, Execution] = {}
        self._turns = Turns(EXECUTIONS_MAX)

    def begin(self, key: Key, execute: Execute) -> None:
        """See to it that there will be an answer, without waiting for it."""
        if key in self._running or self.kept(key):
            return
        running = self._running[key] = Execution(self.unshared(key[0].sight, execute))
        running.task.add_done_callback(lambda done: self._ended(key, done))

    async def of(self, key: Key, execute: Execute) -> Answer:
        kept = self.kept(key)
        if kept is not None:
            return kept
        self.begin(key, execute)
        return await self._running[key].answer()

    async def unshared(self, sight: Sight, execute: Execute) -> Answer:
        """What nobody else asks for, when it is its workspace's turn."""
        async with self._turns.turn(sight.workspace_id):
            return await execute()

    def running(self, key: Hashable) -> Execution | None:
        """The execution whose answer is not there yet."""
        return self._running.get(key)

    def kept(self, key: Hashable) -> Answer | None:
        """An answer that is there already, and new enough."""
        kept = self._kept.get(key)
        return kept if kept is not None and kept.is_new else None

    def _ended(self, key: Hashable, task: asyncio.Task[Answer]) -> None:
        del self._running[key]
        # What failed is told to those who wait for it, and tried again for the next.
        if task.cancelled() or task.exception() or not task.result().is_sound:
            return
        self._forget(key)
        self._kept[key] = task.result()
        self._characters += len(task.result().payload)
        while self._is_full or not next(iter(self._kept.values())).is_new:
            self._forget(next(iter(self._kept)))

    @property
    def _is_full(self) -> bool:
        return len(self._kept) > ANSWERS_KEPT_MAX or self._characters > ANSWER_CHARACTERS_KEPT_MAX

    def _forget(self, key: Hashable) -> None:
        if (forgotten := self._kept.pop(key, None)) is not None:
            self._characters -= len(forgotten.payload)
