"""One command on many conversations: each for itself, and all or nothing of each."""

import asyncio
from contextlib import suppress
from functools import partial
from uuid import UUID, uuid4

import pytest

from models import Agent, ClosingReason, Closure, Conversation, Team, Workspace, bulk
from models.access import Role
from models.closing import close
from models.conversation import Status
from models.database import attempt, fetch, fetchval, retrying, tx
from models.decision import Distribution
from models.errors import BadUserInput, ConversationClosed, Forbidden
from models.event import Kind
from tests.factories import (
    a_conversation,
    a_team,
    a_workspace,
    an_agent,
    as_agent,
    as_integration,
    by_system,
    working,
)


@pytest.fixture
async def team(workspace: Workspace) -> Team:
    return await a_team(workspace)


@pytest.fixture
async def ann(workspace: Workspace, team: Team) -> Agent:
    return await an_agent(workspace, teams=[team])


@pytest.fixture
async def boss(workspace: Workspace) -> Agent:
    return await an_agent(workspace, role=Role.OPERATOR)


@pytest.fixture
async def waiting(workspace: Workspace, team: Team) -> list[UUID]:
    return [(await a_conversation(workspace, team=team)).id for _ in range(3)]


def refusals(results: list[bulk.Result]) -> dict[UUID, str | None]:
    return {one.conversation_id: one.refusal.code if one.refusal else None for one in results}


async def ended(id: UUID, *, by: Agent) -> None:
    async with working(id, by=as_agent(by)) as conversation:
        await close(conversation, by=as_agent(by))


async def test_all_are_given_to_one(waiting: list[UUID], ann: Agent, boss: Agent) -> None:
    results = await bulk.assign(waiting, ann.id, by=as_agent(boss))

    assert refusals(results) == dict.fromkeys(waiting)
    assert await Conversation.filter(assignee_id=ann.id).count() == 3
    assert (await Agent.get(id=ann.id)).load == 3


async def test_what_is_refused_stops_no_other_and_leaves_nothing(
    workspace: Workspace, waiting: list[UUID], ann: Agent, boss: Agent
) -> None:
    closed, held, free = waiting
    await ended(closed, by=boss)
    await bulk.assign([held], ann.id, by=as_agent(boss))
    unknown, theirs = uuid4(), (await a_conversation(await a_workspace("Rival"))).id
    events = await fetchval("SELECT count(*) FROM events")

    results = await bulk.assign([closed, unknown, free, held, theirs], ann.id, by=as_agent(boss))

    assert [one.conversation_id for one in results] == [closed, unknown, free, held, theirs]
    assert refusals(results) == {
        closed: "CONVERSATION_CLOSED",
        unknown: "NOT_FOUND",
        free: None,
        held: "ALREADY_ASSIGNED",
        theirs: "NOT_FOUND",
    }
    assert await fetchval("SELECT count(*) FROM events") == events + 1
    assert (await Agent.get(id=ann.id)).load == 2


async def test_all_are_closed_with_one_reason(
    workspace: Workspace, waiting: list[UUID], boss: Agent
) -> None:
    reason = await ClosingReason.add(by=by_system(workspace), name="Spam")

    results = await bulk.close(
        waiting, by=as_agent(boss), reason_id=reason.id, summary="All the same."
    )

    assert refusals(results) == dict.fromkeys(waiting)
    closures = await Closure.filter(reason_id=reason.id, summary="All the same.")
    assert {closure.conversation_id for closure in closures} == set(waiting)


async def test_an_agent_closes_what_it_may_and_is_told_of_the_rest(
    workspace: Workspace, team: Team, waiting: list[UUID], ann: Agent, boss: Agent
) -> None:
    own, bens, free = waiting
    ben = await an_agent(workspace, teams=[team])
    await bulk.assign([own], ann.id, by=as_agent(boss))
    await bulk.assign([bens], ben.id, by=as_agent(boss))
    elsewhere = (await a_conversation(workspace, team=await a_team(workspace))).id

    results = await bulk.close([own, bens, free, elsewhere], by=as_agent(ann))

    assert refusals(results) == {
        own: None,
        bens: "CONVERSATION_NOT_HELD",
        free: None,
        elsewhere: "NOT_FOUND",
    }
    refusal = results[1].refusal
    assert refusal is not None
    assert refusal.facts == {"holderId": ben.id}


async def test_a_workspace_that_asks_for_reasons_refuses_each(
    workspace: Workspace, waiting: list[UUID], boss: Agent
) -> None:
    await Workspace.filter(id=workspace.id).update(closing_reason_required=True)

    results = await bulk.close(waiting, by=as_agent(boss))

    assert refusals(results) == dict.fromkeys(waiting, "CLOSING_REASON_REQUIRED")
    assert not await Closure.exists()


async def test_what_closing_frees_is_given_out(workspace: Workspace, boss: Agent) -> None:
    automatic = await a_team(workspace, distribution=Distribution.LEAST_OPEN)
    ann = await an_agent(workspace, capacity=2, teams=[automatic])
    ids = [(await a_conversation(workspace, team=automatic)).id for _ in range(4)]

    await bulk.close(ids[:2], by=as_agent(boss))

    held = await Conversation.filter(assignee_id=ann.id)
    assert {conversation.id for conversation in held} == set(ids[2:])


@pytest.mark.parametrize("number", [0, bulk.CONVERSATIONS_MAX + 1])
async def test_one_to_a_hundred_are_named(workspace: Workspace, boss: Agent, number: int) -> None:
    with pytest.raises(BadUserInput):
        await bulk.close([uuid4() for _ in range(number)], by=as_agent(boss))


async def test_each_is_named_once(waiting: list[UUID], boss: Agent) -> None:
    with pytest.raises(BadUserInput):
        await bulk.close([*waiting, waiting[0]], by=as_agent(boss))


async def test_whoever_may_do_it_to_none_is_refused_as_a_whole(
    workspace: Workspace, waiting: list[UUID], ann: Agent
) -> None:
    auditor = as_agent(await an_agent(workspace, role=Role.AUDITOR, connected=False))

    with pytest.raises(Forbidden):
        await bulk.assign(waiting, ann.id, by=as_agent(ann))
    for by in (auditor, as_integration(workspace, "conversations:read")):
        with pytest.raises(Forbidden):
            await bulk.close(waiting, by=by)


async def test_opposite_orders_do_not_wait_for_each_other(
    workspace: Workspace, team: Team, ann: Agent, boss: Agent
) -> None:
    ids = [(await a_conversation(workspace, team=team)).id for _ in range(12)]
    ben = await an_agent(workspace, teams=[team])

    commands = [
        partial(bulk.assign, order, to, by=as_agent(boss))
        for to, order in ((ann.id, ids), (ben.id, ids[::-1])) * 3
    ]

    await asyncio.gather(*map(retrying, commands))

    counts = [(await Agent.get(id=agent.id)).load for agent in (ann, ben)]
    assert sorted(counts) == [0, 12]


async def test_an_attempt_that_fails_takes_its_changes_and_events_with_it(
    waiting: list[UUID], boss: Agent
) -> None:
    first, second, _ = waiting
    by = as_agent(boss)

    async with tx() as transaction:
        async with attempt(transaction):
            await (await Conversation.locked(first, by=by)).note("Hm.", by=by)
        with suppress(ConversationClosed):
            async with attempt(transaction):
                await close(await Conversation.locked(second, by=by), by=by)
                raise ConversationClosed

    statuses = {one.id: one.status for one in await Conversation.filter(id__in=waiting)}
    assert statuses[second] is Status.QUEUED
    rows = await fetch("SELECT kind FROM events ORDER BY seq DESC LIMIT 1")
    assert [row["kind"] for row in rows] == [Kind.NOTE_ADDED]
