"""How far an answer got on its way to the customer, as its carrier tells."""

from uuid import UUID

from models import event
from models.access import Actor, Right
from models.conversation import Conversation
from models.database import Row, fetchrow, tx
from models.errors import MessageNotOutbound, NotFound
from models.message import Delivery, Direction

# What each may follow; carriers repeat themselves, and tell things late.
_AFTER = {
    Delivery.PENDING: frozenset[Delivery](),
    Delivery.SENT: frozenset({Delivery.PENDING}),
    Delivery.DELIVERED: frozenset({Delivery.PENDING, Delivery.SENT}),
    Delivery.READ: frozenset({Delivery.PENDING, Delivery.SENT, Delivery.DELIVERED}),
    Delivery.FAILED: frozenset({Delivery.PENDING, Delivery.SENT}),
}


async def set_delivery(message_id: UUID, delivery: Delivery, *, by: Actor) -> UUID:
    """Take in what a carrier tells of an answer; returns the id of its conversation.

    It only goes forward: what was told before, or comes late, changes nothing. It is no activity,
    and nobody's command is stale for it. Raises NotFound, MessageNotOutbound, Forbidden.
    """
    by.require(Right.RECEIVE_MESSAGES)
    async with tx() as transaction:
        told = await _message(message_id, by=by)
        conversation = await Conversation.fetch_one("id = $1", told["conversation_id"], lock=True)
        if told["direction"] != Direction.OUTBOUND or conversation is None:
            raise MessageNotOutbound(direction=told["direction"])
        changed = await transaction.fetchval(
            "UPDATE messages SET delivery = $2 WHERE id = $1 AND delivery = ANY($3) RETURNING true",
            message_id,
            delivery.value,
            [before.value for before in _AFTER[delivery]],
        )
        if changed:
            conversation.record(
                event.Kind.MESSAGE_DELIVERY_SET, by=by, message_id=message_id, delivery=delivery
            )
    return conversation.id


async def _message(id: UUID, *, by: Actor) -> Row:
    found = await fetchrow(
        "SELECT conversation_id, direction FROM messages WHERE id = $1 AND workspace_id = $2",
        id,
        by.workspace_id,
    )
    if found is None:
        raise NotFound("message", path="input.messageId")
    return found
