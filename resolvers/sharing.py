"""Equal subscriptions share one execution and one encoding of every event.

Equal are those with the same document, variables and sight, whatever cursor they began after. The
first that reaches an event has it executed, the others get the very text that came of it. Whoever
would see more than its sight in that event, because it holds what the event is about, gets an
execution of its own.
"""

import asyncio
from collections import Counter
from collections.abc import AsyncGenerator, Callable, Hashable, Mapping
from copy import copy
from dataclasses import dataclass, replace
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

from models.sight import Sight
from models.stream import RETRY_SECONDS, passes
from models.subscription import Item, Logged, Snapshot
from resolvers.answers import Answer, Answers, Share
from resolvers.context import Context
from resolvers.guard import OPERATION_TIMEOUT_SECONDS, timed_out
from resolvers.limits import DOCUMENTS_CACHED_MAX, operations, parsed
from resolvers.masking import Encoded, Live, cause_of, present
from resolvers.onlooker import Notes

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

    def execute_operation(self, _serially: bool | None = None) -> ExecutionResult:  # noqa: FBT001 - graphql-core's
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
