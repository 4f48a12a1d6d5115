"""What was done about a ticket: what people write, and what closings append; immutable."""

from datetime import datetime
from enum import StrEnum
from uuid import UUID

from tortoise import fields

from models import event, message
from models.access import Actor, ActorKind, Right
from models.base import Record, reference
from models.database import tx
from models.errors import BadUserInput
from models.ticket.record import Ticket


class ActionKind(StrEnum):
    """What an action is, and for whom."""

    HISTORY = "HISTORY"
    PUBLIC = "PUBLIC"
    INTERNAL = "INTERNAL"


class TicketAction(Record):
    """What was done about a ticket; the database refuses to change or delete it."""

    ticket = reference("models.Ticket")
    ticket_id: UUID
    kind = fields.CharEnumField(ActionKind, max_length=16)
    author_kind = fields.CharEnumField(ActorKind, max_length=16)
    author_id: UUID | None = fields.UUIDField(null=True)
    # Of what people write.
    text: str | None = fields.TextField(null=True)
    # Of a closing's history: which conversation, and which part of it.
    conversation = reference("models.Conversation", null=True)
    conversation_id: UUID | None
    closure = reference("models.Closure", null=True)
    closure_id: UUID | None
    messages_after: datetime | None = fields.DatetimeField(null=True)
    messages_until: datetime | None = fields.DatetimeField(null=True)

    class Meta:
        table = "ticket_actions"


async def add_action(ticket_id: UUID, text: str, *, kind: ActionKind, by: Actor) -> UUID:
    """Write down what was done about a ticket, for its requester too or for colleagues only.

    Returns the action's id. Raises NotFound, BadUserInput, Forbidden.
    """
    by.require(Right.WORK_TICKETS)
    message.require_text(text)
    if kind is ActionKind.HISTORY:
        raise BadUserInput(
            "Only the closing of a conversation adds its history.", path="input.kind"
        )
    async with tx() as transaction:
        ticket = await Ticket.locked(ticket_id, by=by)
        action = await TicketAction.create(
            workspace_id=by.workspace_id,
            ticket_id=ticket.id,
            kind=kind,
            author_kind=by.kind,
            author_id=by.id,
            text=text,
        )
        await transaction.execute(
            "UPDATE tickets SET updated_at = relevo_now() WHERE id = $1", ticket.id
        )
        event.record(
            event.Kind.TICKET_ACTION_ADDED,
            by=by,
            ticket_id=ticket.id,
            contact_id=ticket.requester_id,
            action=action.id,
            action_kind=kind,
        )
    return action.id
