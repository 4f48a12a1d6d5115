"""What happens when a customer writes: find or open the conversation, and place it at once."""

from dataclasses import dataclass
from uuid import UUID

from asyncpg import UniqueViolationError

from models import message, routing, snooze
from models.access import Actor, Right
from models.base import Line, require_name
from models.channel import Channel, require_line
from models.conversation import Conversation, Status
from models.database import Raced, Row, Transaction, fetchrow, tx
from models.errors import NotFound
from models.identity import EXTERNAL_ID_LENGTH_MAX, Sender, add_sender, lock_sender
from models.routing import Asked


@dataclass(frozen=True, slots=True)
class Received:
    """What a delivery came to; a repeated one comes to what the first did."""

    message_id: UUID
    conversation_id: UUID
    duplicate: bool = False
    opened: bool = False


async def receive(
    *,
    by: Actor,
    channel_id: UUID,
    external_id: str,
    sender: Sender,
    text: str,
    line: Line | None = None,
) -> Received:
    """Take in one delivery: idempotent per channel and external id, however often, however
    concurrently.

    It joins the contact's open conversation on the channel, or opens one; a burst of first
    messages opens exactly one. When this returns, whoever is eligible has it. Raises NotFound,
    LineNotSupported, BadUserInput, Forbidden.
    """
    by.require(Right.RECEIVE_MESSAGES)
    message.require_text(text)
    require_name(external_id, length_max=EXTERNAL_ID_LENGTH_MAX, path="input.externalId")
    channel = await _channel(channel_id, line, by=by)
    async with tx() as transaction:
        contact_id = await lock_sender(transaction, channel_id, sender)
        # A twin of this delivery held the contact's lock before us, if there was one.
        if twin := await _delivered(channel_id, external_id):
            return _repeated(twin)
        if contact_id is None:
            contact_id = await add_sender(transaction, channel_id, sender, by=by)
        return await _append_or_open(
            transaction, contact_id, channel, line or channel.default_line, external_id, text
        )


async def _append_or_open(
    transaction: Transaction,
    contact_id: UUID,
    channel: Channel,
    line: Line,
    external_id: str,
    text: str,
) -> Received:
    customer = Actor.contact(channel.workspace_id, contact_id)
    conversation, route = await _open_conversation(contact_id, channel.id), None
    if conversation is None:
        asked = Asked(contact_id=contact_id, channel=channel, line=line, text=text)
        route = await routing.route(transaction, asked, by=customer)
        conversation = route.conversation
    opened = route is not None and route.opens
    try:
        message_id = await conversation.receive(
            text, by=customer, external_id=external_id, opened=opened
        )
    except UniqueViolationError as error:
        # The same message in the name of another contact, whose lock is another one.
        raise Raced from error
    if route is not None:
        await routing.settle(transaction, route, by=customer)
    elif conversation.status is Status.SNOOZED:
        await snooze.end(conversation, by=customer)
    return Received(message_id, conversation.id, opened=opened)


async def _channel(id: UUID, line: Line | None, *, by: Actor) -> Channel:
    channel = await Channel.fetch_one("id = $1 AND workspace_id = $2", id, by.workspace_id)
    if channel is None:
        raise NotFound("channel", path="input.channelId")
    require_line(channel.kind, line or channel.default_line)
    return channel


async def _delivered(channel_id: UUID, external_id: str) -> Row | None:
    return await fetchrow(
        """
        SELECT id, conversation_id FROM messages
        WHERE channel_id = $1 AND external_id = $2 AND direction = 'INBOUND'
        """,
        channel_id,
        external_id,
    )


def _repeated(twin: Row) -> Received:
    return Received(twin["id"], twin["conversation_id"], duplicate=True)


async def _open_conversation(contact_id: UUID, channel_id: UUID) -> Conversation | None:
    """The one to append to, locked; raises Raced when it closes while we wait for its lock.

    Found first and locked then: a lock that waits for a row which is closed meanwhile finds
    nothing and keeps the row, and a queue's lock after it would be out of order.
    """
    id = await Conversation.open_one(contact_id, channel_id)
    if id is None:
        return None
    found = await Conversation.fetch_one("id = $1", id, lock=True)
    if found is None or not found.is_open:
        raise Raced
    return found
