"""Reminders before quiet conversations close: one for each time that nothing happens."""

from uuid import UUID

from models import batch, event
from models.access import Actor
from models.database import Row, Transaction
from models.idle_policy import CLOSES, PERIOD, POLICIES

_OPEN = f"""{CLOSES} AND (c.reminded_at IS NULL OR c.reminded_at < c.last_activity_at)"""
# Whose period is not longer is not reminded: it would be whenever anything happens. What closes
# by now closes. By the periods in use: no more is read than what closes that soon.
_CANDIDATES = f"""
    FROM (SELECT o.workspace_id, o.days, before, period
          FROM (SELECT id AS workspace_id, idle_period_days AS days FROM workspaces
                UNION SELECT workspace_id, idle_period_days FROM teams
                UNION SELECT workspace_id, idle_period_days FROM agents) o
          JOIN workspaces w ON w.id = o.workspace_id
          CROSS JOIN LATERAL make_interval(mins => w.idle_reminder_before_minutes) AS before
          CROSS JOIN LATERAL make_interval(days => o.days) AS period
          WHERE o.days > 0 AND period > before) p
    CROSS JOIN LATERAL (
        SELECT c.id, c.last_activity_at + (p.period - p.before) AS due_at
        FROM conversations c {POLICIES}
        WHERE c.workspace_id = p.workspace_id AND {_OPEN} AND {PERIOD} = p.days
          AND c.last_activity_at <= (SELECT relevo_now() + {{ahead}}) - (p.period - p.before)
          AND c.last_activity_at > (SELECT relevo_now()) - p.period
        ORDER BY c.last_activity_at, c.id LIMIT {{limit}}) k
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
    SELECT c.id, c.workspace_id, c.contact_id, c.channel_id, c.team_id, c.assignee_id
    FROM conversations c {POLICIES}
    CROSS JOIN LATERAL make_interval(mins => w.idle_reminder_before_minutes) AS before
    CROSS JOIN LATERAL make_interval(days => {PERIOD}) AS period
    WHERE c.id = ANY($1) AND {_OPEN} AND period > before
      AND c.last_activity_at + (period - before) <= relevo_now()
      AND c.last_activity_at + period > relevo_now()
    ORDER BY c.last_activity_at + (period - before), c.id
"""  # noqa: S608 - constants
# When the first one is reminded, if it is within the interval $1.
NEXT = f"SELECT min(k.due_at) AS due_at {_CANDIDATES.format(ahead='$1::interval', limit=1)}"


async def remind_idle(batch_size: int) -> int:
    """Remind one batch of conversations that close soon, those first that were due first.

    Returns how many. It is no activity, so they close when they would have. What somebody works on
    is locked and skipped; the condition is asked again under the lock, so that activity committed
    first wins. One that cannot be reminded stops no other.
    """
    return await batch.run(batch.locking(_LOCK, batch_size), _remind)


async def _remind(transaction: Transaction, ids: list[UUID]) -> int:
    if not ids:
        return 0
    due = await transaction.fetch(_DUE, ids)
    await transaction.execute(
        "UPDATE conversations SET reminded_at = relevo_now() WHERE id = ANY($1)",
        [row["id"] for row in due],
    )
    for row in due:
        _record(row)
    return len(due)


def _record(row: Row) -> None:
    event.record(
        event.Kind.IDLE_REMINDED,
        by=Actor.system(row["workspace_id"]),
        conversation_id=row["id"],
        contact_id=row["contact_id"],
        channel_id=row["channel_id"],
        from_agent_id=row["assignee_id"],
        to_agent_id=row["assignee_id"],
        from_team_id=row["team_id"],
        to_team_id=row["team_id"],
    )
