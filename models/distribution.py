"""Giving out the head of queues: facts under locks, decisions in memory, one set-based change."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import orjson

from models import assignment, candidates, decision, event, reservation
from models.access import Actor
from models.database import Row, Transaction, encode, fetch
from models.decision import Decision, Distribution, Facts, Outcome, Rule

# The same agents wait while a batch is applied (28 ms for 50 with a remote database).
BATCH_SIZE_MAX = 50
PRIORITY_MAX = 10
# What is asked of a conversation that waits; see `plan`.
Waiting = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Distributed:
    """What came of it: who was given away, and the teams from which nothing more can be given now.

    Nothing was decided where there are `rivals`: other queues in which somebody waits for one of
    those who could be given something here. All of them are to be decided on together.
    """

    given: frozenset[UUID] = frozenset()
    done: frozenset[UUID] = frozenset()
    rivals: frozenset[UUID] = frozenset()


async def distribute(
    transaction: Transaction, team_ids: Sequence[UUID], *, entering: frozenset[UUID] = frozenset()
) -> Distributed:
    """Decide on the head of these queues and apply it, under the queues' locks.

    Higher priority first, then whoever waits longest. `entering` are conversations that came in
    this very transaction: given at once, they never were in the queue. What came in behind a whole
    batch is left undecided: those who wait between go first.
    """
    teams = await candidates.lock_teams(transaction, team_ids)
    waiting = await heads(transaction, teams, entering, lock=True)
    if not waiting:
        return Distributed()
    concerned = {row["team_id"]: teams[row["team_id"]] for row in waiting}
    facts = await candidates.lock_eligible(
        transaction, await candidates.read(transaction, concerned)
    )
    if rivals := await rivals_of(transaction, candidates.eligible(facts.values()), teams):
        return Distributed(rivals=rivals)
    round_ = plan(waiting, teams, facts)
    await _apply(transaction, round_, entering)
    return Distributed(frozenset(hold.conversation_id for hold in round_.holds), round_.done)


async def rivals_of(
    transaction: Transaction, eligible: set[UUID], teams: Mapping[UUID, Row]
) -> frozenset[UUID]:
    """Somebody may have been freed whose queues nobody has drained yet: those come first."""
    if not eligible:
        return frozenset()
    rows = await transaction.fetch(_WAITING_QUEUES, [], list(eligible))
    others = {row["id"] for row in rows} - set(teams)
    if not others:
        return frozenset()
    facts = await candidates.read(
        transaction, await candidates.read_teams(transaction, list(others))
    )
    return frozenset(
        id for id, of_team in facts.items() if eligible & candidates.eligible([of_team])
    )


async def waiting_queues(teams: Sequence[UUID], agents: Sequence[UUID]) -> list[UUID]:
    """Of these teams, and of those that these agents draw from, the ones where somebody waits."""
    rows = await fetch(_WAITING_QUEUES, teams, agents)
    return [row["id"] for row in rows]


_WAITING_QUEUES = f"""
    WITH RECURSIVE above AS (
        SELECT team_id AS id, true AS is_own, 1 AS depth FROM memberships
        WHERE agent_id = ANY($2)
        UNION
        SELECT t.parent_id, false, a.depth + 1 FROM above a JOIN teams t ON t.id = a.id
        WHERE t.parent_id IS NOT NULL AND a.depth < 10
    )
    SELECT t.id FROM teams t
    WHERE t.is_active AND t.distribution <> 'MANUAL'
      AND EXISTS (SELECT FROM conversations c WHERE c.team_id = t.id AND c.status = 'QUEUED'
                  AND NOT {reservation.IN_FORCE})
      AND (t.id = ANY($1)
           OR EXISTS (SELECT FROM above a
                      WHERE a.id = t.id AND (a.is_own OR t.include_descendants))
           OR (t.is_todos AND t.workspace_id IN (
                   SELECT a.workspace_id FROM agents a WHERE a.id = ANY($2))))
"""  # noqa: S608 - a constant


def plan(
    waiting: Sequence[Waiting], teams: Mapping[UUID, Row], facts: dict[UUID, Facts]
) -> "Round":
    """Decide on what waits, in memory: what would be given to whom, and what would go on waiting.

    Of a row of `waiting`: id, workspace_id, team_id, queued_at, rule, outcome, routed, now,
    skipped_agent_id.
    """
    round_ = Round(facts)
    for row in sorted(waiting, key=lambda row: _precedence(row, teams[row["team_id"]])):
        round_.take(row)
    return round_


def _precedence(row: Waiting, team: Row) -> tuple[int, datetime, UUID]:
    return (-_priority(row, team), row["queued_at"], row["id"])


def _priority(row: Waiting, team: Row) -> int:
    """What waits counts one step more for each full `ageing_minutes`, where that is set."""
    priority: int = team["priority"]
    if team["ageing_minutes"] is None:
        return priority
    waited: timedelta = row["now"] - row["queued_at"]
    steps = waited // timedelta(minutes=team["ageing_minutes"])
    return min(PRIORITY_MAX, priority + max(0, steps))


async def heads(
    transaction: Transaction,
    teams: Mapping[UUID, Row],
    entering: frozenset[UUID] = frozenset(),
    *,
    lock: bool = False,
) -> list[Waiting]:
    """The heads of the automatic queues, and what enters any; pickers keep theirs unlocked.

    Those who wait for anybody but one agent come beside the head: they may have to stay, and must
    hold up nobody.
    """
    rows = await transaction.fetch(
        f"""
        WITH head AS (
            SELECT h.id FROM unnest($2::uuid[]) AS t(id) CROSS JOIN LATERAL (
                (SELECT c.id FROM conversations c
                 WHERE c.team_id = t.id AND c.status = 'QUEUED' AND c.skipped_until IS NULL
                   AND NOT {reservation.IN_FORCE}
                 ORDER BY c.queued_at, c.id LIMIT $4)
                UNION ALL
                (SELECT c.id FROM conversations c
                 WHERE c.team_id = t.id AND c.status = 'QUEUED' AND c.skipped_until IS NOT NULL
                   AND NOT {reservation.IN_FORCE}
                 ORDER BY c.queued_at, c.id LIMIT $4)) h
            UNION SELECT unnest($3::uuid[])
        )
        SELECT c.id, c.workspace_id, c.team_id, c.queued_at, c.contact_id, c.channel_id,
               coalesce(c.decision ->> 'rule', 'CHANNEL_TARGET') AS rule,
               c.decision ->> 'outcome' AS outcome, c.decision -> 'routed' AS routed,
               CASE WHEN c.skipped_until > relevo_now() THEN c.skipped_agent_id END
                   AS skipped_agent_id,
               (SELECT relevo_now()) AS now
        FROM conversations c
        WHERE c.id IN (SELECT id FROM head) AND c.status = 'QUEUED' AND c.team_id = ANY($1)
          AND NOT {reservation.IN_FORCE}
        ORDER BY c.id {"FOR NO KEY UPDATE" if lock else ""}
        """,  # noqa: S608 - constants
        list(teams),
        [team_id for team_id, team in teams.items() if team["distribution"] != Distribution.MANUAL],
        list(entering),
        BATCH_SIZE_MAX,
    )
    return [dict(row) for row in rows]


class Round:
    """One batch of decisions, made in memory before any of them is applied."""

    def __init__(self, facts: dict[UUID, Facts]) -> None:
        self.facts = facts
        self.holds: list[assignment.Hold] = []
        self.given: list[Waiting] = []
        self.waiting: list[tuple[Waiting, Decision]] = []
        self._exhausted: dict[UUID, Decision] = {}
        self._stuck: set[UUID] = set()
        self._undecided: set[UUID] = set()

    @property
    def done(self) -> frozenset[UUID]:
        """The teams from which nothing more can be given now."""
        served = {row["team_id"] for row in self.given}
        return frozenset(self._exhausted) | (self._stuck - served - self._undecided)

    def take(self, row: Waiting) -> None:
        """Decide on one, unless a whole batch is given already and somebody still could get it."""
        if len(self.holds) < BATCH_SIZE_MAX or row["team_id"] in self._exhausted:
            self._decide(row)
        else:
            self._undecided.add(row["team_id"])

    def _decide(self, row: Waiting) -> None:
        team_id = row["team_id"]
        facts = replace(
            self.facts[team_id], rule=Rule(row["rule"]), skipped_agent_id=row["skipped_agent_id"]
        )
        made = self._exhausted.get(team_id) if facts.skipped_agent_id is None else None
        made = made or decision.decide(facts)
        if made.winner is not None:
            self._give(row, facts, made)
            return
        if facts.skipped_agent_id is None:
            self._exhausted[team_id] = made
        else:
            # Somebody may be eligible for the others all the same.
            self._stuck.add(team_id)
        if row["outcome"] != made.outcome:
            self.waiting.append((row, replace(made, facts=facts)))

    def _give(self, row: Waiting, facts: Facts, made: Decision) -> None:
        assert made.winner is not None  # noqa: S101 - the caller asked
        # A microsecond apart, so that "longest without an assignment" tells a batch's agents apart.
        at = row["now"] + timedelta(microseconds=len(self.holds))
        self.facts[row["team_id"]] = decision.after(facts, made, at)
        for other, of_team in self.facts.items():
            if other != row["team_id"]:
                candidates = decision.with_assignment(of_team.candidates, made.winner.agent_id, at)
                self.facts[other] = replace(of_team, candidates=candidates)
        self.given.append(row)
        self.holds.append(
            assignment.Hold(
                workspace_id=row["workspace_id"],
                conversation_id=row["id"],
                agent_id=made.winner.agent_id,
                team_id=row["team_id"],
                rule=facts.rule,
                decision=decision.stored(made, _routed(row)),
                at=at,
            )
        )


async def _apply(transaction: Transaction, round_: Round, entering: frozenset[UUID]) -> None:
    if round_.holds:
        await assignment.begin(transaction, round_.holds)
        await _move_pointers(transaction, round_)
    if round_.waiting:
        await _keep_decisions(transaction, round_.waiting)
    _tell_stranded(round_.waiting)
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


async def _move_pointers(transaction: Transaction, round_: Round) -> None:
    moved = [
        (team_id, facts.round_robin_position)
        for team_id, facts in round_.facts.items()
        if facts.distribution is Distribution.ROUND_ROBIN
    ]
    if moved:
        await transaction.execute(
            """
            UPDATE teams t SET round_robin_position = p.position
            FROM unnest($1::uuid[], $2::bigint[]) AS p(id, position)
            WHERE t.id = p.id AND t.round_robin_position <> p.position
            """,
            *map(list, zip(*moved, strict=True)),
        )


async def _keep_decisions(
    transaction: Transaction, waiting: list[tuple[Waiting, Decision]]
) -> None:
    await transaction.execute(
        """
        UPDATE conversations c SET decision = g.decision::jsonb
        FROM unnest($1::uuid[], $2::text[]) AS g(id, decision) WHERE c.id = g.id
        """,
        [row["id"] for row, _ in waiting],
        [encode(_kept(row, made)) for row, made in waiting],
    )


def _tell_stranded(waiting: list[tuple[Waiting, Decision]]) -> None:
    """Of those for whom nobody is eligible, as the decision now says for the first time."""
    for row, made in waiting:
        if made.outcome is Outcome.NOBODY_ELIGIBLE:
            event.record(
                event.Kind.CONVERSATION_STRANDED,
                by=Actor.system(row["workspace_id"]),
                conversation_id=row["id"],
                contact_id=row["contact_id"],
                channel_id=row["channel_id"],
                from_team_id=row["team_id"],
                to_team_id=row["team_id"],
            )


def _kept(row: Waiting, made: Decision) -> dict[str, Any]:
    """A queue that agents pick from needs no verdicts: its members are free to pick."""
    if made.outcome is Outcome.WAITING_FOR_PICK:
        return decision.by_hand(made.facts.rule, None, _routed(row))
    return decision.stored(made, _routed(row))


def _routed(row: Waiting) -> dict[str, Any] | None:
    """What the precedence went by before the conversation came to this queue."""
    routed: dict[str, Any] | None = orjson.loads(row["routed"]) if row["routed"] else None
    return routed
