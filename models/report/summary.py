"""Reports that count figures: what each counts, of which measures, in total or by group."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from models.database import Row
from models.report.reading import read
from models.report.scope import Grouping, Scope

Columns = Mapping[str, str]
KEYS = {
    Grouping.DAY: "day",
    Grouping.TEAM: "team_id",
    Grouping.AGENT: "agent_id",
    Grouping.CHANNEL: "channel_id",
}


def count(condition: str) -> str:
    """How many figures `f` meet a condition."""
    return f"count(*) FILTER (WHERE {condition})"


def percentile(share: float, seconds: str = "f.seconds") -> str:
    """The time within which this share was done."""
    return f"percentile_cont({share}) WITHIN GROUP (ORDER BY {seconds})"


@dataclass(frozen=True, slots=True)
class Part:
    """What is counted of the figures `f` of some measures; each part is one scan of the index."""

    columns: Columns
    measures: tuple[str, ...]
    condition: str = "true"


@dataclass(frozen=True, slots=True)
class Summary:
    """A question that figures answer: columns by name, the first of which orders the rows.

    Rows can be split further than by what they are of, and be of agents whatever is asked.
    """

    parts: tuple[Part, ...]
    splits: Columns = field(default_factory=dict)
    always_by: Grouping | None = None

    @property
    def columns(self) -> list[str]:
        return [name for part in self.parts for name in part.columns]

    def grouping(self, scope: Scope) -> Grouping | None:
        return self.always_by or scope.group_by

    def require(self, scope: Scope) -> None:
        """Every scope is one of what figures count."""

    def is_divided(self, scope: Scope) -> bool:
        return bool(self.grouping(scope) or self.splits)

    def header(self, scope: Scope) -> list[str]:
        """The names of the columns of its rows, or of the total where nothing divides it."""
        return [*keys_of(self.grouping(scope)), *self.splits, *self.columns]

    async def total(self, scope: Scope) -> Row:
        """The columns over everything in the scope."""
        arguments = range_of(scope)
        found = await read(self._counted(scope, arguments, {}, "$2", "$3"), arguments)
        return found[0]

    async def rows(self, scope: Scope, *, limit: int) -> list[Row]:
        """The columns by group: all days in order, anything else with the largest first."""
        if not self.is_divided(scope):
            return []
        arguments, grouping = range_of(scope), self.grouping(scope)
        if grouping is Grouping.DAY:
            counted = self._counted(scope, arguments, self.splits, "d.begins_at", "d.ends_at")
            source = f"{days(scope, arguments)} CROSS JOIN LATERAL ({counted}) c"
            keys = ["d.day", *self.splits]
            order = f"d.day, {self.columns[0]} DESC"
        else:
            divided = {name: f"f.{name}" for name in keys_of(grouping)} | dict(self.splits)
            source = f"({self._counted(scope, arguments, divided, '$2', '$3')}) c"
            keys = list(divided)
            order = f"{self.columns[0]} DESC, {', '.join(self.columns[1:] + keys)}"
        columns = ", ".join([*keys, *self.columns])
        return await read(
            f"SELECT {columns} FROM {source} ORDER BY {order} LIMIT {int(limit)}",  # noqa: S608 - constants
            arguments,
        )

    def _counted(
        self, scope: Scope, arguments: list[Any], keys: Columns, begin: str, end: str
    ) -> str:
        """A statement for the columns between two instants, by these keys."""
        filtered = filters(scope, arguments, "f")
        parts = " UNION ALL ".join(
            self._of_part(part, filtered, keys, begin, end) for part in self.parts
        )
        merged = ", ".join(f"{_merged(name)} AS {name}" for name in self.columns)
        return f"SELECT {_prefixed(keys)} {merged} FROM ({parts}) p {_by(keys)}"  # noqa: S608 - constants

    def _of_part(self, part: Part, filtered: list[str], keys: Columns, begin: str, end: str) -> str:
        columns = {name: part.columns.get(name, _absent(name)) for name in self.columns}
        measures = ", ".join(f"'{measure}'" for measure in part.measures)
        conditions = [
            f"f.workspace_id = $1 AND f.measure IN ({measures})",
            f"f.at >= {begin} AND f.at < {end} AND {part.condition}",
            *filtered,
        ]
        return (
            f"SELECT {listed({**keys, **columns})} FROM figures f"  # noqa: S608 - constants
            f" WHERE {' AND '.join(conditions)} {_by(keys)}"
        )


def listed(columns: Columns) -> str:
    return ", ".join(f"{expression} AS {name}" for name, expression in columns.items())


def keys_of(grouping: Grouping | None) -> list[str]:
    """The name of what rows are of, if they are of anything."""
    return [] if grouping is None else [KEYS[grouping]]


def range_of(scope: Scope) -> list[Any]:
    """The first three arguments of every report's statement."""
    return [scope.workspace_id, scope.begins_at, scope.ends_at]


def filters(scope: Scope, arguments: list[Any], row: str) -> list[str]:
    """The scope's filters as conditions on a row; their values are added to the arguments."""
    found = []
    for column in ("team_id", "agent_id", "channel_id"):
        ids = getattr(scope, f"{column}s")
        if ids is not None:
            arguments.append(list(ids))
            found.append(f"{row}.{column} = ANY(${len(arguments)}::uuid[])")
    return found


def days(scope: Scope, arguments: list[Any]) -> str:
    """The scope's days `d`, each with what of it is in the range; the zone is an argument."""
    arguments.append(scope.time_zone)
    zone = f"${len(arguments)}"
    return f"""(
        SELECT g.day::date AS day,
               greatest(relevo_day_begins(g.day::date, {zone}), $2) AS begins_at,
               least(relevo_day_begins(g.day::date + 1, {zone}), $3) AS ends_at
        FROM generate_series(
            ($2::timestamptz AT TIME ZONE {zone})::date::timestamp,
            ($3::timestamptz - interval '1 microsecond') AT TIME ZONE {zone},
            interval '1 day') AS g(day)) d"""  # noqa: S608 - constants


def _is_time(column: str) -> bool:
    return column.endswith("_seconds")


def _absent(column: str) -> str:
    return "NULL::float" if _is_time(column) else "0::bigint"


def _merged(column: str) -> str:
    """One part knows it."""
    return f"max({column})" if _is_time(column) else f"coalesce(sum({column}), 0)::bigint"


def _prefixed(keys: Columns) -> str:
    return "".join(f"{name}, " for name in keys)


def _by(keys: Columns) -> str:
    return f"GROUP BY {', '.join(str(place + 1) for place in range(len(keys)))}" if keys else ""
