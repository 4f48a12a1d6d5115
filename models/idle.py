"""Timed closing: conversations in which nothing happened for the period that applies."""

from models.closing import close_automatically
from models.closure import Cause
from models.database import tx

# The period of the agent, else of the team, else of the workspace; 0 days is never.
PERIOD = """coalesce(a.idle_period_days, t.idle_period_days, w.idle_period_days)"""
_DUE = f"""
    SELECT c.id FROM conversations c
    JOIN workspaces w ON w.id = c.workspace_id
    LEFT JOIN teams t ON t.id = c.team_id
    LEFT JOIN agents a ON a.id = c.assignee_id
    WHERE c.status IN ('BOT', 'QUEUED', 'ASSIGNED')
      AND c.last_activity_at <= relevo_now() - interval '1 day'
      AND {PERIOD} > 0
      AND c.last_activity_at + make_interval(days => {PERIOD}) <= relevo_now()
"""  # noqa: S608 - constants


async def close_idle(batch_size: int) -> int:
    """Close one batch of idle conversations, longest idle first; returns how many.

    A conversation that somebody works on is locked and skipped; the condition is asked again
    under the lock, so that activity committed first wins. Set-based: one closing costs no
    statement of its own.
    """
    async with tx() as transaction:
        candidates = await transaction.fetch(
            f"{_DUE} ORDER BY c.last_activity_at, c.id LIMIT $1 FOR NO KEY UPDATE OF c SKIP LOCKED",
            batch_size,
        )
        due = await transaction.fetch(
            f"{_DUE} AND c.id = ANY($1) ORDER BY c.last_activity_at, c.id",
            [row["id"] for row in candidates],
        )
        if due:
            await close_automatically(transaction, [row["id"] for row in due], Cause.INACTIVE)
    return len(due)
