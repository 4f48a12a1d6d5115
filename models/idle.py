"""Timed closing: conversations in which nothing happened for the period that applies."""

from uuid import UUID

from models import batch
from models.closing import close_automatically
from models.closure import Cause
from models.database import Transaction
from models.idle_policy import CLOSES, PERIOD, POLICIES

_QUIET = """c.last_activity_at
                  <= (SELECT relevo_now() + {ahead}) - make_interval(days => p.days)
            ORDER BY c.last_activity_at, c.id LIMIT {limit}"""
# By the periods in use, each of which an index serves in the order of its moments. What is passed
# over goes by a longer one of its team; agents differ more, so that theirs are asked by agent.
_CANDIDATES = f"""
    FROM (
        SELECT k.id, k.due_at
        FROM (SELECT id AS workspace_id, idle_period_days AS days FROM workspaces
              WHERE idle_period_days > 0
              UNION SELECT workspace_id, idle_period_days FROM teams
              WHERE idle_period_days > 0) p
        CROSS JOIN LATERAL (
            SELECT c.id, c.last_activity_at + make_interval(days => p.days) AS due_at
            FROM conversations c {POLICIES}
            WHERE c.workspace_id = p.workspace_id AND {CLOSES}
              AND a.idle_period_days IS NULL AND {PERIOD} = p.days AND {_QUIET}) k
        UNION ALL
        SELECT k.id, k.due_at
        FROM (SELECT id, idle_period_days AS days FROM agents WHERE idle_period_days > 0) p
        CROSS JOIN LATERAL (
            SELECT c.id, c.last_activity_at + make_interval(days => p.days) AS due_at
            FROM conversations c WHERE c.assignee_id = p.id AND {CLOSES} AND {_QUIET}) k) k
"""  # noqa: S608 - constants
# So many workers find a whole batch each, though all look at the same ones first.
_WORKERS = 4
_LOCK = f"""
    SELECT c.id
    FROM (SELECT k.id, k.due_at
          {_CANDIDATES.format(ahead="interval '0'", limit=f"{_WORKERS} * $1::bigint")}
          ORDER BY k.due_at, k.id LIMIT {_WORKERS} * $1::bigint) k
    JOIN conversations c ON c.id = k.id
    ORDER BY k.due_at, k.id LIMIT $1 FOR NO KEY UPDATE OF c SKIP LOCKED
"""  # noqa: S608 - constants
_DUE = f"""
    SELECT c.id FROM conversations c {POLICIES}
    WHERE c.id = ANY($1) AND {CLOSES} AND {PERIOD} > 0
      AND c.last_activity_at + make_interval(days => {PERIOD}) <= relevo_now()
    ORDER BY c.last_activity_at + make_interval(days => {PERIOD}), c.id
"""  # noqa: S608 - constants
# When the first one closes, if it does within the interval $1.
NEXT = f"SELECT min(k.due_at) AS due_at {_CANDIDATES.format(ahead='$1::interval', limit=1)}"


async def close_idle(batch_size: int) -> int:
    """Close one batch of idle conversations, those first that were due first; returns how many.

    A conversation that somebody works on is locked and skipped; the condition is asked again
    under the lock, so that activity committed first wins. Set-based: one closing costs no
    statement of its own. One that cannot be closed stops no other.
    """
    return await batch.run(batch.locking(_LOCK, batch_size), _close)


async def _close(transaction: Transaction, ids: list[UUID]) -> int:
    due = await transaction.fetch(_DUE, ids)
    if due:
        await close_automatically(transaction, [row["id"] for row in due], Cause.INACTIVE)
    return len(due)
