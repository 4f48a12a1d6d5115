"""Whom workflows give conversations to, and who takes that over from somebody who goes."""

from dataclasses import replace
from typing import Any
from uuid import UUID

from models.access import Actor
from models.workflow.definition import (
    AssignStep,
    BranchStep,
    Condition,
    Definition,
    HoursCondition,
    Step,
)
from models.workflow.record import Workflow, WorkflowRevision, WorkflowStatus


async def hand_over(id: UUID, to_id: UUID, *, by: Actor) -> None:
    """Let the workflows of the workspace name a replacement instead of a team or an agent.

    The caller locked them all. What is published is published anew, without what its draft says
    besides; runs that go on do so with what was published when they began.
    """
    live = await (
        Workflow.filter(workspace_id=by.workspace_id)
        .exclude(status=WorkflowStatus.ARCHIVED)
        .order_by("position", "id")
    )
    revisions = {
        revision.id: revision
        for revision in await WorkflowRevision.filter(
            id__in=[workflow.revision_id for workflow in live if workflow.revision_id]
        )
    }
    for workflow in live:
        published = revisions.get(workflow.revision_id) if workflow.revision_id else None
        await _name_instead(workflow, published, id, to_id, by=by)


async def _name_instead(
    workflow: Workflow, published: WorkflowRevision | None, id: UUID, to_id: UUID, *, by: Actor
) -> None:
    draft = naming_instead(workflow.definition, id, to_id)
    if draft != workflow.definition:
        await workflow.rewrite(draft, by=by)
    if published is not None:
        revised = naming_instead(published.published, id, to_id)
        if revised != published.published:
            await workflow.keep_revision(revised, by=by)


def naming_instead(definition: Definition, id: UUID, to_id: UUID) -> Definition:
    """The same definition with another team or agent wherever it names one."""

    def of_condition(condition: Condition) -> Condition:
        if isinstance(condition, HoursCondition) and condition.team_id == id:
            return replace(condition, team_id=to_id)
        return condition

    def of_step(step: Step) -> Step:
        if isinstance(step, AssignStep):
            changes: dict[str, Any] = {
                name: to_id for name in ("agent_id", "team_id") if getattr(step, name) == id
            }
            return replace(step, **changes)
        if isinstance(step, BranchStep):
            cases = [
                replace(case, conditions=tuple(map(of_condition, case.conditions)))
                for case in step.cases
            ]
            return replace(step, cases=tuple(cases))
        return step

    return replace(
        definition,
        conditions=tuple(map(of_condition, definition.conditions)),
        steps=tuple(map(of_step, definition.steps)),
    )
