"""The log over GraphQL: what of it is whose, and where it begins."""

from typing import Any

import pytest

from models import log
from models.retention import EVENT_RETENTION_DAYS, forget_old
from resolvers.ids import encode
from tests.conftest import Clock
from tests.factories import a_conversation, a_team, an_agent, as_agent, by_system, working
from tests.resolvers.client import Client, Company, integration_of, session_of
from tests.resolvers.conftest import As

EVENTS = """query ($filter: EventFilter, $after: String, $first: Int) {
    events(filter: $filter, after: $after, first: $first) {
        nodes { seq kind } pageInfo { hasNextPage endCursor } } }"""


@pytest.fixture
async def script(company: Company, calling: As) -> Client:
    """With every scope, and longer than any session."""
    return calling(await integration_of(company.workspace))


async def everything(client: Client, **filter: object) -> list[dict[str, Any]]:
    """Page by page, as an integrator reads."""
    found, after, is_more = [], None, True
    while is_more:
        page = (await client.ask(EVENTS, filter=filter, first=100, after=after))["events"]
        found += page["nodes"]
        after, is_more = page["pageInfo"]["endCursor"], page["pageInfo"]["hasNextPage"]
    return found


async def test_an_agent_reads_what_it_did_and_what_was_about_itself(
    company: Company, calling: As
) -> None:
    agent = await an_agent(company.workspace, teams=[company.team])
    by = as_agent(agent)
    # Done about what another holds, and what was done to it by the bosses.
    async with working(company.held.id, by=by) as held:
        await held.note("Hm.", by=by)
    given = await a_conversation(company.workspace, team=company.team, holder=agent)
    async with working(given.id, by=by_system(company.workspace)) as taken:
        await taken.unassign(by=by_system(company.workspace))
    client = calling(await session_of(agent))

    found = await everything(client)

    own = [one for one in await log.read(company.workspace.id, 0) if agent.id in one.own_of]
    assert [node["seq"] for node in found] == [one.seq for one in own]
    kinds = [node["kind"] for node in found]
    assert kinds[0] == "AGENT_CREATED"
    assert {"MEMBER_ADDED", "NOTE_ADDED", "CONVERSATION_UNASSIGNED", "TOKEN_CREATED"} <= set(kinds)


async def test_an_agents_filter_never_reaches_beyond_its_own_part(
    company: Company, calling: As
) -> None:
    agent = await an_agent(company.workspace, teams=[company.team])
    client = calling(await session_of(agent))

    others = await everything(client, agentId=company.id("Agent"))
    conversation = await everything(client, conversationId=company.id("Conversation"))
    members = await everything(client, kinds=["MEMBER_ADDED"])

    assert (others, conversation) == ([], [])
    assert len(members) == 1


async def test_of_its_own_part_an_agent_sees_only_what_it_may_see_now(
    company: Company, calling: As
) -> None:
    agent, elsewhere = await an_agent(company.workspace), await a_team(company.workspace)
    lost = await a_conversation(company.workspace, team=elsewhere, holder=agent)
    async with working(lost.id, by=by_system(company.workspace)) as taken:
        await taken.unassign(by=by_system(company.workspace))
    client = calling(await session_of(agent))

    answer = await client.ask(
        """{ events(filter: {kinds: [CONVERSATION_UNASSIGNED]}) { nodes {
            ... on ConversationEvent { conversation { id } toQueue { id } fromAgent { id } }
        } } }"""
    )

    nobody = {"conversation": None, "toQueue": None}
    mine = {"fromAgent": {"id": str(encode("Agent", agent.id))}}
    assert answer["events"]["nodes"] == [{**nobody, **mine}]


async def test_a_cursor_that_is_too_old_says_why_and_where_to_go_on(
    company: Company, script: Client, clock: Clock
) -> None:
    first = (await script.ask(EVENTS, first=1))["events"]["pageInfo"]["endCursor"]
    await clock.travel(days=EVENT_RETENTION_DAYS, seconds=1)
    await a_team(company.workspace)
    while await forget_old(1_000):
        pass

    refused = await script.ask(EVENTS, after=first)

    [error] = refused.errors
    assert (refused.codes, error["extensions"]["reason"]) == (["INVALID_CURSOR"], "TOO_OLD")
    rest = await script.ask(EVENTS, after=error["extensions"]["goOnAfter"])
    head = await log.head(company.workspace.id)
    seqs = [node["seq"] for node in rest["events"]["nodes"]]
    assert seqs == list(range(head.floor_seq + 1, head.seq + 1))


async def test_who_changed_what_is_told_for_ever(
    company: Company, script: Client, clock: Clock
) -> None:
    before = await everything(script, kinds=["TEAM_CREATED", "MEMBER_ADDED"])
    await clock.travel(days=400)
    while await forget_old(1_000):
        pass

    assert await everything(script, kinds=["TEAM_CREATED", "MEMBER_ADDED"]) == before
    assert len(await everything(script, kinds=["TEAM_CREATED", "MESSAGE_RECEIVED"])) <= 1


async def test_the_history_of_a_conversation_shortens_to_what_is_kept(
    company: Company, script: Client, clock: Clock
) -> None:
    ask = """query ($id: ID!) { conversation(id: $id) { events { nodes { kind } }
        messages { nodes { text } } closure { closedAt } } }"""
    id = str(encode("Conversation", company.closed.id))
    before = (await script.ask(ask, id=id))["conversation"]
    await clock.travel(days=EVENT_RETENTION_DAYS, seconds=1)
    await a_team(company.workspace)
    while await forget_old(1_000):
        pass

    after = (await script.ask(ask, id=id))["conversation"]

    assert len(before["events"]["nodes"]) > 2
    assert after == {**before, "events": {"nodes": []}}


async def test_the_last_page_ends_where_the_log_does(company: Company, script: Client) -> None:
    page = (await script.ask(EVENTS, filter={"kinds": ["AGENT_DEACTIVATED"]}))["events"]

    assert (page["nodes"], page["pageInfo"]["hasNextPage"]) == ([], False)
    head = await log.head(company.workspace.id)
    assert page["pageInfo"]["endCursor"] == head.position.cursor()


async def test_a_ticket_has_its_part_of_the_log(company: Company, script: Client) -> None:
    await script.do("ticketUpdate", {"ticketId": company.id("Ticket"), "subject": "Dark again"})

    found = await everything(script, ticketId=company.id("Ticket"))

    assert [node["kind"] for node in found] == ["TICKET_CREATED", "TICKET_UPDATED"]
