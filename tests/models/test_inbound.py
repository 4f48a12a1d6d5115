"""What a customer's message comes to, however often and however concurrently it arrives."""

import asyncio

import pytest

from models import Agent, Assignment, Channel, Contact, Conversation, Message, Workspace
from models.access import Actor
from models.base import Line
from models.channel import ChannelKind
from models.closing import close
from models.conversation import Status
from models.database import fetch, fetchval
from models.decision import Availability, Distribution, Outcome, Rule
from models.errors import BadUserInput, Forbidden, LineNotSupported, NotFound
from models.event import Kind
from models.identity import Sender
from models.inbound import receive
from models.message import TEXT_BYTES_MAX
from models.team import Team
from tests.factories import (
    a_channel,
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


async def kinds(conversation_id: object) -> list[str]:
    rows = await fetch(
        "SELECT kind FROM events WHERE conversation_id = $1 ORDER BY seq", conversation_id
    )
    return [row["kind"] for row in rows]


async def test_a_message_delivered_three_times_at_once_is_there_once(workspace: Workspace) -> None:
    channel = await a_channel(workspace)

    received = await asyncio.gather(
        *[a_message(channel, sender="ada", external_id="wamid.1") for _ in range(3)]
    )

    assert len({r.message_id for r in received}) == 1
    assert sorted(r.duplicate for r in received) == [False, True, True]
    assert await Message.all().count() == 1
    assert await kinds(received[0].conversation_id) == [
        Kind.CONVERSATION_OPENED,
        Kind.MESSAGE_RECEIVED,
        Kind.CONVERSATION_QUEUED,
    ]


async def test_every_delivery_three_times_in_any_order_has_one_effect(
    workspace: Workspace,
) -> None:
    channel = await a_channel(workspace)
    deliveries = [(f"c{n % 4}", f"wamid.{n}") for n in range(12)] * 3

    await asyncio.gather(
        *[a_message(channel, sender=who, external_id=id) for who, id in reversed(deliveries)]
    )

    assert await Message.all().count() == 12
    assert await Conversation.all().count() == await Contact.all().count() == 4


async def test_a_burst_of_first_messages_opens_one_conversation(workspace: Workspace) -> None:
    team = await a_team(workspace, distribution=Distribution.LEAST_OPEN)
    agent = await an_agent(workspace, teams=[team])
    channel = await a_channel(workspace, team=team)

    received = await asyncio.gather(*[a_message(channel, sender="ada") for _ in range(20)])

    assert len({r.conversation_id for r in received}) == 1
    assert sum(r.opened for r in received) == 1
    assert await Message.all().count() == 20
    assert await Contact.all().count() == 1
    assert await Assignment.filter(agent_id=agent.id).count() == 1


async def test_a_message_joins_the_open_conversation_and_leaves_its_holder(
    workspace: Workspace,
) -> None:
    agent = await an_agent(workspace)
    conversation = await a_conversation(workspace, holder=agent, sender="ada")
    channel = await Channel.get(id=conversation.channel_id)

    received = await a_message(channel, sender="ada")

    await conversation.refresh_from_db()
    assert received.conversation_id == conversation.id
    assert not received.opened
    assert (conversation.assignee_id, conversation.last_message_id) == (
        agent.id,
        received.message_id,
    )


async def test_after_a_closing_a_message_opens_another_conversation(workspace: Workspace) -> None:
    first = await a_conversation(workspace, sender="ada")
    channel = await Channel.get(id=first.channel_id)
    async with working(first.id, by=by_system(workspace)) as conversation:
        await close(conversation, by=by_system(workspace))

    received = await a_message(channel, sender="ada")

    assert received.opened
    assert received.conversation_id != first.id
    assert await Contact.all().count() == 1


@pytest.mark.parametrize("line", list(Line))
async def test_without_a_target_it_waits_in_the_todos_of_its_line(
    workspace: Workspace, line: Line
) -> None:
    channel = await a_channel(workspace, default_line=line)

    conversation = await a_conversation(workspace, channel=channel)

    todos = await Team.todos(workspace.id, line)
    assert (conversation.status, conversation.team_id) == (Status.QUEUED, todos.id)
    assert conversation.line is line
    assert conversation.decision is not None
    routed = conversation.decision.pop("routed")
    assert (routed["passed"], routed["facts"]["todos_id"]) == ([], str(todos.id))
    assert conversation.decision == {
        "rule": Rule.TODOS,
        "outcome": Outcome.WAITING_FOR_PICK,
        "winner": None,
        "candidates": [],
    }


async def test_it_waits_in_the_queue_of_the_target_team(workspace: Workspace) -> None:
    team = await a_team(workspace)

    conversation = await a_conversation(workspace, team=team)

    assert (conversation.status, conversation.team_id) == (Status.QUEUED, team.id)
    assert conversation.queued_at is not None


async def test_a_named_line_goes_to_that_lines_target(workspace: Workspace) -> None:
    department = await a_team(workspace, line=Line.SUPPORT)
    channel = await a_channel(workspace, team=department, default_line=Line.SALES)

    received = await a_message(channel, line=Line.SALES)

    conversation = await Conversation.get(id=received.conversation_id)
    assert conversation.line is Line.SALES


@pytest.mark.parametrize("availability", list(Availability))
async def test_a_target_agent_has_it_even_while_away_or_full(
    workspace: Workspace, availability: Availability
) -> None:
    agent = await an_agent(workspace, availability=availability, connected=False, capacity=0)
    channel = await a_channel(workspace, agent=agent)

    conversation = await a_conversation(workspace, channel=channel)

    assert (conversation.status, conversation.assignee_id) == (Status.ASSIGNED, agent.id)
    assert (await Agent.get(id=agent.id)).load == 1
    assert await kinds(conversation.id) == [
        Kind.CONVERSATION_OPENED,
        Kind.MESSAGE_RECEIVED,
        Kind.CONVERSATION_ASSIGNED,
    ]


async def test_an_automatic_team_gives_it_away_before_the_delivery_returns(
    workspace: Workspace,
) -> None:
    team = await a_team(workspace, distribution=Distribution.ROUND_ROBIN)
    agents = [await an_agent(workspace, teams=[team]) for _ in range(3)]

    held = [(await a_conversation(workspace, team=team)).assignee_id for _ in range(6)]

    assert held == [agent.id for agent in agents] * 2
    assert await fetchval("SELECT count(*) FROM events WHERE to_queue_id IS NOT NULL") == 0


async def test_a_late_one_behind_a_long_queue_knows_why_it_waits(workspace: Workspace) -> None:
    team = await a_team(workspace, distribution=Distribution.LEAST_OPEN)
    agent = await an_agent(workspace, teams=[team], capacity=0)
    for _ in range(52):
        conversation = await a_conversation(workspace, team=team)

    assert conversation.decision is not None
    assert conversation.decision["outcome"] == Outcome.NOBODY_ELIGIBLE
    assert [c["agent_id"] for c in conversation.decision["candidates"]] == [str(agent.id)]


@pytest.mark.parametrize(
    "text",
    ["", "  \n", "x" * (TEXT_BYTES_MAX + 1), "ä" * (TEXT_BYTES_MAX // 2 + 1), "a\x00b", "\ud800"],
    ids=["empty", "blank", "long", "long in bytes", "nul", "surrogate"],
)
async def test_text_that_cannot_be_kept_is_refused(workspace: Workspace, text: str) -> None:
    channel = await a_channel(workspace)

    with pytest.raises(BadUserInput):
        await a_message(channel, text=text)

    assert await Contact.all().count() == await Message.all().count() == 0


async def test_a_text_of_the_greatest_length_is_kept_whole(workspace: Workspace) -> None:
    channel = await a_channel(workspace)

    received = await a_message(channel, text="ä" * (TEXT_BYTES_MAX // 2))

    assert len((await Message.get(id=received.message_id)).text) == TEXT_BYTES_MAX // 2


async def test_another_workspaces_channel_is_not_found(workspace: Workspace) -> None:
    channel = await a_channel(await a_workspace("Rival"))

    with pytest.raises(NotFound):
        await receive(
            by=as_integration(workspace, "messages:receive"),
            channel_id=channel.id,
            external_id="wamid.1",
            sender=Sender("ada"),
            text="Hello?",
        )

    assert await Message.all().count() == 0


async def test_an_unknown_channel_is_not_found(workspace: Workspace) -> None:
    channel = Channel(id=workspace.id, workspace_id=workspace.id)

    with pytest.raises(NotFound):
        await a_message(channel)


async def test_a_line_that_the_channel_does_not_serve_is_refused(workspace: Workspace) -> None:
    channel = await a_channel(workspace, kind=ChannelKind.WEBCHAT)

    with pytest.raises(LineNotSupported):
        await a_message(channel, line=Line.SUPPORT)


async def test_only_who_may_feed_messages_in_does(workspace: Workspace) -> None:
    channel = await a_channel(workspace)
    stranger: Actor
    for stranger in (
        as_agent(await an_agent(workspace)),
        as_integration(workspace, "conversations:write"),
    ):
        with pytest.raises(Forbidden):
            await receive(
                by=stranger,
                channel_id=channel.id,
                external_id="wamid.1",
                sender=Sender("ada"),
                text="Hello?",
            )


async def test_the_same_id_on_two_channels_is_two_messages(workspace: Workspace) -> None:
    channels = [await a_channel(workspace) for _ in range(2)]

    for channel in channels:
        await a_message(channel, sender="ada", external_id="wamid.1")

    assert await Message.all().count() == 2
