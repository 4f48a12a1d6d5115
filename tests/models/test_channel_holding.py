"""Which channels agents open conversations on, and which ones groups inherit."""

from uuid import uuid4

import pytest

from models import Agent, Channel, Membership, Team, Workspace
from models.access import Role
from models.base import Line
from models.channel_holding import Held, holds, of_groups
from tests.factories import a_channel, a_team, a_workspace, an_agent, by_system


async def is_held(agent: Agent, channel: Channel, line: Line = Line.SALES) -> bool:
    return await holds(
        agent_id=agent.id, channel_id=channel.id, line=line, workspace_id=agent.workspace_id
    )


@pytest.fixture
async def tree(workspace: Workspace) -> dict[str, Team]:
    """Four groups below each other, of which the first and the third hold a channel."""
    first = await a_team(workspace)
    second = await a_team(workspace, parent=first)
    third = await a_team(workspace, parent=second)
    fourth = await a_team(workspace, parent=third)
    return {"first": first, "second": second, "third": third, "fourth": fourth}


async def test_a_group_inherits_the_channel_of_the_nearest_group_above(
    workspace: Workspace, tree: dict[str, Team]
) -> None:
    upper = await a_channel(workspace, team=tree["first"])
    lower = await a_channel(workspace, team=tree["third"])
    beside = await a_team(workspace)
    department = await a_team(workspace, line=Line.SUPPORT)
    await a_channel(workspace, team=department)

    ids = [team.id for team in (*tree.values(), beside, department)]
    found = await of_groups(ids, workspace_id=workspace.id)

    assert found == {
        tree["first"].id: Held(upper.id, is_inherited=False),
        tree["second"].id: Held(upper.id, is_inherited=True),
        tree["third"].id: Held(lower.id, is_inherited=False),
        tree["fourth"].id: Held(lower.id, is_inherited=True),
    }
    assert await of_groups(ids, workspace_id=uuid4()) == {}


@pytest.mark.parametrize(
    ("member_of", "holds_upper", "holds_lower"),
    [
        ("first", True, False),
        ("second", True, False),
        ("third", False, True),
        ("fourth", False, True),
        (None, False, False),
    ],
)
async def test_an_agent_opens_on_what_its_groups_hold_or_inherit(
    workspace: Workspace,
    tree: dict[str, Team],
    member_of: str | None,
    holds_upper: bool,
    holds_lower: bool,
) -> None:
    upper = await a_channel(workspace, team=tree["first"])
    lower = await a_channel(workspace, team=tree["third"])

    agent = await an_agent(workspace, teams=[tree[member_of]] if member_of else [])

    found = (await is_held(agent, upper), await is_held(agent, lower))
    assert found == (holds_upper, holds_lower)


async def test_each_line_of_a_channel_has_its_own_holders(workspace: Workspace) -> None:
    group, department = await a_team(workspace), await a_team(workspace, line=Line.SUPPORT)
    seller = await an_agent(workspace, teams=[group])
    helper = await an_agent(workspace, teams=[department])
    channel = await a_channel(workspace, team=group)
    await Channel.filter(id=channel.id).update(support_team_id=department.id)

    found = {
        (agent, line): await is_held(agent, channel, line)
        for agent in (seller, helper)
        for line in Line
    }

    assert [key for key, held in found.items() if held] == [
        (seller, Line.SALES),
        (helper, Line.SUPPORT),
    ]


async def test_a_channel_with_an_agent_as_target_is_held_by_that_agent(
    workspace: Workspace,
) -> None:
    own, other = await an_agent(workspace), await an_agent(workspace)
    channel = await a_channel(workspace, agent=own)

    assert await is_held(own, channel)
    assert not await is_held(other, channel)


async def test_a_channel_without_a_target_is_held_by_todos(workspace: Workspace) -> None:
    channel = await a_channel(workspace)
    listed, other = await an_agent(workspace), await an_agent(workspace)
    auditor = await an_agent(workspace, role=Role.AUDITOR, connected=False)
    stranger = await an_agent(await a_workspace("Other"))

    before = [await is_held(agent, channel) for agent in (listed, other, auditor, stranger)]
    todos = await Team.todos(workspace.id, Line.SALES)
    await Membership.add(by=by_system(workspace), team=todos, agent_id=listed.id)
    after = [await is_held(agent, channel) for agent in (listed, other, auditor, stranger)]

    assert before == [True, True, False, False]
    assert after == [True, False, False, False]
    assert await is_held(other, channel, Line.SUPPORT)
