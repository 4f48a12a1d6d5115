"""Who could take what waits in a team's queue: its members, as they are now.

A group's candidates are its own members and, if it includes its descendants, those of the groups
below; a Todos that lists nobody has everybody who holds conversations.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from uuid import UUID

from models import decision
from models.access import IS_HOLDER
from models.database import Row, Transaction
from models.decision import Availability, Candidate, Distribution, Facts, Rule, Settings

# Those who wait in a team's queue by the same settings: its own, or those of a workflow's step.
Lane = tuple[UUID, Settings | None]

# Own members keep their positions; those of a group below follow, by the number it got for ever.
# So no edit elsewhere moves anybody, and a pointer into this order stays where it is.
POSITIONS_PER_TEAM = 1_000_000
# Of the teams in `$1`: team_id, agent_id, position.
_OF_MEMBERS = """
    SELECT m.team_id, m.agent_id, m.position::bigint AS position FROM memberships m
    WHERE m.team_id = ANY($1)
"""
_OF_DESCENDANTS = f"""
    SELECT team_id, agent_id, min(position) AS position FROM (
        WITH RECURSIVE below AS (
            SELECT t.id AS team_id, t.id, 0::bigint AS base, 1 AS depth FROM teams t
            WHERE t.id = ANY($1)
            UNION ALL
            SELECT b.team_id, t.id, t.number::bigint * {POSITIONS_PER_TEAM}, b.depth + 1
            FROM below b JOIN teams g ON g.id = b.team_id AND g.include_descendants
            JOIN teams t ON t.parent_id = b.id AND t.is_active
            WHERE b.depth < 10
        )
        SELECT b.team_id, m.agent_id, b.base + m.position AS position
        FROM below b JOIN memberships m ON m.team_id = b.id) d
    GROUP BY 1, 2
"""  # noqa: S608 - constants
# Everybody is numbered, whatever the role: nobody moves when somebody else's changes.
_OF_TODOS = f"""
    SELECT a.team_id, a.id, a.position FROM (
        SELECT t.id AS team_id, e.id, e.role,
               row_number() OVER (PARTITION BY t.id ORDER BY e.created_at, e.id) AS position
        FROM teams t JOIN agents e ON e.workspace_id = t.workspace_id
        WHERE t.id = ANY($1) AND t.is_todos
          AND NOT EXISTS (SELECT FROM memberships m WHERE m.team_id = t.id)) a
    WHERE {IS_HOLDER}
"""  # noqa: S608 - constants
OF_TEAMS = f"{_OF_DESCENDANTS} UNION ALL {_OF_TODOS}"
# Of a candidate `a` of a team `t` of a workspace `w`.
HOURS = "coalesce(a.business_hours, t.business_hours, w.business_hours)"
_CANDIDATES = """
    SELECT m.team_id, m.position, a.id, a.is_active, a.availability, a.accepts_new, a.load,
           a.capacity, a.last_assigned_at,
           EXISTS (SELECT FROM presence_leases l
                   WHERE l.agent_id = a.id AND l.expires_at > relevo_now()) AS is_connected,
           relevo_is_open({hours}, relevo_now()) AS is_within_hours
    FROM ({members}) m JOIN agents a ON a.id = m.agent_id JOIN teams t ON t.id = m.team_id
    JOIN workspaces w ON w.id = t.workspace_id
    ORDER BY m.team_id, m.position
"""
_TEAMS = """
    SELECT id, workspace_id, is_todos, priority, ageing_minutes, distribution, online_only,
           include_descendants, max_open, round_robin_position
    FROM teams WHERE id = ANY($1)
"""


async def lock_teams(transaction: Transaction, team_ids: Sequence[UUID]) -> dict[UUID, Row]:
    """These teams by their id, locked; whoever leaves a group below locks those above it too."""
    rows = await transaction.fetch(f"{_TEAMS} ORDER BY id FOR NO KEY UPDATE", team_ids)
    return {row["id"]: row for row in rows}


async def read_teams(transaction: Transaction, team_ids: Sequence[UUID]) -> dict[UUID, Row]:
    """These teams by their id, as they are."""
    return {row["id"]: row for row in await transaction.fetch(_TEAMS, team_ids)}


async def read(
    transaction: Transaction, teams: Mapping[UUID, Row], lanes: Iterable[Lane]
) -> dict[Lane, Facts]:
    """The facts of each lane of these teams; nobody who picks asks leave, so manual lanes have no
    candidates.
    """
    empty = {lane: _in_lane(_facts(teams[lane[0]], ()), lane) for lane in lanes}
    automatic = [lane for lane, facts in empty.items() if facts.distributes]
    if not automatic:
        return empty
    full = await read_all(transaction, {team_id: teams[team_id] for team_id, _ in automatic})
    return empty | {lane: _in_lane(full[lane[0]], lane) for lane in automatic}


def _in_lane(facts: Facts, lane: Lane) -> Facts:
    _, settings = lane
    return settings.over(facts) if settings else facts


async def read_all(transaction: Transaction, teams: Mapping[UUID, Row]) -> dict[UUID, Facts]:
    """The facts of each team with all its candidates, in their order."""
    members: dict[UUID, list[Candidate]] = {id: [] for id in teams}
    for row in await transaction.fetch(_statement(teams.values()), list(teams)):
        members[row["team_id"]].append(_candidate(row))
    return {id: _facts(teams[id], tuple(found)) for id, found in members.items()}


def _statement(teams: Iterable[Row]) -> str:
    """Most teams have but members: planning the rest costs more than reading them."""
    teams = list(teams)
    below = any(team["include_descendants"] for team in teams)
    members = _OF_DESCENDANTS if below else _OF_MEMBERS
    if any(team["is_todos"] for team in teams):
        members = f"{members} UNION ALL {_OF_TODOS}"
    return _CANDIDATES.format(members=members, hours=HOURS)


async def lock_eligible(transaction: Transaction, facts: Mapping[Lane, Facts]) -> dict[Lane, Facts]:
    """The same facts, with those who are eligible locked and read again."""
    locked = await transaction.fetch(
        """
        SELECT id, is_active, availability, accepts_new, load, capacity, last_assigned_at
        FROM agents WHERE id = ANY($1) ORDER BY id FOR NO KEY UPDATE
        """,
        list(eligible(facts.values())),
    )
    fresh = {row["id"]: row for row in locked}
    return {lane: _refreshed(in_lane, fresh) for lane, in_lane in facts.items()}


def eligible(facts: Iterable[Facts]) -> set[UUID]:
    """Whoever could be given something in one of these lanes."""
    return {
        candidate.agent_id
        for in_lane in facts
        for candidate in in_lane.candidates
        if decision.obstacle(candidate, in_lane) is None
    }


def _candidate(row: Row) -> Candidate:
    return Candidate(
        agent_id=row["id"],
        position=row["position"],
        is_active=row["is_active"],
        is_connected=row["is_connected"],
        availability=Availability(row["availability"]),
        accepts_new=row["accepts_new"],
        load=row["load"],
        capacity=row["capacity"],
        last_assigned_at=row["last_assigned_at"],
        is_within_hours=row["is_within_hours"],
    )


def _facts(team: Row, candidates: tuple[Candidate, ...]) -> Facts:
    return Facts(
        rule=Rule.CHANNEL_TARGET,
        distribution=Distribution(team["distribution"]),
        online_only=team["online_only"],
        max_open=team["max_open"],
        round_robin_position=team["round_robin_position"],
        candidates=candidates,
    )


def _refreshed(facts: Facts, fresh: Mapping[UUID, Row]) -> Facts:
    def refreshed(candidate: Candidate) -> Candidate:
        row = fresh.get(candidate.agent_id)
        if row is None:
            return candidate
        return replace(
            candidate,
            is_active=row["is_active"],
            availability=Availability(row["availability"]),
            accepts_new=row["accepts_new"],
            load=row["load"],
            capacity=row["capacity"],
            last_assigned_at=row["last_assigned_at"],
        )

    return replace(facts, candidates=tuple(map(refreshed, facts.candidates)))
