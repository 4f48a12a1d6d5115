"""Where the workflows of "conversation opened" send a conversation that nobody has yet.

A walk goes the way that a run would go, in memory and without a trace, until the first ASSIGN:
so routing knows who gets it before anything of the run is done.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from uuid import UUID

import orjson

from models import routing
from models.access import IS_HOLDER
from models.base import Line
from models.channel import SERVE_SUPPORT
from models.database import Row, Transaction
from models.precedence import Directed, Reason
from models.routing import Asked
from models.workflow import condition
from models.workflow.condition import Facts, met
from models.workflow.definition import (
    STEPS_MAX,
    AssignStep,
    BotOnStep,
    BranchStep,
    CloseStep,
    Definition,
    Marked,
    SetLineStep,
    Source,
    Step,
    TagStep,
)
from models.workflow.record import WORKFLOWS_MAX

# Published definitions never change, and reading one anew takes longer than walking it.
DEFINITIONS_KEPT_MAX = 512


@dataclass(frozen=True, slots=True)
class Walked:
    """The ASSIGN that a run would come to, if it came to one, and what would be so by then.

    `way` names the branches before it, each with the step that it led to.
    """

    step: AssignStep | None
    facts: Facts
    way: tuple[tuple[str, str | None], ...] = ()


def walk(definition: Definition, facts: Facts, lines: frozenset[Line] = frozenset(Line)) -> Walked:
    """Go from the first step to the first ASSIGN, or to where there is nothing more to place.

    A line that is not one of the channel's `lines` cannot be set: a run fails there.
    """
    if not definition.steps or not met(definition.conditions, facts):
        return Walked(None, facts)
    steps = definition.by_key
    step: Step | None = definition.steps[0]
    way: list[tuple[str, str | None]] = []
    for _ in range(STEPS_MAX):
        if isinstance(step, AssignStep):
            return Walked(step, facts, tuple(way))
        if step is None or _ends(step, lines):
            break
        facts = _after(step, facts)
        next_key = _next(step, facts)
        if isinstance(step, BranchStep):
            way.append((step.key, next_key))
        step = steps.get(next_key or "")
    return Walked(None, facts)


def _ends(step: Step, lines: frozenset[Line]) -> bool:
    fails = isinstance(step, SetLineStep) and step.line not in lines
    return fails or isinstance(step, CloseStep | BotOnStep)


def _after(step: Step, facts: Facts) -> Facts:
    if isinstance(step, SetLineStep):
        return replace(facts, line=step.line)
    if isinstance(step, TagStep) and step.on is Marked.CONTACT:
        named = dict(facts.tags_named)
        added = {named[name.strip()] for name in step.tags if name.strip() in named}
        return replace(facts, tag_ids=facts.tag_ids | added)
    return facts


def _next(step: Step, facts: Facts) -> str | None:
    if isinstance(step, BranchStep):
        for case in step.cases:
            if met(case.conditions, facts):
                return case.next
    return step.next


async def directions(transaction: Transaction, asked: Asked) -> tuple[Directed, ...]:
    """What the active workflows come to, in their order, as far as the first to be obeyed.

    Each goes on from what those before it would have changed by then.
    """
    rows = await transaction.fetch(
        _WORKFLOWS,
        asked.channel.workspace_id,
        asked.contact_id,
        WORKFLOWS_MAX,
        asked.conversation_id,
    )
    known = [(row, _recalled(row["definition"])) for row in rows]
    facts = await condition.read(
        transaction,
        workspace_id=asked.channel.workspace_id,
        contact_id=asked.contact_id,
        conversation_id=asked.conversation_id,
        channel_id=asked.channel.id,
        line=asked.line,
        # An opening by hand has its holder from the beginning.
        source=Source.CONTACT,
        definitions=[definition for _, definition in known],
        text=asked.text,
    )
    lines = frozenset(Line if asked.channel.kind in SERVE_SUPPORT else [Line.SALES])
    found: list[Directed] = []
    for row, definition in known:
        walked = walk(definition, facts, lines)
        facts = walked.facts
        if walked.step is not None:
            found.append(_directed(row, walked, walked.step, asked.line, lines))
            if found[-1].obstacle is None:
                break
    return tuple(found)


@lru_cache(maxsize=DEFINITIONS_KEPT_MAX)
def _recalled(definition: str) -> Definition:
    return Definition.recall(orjson.loads(definition))


def _directed(
    row: Row, walked: Walked, step: AssignStep, asked: Line, lines: frozenset[Line]
) -> Directed:
    line = walked.facts.line or asked
    active: Mapping[str, str] = orjson.loads(row["active"] or "{}")
    target = active.get(str(step.team_id or step.agent_id))
    team_line = Line(target) if target in list(Line) else None
    obstacle = None if target is not None else Reason.WORKFLOW_TARGET_INACTIVE
    if (team_line or line) not in lines:
        obstacle = Reason.WORKFLOW_LINE_NOT_SERVED
    return Directed(
        workflow_id=UUID(str(row["id"])),
        key=step.key,
        line=team_line or line,
        agent_id=step.agent_id,
        team_id=step.team_id,
        distribution=step.distribution,
        online_only=step.online_only,
        max_open=step.max_open,
        waiting_minutes=step.waiting_minutes if step.team_id else None,
        obstacle=obstacle,
        way=walked.way,
    )


# With each, of those that its steps assign to, who is active: teams with their lines.
_WORKFLOWS = f"""
    SELECT w.id, r.definition::text AS definition, (
        SELECT jsonb_object_agg(x.id, x.line) FROM (
            SELECT t.id, t.line FROM jsonb_array_elements(r.definition -> 'steps') s
            JOIN teams t ON t.id = (s ->> 'team_id')::uuid
            WHERE t.workspace_id = w.workspace_id AND t.is_active
            UNION
            SELECT a.id, '' FROM jsonb_array_elements(r.definition -> 'steps') s
            JOIN agents a ON a.id = (s ->> 'agent_id')::uuid
            WHERE a.workspace_id = w.workspace_id AND a.is_active AND {IS_HOLDER}) x) AS active
    FROM workflows w JOIN workflow_revisions r ON r.id = w.revision_id
    WHERE w.workspace_id = $1 AND w.status = 'ACTIVE' AND r.trigger = 'CONVERSATION_OPENED'
      AND NOT (r.is_once AND EXISTS (
          SELECT FROM workflow_runs o
          WHERE o.workflow_id = w.id AND o.contact_id = ANY(relevo_merged($2)) AND o.is_once
            AND o.status <> 'STARTING'))
      -- After the bot once for each opening: what ran in this one does not begin again.
      AND NOT EXISTS (
          SELECT FROM workflow_runs o
          WHERE o.conversation_id = $4 AND o.workflow_id = w.id
            AND o.trigger = 'CONVERSATION_OPENED'
            AND o.created_at >= coalesce(
                (SELECT max(s.closed_at) FROM closures s WHERE s.conversation_id = $4),
                (SELECT c.opened_at FROM conversations c WHERE c.id = $4)))
    ORDER BY w.position, w.created_at, w.id LIMIT $3
"""  # noqa: S608 - a constant

routing.let_workflows_direct(directions)
