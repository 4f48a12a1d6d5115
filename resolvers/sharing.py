"""Equal subscriptions share one execution and one encoding of every event.

Equal are those with the same document, variables and sight, whatever cursor they began after. The
first that reaches an event has it executed, the others get the very text that came of it. Whoever
would see more than its sight in that event, because it holds what the event is about, gets an
execution of its own.
"""

import asyncio
from collections import Counter, OrderedDict, deque
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Hashable, Mapping
from contextlib import asynccontextmanager
from copy import copy
from dataclasses import dataclass, field, replace
from functools import lru_cache, partial
from time import monotonic
from typing import Any, cast
from uuid import UUID, uuid4
from weakref import WeakValueDictionary

import orjson
from graphql import (
    DocumentNode,
    ExecutionResult,
    FieldNode,
    GraphQLError,
    Node,
    OperationDefinitionNode,
    StringValueNode,
    VariableNode,
    Visitor,
    visit,
)
from strawberry.schema.schema import StrawberryGraphQLCoreExecutionContext
from strawberry.types import execution

from models.event import Kind
from models.sight import Sight
from models.stream import RETRY_SECONDS, passes
from models.subscription import Item, Logged, Snapshot
from resolvers.context import Context
from resolvers.guard import OPERATION_TIMEOUT_SECONDS, timed_out
from resolvers.limits import DOCUMENTS_CACHED_MAX, operations, parsed
from resolvers.masking import Encoded, Live, cause_of, present
from resolvers.onlooker import Notes

ANSWERS_KEPT_MAX = 2_048
# Long enough for those that are a little slower; who comes later is told how things are by then.
ANSWER_SECONDS_MAX = 5.0
ANSWER_CHARACTERS_KEPT_MAX = 32 * 2**20
# Of all subscriptions together, so that commands always find connections to the database.
EXECUTIONS_MAX = 8
# After so long without an answer of the database its absence is what there is to tell.
OUTAGE_SECONDS_MAX = 10.0


@dataclass(slots=True)
class Shown:
    """What a subscription shows next, and how; made only by whoever executes it."""

    item: Item
    show: Callable[[Item], Any]


@dataclass(frozen=True, slots=True)
class Feed:
    """Everything that a subscription will show, as much at a time as came at once, and how."""

    batches: AsyncGenerator[list[Item], None]
    show: Callable[[Item], Any]


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


ANSWERS = Answers()


_shares: WeakValueDictionary[Hashable, Share] = WeakValueDictionary()


class SharingExecutor(StrawberryGraphQLCoreExecutionContext):
    """Executes what a subscription shows: a batch of items at a time, each with fresh loaders."""

    _share: Share | None = None
    _sight: Sight | None = None
    _question: Hashable = None

    def build_per_event_executor(self, payload: Any) -> Any:
        if isinstance(payload, Feed):
            return _Delivery(self, payload)
        return self._of_one_event(payload)

    def _of_one_event(self, payload: Any) -> Any:
        executor = super().build_per_event_executor(payload)
        # What each event collects is never asked for again, and would stay as long as the stream.
        executor._relevant_sub_fields = {}  # noqa: SLF001 - graphql-core lets copies share it
        return executor

    async def told(self, feed: Feed) -> AsyncGenerator[Encoded, None]:
        """What each item of the feed is to this subscriber, in their order."""
        async for items in feed.batches:
            if len(items) == 1:
                told = [payload] if (payload := await self._joined(items[0])) else []
            else:
                told = [payload for item in items if (payload := self._kept(item))]
            if len(told) == len(items):
                yield Encoded(told)
            else:
                yield await self._encoded([Shown(item, feed.show) for item in items])

    async def _encoded(self, batch: list[Shown]) -> Encoded:
        if len(batch) == 1:
            return Encoded([await self._payload(batch[0])])
        for shown in batch:
            self._begin(shown)
        return Encoded([await self._payload(shown) for shown in batch])

    async def _joined(self, item: Item) -> str | None:
        """The same, also of an execution that others have begun: most of a crowd come to that."""
        if not isinstance(item, Logged):
            return None
        running = ANSWERS.running(_key(self._share_of(item.sight), item))
        if running is None:
            return self._kept(item)
        return self._suited(await running.answer())

    def _kept(self, item: Item) -> str | None:
        """What others were told of an item, where this subscriber is told the same."""
        if not isinstance(item, Logged):
            return None
        share = self._share_of(item.sight)
        if item.event.kind in share.personal:
            return None
        answer = ANSWERS.kept(_key(share, item))
        return None if answer is None else self._suited(answer)

    def _suited(self, answer: Answer) -> str | None:
        return answer.payload if answer.notes.suits(self._context.by.agent_id) else None

    def _begin(self, shown: Shown) -> None:
        item = shown.item
        if isinstance(item, Logged):
            share = self._share_of(item.sight)
            if item.event.kind not in share.personal:
                ANSWERS.begin(_key(share, item), partial(self._for_all, shown, share))

    async def _payload(self, shown: Shown) -> str:
        item = shown.item
        if not isinstance(item, Logged):
            # A beginning or a mark is this subscriber's own.
            own = partial(self._for_one, shown, self._context.request_id)
            if isinstance(item, Snapshot):
                return (await ANSWERS.unshared(item.sight, own)).payload
            return (await own()).payload
        share = self._share_of(item.sight)
        key = _key(share, item)
        if item.event.kind not in share.personal:
            answer = await ANSWERS.of(key, partial(self._for_all, shown, share))
            if answer.notes.suits(self._context.by.agent_id):
                return answer.payload
            if answer.notes.is_personal:
                share.personal.add(item.event.kind)
        key_of_one = (*key, self._context.by.id)
        return (await ANSWERS.of(key_of_one, partial(self._for_one, shown, uuid4().hex))).payload

    def _share_of(self, sight: Sight) -> Share:
        share = self._share
        if share is None or (self._sight is not sight and share.sight != sight):
            if self._question is None:
                self._question = _question(self.operation, self.variable_values.coerced)
            key = (self._question, sight)
            share = _shares.get(key)
            if share is None:
                share = _shares[key] = Share(sight, set())
            self._share = share
        self._sight = sight
        return share

    @property
    def _context(self) -> Context:
        return cast("Context", self.context_value)

    async def _for_all(self, shown: Shown, share: Share) -> Answer:
        notes = Notes()
        context = self._context.shared_by(share.sight, notes)
        result = await self._executed(shown, context)
        # Its errors come from asking who asks; nobody gets to see them.
        errors = None if notes.is_personal else result.errors
        # Whoever logs them may look at everything that there is, and is none of those who ask.
        return _answer(result.data, errors, copy(notes), uuid4().hex)

    async def _for_one(self, shown: Shown, request_id: str) -> Answer:
        """As this subscriber sees it, with the rights that it has by then."""
        by = self._context.by
        if isinstance(shown.item, Logged | Snapshot):
            by = replace(by, role=shown.item.sight.role, scopes=shown.item.sight.scopes)
        result = await self._executed(shown, self._context.seen_by(by))
        return _answer(result.data, result.errors, Notes(), request_id)

    async def _executed(self, shown: Shown, context: Context) -> ExecutionResult:
        """Once the database answers; to tell of an event without what it cannot say now would be to
        lose that.
        """
        until = monotonic() + OUTAGE_SECONDS_MAX
        while True:
            try:
                async with asyncio.timeout(OPERATION_TIMEOUT_SECONDS):
                    result = await self._executed_once(shown.show(shown.item), context)
            except TimeoutError:
                return ExecutionResult(None, [timed_out(OPERATION_TIMEOUT_SECONDS)])
            causes = [cause_of(error) for error in result.errors or ()]
            if monotonic() > until or not any(cause and passes(cause) for cause in causes):
                return result
            await asyncio.sleep(RETRY_SECONDS)

    async def _executed_once(self, item: Any, context: Context) -> ExecutionResult:
        executor = self._of_one_event(item)
        executor.context_value = context
        result = executor.execute_operation(serially=False)
        if executor.is_awaitable(result):
            return cast("ExecutionResult", await result)
        return cast("ExecutionResult", result)


@dataclass(frozen=True, slots=True)
class _Delivery:
    """What graphql-core calls an executor of one event, of all that a subscription will show.

    All is one event to the engine: its layers are passed once, and not with every event.
    """

    executor: SharingExecutor
    feed: Feed

    def execute_operation(self, _serially: bool | None = None) -> ExecutionResult:  # noqa: FBT001
        return ExecutionResult(cast("Any", Live(self.executor.told(self.feed))), None)


def encoded(result: execution.ExecutionResult) -> Encoded:
    """The payloads of a result as any transport sends them; several where it is of several."""
    if isinstance(result.data, Encoded):
        return result.data
    payload: dict[str, Any] = {"data": result.data}
    if result.errors:
        payload["errors"] = [error.formatted for error in result.errors]
    if result.extensions:
        payload["extensions"] = result.extensions
    return Encoded([orjson.dumps(payload).decode()])


def _key(share: Share, logged: Logged) -> tuple[Share, UUID, int]:
    return (share, logged.position.epoch, logged.event.seq)


def _answer(
    data: dict[str, Any] | None, errors: list[GraphQLError] | None, notes: Notes, request_id: str
) -> Answer:
    payload: dict[str, Any] = {"data": data}
    if errors:
        shown = [present(error, request_id, stranger=False) for error in errors]
        payload["errors"] = [error.formatted for error in shown]
    return Answer(orjson.dumps(payload).decode(), notes, is_sound=not errors)


def _question(operation: OperationDefinitionNode, variables: Mapping[str, Any]) -> Hashable:
    """What is asked, apart from where in the log to begin."""
    assert operation.loc is not None  # noqa: S101 - we parse with places
    name = operation.name.value if operation.name else None
    text, beginning = without_beginning(operation.loc.source.body, name)
    kept = {name: value for name, value in variables.items() if name not in beginning}
    try:
        return (text, name, orjson.dumps(kept, option=orjson.OPT_SORT_KEYS))
    except TypeError:
        # Of what cannot be compared nothing is equal.
        return object()


@lru_cache(maxsize=DOCUMENTS_CACHED_MAX * 4)
def without_beginning(text: str, name: str | None) -> tuple[str, frozenset[str]]:
    """A document without the cursors that its subscription begins after, and their variables."""
    document = parsed(text)
    operation = next(each for each in operations(document) if name in (None, _name(each)))
    afters = [
        argument.value
        for field in operation.selection_set.selections
        if isinstance(field, FieldNode)
        for argument in field.arguments or ()
        if argument.name.value == "after"
    ]
    used = _uses(document)
    beginning = {
        value.name.value
        for value in afters
        # Once where it is declared, once here: what nothing else depends on.
        if isinstance(value, VariableNode) and used[value.name.value] == 2
    }
    defaults = [
        variable.default_value
        for variable in operation.variable_definitions or ()
        if variable.variable.name.value in beginning
    ]
    literals = [value for value in (*afters, *defaults) if isinstance(value, StringValueNode)]
    for value in sorted(literals, key=_start, reverse=True):
        assert value.loc is not None  # noqa: S101 - we parse with places
        text = f"{text[: value.loc.start]}null{text[value.loc.end :]}"
    return text, frozenset(beginning)


def _uses(document: DocumentNode) -> Counter[str]:
    """How often the document names each variable, where it declares it too."""
    found: Counter[str] = Counter()

    class Search(Visitor):
        def enter_variable(self, node: VariableNode, *_: object) -> None:
            found[node.name.value] += 1

    visit(document, Search())
    return found


def _name(operation: OperationDefinitionNode) -> str | None:
    return operation.name.value if operation.name else None


def _start(node: Node) -> int:
    return node.loc.start if node.loc else 0
