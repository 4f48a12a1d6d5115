"""Deleting a team: what used it, what waited in it and what was below it goes on."""

import asyncio
from collections.abc import Awaitable, Callable
from contextvars import Context
from dataclasses import dataclass
from functools import partial
from uuid import UUID

import orjson
import pytest

from models import Agent, Channel, Contact, Conversation, Membership, Team, Workspace
from models.access import Actor
from models.base import Line
from models.bot import resume
from models.channel import Target
from models.closing import close
from models.conversation import Status
from models.database import Raced, fetch, retrying, tx
from models.decision import Distribution
from models.departure import deactivate
from models.errors import (
    InUse,
    NotFound,
    TargetInactive,
    TargetNotAllowed,
    TeamHasChannel,
    TeamInactive,
)
from models.owner import set_owner
from models.reopening import reopen
from models.routing import hand_off
from models.team_removal import delete
from models.transfer import transfer
from tests.factories import (
    a_channel,
    a_contact,
    a_conversation,
    a_message,
    a_team,
    a_workspace,
    an_agent,
    by_system,
    working,
)
from tests.meeting import behind


async def remove(team: Team, replacement: Team | None = None) -> None:
    by = by_system(await Workspace.get(id=team.workspace_id))
    replacement_id = replacement.id if replacement else None
    await retrying(lambda: delete(team.id, by=by, replacement_id=replacement_id))


async def handed_to(team: Team, channel: Channel) -> Conversation:
    """A conversation that waits in a team's queue, though its channel goes elsewhere."""
    workspace = await Workspace.get(id=team.workspace_id)
    conversation = await a_conversation(workspace, channel=channel)
    await transfer(conversation.id, by=by_system(workspace), to_team=team.id)
    return await Conversation.get(id=conversation.id)


async def moves(team: Team) -> list[tuple[UUID, UUID, UUID]]:
    rows = await fetch(
        """
        SELECT conversation_id, from_queue_id, to_queue_id FROM events
        WHERE kind = 'CONVERSATION_QUEUED' AND data ->> 'rule' = 'TEAM_DELETED'
          AND from_queue_id = $1
        """,
        team.id,
    )
    return [tuple(row) for row in rows]


async def test_a_team_in_use_stays_and_says_what_uses_it(workspace: Workspace) -> None:
    team = await a_team(workspace)
    channel = await a_channel(workspace, team=team)
    owned = [
        await a_contact(channel, sender=f"ada-{number}", owner_team=team) for number in range(22)
    ]

    with pytest.raises(InUse) as refused:
        await remove(team)

    facts = refused.value.facts
    assert (facts["channelId"], facts["channelCount"]) == ([channel.id], 1)
    assert facts["contactId"] == sorted(contact.id for contact in owned)[:20]
    assert facts["contactCount"] == 22
    assert (await Team.get(id=team.id)).is_active


async def test_a_replacement_takes_over_channels_contacts_and_conversations(
    workspace: Workspace,
) -> None:
    agent = await an_agent(workspace)
    team, other = await a_team(workspace), await a_team(workspace)
    channel = await a_channel(workspace, team=team)
    contact = await a_contact(channel, owner_team=team)
    waiting = await a_conversation(workspace, channel=channel)
    held = await a_conversation(workspace, channel=channel, holder=agent)
    await Channel.set_bot(channel.id, by=by_system(workspace), is_on=True)
    with_bot = await a_conversation(workspace, channel=channel)

    await remove(team, other)

    moved = await Conversation.get(id=waiting.id)
    assert (moved.status, moved.team_id) == (Status.QUEUED, other.id)
    assert moved.queued_at == waiting.queued_at
    kept = await Conversation.get(id=held.id)
    assert (kept.assignee_id, kept.team_id) == (agent.id, other.id)
    assert (await Conversation.get(id=with_bot.id)).team_id == other.id
    assert (await Channel.get(id=channel.id)).sales_team_id == other.id
    assert (await Contact.get(id=contact.id)).owner_team_id == other.id
    assert await moves(team) == [(waiting.id, team.id, other.id)]


async def test_what_waits_for_an_owner_still_does(workspace: Workspace) -> None:
    team, other = await a_team(workspace), await a_team(workspace)
    channel = await a_channel(workspace, team=team)
    owner = await an_agent(workspace, connected=False)
    await a_contact(channel, owner_agent=owner)
    received = await a_message(channel, sender="ada")

    await remove(team, other)

    moved = await Conversation.get(id=received.conversation_id)
    assert (moved.team_id, moved.reserved_for_id) == (other.id, owner.id)


async def test_without_a_replacement_they_go_where_their_channel_says(
    workspace: Workspace,
) -> None:
    team, other = await a_team(workspace), await a_team(workspace)
    to_other = await handed_to(team, await a_channel(workspace, team=other))
    to_todos = await handed_to(team, await a_channel(workspace))
    to_agent = await handed_to(team, await a_channel(workspace, agent=await an_agent(workspace)))

    await remove(team)

    todos = (await Team.todos(workspace.id, Line.SALES)).id
    found = [(await Conversation.get(id=one.id)).team_id for one in (to_other, to_todos, to_agent)]
    assert found == [other.id, todos, todos]


async def test_what_the_bot_has_is_seen_where_its_channel_says(workspace: Workspace) -> None:
    by = by_system(workspace)
    other = await a_team(workspace)
    found = []
    for target in (Target(), Target(team_id=other.id)):
        team = await a_team(workspace)
        channel = await a_channel(workspace, team=team, bot=True)
        with_bot = await a_conversation(workspace, channel=channel)
        await channel.assign(Line.SALES, target, by=by)
        await remove(team)
        found.append((await Conversation.get(id=with_bot.id)).team_id)

    assert found == [(await Team.todos(workspace.id, Line.SALES)).id, other.id]


async def test_what_moves_into_an_automatic_queue_is_given_out(workspace: Workspace) -> None:
    agent = await an_agent(workspace)
    team = await a_team(workspace)
    other = await a_team(workspace, distribution=Distribution.ROUND_ROBIN, members=[agent])
    waiting = await a_conversation(workspace, team=team)

    await remove(team, other)

    assert (await Conversation.get(id=waiting.id)).assignee_id == agent.id


async def test_the_groups_below_move_up_and_nothing_else_stays(workspace: Workspace) -> None:
    upper = await a_team(workspace)
    team = await a_team(workspace, parent=upper, members=[await an_agent(workspace)])
    lower = await a_team(workspace, parent=team)
    department = await a_team(workspace, line=Line.SUPPORT)
    by = by_system(workspace)
    await Team.change(department.id, by=by, transfers_to=[await a_department(workspace)])

    await remove(team)
    await remove(department)
    again = await Team.add(by=by, line=Line.SALES, name=team.name)

    assert (await Team.get(id=lower.id)).parent_id == upper.id
    assert not await Membership.exists(team_id=team.id)
    assert await fetch("SELECT * FROM transfer_targets") == []
    assert again.id != team.id
    with pytest.raises(TeamInactive):
        await remove(team)


async def a_department(workspace: Workspace) -> UUID:
    return (await a_team(workspace, line=Line.SUPPORT)).id


async def handed_over_to(desk: Team) -> list[UUID]:
    """Where a department's list says, and its last event."""
    rows = await fetch(
        "SELECT to_team_id FROM transfer_targets WHERE team_id = $1 ORDER BY 1", desk.id
    )
    told = await fetch(
        "SELECT data -> 'transfers_to' AS ids FROM events WHERE kind = 'TEAM_UPDATED'"
        " AND to_team_id = $1 ORDER BY seq DESC LIMIT 1",
        desk.id,
    )
    listed = [row["to_team_id"] for row in rows]
    assert sorted(orjson.loads(told[0]["ids"])) == [str(id) for id in listed]
    return listed


@pytest.mark.parametrize("is_listed", [False, True])
async def test_a_replacement_takes_its_place_where_departments_hand_over_to(
    workspace: Workspace, is_listed: bool
) -> None:
    team, other, desk = [await a_team(workspace, line=Line.SUPPORT) for _ in range(3)]
    listed = [team.id, *([other.id] if is_listed else [])]
    await Team.change(desk.id, by=by_system(workspace), transfers_to=listed)

    await remove(team, other)

    assert await handed_over_to(desk) == [other.id]


async def test_who_hands_over_to_others_too_goes_on_without_it(workspace: Workspace) -> None:
    team, other, desk = [await a_team(workspace, line=Line.SUPPORT) for _ in range(3)]
    await Team.change(desk.id, by=by_system(workspace), transfers_to=[team.id, other.id])

    await remove(team)

    assert await handed_over_to(desk) == [other.id]


@pytest.mark.parametrize("replaced", [False, True])
async def test_a_list_that_would_name_nobody_keeps_a_department(
    workspace: Workspace, replaced: bool
) -> None:
    """An empty list says: to anybody."""
    team, desk = [await a_team(workspace, line=Line.SUPPORT) for _ in range(2)]
    await Team.change(desk.id, by=by_system(workspace), transfers_to=[team.id])

    with pytest.raises(InUse) as refused:
        await remove(team, desk if replaced else None)

    facts = refused.value.facts
    assert (facts["departmentId"], facts["departmentCount"]) == ([desk.id], 1)
    assert await handed_over_to(desk) == [team.id]


async def test_a_replacement_is_another_active_team_of_the_line(workspace: Workspace) -> None:
    team, gone = await a_team(workspace), await a_team(workspace)
    await Team.filter(id=gone.id).update(is_active=False)
    todos = await Team.todos(workspace.id, Line.SALES)

    for replacement, refusal in (
        (team, TargetNotAllowed),
        (todos, TargetNotAllowed),
        (await a_team(workspace, line=Line.SUPPORT), TargetNotAllowed),
        (gone, TargetInactive),
        (await a_team(await a_workspace("Other")), NotFound),
    ):
        with pytest.raises(refusal):
            await remove(team, replacement)
    with pytest.raises(TargetNotAllowed):
        await remove(todos)


async def test_a_replacement_holds_no_second_channel(workspace: Workspace) -> None:
    team, other = await a_team(workspace), await a_team(workspace)
    await a_channel(workspace, team=team)
    held = await a_channel(workspace, team=other)

    with pytest.raises(TeamHasChannel) as refused:
        await remove(team, other)

    assert refused.value.facts["channelId"] == held.id


async def test_a_team_that_goes_becomes_no_target_at_the_same_time(workspace: Workspace) -> None:
    by = by_system(workspace)
    for line in (*Line, *Line):
        team, channel = await a_team(workspace, line=line), await a_channel(workspace)

        async def assign(line: Line, team: Team, channel: Channel) -> None:
            await retrying(lambda: channel.assign(line, Target(team_id=team.id), by=by))

        found = await asyncio.gather(
            remove(team), assign(line, team, channel), return_exceptions=True
        )

        assert [type(one) for one in found] in (
            [InUse, type(None)],
            [type(None), TargetInactive],
        )


async def test_nothing_comes_into_a_queue_that_goes(workspace: Workspace) -> None:
    team, other = await a_team(workspace), await a_team(workspace)
    channel = await a_channel(workspace, team=team)

    await asyncio.gather(
        remove(team, other), *(a_conversation(workspace, channel=channel) for _ in range(6))
    )

    assert await Conversation.filter(team_id=other.id).count() == 6


async def test_what_comes_back_after_its_team_has_gone_waits_elsewhere(
    workspace: Workspace,
) -> None:
    by, agent = by_system(workspace), await an_agent(workspace)
    team = await a_team(workspace)
    held = await handed_to(team, await a_channel(workspace))
    async with working(held.id, by=by) as conversation:
        await conversation.assign(agent.id, by=by)
    async with working(held.id, by=by) as conversation:
        await close(conversation, by=by)
    await Agent.filter(id=agent.id).update(is_active=False)

    await remove(team)
    await reopen(held.id, by=by)

    todos = await Team.todos(workspace.id, Line.SALES)
    assert (await Conversation.get(id=held.id)).team_id == todos.id


# -- Coming into it while it goes


@dataclass(frozen=True, slots=True)
class Leaving:
    """A team that is the target of a channel, and an agent who holds what has no team there."""

    team: Team
    channel: Channel
    agent: Agent
    by: Actor

    async def held(self) -> Conversation:
        await a_contact(self.channel, owner_agent=self.agent)
        received = await a_message(self.channel, sender="ada", line=Line.SUPPORT)
        held = await Conversation.get(id=received.conversation_id)
        assert (held.assignee_id, held.team_id) == (self.agent.id, None)
        return held


@pytest.fixture
async def leaving(workspace: Workspace) -> Leaving:
    team, agent = await a_team(workspace, line=Line.SUPPORT), await an_agent(workspace)
    return Leaving(team, await a_channel(workspace, team=team), agent, by_system(workspace))


Coming = tuple[UUID, Callable[[], Awaitable[object]]]


async def given_back(leaving: Leaving) -> Coming:
    held = await leaving.held()
    return held.id, partial(unassigned, held.id, by=leaving.by)


async def unassigned(id: UUID, *, by: Actor) -> None:
    async with working(id, by=by) as conversation:
        await conversation.unassign(by=by)


async def given_to_the_bot(leaving: Leaving) -> Coming:
    held = await leaving.held()

    async def resumed() -> None:
        async with working(held.id, by=leaving.by) as conversation:
            await resume(conversation, by=leaving.by)

    return held.id, resumed


async def handed_over_by_the_bot(leaving: Leaving) -> Coming:
    await Channel.set_bot(leaving.channel.id, by=leaving.by, is_on=True)
    received = await a_message(leaving.channel, line=Line.SALES)
    id = received.conversation_id
    return id, partial(hand_off, id, by=leaving.by, line=Line.SUPPORT)


async def left_by_its_agent(leaving: Leaving) -> Coming:
    held = await leaving.held()
    contact_id, by = held.contact_id, leaving.by
    await set_owner(contact_id, by=by)
    return held.id, partial(deactivate, leaving.agent.id, by=by)


@pytest.mark.parametrize(
    "comes",
    [given_back, given_to_the_bot, handed_over_by_the_bot, left_by_its_agent],
)
async def test_a_team_goes_only_after_what_was_on_its_way_to_it(
    workspace: Workspace, leaving: Leaving, comes: Callable[[Leaving], Awaitable[Coming]]
) -> None:
    other = await a_team(workspace, line=Line.SUPPORT)
    id, coming = await comes(leaving)

    await behind(coming, partial(remove, leaving.team, other))

    assert (await Conversation.get(id=id)).team_id == other.id


async def test_nothing_waits_in_the_middle_for_a_team_that_goes(leaving: Leaving) -> None:
    """It holds a conversation by then, which whoever changes the channel may want."""
    id, coming = await given_back(leaving)

    async with tx():
        await Channel.locked(leaving.channel.id, by=leaving.by)
        with pytest.raises(Raced):
            await asyncio.create_task(coming(), context=Context())

    await coming()
    assert (await Conversation.get(id=id)).team_id == leaving.team.id
