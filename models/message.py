"""Messages, to and from the customer, and the private notes between them."""

from dataclasses import dataclass
from enum import StrEnum
from uuid import UUID, uuid4

from tortoise import fields

from models import base
from models.base import Record, reference
from models.database import Transaction
from models.errors import BadUserInput
from models.identity import EXTERNAL_ID_LENGTH_MAX

TEXT_BYTES_MAX = 64 * 1024


class Direction(StrEnum):
    """Which way a message went; a note goes nowhere."""

    INBOUND = "INBOUND"
    OUTBOUND = "OUTBOUND"
    NOTE = "NOTE"


class Delivery(StrEnum):
    """How far an answer got on its way to the customer."""

    PENDING = "PENDING"
    SENT = "SENT"
    DELIVERED = "DELIVERED"
    READ = "READ"
    FAILED = "FAILED"


class Message(Record):
    """One thing that was said in a conversation; immutable."""

    conversation = reference("models.Conversation")
    conversation_id: UUID
    # The account that carried it: carriers number their messages per account.
    channel = reference("models.Channel")
    channel_id: UUID
    direction = fields.CharEnumField(Direction, max_length=16)
    author_agent = reference("models.Agent", null=True)
    author_agent_id: UUID | None
    external_id = fields.CharField(max_length=EXTERNAL_ID_LENGTH_MAX, null=True)
    text = fields.TextField()
    # Of answers only.
    delivery = fields.CharEnumField(Delivery, max_length=16, null=True)

    class Meta:
        table = "messages"


@dataclass(frozen=True, slots=True)
class Appended:
    """A new message; how long the customer waited for it, where it is a person's first answer
    since the conversation was opened, or opened again.
    """

    id: UUID
    first_response_seconds: int | None


def require_text(text: str) -> None:
    """Raise BadUserInput unless the text can be stored and says something."""
    base.require_text(text, path="input.text")
    if len(text.encode()) > TEXT_BYTES_MAX:
        raise BadUserInput(
            f"The text is longer than {TEXT_BYTES_MAX} bytes of UTF-8.", path="input.text"
        )


async def append(
    transaction: Transaction,
    *,
    workspace_id: UUID,
    conversation_id: UUID,
    channel_id: UUID,
    direction: Direction,
    text: str,
    author_agent_id: UUID | None = None,
    external_id: str | None = None,
    is_activity: bool = True,
) -> Appended:
    """Add to a conversation whose lock the caller holds; activity restarts its idle time.

    It comes after what was said before it, even where the clock stepped back: by their times the
    parts of a conversation's history are told apart. Notes are activity, but never the last message
    that a list shows to agents. An answer of who holds the conversation ends its time for
    answering; what no person wrote answers nothing.
    """
    message_id = uuid4()
    seconds: int | None = await transaction.fetchval(
        """
        WITH message AS (
            INSERT INTO messages (id, workspace_id, conversation_id, direction, text,
                                  author_agent_id, external_id, channel_id, delivery, created_at)
            VALUES ($1, $2, $3, $4::text, $5, $6, $7, $8,
                    CASE WHEN $4::text = 'OUTBOUND' THEN 'PENDING' END,
                    greatest(relevo_now(), interval '1 microsecond' + greatest(
                        (SELECT max(m.created_at) FROM messages m WHERE m.conversation_id = $3),
                        (SELECT max(a.messages_until) FROM ticket_actions a
                         WHERE a.conversation_id = $3))))
        ), answered AS (
            UPDATE assignments SET unanswered_since = NULL
            WHERE $4::text = 'OUTBOUND' AND conversation_id = $3 AND ended_at IS NULL
              AND agent_id = $6 AND unanswered_since IS NOT NULL
        )
        UPDATE conversations c
        SET last_activity_at = CASE WHEN $9 THEN t.now ELSE c.last_activity_at END,
            version = c.version + 1,
            last_message_id = CASE WHEN $4::text = 'NOTE' THEN c.last_message_id ELSE $1 END,
            answered_at = CASE WHEN t.is_first_answer THEN t.now ELSE c.answered_at END
        FROM (
            SELECT relevo_now() AS now, coalesce(reopened_at, opened_at) AS since,
                   answered_at IS NULL AND $4::text = 'OUTBOUND' AND $6::uuid IS NOT NULL
                       AS is_first_answer
            FROM conversations WHERE id = $3
        ) t
        WHERE c.id = $3
        RETURNING CASE WHEN t.is_first_answer
                       THEN greatest(0, floor(extract(epoch FROM t.now - t.since)))::int END
        """,
        message_id,
        workspace_id,
        conversation_id,
        direction.value,
        text,
        author_agent_id,
        external_id,
        channel_id,
        is_activity,
    )
    return Appended(message_id, seconds)
