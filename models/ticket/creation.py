"""Creating a ticket where somebody asks for one: for a contact, or in a conversation."""

from typing import Any
from uuid import UUID

from models.access import Actor, Right
from models.conversation import Conversation
from models.database import tx
from models.ticket import parties
from models.ticket.errors import RequesterRequired
from models.ticket.link import link
from models.ticket.opening import open_ticket
from models.ticket.record import Ticket


async def create(
    *,
    by: Actor,
    requester_id: UUID | None = None,
    conversation_id: UUID | None = None,
    expected_version: int | None = None,
    **parts: Any,
) -> Ticket:
    """Open a ticket of these parts, linked at once to a conversation if one is named.

    Its contact is the requester unless another is named. Raises RequesterRequired when neither is,
    and what opening and linking do.
    """
    by.require(Right.WORK_TICKETS)
    if conversation_id is None:
        if requester_id is None:
            raise RequesterRequired
        return await open_ticket(by=by, requester_id=requester_id, **parts)
    async with tx():
        if requester_id is not None:
            # Contacts come before conversations.
            await parties.lock_requester(requester_id, by=by)
        conversation = await Conversation.locked(
            conversation_id, by=by, expected_version=expected_version
        )
        ticket = await open_ticket(
            by=by,
            requester_id=requester_id or conversation.contact_id,
            conversation=conversation,
            **parts,
        )
        await link(conversation, ticket.id, by=by)
    return ticket
