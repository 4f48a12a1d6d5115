"""Reminders before quiet conversations close: one for each time that nothing happens."""

from models import event
from models.access import Actor
from models.base import IdlePeriod
from models.database import Row, tx
from models.idle_policy import CLOSES, PERIOD

# No conversation is due before the shortest period that is longer than the time before it closes.
_PERIODS = ", ".join(f"interval '{period} days'" for period in IdlePeriod if period)
# Whose period is not longer is not reminded: it would be whenever anything happens. What closes
# by now closes.
_CANDIDATES = f"""
    FROM workspaces w
    CROSS JOIN LATERAL make_interval(mins => w.idle_reminder_before_minutes) AS before
    CROSS JOIN LATERAL (
        SELECT min(period) - before AS quiet FROM unnest(ARRAY[{_PERIODS}]) AS period
        WHERE period > before) AS least
    JOIN conversations c ON c.workspace_id = w.id
      AND c.last_activity_at <= (SELECT relevo_now() + {{ahead}}) - least.quiet
    LEFT JOIN teams t ON t.id = c.team_id
    LEFT JOIN agents a ON a.id = c.assignee_id
    CROSS JOIN LATERAL make_interval(days => {PERIOD}) AS period
    WHERE w.idle_reminder_before_minutes IS NOT NULL
      AND {CLOSES}
      AND (c.reminded_at IS NULL OR c.reminded_at < c.last_activity_at)
      AND period > before
      AND c.last_activity_at + (period - before) <= (SELECT relevo_now() + {{ahead}})
      AND c.last_activity_at + period > relevo_now()
"""  # noqa: S608 - constants
_DUE = f"""
    SELECT c.id, c.workspace_id, c.contact_id, c.channel_id, c.team_id, c.assignee_id
    {_CANDIDATES.format(ahead="interval '0'")}
"""
# When the first one is reminded, if it is within the interval $1.
NEXT = f"""
    SELECT min(c.last_activity_at + (period - before)) AS due_at
    {_CANDIDATES.format(ahead="$1::interval")}
"""


async def remind_idle(batch_size: int) -> int:
    """Remind one batch of conversations that close soon, longest idle first; returns how many.

    It is no activity, so they close when they would have. What somebody works on is locked and
    skipped; the condition is asked again under the lock, so that activity committed first wins.
    """
    async with tx() as transaction:
        candidates = await transaction.fetch(
            f"{_DUE} ORDER BY c.last_activity_at, c.id LIMIT $1 FOR NO KEY UPDATE OF c SKIP LOCKED",
            batch_size,
        )
        if not candidates:
            return 0
        due = await transaction.fetch(
            f"{_DUE} AND c.id = ANY($1) ORDER BY c.last_activity_at, c.id",
            [row["id"] for row in candidates],
        )
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
