"""What the API says of its routing: why not somebody, where to, whom a contact comes back to."""

from datetime import datetime, timedelta

import pytest

from models import Conversation, Team
from models.base import Line
from models.closing import close
from models.database import fetch
from models.decision import Distribution
from models.workflow.definition import AssignStep, TextCondition
from resolvers.ids import encode
from tests.factories import a_channel, a_conversation, a_team, an_agent, by_system, working
from tests.published import published
from tests.resolvers.client import Client, Company, session_of
from tests.resolvers.conftest import As

WHY_NOT = """query ($conversationId: ID!, $agentId: ID!) {
    whyNot(conversationId: $conversationId, agentId: $agentId) {
        verdict decision { outcome winner { id } candidates { summary limit position } } } }"""
PREVIEW = """query ($input: RoutingPreviewInput!) { routingPreview(input: $input) {
    appendsTo { id } reopens { id } rule passedOver isWithBot agent { id } team { id }
    decision { outcome candidates { summary } } } }"""
STICKY = "query ($id: ID!) { conversation(id: $id) { stickyUntil stickyAgent { id } } }"


@pytest.fixture
async def admin(company: Company, calling: As) -> Client:
    return calling(await session_of(company.admin))


async def test_why_not_gives_the_verdict_and_its_numbers(company: Company, admin: Client) -> None:
    full, free = [await an_agent(company.workspace) for _ in range(2)]
    team = await a_team(
        company.workspace,
        distribution=Distribution.ROUND_ROBIN,
        max_open=1,
        members=[full, free],
    )
    await a_conversation(company.workspace, team=team)
    conversation = await a_conversation(company.workspace, team=team)

    answer = await admin.ask(
        WHY_NOT,
        conversationId=encode("Conversation", conversation.id),
        agentId=encode("Agent", full.id),
    )

    assert answer["whyNot"] == {
        "verdict": "AT_CAPACITY",
        "decision": {
            "outcome": "ASSIGNED",
            "winner": {"id": str(encode("Agent", free.id))},
            "candidates": [
                {"summary": "AT_CAPACITY(1/1)", "limit": 1, "position": 1},
                {"summary": "CHOSEN", "limit": 1, "position": 2},
            ],
        },
    }


async def test_a_preview_says_where_a_message_would_go(company: Company, admin: Client) -> None:
    agent = await an_agent(company.workspace)
    team = await a_team(company.workspace, distribution=Distribution.LEAST_OPEN, members=[agent])
    channel = await a_channel(company.workspace, team=team)

    answer = await admin.ask(PREVIEW, input={"channelId": encode("Channel", channel.id)})

    assert answer["routingPreview"] == {
        "appendsTo": None,
        "reopens": None,
        "rule": "CHANNEL_TARGET",
        "passedOver": [],
        "isWithBot": False,
        "agent": {"id": str(encode("Agent", agent.id))},
        "team": {"id": str(encode("Team", team.id))},
        "decision": {"outcome": "ASSIGNED", "candidates": [{"summary": "CHOSEN"}]},
    }


async def test_a_preview_tells_what_it_would_go_on_with(company: Company, admin: Client) -> None:
    channel = company.id("Channel")
    contact = encode("Contact", company.closed.contact_id)

    open_one = await admin.ask(
        PREVIEW, input={"channelId": channel, "contactId": company.id("Contact")}
    )
    closed = await admin.ask(PREVIEW, input={"channelId": channel, "contactId": contact})

    assert open_one["routingPreview"]["appendsTo"] == {"id": company.id("Conversation")}
    assert closed["routingPreview"]["rule"] == "STICKY"
    assert closed["routingPreview"]["reopens"] == {
        "id": str(encode("Conversation", company.closed.id))
    }


@pytest.mark.parametrize(
    ("text", "rule"), [("An invoice?", "WORKFLOW"), ("Hello", "TODOS"), (None, "TODOS")]
)
async def test_a_preview_goes_by_what_the_message_says(
    company: Company, admin: Client, text: str | None, rule: str
) -> None:
    department = await a_team(company.workspace, line=Line.SUPPORT)
    condition = TextCondition(contains=("invoice",))
    step = AssignStep(key="give", team_id=department.id)
    await published(company.workspace, step, conditions=(condition,))
    channel = await a_channel(company.workspace)

    answer = await admin.ask(
        PREVIEW, input={"channelId": encode("Channel", channel.id), "text": text}
    )

    assert answer["routingPreview"]["rule"] == rule


@pytest.mark.parametrize(
    ("given", "code"),
    [
        ({"text": " "}, "BAD_USER_INPUT"),
        ({"contactId": "Q29udGFjdDo="}, "BAD_USER_INPUT"),
        ({"line": "SUPPORT"}, "LINE_NOT_SUPPORTED"),
    ],
)
async def test_a_preview_refuses_what_a_message_would_be_refused(
    company: Company, admin: Client, given: dict[str, str], code: str
) -> None:
    created = await admin.do("channelCreate", {"name": "Chat", "kind": "WEBCHAT"}, "channel { id }")
    channel = created["channelCreate"]["channel"]["id"]

    answer = await admin.ask(PREVIEW, input={"channelId": channel, **given})

    assert answer.codes == [code]


@pytest.mark.parametrize(
    ("of_team", "with_reason", "hours"),
    [(24, True, 24), (24, False, None), (0, True, None), (None, True, 2)],
)
async def test_a_closed_conversation_says_whom_its_contact_comes_back_to(
    company: Company, admin: Client, of_team: int | None, with_reason: bool, hours: int | None
) -> None:
    await admin.do("workspaceUpdate", {"reassignmentWindowHours": 2})
    await Team.change(
        company.team.id, by=by_system(company.workspace), reassignment_window_hours=of_team
    )
    id = str(encode("Conversation", company.held.id))
    reason = {"closingReasonId": company.id("ClosingReason")} if with_reason else {}
    closing = await admin.do("conversationClose", {"conversationId": id, **reason})

    answer = await admin.ask(STICKY, id=id)

    assert closing.codes == []
    closed = (await Conversation.get(id=company.held.id)).closed_at
    shown = answer["conversation"]["stickyUntil"]
    assert answer["conversation"]["stickyAgent"] == {"id": company.id("Agent")}
    assert closed is not None
    until = closed + timedelta(hours=hours) if hours else None
    assert (shown and datetime.fromisoformat(shown)) == until


async def test_only_the_newest_closing_is_what_a_contact_comes_back_to(
    company: Company, admin: Client
) -> None:
    by = by_system(company.workspace)
    other = await a_channel(company.workspace)
    sender = await a_conversation(company.workspace, channel=other, sender="ada")
    await Conversation.filter(id=sender.id).update(contact_id=company.closed.contact_id)
    async with working(sender.id, by=by) as conversation:
        await close(conversation, by=by)

    first = await admin.ask(STICKY, id=encode("Conversation", company.closed.id))
    held_by_nobody = await admin.ask(STICKY, id=encode("Conversation", sender.id))
    still_open = await admin.ask(STICKY, id=company.id("Conversation"))

    nobody = {"stickyUntil": None, "stickyAgent": None}
    found = [answer["conversation"] for answer in (first, held_by_nobody, still_open)]
    assert found == [nobody] * 3


HISTORY = """query ($id: ID!, $first: Int, $after: String) { conversation(id: $id) {
    events(first: $first, after: $after) {
        totalCount nodes { seq kind } pageInfo { endCursor hasNextPage } } } }"""


async def test_a_conversation_tells_its_history_page_by_page(
    company: Company, admin: Client
) -> None:
    id = str(encode("Conversation", company.closed.id))
    await admin.do("conversationReopen", {"conversationId": id})

    first = (await admin.ask(HISTORY, id=id, first=3))["conversation"]["events"]
    after = first["pageInfo"]["endCursor"]
    rest = (await admin.ask(HISTORY, id=id, after=after))["conversation"]["events"]

    told = [*first["nodes"], *rest["nodes"]]
    logged = await fetch(
        "SELECT seq, kind FROM events WHERE conversation_id = $1 ORDER BY seq", company.closed.id
    )
    assert [(node["seq"], node["kind"]) for node in told] == [(e["seq"], e["kind"]) for e in logged]
    assert (first["totalCount"], first["pageInfo"]["hasNextPage"]) == (len(logged), True)
    assert {"CONVERSATION_OPENED", "CONVERSATION_CLOSED", "CONVERSATION_REOPENED"} <= {
        node["kind"] for node in told
    }
