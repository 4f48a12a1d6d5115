"""How long agents were there: their intervals by availability, as far as the scope has them.

What goes on now counts until now; of a range that ended, always the same.
"""

from typing import Any

from models.database import Row, fetch, fetchrow
from models.errors import BadUserInput
from models.report.scope import Grouping, Scope
from models.report.summary import keys_of, listed

_LASTED = "extract(epoch FROM i.until - i.since)"
_COLUMNS = {
    "online_seconds": f"coalesce(sum({_LASTED}) FILTER (WHERE i.availability = 'ONLINE'), 0)",
    "accepting_seconds": f"""coalesce(sum({_LASTED}) FILTER (
        WHERE i.availability = 'ONLINE' AND i.accepts_new), 0)""",
    "away_seconds": f"coalesce(sum({_LASTED}) FILTER (WHERE i.availability = 'AWAY'), 0)",
    "offline_seconds": f"coalesce(sum({_LASTED}) FILTER (WHERE i.availability = 'OFFLINE'), 0)",
}
_CLIPPED = """
    SELECT a.agent_id, a.availability, a.accepts_new, greatest(a.started_at, $2) AS since,
           least(coalesce(a.ended_at, $4), $3, $4) AS until
    FROM availability_intervals a
    WHERE a.workspace_id = $1 AND a.started_at < least($3, $4) AND $2 < $4
      AND (a.ended_at IS NULL OR a.ended_at > $2)
      AND ($5::uuid[] IS NULL OR a.agent_id = ANY($5))
"""
# Each day's part of an interval: the days are reckoned once, and looked up.
_BY_DAY = """
    SELECT d.day, c.agent_id, c.availability, c.accepts_new,
           greatest(c.since, d.begins_at) AS since, least(c.until, d.ends_at) AS until
    FROM clipped c
    CROSS JOIN LATERAL generate_series(
        (c.since AT TIME ZONE $6)::date::timestamp,
        ((c.until - interval '1 microsecond') AT TIME ZONE $6)::date::timestamp,
        interval '1 day') AS g(day)
    JOIN days d ON d.day = g.day::date
"""
_DAYS = """
    SELECT g.day::date AS day, relevo_day_begins(g.day::date, $6) AS begins_at,
           relevo_day_begins(g.day::date + 1, $6) AS ends_at
    FROM generate_series(($2 AT TIME ZONE $6)::date::timestamp,
                         ($3 AT TIME ZONE $6)::date::timestamp, interval '1 day') AS g(day)
"""


class Availability:
    """Seconds by availability, by agent or by day; `accepting` is part of `online`."""

    def header(self, scope: Scope) -> list[str]:
        return [*keys_of(scope), *_COLUMNS]

    def is_divided(self, scope: Scope) -> bool:
        return scope.group_by is not None

    async def total(self, scope: Scope) -> Row:
        row = await fetchrow(
            f"SELECT {listed(_COLUMNS)} FROM ({_CLIPPED}) i",  # noqa: S608 - constants
            *_arguments(scope),
        )
        assert row is not None  # noqa: S101 - an aggregate without groups
        return row

    async def rows(self, scope: Scope, *, limit: int) -> list[Row]:
        arguments = _arguments(scope)
        if scope.group_by is None:
            return []
        if scope.group_by is Grouping.AGENT:
            return await fetch(
                f"""
                SELECT i.agent_id, {listed(_COLUMNS)} FROM ({_CLIPPED}) i
                GROUP BY 1 ORDER BY online_seconds DESC, 1 LIMIT {int(limit)}
                """,  # noqa: S608 - constants
                *arguments,
            )
        return await fetch(
            f"""
            WITH clipped AS ({_CLIPPED}), days AS MATERIALIZED ({_DAYS})
            SELECT i.day, {listed(_COLUMNS)} FROM ({_BY_DAY}) i
            GROUP BY 1 ORDER BY 1 LIMIT {int(limit)}
            """,  # noqa: S608 - constants
            *arguments,
            scope.time_zone,
        )


def _arguments(scope: Scope) -> list[Any]:
    is_of_agents = scope.group_by in (None, Grouping.DAY, Grouping.AGENT)
    if not is_of_agents or scope.team_ids is not None or scope.channel_ids is not None:
        raise BadUserInput("Availability is of agents: filter it by agent; rows are of these too.")
    agent_ids = None if scope.agent_ids is None else list(scope.agent_ids)
    return [scope.workspace_id, scope.begins_at, scope.ends_at, scope.now, agent_ids]
