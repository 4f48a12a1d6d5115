"""Workflows as people read them: what is written, what runs, and what is wrong with it."""

from datetime import datetime
from functools import cached_property
from uuid import UUID

import orjson
import strawberry

from models.workflow.defect import Defect
from models.workflow.definition import Definition
from models.workflow.record import Workflow as WorkflowRecord
from models.workflow.template import BLANKS, Filling, filled
from resolvers.context import Info
from resolvers.types import Node, column
from resolvers.workflow_conditions import WorkflowCondition, conditions_shown
from resolvers.workflow_steps import WorkflowStep, steps_shown
from resolvers.workflow_words import Blank, DefectKind, Template, Trigger, WorkflowStatus, told


@strawberry.type(description="What a workflow says.")
class WorkflowDefinition:
    part: strawberry.Private[Definition]
    trigger = told(Trigger, "trigger", "What starts it.")
    is_once = told(bool, "is_once", "Whether it runs only once for each contact, ever.")

    @strawberry.field(description="What must all be so for it to begin.")
    def conditions(self) -> list[WorkflowCondition]:
        return conditions_shown(self.part.conditions)

    @strawberry.field(description="Its steps; the first begins.")
    def steps(self) -> list[WorkflowStep]:
        return steps_shown(self.part.steps)


@strawberry.type(description="One thing that stands against publishing a workflow.")
class WorkflowDefect:
    defect: strawberry.Private[Defect]

    @strawberry.field(description="What is wrong.")
    def kind(self) -> DefectKind:
        return self.defect.kind

    @strawberry.field(description="The key of the step that has it; null for the whole.")
    def step_key(self) -> str | None:
        return self.defect.step_key

    @strawberry.field(description="One sentence for a person.")
    def message(self) -> str:
        return self.defect.message


@strawberry.type(
    description="An ordered list of steps started by a trigger. It shows what is written; what "
    "runs is as it was published."
)
class Workflow(Node):
    name = column(str, "name", "Name.")
    status = column(WorkflowStatus, "status", "Whether it runs.")
    position = column(int, "position", "Its place among all that are not archived, from 1.")
    version = column(int, "version", "Grows with each change.")
    published_at = column(
        datetime | None, "published_at", "When it was published last; null for never."
    )
    has_unpublished_changes = column(
        bool, "has_unpublished_changes", "Whether something else is written than runs."
    )

    @strawberry.field(description="What starts it.")
    def trigger(self) -> Trigger:
        return self._draft.trigger

    @strawberry.field(description="What must all be so for it to begin.")
    def conditions(self) -> list[WorkflowCondition]:
        return conditions_shown(self._draft.conditions)

    @strawberry.field(description="Its steps; the first begins.")
    def steps(self) -> list[WorkflowStep]:
        return steps_shown(self._draft.steps)

    @strawberry.field(description="Whether it runs only once for each contact, ever.")
    def is_once(self) -> bool:
        return self._draft.is_once

    @strawberry.field(description="What runs; null when it was never published.")
    def published(self) -> WorkflowDefinition | None:
        stored = self.row["published"]
        return WorkflowDefinition(part=Definition.recall(orjson.loads(stored))) if stored else None

    @strawberry.field(description="What stands against publishing it now; the first hundred.")
    async def defects(self, info: Info) -> list[WorkflowDefect]:
        found = await info.context.loaders.defects.load(self._draft)
        return [WorkflowDefect(defect=defect) for defect in found]

    @cached_property
    def _draft(self) -> Definition:
        return Definition.recall(orjson.loads(self.row["draft"]))


@strawberry.type(description="A workflow to copy and edit.")
class WorkflowTemplate:
    template: strawberry.Private[Template]

    @strawberry.field(description="Which one.")
    def name(self) -> Template:
        return self.template

    @strawberry.field(description="What can be filled in while copying.")
    def blanks(self) -> list[Blank]:
        return list(BLANKS[self.template])

    @strawberry.field(description="What it says, with its blanks.")
    def definition(self) -> WorkflowDefinition:
        return WorkflowDefinition(part=filled(self.template, Filling()))


async def workflow_of(info: Info, id: UUID | None) -> Workflow | None:
    """The workflow, if the asker reads settings."""
    seen = id is not None and WorkflowRecord.are_visible_to(info.context.by)
    return Workflow.of(await info.context.loaders.workflows.load(id) if id and seen else None)
