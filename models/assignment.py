"""The time during which one agent held one conversation, with the decision that gave it."""

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID, uuid4

from tortoise import fields

from models.base import NOW, Line, Record, reference
from models.database import Transaction, encode
from models.decision import Rule


class Ending(StrEnum):
    """How an agent stopped holding a conversation."""

    CLOSED = "CLOSED"
    TRANSFERRED = "TRANSFERRED"
    UNASSIGNED = "UNASSIGNED"
    TIMED_OUT = "TIMED_OUT"
    AGENT_LEFT = "AGENT_LEFT"
    REASSIGNED = "REASSIGNED"


class Assignment(Record):
    """An agent's hold on a conversation; open while `ended_at` is empty."""

    conversation = reference("models.Conversation")
    conversation_id: UUID
    agent = reference("models.Agent")
    agent_id: UUID
    team = reference("models.Team", null=True)
    team_id: UUID | None
    # The conversation's line when it began, or SUPPORT once it was that while somebody held it:
    # what was ever assigned there stays under its rules.
    line = fields.CharEnumField(Line, max_length=16)
    rule = fields.CharEnumField(Rule, max_length=32)
    decision: dict[str, Any] = fields.JSONField()
    started_at = fields.DatetimeField(db_default=NOW)
    ended_at: datetime | None = fields.DatetimeField(null=True)
    ending = fields.CharEnumField(Ending, max_length=16, null=True)
    # A snoozed conversation keeps its agent and leaves its load.
    is_counted = fields.BooleanField(default=True)
    # Since when the customer waits for this agent's first reply; empty once it came.
    unanswered_since: datetime | None = fields.DatetimeField(null=True)

    class Meta:
        table = "assignments"


@dataclass(frozen=True, slots=True)
class Hold:
    """An assignment about to begin: who gets which conversation, and the stored decision."""

    workspace_id: UUID
    conversation_id: UUID
    agent_id: UUID
    team_id: UUID | None
    rule: Rule
    decision: dict[str, Any]
    at: datetime
    id: UUID = field(default_factory=uuid4)


async def begin(transaction: Transaction, holds: list[Hold]) -> None:
    """Let agents hold conversations, set-based: state, assignments and loads in one statement.

    The caller holds the locks of the conversations and of the agents, and has ended whatever
    assignment was open.
    """
    await transaction.execute(
        """
        WITH given AS (
            SELECT * FROM jsonb_to_recordset($1::text::jsonb) AS g(
                id uuid, workspace_id uuid, conversation_id uuid, agent_id uuid, team_id uuid,
                rule text, decision jsonb, at timestamptz)
        ), placed AS (
            UPDATE conversations c
            SET status = 'ASSIGNED', assignee_id = g.agent_id, decision = NULL,
                reserved_for_id = NULL, reserved_until = NULL, snoozed_until = NULL,
                skipped_agent_id = NULL, skipped_until = NULL, distribution = NULL,
                last_activity_at = g.at, version = c.version + 1
            FROM given g WHERE c.id = g.conversation_id RETURNING c.id, c.line
        ), counted AS (
            UPDATE agents a SET load = a.load + g.count, last_assigned_at = g.at
            FROM (SELECT agent_id, count(*) AS count, max(at) AS at FROM given GROUP BY 1) g
            WHERE a.id = g.agent_id
        )
        INSERT INTO assignments
            (id, workspace_id, conversation_id, agent_id, team_id, line, rule, decision,
             started_at, is_counted, unanswered_since)
        SELECT g.id, g.workspace_id, g.conversation_id, g.agent_id, g.team_id, p.line, g.rule,
               g.decision, g.at, true, g.at
        FROM given g JOIN placed p ON p.id = g.conversation_id
        """,
        encode(holds),
    )


async def end(transaction: Transaction, conversation_ids: list[UUID], ending: Ending) -> None:
    """End the open assignments of these conversations and free their agents' loads.

    The caller holds the locks of the conversations; the agents are locked here, by id.
    """
    await _lock_holders(transaction, conversation_ids)
    await transaction.execute(
        """
        WITH held AS (
            UPDATE assignments SET ended_at = relevo_now(), ending = $2
            WHERE conversation_id = ANY($1) AND ended_at IS NULL RETURNING agent_id, is_counted
        )
        UPDATE agents a SET load = a.load - h.count
        FROM (SELECT agent_id, count(*) FILTER (WHERE is_counted) AS count
              FROM held GROUP BY 1) h
        WHERE a.id = h.agent_id
        """,
        conversation_ids,
        ending.value,
    )


async def stop_counting(transaction: Transaction, conversation_ids: list[UUID]) -> None:
    """Take held conversations out of their agents' loads; the caller has locked them."""
    await _lock_holders(transaction, conversation_ids)
    await transaction.execute(
        """
        WITH held AS (
            UPDATE assignments SET is_counted = false
            WHERE conversation_id = ANY($1) AND ended_at IS NULL AND is_counted RETURNING agent_id
        )
        UPDATE agents a SET load = a.load - h.count
        FROM (SELECT agent_id, count(*) AS count FROM held GROUP BY 1) h WHERE a.id = h.agent_id
        """,
        conversation_ids,
    )


async def count_again(transaction: Transaction, conversation_ids: list[UUID]) -> None:
    """Put held conversations back into their agents' loads, whatever those are by now.

    The time for a first answer begins again where none came. The caller has locked them.
    """
    await _lock_holders(transaction, conversation_ids)
    await transaction.execute(
        """
        WITH held AS (
            UPDATE assignments
            SET is_counted = true,
                unanswered_since = CASE WHEN unanswered_since IS NOT NULL THEN relevo_now() END
            WHERE conversation_id = ANY($1) AND ended_at IS NULL AND NOT is_counted
            RETURNING agent_id
        )
        UPDATE agents a SET load = a.load + h.count
        FROM (SELECT agent_id, count(*) AS count FROM held GROUP BY 1) h WHERE a.id = h.agent_id
        """,
        conversation_ids,
    )


async def note_line(transaction: Transaction, conversation_id: UUID, line: Line) -> None:
    """Let the open assignment remember that its conversation was one of the support desk."""
    if line is Line.SUPPORT:
        await transaction.execute(
            "UPDATE assignments SET line = $2 WHERE conversation_id = $1 AND ended_at IS NULL",
            conversation_id,
            line.value,
        )


async def _lock_holders(transaction: Transaction, conversation_ids: list[UUID]) -> None:
    """Apart from the change: what locks and changes in one statement can deadlock with itself."""
    await transaction.execute(
        """
        SELECT FROM agents WHERE id IN (
            SELECT agent_id FROM assignments
            WHERE conversation_id = ANY($1) AND ended_at IS NULL)
        ORDER BY id FOR NO KEY UPDATE
        """,
        conversation_ids,
    )
