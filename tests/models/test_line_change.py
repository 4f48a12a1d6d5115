"""Changing a conversation's line: where it goes, and who keeps it."""

from typing import Any
from uuid import uuid4

import pytest

from models import Agent, Assignment, Channel, Conversation, Team, Workspace, snooze
from models.access import Actor, Role
from models.base import Line
from models.channel import ChannelKind, Target
from models.closing import close
from models.conversation import Status
from models.database import fetchrow
from models.decision import Availability, Distribution
from models.errors import ConversationChanged, DomainError
from models.event import Kind
from models.line_change import set_line
from tests.factories import (
    a_channel,
    a_contact,
    a_conversation,
    a_message,
    a_team,
    a_workspace,
    an_agent,
    as_agent,
    by_system,
    working,
)


@pytest.fixture
async def group(workspace: Workspace) -> Team:
    return await a_team(workspace)


@pytest.fixture
async def department(workspace: Workspace) -> Team:
    return await a_team(workspace, line=Line.SUPPORT)


@pytest.fixture
async def channel(workspace: Workspace, group: Team, department: Team) -> Channel:
    """An account that serves both lines."""
    channel = await a_channel(workspace, team=group)
    await channel.assign(Line.SUPPORT, Target(department.id), by=by_system(workspace))
    return channel


@pytest.fixture
async def ann(workspace: Workspace, group: Team) -> Agent:
    return await an_agent(workspace, teams=[group])


async def last_event(conversation: Conversation) -> dict[str, Any]:
    row = await fetchrow(
        """
        SELECT kind, from_queue_id, to_queue_id, from_agent_id, to_agent_id, to_team_id
        FROM events WHERE conversation_id = $1 ORDER BY seq DESC LIMIT 1
        """,
        conversation.id,
    )
    assert row is not None
    return {name.removesuffix("_id"): value for name, value in row.items() if value is not None}


async def test_what_waits_goes_with_its_waiting_time_into_the_queue_of_the_other_line(
    workspace: Workspace, channel: Channel, group: Team, department: Team
) -> None:
    before = await a_conversation(workspace, channel=channel)

    await set_line(before.id, Line.SUPPORT, by=by_system(workspace))

    found = await Conversation.get(id=before.id)
    assert (found.line, found.status, found.team_id) == (
        Line.SUPPORT,
        Status.QUEUED,
        department.id,
    )
    assert found.queued_at == before.queued_at
    assert found.version == before.version + 1
    assert await last_event(found) == {
        "kind": Kind.CONVERSATION_LINE_SET,
        "from_queue": group.id,
        "to_queue": department.id,
        "to_team": department.id,
    }


async def test_the_queue_it_comes_to_is_drained(workspace: Workspace, channel: Channel) -> None:
    automatic = await a_team(workspace, line=Line.SUPPORT, distribution=Distribution.LEAST_OPEN)
    ben = await an_agent(workspace, teams=[automatic])
    await channel.assign(Line.SUPPORT, Target(automatic.id), by=by_system(workspace))
    waiting = await a_conversation(workspace, channel=channel)

    await set_line(waiting.id, Line.SUPPORT, by=by_system(workspace))

    assert (await Conversation.get(id=waiting.id)).assignee_id == ben.id


@pytest.mark.parametrize("target", ["none", "inactive", "an agent"])
async def test_without_a_team_for_the_line_it_waits_in_todos(
    workspace: Workspace, channel: Channel, group: Team, department: Team, target: str
) -> None:
    by = by_system(workspace)
    waiting = await a_conversation(workspace, channel=channel)
    line = Line.SUPPORT
    if target == "none":
        await channel.assign(Line.SUPPORT, Target(), by=by)
    elif target == "inactive":
        await Team.filter(id=department.id).update(is_active=False)
    else:
        await set_line(waiting.id, Line.SUPPORT, by=by)
        agent = await an_agent(workspace, availability=Availability.AWAY)
        await channel.assign(Line.SALES, Target(agent_id=agent.id), by=by)
        line = Line.SALES

    await set_line(waiting.id, line, by=by)

    todos = await Team.todos(workspace.id, line)
    assert (await Conversation.get(id=waiting.id)).team_id == todos.id


@pytest.mark.parametrize("snoozed", [False, True])
async def test_whoever_holds_it_keeps_it(
    workspace: Workspace, channel: Channel, department: Team, ann: Agent, snoozed: bool
) -> None:
    held = await a_conversation(workspace, channel=channel, holder=ann)
    if snoozed:
        async with working(held.id, by=as_agent(ann)) as conversation:
            await snooze.begin(conversation, by=as_agent(ann))

    await set_line(held.id, Line.SUPPORT, by=as_agent(ann))

    found = await Conversation.get(id=held.id)
    assert (found.assignee_id, found.team_id, found.line) == (ann.id, department.id, Line.SUPPORT)
    assert found.status is (Status.SNOOZED if snoozed else Status.ASSIGNED)
    assert await last_event(found) == {
        "kind": Kind.CONVERSATION_LINE_SET,
        "from_agent": ann.id,
        "to_agent": ann.id,
        "to_team": department.id,
    }


async def test_an_assignment_remembers_that_it_was_once_of_the_support_desk(
    workspace: Workspace, channel: Channel, ann: Agent
) -> None:
    by = by_system(workspace)
    held = await a_conversation(workspace, channel=channel, holder=ann)

    async def given_again() -> None:
        async with working(held.id, by=by) as conversation:
            await conversation.unassign(by=by)
        async with working(held.id, by=by) as conversation:
            await conversation.assign(ann.id, by=by)

    await given_again()
    await set_line(held.id, Line.SUPPORT, by=as_agent(ann))
    await set_line(held.id, Line.SALES, by=as_agent(ann))
    await given_again()

    lines = await Assignment.filter(conversation_id=held.id).order_by("started_at")
    assert [assignment.line for assignment in lines] == [Line.SALES, Line.SUPPORT, Line.SALES]


async def test_the_bot_keeps_it(workspace: Workspace, channel: Channel, department: Team) -> None:
    await Channel.set_bot(channel.id, by=by_system(workspace), is_on=True)
    with_bot = await a_conversation(workspace, channel=channel)

    await set_line(with_bot.id, Line.SUPPORT, by=by_system(workspace))

    found = await Conversation.get(id=with_bot.id)
    assert (found.status, found.line, found.team_id) == (Status.BOT, Line.SUPPORT, department.id)


async def test_what_waits_for_an_owner_goes_on_waiting_for_it(
    workspace: Workspace, channel: Channel, department: Team
) -> None:
    owner = await an_agent(workspace, connected=False)
    await a_contact(channel, owner_agent=owner)
    received = await a_message(channel, sender="ada")

    await set_line(received.conversation_id, Line.SUPPORT, by=by_system(workspace))

    found = await Conversation.get(id=received.conversation_id)
    assert (found.team_id, found.reserved_for_id) == (department.id, owner.id)
    await Agent.beat(owner.id, by=as_agent(owner), device="phone")
    assert (await Conversation.get(id=found.id)).assignee_id == owner.id


async def test_the_line_it_has_changes_nothing(
    workspace: Workspace, channel: Channel, ann: Agent
) -> None:
    held = await a_conversation(workspace, channel=channel, holder=ann)

    await set_line(held.id, Line.SALES, by=as_agent(ann))

    found = await Conversation.get(id=held.id)
    assert (found.version, found.last_activity_at) == (held.version, held.last_activity_at)


@pytest.mark.parametrize(
    ("what", "code"),
    [
        ("a channel of one line", "LINE_NOT_SUPPORTED"),
        ("a colleague's", "FORBIDDEN"),
        ("another team's", "NOT_FOUND"),
        ("another company's", "NOT_FOUND"),
        ("nobody's", "NOT_FOUND"),
        ("closed", "CONVERSATION_CLOSED"),
    ],
)
async def test_it_is_refused(
    workspace: Workspace, channel: Channel, group: Team, ann: Agent, what: str, code: str
) -> None:
    by: Actor = as_agent(ann)
    if what == "a channel of one line":
        webchat = await a_channel(workspace, kind=ChannelKind.WEBCHAT)
        conversation = await a_conversation(workspace, channel=webchat)
        by = by_system(workspace)
    elif what == "another team's":
        conversation = await a_conversation(workspace, team=await a_team(workspace))
    elif what == "another company's":
        conversation = await a_conversation(await a_workspace("Rival"))
    else:
        ben = await an_agent(workspace, teams=[group])
        conversation = await a_conversation(workspace, channel=channel, holder=ben)
    if what == "closed":
        by = as_agent(await an_agent(workspace, role=Role.OPERATOR))
        async with working(conversation.id, by=by) as held:
            await close(held, by=by)
    id = uuid4() if what == "nobody's" else conversation.id

    with pytest.raises(DomainError) as refused:
        await set_line(id, Line.SUPPORT, by=by)

    assert refused.value.code == code
    assert (await Conversation.get(id=conversation.id)).line is Line.SALES


async def test_a_stale_one_is_refused(workspace: Workspace, channel: Channel, ann: Agent) -> None:
    held = await a_conversation(workspace, channel=channel, holder=ann)

    with pytest.raises(ConversationChanged):
        await set_line(held.id, Line.SUPPORT, by=as_agent(ann), expected_version=held.version - 1)
