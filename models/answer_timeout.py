"""Answering in time: whoever lets a customer wait too long loses the conversation to its queue."""

from uuid import UUID

from models import assignment, batch, decision, event, queue
from models.access import Actor
from models.assignment import Ending
from models.database import Row, Transaction, encode
from models.decision import Rule

_UNANSWERED = """
    FROM assignments a
    JOIN conversations c ON c.id = a.conversation_id
    JOIN teams t ON t.id = c.team_id
    WHERE a.unanswered_since IS NOT NULL AND a.ended_at IS NULL
      AND c.status = 'ASSIGNED' AND t.is_active
      AND t.answer_timeout_minutes IS NOT NULL
"""
_LATE = f"""{_UNANSWERED}
      AND a.unanswered_since + make_interval(mins => t.answer_timeout_minutes) <= relevo_now()
"""
# When the first one lapses, if it does within the interval $1.
NEXT = f"""
    SELECT min(a.unanswered_since + make_interval(mins => t.answer_timeout_minutes)) AS due_at
    {_UNANSWERED} AND a.unanswered_since + make_interval(mins => t.answer_timeout_minutes)
        <= relevo_now() + $1::interval
"""
_DUE = f"""
    SELECT c.id, c.workspace_id, c.contact_id, c.channel_id, c.team_id, c.assignee_id {_LATE}
"""

_LOCK_TEAMS = "SELECT id FROM teams WHERE id = ANY($1) ORDER BY id FOR NO KEY UPDATE"


async def lapse_answers(batch_size: int) -> int:
    """Give one batch of unanswered conversations back to their queues; returns how many.

    They keep their waiting time, and their agents are passed over for them as long again. What
    somebody works on is locked and skipped; the condition is asked again under the locks, so that
    an answer committed first wins. One that cannot be given back stops no other.
    """

    async def lock(transaction: Transaction, only: list[UUID] | None) -> list[UUID]:
        team_ids = await _lock_teams(transaction, batch_size, only)
        candidates = await transaction.fetch(
            f"""
            {_DUE} AND t.id = ANY($1) AND ($3::uuid[] IS NULL OR c.id = ANY($3))
            ORDER BY c.id LIMIT $2 FOR NO KEY UPDATE OF c SKIP LOCKED
            """,
            team_ids,
            batch_size,
            only,
        )
        return [row["id"] for row in candidates]

    return await batch.run(lock, _lapse)


async def _lapse(transaction: Transaction, ids: list[UUID]) -> int:
    due = await transaction.fetch(
        f"{_DUE} AND c.id = ANY($1) ORDER BY a.unanswered_since, c.id", ids
    )
    if due:
        await _give_back(transaction, due)
    return len(due)


async def _lock_teams(
    transaction: Transaction, batch_size: int, only: list[UUID] | None
) -> list[UUID]:
    late = await transaction.fetch(
        f"""
        SELECT DISTINCT t.id {_LATE} AND ($2::uuid[] IS NULL OR c.id = ANY($2)) LIMIT $1
        """,
        batch_size,
        only,
    )
    ids = [row["id"] for row in late]
    free = await transaction.fetch(f"{_LOCK_TEAMS} SKIP LOCKED", ids)
    # Where all are worked on, whoever waits has its turn.
    locked = free or await transaction.fetch(_LOCK_TEAMS, ids)
    return [row["id"] for row in locked]


async def _give_back(transaction: Transaction, due: list[Row]) -> None:
    ids = [row["id"] for row in due]
    await assignment.end(transaction, ids, Ending.TIMED_OUT)
    await transaction.execute(
        """
        WITH clock AS MATERIALIZED (SELECT relevo_now() AS now)
        UPDATE conversations c
        SET status = 'QUEUED', assignee_id = NULL, queued_at = coalesce(c.queued_at, now),
            skipped_agent_id = c.assignee_id,
            skipped_until = now + make_interval(mins => t.answer_timeout_minutes),
            decision = $2::text::jsonb, last_activity_at = now, version = version + 1
        FROM teams t, clock WHERE c.id = ANY($1) AND t.id = c.team_id
        """,
        ids,
        encode(decision.by_hand(Rule.ANSWER_TIMEOUT, None)),
    )
    for row in due:
        _record(row)
    queue.follow(
        transaction,
        teams=[row["team_id"] for row in due],
        agents=[row["assignee_id"] for row in due],
    )


def _record(row: Row) -> None:
    event.record(
        event.Kind.CONVERSATION_UNASSIGNED,
        by=Actor.system(row["workspace_id"]),
        conversation_id=row["id"],
        contact_id=row["contact_id"],
        channel_id=row["channel_id"],
        to_queue_id=row["team_id"],
        from_agent_id=row["assignee_id"],
        from_team_id=row["team_id"],
        to_team_id=row["team_id"],
        rule=Rule.ANSWER_TIMEOUT,
    )
