"""Giving out the head of queues: facts under locks, decisions in memory, one set-based change."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import orjson

from models import assignment, decision, event, reservation
from models.access import HOLDERS, Actor
from models.database import Row, Transaction, encode
from models.decision import Availability, Candidate, Decision, Distribution, Facts, Outcome, Rule

# The same agents wait while a batch is applied (28 ms for 50 with a remote database).
BATCH_SIZE_MAX = 50


async def distribute(
    transaction: Transaction, team_ids: Sequence[UUID], *, entering: frozenset[UUID] = frozenset()
) -> tuple[set[UUID], set[UUID]]:
    """Decide on the head of these queues and apply it, under the queues' locks.

    Higher priority first, then whoever waits longest. `entering` are conversations that came in
    this very transaction: given at once, they never were in the queue. Returns those given
    away, and the teams in which nobody is eligible any more. What came in behind a whole batch is
    left undecided: those who wait between go first.
    """
    teams = await _lock_teams(transaction, team_ids)
    waiting = await _lock_waiting(transaction, teams, entering)
    if not waiting:
        return set(), set()
    facts, now = await _facts(transaction, {row["team_id"] for row in waiting}, teams)
    round_ = _Round(facts, now)
    for place, row in enumerate(sorted(waiting, key=lambda row: _precedence(row, teams))):
        if place < BATCH_SIZE_MAX or row["team_id"] in round_.exhausted:
            round_.decide(row)
    await _apply(transaction, round_, entering)
    return {hold.conversation_id for hold in round_.holds}, set(round_.exhausted)


def _precedence(row: Row, teams: dict[UUID, Row]) -> tuple[int, datetime, UUID]:
    return (-teams[row["team_id"]]["priority"], row["queued_at"], row["id"])


async def _lock_teams(transaction: Transaction, team_ids: Sequence[UUID]) -> dict[UUID, Row]:
    rows = await transaction.fetch(
        """
        SELECT id, workspace_id, is_todos, priority, distribution, online_only, max_open,
               round_robin_position
        FROM teams WHERE id = ANY($1) ORDER BY id FOR NO KEY UPDATE
        """,
        team_ids,
    )
    return {row["id"]: row for row in rows}


async def _lock_waiting(
    transaction: Transaction, teams: dict[UUID, Row], entering: frozenset[UUID]
) -> list[Row]:
    """The heads of the automatic queues, and what enters any; pickers keep theirs unlocked."""
    return await transaction.fetch(
        f"""
        WITH head AS (
            (SELECT c.id FROM conversations c JOIN teams t ON t.id = c.team_id
             WHERE c.team_id = ANY($2) AND c.status = 'QUEUED' AND NOT {reservation.IN_FORCE}
             ORDER BY t.priority DESC, c.queued_at, c.id LIMIT $4)
            UNION SELECT unnest($3::uuid[])
        )
        SELECT c.id, c.workspace_id, c.team_id, c.queued_at, c.contact_id, c.channel_id,
               coalesce(c.decision ->> 'rule', 'CHANNEL_TARGET') AS rule,
               c.decision ->> 'outcome' AS outcome, c.decision -> 'routed' AS routed
        FROM conversations c
        WHERE c.id IN (SELECT id FROM head) AND c.status = 'QUEUED' AND c.team_id = ANY($1)
          AND NOT {reservation.IN_FORCE}
        ORDER BY c.id FOR NO KEY UPDATE
        """,  # noqa: S608 - a constant
        list(teams),
        [team_id for team_id, team in teams.items() if team["distribution"] != Distribution.MANUAL],
        list(entering),
        BATCH_SIZE_MAX,
    )


async def _facts(
    transaction: Transaction, waiting_teams: set[UUID], teams: dict[UUID, Row]
) -> tuple[dict[UUID, Facts], datetime]:
    """The facts of each team; those of eligible members are read again under their locks."""
    # Whoever picks asks nobody's leave: such a team's members are not read, and not locked.
    automatic = [id for id in waiting_teams if teams[id]["distribution"] != Distribution.MANUAL]
    rows = await transaction.fetch(_MEMBERS, automatic, HOLDERS) if automatic else []
    now = rows[0]["now"] if rows else await transaction.fetchval("SELECT relevo_now()")
    members: dict[UUID, list[Candidate]] = {team_id: [] for team_id in waiting_teams}
    for row in rows:
        members[row["team_id"]].append(_candidate(row))
    facts = {id: _team_facts(teams[id], tuple(found)) for id, found in members.items()}
    eligible = {
        candidate.agent_id
        for of_team in facts.values()
        for candidate in of_team.candidates
        if decision.obstacle(candidate, of_team) is None
    }
    locked = await transaction.fetch(
        """
        SELECT id, is_active, availability, accepts_new, load, capacity, last_assigned_at
        FROM agents WHERE id = ANY($1) ORDER BY id FOR NO KEY UPDATE
        """,
        list(eligible),
    )
    fresh = {row["id"]: row for row in locked}
    return {team_id: _refreshed(of_team, fresh) for team_id, of_team in facts.items()}, now


# A Todos without listed members has every agent as a member, in the order they were created.
_MEMBERS = """
    SELECT m.team_id, m.position, a.id, a.is_active, a.availability, a.accepts_new, a.load,
           a.capacity, a.last_assigned_at, relevo_now() AS now,
           EXISTS (SELECT FROM presence_leases l
                   WHERE l.agent_id = a.id AND l.expires_at > relevo_now()) AS is_connected
    FROM (
        SELECT team_id, agent_id, position FROM memberships WHERE team_id = ANY($1)
        UNION ALL
        SELECT t.id, a.id, row_number() OVER (PARTITION BY t.id ORDER BY a.created_at, a.id)
        FROM teams t JOIN agents a ON a.workspace_id = t.workspace_id
        WHERE t.id = ANY($1) AND t.is_todos AND a.role = ANY($2)
          AND NOT EXISTS (SELECT FROM memberships m WHERE m.team_id = t.id)
    ) m JOIN agents a ON a.id = m.agent_id
    ORDER BY m.team_id, m.position
"""


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
    )


def _team_facts(team: Row, candidates: tuple[Candidate, ...]) -> Facts:
    return Facts(
        rule=Rule.CHANNEL_TARGET,
        distribution=Distribution(team["distribution"]),
        online_only=team["online_only"],
        max_open=team["max_open"],
        round_robin_position=team["round_robin_position"],
        candidates=candidates,
    )


def _refreshed(facts: Facts, fresh: dict[UUID, Row]) -> Facts:
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


class _Round:
    """One batch of decisions, made in memory before any of them is applied."""

    def __init__(self, facts: dict[UUID, Facts], now: datetime) -> None:
        self.facts = facts
        self.now = now
        self.holds: list[assignment.Hold] = []
        self.given: list[Row] = []
        self.waiting: list[tuple[Row, Decision]] = []
        self.exhausted: dict[UUID, Decision] = {}

    def decide(self, row: Row) -> None:
        team_id = row["team_id"]
        facts = replace(self.facts[team_id], rule=Rule(row["rule"]))
        made = self.exhausted.get(team_id) or decision.decide(facts)
        if made.winner is None:
            self.exhausted[team_id] = made
            if row["outcome"] != made.outcome:
                self.waiting.append((row, replace(made, facts=facts)))
            return
        # A microsecond apart, so that "longest without an assignment" tells a batch's agents apart.
        at = self.now + timedelta(microseconds=len(self.holds))
        self.facts[team_id] = decision.after(facts, made, at)
        for other, of_team in self.facts.items():
            if other != team_id:
                candidates = decision.with_assignment(of_team.candidates, made.winner.agent_id, at)
                self.facts[other] = replace(of_team, candidates=candidates)
        self.given.append(row)
        self.holds.append(
            assignment.Hold(
                workspace_id=row["workspace_id"],
                conversation_id=row["id"],
                agent_id=made.winner.agent_id,
                team_id=team_id,
                rule=facts.rule,
                decision=decision.stored(made, _routed(row)),
                at=at,
            )
        )


async def _apply(transaction: Transaction, round_: _Round, entering: frozenset[UUID]) -> None:
    if round_.holds:
        await assignment.begin(transaction, round_.holds)
        await _move_pointers(transaction, round_)
    if round_.waiting:
        await _keep_decisions(transaction, round_.waiting)
    for row, hold in zip(round_.given, round_.holds, strict=True):
        event.record(
            event.Kind.CONVERSATION_ASSIGNED,
            by=Actor.system(hold.workspace_id),
            conversation_id=hold.conversation_id,
            contact_id=row["contact_id"],
            channel_id=row["channel_id"],
            from_queue_id=None if hold.conversation_id in entering else hold.team_id,
            to_agent_id=hold.agent_id,
            from_team_id=hold.team_id,
            to_team_id=hold.team_id,
            rule=hold.rule,
            assignment=hold.id,
        )


async def _move_pointers(transaction: Transaction, round_: _Round) -> None:
    moved = [
        (team_id, facts.round_robin_position)
        for team_id, facts in round_.facts.items()
        if facts.distribution is Distribution.ROUND_ROBIN
    ]
    if moved:
        await transaction.execute(
            """
            UPDATE teams t SET round_robin_position = p.position
            FROM unnest($1::uuid[], $2::int[]) AS p(id, position)
            WHERE t.id = p.id AND t.round_robin_position <> p.position
            """,
            *map(list, zip(*moved, strict=True)),
        )


async def _keep_decisions(transaction: Transaction, waiting: list[tuple[Row, Decision]]) -> None:
    await transaction.execute(
        """
        UPDATE conversations c SET decision = g.decision::jsonb
        FROM unnest($1::uuid[], $2::text[]) AS g(id, decision) WHERE c.id = g.id
        """,
        [row["id"] for row, _ in waiting],
        [encode(_kept(row, made)) for row, made in waiting],
    )


def _kept(row: Row, made: Decision) -> dict[str, Any]:
    """A queue that agents pick from needs no verdicts: its members are free to pick."""
    if made.outcome is Outcome.WAITING_FOR_PICK:
        return decision.by_hand(made.facts.rule, None, _routed(row))
    return decision.stored(made, _routed(row))


def _routed(row: Row) -> dict[str, Any] | None:
    """What the precedence went by before the conversation came to this queue."""
    routed: dict[str, Any] | None = orjson.loads(row["routed"]) if row["routed"] else None
    return routed
