"""Workflows that are active, made by their rows: what they are checked for is tried elsewhere."""

from itertools import count
from typing import Any
from uuid import UUID, uuid4

from models import Workspace
from models.database import encode, fetch
from models.workflow.definition import Condition, Definition, Step, Trigger
from models.workflow.run import WorkflowRun

_numbers = count(1)


async def published(
    workspace: Workspace,
    *steps: Step,
    trigger: Trigger = Trigger.CONVERSATION_OPENED,
    conditions: tuple[Condition, ...] = (),
    is_once: bool = False,
    status: str = "ACTIVE",
) -> UUID:
    """An active workflow, the last in order so far; returns its id."""
    definition = Definition(trigger=trigger, conditions=conditions, steps=steps, is_once=is_once)
    workflow_id, revision_id = uuid4(), uuid4()
    stored = encode(definition.stored)
    await fetch(
        """
        INSERT INTO workflows (id, workspace_id, name, position, status, draft, version)
        SELECT $1, $2, $3, 1 + count(*), 'DRAFT', $4::text::jsonb, 1 FROM workflows
        WHERE workspace_id = $2 AND status <> 'ARCHIVED'
        """,
        workflow_id,
        workspace.id,
        f"Workflow {next(_numbers)} by its row",
        stored,
    )
    await fetch(
        """
        INSERT INTO workflow_revisions
            (id, workspace_id, workflow_id, number, trigger, is_once, definition)
        VALUES ($1, $2, $3, 1, $4, $5, $6::text::jsonb)
        """,
        revision_id,
        workspace.id,
        workflow_id,
        trigger.value,
        is_once,
        stored,
    )
    await fetch(
        "UPDATE workflows SET status = $3, revision_id = $2 WHERE id = $1",
        workflow_id,
        revision_id,
        status,
    )
    return workflow_id


async def runs_of(workflow_id: UUID) -> list[WorkflowRun]:
    return await WorkflowRun.filter(workflow_id=workflow_id).order_by("created_at", "id")


async def the_run(workflow_id: UUID) -> WorkflowRun:
    [run] = await runs_of(workflow_id)
    return run


async def came_to(run: WorkflowRun) -> list[Any]:
    """The steps that a run took, in their order: key and outcome, and what failed."""
    rows = await fetch(
        "SELECT key, outcome, failure FROM workflow_run_steps WHERE run_id = $1 ORDER BY place",
        run.id,
    )
    return [
        (row["key"], row["outcome"], *([row["failure"]] if row["failure"] else [])) for row in rows
    ]
