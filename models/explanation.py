"""Why not this agent: what stood, or stands, between a conversation and one member."""

from dataclasses import dataclass, replace
from typing import Any
from uuid import UUID

import orjson

from models import candidates, decision, reservation
from models.access import Actor
from models.database import Row, Transaction, snapshot
from models.decision import Candidate, Facts, Outcome, Rule, Settings, Verdict
from models.visibility import VISIBLE, Visibility


@dataclass(frozen=True, slots=True)
class Explanation:
    """A verdict on one agent, and the decision in its stored form that it is part of."""

    verdict: Verdict
    decision: dict[str, Any]


_CONVERSATION = f"""
    SELECT c.id, c.status, c.team_id, c.distribution, c.decision, c.reserved_for_id,
           {reservation.IN_FORCE} AS is_reserved,
           CASE WHEN c.skipped_until > relevo_now() THEN c.skipped_agent_id END AS skipped_agent_id,
           last.agent_id AS holder_id, last.decision AS held_by
    FROM (SELECT * FROM conversations WHERE id = $5 AND {VISIBLE}) c
    LEFT JOIN LATERAL (
        SELECT agent_id, decision FROM assignments a
        WHERE a.conversation_id = c.id ORDER BY started_at DESC LIMIT 1) last ON true
    WHERE EXISTS (SELECT FROM agents a WHERE a.id = $6 AND a.workspace_id = $1)
"""  # noqa: S608 - constants


async def why_not(id: UUID, agent_id: UUID, *, by: Actor) -> Explanation | None:
    """What speaks for or against an agent, of everybody in the workspace.

    About what somebody holds or held, the decision that gave it answers; about what waits, the
    facts of this moment do. None when the conversation or the agent is not there for the asker.
    """
    seen = await Visibility.of(by)
    async with snapshot() as transaction:
        row = await transaction.fetchrow(_CONVERSATION, *seen.arguments, id, agent_id)
        if row is None:
            return None
        if row["status"] == "QUEUED":
            return await _of_waiting(transaction, row, agent_id)
    if row["status"] != "BOT" and row["held_by"] is not None:
        return _of_stored(orjson.loads(row["held_by"]), agent_id, holder_id=row["holder_id"])
    return _of_stored(orjson.loads(row["decision"] or _NOTHING), agent_id)


# What closed without ever having been held.
_NOTHING = orjson.dumps(decision.by_hand(Rule.TODOS, None))


def _of_stored(
    stored: dict[str, Any], agent_id: UUID, *, holder_id: UUID | None = None
) -> Explanation:
    if agent_id == holder_id:
        return Explanation(Verdict.CHOSEN, stored)
    for candidate in stored["candidates"]:
        if candidate["agent_id"] == str(agent_id):
            return Explanation(Verdict(candidate["verdict"]), stored)
    compared = bool(stored["candidates"])
    return Explanation(Verdict.NOT_MEMBER if compared else Verdict.NOT_CONSIDERED, stored)


async def _of_waiting(transaction: Transaction, row: Row, agent_id: UUID) -> Explanation:
    teams = await candidates.read_teams(transaction, [row["team_id"]])
    facts = (await candidates.read_all(transaction, teams))[row["team_id"]]
    if row["distribution"] is not None:
        facts = Settings.recall(orjson.loads(row["distribution"])).over(facts)
    kept = orjson.loads(row["decision"])
    made = decision.decide(
        replace(facts, rule=Rule(kept["rule"]), skipped_agent_id=row["skipped_agent_id"])
    )
    stored = decision.stored(made, kept.get("routed"))
    if row["is_reserved"]:
        stored["outcome"] = Outcome.RESERVED
    found = zip(facts.candidates, made.verdicts, strict=True)
    mine = next((pair for pair in found if pair[0].agent_id == agent_id), None)
    if row["is_reserved"] and row["reserved_for_id"] != agent_id:
        return Explanation(Verdict.RESERVED, stored)
    if mine is None:
        return Explanation(Verdict.NOT_MEMBER, stored)
    if not facts.distributes:
        return Explanation(_of_picking(mine[0], facts), stored)
    return Explanation(mine[1], stored)


def _of_picking(candidate: Candidate, facts: Facts) -> Verdict:
    """Whoever picks needs neither presence nor hours: an active account with room is enough."""
    there = replace(facts, online_only=False, max_open=None, skipped_agent_id=None)
    asked = replace(candidate, accepts_new=True, is_within_hours=True)
    return decision.obstacle(asked, there) or Verdict.MAY_PICK
