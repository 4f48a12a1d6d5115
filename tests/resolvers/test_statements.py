"""How many SQL statements a request costs: bounded, and the same however long its lists are."""

from collections.abc import Awaitable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from asyncpg.connection import Connection

from models import Contact
from models.closing import close
from models.contact_search import Filter
from models.decision import Distribution
from models.tag import tag_conversation
from models.ticket.action import ActionKind, add_action
from models.ticket.link import link
from models.workflow.definition import AssignStep
from models.workflow.run import start_by_hand
from resolvers.ids import encode
from tests.factories import (
    a_channel,
    a_contact,
    a_contact_field,
    a_conversation,
    a_segment,
    a_snippet,
    a_team,
    a_ticket,
    a_webhook,
    a_workflow,
    an_agent,
    as_agent,
    by_system,
    working,
)
from tests.resolvers.client import Company, a_company, integration_of, session_of
from tests.resolvers.conftest import As

Statements = list[str]
# Two loads of agents are one statement or two, as the answers before them happen to come in.
LUCK = 3
# What each command may cost: what it did when this was written, and 3 for locks to come. In each:
# 1 for the token, 2 for the idempotency key, 1 for BEGIN, 2 for the numbers and COMMIT, and 1 for
# what the answer shows; for an agent 1 for what it sees, twice.
STATEMENTS_MAX = {
    "open": 25,
    "append": 15,
    "repeat": 9,
    "open and assign": 24,
    "send": 14,
    "note": 14,
    "pick": 15,
    "unassign": 14,
    "close": 18,
    "refuse": 8,
}
PAGE_STATEMENTS_MAX = 25
FIELDS = """
    id status line openedAt lastActivityAt version position waitingSeconds waitingOnAbsentAgent
    closesAt channel { id name salesTeam { name } salesAgent { name } supportTeam { name } }
    contact { id name } queue { id waitingCount longestWaitingSeconds } assignee { id load }
    team { id name parent { name } members(first: 2) { totalCount nodes { name } } }
    lastMessage { text author { name } }
    closure { cause agent { name } closingReason { name } }
    assignment { rule agent { name } decision { rule winner { name } } }
    decision { rule outcome winner { name } candidates { verdict agent { name } } }
    messages(first: 2) { totalCount nodes { text author { name } } }
"""


@pytest.fixture
def statements(monkeypatch: pytest.MonkeyPatch) -> Statements:
    """Every statement that goes to PostgreSQL from now on, BEGIN and COMMIT too."""
    said: Statements = []
    untyped: Any = Connection
    plain, prepared = untyped.execute, untyped._execute

    async def execute(self: Any, query: str, *args: object, **options: Any) -> Any:
        if not args:
            said.append(query)
        return await plain(self, query, *args, **options)

    async def _execute(self: Any, query: str, *args: Any, **options: Any) -> Any:
        said.append(query)
        return await prepared(self, query, *args, **options)

    monkeypatch.setattr(Connection, "execute", execute)
    monkeypatch.setattr(Connection, "_execute", _execute)
    return said


@contextmanager
def budget(statements: Statements, command: str) -> Iterator[None]:
    """The block must run no more statements than the command's budget."""
    statements.clear()
    yield
    told = "\n".join(" ".join(statement.split())[:150] for statement in statements)
    spent = len(statements)
    assert spent <= STATEMENTS_MAX[command], f"{spent} statements:\n{told}"


async def counted(statements: Statements, asking: Awaitable[Any]) -> int:
    statements.clear()
    answer = await asking
    assert answer.codes == []
    return len(statements)


@pytest.fixture
async def busy(database: str) -> Company:
    """A company with forty conversations that show all there is to show."""
    company = await a_company()
    second = await an_agent(company.workspace, teams=[company.team])
    for number in range(40):
        holder = (company.agent, second)[number % 2] if number % 3 else None
        conversation = await a_conversation(
            company.workspace, channel=company.channel, holder=holder
        )
        if holder is not None:
            by = as_agent(holder)
            async with working(conversation.id, by=by) as held:
                await held.send("Hello.", by=by)
                if number % 2:
                    await close(held, by=by, reason_id=company.reason.id)
    return company


@pytest.mark.parametrize("who", ["agent", "operator", "admin"])
async def test_a_page_of_30_costs_as_many_statements_as_a_page_of_1(
    busy: Company, calling: As, statements: Statements, who: str
) -> None:
    client = calling(await session_of(getattr(busy, who)))
    page = f"query ($first: Int!) {{ conversations(first: $first) {{ nodes {{ {FIELDS} }} }} }}"
    page = page.replace("messages(first: 2)", "messages(first: 1)")

    costs = [await counted(statements, client.ask(page, first=first)) for first in (1, 12, 30)]

    assert max(costs) <= PAGE_STATEMENTS_MAX


LISTS: dict[str, str] = {
    "channels": "id salesTeam { name } salesAgent { name } supportTeam { name }",
    "teams": "id parent { name } members(first: 5) { totalCount nodes { name } }"
    " queue { waitingCount longestWaitingSeconds }",
    "queues": "id waitingCount team { name } conversations(first: 3) { totalCount nodes {"
    " id position assignee { name } contact { name } } }",
    "agents": "id name load isConnected availability",
    "contacts": "id name owner { agent { name } } tags { name }"
    " fields { name kind value field { choices } }"
    " identities(first: 2) { totalCount nodes { externalId channel { name } } }"
    " conversations(last: 2) { totalCount nodes { id status assignee { name } } }"
    " mergedInto { id } mergedContacts(first: 2) { nodes { id } }",
    "contactFields": "id name kind choices",
    "segments": "id name contacts(first: 2) { totalCount nodes { name fields { value } } }"
    " filter { search ownerAgent { name } fields { value field { name } } }",
    "closingReasons": "id name",
    "workflowRuns": "id revision workflow { name } contact { name } conversation { id status }"
    " steps { key outcome }",
    "snippets": 'id name filled(conversationId: "HELD")',
    "tickets": "id number requester { name } assignee { name } department { name } tags { name }"
    " conversations(first: 2) { totalCount nodes { id contact { name } ticketLink { status } } }"
    " actions(first: 2) { totalCount nodes { text author { name } conversation { id } closure {"
    " summary } messages(first: 2) { totalCount nodes { text } } } }",
    "conversations": "id contact { name tags { name } } tags { name }"
    " messages(last: 2) { totalCount nodes { text } } ticket { number requester { name } }"
    " ticketLink { status }",
    "events": "seq actor { agent { name } } ... on ConversationEvent { conversation { id }"
    " fromQueue { name } toQueue { name } fromAgent { name } toAgent { name } }"
    " ... on MessageEvent { message { text } } ... on AgentEvent { agent { name } }",
    "webhooks": "id name url eventsBehind filter { kinds }",
    "workflows": "id name published { trigger } defects { kind } steps {"
    " ... on WorkflowAssignStep { agent { name } team { name } } }",
}


@pytest.mark.parametrize("name", LISTS)
async def test_every_list_costs_the_same_however_long_it_is(
    busy: Company, calling: As, statements: Statements, name: str
) -> None:
    for _ in range(16):
        team = await a_team(busy.workspace, members=[busy.agent])
        known = await a_conversation(busy.workspace, team=team)
        field = await a_contact_field(busy.workspace)
        values = [(field.id, "Lima")]
        await Contact.change(known.contact_id, by=by_system(busy.workspace), values=values)
        await a_snippet(busy.workspace)
        await start_by_hand(busy.manual_workflow.id, known.id, by=by_system(busy.workspace))
        ticket = await a_ticket(await Contact.get(id=known.contact_id), tags=["one"])
        by = by_system(busy.workspace)
        await add_action(ticket.id, "Done.", kind=ActionKind.PUBLIC, by=by)
        async with working(known.id, by=by) as conversation:
            await link(conversation, ticket.id, by=by)
        await a_segment(busy.workspace, filter=Filter(search="ada", fields=((field.id, "Lima"),)))
        await a_webhook(busy.workspace)
        await a_workflow(busy.workspace, AssignStep(key="give", team_id=team.id), published=True)
    # An agent's right to see is asked of the database; one list is not for agents.
    asking = busy.admin if name == "webhooks" else busy.agent
    client = calling(await session_of(asking))
    below = LISTS[name].replace("HELD", encode("Conversation", busy.held.id))
    page = f"query ($last: Int!) {{ {name}(last: $last) {{ totalCount nodes {{ {below} }} }} }}"

    few = await counted(statements, client.ask(page, last=8))
    many = await counted(statements, client.ask(page, last=16))

    assert many <= few + LUCK


async def test_nodes_cost_the_same_however_many_they_are(
    busy: Company, calling: As, statements: Statements
) -> None:
    client = calling(await session_of(busy.agent))
    page = await client.ask("{ conversations(first: 20) { nodes { id contact { id } } } }")
    found = [node["id"] for node in page["conversations"]["nodes"]]
    found += [node["contact"]["id"] for node in page["conversations"]["nodes"]]
    found += [busy.id(name) for name in ("Agent", "Channel", "ClosingReason", "Queue", "Team")]
    ask = "query ($ids: [ID!]!) { nodes(ids: $ids) { id } }"

    few = await counted(statements, client.ask(ask, ids=found[19:21] + found[-5:]))
    many = await counted(statements, client.ask(ask, ids=found))

    assert many <= few + LUCK


def receiving(company: Company, number: int, sender: str) -> dict[str, Any]:
    return {
        "channelId": company.id("Channel"),
        "externalId": f"m-{number}",
        "contact": {"externalId": sender},
        "text": "Hello?",
        "idempotencyKey": f"key-{number}",
    }


CONVERSATION = "conversation { id }"


async def test_taking_a_message_in_has_a_budget(
    company: Company, calling: As, statements: Statements
) -> None:
    script = calling(await integration_of(company.workspace))
    lively = await a_team(
        company.workspace, distribution=Distribution.LEAST_OPEN, members=[company.agent]
    )
    automatic = await a_channel(company.workspace, team=lively)

    with budget(statements, "open"):
        opened = await script.do("messageReceive", receiving(company, 1, "new"), CONVERSATION)
    with budget(statements, "append"):
        appended = await script.do("messageReceive", receiving(company, 2, "new"), CONVERSATION)
    with budget(statements, "repeat"):
        again = await script.do("messageReceive", receiving(company, 2, "new"), CONVERSATION)
    given = {**receiving(company, 3, "newer"), "channelId": encode("Channel", automatic.id)}
    with budget(statements, "open and assign"):
        assigned = await script.do("messageReceive", given, CONVERSATION)

    assert [answer.codes for answer in (opened, appended, again, assigned)] == [[]] * 4


async def test_answering_has_a_budget(
    company: Company, calling: As, statements: Statements
) -> None:
    agent = calling(await session_of(company.agent))
    held = str(encode("Conversation", company.held.id))
    sending = {"conversationId": held, "text": "Hello.", "idempotencyKey": "1"}

    with budget(statements, "send"):
        sent = await agent.do("messageSend", sending, CONVERSATION)
    with budget(statements, "note"):
        noted = await agent.do("noteAdd", sending, CONVERSATION)

    assert sent.codes == noted.codes == []


async def test_moving_has_a_budget(company: Company, calling: As, statements: Statements) -> None:
    agent = calling(await session_of(company.agent))
    waiting = {"conversationId": company.id("Conversation")}

    with budget(statements, "pick"):
        picked = await agent.do("conversationPick", waiting, CONVERSATION)
    with budget(statements, "unassign"):
        unassigned = await agent.do("conversationUnassign", waiting, CONVERSATION)

    assert picked.codes == unassigned.codes == []


async def test_closing_has_a_budget(company: Company, calling: As, statements: Statements) -> None:
    agent = calling(await session_of(company.agent))
    closing = {
        "conversationId": encode("Conversation", company.held.id),
        "closingReasonId": company.id("ClosingReason"),
        "idempotencyKey": "1",
    }

    with budget(statements, "close"):
        closed = await agent.do("conversationClose", closing, CONVERSATION)

    assert closed.codes == []


async def test_merging_costs_the_same_however_much_moves(
    company: Company, calling: As, statements: Statements
) -> None:
    operator = calling(await session_of(company.operator))
    channel = await a_channel(company.workspace)
    costs = []
    for number in (1, 8):
        twin = await a_contact(channel, sender=f"twin-{number}")
        for count in range(number):
            by = as_agent(company.operator)
            conversation = await a_conversation(
                company.workspace, channel=channel, sender=f"twin-{number}"
            )
            async with working(conversation.id, by=by) as open_one:
                await tag_conversation(open_one, [f"Tag {count}"], by=by)
                await close(open_one, by=by)
        merging = {"survivorId": company.id("Contact"), "mergedId": encode("Contact", twin.id)}
        splitting = {"contactId": merging["mergedId"]}

        merged = await counted(statements, operator.do("contactMerge", merging, "contact { id }"))
        split = await counted(statements, operator.do("contactSplit", splitting))
        costs.append((merged, split))

    assert costs[0] == costs[1]


async def test_a_refusal_costs_no_more_than_finding_out(
    company: Company, calling: As, statements: Statements
) -> None:
    agent = calling(await session_of(company.agent))
    waiting = {"conversationId": company.id("Conversation"), "expectedVersion": 99}

    with budget(statements, "refuse"):
        refused = await agent.do("conversationPick", waiting, CONVERSATION)

    assert refused.codes == ["CONVERSATION_CHANGED"]
