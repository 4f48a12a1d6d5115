"""Channels and their targets: which fit, and that nothing two people change at once is lost."""

import asyncio
from contextlib import suppress
from uuid import uuid4

import pytest

from models import Agent, Channel, Conversation, Team, Workspace
from models.access import Actor, Role
from models.base import Line
from models.channel import ChannelKind, ChannelStatus, Target
from models.database import fetch, retrying
from models.errors import (
    ChannelNotConnected,
    LineNotSupported,
    NotFound,
    RuleViolation,
    TeamHasChannel,
)
from tests.factories import a_channel, a_conversation, a_team, a_workspace, an_agent, by_system


async def assign(
    channel: Channel, target: Target, *, line: Line = Line.SALES, replace: bool = False
) -> None:
    by = Actor.system(channel.workspace_id)
    await retrying(lambda: channel.assign(line, target, by=by, replace=replace))


async def a_department(workspace: Workspace) -> Team:
    return await a_team(workspace, line=Line.SUPPORT)


async def test_both_lines_assigned_at_once_keep_both_targets(workspace: Workspace) -> None:
    channel = await a_channel(workspace)
    group, department = await a_team(workspace), await a_department(workspace)
    twin = await Channel.get(id=channel.id)

    await asyncio.gather(
        assign(channel, Target(team_id=group.id)),
        assign(twin, Target(team_id=department.id), line=Line.SUPPORT),
    )

    stored = await Channel.get(id=channel.id)
    assert (stored.sales_team_id, stored.support_team_id) == (group.id, department.id)


async def test_of_channels_that_take_one_group_at_once_one_gets_it(workspace: Workspace) -> None:
    group = await a_team(workspace)
    channels = [await a_channel(workspace) for _ in range(6)]

    taken = await asyncio.gather(
        *(assign(channel, Target(team_id=group.id)) for channel in channels),
        return_exceptions=True,
    )

    refused = [error for error in taken if error is not None]
    assert [type(error) for error in refused] == [TeamHasChannel] * 5
    assert await Channel.filter(sales_team_id=group.id).count() == 1


async def test_two_channels_that_swap_their_groups_at_once_both_finish(
    workspace: Workspace,
) -> None:
    groups = [await a_team(workspace) for _ in range(2)]
    channels = [await a_channel(workspace) for _ in range(2)]
    for channel, group in zip(channels, groups, strict=True):
        await assign(channel, Target(team_id=group.id))

    await asyncio.gather(
        assign(channels[0], Target(team_id=groups[1].id), replace=True),
        assign(channels[1], Target(team_id=groups[0].id), replace=True),
    )

    held = [(await Channel.get(id=channel.id)).sales_team_id for channel in channels]
    # Whoever came second took its group from a channel that had just got it.
    assert held in ([groups[1].id, groups[0].id], [None, groups[0].id], [groups[1].id, None])


async def test_nobody_assigns_the_channel_of_another_workspace(workspace: Workspace) -> None:
    channel = await a_channel(await a_workspace("Other"))

    with pytest.raises(NotFound):
        await channel.assign(Line.SALES, Target(), by=by_system(workspace))


SERVE_BOTH = ("WHATSAPP", "TELEGRAM", "EMAIL", "SMS")


@pytest.mark.parametrize("kind", list(ChannelKind))
async def test_some_kinds_serve_both_lines_and_the_others_sales(
    workspace: Workspace, kind: ChannelKind
) -> None:
    channel = await a_channel(workspace, kind=kind)
    by = by_system(workspace)
    served = []
    for line in Line:
        target = Target(team_id=(await a_team(workspace, line=line)).id)
        with suppress(LineNotSupported):
            await channel.assign(line, target, by=by)
            served.append(line)

    assert served == (list(Line) if kind in SERVE_BOTH else [Line.SALES])


@pytest.mark.parametrize(
    ("line", "target", "code"),
    [
        (Line.SALES, "department", "TARGET_NOT_ALLOWED"),
        (Line.SALES, "sales todos", "TARGET_NOT_ALLOWED"),
        (Line.SALES, "group that is gone", "TARGET_INACTIVE"),
        (Line.SALES, "agent who is gone", "TARGET_INACTIVE"),
        (Line.SALES, "auditor", "ROLE_CANNOT_HOLD"),
        (Line.SALES, "group and agent", "TARGET_NOT_ALLOWED"),
        (Line.SALES, "nobody", "NOT_FOUND"),
        (Line.SUPPORT, "group", "TARGET_NOT_ALLOWED"),
        (Line.SUPPORT, "agent", "TARGET_NOT_ALLOWED"),
        (Line.SUPPORT, "support todos", "TARGET_NOT_ALLOWED"),
    ],
)
async def test_a_target_that_does_not_fit_is_refused(
    workspace: Workspace, line: Line, target: str, code: str
) -> None:
    group, gone = [await a_team(workspace) for _ in range(2)]
    agent, leaver = [await an_agent(workspace) for _ in range(2)]
    auditor = await an_agent(workspace, role=Role.AUDITOR, connected=False)
    channel = await a_channel(workspace)
    await Team.filter(id=gone.id).update(is_active=False)
    await Agent.filter(id=leaver.id).update(is_active=False)
    targets = {
        "group": Target(group.id),
        "department": Target((await a_team(workspace, line=Line.SUPPORT)).id),
        "sales todos": Target(await Team.todos_id(workspace.id, Line.SALES)),
        "support todos": Target(await Team.todos_id(workspace.id, Line.SUPPORT)),
        "group that is gone": Target(gone.id),
        "agent": Target(agent_id=agent.id),
        "agent who is gone": Target(agent_id=leaver.id),
        "auditor": Target(agent_id=auditor.id),
        "group and agent": Target(group.id, agent.id),
        "nobody": Target(uuid4()),
    }

    with pytest.raises(RuleViolation) as refused:
        await channel.assign(line, targets[target], by=by_system(workspace))

    assert refused.value.code == code
    assert (await Channel.get(id=channel.id)).target(line) == Target()


@pytest.mark.parametrize("status", [ChannelStatus.PENDING, ChannelStatus.DISCONNECTED])
async def test_only_a_connected_channel_is_given_a_target_and_any_is_cleared(
    workspace: Workspace, status: ChannelStatus
) -> None:
    by, group = by_system(workspace), await a_team(workspace)
    channel = await a_channel(workspace, team=group)
    await Channel.filter(id=channel.id).update(status=status)
    other = await a_team(workspace)

    with pytest.raises(ChannelNotConnected) as refused:
        await channel.assign(Line.SALES, Target(other.id), by=by)
    await channel.assign(Line.SALES, Target(), by=by)

    assert refused.value.facts == {"status": status}
    assert (await Channel.get(id=channel.id)).sales_team_id is None


async def test_a_group_holds_one_channel_and_moves_only_when_told_so(workspace: Workspace) -> None:
    by, group = by_system(workspace), await a_team(workspace)
    first, second = await a_channel(workspace, team=group), await a_channel(workspace)

    with pytest.raises(TeamHasChannel) as refused:
        await second.assign(Line.SALES, Target(group.id), by=by)
    await second.assign(Line.SALES, Target(group.id), by=by, replace=True)

    assert refused.value.facts == {"channelId": first.id}
    targets = [(await Channel.get(id=channel.id)).sales_team_id for channel in (first, second)]
    assert targets == [None, group.id]
    logged = await fetch(
        "SELECT channel_id, to_team_id FROM events WHERE kind = 'CHANNEL_ASSIGNED' ORDER BY seq"
    )
    assert [tuple(row) for row in logged] == [
        (first.id, group.id),
        (first.id, None),
        (second.id, group.id),
    ]


async def test_a_line_given_to_a_second_target_moves_there_and_departments_take_any(
    workspace: Workspace,
) -> None:
    by = by_system(workspace)
    department, other = [await a_team(workspace, line=Line.SUPPORT) for _ in range(2)]
    channels = [await a_channel(workspace, team=department) for _ in range(3)]

    await channels[0].assign(Line.SUPPORT, Target(other.id), by=by)

    targets = [(await Channel.get(id=channel.id)).support_team_id for channel in channels]
    assert targets == [other.id, department.id, department.id]


async def test_a_new_target_is_for_what_opens_afterwards(workspace: Workspace) -> None:
    before, after = [await a_team(workspace) for _ in range(2)]
    channel = await a_channel(workspace, team=before)
    open_one = await a_conversation(workspace, channel=channel)

    await channel.assign(Line.SALES, Target(after.id), by=by_system(workspace))
    new = await a_conversation(workspace, channel=channel)

    teams = [(await Conversation.get(id=it.id)).team_id for it in (open_one, new)]
    assert teams == [before.id, after.id]
