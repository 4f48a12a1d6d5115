"""Reports that count figures: what each counts, of which measures, in total or by group."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from models.database import Row, fetch, fetchrow
from models.report.scope import Grouping, Scope

KEYS = {
    Grouping.DAY: "day",
    Grouping.TEAM: "team_id",
    Grouping.AGENT: "agent_id",
    Grouping.CHANNEL: "channel_id",
}


def count(measure: str, also: str = "") -> str:
    """How many figures `f` of a measure there are, of those that meet a condition too."""
    return f"count(*) FILTER (WHERE f.measure = '{measure}'{also and f' AND {also}'})"


def percentile(share: float, seconds: str = "f.seconds") -> str:
    """The time within which this share was done."""
    return f"percentile_cont({share}) WITHIN GROUP (ORDER BY {seconds})"


@dataclass(frozen=True, slots=True)
class Summary:
    """A question that figures answer: aggregates over figures `f` of some measures, by name.

    Rows can be split further than by what they are of. The first column orders them.
    """

    measures: tuple[str, ...]
    columns: Mapping[str, str]
    splits: Mapping[str, str] = field(default_factory=dict)

    def header(self, scope: Scope) -> list[str]:
        """The names of the columns of its rows, or of the total where nothing divides it."""
        return [*keys_of(scope), *self.splits, *self.columns]

    def is_divided(self, scope: Scope) -> bool:
        return bool(scope.group_by or self.splits)

    async def total(self, scope: Scope) -> Row:
        """The columns over everything in the scope."""
        conditions, arguments = counted(self.measures, scope)
        row = await fetchrow(
            f"SELECT {listed(self.columns)} FROM figures f WHERE {conditions}",  # noqa: S608 - constants
            *arguments,
        )
        assert row is not None  # noqa: S101 - an aggregate without groups
        return row

    async def rows(self, scope: Scope, *, limit: int) -> list[Row]:
        """The columns by group: days in order, anything else with the largest first."""
        conditions, arguments = counted(self.measures, scope)
        keys = {**grouped(scope, arguments), **self.splits}
        if not keys:
            return []
        places = ", ".join(str(place + 1) for place in range(len(keys)))
        order = f"{len(keys) + 1} DESC, {places}"
        if scope.group_by is Grouping.DAY:
            order = f"1, {order}"
        return await fetch(
            f"""
            SELECT {listed({**keys, **self.columns})} FROM figures f WHERE {conditions}
            GROUP BY {places} ORDER BY {order} LIMIT {int(limit)}
            """,  # noqa: S608 - constants
            *arguments,
        )


def listed(columns: Mapping[str, str]) -> str:
    return ", ".join(f"{expression} AS {name}" for name, expression in columns.items())


def counted(measures: tuple[str, ...], scope: Scope) -> tuple[str, list[Any]]:
    """Which figures `f` are in a scope, as conditions and their arguments."""
    arguments: list[Any] = [scope.workspace_id, scope.begins_at, scope.ends_at]
    named = ", ".join(f"'{measure}'" for measure in measures)
    conditions = [
        f"f.workspace_id = $1 AND f.measure IN ({named}) AND f.at >= $2 AND f.at < $3",
        *filters(scope, arguments, "f"),
    ]
    return " AND ".join(conditions), arguments


def filters(scope: Scope, arguments: list[Any], row: str) -> list[str]:
    """The scope's filters as conditions on a row; their values are added to the arguments."""
    found = []
    for column in ("team_id", "agent_id", "channel_id"):
        ids = getattr(scope, f"{column}s")
        if ids is not None:
            arguments.append(list(ids))
            found.append(f"{row}.{column} = ANY(${len(arguments)}::uuid[])")
    return found


def grouped(scope: Scope, arguments: list[Any]) -> dict[str, str]:
    """What the rows are of, by name; its values are added to the arguments."""
    keys = {name: f"f.{name}" for name in keys_of(scope)}
    if scope.group_by is Grouping.DAY:
        arguments.append(scope.time_zone)
        keys["day"] = f"(f.at AT TIME ZONE ${len(arguments)})::date"
    return keys


def keys_of(scope: Scope) -> list[str]:
    """The name of what the rows are of, if they are of anything."""
    return [] if scope.group_by is None else [KEYS[scope.group_by]]
