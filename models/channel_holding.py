"""Which channels a team sends through: its own, or what the nearest group above it has."""

from collections.abc import Iterable
from dataclasses import dataclass
from uuid import UUID

from models.access import HOLDERS
from models.base import Line
from models.database import fetch, fetchval
from models.team import TREE_DEPTH_MAX


@dataclass(frozen=True, slots=True)
class Held:
    """The channel of a group, and whether it is a group above that holds it."""

    channel_id: UUID
    is_inherited: bool


async def of_groups(team_ids: Iterable[UUID], *, workspace_id: UUID) -> dict[UUID, Held]:
    """The channel that each of these groups sends through; those without one are left out.

    Departments and Todos are too: any number of channels may come to them.
    """
    rows = await fetch(_OF_GROUPS, workspace_id, list(team_ids), TREE_DEPTH_MAX)
    return {row["team_id"]: Held(row["channel_id"], row["is_inherited"]) for row in rows}


_OF_GROUPS = """
    WITH RECURSIVE up AS (
        SELECT t.id AS team_id, t.id, t.parent_id, 1 AS depth FROM teams t
        WHERE t.workspace_id = $1 AND t.id = ANY($2) AND t.line = 'SALES'
        UNION ALL
        SELECT up.team_id, t.id, t.parent_id, up.depth + 1
        FROM up JOIN teams t ON t.id = up.parent_id
        WHERE up.depth < $3 AND NOT EXISTS (SELECT FROM channels c WHERE c.sales_team_id = up.id)
    )
    SELECT up.team_id, c.id AS channel_id, up.depth > 1 AS is_inherited
    FROM up JOIN channels c ON c.sales_team_id = up.id
"""


async def holds(*, agent_id: UUID, channel_id: UUID, line: Line, workspace_id: UUID) -> bool:
    """Whether an agent may open conversations of a line on a channel.

    It may when the channel's target is itself, a team of its own, or a group that one of its own
    groups inherits the channel from. A channel without a target is held by the line's Todos, whose
    members are everyone who holds conversations, unless some are listed. Reads within the
    transaction that runs, if one does.
    """
    return bool(
        await fetchval(
            _HOLDS, workspace_id, channel_id, line.value, agent_id, HOLDERS, TREE_DEPTH_MAX
        )
    )


# Downwards from the target, as far as no group has a channel of its own.
_HOLDS = """
    WITH RECURSIVE target AS (
        SELECT CASE $3 WHEN 'SALES' THEN c.sales_team_id ELSE c.support_team_id END AS team_id,
               CASE $3 WHEN 'SALES' THEN c.sales_agent_id END AS agent_id
        FROM channels c WHERE c.workspace_id = $1 AND c.id = $2
    ), holding AS (
        SELECT t.id, t.is_todos, 1 AS depth FROM teams t, target
        WHERE t.workspace_id = $1 AND CASE
            WHEN target.team_id IS NOT NULL THEN t.id = target.team_id
            ELSE target.agent_id IS NULL AND t.is_todos AND t.line = $3 END
        UNION ALL
        SELECT t.id, false, h.depth + 1 FROM holding h JOIN teams t ON t.parent_id = h.id
        WHERE h.depth < $6 AND NOT EXISTS (SELECT FROM channels c WHERE c.sales_team_id = t.id)
    )
    SELECT EXISTS (
        SELECT FROM agents a
        WHERE a.id = $4 AND a.workspace_id = $1 AND a.is_active AND a.role = ANY($5) AND (
            EXISTS (SELECT FROM target WHERE target.agent_id = a.id)
            OR EXISTS (SELECT FROM holding h WHERE EXISTS (
                    SELECT FROM memberships m WHERE m.team_id = h.id AND m.agent_id = a.id)
                OR (h.is_todos AND NOT EXISTS (
                    SELECT FROM memberships m WHERE m.team_id = h.id)))))
"""
