"""The decision: given who could take a conversation, who gets it and why.

Pure: no clock, no database, no randomness. The facts are stored with the decision, so that anyone
can ask again and get the same winner.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

ROUND_ROBIN_START = 0


class Distribution(StrEnum):
    """Who gives out the conversations of a queue."""

    MANUAL = "MANUAL"
    ROUND_ROBIN = "ROUND_ROBIN"
    LEAST_OPEN = "LEAST_OPEN"


class Availability(StrEnum):
    """What an agent says of itself; without a live connection it counts as OFFLINE."""

    ONLINE = "ONLINE"
    AWAY = "AWAY"
    OFFLINE = "OFFLINE"


class Rule(StrEnum):
    """Which rule chose the place of a conversation."""

    OWNER = "OWNER"
    STICKY = "STICKY"
    BOT = "BOT"
    HANDED_OFF = "HANDED_OFF"
    WORKFLOW = "WORKFLOW"
    CHANNEL_TARGET = "CHANNEL_TARGET"
    TODOS = "TODOS"
    PICKED = "PICKED"
    ASSIGNED_BY_HAND = "ASSIGNED_BY_HAND"
    TRANSFERRED = "TRANSFERRED"
    UNASSIGNED = "UNASSIGNED"
    REOPENED = "REOPENED"
    BOT_PAUSED = "BOT_PAUSED"
    OPENED_BY_HAND = "OPENED_BY_HAND"
    WOKEN = "WOKEN"
    LINE_SET = "LINE_SET"
    ANSWER_TIMEOUT = "ANSWER_TIMEOUT"
    AGENT_DEACTIVATED = "AGENT_DEACTIVATED"
    TEAM_DELETED = "TEAM_DELETED"
    WORKFLOW_TIMEOUT = "WORKFLOW_TIMEOUT"


class Outcome(StrEnum):
    """What the decision comes to."""

    ASSIGNED = "ASSIGNED"
    WAITING_FOR_PICK = "WAITING_FOR_PICK"
    NOBODY_ELIGIBLE = "NOBODY_ELIGIBLE"
    RESERVED = "RESERVED"
    WITH_BOT = "WITH_BOT"


class Verdict(StrEnum):
    """What spoke for or against one candidate."""

    CHOSEN = "CHOSEN"
    LOST_TURN = "LOST_TURN"
    LOST_LOAD = "LOST_LOAD"
    LOST_TIE = "LOST_TIE"
    INACTIVE = "INACTIVE"
    OUTSIDE_HOURS = "OUTSIDE_HOURS"
    OFFLINE = "OFFLINE"
    AWAY = "AWAY"
    NOT_ACCEPTING = "NOT_ACCEPTING"
    AT_CAPACITY = "AT_CAPACITY"
    SKIPPED_AFTER_TIMEOUT = "SKIPPED_AFTER_TIMEOUT"
    NOT_MEMBER = "NOT_MEMBER"
    RESERVED = "RESERVED"
    MAY_PICK = "MAY_PICK"
    NOT_CONSIDERED = "NOT_CONSIDERED"


class TieBreak(StrEnum):
    """What told equal candidates apart."""

    NEXT_IN_ORDER = "NEXT_IN_ORDER"
    SMALLEST_LOAD = "SMALLEST_LOAD"
    LONGEST_WITHOUT_ASSIGNMENT = "LONGEST_WITHOUT_ASSIGNMENT"
    SMALLER_ID = "SMALLER_ID"


@dataclass(frozen=True, slots=True)
class Candidate:
    """What is known of one member at the moment of the decision."""

    agent_id: UUID
    position: int
    is_active: bool
    is_connected: bool
    availability: Availability
    accepts_new: bool
    load: int
    capacity: int
    last_assigned_at: datetime | None
    is_within_hours: bool = True

    def limit(self, max_open: int | None) -> int:
        """How many open conversations this member may hold before automatic ones stop."""
        return self.capacity if max_open is None else min(self.capacity, max_open)


@dataclass(frozen=True, slots=True)
class Facts:
    """A team's rules, its pointer and its members, as they were."""

    rule: Rule
    distribution: Distribution
    online_only: bool
    max_open: int | None
    round_robin_position: int
    candidates: tuple[Candidate, ...]
    # Let this very conversation wait too long for an answer, lately.
    skipped_agent_id: UUID | None = None

    @property
    def distributes(self) -> bool:
        return self.distribution is not Distribution.MANUAL


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """How a workflow's step has a conversation given out; what it leaves open its team decides."""

    workflow: UUID
    key: str
    distribution: Distribution | None = None
    online_only: bool | None = None
    max_open: int | None = None

    @classmethod
    def of(
        cls,
        workflow: UUID,
        key: str,
        *,
        distribution: Distribution | None,
        online_only: bool | None,
        max_open: int | None,
    ) -> "Settings | None":
        """Those of a step, if it sets anything."""
        if distribution is None and online_only is None and max_open is None:
            return None
        return cls(
            workflow=workflow,
            key=key,
            distribution=distribution,
            online_only=online_only,
            max_open=max_open,
        )

    def over(self, facts: Facts) -> Facts:
        """The team's facts with these instead of its own settings; the pointer stays the team's."""
        return replace(
            facts,
            distribution=self.distribution or facts.distribution,
            online_only=facts.online_only if self.online_only is None else self.online_only,
            max_open=facts.max_open if self.max_open is None else self.max_open,
        )

    @classmethod
    def recall(cls, stored: dict[str, Any]) -> "Settings":
        distribution = stored["distribution"]
        return cls(
            **{
                **stored,
                "workflow": UUID(str(stored["workflow"])),
                "distribution": Distribution(distribution) if distribution else None,
            }
        )


@dataclass(frozen=True, slots=True)
class Decision:
    """Why: every candidate with its verdict, the rule, the tie-break, the winner."""

    facts: Facts
    outcome: Outcome
    verdicts: tuple[Verdict, ...]
    winner: Candidate | None = None
    tie_break: TieBreak | None = None


def obstacle(candidate: Candidate, facts: Facts) -> Verdict | None:
    """Why automatic distribution passes this member over; none if it is eligible."""
    absence = absence_of(candidate) if facts.online_only else None
    against = (
        (not candidate.is_active, Verdict.INACTIVE),
        (not candidate.is_within_hours, Verdict.OUTSIDE_HOURS),
        (absence is not None, absence),
        (not candidate.accepts_new, Verdict.NOT_ACCEPTING),
        (candidate.load >= candidate.limit(facts.max_open), Verdict.AT_CAPACITY),
        (candidate.agent_id == facts.skipped_agent_id, Verdict.SKIPPED_AFTER_TIMEOUT),
    )
    return next((verdict for stands, verdict in against if stands), None)


def absence_of(candidate: Candidate) -> Verdict | None:
    if not candidate.is_connected or candidate.availability is Availability.OFFLINE:
        return Verdict.OFFLINE
    return Verdict.AWAY if candidate.availability is Availability.AWAY else None


def decide(facts: Facts) -> Decision:
    """The winner among the members, or why there is none."""
    obstacles = [obstacle(candidate, facts) for candidate in facts.candidates]
    eligible = [
        candidate
        for candidate, verdict in zip(facts.candidates, obstacles, strict=True)
        if verdict is None
    ]
    if facts.distribution is Distribution.MANUAL or not eligible:
        manual = facts.distribution is Distribution.MANUAL
        outcome = Outcome.WAITING_FOR_PICK if manual else Outcome.NOBODY_ELIGIBLE
        return Decision(
            facts, outcome, tuple(verdict or Verdict.LOST_TURN for verdict in obstacles)
        )
    if facts.distribution is Distribution.ROUND_ROBIN:
        winner, tie_break = _next_in_order(eligible, facts.round_robin_position)
    else:
        winner, tie_break = _least_open(eligible)
    verdicts = tuple(
        verdict or _lost(candidate, winner, facts.distribution)
        for candidate, verdict in zip(facts.candidates, obstacles, strict=True)
    )
    return Decision(facts, Outcome.ASSIGNED, verdicts, winner, tie_break)


def _next_in_order(eligible: list[Candidate], pointer: int) -> tuple[Candidate, TieBreak]:
    after = [candidate for candidate in eligible if candidate.position > pointer]
    winner = min(after or eligible, key=lambda candidate: candidate.position)
    return winner, TieBreak.NEXT_IN_ORDER


def _least_open(eligible: list[Candidate]) -> tuple[Candidate, TieBreak]:
    least = min(candidate.load for candidate in eligible)
    lightest = [candidate for candidate in eligible if candidate.load == least]
    if len(lightest) == 1:
        return lightest[0], TieBreak.SMALLEST_LOAD
    longest = min(_waited_since(candidate) for candidate in lightest)
    oldest = [candidate for candidate in lightest if _waited_since(candidate) == longest]
    if len(oldest) == 1:
        return oldest[0], TieBreak.LONGEST_WITHOUT_ASSIGNMENT
    return min(oldest, key=lambda candidate: candidate.agent_id), TieBreak.SMALLER_ID


def _waited_since(candidate: Candidate) -> tuple[bool, float]:
    last = candidate.last_assigned_at
    return (last is not None, last.timestamp() if last else 0.0)


def _lost(candidate: Candidate, winner: Candidate, distribution: Distribution) -> Verdict:
    if candidate.agent_id == winner.agent_id:
        return Verdict.CHOSEN
    if distribution is Distribution.ROUND_ROBIN:
        return Verdict.LOST_TURN
    return Verdict.LOST_TIE if candidate.load == winner.load else Verdict.LOST_LOAD


def after(facts: Facts, decision: Decision, at: datetime) -> Facts:
    """The facts once the winner holds the conversation, for deciding on the next one."""
    if decision.winner is None:
        return facts
    return replace(
        facts,
        round_robin_position=decision.winner.position
        if facts.distribution is Distribution.ROUND_ROBIN
        else facts.round_robin_position,
        candidates=with_assignment(facts.candidates, decision.winner.agent_id, at),
    )


def with_assignment(
    candidates: Iterable[Candidate], agent_id: UUID, at: datetime
) -> tuple[Candidate, ...]:
    return tuple(
        replace(candidate, load=candidate.load + 1, last_assigned_at=at)
        if candidate.agent_id == agent_id
        else candidate
        for candidate in candidates
    )


def stored(decision: Decision, routed: dict[str, Any] | None = None) -> dict[str, Any]:
    """The decision as it is kept with an assignment or a waiting conversation.

    `routed` is what the precedence went by before it came to this queue.
    """
    facts = decision.facts
    return {
        "routed": routed,
        "rule": facts.rule,
        "outcome": decision.outcome,
        "distribution": facts.distribution,
        "online_only": facts.online_only,
        "max_open": facts.max_open,
        "round_robin_position": facts.round_robin_position,
        "skipped_agent_id": facts.skipped_agent_id,
        "winner": decision.winner.agent_id if decision.winner else None,
        "tie_break": decision.tie_break,
        "candidates": [
            {
                "agent_id": candidate.agent_id,
                "position": candidate.position,
                "is_active": candidate.is_active,
                "is_connected": candidate.is_connected,
                "availability": candidate.availability,
                "accepts_new": candidate.accepts_new,
                "load": candidate.load,
                "capacity": candidate.capacity,
                "last_assigned_at": candidate.last_assigned_at,
                "is_within_hours": candidate.is_within_hours,
                "verdict": verdict,
            }
            for candidate, verdict in zip(facts.candidates, decision.verdicts, strict=True)
        ],
    }


def by_hand(
    rule: Rule, winner_id: UUID | None, routed: dict[str, Any] | None = None
) -> dict[str, Any]:
    """The stored form of a choice that the distribution did not make."""
    outcome = Outcome.ASSIGNED if winner_id else Outcome.WAITING_FOR_PICK
    return {
        "rule": rule,
        "outcome": outcome,
        "winner": winner_id,
        "candidates": [],
        "routed": routed,
    }


def with_bot() -> dict[str, Any]:
    """The stored form of leaving a conversation to the bot."""
    return {"rule": Rule.BOT, "outcome": Outcome.WITH_BOT, "candidates": []}


def recall(stored: dict[str, Any]) -> Facts:
    """The facts of a stored decision, to decide again."""
    skipped = stored.get("skipped_agent_id")
    return Facts(
        rule=Rule(stored["rule"]),
        distribution=Distribution(stored["distribution"]),
        online_only=stored["online_only"],
        max_open=stored["max_open"],
        round_robin_position=stored["round_robin_position"],
        candidates=tuple(_recall_candidate(candidate) for candidate in stored["candidates"]),
        skipped_agent_id=UUID(skipped) if skipped else None,
    )


def _recall_candidate(stored: dict[str, Any]) -> Candidate:
    last = stored["last_assigned_at"]
    return Candidate(
        agent_id=UUID(stored["agent_id"]),
        position=stored["position"],
        is_active=stored["is_active"],
        is_connected=stored["is_connected"],
        availability=Availability(stored["availability"]),
        accepts_new=stored["accepts_new"],
        load=stored["load"],
        capacity=stored["capacity"],
        last_assigned_at=datetime.fromisoformat(last) if last else None,
        is_within_hours=stored.get("is_within_hours", True),
    )
