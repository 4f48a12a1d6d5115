"""Members of a team, in an order that round robin follows whatever becomes of it."""

import asyncio
from itertools import permutations
from uuid import uuid4

import pytest

from models import Agent, Conversation, Membership, Team, Workspace
from models.access import Role
from models.database import fetch
from models.decision import Distribution
from models.errors import AgentInactive, AlreadyMember, Forbidden, NotFound, NotMember
from models.event import Kind
from tests.factories import (
    a_channel,
    a_conversation,
    a_team,
    a_workspace,
    an_agent,
    as_agent,
    by_system,
)


async def order(team: Team) -> list[object]:
    rows = await fetch(
        "SELECT agent_id FROM memberships WHERE team_id = $1 ORDER BY position", team.id
    )
    return [row["agent_id"] for row in rows]


async def kinds(team: Team) -> list[str]:
    rows = await fetch(
        "SELECT kind FROM events WHERE to_team_id = $1 OR from_team_id = $1 ORDER BY seq", team.id
    )
    return [row["kind"] for row in rows]


async def in_turn(workspace: Workspace, *members: Agent) -> Team:
    return await a_team(workspace, distribution=Distribution.ROUND_ROBIN, members=members)


async def served(workspace: Workspace, team: Team, count: int) -> list[object]:
    """Whom the next conversations of a team go to."""
    return [(await a_conversation(workspace, team=team)).assignee_id for _ in range(count)]


async def test_members_are_in_the_order_in_which_they_came(workspace: Workspace) -> None:
    agents = [await an_agent(workspace) for _ in range(3)]
    team = await a_team(workspace)

    for agent in agents:
        await Membership.add(by=by_system(workspace), team=team, agent_id=agent.id)

    assert await order(team) == [agent.id for agent in agents]
    assert await kinds(team) == [Kind.TEAM_CREATED, *[Kind.MEMBER_ADDED] * 3]


async def test_those_who_come_at_once_have_places_of_their_own(workspace: Workspace) -> None:
    agents = [await an_agent(workspace) for _ in range(8)]
    team = await a_team(workspace)
    by = by_system(workspace)

    await asyncio.gather(*(Membership.add(by=by, team=team, agent_id=agent.id) for agent in agents))

    assert sorted(map(str, await order(team))) == sorted(str(agent.id) for agent in agents)


async def test_who_comes_twice_at_once_comes_once(workspace: Workspace) -> None:
    agent, team = await an_agent(workspace), await a_team(workspace)
    by = by_system(workspace)

    found = await asyncio.gather(
        *(Membership.add(by=by, team=team, agent_id=agent.id) for _ in range(4)),
        return_exceptions=True,
    )

    assert sum(isinstance(one, AlreadyMember) for one in found) == 3
    assert await order(team) == [agent.id]


async def test_a_new_member_of_an_automatic_team_gets_what_waits(workspace: Workspace) -> None:
    team = await in_turn(workspace)
    waiting = await a_conversation(workspace, team=team)
    agent = await an_agent(workspace)

    await Membership.add(by=by_system(workspace), team=team, agent_id=agent.id)

    assert (await Conversation.get(id=waiting.id)).assignee_id == agent.id


async def test_only_active_agents_of_the_workspace_come(workspace: Workspace) -> None:
    team, by = await a_team(workspace), by_system(workspace)
    inactive = await an_agent(workspace)
    await Agent.filter(id=inactive.id).update(is_active=False)
    stranger = await an_agent(await a_workspace())

    with pytest.raises(AgentInactive):
        await Membership.add(by=by, team=team, agent_id=inactive.id)
    for id in (stranger.id, uuid4()):
        with pytest.raises(NotFound):
            await Membership.add(by=by, team=team, agent_id=id)

    assert await order(team) == []


async def test_who_goes_keeps_what_it_holds_and_gets_no_more(workspace: Workspace) -> None:
    first, second = await an_agent(workspace), await an_agent(workspace)
    team = await in_turn(workspace, first, second)
    [holder] = await served(workspace, team, 1)

    await Membership.remove(by=by_system(workspace), team=team, agent_id=first.id)

    assert holder == first.id
    assert await Conversation.filter(assignee_id=first.id).count() == 1
    assert await served(workspace, team, 2) == [second.id, second.id]
    assert (await kinds(team)).count(Kind.MEMBER_REMOVED) == 1


async def test_who_is_not_there_cannot_go(workspace: Workspace) -> None:
    agent, team = await an_agent(workspace), await a_team(workspace)

    with pytest.raises(NotMember):
        await Membership.remove(by=by_system(workspace), team=team, agent_id=agent.id)

    assert Kind.MEMBER_REMOVED not in await kinds(team)


@pytest.mark.parametrize("gone", [0, 1, 2])
async def test_round_robin_goes_on_when_somebody_has_gone(workspace: Workspace, gone: int) -> None:
    agents = [await an_agent(workspace) for _ in range(4)]
    team = await in_turn(workspace, *agents)
    await served(workspace, team, 2)

    await Membership.remove(by=by_system(workspace), team=team, agent_id=agents[gone].id)

    left = [agent.id for agent in agents if agent is not agents[gone]]
    next_one = agents[3 if gone == 2 else 2].id
    start = left.index(next_one)
    assert await served(workspace, team, 3) == left[start:] + left[:start]


@pytest.mark.parametrize("places", list(permutations(range(3))), ids=str)
@pytest.mark.parametrize("before", [0, 1, 2, 3])
async def test_round_robin_goes_on_after_whoever_it_served_last(
    workspace: Workspace, places: tuple[int, ...], before: int
) -> None:
    agents = [await an_agent(workspace) for _ in range(3)]
    team = await in_turn(workspace, *agents)
    last = ([None, *await served(workspace, team, before)])[-1]
    new = [agents[place].id for place in places]

    await Membership.reorder(by=by_system(workspace), team=team, agent_ids=new)

    start = new.index(last) + 1 if last else 0  # type: ignore[arg-type]  # one of theirs
    assert await order(team) == new
    assert await served(workspace, team, 3) == (new[start:] + new[:start])


async def test_a_team_can_be_reordered_again_and_again(workspace: Workspace) -> None:
    agents = [await an_agent(workspace) for _ in range(3)]
    team = await in_turn(workspace, *agents)
    ids = [agent.id for agent in agents]
    found = []

    for _ in range(6):
        ids.reverse()
        await Membership.reorder(by=by_system(workspace), team=team, agent_ids=list(ids))
        found += await served(workspace, team, 1)

    first, second, third = [agent.id for agent in agents]
    assert found == [third, first] * 3
    assert await order(team) == [first, second, third]


async def test_an_order_has_every_member_exactly_once(workspace: Workspace) -> None:
    first, second, other = [await an_agent(workspace) for _ in range(3)]
    team, by = await a_team(workspace, members=[first, second]), by_system(workspace)

    for wrong in ([], [first], [first, first], [first, other], [first, second, other]):
        with pytest.raises(NotMember):
            await Membership.reorder(by=by, team=team, agent_ids=[agent.id for agent in wrong])

    assert await order(team) == [first.id, second.id]


@pytest.mark.parametrize("role", [Role.AGENT, Role.OPERATOR])
async def test_only_who_configures_changes_teams(workspace: Workspace, role: Role) -> None:
    agent = await an_agent(workspace, role=role)
    team = await a_team(workspace, members=[agent])
    by = as_agent(agent)

    with pytest.raises(Forbidden):
        await Membership.add(by=by, team=team, agent_id=agent.id)
    with pytest.raises(Forbidden):
        await Membership.remove(by=by, team=team, agent_id=agent.id)
    with pytest.raises(Forbidden):
        await Membership.reorder(by=by, team=team, agent_ids=[agent.id])


async def test_a_reorder_while_messages_come_in_loses_no_turn(workspace: Workspace) -> None:
    agents = [await an_agent(workspace) for _ in range(3)]
    team, by = await in_turn(workspace, *agents), by_system(workspace)
    channel = await a_channel(workspace, team=team)
    ids = [agent.id for agent in agents]

    await asyncio.gather(
        *(a_conversation(workspace, channel=channel) for _ in range(9)),
        *(Membership.reorder(by=by, team=team, agent_ids=ids) for _ in range(3)),
    )

    # The order stayed the same, so everybody had three turns.
    assert [(await Agent.get(id=id)).load for id in ids] == [3, 3, 3]
