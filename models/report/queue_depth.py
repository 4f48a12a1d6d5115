"""How many waited, and for how long: stays in queues, over time or by team or channel.

Over time, a row is of an hour of a short range and of a day of a longer one. A depth is exact: how
many waited just before its row begins.
"""

from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from models.database import Row
from models.errors import BadUserInput
from models.report.reading import read
from models.report.scope import Grouping, Scope
from models.report.summary import days, filters, keys_of, percentile, range_of

HOURLY_DAYS_MAX = 7

_WAITED = "extract(epoch FROM s.left_at - s.entered_at)::float"
_TIMES = f"""
    count(*) AS departed, max({_WAITED}) AS longest_seconds,
    {percentile(0.5, _WAITED)} AS median_seconds,
    {percentile(0.9, _WAITED)} AS percentile90_seconds
"""
COLUMNS = (
    *("depth", "entered", "departed"),
    *("longest_seconds", "median_seconds", "percentile90_seconds"),
)
_BEFORE = "tstzrange(s.entered_at, s.left_at) @> $2::timestamptz - interval '1 microsecond'"
_ENTERED = "s.entered_at >= $2 AND s.entered_at < $3"
_DEPARTED = "s.left_at >= $2 AND s.left_at < $3"


@dataclass(frozen=True, slots=True)
class Live:
    """A queue at this moment."""

    waiting: int
    longest_seconds: float | None


class QueueDepth:
    """Stays that began and ended, and how many waited; the times are of those that ended."""

    def require(self, scope: Scope) -> None:
        if scope.agent_ids is not None or scope.group_by is Grouping.AGENT:
            raise BadUserInput("Queues are of teams and channels: do not ask by agent.")

    def header(self, scope: Scope) -> list[str]:
        return [*(keys_of(scope.group_by) if _is_of_places(scope) else ["begins_at"]), *COLUMNS]

    def is_divided(self, scope: Scope) -> bool:  # noqa: ARG002 - every report is asked this way
        return True

    async def total(self, scope: Scope) -> Row:
        """The depth is of the range's beginning."""
        stays, arguments = _stays(scope)
        found = await read(
            f"""
            SELECT (SELECT count(*) FROM {stays} AND {_BEFORE}) AS depth,
                   (SELECT count(*) FROM {stays} AND {_ENTERED}) AS entered, d.*
            FROM (SELECT {_TIMES} FROM {stays} AND {_DEPARTED}) d
            """,  # noqa: S608 - constants
            arguments,
        )
        return found[0]

    async def rows(self, scope: Scope, *, limit: int) -> list[Row]:
        if _is_of_places(scope):
            return await _by_place(scope, limit)
        return await _over_time(scope, limit)

    async def live(self, scope: Scope) -> Live:
        """How many wait now, whatever the range."""
        stays, arguments = _stays(scope)
        # The arguments of every statement are the same; this one's range is until now.
        arguments[2] = scope.now
        found = await read(
            f"""
            SELECT count(*) AS waiting,
                   extract(epoch FROM $3 - min(s.entered_at))::float AS longest_seconds
            FROM {stays} AND s.left_at IS NULL AND $2::timestamptz IS NOT NULL
            """,  # noqa: S608 - constants
            arguments,
        )
        return Live(**found[0])


async def _by_place(scope: Scope, limit: int) -> list[Row]:
    stays, arguments = _stays(scope)
    (key,) = keys_of(scope.group_by)
    return await read(
        f"""
        WITH before AS (
            SELECT s.{key}, count(*) AS depth FROM {stays} AND {_BEFORE} GROUP BY 1
        ), came AS (
            SELECT s.{key}, count(*) AS entered FROM {stays} AND {_ENTERED} GROUP BY 1
        ), went AS (
            SELECT s.{key}, {_TIMES} FROM {stays} AND {_DEPARTED} GROUP BY 1
        )
        SELECT {key}, coalesce(depth, 0) AS depth, coalesce(entered, 0) AS entered,
               coalesce(departed, 0) AS departed, {", ".join(COLUMNS[3:])}
        FROM before FULL JOIN came USING ({key}) FULL JOIN went USING ({key})
        ORDER BY entered DESC, {key} LIMIT {int(limit)}
        """,  # noqa: S608 - constants
        arguments,
    )


async def _over_time(scope: Scope, limit: int) -> list[Row]:
    """What has begun of the range: what comes later has no depth yet."""
    stays, arguments = _stays(scope)
    is_hourly = scope.group_by is None and scope.lasts <= timedelta(days=HOURLY_DAYS_MAX)
    times = _hours(scope, arguments) if is_hourly else days(scope, arguments)
    arguments.append(scope.now)
    between = "s.{} >= d.begins_at AND s.{} < d.ends_at"
    return await read(
        f"""
        SELECT {"NULL::date" if is_hourly else "d.day"} AS day, d.begins_at,
               (SELECT count(*) FROM {stays} AND {_BEFORE}) + coalesce(
                   sum(entered - departed) OVER (
                       ORDER BY d.begins_at ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING),
                   0)::bigint AS depth,
               entered, departed, {", ".join(COLUMNS[3:])}
        FROM {times}
        CROSS JOIN LATERAL (
            SELECT count(*) AS entered
            FROM {stays} AND {between.replace("{}", "entered_at")}) came
        CROSS JOIN LATERAL (
            SELECT {_TIMES} FROM {stays} AND {between.replace("{}", "left_at")}) went
        WHERE d.begins_at <= ${len(arguments)}
        ORDER BY d.begins_at LIMIT {int(limit)}
        """,  # noqa: S608 - constants
        arguments,
    )


def _hours(scope: Scope, arguments: list[Any]) -> str:
    """The scope's hours `d`, as clocks of its time zone strike them."""
    arguments.append(scope.time_zone)
    return f"""(
        SELECT greatest(g.at, $2) AS begins_at, least(g.at + interval '1 hour', $3) AS ends_at
        FROM generate_series(date_trunc('hour', $2::timestamptz, ${len(arguments)}),
                             $3::timestamptz - interval '1 microsecond',
                             interval '1 hour') AS g(at)) d"""  # noqa: S608 - constants


def _is_of_places(scope: Scope) -> bool:
    return scope.group_by in (Grouping.TEAM, Grouping.CHANNEL)


def _stays(scope: Scope) -> tuple[str, list[Any]]:
    """The stays `s` that a scope is about, whenever they were."""
    arguments = range_of(scope)
    conditions = ["s.workspace_id = $1", *filters(scope, arguments, "s")]
    return f"queue_stays s WHERE {' AND '.join(conditions)}", arguments
