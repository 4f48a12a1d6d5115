"""Every promise, checked against the stored rows; there is never anything to report.

All checks read one instant. On a million conversations those of state take well under a second
each; those that compare with the log, or look at every message, read their table once and take
seconds; what reports count is compared with all of history, in a minute. Decisions are decided
again for the newest only: no check may grow without bound.
"""

from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass, replace
from typing import Any

import orjson

from models import decision, invariant, precedence
from models.database import Row, Transaction, snapshot
from models.decision import Outcome, Settings
from models.invariant import Invariant
from models.precedence import Place
from models.report import invariant as report_invariant
from models.ticket import invariant as ticket_invariant
from models.webhook import invariant as webhook_invariant
from models.workflow import invariant as workflow_invariant

BREACHES_MAX = 20
DECISIONS_MAX = 10_000
PAGE_SIZE = 500
TIMEOUT_SECONDS = 600

DECIDED_AGAIN = "A stored decision comes to its winner when it is made again"
ROUTED_AGAIN = "A stored decision comes to its place when its facts are routed again"
WITHIN_LIMIT = "Nobody was given a conversation automatically beyond its limit"

# Only decisions of a distribution have candidates, and only those of the precedence were routed; a
# choice by hand is nobody's to recompute.
_RECOMPUTABLE = """(decision -> 'candidates' <> '[]'
    OR jsonb_typeof(decision -> 'routed') = 'object')"""
_DECISIONS = f"""
    DECLARE decisions NO SCROLL CURSOR FOR
    (SELECT 'assignment ' || id AS what, decision, agent_id, team_id, conversation_id,
            'ASSIGNED' AS status, NULL::uuid AS reserved_for_id,
            NULL::timestamptz AS reserved_until, NULL::jsonb AS distribution
     FROM assignments WHERE {_RECOMPUTABLE} ORDER BY started_at DESC LIMIT {DECISIONS_MAX})
    UNION ALL
    (SELECT 'conversation ' || id, decision, NULL, team_id, id,
            status, reserved_for_id, reserved_until, distribution
     FROM conversations WHERE status IN ('BOT', 'QUEUED') AND {_RECOMPUTABLE}
     LIMIT {DECISIONS_MAX})
"""  # noqa: S608 - constants


ALWAYS = (
    *invariant.ALWAYS,
    *ticket_invariant.ALWAYS,
    *workflow_invariant.ALWAYS,
    *webhook_invariant.ALWAYS,
    *report_invariant.ALWAYS,
)


@dataclass(frozen=True, slots=True)
class Violation:
    """A promise that is broken, and where."""

    invariant: str
    detail: str


async def violations(*, settled: bool = True) -> list[Violation]:
    """At most BREACHES_MAX of each promise.

    While commands are running, a conversation may wait beside a free agent for the moment between
    the commit that freed it and the drain that follows: such a finding counts when it stays, and
    `settled=False` leaves it out.
    """
    promises = [*ALWAYS, *([invariant.NO_IDLE_CAPACITY] if settled else [])]
    async with snapshot() as transaction:
        return await violations_in(transaction, promises)


async def violations_in(transaction: Transaction, promises: Iterable[Invariant]) -> list[Violation]:
    """What the transaction sees broken of these promises, and of those about decisions."""
    await transaction.execute(f"SET LOCAL statement_timeout = '{TIMEOUT_SECONDS}s'")
    found = [violation async for violation in _stored(transaction, promises)]
    return found + [violation async for violation in _decisions(transaction)]


async def _stored(
    transaction: Transaction, promises: Iterable[Invariant]
) -> AsyncIterator[Violation]:
    for promise in promises:
        rows = await transaction.fetch(
            f"{promise.breaches} LIMIT {BREACHES_MAX}",
            timeout=TIMEOUT_SECONDS,
        )
        for row in rows:
            yield Violation(promise.promise, row[0])


async def _decisions(transaction: Transaction) -> AsyncIterator[Violation]:
    await transaction.execute(_DECISIONS)
    reported = 0
    while reported < BREACHES_MAX:
        page = await transaction.fetch(f"FETCH {PAGE_SIZE} FROM decisions", timeout=TIMEOUT_SECONDS)
        if not page:
            return
        for row in page:
            for promise in _broken(row):
                reported += 1
                yield Violation(promise, row["what"])


def _broken(row: Row) -> list[str]:
    stored = orjson.loads(row["decision"])
    promises = []
    if stored.get("routed") and not _is_routed_again(stored, row):
        promises.append(ROUTED_AGAIN)
    if stored.get("candidates"):
        winner = str(row["agent_id"]) if row["agent_id"] else None
        promises += _broken_by_distribution(stored, winner)
    return promises


def _is_routed_again(stored: dict[str, Any], row: Row) -> bool:
    """Whether the facts give the rule, the reasons and the place that the row says."""
    routed = stored["routed"]
    again = precedence.place(precedence.recall(routed["facts"]))
    if again.rule != stored["rule"] or list(again.passed) != routed["passed"]:
        return False
    if again.reopens not in (None, row["conversation_id"]):
        return False
    return (
        _is_held_by(again, stored, row) if row["agent_id"] else _is_waiting_in(again, stored, row)
    )


def _is_held_by(again: Place, stored: dict[str, Any], row: Row) -> bool:
    """By the agent that it goes to; out of the queue, by its owner or whom distribution chose."""
    if again.is_with_bot or stored["winner"] != str(row["agent_id"]):
        return False
    if again.agent_id is not None:
        return bool(again.agent_id == row["agent_id"])
    is_chosen = bool(stored["candidates"]) or again.reserved_for == row["agent_id"]
    return is_chosen and bool(again.team_id == row["team_id"])


def _is_waiting_in(again: Place, stored: dict[str, Any], row: Row) -> bool:
    """In its queue, for its owner unless the contact has another one since, and given out there by
    the settings of the step that put it there.
    """
    if row["reserved_for_id"] is None and stored.get("outcome") != Outcome.RESERVED:
        again = replace(again, reserved_for=None, reserved_until=None)
    expected = Place(
        again.rule,
        team_id=row["team_id"],
        reserved_for=row["reserved_for_id"],
        reserved_until=row["reserved_until"],
        passed=again.passed,
        step=again.step,
    )
    settings = Settings.recall(orjson.loads(row["distribution"])) if row["distribution"] else None
    is_there = again == expected and again.is_with_bot == (row["status"] == "BOT")
    return is_there and settings == again.settings


def _broken_by_distribution(stored: dict[str, Any], winner: str | None) -> list[str]:
    facts = decision.recall(stored)
    again = orjson.loads(orjson.dumps(decision.stored(decision.decide(facts)), default=str))
    promises = []
    if stored["winner"] != winner or _outcome(again) != _outcome(stored):
        promises.append(DECIDED_AGAIN)
    if any(
        str(candidate.agent_id) == winner and candidate.load >= candidate.limit(facts.max_open)
        for candidate in facts.candidates
    ):
        promises.append(WITHIN_LIMIT)
    return promises


def _outcome(stored: dict[str, Any]) -> tuple[str, str | None, str | None, list[str]]:
    verdicts = [candidate["verdict"] for candidate in stored["candidates"]]
    return stored["outcome"], stored["winner"], stored["tie_break"], verdicts
