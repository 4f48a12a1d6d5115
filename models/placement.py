"""Moving a conversation between agents and queues by hand, and ending it: what the verbs share."""

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any
from uuid import UUID

from models import assignment, decision, event, queue
from models.access import Actor
from models.assignment import Ending, Hold
from models.database import Transaction, encode, tx
from models.decision import Outcome, Rule, Settings

if TYPE_CHECKING:
    from models.conversation import Conversation


@dataclass(frozen=True, slots=True)
class Move:
    """Why a conversation moves, and what the log calls it.

    `entering` ones were in no queue before, whatever their row says inside the transaction; what
    goes `directly` to an agent leaves its team, and perhaps its line; `routed` is what the
    precedence went by, where it decided.
    """

    rule: Rule
    kind: event.Kind
    entering: bool = False
    directly: bool = False
    routed: dict[str, Any] | None = None

    def ending(self, otherwise: Ending) -> Ending:
        """How whoever held it stops holding it."""
        return Ending.TRANSFERRED if self.rule is Rule.TRANSFERRED else otherwise


async def hold(conversation: "Conversation", agent_id: UUID, move: Move, *, by: Actor) -> None:
    """Let an agent hold a conversation; the caller has locked both."""
    async with tx() as transaction:
        if conversation.assignee_id is not None:
            ending = move.ending(otherwise=Ending.REASSIGNED)
            await assignment.end(transaction, [conversation.id], ending)
        team_id = None if move.directly else conversation.team_id
        if move.directly:
            await transaction.execute(
                "UPDATE conversations SET team_id = NULL, line = $2 WHERE id = $1",
                conversation.id,
                conversation.line.value,
            )
        begun = Hold(
            workspace_id=conversation.workspace_id,
            conversation_id=conversation.id,
            agent_id=agent_id,
            team_id=team_id,
            rule=move.rule,
            decision=decision.by_hand(move.rule, agent_id, move.routed),
            at=await transaction.fetchval("SELECT relevo_now()"),
        )
        await assignment.begin(transaction, [begun])
        conversation.record(
            move.kind,
            by=by,
            from_queue_id=None if move.entering else conversation.queue_id,
            to_queue_id=None,
            to_agent_id=agent_id,
            to_team_id=team_id,
            rule=move.rule,
            assignment=begun.id,
        )
        freed(transaction, conversation)


async def enqueue(
    conversation: "Conversation",
    team_id: UUID,
    move: Move,
    *,
    by: Actor,
    settings: Settings | None = None,
) -> None:
    """Put a locked conversation into a queue, which is drained after the commit.

    With `settings` it is given out by these while it waits there, instead of the team's own.
    """
    async with tx() as transaction:
        ending = move.ending(otherwise=Ending.UNASSIGNED)
        await assignment.end(transaction, [conversation.id], ending)
        await transaction.execute(
            """
            UPDATE conversations
            SET status = 'QUEUED', assignee_id = NULL, team_id = $2, line = $3,
                decision = $4::text::jsonb, queued_at = coalesce(queued_at, relevo_now()),
                reserved_for_id = NULL, reserved_until = NULL, snoozed_until = NULL,
                distribution = $5::text::jsonb,
                last_activity_at = relevo_now(), version = version + 1
            WHERE id = $1
            """,
            conversation.id,
            team_id,
            conversation.line.value,
            encode(decision.by_hand(move.rule, None, move.routed)),
            encode(settings) if settings else None,
        )
        conversation.record(
            move.kind,
            by=by,
            from_queue_id=None if move.entering else conversation.queue_id,
            to_queue_id=team_id,
            to_agent_id=None,
            to_team_id=team_id,
            rule=move.rule,
        )
        freed(transaction, conversation)
        queue.follow(transaction, teams=[team_id])


async def reserve(
    conversation: "Conversation", owner_id: UUID | None, until: datetime | None
) -> None:
    """Keep a conversation that was just put into a queue for its contact's owner."""
    if owner_id is None:
        return
    async with tx() as transaction:
        await transaction.execute(
            """
            UPDATE conversations SET reserved_for_id = $2, reserved_until = $3,
                   decision = jsonb_set(decision, '{outcome}', to_jsonb($4::text))
            WHERE id = $1
            """,
            conversation.id,
            owner_id,
            until,
            Outcome.RESERVED.value,
        )
        queue.follow(transaction, returned=[owner_id])


async def give_to_bot(conversation: "Conversation", team_id: UUID, *, by: Actor) -> None:
    """Take a locked conversation from its agent or queue and let the bot go on.

    Those of a team see it.
    """
    async with tx() as transaction:
        await assignment.end(transaction, [conversation.id], Ending.UNASSIGNED)
        await transaction.execute(
            """
            UPDATE conversations
            SET status = 'BOT', assignee_id = NULL, team_id = $3, decision = $2::text::jsonb,
                snoozed_until = NULL, reserved_for_id = NULL, reserved_until = NULL,
                skipped_agent_id = NULL, skipped_until = NULL, distribution = NULL,
                last_activity_at = relevo_now(), version = version + 1
            WHERE id = $1
            """,
            conversation.id,
            encode(decision.with_bot()),
            team_id,
        )
        conversation.record(
            event.Kind.BOT_RESUMED,
            by=by,
            to_queue_id=None,
            to_agent_id=None,
            to_team_id=team_id,
        )
        freed(transaction, conversation)


@dataclass(frozen=True, slots=True)
class Ended:
    """When a conversation was closed, and for how long it had been open this time."""

    at: datetime
    seconds: int


async def end(transaction: Transaction, ids: list[UUID]) -> dict[UUID, Ended]:
    """Close locked conversations, set-based: status, queues, assignments and loads.

    Returns when each was closed: a microsecond apart in their order, so that of a contact's
    conversations one is the last.
    """
    closed = await transaction.fetch(
        """
        WITH t AS MATERIALIZED (SELECT relevo_now() AS now)
        UPDATE conversations c
        SET status = 'CLOSED', assignee_id = NULL, queued_at = NULL, decision = NULL,
            reserved_for_id = NULL, reserved_until = NULL, snoozed_until = NULL,
            skipped_agent_id = NULL, skipped_until = NULL, distribution = NULL,
            closed_at = t.now + (o.place - 1) * interval '1 microsecond',
            last_activity_at = t.now, version = version + 1
        FROM t, unnest($1::uuid[]) WITH ORDINALITY AS o(id, place)
        WHERE c.id = o.id
        RETURNING c.id, c.closed_at, greatest(0, floor(extract(
            epoch FROM c.closed_at - coalesce(c.reopened_at, c.opened_at))))::int AS seconds
        """,
        ids,
    )
    await assignment.end(transaction, ids, Ending.CLOSED)
    return {row["id"]: Ended(row["closed_at"], row["seconds"]) for row in closed}


def freed(transaction: Transaction, conversation: "Conversation") -> None:
    """Whoever held it has room now."""
    if conversation.assignee_id is not None:
        queue.follow(transaction, agents=[conversation.assignee_id])
