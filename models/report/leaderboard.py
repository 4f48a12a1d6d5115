"""Who did how much, and how fast: a row for each agent, whatever else is asked."""

from dataclasses import replace
from uuid import UUID

from models.database import Row, fetch
from models.report.scope import Grouping, Scope
from models.report.summary import Summary, count, counted, listed, percentile

_COUNTED = Summary(
    ("CLOSED", "ASSIGNED", "MESSAGE_SENT"),
    {
        "closed": count("CLOSED"),
        "assigned": count("ASSIGNED"),
        "sent": count("MESSAGE_SENT"),
    },
)
_TIMED = Summary(
    ("FIRST_RESPONSE", "CLOSED"),
    {
        f"{name}_median_seconds": f"{percentile(0.5)} FILTER (WHERE f.measure = '{measure}')"
        for name, measure in (("first_response", "FIRST_RESPONSE"), ("resolution", "CLOSED"))
    },
)
# What stands for everybody together.
_NOBODY = f"'{UUID(int=0)}'::uuid"


class Leaderboard:
    """Those who closed most first."""

    def header(self, scope: Scope) -> list[str]:  # noqa: ARG002 - every report is asked this way
        return ["agent_id", *_COUNTED.columns, *_TIMED.columns]

    def is_divided(self, scope: Scope) -> bool:  # noqa: ARG002 - see above
        return True

    async def total(self, scope: Scope) -> Row:
        """The same columns over everybody."""
        found = await self._read(replace(scope, group_by=None), limit=1)
        return found[0]

    async def rows(self, scope: Scope, *, limit: int) -> list[Row]:
        return await self._read(replace(scope, group_by=Grouping.AGENT), limit=limit)

    async def _read(self, scope: Scope, *, limit: int) -> list[Row]:
        """Counted apart from what is timed: only the times need to be sorted by agent."""
        key = "f.agent_id" if scope.group_by else _NOBODY
        counting, arguments = counted(_COUNTED.measures, scope)
        timing, _ = counted(_TIMED.measures, scope)
        group = "GROUP BY f.agent_id" if scope.group_by else ""
        return await fetch(
            f"""
            WITH counted AS (
                SELECT {key} AS agent_id, {listed(_COUNTED.columns)} FROM figures f
                WHERE {counting} AND f.agent_id IS NOT NULL {group}
            ), timed AS (
                SELECT {key} AS agent_id, {listed(_TIMED.columns)} FROM figures f
                WHERE {timing} AND f.agent_id IS NOT NULL {group}
            )
            SELECT nullif(agent_id, {_NOBODY}) AS agent_id,
                   {", ".join(f"coalesce({name}, 0) AS {name}" for name in _COUNTED.columns)},
                   {", ".join(_TIMED.columns)}
            FROM counted c FULL JOIN timed t USING (agent_id)
            ORDER BY closed DESC, assigned DESC, 1 LIMIT {int(limit)}
            """,  # noqa: S608 - constants
            *arguments,
        )
