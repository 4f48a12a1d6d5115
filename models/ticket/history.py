"""What a closing appends to a ticket: the history of the conversation, each part of it once."""

from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID, uuid4

from models.access import ActorKind
from models.database import Transaction, encode


@dataclass(frozen=True, slots=True)
class Part:
    """What was said in a conversation since its last closing with a ticket, until this one."""

    workspace_id: UUID
    ticket_id: UUID
    conversation_id: UUID
    closure_id: UUID
    author_kind: ActorKind
    author_id: UUID | None
    messages_until: datetime
    id: UUID = field(default_factory=uuid4)


async def append(transaction: Transaction, parts: list[Part]) -> None:
    """Add a part of history each to locked tickets, set-based; none has what another has.

    The conversations are locked, too: what is said in them comes before or after this, whatever
    the clock says, for it may step back.
    """
    if not parts:
        return
    await transaction.execute(
        """
        WITH part AS (
            SELECT * FROM jsonb_to_recordset($1::text::jsonb) AS p(
                id uuid, workspace_id uuid, ticket_id uuid, conversation_id uuid, closure_id uuid,
                author_kind text, author_id uuid, messages_until timestamptz)
        ), added AS (
            INSERT INTO ticket_actions
                (id, workspace_id, ticket_id, kind, author_kind, author_id, conversation_id,
                 closure_id, messages_after, messages_until)
            SELECT p.id, p.workspace_id, p.ticket_id, 'HISTORY', p.author_kind, p.author_id,
                   p.conversation_id, p.closure_id,
                   (SELECT max(a.messages_until) FROM ticket_actions a
                    WHERE a.conversation_id = p.conversation_id),
                   greatest(p.messages_until,
                            (SELECT max(m.created_at) FROM messages m
                             WHERE m.conversation_id = p.conversation_id),
                            (SELECT max(a.messages_until) FROM ticket_actions a
                             WHERE a.conversation_id = p.conversation_id))
            FROM part p
        )
        UPDATE tickets SET updated_at = relevo_now()
        WHERE id IN (SELECT ticket_id FROM part)
        """,
        encode(parts),
    )
