"""How many waited, and for how long: stays in queues, over time or by team or channel.

Over time, a row is of an hour of a short range and of a day of a longer one. A depth is exact: how
many waited just before its row begins.
"""

from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from models.database import Row, fetch, fetchrow
from models.errors import BadUserInput
from models.report.scope import Grouping, Scope
from models.report.summary import filters, percentile

HOURLY_DAYS_MAX = 7

# What tells the rows over time apart, when each begins, and what is between them.
_HOURLY = ("date_trunc('hour', {}, zone)", "k.key", "interval '1 hour'")
_DAILY = (
    "date_trunc('day', {} AT TIME ZONE zone)",
    "relevo_day_begins(k.key::date, zone)",
    "interval '1 day'",
)

_ENDED = "s.left_at >= $2 AND s.left_at < $3"
_WAITED = "extract(epoch FROM s.left_at - s.entered_at)"
_BEFORE = "tstzrange(s.entered_at, s.left_at) @> $2::timestamptz - interval '1 microsecond'"
_TIMES = f"""
    count(*) AS departed, max({_WAITED}) AS longest_seconds,
    {percentile(0.5, _WAITED)} AS median_seconds,
    {percentile(0.9, _WAITED)} AS percentile90_seconds
"""
COLUMNS = (
    "depth",
    "entered",
    "departed",
    "longest_seconds",
    "median_seconds",
    "percentile90_seconds",
)
_SHOWN = f"""
    coalesce(e.entered, 0) AS entered, coalesce(l.departed, 0) AS departed,
    {", ".join(f"l.{name}" for name in COLUMNS[3:])}
"""


@dataclass(frozen=True, slots=True)
class Live:
    """A queue at this moment."""

    waiting: int
    longest_seconds: float | None


class QueueDepth:
    """Stays that began and ended, and how many waited; the times are of those that ended."""

    def header(self, scope: Scope) -> list[str]:
        key = f"{scope.group_by.lower()}_id" if _is_of_places(scope) and scope.group_by else ""
        return [key or "begins_at", *COLUMNS]

    def is_divided(self, scope: Scope) -> bool:  # noqa: ARG002 - every report is asked this way
        return True

    async def total(self, scope: Scope) -> Row:
        """The depth is of the range's beginning."""
        stays, arguments = _stays(scope)
        row = await fetchrow(
            f"""
            SELECT (SELECT count(*) FROM {stays} AND {_BEFORE}) AS depth, {_SHOWN}
            FROM (SELECT count(*) AS entered
                  FROM {stays} AND s.entered_at >= $2 AND s.entered_at < $3) e,
                 (SELECT {_TIMES} FROM {stays} AND {_ENDED}) l
            """,  # noqa: S608 - constants
            *arguments,
        )
        assert row is not None  # noqa: S101 - aggregates without groups
        return row

    async def rows(self, scope: Scope, *, limit: int) -> list[Row]:
        if _is_of_places(scope):
            return await _by_place(scope, limit)
        return await _over_time(scope, limit)

    async def live(self, scope: Scope) -> Live:
        """How many wait now, whatever the range."""
        stays, arguments = _stays(scope)
        row = await fetchrow(
            f"""
            SELECT count(*) AS waiting,
                   extract(epoch FROM $2 - min(s.entered_at))::float AS longest_seconds
            FROM {stays} AND s.left_at IS NULL AND $3::timestamptz IS NOT NULL
            """,  # noqa: S608 - constants
            scope.workspace_id,
            scope.now,
            *arguments[2:],
        )
        assert row is not None  # noqa: S101 - an aggregate without groups
        return Live(**row)


async def _by_place(scope: Scope, limit: int) -> list[Row]:
    stays, arguments = _stays(scope)
    key = "team_id" if scope.group_by is Grouping.TEAM else "channel_id"
    return await fetch(
        f"""
        WITH before AS (
            SELECT s.{key} AS key, count(*) AS depth FROM {stays} AND {_BEFORE} GROUP BY 1
        ), entered AS (
            SELECT s.{key} AS key, count(*) AS entered
            FROM {stays} AND s.entered_at >= $2 AND s.entered_at < $3 GROUP BY 1
        ), ended AS (
            SELECT s.{key} AS key, {_TIMES} FROM {stays} AND {_ENDED} GROUP BY 1
        )
        SELECT key AS {key}, coalesce(b.depth, 0) AS depth, {_SHOWN}
        FROM before b FULL JOIN entered e USING (key) FULL JOIN ended l USING (key)
        ORDER BY entered DESC, key LIMIT {int(limit)}
        """,  # noqa: S608 - constants
        *arguments,
    )


async def _over_time(scope: Scope, limit: int) -> list[Row]:
    stays, arguments = _stays(scope)
    is_hourly = scope.group_by is None and scope.lasts <= timedelta(days=HOURLY_DAYS_MAX)
    arguments += [scope.time_zone, scope.now]
    zone, now = f"${len(arguments) - 1}", f"${len(arguments)}"
    key, begins, step = _HOURLY if is_hourly else _DAILY
    key = key.replace("zone", zone)
    last = f"least($3::timestamptz - interval '1 microsecond', {now}::timestamptz)"
    return await fetch(
        f"""
        WITH entered AS (
            SELECT {key.format("s.entered_at")} AS key, count(*) AS entered
            FROM {stays} AND s.entered_at >= $2 AND s.entered_at < $3 GROUP BY 1
        ), ended AS (
            SELECT {key.format("s.left_at")} AS key, {_TIMES}
            FROM {stays} AND {_ENDED} GROUP BY 1
        )
        SELECT greatest({begins.replace("zone", zone)}, $2) AS begins_at,
               (SELECT count(*) FROM {stays} AND {_BEFORE})
                   + coalesce(sum(coalesce(e.entered, 0) - coalesce(l.departed, 0)) OVER (
                       ORDER BY k.key ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING), 0)
                   AS depth,
               {_SHOWN}
        FROM generate_series({key.format("$2::timestamptz")}, {key.format(last)}, {step}) AS k(key)
        LEFT JOIN entered e ON e.key = k.key LEFT JOIN ended l ON l.key = k.key
        ORDER BY k.key LIMIT {int(limit)}
        """,  # noqa: S608 - constants
        *arguments,
    )


def _is_of_places(scope: Scope) -> bool:
    return scope.group_by in (Grouping.TEAM, Grouping.CHANNEL)


def _stays(scope: Scope) -> tuple[str, list[Any]]:
    """The stays `s` that a scope is about, whenever they were."""
    if scope.agent_ids is not None or scope.group_by is Grouping.AGENT:
        raise BadUserInput("Queues are of teams and channels: do not ask by agent.")
    arguments: list[Any] = [scope.workspace_id, scope.begins_at, scope.ends_at]
    conditions = ["s.workspace_id = $1", *filters(scope, arguments, "s")]
    return f"queue_stays s WHERE {' AND '.join(conditions)}", arguments
