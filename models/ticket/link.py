"""Which ticket a conversation has: linked by who works it, or proposed on the customer's word.

A link is part of its conversation, so every verb is one of a conversation that is locked by
`Conversation.locked` in the running transaction. A ticket is never deleted, and nothing of it
changes by a link, so it is not locked for one.
"""

from uuid import UUID

from models import event
from models.access import Actor, Right
from models.conversation import Conversation, TicketLink
from models.database import tx
from models.errors import BadUserInput, NotFound
from models.ticket.errors import (
    AlreadyLinked,
    TicketLinkNotProposed,
    TicketLinkPending,
    TicketNotLinked,
)
from models.ticket.record import Ticket


async def link(conversation: Conversation, ticket_id: UUID, *, by: Actor) -> None:
    """Give a conversation its ticket, instead of the one that it has or is proposed for it.

    Raises AlreadyLinked (naming it) when it is that one, NotFound, ConversationClosed, Forbidden.
    """
    await _require_linkable(conversation, by)
    ticket = await Ticket.find(ticket_id, by=by)
    if conversation.ticket_id == ticket.id and conversation.ticket_link is TicketLink.CONFIRMED:
        raise AlreadyLinked(ticket_id=ticket.id)
    await _set(conversation, ticket.id, TicketLink.CONFIRMED, event.Kind.TICKET_LINKED, by=by)


async def propose(
    conversation: Conversation, ticket_id: UUID, *, by: Actor, path: str = "input.ticketId"
) -> None:
    """Note the ticket that the customer names; it does not count until somebody confirms it.

    Another proposal takes its place. Whoever feeds messages in proposes any, whoever works the
    conversation one that it sees. Raises AlreadyLinked (naming what is linked, or is proposed
    already), NotFound, ConversationClosed, Forbidden.
    """
    conversation.require_open()
    if by.may(Right.RECEIVE_MESSAGES):
        seen_by = Actor.system(by.workspace_id)
    else:
        by.require(Right.WORK_TICKETS)
        await conversation.require_workable(by)
        seen_by = by
    ticket = await Ticket.find(ticket_id, by=seen_by, path=path)
    if conversation.ticket_id is not None and (
        conversation.ticket_link is TicketLink.CONFIRMED or conversation.ticket_id == ticket.id
    ):
        raise AlreadyLinked(ticket_id=conversation.ticket_id)
    kind = event.Kind.TICKET_LINK_PROPOSED
    await _set(conversation, ticket.id, TicketLink.PROPOSED, kind, by=by)


async def confirm(conversation: Conversation, *, by: Actor) -> None:
    """Let the ticket that the customer named be the conversation's.

    Raises TicketLinkNotProposed, ConversationClosed, Forbidden.
    """
    await _require_linkable(conversation, by)
    ticket_id = _proposed(conversation)
    kind = event.Kind.TICKET_LINK_CONFIRMED
    await _set(conversation, ticket_id, TicketLink.CONFIRMED, kind, by=by)


async def reject(conversation: Conversation, *, by: Actor) -> None:
    """Let the conversation have no ticket, whichever the customer named.

    Raises TicketLinkNotProposed, ConversationClosed, Forbidden.
    """
    await _require_linkable(conversation, by)
    _proposed(conversation)
    await _set(conversation, None, None, event.Kind.TICKET_LINK_REJECTED, by=by)


async def unlink(conversation: Conversation, *, by: Actor) -> None:
    """Take the conversation's ticket away; raises TicketNotLinked, TicketLinkPending (that is to be
    confirmed or rejected), ConversationClosed, Forbidden.
    """
    await _require_linkable(conversation, by)
    if conversation.ticket_id is None:
        raise TicketNotLinked
    if conversation.ticket_link is TicketLink.PROPOSED:
        raise TicketLinkPending(ticket_id=conversation.ticket_id)
    await _set(conversation, None, None, event.Kind.TICKET_UNLINKED, by=by)


async def propose_by_id(
    id: UUID,
    *,
    by: Actor,
    ticket_id: UUID | None = None,
    number: int | None = None,
    expected_version: int | None = None,
) -> None:
    """Propose a ticket, by its id or else its number, for a conversation that is not locked yet.

    Whoever feeds messages in need not see what comes of them.
    """
    if (ticket_id is None) == (number is None):
        raise BadUserInput("Name the ticket by one of both: its id, or its number.")
    feeds = by.may(Right.RECEIVE_MESSAGES)
    seen_by = Actor.system(by.workspace_id) if feeds else by
    async with tx():
        if number is not None:
            ticket_id = await Ticket.id_of(number, by=by)
        conversation = await Conversation.locked(id, by=seen_by, expected_version=expected_version)
        # Nobody learns which numbers there are of what it does not see.
        path = "input.ticketId" if number is None else "input.number"
        if ticket_id is None:
            raise NotFound("ticket", path=path)
        await propose(conversation, ticket_id, by=by, path=path)


async def _require_linkable(conversation: Conversation, by: Actor) -> None:
    by.require(Right.WORK_TICKETS)
    conversation.require_open()
    await conversation.require_workable(by)


def _proposed(conversation: Conversation) -> UUID:
    if conversation.ticket_id is None or conversation.ticket_link is not TicketLink.PROPOSED:
        raise TicketLinkNotProposed
    return conversation.ticket_id


async def _set(
    conversation: Conversation,
    ticket_id: UUID | None,
    status: TicketLink | None,
    kind: event.Kind,
    *,
    by: Actor,
) -> None:
    """Links are activity. The event names the ticket that it is about, and the one before."""
    before = conversation.ticket_id
    async with tx() as transaction:
        conversation.version = await transaction.fetchval(
            """
            UPDATE conversations SET ticket_id = $2, ticket_link = $3,
                   last_activity_at = relevo_now(), version = version + 1
            WHERE id = $1 RETURNING version
            """,
            conversation.id,
            ticket_id,
            status and status.value,
        )
        conversation.ticket_id = ticket_id
        conversation.ticket_link = status  # type: ignore[assignment]  # the field may be empty
        data = {"from_ticket": before} if before not in (None, ticket_id) and ticket_id else {}
        conversation.record(kind, by=by, ticket_id=ticket_id or before, **data)
