"""Channels and their targets: what two people change at once is not lost."""

import asyncio

import pytest

from models import Channel, Team, Workspace
from models.access import Actor
from models.base import Line
from models.channel import ChannelKind, ChannelStatus, Target
from models.database import retrying
from models.errors import (
    ChannelNotConnected,
    LineNotSupported,
    NotFound,
    TargetNotAllowed,
    TeamHasChannel,
)
from tests.factories import a_channel, a_team, a_workspace, by_system


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


async def test_targets_that_do_not_fit_are_refused(workspace: Workspace) -> None:
    by, group = by_system(workspace), await a_team(workspace)
    webchat = await a_channel(workspace, kind=ChannelKind.WEBCHAT)
    pending = await Channel.add(
        by=by, kind=ChannelKind.WHATSAPP, name="Pending", status=ChannelStatus.PENDING
    )

    with pytest.raises(LineNotSupported):
        await webchat.assign(Line.SUPPORT, Target(team_id=group.id), by=by)
    with pytest.raises(ChannelNotConnected):
        await pending.assign(Line.SALES, Target(team_id=group.id), by=by)
    with pytest.raises(TargetNotAllowed):
        await (await a_channel(workspace)).assign(Line.SUPPORT, Target(team_id=group.id), by=by)

    await pending.assign(Line.SALES, Target(), by=by)  # clearing works in any status
