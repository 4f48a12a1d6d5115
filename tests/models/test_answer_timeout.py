"""Answering in time: who loses a conversation, when, and what it keeps."""

import asyncio
from datetime import datetime, timedelta
from uuid import UUID

import asyncpg
import pytest

from models import Agent, Assignment, Conversation, Membership, Team, Workspace, queue, snooze
from models.access import Role
from models.answer_timeout import lapse_answers
from models.assignment import Ending
from models.conversation import Status
from models.database import credentials, fetchrow, fetchval, retrying
from models.decision import Distribution, Rule
from models.event import Kind
from tests.conftest import Clock
from tests.factories import (
    a_channel,
    a_conversation,
    a_message,
    a_team,
    an_agent,
    as_agent,
    as_integration,
    by_system,
    working,
)
from workers.sweeps import Sweeper

MINUTES = 10


@pytest.fixture
async def team(workspace: Workspace) -> Team:
    """A group whose members answer within ten minutes."""
    team = await a_team(workspace)
    await Team.filter(id=team.id).update(answer_timeout_minutes=MINUTES)
    return team


@pytest.fixture
async def ann(workspace: Workspace, team: Team) -> Agent:
    return await an_agent(workspace, teams=[team])


async def picked(conversation: Conversation, agent: Agent) -> None:
    async with working(conversation.id, by=as_agent(agent)) as waiting:
        await waiting.pick(by=as_agent(agent))


async def answered(conversation: Conversation, agent: Agent) -> None:
    async with working(conversation.id, by=as_agent(agent)) as held:
        await held.send("Hello.", by=as_agent(agent))


async def held_by(conversation: Conversation) -> Assignment:
    return await Assignment.get(conversation_id=conversation.id, ended_at=None)


async def test_whoever_does_not_answer_in_time_loses_it_to_its_queue(
    workspace: Workspace, team: Team, ann: Agent, clock: Clock
) -> None:
    conversation = await a_conversation(workspace, team=team)
    await clock.stop()
    await clock.travel(minutes=3)
    await picked(conversation, ann)
    begun = await held_by(conversation)

    await clock.travel(minutes=MINUTES, seconds=-1)
    early = await lapse_answers(10)
    await clock.travel(seconds=1)
    on_time = await lapse_answers(10)

    assert (early, on_time) == (0, 1)
    found = await Conversation.get(id=conversation.id)
    assert (found.status, found.team_id, found.assignee_id) == (Status.QUEUED, team.id, None)
    assert found.queued_at == conversation.queued_at
    now: datetime = await fetchval("SELECT relevo_now()")
    assert (found.skipped_agent_id, found.skipped_until) == (
        ann.id,
        now + timedelta(minutes=MINUTES),
    )
    assert found.last_activity_at == now
    await begun.refresh_from_db()
    assert begun.ending is Ending.TIMED_OUT
    assert (await Agent.get(id=ann.id)).load == 0


async def test_the_log_says_why_it_went_back(
    workspace: Workspace, team: Team, ann: Agent, clock: Clock
) -> None:
    conversation = await a_conversation(workspace, team=team)
    await picked(conversation, ann)
    await clock.travel(minutes=MINUTES)

    await lapse_answers(10)

    row = await fetchrow(
        """
        SELECT kind, actor_kind, from_agent_id, to_agent_id, from_queue_id, to_queue_id,
               data ->> 'rule' AS rule
        FROM events WHERE conversation_id = $1 ORDER BY seq DESC LIMIT 1
        """,
        conversation.id,
    )
    assert row is not None
    assert dict(row) == {
        "kind": Kind.CONVERSATION_UNASSIGNED,
        "actor_kind": "SYSTEM",
        "from_agent_id": ann.id,
        "to_agent_id": None,
        "from_queue_id": None,
        "to_queue_id": team.id,
        "rule": Rule.ANSWER_TIMEOUT,
    }


async def test_an_answer_in_time_keeps_it(
    workspace: Workspace, team: Team, ann: Agent, clock: Clock
) -> None:
    conversation = await a_conversation(workspace, team=team)
    await picked(conversation, ann)
    await answered(conversation, ann)
    await clock.travel(minutes=MINUTES)

    assert await lapse_answers(10) == 0
    assert (await held_by(conversation)).unanswered_since is None


async def test_an_integration_answers_for_an_agent_in_time(
    workspace: Workspace, team: Team, ann: Agent
) -> None:
    conversation = await a_conversation(workspace, team=team)
    await picked(conversation, ann)
    script = as_integration(workspace, "conversations:write")

    async with working(conversation.id, by=script) as held:
        await held.send("Hello.", by=script, on_behalf_of=ann.id)

    assert (await held_by(conversation)).unanswered_since is None


@pytest.mark.parametrize("what", ["a note", "a supervisor's answer", "the customer's message"])
async def test_only_its_agents_answer_counts(
    workspace: Workspace, team: Team, ann: Agent, clock: Clock, what: str
) -> None:
    channel = await a_channel(workspace, team=team)
    conversation = await a_conversation(workspace, channel=channel, sender="ada")
    await picked(conversation, ann)
    boss = as_agent(await an_agent(workspace, role=Role.OPERATOR))

    if what == "the customer's message":
        await a_message(channel, sender="ada")
    else:
        by = as_agent(ann) if what == "a note" else boss
        async with working(conversation.id, by=by) as held:
            await (held.note("Hm.", by=by) if what == "a note" else held.send("Hello.", by=by))
    await clock.travel(minutes=MINUTES)

    assert await lapse_answers(10) == 1


async def test_without_a_time_out_nobody_loses_anything(workspace: Workspace, clock: Clock) -> None:
    team = await a_team(workspace)
    agent = await an_agent(workspace, teams=[team])
    of_team = await a_conversation(workspace, team=team)
    await picked(of_team, agent)
    await a_conversation(workspace, channel=await a_channel(workspace, agent=agent))
    await clock.travel(days=30)

    assert await lapse_answers(10) == 0


async def test_a_snoozed_one_waits_for_no_answer(
    workspace: Workspace, team: Team, ann: Agent, clock: Clock
) -> None:
    conversation = await a_conversation(workspace, team=team)
    await picked(conversation, ann)
    async with working(conversation.id, by=as_agent(ann)) as held:
        await snooze.begin(held, by=as_agent(ann))
    await clock.travel(minutes=MINUTES)

    assert await lapse_answers(10) == 0


async def test_whoever_holds_it_next_has_as_long(
    workspace: Workspace, team: Team, ann: Agent, clock: Clock
) -> None:
    ben = await an_agent(workspace, teams=[team])
    conversation = await a_conversation(workspace, team=team)
    await picked(conversation, ann)
    await clock.travel(minutes=MINUTES)
    await lapse_answers(10)
    await picked(conversation, ben)

    at_once = await lapse_answers(10)
    found = await Conversation.get(id=conversation.id)
    await clock.travel(minutes=MINUTES)

    assert (at_once, await lapse_answers(10)) == (0, 1)
    assert (found.skipped_agent_id, found.skipped_until) == (None, None)


async def test_many_that_look_give_each_back_once(
    workspace: Workspace, team: Team, ann: Agent, clock: Clock
) -> None:
    for _ in range(6):
        await picked(await a_conversation(workspace, team=team), ann)
    await clock.travel(minutes=MINUTES)

    given = await asyncio.gather(*[retrying(lambda: lapse_answers(4)) for _ in range(4)])
    given.append(await lapse_answers(10))

    assert sum(given) == 6
    assert await Assignment.filter(ending=Ending.TIMED_OUT).count() == 6
    assert (await Agent.get(id=ann.id)).load == 0


async def test_an_answer_that_commits_first_wins(
    workspace: Workspace, team: Team, ann: Agent, clock: Clock
) -> None:
    conversations = [await a_conversation(workspace, team=team) for _ in range(8)]
    for conversation in conversations:
        await picked(conversation, ann)
    await clock.travel(minutes=MINUTES)

    outcomes = await asyncio.gather(
        *[answered(conversation, ann) for conversation in conversations],
        *[retrying(lambda: lapse_answers(10)) for _ in range(4)],
        return_exceptions=True,
    )

    # Ann may answer what waits in her queue too, so every answer is written; none is lost.
    assert [outcome for outcome in outcomes if isinstance(outcome, BaseException)] == []
    kept = await Assignment.filter(ended_at=None)
    assert all(assignment.unanswered_since is None for assignment in kept)
    lost = await Assignment.filter(ending=Ending.TIMED_OUT).count()
    assert len(kept) + lost == len(conversations)


async def test_the_sweeper_gives_back_and_wakes(
    workspace: Workspace, team: Team, ann: Agent, clock: Clock
) -> None:
    late, snoozed = [await a_conversation(workspace, team=team) for _ in range(2)]
    for conversation in (late, snoozed):
        await picked(conversation, ann)
    until = await fetchval("SELECT relevo_now()") + timedelta(minutes=MINUTES)
    async with working(snoozed.id, by=as_agent(ann)) as held:
        await snooze.begin(held, by=as_agent(ann), until=until)
    await clock.travel(minutes=MINUTES)

    await Sweeper().burst()

    assert (await Conversation.get(id=late.id)).status is Status.QUEUED
    assert (await Conversation.get(id=snoozed.id)).status is Status.ASSIGNED


async def test_where_it_is_given_out_the_next_one_has_it_and_the_slow_one_not_again_at_once(
    workspace: Workspace, clock: Clock
) -> None:
    slow, other = [await an_agent(workspace) for _ in range(2)]
    team = await a_team(workspace, distribution=Distribution.LEAST_OPEN, members=[slow])
    by = by_system(workspace)
    await Team.change(team.id, by=by, answer_timeout_minutes=10)
    conversation = await a_conversation(workspace, team=team)

    async def after(minutes: int) -> UUID | None:
        await clock.travel(minutes=minutes)
        for agent in (slow, other):
            await Agent.beat(agent.id, by=by, device="browser")
        await lapse_answers(10)
        await queue.drain_all(10)
        return (await Conversation.get(id=conversation.id)).assignee_id

    # Alone, the slow one gets it again when the same time has passed; of two, the other at once.
    alone = [await after(10), await after(9), await after(1)]
    await Membership.add(by=by, team=team, agent_id=other.id)
    of_two = [await after(10), await after(10)]

    assert alone == [None, None, slow.id]
    assert of_two == [other.id, slow.id]


async def test_a_team_that_somebody_works_on_holds_up_no_other(
    workspace: Workspace, team: Team, ann: Agent, clock: Clock, database: str
) -> None:
    busy = await a_team(workspace)
    await Team.filter(id=busy.id).update(answer_timeout_minutes=MINUTES)
    bob = await an_agent(workspace, teams=[busy])
    for its_team, agent in ((team, ann), (busy, bob)):
        await picked(await a_conversation(workspace, team=its_team), agent)
    await clock.travel(minutes=MINUTES)
    elsewhere = await asyncpg.connect(**credentials(database))

    try:
        await elsewhere.execute("BEGIN")
        await elsewhere.execute("SELECT FROM teams WHERE id = $1 FOR UPDATE", busy.id)
        assert await lapse_answers(10) == 1
    finally:
        await elsewhere.close()

    assert await lapse_answers(10) == 1
