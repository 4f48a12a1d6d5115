"""Waiting conversations are given out the moment something makes it possible, in their order."""

from collections.abc import Awaitable, Callable
from datetime import datetime
from functools import partial
from uuid import UUID

import pytest

from models import Agent, Assignment, Conversation, Membership, Team, Workspace, queue
from models.access import Role
from models.agent import LEASE_SECONDS
from models.base import Line
from models.conversation import Status
from models.database import fetchval, tx
from models.decision import Availability, Distribution, Outcome, Rule, TieBreak, Verdict
from models.team_removal import delete
from models.transfer import transfer
from tests.conftest import Clock
from tests.factories import (
    a_channel,
    a_conversation,
    a_message,
    a_team,
    a_workspace,
    accepting,
    an_agent,
    as_agent,
    by_system,
    working,
)
from tests.meeting import behind

AUTOMATIC = [Distribution.ROUND_ROBIN, Distribution.LEAST_OPEN]


async def holder_of(conversation: Conversation) -> UUID | None:
    return (await Conversation.get(id=conversation.id)).assignee_id


async def waiting(workspace: Workspace, team: Team, count: int) -> list[Conversation]:
    return [await a_conversation(workspace, team=team) for _ in range(count)]


# -- What frees or adds something drains at once


async def comes_online(agent: Agent) -> None:
    await Agent.set_availability(agent.id, by=as_agent(agent), availability=Availability.ONLINE)


async def accepts_again(agent: Agent) -> None:
    await Agent.set_availability(agent.id, by=as_agent(agent), accepts_new=True)


async def connects(agent: Agent) -> None:
    await Agent.beat(agent.id, by=as_agent(agent), device="phone")


async def may_hold_more(agent: Agent) -> None:
    await Agent.change(agent.id, by=by_system(Workspace(id=agent.workspace_id)), capacity=1)


@pytest.mark.parametrize("distribution", AUTOMATIC)
@pytest.mark.parametrize(
    ("unavailable", "becomes_available"),
    [
        ({"availability": Availability.AWAY}, comes_online),
        ({"availability": Availability.OFFLINE}, comes_online),
        ({"accepts_new": False}, accepts_again),
        ({"connected": False}, connects),
        ({"capacity": 0}, may_hold_more),
    ],
    ids=["away", "offline", "not accepting", "disconnected", "full"],
)
async def test_who_becomes_available_gets_what_waits(
    workspace: Workspace,
    distribution: Distribution,
    unavailable: dict[str, object],
    becomes_available: Callable[[Agent], Awaitable[None]],
) -> None:
    team = await a_team(workspace, distribution=distribution)
    agent = await an_agent(workspace, teams=[team], **unavailable)  # type: ignore[arg-type]  # a table
    conversation = await a_conversation(workspace, team=team)
    assert await holder_of(conversation) is None

    await becomes_available(agent)

    assert await holder_of(conversation) == agent.id


async def test_who_comes_back_after_a_lapse_nobody_saw_gets_what_waits(
    workspace: Workspace, clock: Clock
) -> None:
    team = await a_team(workspace, distribution=Distribution.LEAST_OPEN)
    agent = await an_agent(workspace, teams=[team])
    await clock.travel(seconds=LEASE_SECONDS + 1)
    conversation = await a_conversation(workspace, team=team)
    assert await holder_of(conversation) is None

    await connects(agent)

    assert await holder_of(conversation) == agent.id


@pytest.mark.parametrize("how", ["close", "transfer", "assign", "unassign"])
async def test_who_gives_one_away_gets_the_next(workspace: Workspace, how: str) -> None:
    team = await a_team(workspace, distribution=Distribution.LEAST_OPEN)
    elsewhere = await a_team(workspace, line=Line.SUPPORT)
    agent = await an_agent(workspace, teams=[team], capacity=1)
    colleague = await an_agent(workspace)
    boss = as_agent(await an_agent(workspace, role=Role.OPERATOR))
    first, second = await waiting(workspace, team, 2)

    if how == "transfer":
        await transfer(first.id, by=boss, to_team=elsewhere.id)
    else:
        async with working(first.id, by=boss) as conversation:
            if how == "close":
                await conversation.close(by=boss)
            elif how == "assign":
                await conversation.assign(colleague.id, by=boss)
            else:
                await conversation.unassign(by=boss)

    # Given back, the first waits longer than the second, so it is the first again.
    assert await holder_of(first if how == "unassign" else second) == agent.id


async def test_who_joins_a_team_gets_what_waits_there(workspace: Workspace) -> None:
    team = await a_team(workspace, distribution=Distribution.LEAST_OPEN)
    agent = await an_agent(workspace)
    (conversation,) = await waiting(workspace, team, 1)

    await Membership.add(by=by_system(workspace), team=team, agent_id=agent.id)

    assert await holder_of(conversation) == agent.id


async def test_everybody_is_a_member_of_todos_that_lists_nobody(workspace: Workspace) -> None:
    await Team.filter(is_todos=True).update(distribution=Distribution.ROUND_ROBIN)
    conversation = await a_conversation(workspace)

    agent = await an_agent(workspace)

    assert await holder_of(conversation) == agent.id


async def test_only_listed_members_are_of_todos_that_lists_some(workspace: Workspace) -> None:
    agents = [await an_agent(workspace) for _ in range(3)]
    todos = await Team.todos(workspace.id, Line.SALES)
    await Membership.add(by=by_system(workspace), team=todos, agent_id=agents[1].id)
    await Team.filter(is_todos=True).update(distribution=Distribution.LEAST_OPEN)

    held = [await holder_of(await a_conversation(workspace)) for _ in range(3)]

    assert set(held) == {agents[1].id}


async def test_nobody_gets_more_than_the_team_or_the_agent_allows(workspace: Workspace) -> None:
    team = await a_team(workspace, distribution=Distribution.LEAST_OPEN, max_open=2)
    small = await an_agent(workspace, teams=[team], capacity=1)
    large = await an_agent(workspace, teams=[team], capacity=9)

    await waiting(workspace, team, 5)

    assert await Assignment.filter(agent_id=small.id).count() == 1
    assert await Assignment.filter(agent_id=large.id).count() == 2
    assert await Conversation.filter(status=Status.QUEUED).count() == 2


async def test_agents_pick_from_a_manual_queue(workspace: Workspace) -> None:
    team = await a_team(workspace)
    await an_agent(workspace, teams=[team])

    (conversation,) = await waiting(workspace, team, 1)

    assert await holder_of(conversation) is None
    assert await queue.drain(teams=[team.id]) == 0


# -- In which order


async def test_the_longest_waiting_goes_first(workspace: Workspace) -> None:
    team = await a_team(workspace, distribution=Distribution.LEAST_OPEN)
    first, second, third = await waiting(workspace, team, 3)
    async with tx():
        moved: datetime = await fetchval("SELECT relevo_now() - interval '1 hour'")
        await Conversation.filter(id=third.id).update(queued_at=moved)

    agent = await an_agent(workspace, teams=[team], capacity=2)

    assert await holder_of(third) == await holder_of(first) == agent.id
    assert await holder_of(second) is None


async def test_the_higher_priority_goes_first_however_long_others_wait(
    workspace: Workspace,
) -> None:
    teams = [
        await a_team(
            workspace, line=Line.SUPPORT, distribution=Distribution.LEAST_OPEN, priority=priority
        )
        for priority in (0, 10, 5)
    ]
    low, high, middle = [(await waiting(workspace, team, 1))[0] for team in teams]
    agent = await an_agent(workspace, teams=teams, capacity=0)

    order = []
    for capacity in (1, 2, 3):
        await Agent.change(agent.id, by=by_system(workspace), capacity=capacity)
        held = await Conversation.filter(assignee_id=agent.id).values_list("id", flat=True)
        order += [id for id in held if id not in order]

    assert order == [high.id, middle.id, low.id]


async def test_groups_and_departments_of_no_priority_mix_by_waiting_time(
    workspace: Workspace,
) -> None:
    teams = [
        await a_team(workspace, line=line, distribution=Distribution.LEAST_OPEN)
        for line in (Line.SUPPORT, Line.SALES)
    ]
    first = await a_conversation(workspace, team=teams[0])
    second = await a_conversation(workspace, team=teams[1])
    agent = await an_agent(workspace, teams=[*reversed(teams)], capacity=0)

    await Agent.change(agent.id, by=by_system(workspace), capacity=1)

    assert await holder_of(first) == agent.id
    assert await holder_of(second) is None


async def test_a_long_queue_is_drained_in_batches_in_its_order(workspace: Workspace) -> None:
    team = await a_team(workspace, distribution=Distribution.ROUND_ROBIN)
    channel = await a_channel(workspace, team=team)
    queued = [await a_conversation(workspace, channel=channel) for _ in range(120)]
    agents = [await an_agent(workspace, teams=[team], connected=False) for _ in range(3)]
    for agent in agents:
        await Agent.change(agent.id, by=by_system(workspace), capacity=50)
    # All three come at once, so that only the drain decides who gets what.
    async with tx():
        for agent in agents:
            await Agent.beat(agent.id, by=as_agent(agent), device="browser")

    given = await Assignment.all().order_by("started_at").values_list("conversation_id", flat=True)

    assert given == [conversation.id for conversation in queued]
    assert [agent.load for agent in await Agent.all()] == [40, 40, 40]


async def test_a_backlog_of_one_team_does_not_hold_up_another(workspace: Workspace) -> None:
    stuck = await a_team(
        workspace, line=Line.SUPPORT, distribution=Distribution.LEAST_OPEN, priority=9
    )
    team = await a_team(workspace, line=Line.SUPPORT, distribution=Distribution.LEAST_OPEN)
    await waiting(workspace, stuck, 60)
    (conversation,) = await waiting(workspace, team, 1)
    agent = await an_agent(workspace, teams=[team])

    given = await queue.drain(teams=[stuck.id, team.id], agents=[agent.id])

    assert given == 0
    assert await holder_of(conversation) == agent.id


async def test_the_sweep_drains_what_a_crash_left(workspace: Workspace) -> None:
    team = await a_team(workspace)
    await an_agent(workspace, teams=[team])
    (conversation,) = await waiting(workspace, team, 1)
    await Team.filter(id=team.id).update(distribution=Distribution.LEAST_OPEN)

    assert await queue.drain_all(10) == 1
    assert await queue.drain_all(10) == 0
    assert await holder_of(conversation) is not None


# -- Why


async def test_a_waiting_conversation_says_why_it_waits(workspace: Workspace) -> None:
    team = await a_team(workspace, distribution=Distribution.LEAST_OPEN, max_open=1)
    full = await an_agent(workspace, teams=[team])
    away = await an_agent(workspace, teams=[team], availability=Availability.AWAY)
    gone = await an_agent(workspace, teams=[team], connected=False)
    await a_conversation(workspace, team=team)

    conversation = await a_conversation(workspace, team=team)

    assert conversation.decision is not None
    verdicts = {c["agent_id"]: c["verdict"] for c in conversation.decision["candidates"]}
    assert conversation.decision["outcome"] == Outcome.NOBODY_ELIGIBLE
    assert verdicts == {
        str(full.id): Verdict.AT_CAPACITY,
        str(away.id): Verdict.AWAY,
        str(gone.id): Verdict.OFFLINE,
    }


async def test_an_assignment_says_why_it_was_given(workspace: Workspace) -> None:
    team = await a_team(workspace, distribution=Distribution.LEAST_OPEN)
    busy = await an_agent(workspace, teams=[team])
    await a_conversation(workspace, team=team)
    free = await an_agent(workspace, teams=[team])

    conversation = await a_conversation(workspace, team=team)

    assignment = await Assignment.get(conversation_id=conversation.id)
    assert assignment.agent_id == free.id
    assert assignment.rule is Rule.CHANNEL_TARGET
    assert assignment.decision["tie_break"] == TieBreak.SMALLEST_LOAD
    assert [(c["agent_id"], c["verdict"]) for c in assignment.decision["candidates"]] == [
        (str(busy.id), Verdict.LOST_LOAD),
        (str(free.id), Verdict.CHOSEN),
    ]


async def test_a_given_conversation_leaves_the_queue_in_the_log(workspace: Workspace) -> None:
    team = await a_team(workspace, distribution=Distribution.LEAST_OPEN)
    (conversation,) = await waiting(workspace, team, 1)

    await an_agent(workspace, teams=[team])

    moves = await fetchval(
        """
        SELECT array_agg((kind, from_queue_id IS NOT NULL, to_queue_id IS NOT NULL)::text
                         ORDER BY seq)
        FROM events WHERE conversation_id = $1
        """,
        conversation.id,
    )
    assert moves == [
        "(CONVERSATION_OPENED,f,f)",
        "(MESSAGE_RECEIVED,f,f)",
        "(CONVERSATION_QUEUED,f,t)",
        "(CONVERSATION_ASSIGNED,t,f)",
    ]


async def test_the_pointer_of_round_robin_stays_when_members_change(workspace: Workspace) -> None:
    team = await a_team(workspace, distribution=Distribution.ROUND_ROBIN)
    ann, ben, cleo = [await an_agent(workspace, teams=[team]) for _ in range(3)]
    (first,) = await waiting(workspace, team, 1)
    await Membership.remove(by=by_system(workspace), team=team, agent_id=ann.id)

    second, third, fourth = await waiting(workspace, team, 3)

    assert await holder_of(first) == ann.id
    assert [await holder_of(c) for c in (second, third, fourth)] == [ben.id, cleo.id, ben.id]


async def test_who_comes_in_before_a_drain_does_not_pass_a_higher_queue(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between the commit that frees an agent and the drain that follows it."""
    high, low = [
        await a_team(
            workspace, line=Line.SUPPORT, distribution=Distribution.LEAST_OPEN, priority=priority
        )
        for priority in (8, 3)
    ]
    agent = await an_agent(workspace, capacity=1, teams=[high, low])
    held = await a_conversation(workspace, team=low)
    waits = await a_conversation(workspace, team=high)
    channel = await a_channel(workspace, team=low)
    drain, entered = queue.Freed.__call__, list[UUID]()

    async def late(freed: queue.Freed) -> None:
        monkeypatch.setattr(queue.Freed, "__call__", drain)
        entered.append((await a_message(channel)).conversation_id)
        assert await holder_of(waits) == agent.id
        await drain(freed)

    monkeypatch.setattr(queue.Freed, "__call__", late)
    async with working(held.id, by=by_system(workspace)) as conversation:
        await conversation.close(by=by_system(workspace))

    assert await holder_of(waits) == agent.id
    assert (await Conversation.get(id=entered[0])).status is Status.QUEUED


async def test_a_drain_takes_in_the_higher_queues_of_those_it_could_give_to(
    workspace: Workspace,
) -> None:
    """An agent of both was freed, and only the lower queue is drained: by whoever else."""
    high, low = [
        await a_team(
            workspace, line=Line.SUPPORT, distribution=Distribution.ROUND_ROBIN, priority=priority
        )
        for priority in (8, 3)
    ]
    agent = await an_agent(workspace, capacity=1, teams=[high, low], accepts_new=False)
    below, above = [await a_conversation(workspace, team=team) for team in (low, high)]
    await accepting(agent, accepts_new=True)

    await queue.drain(teams=[low.id])

    assert (await holder_of(above), await holder_of(below)) == (agent.id, None)


async def test_a_workspace_that_cannot_be_drained_holds_up_no_other(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    waiting_in = {}
    for each in (workspace, await a_workspace("Other")):
        team = await a_team(each, distribution=Distribution.LEAST_OPEN)
        agent = await an_agent(each, teams=[team], accepts_new=False)
        waiting_in[each.id] = (await a_conversation(each, team=team), agent)
        await accepting(agent, accepts_new=True)
    drain = queue.drain

    async def failing(*, teams: list[UUID]) -> int:
        if (await Team.get(id=teams[0])).workspace_id == workspace.id:
            raise RuntimeError
        return await drain(teams=teams)

    monkeypatch.setattr(queue, "drain", failing)
    with pytest.raises(ExceptionGroup):
        await queue.drain_all(10)

    held = {id: await holder_of(conversation) for id, (conversation, _) in waiting_in.items()}
    assert held.pop(workspace.id) is None
    assert list(held.values()) == [agent.id for id, (_, agent) in waiting_in.items() if id in held]
    await drain(teams=[waiting_in[workspace.id][0].team_id or workspace.id])


async def moved(group: Team) -> None:
    by = by_system(await Workspace.get(id=group.workspace_id))
    await Team.change(group.id, by=by, parent_id=None)


async def removed(group: Team) -> None:
    await delete(group.id, by=by_system(await Workspace.get(id=group.workspace_id)))


@pytest.mark.parametrize("leaves", [moved, removed])
async def test_a_group_leaves_only_after_what_is_given_out_above_it(
    workspace: Workspace, leaves: Callable[[Team], Awaitable[None]]
) -> None:
    upper = await a_team(workspace, distribution=Distribution.ROUND_ROBIN)
    await Team.change(upper.id, by=by_system(workspace), include_descendants=True)
    middle = await a_team(workspace, parent=upper)
    group = await a_team(workspace, parent=middle, members=[await an_agent(workspace)])
    giving_out = partial(Team.locked, upper.id, by=by_system(workspace))

    await behind(giving_out, partial(leaves, group))

    waiting = await a_conversation(workspace, team=upper)
    assert waiting.assignee_id is None
