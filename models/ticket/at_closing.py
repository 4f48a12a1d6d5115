"""Tickets at a closing: the one that comes with it, and those drafted where nobody closes."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from models.access import Actor
from models.conversation import Conversation, TicketLink
from models.database import Transaction
from models.ticket.errors import TicketLinkPending, TicketNotLinked
from models.ticket.link import link
from models.ticket.opening import Draft, open_ticket
from models.ticket.record import SUBJECT_LENGTH_MAX, Ticket


@dataclass(frozen=True, slots=True)
class TicketAtClosing:
    """What becomes of the ticket with the closing: one of linking, creating and changing it."""

    link: UUID | None = None
    create: Mapping[str, Any] | None = None
    change: Mapping[str, Any] | None = None

    @property
    def assignee_id(self) -> UUID | None:
        """Who is to have the ticket, if that is said."""
        return (self.create or self.change or {}).get("assignee_id")

    async def settle(self, conversation: Conversation, *, by: Actor) -> None:
        """Give a locked conversation its ticket, or change the one it has.

        The caller has locked its holder and the ticket's. What it is linked to already stays so.
        Raises TicketNotLinked, TicketLinkPending, and what the ticket's own verbs raise.
        """
        if self.link is not None:
            if not _has(conversation, self.link):
                await link(conversation, self.link, by=by)
        elif self.create is not None:
            ticket = await open_ticket(
                by=by,
                requester_id=conversation.contact_id,
                conversation=conversation,
                **self.create,
            )
            await link(conversation, ticket.id, by=by)
        elif self.change is not None:
            await Ticket.change(_own(conversation), by=by, **self.change)


def _has(conversation: Conversation, ticket_id: UUID) -> bool:
    is_linked = conversation.ticket_link is TicketLink.CONFIRMED
    return is_linked and conversation.ticket_id == ticket_id


def _own(conversation: Conversation) -> UUID:
    if conversation.ticket_id is None:
        raise TicketNotLinked
    if conversation.ticket_link is TicketLink.PROPOSED:
        raise TicketLinkPending(ticket_id=conversation.ticket_id)
    return conversation.ticket_id


async def drafts_of(transaction: Transaction, conversation_ids: list[UUID]) -> dict[UUID, Draft]:
    """A ticket for each of these conversations: its contact's, of its department.

    The subject is how the customer began since it was opened last, else the contact's name.
    """
    rows = await transaction.fetch(_BEGINNINGS, conversation_ids, SUBJECT_LENGTH_MAX)
    return {
        row["id"]: Draft(
            workspace_id=row["workspace_id"],
            subject=_subject(row["text"], row["name"]),
            requester_id=row["contact_id"],
            department_id=row["department_id"],
        )
        for row in rows
    }


def _subject(text: str | None, name: str) -> str:
    first, *_ = [*(text or "").splitlines(), ""]
    return first.strip() or name


_BEGINNINGS = """
    SELECT c.id, c.workspace_id, c.contact_id, o.name,
           left(ltrim(m.text, E' \\t\\r\\n'), $2) AS text,
           CASE WHEN t.line = 'SUPPORT' AND NOT t.is_todos THEN t.id END AS department_id
    FROM unnest($1::uuid[]) WITH ORDINALITY AS k(id, place)
    JOIN conversations c ON c.id = k.id
    JOIN contacts o ON o.id = c.contact_id
    LEFT JOIN teams t ON t.id = c.team_id
    LEFT JOIN LATERAL (
        SELECT m.text FROM messages m
        WHERE m.conversation_id = c.id AND m.direction = 'INBOUND'
          AND m.created_at > coalesce((SELECT max(x.closed_at) FROM closures x
                                       WHERE x.conversation_id = c.id), '-infinity')
        ORDER BY m.created_at, m.id LIMIT 1) m ON true
    ORDER BY k.place
"""
