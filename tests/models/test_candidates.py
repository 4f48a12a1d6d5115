"""Who is among a team's candidates, who is passed over, and what counts more as it waits."""

from datetime import timedelta
from uuid import UUID

from models import Agent, Conversation, Membership, Team, Workspace, queue
from models.access import Role
from models.agent import lapse_presence
from models.base import Line
from models.closing import close
from models.database import fetch, fetchval, tx
from models.decision import Availability, Distribution, Verdict
from models.departure import change
from tests.conftest import Clock
from tests.factories import (
    A_TICKET,
    a_channel,
    a_conversation,
    a_message,
    a_team,
    an_agent,
    as_agent,
    by_system,
    working,
)


async def holder_of(conversation: Conversation) -> UUID | None:
    return (await Conversation.get(id=conversation.id)).assignee_id


async def an_including_group(workspace: Workspace, distribution: Distribution) -> Team:
    group = await a_team(workspace, distribution=distribution)
    await Team.filter(id=group.id).update(include_descendants=True)
    return group


# -- Groups below


async def test_a_group_gives_to_its_descendants_when_it_includes_them(workspace: Workspace) -> None:
    group = await an_including_group(workspace, Distribution.LEAST_OPEN)
    below = await a_team(workspace, parent=group)
    further = await a_team(workspace, parent=below)
    agent = await an_agent(workspace, teams=[further])

    conversation = await a_conversation(workspace, team=group)

    assert await holder_of(conversation) == agent.id


async def test_a_group_keeps_to_its_own_members_otherwise(workspace: Workspace) -> None:
    group = await a_team(workspace, distribution=Distribution.LEAST_OPEN)
    await an_agent(workspace, teams=[await a_team(workspace, parent=group)])

    conversation = await a_conversation(workspace, team=group)

    assert await holder_of(conversation) is None


async def test_a_group_below_that_is_gone_lends_nobody(workspace: Workspace) -> None:
    group = await an_including_group(workspace, Distribution.LEAST_OPEN)
    below = await a_team(workspace, parent=group)
    await an_agent(workspace, teams=[below])
    await Team.filter(id=below.id).update(is_active=False)

    conversation = await a_conversation(workspace, team=group)

    assert await holder_of(conversation) is None


async def test_who_comes_online_below_gets_what_waits_above(workspace: Workspace) -> None:
    group = await an_including_group(workspace, Distribution.ROUND_ROBIN)
    below = await a_team(workspace, parent=await a_team(workspace, parent=group))
    agent = await an_agent(workspace, teams=[below], availability=Availability.AWAY)
    conversation = await a_conversation(workspace, team=group)

    await Agent.set_availability(agent.id, by=as_agent(agent), availability=Availability.ONLINE)

    assert await holder_of(conversation) == agent.id


async def test_round_robin_takes_its_own_members_first_and_each_person_once(
    workspace: Workspace,
) -> None:
    group = await an_including_group(workspace, Distribution.ROUND_ROBIN)
    first, second = [await a_team(workspace, parent=group) for _ in range(2)]
    late = await an_agent(workspace, teams=[second])
    both = await an_agent(workspace, teams=[second, group])
    early = await an_agent(workspace, teams=[first])

    turns = [await holder_of(await a_conversation(workspace, team=group)) for _ in range(6)]

    assert turns == [both.id, early.id, late.id] * 2


async def test_an_edit_of_a_group_below_moves_nobodys_turn(workspace: Workspace) -> None:
    group = await an_including_group(workspace, Distribution.ROUND_ROBIN)
    first, second = [await a_team(workspace, parent=group) for _ in range(2)]
    leaving, staying = [await an_agent(workspace, teams=[first]) for _ in range(2)]
    last = await an_agent(workspace, teams=[second])
    served = [await holder_of(await a_conversation(workspace, team=group)) for _ in range(2)]

    await Membership.remove(by=by_system(workspace), team=first, agent_id=leaving.id)
    newcomer = await an_agent(workspace, teams=[first])
    turns = [await holder_of(await a_conversation(workspace, team=group)) for _ in range(3)]

    assert served == [leaving.id, staying.id]
    # The newcomer joined behind whoever was served last, and before the next group.
    assert turns == [newcomer.id, last.id, staying.id]


# -- Passed over after a time-out


async def skip(conversation: Conversation, agent: Agent, minutes: int) -> None:
    """What letting it wait too long for an answer leaves behind, back in the queue."""
    by = by_system(Workspace(id=agent.workspace_id))
    async with working(conversation.id, by=by) as held, tx():
        await held.unassign(by=by)
        await fetch(
            """
            UPDATE conversations SET skipped_agent_id = $2, skipped_until = relevo_now() + $3
            WHERE id = $1
            """,
            conversation.id,
            agent.id,
            timedelta(minutes=minutes),
        )


async def test_who_let_it_wait_is_passed_over_for_the_next(workspace: Workspace) -> None:
    team = await a_team(workspace, distribution=Distribution.LEAST_OPEN)
    slow = await an_agent(workspace, teams=[team])
    conversation = await a_conversation(workspace, team=team)
    quick = await an_agent(workspace, teams=[team])
    # Lighter, the slow one would win.
    for _ in range(3):
        await a_conversation(workspace, team=await a_team(workspace), holder=quick)

    await skip(conversation, slow, minutes=5)

    held = await Conversation.get(id=conversation.id)
    assert (held.assignee_id, held.skipped_agent_id, held.skipped_until) == (quick.id, None, None)
    verdicts = await fetchval(
        """
        SELECT jsonb_agg(x -> 'verdict') FROM assignments a, jsonb_array_elements(
            decision -> 'candidates') x WHERE conversation_id = $1 AND ended_at IS NULL
        """,
        conversation.id,
    )
    assert verdicts == f'["{Verdict.SKIPPED_AFTER_TIMEOUT}", "{Verdict.CHOSEN}"]'


async def test_who_is_passed_over_for_one_gets_the_others(
    workspace: Workspace, clock: Clock
) -> None:
    team = await a_team(workspace, distribution=Distribution.ROUND_ROBIN)
    alone = await an_agent(workspace, teams=[team])
    first = await a_conversation(workspace, team=team)

    await skip(first, alone, minutes=5)
    second = await a_conversation(workspace, team=team)

    assert (await holder_of(first), await holder_of(second)) == (None, alone.id)
    # It waits for anybody else, but not for ever.
    await clock.travel(minutes=5)
    await Agent.beat(alone.id, by=as_agent(alone), device="browser")
    await queue.drain_all(10)
    assert await holder_of(first) == alone.id


async def test_those_who_wait_for_anybody_else_hold_up_nobody(workspace: Workspace) -> None:
    """More of them than one batch takes, and all before the rest."""
    team = await a_team(workspace, distribution=Distribution.LEAST_OPEN)
    channel = await a_channel(workspace, team=team)
    alone = await an_agent(workspace, teams=[team], capacity=200)
    skipped = [await a_conversation(workspace, channel=channel) for _ in range(60)]
    await Agent.set_availability(alone.id, by=as_agent(alone), availability=Availability.AWAY)
    for conversation in skipped:
        await skip(conversation, alone, minutes=5)
    rest = [await a_message(channel) for _ in range(60)]

    await Agent.set_availability(alone.id, by=as_agent(alone), availability=Availability.ONLINE)

    waiting = await Conversation.filter(team_id=team.id, status="QUEUED").values_list(
        "id", flat=True
    )
    assert set(waiting) == {conversation.id for conversation in skipped}
    assert len(rest) == (await Agent.get(id=alone.id)).load


# -- Ageing


async def test_what_waits_long_rises_over_what_is_urgent_where_a_team_says_so(
    workspace: Workspace, clock: Clock
) -> None:
    agent = await an_agent(workspace, availability=Availability.AWAY, capacity=1)
    teams = {
        priority: await a_team(
            workspace,
            line=Line.SUPPORT,
            priority=priority,
            distribution=Distribution.LEAST_OPEN,
            members=[agent],
        )
        for priority in (0, 5, 10)
    }
    await Team.filter(id=teams[0].id).update(ageing_minutes=10)
    ageing = await a_conversation(workspace, team=teams[0])
    await clock.travel(minutes=59)
    urgent = await a_conversation(workspace, team=teams[5])
    await clock.travel(minutes=1)

    async def next_one() -> UUID | None:
        by = as_agent(agent)
        await Agent.beat(agent.id, by=by, device="browser")
        await Agent.set_availability(agent.id, by=by, availability=Availability.ONLINE)
        held = await Conversation.filter(assignee_id=agent.id).first()
        await Agent.set_availability(agent.id, by=by, availability=Availability.AWAY)
        if held is None:
            return None
        async with working(held.id, by=by) as conversation:
            await close(conversation, by=by, ticket=A_TICKET)
        return held.id

    # Six steps up by now, one more than the urgent one; ten is the end of it.
    assert [await next_one(), await next_one()] == [ageing.id, urgent.id]
    old = await a_conversation(workspace, team=teams[0])
    await clock.travel(days=1)
    most_urgent = await a_conversation(workspace, team=teams[10])
    assert [await next_one(), await next_one()] == [old.id, most_urgent.id]
    await lapse_presence(10)


async def test_a_new_order_below_leaves_the_turn_of_the_group_above(workspace: Workspace) -> None:
    group = await an_including_group(workspace, Distribution.ROUND_ROBIN)
    below = await a_team(workspace, parent=group)
    own = await an_agent(workspace, teams=[group])
    first, second, third = [await an_agent(workspace, teams=[below]) for _ in range(3)]
    served = [await holder_of(await a_conversation(workspace, team=group)) for _ in range(2)]

    by = by_system(workspace)
    await Membership.reorder(by=by, team=below, agent_ids=[third.id, first.id, second.id])
    await Membership.reorder(by=by, team=group, agent_ids=[own.id])
    turns = [await holder_of(await a_conversation(workspace, team=group)) for _ in range(3)]

    assert served == [own.id, first.id]
    assert turns == [second.id, own.id, third.id]


async def test_who_joins_after_the_last_served_has_left_is_next(workspace: Workspace) -> None:
    team = await a_team(workspace, distribution=Distribution.ROUND_ROBIN)
    stays, leaves = [await an_agent(workspace, teams=[team]) for _ in range(2)]
    served = [await holder_of(await a_conversation(workspace, team=team)) for _ in range(2)]

    await Membership.remove(by=by_system(workspace), team=team, agent_id=leaves.id)
    joins = await an_agent(workspace, teams=[team])
    turns = [await holder_of(await a_conversation(workspace, team=team)) for _ in range(2)]

    assert (served, turns) == ([stays.id, leaves.id], [joins.id, stays.id])


async def test_in_todos_nobody_loses_a_turn_to_another_ones_new_role(workspace: Workspace) -> None:
    todos = await Team.todos(workspace.id, Line.SALES)
    by = by_system(workspace)
    await Team.change(todos.id, by=by, distribution=Distribution.ROUND_ROBIN)
    first, second, third = [await an_agent(workspace) for _ in range(3)]
    given = await a_conversation(workspace)
    async with working(given.id, by=by) as held:
        await close(held, by=by)

    await change(first.id, by=by, role=Role.MARKETING)
    turns = [await holder_of(await a_conversation(workspace)) for _ in range(2)]
    await change(first.id, by=by, role=Role.AGENT)
    turns += [await holder_of(await a_conversation(workspace)) for _ in range(2)]

    assert turns == [second.id, third.id, first.id, second.id]
