"""Equal subscriptions share one execution of an event, and nobody is shown another's."""

import asyncio
import gc
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, aclosing, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID, uuid4

import orjson
import pytest

from models import Agent, database, log
from models.access import Actor, Role
from models.errors import Busy
from models.ring import LogBroken
from models.stream import Reader
from models.token import actor_of
from models.wakeup import Wakeups
from resolvers import onlooker, projections, sharing
from resolvers.answers import EXECUTIONS_MAX, Turns
from resolvers.context import Context
from resolvers.ids import encode
from resolvers.schema import schema
from resolvers.sharing import SharingExecutor, encoded, without_beginning
from tests.factories import a_message, an_agent, by_system
from tests.resolvers.client import Company, integration_of, session_of
from tests.resolvers.test_statements import Statements
from tests.resolvers.test_statements import statements as statements

PATIENCE_SECONDS = 10
SHOWN = """__typename
    ... on LoggedEvent { seq kind cursor occurredAt actor { kind agent { name } } }
    ... on StreamSnapshot { cursor }
    ... on ConversationEvent {
        conversation { id status team { name } contact { name } assignee { name load } }
        fromQueue { id waitingCount } toQueue { id waitingCount }
        fromAgent { name } toAgent { name } }
    ... on MessageEvent { message { text } }"""
QUEUE = f"""subscription ($id: ID!, $after: String) {{
    queueChanged(queueId: $id, after: $after) {{ {SHOWN} }} }}"""
LOG = f"subscription ($after: String) {{ workspaceEvents(after: $after) {{ {SHOWN} }} }}"


@dataclass
class Subscriber:
    """One subscription, driven as a transport drives it."""

    stream: Any
    payloads: list[str] = field(default_factory=list)

    async def next(self) -> Any:
        """The next item that it is shown."""
        while not self.payloads:
            async with asyncio.timeout(PATIENCE_SECONDS):
                self.payloads += encoded(await anext(self.stream))
        answer = orjson.loads(self.payloads.pop(0))
        assert "errors" not in answer, answer
        [item] = answer["data"].values()
        return item


@dataclass
class Office:
    """A web process, without its sockets."""

    reader: Reader
    exits: AsyncExitStack

    async def subscribe(self, actor: Actor, document: str, **variables: object) -> Subscriber:
        """Somebody who has heard the beginning of a stream."""
        context = Context(actor=actor, request_id="1", reader=self.reader)
        stream = await schema.stream(document, variable_values=variables, context_value=context)
        subscriber = Subscriber(await self.exits.enter_async_context(aclosing(stream)))
        await subscriber.next()
        return subscriber


@pytest.fixture
async def office(database: str) -> AsyncIterator[Office]:
    async with an_office() as found:
        yield found


@asynccontextmanager
async def an_office() -> AsyncIterator[Office]:
    reader = Reader()
    wakeups = Wakeups("")
    wakeups.listen(reader.wake)
    forget = database.on_commit(wakeups.committed)
    reader.start()
    try:
        async with AsyncExitStack() as exits:
            yield Office(reader, exits)
    finally:
        forget()
        await reader.stop()


async def actor(agent: Agent) -> Actor:
    """An agent with a session, whose rights are asked again when they may have changed."""
    return (await actor_of(await session_of(agent)))[0]


@dataclass
class Gate:
    """Where every execution passes: `reached` by one, and none goes on while it is not `open`."""

    reached: asyncio.Event = field(default_factory=asyncio.Event)
    open: asyncio.Event = field(default_factory=asyncio.Event)


@pytest.fixture
def gate() -> Gate:
    found = Gate()
    found.open.set()
    return found


@pytest.fixture
def executions(monkeypatch: pytest.MonkeyPatch, gate: Gate) -> list[str]:
    """The kinds of events that are executed from now on."""
    executed: list[str] = []
    original = SharingExecutor._executed_once

    async def counted(self: SharingExecutor, item: Any, context: Context) -> Any:
        executed.append(str(item.event.kind) if hasattr(item, "event") else type(item).__name__)
        gate.reached.set()
        await gate.open.wait()
        return await original(self, item, context)

    monkeypatch.setattr(SharingExecutor, "_executed_once", counted)
    return executed


async def until(subscriber: Subscriber, kind: str) -> Any:
    """The next event of a kind."""
    while (item := await subscriber.next())["kind"] != kind:
        pass
    return item


async def script(company: Company, *scopes: str) -> Actor:
    return (await actor_of(await integration_of(company.workspace, *scopes)))[0]


async def test_an_event_costs_as_much_for_a_thousand_as_for_one(
    company: Company, office: Office, executions: list[str], statements: Statements
) -> None:
    by = await actor(company.agent)
    subscribers: list[Subscriber] = []
    costs = {}
    for count in (1, 10, 1_000):
        wanted = count - len(subscribers)
        opening = [office.subscribe(by, QUEUE, id=company.id("Queue")) for _ in range(wanted)]
        subscribers += await asyncio.gather(*opening)
        statements.clear()
        executions.clear()
        await a_message(company.channel, sender=f"new-{count}")
        items = [await subscriber.next() for subscriber in subscribers]
        # Without the looks at the log, one a second however many there are.
        costs[count] = len([each for each in statements if " logs l" not in each])

        assert {item["__typename"] for item in items} == {"ConversationEntered"}
        assert executions == ["CONVERSATION_QUEUED"]

    assert len(set(costs.values())) == 1, costs


async def test_two_companies_with_the_same_words_never_share(
    company: Company, other: Company, office: Office, executions: list[str]
) -> None:
    """The document and its variables are the same: only their workspaces tell them apart."""
    ours = await office.subscribe(await actor(company.admin), LOG)
    theirs = await office.subscribe(await actor(other.admin), LOG)

    received = [await a_message(each.channel, sender="same") for each in (company, other)]
    found = [await until(subscriber, "CONVERSATION_QUEUED") for subscriber in (ours, theirs)]

    assert [item["conversation"]["id"] for item in found] == [
        encode("Conversation", each.conversation_id) for each in received
    ]
    assert executions.count("CONVERSATION_QUEUED") == 2


async def test_those_of_one_team_share_whoever_they_are(
    company: Company, office: Office, executions: list[str]
) -> None:
    others = [await an_agent(company.workspace, teams=[company.team]) for _ in "12"]
    elsewhere = await an_agent(company.workspace, teams=[company.team, company.spare])
    subscribers = [
        await office.subscribe(await actor(agent), QUEUE, id=company.id("Queue"))
        for agent in (company.agent, *others, elsewhere)
    ]
    executions.clear()

    await a_message(company.channel, sender="new")
    items = [await subscriber.next() for subscriber in subscribers]

    assert all(item == items[0] for item in items)
    # Whoever is of another team, too, has another sight.
    assert executions == ["CONVERSATION_QUEUED"] * 2


async def test_scripts_with_equal_scopes_share(
    company: Company, office: Office, executions: list[str]
) -> None:
    scopes = [
        ("conversations:read",),
        ("conversations:read",),
        ("conversations:read", "tickets:read"),
    ]
    subscribers = [
        await office.subscribe(await script(company, *each), QUEUE, id=company.id("Queue"))
        for each in scopes
    ]
    executions.clear()

    await a_message(company.channel, sender="new")
    items = [await subscriber.next() for subscriber in subscribers]

    assert all(item["conversation"] for item in items)
    assert executions == ["CONVERSATION_QUEUED"] * 2


async def test_another_role_is_another_share_from_its_very_event_on(
    company: Company, office: Office
) -> None:
    """A supervisor becomes a marketer, who goes on with the log and sees no conversation in it."""
    leaving = await an_agent(company.workspace, role=Role.OPERATOR)
    moved, staying = [
        await office.subscribe(await actor(agent), LOG) for agent in (leaving, company.operator)
    ]
    await a_message(company.channel, sender="before")
    before = [await until(each, "CONVERSATION_QUEUED") for each in (moved, staying)]
    await Agent.change(leaving.id, by=by_system(company.workspace), role=Role.MARKETING)
    await a_message(company.channel, sender="after")
    after = [await until(each, "CONVERSATION_QUEUED") for each in (moved, staying)]

    assert [item["conversation"] is not None for item in before] == [True, True]
    assert [item["conversation"] is not None for item in after] == [False, True]


@pytest.mark.parametrize("backlog", [1, 40])
async def test_who_reads_late_is_shown_nothing_by_rights_that_it_lost_meanwhile(
    company: Company, office: Office, backlog: int
) -> None:
    """What is shown below an event is how it is now, whenever the event was."""
    leaving = await an_agent(company.workspace, role=Role.OPERATOR)
    late, staying = [
        await office.subscribe(await actor(agent), LOG) for agent in (leaving, company.operator)
    ]
    for number in range(backlog):
        await a_message(company.channel, sender=str(number))
    await Agent.change(leaving.id, by=by_system(company.workspace), role=Role.MARKETING)
    while (await staying.next())["kind"] != "AGENT_UPDATED":
        pass

    items = [await until(late, "CONVERSATION_QUEUED") for _ in range(backlog)]

    assert [item["conversation"] for item in items] == [None] * backlog


async def test_the_first_who_leaves_takes_nothing_from_the_others(
    company: Company, office: Office, gate: Gate, executions: list[str]
) -> None:
    by = await actor(company.agent)
    first, second = [await office.subscribe(by, QUEUE, id=company.id("Queue")) for _ in "12"]
    executions.clear()
    gate.reached.clear()
    gate.open.clear()
    leaving = asyncio.create_task(first.next())
    await a_message(company.channel, sender="new")
    await asyncio.wait_for(gate.reached.wait(), PATIENCE_SECONDS)
    staying = asyncio.create_task(second.next())
    leaving.cancel()
    await asyncio.wait([leaving])
    gate.open.set()

    assert (await staying)["kind"] == "CONVERSATION_QUEUED"
    assert executions == ["CONVERSATION_QUEUED"]


async def test_who_is_slow_holds_up_nobody_and_misses_nothing(
    company: Company, office: Office, executions: list[str]
) -> None:
    by = await actor(company.agent)
    slow, quick = [await office.subscribe(by, QUEUE, id=company.id("Queue")) for _ in "12"]
    executions.clear()
    read = []
    for number in range(3):
        await a_message(company.channel, sender=f"new-{number}")
        read.append(await quick.next())

    assert [await slow.next() for _ in range(3)] == read
    assert len(executions) == 3


async def test_however_much_one_company_asks_for_another_is_next() -> None:
    """Both slots are taken by a company that waits for a hundred more."""
    turns = Turns(2)
    begun: list[str] = []
    go_on = asyncio.Semaphore(0)

    async def execute(name: str, company: UUID) -> None:
        async with turns.turn(company):
            begun.append(name)
            await go_on.acquire()

    greedy, modest = uuid4(), uuid4()
    tasks = [asyncio.create_task(execute(str(number), greedy)) for number in range(100)]
    await asyncio.sleep(0)
    tasks.append(asyncio.create_task(execute("modest", modest)))
    await asyncio.sleep(0)
    # Whoever leaves while it waits takes no slot with it, nor when it has just been given one.
    tasks[2].cancel()
    go_on.release()
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    tasks[3].cancel()
    for _ in tasks:
        go_on.release()
    await asyncio.gather(*tasks, return_exceptions=True)

    assert begun[:3] == ["0", "1", "modest"]
    await asyncio.wait_for(asyncio.gather(*[execute("after", greedy) for _ in "12"]), 5)


async def test_beginnings_wait_for_their_turn_too(
    company: Company, office: Office, gate: Gate, executions: list[str]
) -> None:
    """All come back at once after a restart, and commands still find connections."""
    by = await actor(company.agent)
    gate.open.clear()
    opening = [
        asyncio.create_task(office.subscribe(by, QUEUE, id=company.id("Queue"))) for _ in range(40)
    ]
    await asyncio.wait_for(gate.reached.wait(), PATIENCE_SECONDS)
    await asyncio.wait(opening, timeout=1)
    at_once = len(executions)
    gate.open.set()
    await asyncio.gather(*opening)

    assert at_once == EXECUTIONS_MAX
    assert executions == ["StreamSnapshot"] * 40


async def test_what_failed_is_told_once_and_tried_again_for_the_next(
    company: Company, office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    by = await actor(company.agent)
    first, late = [await office.subscribe(by, QUEUE, id=company.id("Queue")) for _ in "12"]
    with monkeypatch.context() as broken:
        wrong = "SELECT 1 / 0 FROM unnest($2::uuid[]) WHERE $1::uuid IS NOT NULL"
        broken.setattr(projections, "CONVERSATION_OF_ANYBODY", wrong)
        await a_message(company.channel, sender="new")
        failed = orjson.loads(encoded(await anext(first.stream))[0])

    assert failed["data"]["queueChanged"]["conversation"] is None
    assert {error["extensions"]["code"] for error in failed["errors"]} == {"INTERNAL_SERVER_ERROR"}
    assert {error["message"] for error in failed["errors"]} == {"Internal error"}
    assert (await late.next())["conversation"]


async def test_what_the_database_cannot_say_now_is_told_when_it_can(
    company: Company, office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    subscriber = await office.subscribe(await actor(company.agent), QUEUE, id=company.id("Queue"))
    away, original = [ConnectionResetError(), Busy()], onlooker.fetch

    async def fetch_later(*arguments: Any) -> Any:
        if away:
            raise away.pop()
        return await original(*arguments)

    monkeypatch.setattr(sharing, "RETRY_SECONDS", 0)
    monkeypatch.setattr(onlooker, "fetch", fetch_later)
    await a_message(company.channel, sender="new")

    assert (await subscriber.next())["conversation"]
    assert away == []


async def test_what_takes_too_long_is_said_to_and_holds_up_nothing_else(
    company: Company,
    office: Office,
    executions: list[str],
    gate: Gate,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    subscriber = await office.subscribe(await actor(company.agent), QUEUE, id=company.id("Queue"))
    monkeypatch.setattr(sharing, "OPERATION_TIMEOUT_SECONDS", 0.05)
    gate.open.clear()
    await a_message(company.channel, sender="new")
    [late] = encoded(await anext(subscriber.stream))
    gate.open.set()
    monkeypatch.setattr(sharing, "OPERATION_TIMEOUT_SECONDS", 10)
    await a_message(company.channel, sender="newer")

    assert orjson.loads(late)["errors"][0]["extensions"]["code"] == "TIMEOUT"
    assert (await subscriber.next())["conversation"]


BEGUN = """subscription ($id: ID!{}) {{
    queueChanged(queueId: $id{}) {{ ... on LoggedEvent {{ seq }} }} }}"""
AFTERS = {
    "variable": (", $after: String", ", after: $after"),
    "literal": ("", ', after: "CURSOR"'),
    "default": (', $after: String = "CURSOR"', ", after: $after"),
}


@pytest.mark.parametrize("way", AFTERS)
async def test_where_one_began_makes_no_difference(
    company: Company, office: Office, executions: list[str], way: str
) -> None:
    by = await actor(company.agent)
    declared, given = AFTERS[way]
    cursors = [await cursor_of(company, office, by) for _ in range(2)]
    subscribers = []
    for cursor in cursors:
        document = BEGUN.format(declared, given).replace("CURSOR", cursor)
        variables = {"after": cursor} if way == "variable" else {}
        subscribers.append(
            await office.subscribe(by, document, id=company.id("Queue"), **variables)
        )
    # The first began before what the second begins after.
    await subscribers[0].next()
    executions.clear()

    await a_message(company.channel, sender="new")
    items = [await subscriber.next() for subscriber in subscribers]

    assert items[0] == items[1]
    assert executions == ["CONVERSATION_QUEUED"]


async def cursor_of(company: Company, office: Office, by: Actor) -> str:
    """Where the log stands after one more event."""
    await a_message(company.channel, sender="before")
    head = await log.head(company.workspace.id)
    return head.position.cursor()


def test_a_variable_that_something_else_depends_on_is_part_of_the_question() -> None:
    text = """subscription ($after: String, $first: Int) {
        queueChanged(queueId: "1", after: $after) {
            ... on ConversationEvent {
                conversation { messages(first: $first, after: $after) { totalCount } } } } }"""

    assert without_beginning(text, None) == (text, frozenset())


async def test_a_stream_keeps_nothing_of_the_events_that_it_has_told(
    company: Company, office: Office
) -> None:
    subscriber = await office.subscribe(await actor(company.admin), LOG)
    gc.collect()
    executors = [it for it in gc.get_objects() if type(it) is SharingExecutor]
    (executor,) = [it for it in executors if it.context_value.reader is office.reader]
    kept = len(executor._relevant_sub_fields)

    for _ in range(3):
        await a_message(company.channel)
        await until(subscriber, "CONVERSATION_OPENED")

    assert len(executor._relevant_sub_fields) == kept


async def test_what_breaks_a_stream_is_told_once_and_ends_it(
    company: Company, office: Office
) -> None:
    subscriber = await office.subscribe(await actor(company.agent), QUEUE, id=company.id("Queue"))
    await a_message(company.channel)
    await subscriber.next()

    office.reader._rings[company.workspace.id].end(LogBroken("The log has a hole."))
    results = [text async for result in subscriber.stream for text in encoded(result)]

    [error] = orjson.loads(results[0])["errors"]
    assert len(results) == 1
    assert (error["message"], error["extensions"]["code"]) == (
        "Internal error",
        "INTERNAL_SERVER_ERROR",
    )
