"""Conversations in which nothing happens close by themselves: once, on time, not before."""

import asyncio
from contextvars import Context

import pytest

from models import Agent, Channel, Closure, Conversation, Team, Workspace
from models.assignment import Assignment, Ending
from models.base import IdlePeriod
from models.closing import close
from models.closure import Cause
from models.conversation import Status
from models.database import fetchval, tx
from models.decision import Distribution
from models.idle import close_idle
from tests.conftest import Clock
from tests.factories import (
    a_channel,
    a_conversation,
    a_message,
    a_team,
    an_agent,
    as_agent,
    by_system,
    confirmed,
    working,
)

BATCH = 100
PERIODS = [period for period in IdlePeriod if period is not IdlePeriod.NEVER]


async def set_period(workspace: Workspace, period: IdlePeriod) -> None:
    await Workspace.filter(id=workspace.id).update(idle_period_days=period)


@pytest.mark.parametrize("period", PERIODS)
async def test_each_period_closes_when_it_has_passed_and_not_before(
    workspace: Workspace, clock: Clock, period: IdlePeriod
) -> None:
    await set_period(workspace, period)
    conversation = await a_conversation(workspace)

    await clock.travel(days=period, minutes=-1)
    assert await close_idle(BATCH) == 0
    await clock.travel(minutes=1)
    assert await close_idle(BATCH) == 1

    closed = await Conversation.get(id=conversation.id)
    closure = await Closure.get(conversation_id=conversation.id)
    assert closed.status is Status.CLOSED
    assert (closure.cause, closure.closed_by_id, closure.reason_id) == (Cause.INACTIVE, None, None)
    assert closure.closed_at == closed.closed_at


async def test_never_is_never(workspace: Workspace, clock: Clock) -> None:
    await a_conversation(workspace)
    await clock.travel(days=400)

    assert await close_idle(BATCH) == 0


@pytest.mark.parametrize(
    ("of_workspace", "of_team", "of_agent", "days"),
    [
        (IdlePeriod.ONE_DAY, None, None, 1),
        (IdlePeriod.ONE_DAY, IdlePeriod.THREE_DAYS, None, 3),
        (IdlePeriod.THREE_DAYS, IdlePeriod.ONE_DAY, None, 1),
        (IdlePeriod.ONE_DAY, IdlePeriod.THREE_DAYS, IdlePeriod.SEVEN_DAYS, 7),
        (IdlePeriod.ONE_DAY, None, IdlePeriod.NEVER, None),
        (IdlePeriod.ONE_DAY, IdlePeriod.NEVER, None, None),
        (IdlePeriod.NEVER, IdlePeriod.NEVER, IdlePeriod.ONE_DAY, 1),
    ],
)
async def test_the_agents_period_goes_over_the_teams_over_the_workspaces(
    workspace: Workspace,
    clock: Clock,
    of_workspace: IdlePeriod,
    of_team: IdlePeriod | None,
    of_agent: IdlePeriod | None,
    days: int | None,
) -> None:
    await set_period(workspace, of_workspace)
    team = await a_team(workspace)
    await Team.filter(id=team.id).update(idle_period_days=of_team)
    agent = await an_agent(workspace, teams=[team])
    if of_agent is not None:
        await confirmed(Agent.change, agent.id, by=by_system(workspace), idle_period_days=of_agent)
    await a_conversation(workspace, team=team, holder=agent)

    closed_after = None
    for day in range(1, 9):
        await clock.travel(days=1)
        if await close_idle(BATCH):
            closed_after = day

    assert closed_after == days


async def test_it_closes_once_however_many_sweep(workspace: Workspace, clock: Clock) -> None:
    await set_period(workspace, IdlePeriod.ONE_DAY)
    for _ in range(10):
        await a_conversation(workspace)
    await clock.travel(days=1)

    closed = await asyncio.gather(*[close_idle(4) for _ in range(8)])

    assert sum(closed) == 10
    assert await Closure.all().count() == 10


async def test_a_batch_closes_the_longest_idle_first_and_each_at_its_own_instant(
    workspace: Workspace, clock: Clock
) -> None:
    await set_period(workspace, IdlePeriod.ONE_DAY)
    ids = [(await a_conversation(workspace)).id for _ in range(5)]
    await clock.travel(days=1)

    await close_idle(3)

    closed = await Conversation.filter(status=Status.CLOSED).order_by("closed_at")
    assert [conversation.id for conversation in closed] == ids[:3]
    assert len({conversation.closed_at for conversation in closed}) == 3


async def test_a_message_committed_first_wins(workspace: Workspace, clock: Clock) -> None:
    await set_period(workspace, IdlePeriod.ONE_DAY)
    conversation = await a_conversation(workspace, sender="ada")
    channel = await Channel.get(id=conversation.channel_id)
    await clock.travel(days=1)

    received = await a_message(channel, sender="ada")

    assert await close_idle(BATCH) == 0
    assert received.conversation_id == conversation.id


async def test_what_somebody_works_on_is_passed_over(workspace: Workspace, clock: Clock) -> None:
    await set_period(workspace, IdlePeriod.ONE_DAY)
    busy, _ = [await a_conversation(workspace) for _ in range(2)]
    await clock.travel(days=1)

    async with tx():
        await Conversation.locked(busy.id, by=by_system(workspace))
        # Outside of this transaction, whose own locks would not keep it off.
        swept = await Context().run(asyncio.create_task, close_idle(BATCH))

    assert swept == 1
    assert (await Conversation.get(id=busy.id)).is_open


async def test_a_note_restarts_the_time(workspace: Workspace, clock: Clock) -> None:
    await set_period(workspace, IdlePeriod.THREE_DAYS)
    conversation = await a_conversation(workspace)
    await clock.travel(days=2)
    async with working(conversation.id, by=by_system(workspace)) as locked:
        await locked.note("Waiting.", by=by_system(workspace))
    await clock.travel(days=2)

    assert await close_idle(BATCH) == 0


async def test_closing_frees_the_agent_for_what_waits(workspace: Workspace, clock: Clock) -> None:
    await set_period(workspace, IdlePeriod.ONE_DAY)
    team = await a_team(workspace, distribution=Distribution.LEAST_OPEN, online_only=False)
    agent = await an_agent(workspace, capacity=1, teams=[team])
    channel = await a_channel(workspace, team=team)
    first = await a_conversation(workspace, channel=channel)
    await clock.travel(days=1)
    second = await a_conversation(workspace, channel=channel)

    await close_idle(BATCH)

    ended = await Assignment.get(conversation_id=first.id)
    assert ended.ending is Ending.CLOSED
    assert (await Conversation.get(id=second.id)).assignee_id == agent.id
    assert (await Agent.get(id=agent.id)).load == 1


async def test_a_closed_one_never_closes_again(workspace: Workspace, clock: Clock) -> None:
    await set_period(workspace, IdlePeriod.ONE_DAY)
    agent = await an_agent(workspace)
    conversation = await a_conversation(workspace, holder=agent)
    async with working(conversation.id, by=as_agent(agent)) as locked:
        await close(locked, by=as_agent(agent))
    await clock.travel(days=30)

    assert await close_idle(BATCH) == 0
    assert await fetchval("SELECT count(*) FROM closures") == 1
