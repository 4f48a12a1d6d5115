"""The bot has what no person has: it hands over, people take over, it goes on."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any
from uuid import uuid4

import pytest

from models import Agent, Assignment, Channel, Conversation, Message, Team, Workspace, bot
from models.access import Actor, Role
from models.agent import LEASE_SECONDS
from models.base import Line
from models.channel import ChannelKind
from models.closing import close
from models.conversation import Status
from models.database import fetch, retrying
from models.decision import Distribution, Outcome, Rule
from models.errors import (
    ConversationChanged,
    ConversationNotAssigned,
    ConversationNotWithBot,
    DomainError,
    Forbidden,
    LineNotSupported,
    NotFound,
    TeamInactive,
)
from models.event import Kind
from models.owner import set_owner
from models.precedence import Reason
from models.routing import hand_off
from tests.conftest import Clock
from tests.factories import (
    a_channel,
    a_contact,
    a_conversation,
    a_message,
    a_team,
    a_workspace,
    an_agent,
    as_agent,
    as_integration,
    by_system,
    working,
)


def the_bot(workspace: Workspace) -> Actor:
    """The integration that the bot runs as: it feeds messages in, and hands over."""
    return as_integration(workspace, "messages:receive")


async def with_the_bot(
    workspace: Workspace, *, team: Team | None = None, agent: Agent | None = None
) -> Conversation:
    channel = await a_channel(workspace, team=team, agent=agent, bot=True)
    return await a_conversation(workspace, channel=channel, sender="ada")


async def paused(conversation: Conversation, agent: Agent) -> None:
    async with working(conversation.id, by=as_agent(agent)) as locked:
        await bot.pause(locked, by=as_agent(agent))


async def resumed(conversation: Conversation, agent: Agent) -> None:
    async with working(conversation.id, by=as_agent(agent)) as locked:
        await bot.resume(locked, by=as_agent(agent))


async def kinds(conversation: Conversation) -> list[str]:
    rows = await fetch(
        "SELECT kind FROM events WHERE conversation_id = $1 ORDER BY seq", conversation.id
    )
    return [row["kind"] for row in rows]


async def load(agent: Agent) -> int:
    return (await Agent.get(id=agent.id)).load


# -- With the bot


async def test_what_the_bot_has_nobody_holds_and_nobody_waits_for(workspace: Workspace) -> None:
    team = await a_team(workspace, distribution=Distribution.LEAST_OPEN)
    agent = await an_agent(workspace, teams=[team])

    conversation = await with_the_bot(workspace, team=team)

    assert (conversation.status, conversation.assignee_id) == (Status.BOT, None)
    assert (conversation.team_id, conversation.queued_at) == (team.id, None)
    assert conversation.decision is not None
    assert conversation.decision["outcome"] == Outcome.WITH_BOT
    assert await load(agent) == await Assignment.all().count() == 0
    assert await kinds(conversation) == [Kind.CONVERSATION_OPENED, Kind.MESSAGE_RECEIVED]


async def test_those_of_the_target_see_what_the_bot_has(workspace: Workspace) -> None:
    team = await a_team(workspace)
    member, stranger = await an_agent(workspace, teams=[team]), await an_agent(workspace)

    conversation = await with_the_bot(workspace, team=team)

    assert await (await Conversation.visible_to(as_agent(member))).get(id=conversation.id)
    assert not await (await Conversation.visible_to(as_agent(stranger))).exists()


async def test_what_a_customer_writes_joins_what_the_bot_has(workspace: Workspace) -> None:
    conversation = await with_the_bot(workspace)
    channel = await Channel.get(id=conversation.channel_id)

    received = await a_message(channel, sender="ada")

    await conversation.refresh_from_db()
    assert (received.conversation_id, received.opened) == (conversation.id, False)
    assert conversation.status is Status.BOT
    assert await Message.filter(conversation_id=conversation.id).count() == 2


# -- Handing over


@pytest.mark.parametrize("line", list(Line))
async def test_a_named_team_gets_it_and_gives_it_its_line(workspace: Workspace, line: Line) -> None:
    team = await a_team(workspace, line=line, distribution=Distribution.ROUND_ROBIN)
    agent = await an_agent(workspace, teams=[team])
    conversation = await with_the_bot(workspace, team=await a_team(workspace))
    await set_owner(
        conversation.contact_id, by=by_system(workspace), agent_id=(await an_agent(workspace)).id
    )

    await hand_off(conversation.id, by=the_bot(workspace), team_id=team.id)

    await conversation.refresh_from_db()
    assignment = await Assignment.get(conversation_id=conversation.id)
    assert (conversation.assignee_id, conversation.team_id) == (agent.id, team.id)
    assert conversation.line is line
    assert assignment.rule is Rule.HANDED_OFF
    assert (await kinds(conversation))[-2:] == [
        Kind.CONVERSATION_HANDED_OFF,
        Kind.CONVERSATION_ASSIGNED,
    ]


async def test_a_line_that_the_channel_lacks_is_refused(workspace: Workspace) -> None:
    department = await a_team(workspace, line=Line.SUPPORT)
    channel = await a_channel(workspace, kind=ChannelKind.WEBCHAT, bot=True)
    conversation = await a_conversation(workspace, channel=channel)

    with pytest.raises(LineNotSupported):
        await hand_off(conversation.id, by=the_bot(workspace), team_id=department.id)
    with pytest.raises(LineNotSupported):
        await hand_off(conversation.id, by=the_bot(workspace), line=Line.SUPPORT)

    assert (await Conversation.get(id=conversation.id)).status is Status.BOT


async def test_a_named_line_goes_to_its_own_target(workspace: Workspace) -> None:
    department = await a_team(workspace, line=Line.SUPPORT)
    channel = await a_channel(workspace, team=department, default_line=Line.SALES, bot=True)
    conversation = await a_conversation(workspace, channel=channel)

    await hand_off(conversation.id, by=the_bot(workspace), line=Line.SUPPORT)

    await conversation.refresh_from_db()
    assert (conversation.line, conversation.team_id) == (Line.SUPPORT, department.id)


async def test_without_a_name_it_goes_to_a_connected_owner(workspace: Workspace) -> None:
    owner = await an_agent(workspace, capacity=0)
    channel = await a_channel(workspace, team=await a_team(workspace), bot=True)
    await a_contact(channel, owner_agent=owner)
    conversation = await a_conversation(workspace, channel=channel, sender="ada")

    await hand_off(conversation.id, by=the_bot(workspace), line=Line.SUPPORT)

    await conversation.refresh_from_db()
    assignment = await Assignment.get(conversation_id=conversation.id)
    assert (conversation.status, conversation.assignee_id) == (Status.ASSIGNED, owner.id)
    assert conversation.line is Line.SUPPORT
    assert assignment.rule is Rule.OWNER
    assert await load(owner) == 1


async def test_without_a_name_it_waits_for_an_absent_owner(workspace: Workspace) -> None:
    team = await a_team(workspace, distribution=Distribution.LEAST_OPEN)
    await an_agent(workspace, teams=[team])
    owner = await an_agent(workspace, connected=False)
    channel = await a_channel(workspace, team=team, bot=True)
    await a_contact(channel, owner_agent=owner)
    conversation = await a_conversation(workspace, channel=channel, sender="ada")

    await hand_off(conversation.id, by=the_bot(workspace))

    await conversation.refresh_from_db()
    assert conversation.status is Status.QUEUED
    assert (conversation.team_id, conversation.reserved_for_id) == (team.id, owner.id)
    assert conversation.decision is not None
    assert conversation.decision["outcome"] == Outcome.RESERVED
    assert conversation.decision["routed"]["passed"] == [Reason.OWNER_ABSENT]
    await Agent.beat(owner.id, by=as_agent(owner), device="browser")
    assert (await Conversation.get(id=conversation.id)).assignee_id == owner.id


async def test_without_a_name_it_goes_to_an_owner_team(workspace: Workspace) -> None:
    owner = await a_team(workspace, distribution=Distribution.LEAST_OPEN)
    agent = await an_agent(workspace, teams=[owner])
    channel = await a_channel(workspace, bot=True)
    await a_contact(channel, owner_team=owner)
    conversation = await a_conversation(workspace, channel=channel, sender="ada")

    await hand_off(conversation.id, by=the_bot(workspace))

    await conversation.refresh_from_db()
    assert (conversation.assignee_id, conversation.team_id) == (agent.id, owner.id)


async def test_without_a_name_or_an_owner_it_goes_to_the_target(workspace: Workspace) -> None:
    team = await a_team(workspace)
    conversation = await with_the_bot(workspace, team=team)

    await hand_off(conversation.id, by=the_bot(workspace))

    await conversation.refresh_from_db()
    assert (conversation.status, conversation.team_id) == (Status.QUEUED, team.id)
    assert conversation.decision is not None
    assert conversation.decision["rule"] == Rule.CHANNEL_TARGET
    assert conversation.decision["outcome"] == Outcome.WAITING_FOR_PICK


async def test_without_a_name_or_an_owner_the_targets_agent_has_it(workspace: Workspace) -> None:
    agent = await an_agent(workspace, connected=False)
    conversation = await with_the_bot(workspace, agent=agent)

    await hand_off(conversation.id, by=the_bot(workspace))

    assert (await Conversation.get(id=conversation.id)).assignee_id == agent.id


async def test_with_nobody_to_go_to_it_goes_to_the_todos_of_the_line(workspace: Workspace) -> None:
    conversation = await with_the_bot(workspace)

    await hand_off(conversation.id, by=the_bot(workspace), line=Line.SUPPORT)

    await conversation.refresh_from_db()
    todos = await Team.todos(workspace.id, Line.SUPPORT)
    assert (conversation.status, conversation.team_id) == (Status.QUEUED, todos.id)


async def test_a_sticky_agent_has_no_claim_on_what_the_bot_hands_over(
    workspace: Workspace, clock: Clock
) -> None:
    await Workspace.change(by=by_system(workspace), sticky_falls_through=True)
    agent = await an_agent(workspace)
    first = await a_conversation(workspace, holder=agent, sender="ada")
    async with working(first.id, by=as_agent(agent)) as conversation:
        await close(conversation, by=as_agent(agent))
    await Channel.set_bot(first.channel_id, by=by_system(workspace), is_on=True)
    await clock.travel(seconds=LEASE_SECONDS)
    received = await a_message(await Channel.get(id=first.channel_id), sender="ada")
    await Agent.beat(agent.id, by=as_agent(agent), device="browser")

    await hand_off(received.conversation_id, by=the_bot(workspace))

    second = await Conversation.get(id=received.conversation_id)
    assert second.id != first.id
    assert (second.status, second.assignee_id) == (Status.QUEUED, None)


async def test_only_an_integration_or_an_admin_hands_over(workspace: Workspace) -> None:
    conversation = await with_the_bot(workspace)

    for stranger in (
        as_agent(await an_agent(workspace)),
        as_agent(await an_agent(workspace, role=Role.OPERATOR)),
        as_integration(workspace, "conversations:write", "conversations:assign"),
    ):
        with pytest.raises(Forbidden):
            await hand_off(conversation.id, by=stranger)
    await hand_off(conversation.id, by=as_agent(await an_agent(workspace, role=Role.ADMIN)))

    assert (await Conversation.get(id=conversation.id)).status is Status.QUEUED


async def test_what_the_bot_does_not_have_it_does_not_hand_over(workspace: Workspace) -> None:
    conversation = await a_conversation(workspace)

    with pytest.raises(ConversationNotWithBot):
        await hand_off(conversation.id, by=the_bot(workspace))


async def test_the_bot_hands_over_once(workspace: Workspace) -> None:
    conversation = await with_the_bot(workspace)
    await hand_off(conversation.id, by=the_bot(workspace))

    with pytest.raises(ConversationNotWithBot):
        await hand_off(conversation.id, by=the_bot(workspace))

    assert (await kinds(conversation)).count(Kind.CONVERSATION_HANDED_OFF) == 1


async def test_a_hand_off_says_what_it_cannot_find(workspace: Workspace) -> None:
    conversation = await with_the_bot(workspace)
    inactive = await a_team(workspace)
    await Team.filter(id=inactive.id).update(is_active=False)
    rival = await a_workspace("Rival")
    bot = the_bot(workspace)

    with pytest.raises(TeamInactive):
        await hand_off(conversation.id, by=bot, team_id=inactive.id)
    with pytest.raises(NotFound):
        await hand_off(conversation.id, by=bot, team_id=(await a_team(rival)).id)
    with pytest.raises(NotFound):
        await hand_off(conversation.id, by=the_bot(rival))
    with pytest.raises(NotFound):
        await hand_off(uuid4(), by=bot)
    with pytest.raises(ConversationChanged):
        await hand_off(conversation.id, by=bot, expected_version=conversation.version + 1)


# -- Taking over, and letting it go on


async def test_who_pauses_the_bot_has_the_conversation_and_its_load(workspace: Workspace) -> None:
    agent = await an_agent(workspace)
    conversation = await with_the_bot(workspace)

    await paused(conversation, agent)

    await conversation.refresh_from_db()
    assignment = await Assignment.get(conversation_id=conversation.id)
    assert (conversation.status, conversation.assignee_id) == (Status.ASSIGNED, agent.id)
    assert assignment.rule is Rule.BOT_PAUSED
    assert await load(agent) == 1
    assert (await kinds(conversation))[2:] == [Kind.BOT_PAUSED]


async def test_who_lets_the_bot_go_on_has_room_again(workspace: Workspace) -> None:
    team = await a_team(workspace, distribution=Distribution.LEAST_OPEN)
    agent = await an_agent(workspace, capacity=1, teams=[team])
    conversation = await with_the_bot(workspace)
    await paused(conversation, agent)
    waiting = await a_conversation(workspace, team=team)

    await resumed(conversation, agent)

    await conversation.refresh_from_db()
    assert (conversation.status, conversation.assignee_id) == (Status.BOT, None)
    assert (await Conversation.get(id=waiting.id)).assignee_id == agent.id
    assert (await kinds(conversation))[2:] == [Kind.BOT_PAUSED, Kind.BOT_RESUMED]


async def test_what_a_direct_holder_gives_to_the_bot_stays_to_be_seen(workspace: Workspace) -> None:
    team = await a_team(workspace)
    member, owner = await an_agent(workspace, teams=[team]), await an_agent(workspace)
    channel = await a_channel(workspace, team=team)
    await a_contact(channel, owner_agent=owner)
    conversation = await a_conversation(workspace, channel=channel, sender="ada")

    await resumed(conversation, owner)

    assert await (await Conversation.visible_to(as_agent(member))).get(id=conversation.id)


async def test_the_bot_hands_over_again_what_it_was_given_back(workspace: Workspace) -> None:
    agent = await an_agent(workspace)
    conversation = await with_the_bot(workspace)
    await paused(conversation, agent)
    await resumed(conversation, agent)

    await hand_off(conversation.id, by=the_bot(workspace))

    assert (await Conversation.get(id=conversation.id)).status is Status.QUEUED


async def test_only_a_person_takes_over_and_only_from_the_bot(workspace: Workspace) -> None:
    agent = await an_agent(workspace)
    conversation, waiting = await with_the_bot(workspace), await a_conversation(workspace)
    integration = as_integration(workspace, "conversations:write")

    with pytest.raises(ConversationNotWithBot):
        await paused(waiting, agent)
    with pytest.raises(Forbidden):
        async with working(conversation.id, by=integration) as locked:
            await bot.pause(locked, by=integration)


async def test_the_bot_goes_on_only_with_what_somebody_holds(workspace: Workspace) -> None:
    boss = await an_agent(workspace, role=Role.OPERATOR)
    agent, other = await an_agent(workspace), await an_agent(workspace)
    held = await a_conversation(workspace, holder=agent)

    for conversation in (await with_the_bot(workspace), await a_conversation(workspace)):
        with pytest.raises(ConversationNotAssigned):
            await resumed(conversation, boss)
    with pytest.raises(Forbidden):
        await resumed(held, other)


async def test_of_taking_over_and_handing_over_one_wins(workspace: Workspace) -> None:
    agent = await an_agent(workspace)
    for _ in range(5):
        channel = await a_channel(workspace, bot=True)
        conversation = await a_conversation(workspace, channel=channel)

        outcomes = await asyncio.gather(
            _outcome(paused, conversation, agent),
            _outcome(_handed_off, conversation, workspace),
        )

        assert sorted(outcomes) == ["", "ConversationNotWithBot"]


async def _handed_off(conversation: Conversation, workspace: Workspace) -> None:
    await hand_off(conversation.id, by=the_bot(workspace))


async def _outcome(command: Callable[..., Awaitable[None]], *arguments: Any) -> str:
    try:
        await retrying(lambda: command(*arguments))
    except DomainError as refusal:
        return type(refusal).__name__
    return ""


# -- The switch


async def test_the_switch_acts_on_what_opens_afterwards(workspace: Workspace) -> None:
    channel = await a_channel(workspace)
    before = await a_conversation(workspace, channel=channel)

    for _ in range(2):
        await Channel.set_bot(channel.id, by=by_system(workspace), is_on=True)

    assert (await Conversation.get(id=before.id)).status is Status.QUEUED
    assert (await a_conversation(workspace, channel=channel)).status is Status.BOT
    told = await fetch("SELECT FROM events WHERE kind = $1", Kind.CHANNEL_BOT_SET.value)
    assert len(told) == 1


async def test_only_who_configures_throws_the_switch(workspace: Workspace) -> None:
    channel = await a_channel(workspace)
    boss = await an_agent(workspace, role=Role.OPERATOR)

    with pytest.raises(Forbidden):
        await Channel.set_bot(channel.id, by=as_agent(boss), is_on=True)
    with pytest.raises(NotFound):
        await Channel.set_bot(channel.id, by=by_system(await a_workspace("Rival")), is_on=True)
