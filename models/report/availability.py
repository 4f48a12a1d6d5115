"""How long agents were there: their intervals by availability, as far as the scope has them.

What goes on now counts until now; of a range that ended, always the same.
"""

from typing import Any

from models.database import Row, fetch
from models.errors import BadUserInput
from models.report.reading import read
from models.report.scope import Grouping, Scope
from models.report.summary import days, keys_of, listed, range_of


def _sum(condition: str) -> str:
    lasted = "extract(epoch FROM i.until - i.since)"
    return f"coalesce(sum({lasted}) FILTER (WHERE {condition}), 0)::float"


_COLUMNS = {
    "online_seconds": _sum("i.availability = 'ONLINE'"),
    "accepting_seconds": _sum("i.availability = 'ONLINE' AND i.accepts_new"),
    "away_seconds": _sum("i.availability = 'AWAY'"),
    "offline_seconds": _sum("i.availability = 'OFFLINE'"),
}
# Intervals of an agent follow each other: of those that began earlier, only the last may reach in.
# One that goes on ends with the last lease, though nobody has noticed yet that it ran out.
_CLIPPED = """
    SELECT a.agent_id, p.availability, a.accepts_new, greatest(p.since, r.begin) AS since,
           least(p.until, r.until) AS until
    FROM (SELECT $2::timestamptz AS begin, least($3::timestamptz, $4::timestamptz) AS until) r
    JOIN agents g ON g.workspace_id = $1 AND ($5::uuid[] IS NULL OR g.id = ANY($5))
    CROSS JOIN LATERAL (
        (SELECT * FROM availability_intervals x
         WHERE x.workspace_id = $1 AND x.agent_id = g.id
           AND x.started_at >= r.begin AND x.started_at < r.until)
        UNION ALL
        (SELECT * FROM availability_intervals x
         WHERE x.workspace_id = $1 AND x.agent_id = g.id AND x.started_at < r.begin
         ORDER BY x.started_at DESC, x.ended_at DESC NULLS FIRST LIMIT 1)) a
    CROSS JOIN LATERAL (
        SELECT coalesce(a.ended_at, (
            SELECT greatest(a.started_at, max(l.expires_at)) FROM presence_leases l
            WHERE l.agent_id = g.id AND a.availability <> 'OFFLINE'
            HAVING count(*) > 0), 'infinity') AS at) e
    CROSS JOIN LATERAL (VALUES
        (a.availability, a.started_at, e.at),
        ('OFFLINE', e.at, coalesce(a.ended_at, 'infinity'))) p(availability, since, until)
    WHERE greatest(p.since, r.begin) < least(p.until, r.until)
"""


class Availability:
    """Seconds by availability, by agent or by day; `accepting` is part of `online`."""

    def require(self, scope: Scope) -> None:
        is_of_agents = scope.group_by in (None, Grouping.DAY, Grouping.AGENT)
        if not is_of_agents or scope.team_ids is not None or scope.channel_ids is not None:
            raise BadUserInput(
                "Availability is of agents: filter it by agent; rows are of these too."
            )

    def header(self, scope: Scope) -> list[str]:
        return [*keys_of(scope.group_by), *_COLUMNS]

    def is_divided(self, scope: Scope) -> bool:
        return scope.group_by is not None

    async def total(self, scope: Scope) -> Row:
        found = await _read(
            scope,
            f"SELECT {listed(_COLUMNS)} FROM ({_CLIPPED}) i",  # noqa: S608 - constants
            _arguments(scope),
        )
        return found[0]

    async def rows(self, scope: Scope, *, limit: int) -> list[Row]:
        arguments = _arguments(scope)
        if scope.group_by is None:
            return []
        if scope.group_by is Grouping.AGENT:
            return await _read(
                scope,
                f"""
                SELECT i.agent_id, {listed(_COLUMNS)} FROM ({_CLIPPED}) i
                GROUP BY 1 ORDER BY online_seconds DESC, 1 LIMIT {int(limit)}
                """,  # noqa: S608 - constants
                arguments,
            )
        return await _read(
            scope,
            f"""
            WITH i AS MATERIALIZED ({_CLIPPED}), day AS MATERIALIZED (
                SELECT * FROM {days(scope, arguments)})
            SELECT i.day, {listed(_COLUMNS)} FROM (
                SELECT d.day, i.availability, i.accepts_new,
                       greatest(i.since, d.begins_at) AS since, least(i.until, d.ends_at) AS until
                FROM day d LEFT JOIN i ON i.since < d.ends_at AND i.until > d.begins_at) i
            GROUP BY 1 ORDER BY 1 LIMIT {int(limit)}
            """,  # noqa: S608 - constants
            arguments,
        )


async def _read(scope: Scope, statement: str, arguments: list[Any]) -> list[Row]:
    """Read when whoever keeps a lease from running out at this moment has done so."""
    await fetch(
        """
        SELECT FROM agents a WHERE a.workspace_id = $1 AND a.is_connected AND NOT EXISTS (
            SELECT FROM presence_leases l WHERE l.agent_id = a.id AND l.expires_at > $2)
        ORDER BY a.id FOR SHARE
        """,
        scope.workspace_id,
        scope.now,
    )
    return await read(statement, arguments)


def _arguments(scope: Scope) -> list[Any]:
    agent_ids = None if scope.agent_ids is None else list(scope.agent_ids)
    return [*range_of(scope), scope.now, agent_ids]
