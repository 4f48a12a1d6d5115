"""When timers are due: one cheap statement over all their kinds, by the database's clock.

Nothing is stored for it. Every kind says when its first one is due, or was, by the rows that it is
derived from; the sweeps decide for themselves, under their locks, what is.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from models import agent, answer_timeout, idle, idle_reminder, snooze
from models.database import fetch
from models.workflow import advance


class Timer(StrEnum):
    """What is done because its time has come; named as the sweep that does it."""

    IDLE_CLOSED = "idle_closed"
    REMINDED = "reminded"
    WOKEN = "woken"
    ANSWERS_LAPSED = "answers_lapsed"
    PRESENCE_LAPSED = "presence_lapsed"
    STEPS_TAKEN = "steps_taken"
    DRAINED = "drained"


# A drain leaves no mark, so that these are only ever ahead: reservations for owners and skips of
# agents that end, and the minutes at which hours may open.
_NEXT_DRAIN = """
    SELECT min(at) AS due_at FROM (
        SELECT min(reserved_until) AS at FROM conversations
        WHERE reserved_until > (SELECT relevo_now())
          AND reserved_until <= (SELECT relevo_now() + $1::interval)
        UNION ALL
        SELECT min(skipped_until) FROM conversations
        WHERE skipped_until > (SELECT relevo_now())
          AND skipped_until <= (SELECT relevo_now() + $1::interval)
        UNION ALL
        SELECT CASE WHEN m.at <= relevo_now() + $1::interval AND (
            EXISTS (SELECT FROM workspaces WHERE business_hours IS NOT NULL)
            OR EXISTS (SELECT FROM teams WHERE business_hours IS NOT NULL)
            OR EXISTS (SELECT FROM agents WHERE business_hours IS NOT NULL)) THEN m.at END
        FROM (SELECT date_trunc('minute', relevo_now()) + interval '1 minute' AS at) m) d
"""
_NEXT = {
    Timer.IDLE_CLOSED: idle.NEXT,
    Timer.REMINDED: idle_reminder.NEXT,
    Timer.WOKEN: snooze.NEXT,
    Timer.ANSWERS_LAPSED: answer_timeout.NEXT,
    Timer.PRESENCE_LAPSED: agent.NEXT_SILENCE,
    Timer.STEPS_TAKEN: advance.NEXT,
    Timer.DRAINED: _NEXT_DRAIN,
}
_KINDS = " UNION ALL ".join(
    f"SELECT '{timer.value}' AS timer, due_at FROM ({statement}) {timer.value}"  # noqa: S608 - constants
    for timer, statement in _NEXT.items()
)
_FIRST = f"""
    SELECT timer, due_at, extract(epoch FROM due_at - relevo_now())::float8 AS seconds
    FROM ({_KINDS}) d WHERE due_at IS NOT NULL
"""  # noqa: S608 - constants


@dataclass(frozen=True, slots=True)
class Due:
    """The first timer of a kind: when, and in how many seconds; fewer than none, if it is late."""

    timer: Timer
    at: datetime
    seconds: float


async def first_due(within_seconds: float) -> list[Due]:
    """The first timer of every kind of which one is due by then."""
    rows = await fetch(_FIRST, timedelta(seconds=within_seconds))
    return [Due(Timer(row["timer"]), row["due_at"], row["seconds"]) for row in rows]
