"""Every stored decision as facts and what they came to, in words that mean the same elsewhere.

Ids become names, and instants become their order, as far as a rule asks for it: what is equal here
must have been decided equally, in whichever workspace and however fast the messages came.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import orjson

from models import decision, precedence
from models.database import Row, fetch

Names = dict[str, str]
Fields = dict[str, Any]

# What a stored decision came to; all else in it are the facts.
_RESULTS = ("routed", "outcome", "winner", "tie_break")


@dataclass(frozen=True, slots=True)
class Decided:
    """One decision; `again` is what the same facts come to when they are decided again."""

    what: str
    question: str
    facts: str
    outcome: str
    again: str


@dataclass(frozen=True, slots=True)
class Comparison:
    """How far decisions say the same: `shared` are the facts that were decided more than once."""

    decisions: int
    facts: int
    shared: int
    contradictions: list[list[Decided]]
    changed: list[Decided]


def compared(decisions: Iterable[Decided]) -> Comparison:
    """Equal facts with unequal outcomes, and decisions that come out otherwise the second time."""
    by_facts: dict[tuple[str, str], list[Decided]] = defaultdict(list)
    for made in decisions:
        by_facts[made.question, made.facts].append(made)
    groups = list(by_facts.values())
    return Comparison(
        decisions=sum(map(len, groups)),
        facts=len(groups),
        shared=sum(len(group) > 1 for group in groups),
        contradictions=[group for group in groups if len({made.outcome for made in group}) > 1],
        changed=[made for group in groups for made in group if made.outcome != made.again],
    )


async def decided() -> list[Decided]:
    """All of them, of every workspace in the database that the models are connected to."""
    names: Names = {
        str(row["id"]): row["name"]
        for row in await fetch(
            """
            SELECT id, name FROM agents UNION ALL
            SELECT id, line || ' ' || name FROM teams
            """
        )
    }
    rows = await fetch(
        """
        SELECT 'assignment ' || id AS what, decision, agent_id, team_id, conversation_id,
               'ASSIGNED' AS status FROM assignments
        UNION ALL
        SELECT 'conversation ' || id, decision, NULL, team_id, id, status
        FROM conversations WHERE status IN ('BOT', 'QUEUED') AND decision IS NOT NULL
        """
    )
    return [made for row in rows for made in _of(row, names)]


def _of(row: Row, names: Names) -> Iterator[Decided]:
    stored = orjson.loads(row["decision"])
    if stored["candidates"]:
        again = orjson.loads(
            orjson.dumps(decision.stored(decision.decide(decision.recall(stored))), default=str)
        )
        yield Decided(
            row["what"],
            "WHO",
            _canonical(_distribution_facts(stored), names),
            _canonical(_distribution_outcome(stored), names),
            _canonical(_distribution_outcome(again), names),
        )
    if stored.get("routed"):
        facts = stored["routed"]["facts"]
        yield Decided(
            row["what"],
            "WHERE",
            _canonical(_place_facts(facts), names),
            _canonical(_place_outcome(row, stored), names),
            _canonical(_place_again(facts), names),
        )


def _canonical(value: Fields, names: Names) -> str:
    return orjson.dumps(_named(value, names), option=orjson.OPT_SORT_KEYS).decode()


def _named(value: Any, names: Names) -> Any:
    """With names for ids; an id without a name is an error, for it would equal nothing."""
    if isinstance(value, dict):
        return {key: _named(each, names) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_named(each, names) for each in value]
    return names[str(value)] if _is_id(value) else value


def _is_id(value: Any) -> bool:
    try:
        return isinstance(value, UUID) or bool(UUID(value))
    except (AttributeError, TypeError, ValueError):
        return False


def _distribution_facts(stored: Fields) -> Fields:
    facts = {name: value for name, value in stored.items() if name not in _RESULTS}
    facts["candidates"] = [
        {**_without(candidate, "verdict", "last_assigned_at"), "order": order}
        for candidate, order in zip(
            stored["candidates"], _orders(stored["candidates"]), strict=True
        )
    ]
    return facts


def _orders(candidates: list[Fields]) -> list[tuple[int, int]]:
    """Who was assigned longest ago, and among those assigned at once, whose id is smaller."""
    instants = [_instant(candidate["last_assigned_at"]) for candidate in candidates]
    known = sorted(set(instants))
    return [
        (
            known.index(instant),
            sum(
                other["agent_id"] < candidate["agent_id"]
                for other, at in zip(candidates, instants, strict=True)
                if at == instant
            ),
        )
        for candidate, instant in zip(candidates, instants, strict=True)
    ]


def _instant(stored: str | None) -> float:
    return datetime.fromisoformat(stored).timestamp() if stored else 0.0


def _distribution_outcome(stored: Fields) -> Fields:
    return {
        "outcome": stored["outcome"],
        "winner": stored["winner"],
        "tie_break": stored["tie_break"],
        "verdicts": [candidate["verdict"] for candidate in stored["candidates"]],
    }


def _place_facts(facts: Fields) -> Fields:
    sticky = facts["sticky"]
    if sticky:
        sticky = {
            **_without(sticky, "closed_at", "window_hours"),
            "reopens": sticky["reopens"] is not None,
            "is_over": _is_over(sticky, facts["now"]),
        }
    return {**_without(facts, "now"), "sticky": sticky}


def _is_over(sticky: Fields, now: str) -> bool | None:
    """Whether the window ended before the customer wrote; none without a window."""
    if sticky["window_hours"] is None:
        return None
    waited = datetime.fromisoformat(now) - datetime.fromisoformat(sticky["closed_at"])
    return waited > timedelta(hours=sticky["window_hours"])


def _place_outcome(row: Row, stored: Fields) -> Fields:
    """As the row has it: directly with an agent, or by way of a team, whoever got it there."""
    is_sticky = stored["rule"] == "STICKY"
    reopens = stored["routed"]["facts"]["sticky"]["reopens"] if is_sticky else None
    # What a sticky agent reopens keeps its team.
    directly = row["agent_id"] is not None and (is_sticky or row["team_id"] is None)
    return {
        "rule": stored["rule"],
        "passed": stored["routed"]["passed"],
        "agent": row["agent_id"] if directly else None,
        "team": None if directly else row["team_id"],
        "reopens": reopens == str(row["conversation_id"]),
    }


def _place_again(facts: Fields) -> Fields:
    place = precedence.place(precedence.recall(facts))
    return {
        "rule": place.rule,
        "passed": place.passed,
        "agent": place.agent_id,
        "team": place.team_id,
        "reopens": place.reopens is not None,
    }


def _without(value: Fields, *names: str) -> Fields:
    return {name: each for name, each in value.items() if name not in names}
