"""Giving out the head of queues: facts under locks, decisions in memory, one set-based change."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import orjson

from models import assignment, candidates, decision, event, reservation
from models.access import Actor
from models.candidates import Lane
from models.database import Row, Transaction, encode, fetch
from models.decision import Decision, Distribution, Facts, Outcome, Rule, Settings

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
    facts = await candidates.lock_eligible(
        transaction, await candidates.read(transaction, teams, {lane_of(row) for row in waiting})
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
    lanes = [lane for lane in await _waiting([], list(eligible)) if lane[0] not in teams]
    if not lanes:
        return frozenset()
    others = await candidates.read_teams(transaction, list({team_id for team_id, _ in lanes}))
    facts = await candidates.read(transaction, others, lanes)
    return frozenset(
        team_id
        for (team_id, _), in_lane in facts.items()
        if eligible & candidates.eligible([in_lane])
    )


async def waiting_queues(teams: Sequence[UUID], agents: Sequence[UUID]) -> list[UUID]:
    """Of these teams, and of those that these agents draw from, the ones where somebody waits to be
    given out.
    """
    return list(dict.fromkeys(team_id for team_id, _ in await _waiting(teams, agents)))


async def _waiting(teams: Sequence[UUID], agents: Sequence[UUID]) -> list[Lane]:
    rows = await fetch(_WAITING_LANES, teams, agents)
    return [(row["id"], _settings(row["settings"])) for row in rows]


# Of a team `t`: each of the settings by which somebody waits in it, found one after the other.
_SETTINGS_OF_THOSE_WHO_WAIT = """
    WITH RECURSIVE found AS (
        (SELECT c.distribution AS settings FROM conversations c
         WHERE c.team_id = t.id AND c.status = 'QUEUED' AND c.distribution IS NOT NULL
         ORDER BY c.distribution LIMIT 1)
        UNION ALL
        SELECT (SELECT c.distribution FROM conversations c
                WHERE c.team_id = t.id AND c.status = 'QUEUED' AND c.distribution IS NOT NULL
                  AND c.distribution > f.settings ORDER BY c.distribution LIMIT 1)
        FROM found f WHERE f.settings IS NOT NULL)
    SELECT settings FROM found
    WHERE coalesce(settings ->> 'distribution', t.distribution) <> 'MANUAL'
      AND settings IS NOT NULL
"""
_WAITING_LANES = f"""
    WITH RECURSIVE above AS (
        SELECT team_id AS id, true AS is_own, 1 AS depth FROM memberships
        WHERE agent_id = ANY($2)
        UNION
        SELECT t.parent_id, false, a.depth + 1 FROM above a JOIN teams t ON t.id = a.id
        WHERE t.parent_id IS NOT NULL AND a.depth < 10
    )
    SELECT t.id, lane.settings FROM teams t CROSS JOIN LATERAL (
        SELECT NULL::jsonb AS settings
        WHERE t.distribution <> 'MANUAL'
          AND EXISTS (SELECT FROM conversations c WHERE c.team_id = t.id AND c.status = 'QUEUED'
                      AND c.distribution IS NULL AND NOT {reservation.IN_FORCE})
        UNION ALL ({_SETTINGS_OF_THOSE_WHO_WAIT})) lane
    WHERE t.is_active
      AND (t.id = ANY($1)
           OR EXISTS (SELECT FROM above a
                      WHERE a.id = t.id AND (a.is_own OR t.include_descendants))
           OR (t.is_todos AND t.workspace_id IN (
                   SELECT a.workspace_id FROM agents a WHERE a.id = ANY($2))))
"""  # noqa: S608 - constants
# Of a team `t`: whether anybody in its queue waits to be given out.
SOMEBODY_WAITS = f"""(
    (t.distribution <> 'MANUAL' AND EXISTS (
        SELECT FROM conversations c WHERE c.team_id = t.id AND c.status = 'QUEUED'
          AND NOT {reservation.IN_FORCE}))
    OR EXISTS (
        SELECT FROM conversations c WHERE c.team_id = t.id AND c.status = 'QUEUED'
          AND c.distribution IS NOT NULL AND c.distribution ->> 'distribution' IS NOT NULL))"""  # noqa: S608 - a constant


def plan(
    waiting: Sequence[Waiting], teams: Mapping[UUID, Row], facts: dict[Lane, Facts]
) -> "Round":
    """Decide on what waits, in memory: what would be given to whom, and what would go on waiting.

    Of a row of `waiting`: id, workspace_id, team_id, settings, queued_at, rule, outcome, routed,
    now, skipped_agent_id.
    """
    round_ = Round(facts)
    for row in sorted(waiting, key=lambda row: _precedence(row, teams[row["team_id"]])):
        round_.take(row)
    return round_


def lane_of(row: Waiting) -> Lane:
    return row["team_id"], row["settings"]


def _settings(stored: str | None) -> Settings | None:
    return None if stored is None else Settings.recall(orjson.loads(stored))


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

    Those who wait for anybody but one agent, or by the settings of a workflow's step, come beside
    the head: they may have to stay, and must hold up nobody.
    """
    rows = await transaction.fetch(
        f"""
        WITH head AS (
            SELECT h.id FROM unnest($2::uuid[]) AS t(id) CROSS JOIN LATERAL (
                (SELECT c.id FROM conversations c
                 WHERE c.team_id = t.id AND c.status = 'QUEUED' AND c.skipped_until IS NULL
                   AND c.distribution IS NULL AND NOT {reservation.IN_FORCE}
                 ORDER BY c.queued_at, c.id LIMIT $4)
                UNION ALL
                (SELECT c.id FROM conversations c
                 WHERE c.team_id = t.id AND c.status = 'QUEUED' AND c.skipped_until IS NOT NULL
                   AND c.distribution IS NULL AND NOT {reservation.IN_FORCE}
                 ORDER BY c.queued_at, c.id LIMIT $4)) h
            UNION
            SELECT h.id FROM teams t
            CROSS JOIN LATERAL ({_SETTINGS_OF_THOSE_WHO_WAIT}) lane
            CROSS JOIN LATERAL (
                SELECT c.id FROM conversations c
                WHERE c.team_id = t.id AND c.status = 'QUEUED' AND c.distribution IS NOT NULL
                  AND c.distribution = lane.settings
                ORDER BY c.queued_at, c.id LIMIT $4) h
            WHERE t.id = ANY($1)
            UNION SELECT unnest($3::uuid[])
        )
        SELECT c.id, c.workspace_id, c.team_id, c.distribution AS settings, c.queued_at,
               c.contact_id, c.channel_id,
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
    return [{**row, "settings": _settings(row["settings"])} for row in rows]


class Round:
    """One batch of decisions, made in memory before any of them is applied."""

    def __init__(self, facts: dict[Lane, Facts]) -> None:
        self.facts = facts
        self.holds: list[assignment.Hold] = []
        self.given: list[Waiting] = []
        self.waiting: list[tuple[Waiting, Decision]] = []
        self.pointers: dict[UUID, int] = {}
        self._seen: set[Lane] = set()
        self._exhausted: dict[Lane, Decision] = {}
        self._stuck: set[Lane] = set()
        self._undecided: set[Lane] = set()

    @property
    def done(self) -> frozenset[UUID]:
        """The teams from which nothing more can be given now."""
        served = {lane_of(row) for row in self.given}
        done = self._exhausted.keys() | (self._stuck - served - self._undecided)
        return frozenset(team_id for team_id, _ in done) - {
            team_id for team_id, _ in self._seen - done
        }

    def take(self, row: Waiting) -> None:
        """Decide on one, unless a whole batch is given already and somebody still could get it."""
        self._seen.add(lane_of(row))
        if len(self.holds) < BATCH_SIZE_MAX or lane_of(row) in self._exhausted:
            self._decide(row)
        else:
            self._undecided.add(lane_of(row))

    def _decide(self, row: Waiting) -> None:
        lane = lane_of(row)
        facts = replace(
            self.facts[lane], rule=Rule(row["rule"]), skipped_agent_id=row["skipped_agent_id"]
        )
        made = self._exhausted.get(lane) if facts.skipped_agent_id is None else None
        made = made or decision.decide(facts)
        if made.winner is not None:
            self._give(row, facts, made)
            return
        if facts.skipped_agent_id is None:
            self._exhausted[lane] = made
        else:
            # Somebody may be eligible for the others all the same.
            self._stuck.add(lane)
        if row["outcome"] != made.outcome:
            self.waiting.append((row, replace(made, facts=facts)))

    def _give(self, row: Waiting, facts: Facts, made: Decision) -> None:
        assert made.winner is not None  # noqa: S101 - the caller asked
        # A microsecond apart, so that "longest without an assignment" tells a batch's agents apart.
        at = row["now"] + timedelta(microseconds=len(self.holds))
        moved = decision.after(facts, made, at).round_robin_position
        if moved != facts.round_robin_position:
            self.pointers[row["team_id"]] = moved
        for lane, in_lane in self.facts.items():
            self.facts[lane] = replace(
                in_lane,
                candidates=decision.with_assignment(in_lane.candidates, made.winner.agent_id, at),
                # Of the team, whoever moves it.
                round_robin_position=self.pointers.get(lane[0], in_lane.round_robin_position),
            )
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
    if round_.pointers:
        await transaction.execute(
            """
            UPDATE teams t SET round_robin_position = p.position
            FROM unnest($1::uuid[], $2::bigint[]) AS p(id, position)
            WHERE t.id = p.id AND t.round_robin_position <> p.position
            """,
            list(round_.pointers),
            list(round_.pointers.values()),
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
