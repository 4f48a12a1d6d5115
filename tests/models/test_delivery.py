"""How far an answer got: only forward, and nobody's command is stale for it."""

import asyncio
from uuid import UUID, uuid4

import pytest

from models import Agent, Conversation, Message, Workspace
from models.access import Role
from models.database import fetch
from models.delivery import set_delivery
from models.errors import DomainError, Forbidden, MessageNotOutbound, NotFound
from models.event import Kind
from models.message import Delivery, Direction
from tests.factories import (
    a_conversation,
    a_workspace,
    an_agent,
    as_agent,
    as_integration,
    by_system,
    working,
)

FORWARD = {
    Delivery.PENDING: {Delivery.SENT, Delivery.DELIVERED, Delivery.READ, Delivery.FAILED},
    Delivery.SENT: {Delivery.DELIVERED, Delivery.READ, Delivery.FAILED},
    Delivery.DELIVERED: {Delivery.READ},
    Delivery.READ: set(),
    Delivery.FAILED: set(),
}


@pytest.fixture
async def held(workspace: Workspace) -> Conversation:
    return await a_conversation(workspace, holder=await an_agent(workspace))


@pytest.fixture
async def answer(workspace: Workspace, held: Conversation) -> Message:
    async with working(held.id, by=by_system(workspace)) as conversation:
        return await Message.get(id=await conversation.send("Hello.", by=by_system(workspace)))


async def told(message_id: UUID) -> list[str]:
    rows = await fetch(
        """
        SELECT data ->> 'delivery' AS delivery FROM events
        WHERE kind = $1 AND message_id = $2 ORDER BY seq
        """,
        Kind.MESSAGE_DELIVERY_SET,
        message_id,
    )
    return [row["delivery"] for row in rows]


@pytest.mark.parametrize("before", Delivery)
@pytest.mark.parametrize("after", Delivery)
async def test_a_delivery_only_goes_forward(
    workspace: Workspace, answer: Message, before: Delivery, after: Delivery
) -> None:
    await Message.filter(id=answer.id).update(delivery=before)

    await set_delivery(answer.id, after, by=by_system(workspace))

    found = await Message.get(id=answer.id)
    goes = after in FORWARD[before]
    assert found.delivery is (after if goes else before)
    assert await told(answer.id) == ([after] if goes else [])


async def test_a_new_answer_is_pending(answer: Message) -> None:
    assert answer.delivery is Delivery.PENDING


async def test_it_is_no_activity_and_makes_no_command_stale(
    workspace: Workspace, held: Conversation, answer: Message
) -> None:
    before = await Conversation.get(id=held.id)

    conversation_id = await set_delivery(answer.id, Delivery.READ, by=by_system(workspace))

    after = await Conversation.get(id=held.id)
    assert conversation_id == held.id
    assert (after.last_activity_at, after.version) == (before.last_activity_at, before.version)


async def test_what_carriers_tell_at_once_ends_at_the_furthest(
    workspace: Workspace, answer: Message
) -> None:
    by = by_system(workspace)
    all_told = [Delivery.READ, Delivery.SENT, Delivery.DELIVERED, Delivery.READ]

    await asyncio.gather(*[set_delivery(answer.id, delivery, by=by) for delivery in all_told])

    assert (await Message.get(id=answer.id)).delivery is Delivery.READ
    assert (await told(answer.id)).count(Delivery.READ) == 1


@pytest.mark.parametrize("direction", [Direction.INBOUND, Direction.NOTE])
async def test_only_answers_are_delivered(
    workspace: Workspace, held: Conversation, direction: Direction
) -> None:
    async with working(held.id, by=by_system(workspace)) as conversation:
        await conversation.note("Hm.", by=by_system(workspace))
    message = await Message.get(conversation_id=held.id, direction=direction)

    with pytest.raises(MessageNotOutbound) as refused:
        await set_delivery(message.id, Delivery.SENT, by=by_system(workspace))

    assert refused.value.facts == {"direction": direction}


@pytest.mark.parametrize("whose", ["another company's", "nobody's"])
async def test_only_ones_own_messages_are_found(
    workspace: Workspace, answer: Message, whose: str
) -> None:
    rival = await a_workspace("Rival")
    id = answer.id if whose == "another company's" else uuid4()

    with pytest.raises(NotFound):
        await set_delivery(id, Delivery.SENT, by=as_integration(rival, "messages:receive"))


async def test_only_whoever_feeds_messages_in_tells_of_them(
    workspace: Workspace, answer: Message
) -> None:
    refused: list[type[DomainError]] = []
    boss: Agent = await an_agent(workspace, role=Role.OPERATOR)
    for by in (as_agent(boss), as_integration(workspace, "conversations:write")):
        with pytest.raises(Forbidden) as error:
            await set_delivery(answer.id, Delivery.SENT, by=by)
        refused.append(error.type)

    await set_delivery(answer.id, Delivery.SENT, by=as_integration(workspace, "messages:receive"))

    assert len(refused) == 2
    assert (await Message.get(id=answer.id)).delivery is Delivery.SENT
