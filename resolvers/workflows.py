"""Writing workflows, putting them in order, and publishing them."""

from typing import Annotated, Any

import strawberry

from models.workflow.definition import Definition
from models.workflow.record import Workflow as WorkflowRecord
from models.workflow.template import Filling, filled
from resolvers.commands import Answer, Payload, mutation
from resolvers.context import Info
from resolvers.ids import decode, decode_maybe
from resolvers.inputs import CommandInput
from resolvers.pagination import (
    After,
    Before,
    Connection,
    Edge,
    First,
    Keyset,
    Last,
    Page,
    Row,
    paginate,
    place,
)
from resolvers.workflow import Workflow, WorkflowTemplate, workflow_of
from resolvers.workflow_conditions import WorkflowConditionInput, conditions_given
from resolvers.workflow_step_inputs import WorkflowStepInput, steps_given
from resolvers.workflow_words import Template, Trigger, WorkflowStatus

IN_ORDER = Keyset("position", parse=place)


@strawberry.type(description="A workflow of a page.")
class WorkflowEdge(Edge[Workflow]):
    pass


@strawberry.type(description="A page of workflows.")
class WorkflowConnection(Connection[Workflow]):
    pass


@strawberry.input(description="Which workflows; what is left out does not matter.")
class WorkflowFilter:
    status: WorkflowStatus | None = strawberry.field(default=None, description="Of this status.")
    trigger: Trigger | None = strawberry.field(
        default=None, description="That this starts, as they are written."
    )

    def chosen(self, found: Any) -> Any:
        if self.status is not None:
            found = found.filter(status=self.status)
        if self.trigger is not None:
            found = found.filter(draft__contains={"trigger": self.trigger.value})
        return found


@strawberry.type
class WorkflowQuery:
    @strawberry.field(description="The workflows, in the order in which they run.")
    async def workflows(
        self,
        info: Info,
        filter: Annotated[
            WorkflowFilter | None, strawberry.argument(description="Only these.")
        ] = None,
        first: First = None,
        after: After = None,
        last: Last = None,
        before: Before = None,
    ) -> WorkflowConnection:
        async def read(ordered: Any) -> list[Row]:
            ids = await ordered.values_list("id", flat=True)
            rows = await info.context.loaders.workflows.load_many(ids)
            return [row for row in rows if row is not None]

        visible = WorkflowRecord.visible_to(info.context.by)
        return await paginate(  # type: ignore[return-value]  # the class given below
            filter.chosen(visible) if filter else visible,
            Page(first, after, last, before),
            IN_ORDER,
            read=read,
            node=lambda row: Workflow(row=row),
            connection=WorkflowConnection,
            edge=WorkflowEdge,
        )

    @strawberry.field(description="Workflows to begin with, which are copied and then edited.")
    async def workflow_templates(self, info: Info) -> list[WorkflowTemplate]:
        _ = info.context.by
        return [WorkflowTemplate(template=template) for template in Template]


@strawberry.input(description="What a workflow says; whatever is wrong with it can be saved.")
class WorkflowDefinitionInput:
    trigger: Trigger = strawberry.field(description="What starts it.")
    steps: list[WorkflowStepInput] = strawberry.field(
        description="Its steps, 50 at most; the first begins."
    )
    conditions: list[WorkflowConditionInput] = strawberry.field(
        default_factory=list, description="What must all be so for it to begin, 20 at most."
    )
    is_once: bool = strawberry.field(
        default=False, description="Whether it runs only once for each contact, ever."
    )

    def definition(self) -> Definition:
        return Definition(
            trigger=self.trigger,
            conditions=conditions_given(self.conditions),
            steps=steps_given(self.steps),
            is_once=self.is_once,
        )


@strawberry.input(description="A new workflow, which runs once it is published.")
class WorkflowCreateInput(CommandInput):
    name: str = strawberry.field(description="Name.")
    definition: WorkflowDefinitionInput = strawberry.field(description="What it says.")
    position: int | None = strawberry.field(
        default=None, description="Its place among all, from 1; the last unless given."
    )


@strawberry.input(description="A command on one workflow.")
class WorkflowInput(CommandInput):
    workflow_id: strawberry.ID = strawberry.field(description="Which workflow.")


@strawberry.input(description="Changes of a workflow; what is left out stays.")
class WorkflowUpdateInput(WorkflowInput):
    expected_version: int | None = strawberry.field(
        default=None,
        description="The `version` you saw; the command is refused if it has changed since.",
    )
    name: str | None = strawberry.field(default=None, description="A new name.")
    definition: WorkflowDefinitionInput | None = strawberry.field(
        default=None, description="What it says from now on, as a whole; runs once published."
    )
    position: int | None = strawberry.field(
        default=None, description="Another place among all, from 1."
    )


@strawberry.input(description="A workflow to run as it is written now.")
class WorkflowPublishInput(WorkflowInput):
    pass


@strawberry.input(description="A workflow to run no more.")
class WorkflowArchiveInput(WorkflowInput):
    pass


@strawberry.input(description="A template to copy, with what its blanks are filled in with.")
class WorkflowCreateFromTemplateInput(CommandInput):
    template: Template = strawberry.field(description="Which template.")
    name: str = strawberry.field(description="Name of the copy.")
    team_id: strawberry.ID | None = strawberry.field(default=None, description="For a TEAM.")
    agent_id: strawberry.ID | None = strawberry.field(default=None, description="For an AGENT.")
    tag_id: strawberry.ID | None = strawberry.field(default=None, description="For a TAG.")
    text: str | None = strawberry.field(
        default=None, description="For a TEXT, instead of the words that it begins with."
    )

    def filling(self) -> Filling:
        return Filling(
            team_id=decode_maybe("Team", self.team_id),
            agent_id=decode_maybe("Agent", self.agent_id),
            tag_id=decode_maybe("Tag", self.tag_id),
            text=self.text,
        )


@strawberry.type(description="The workflow after a command.")
class WorkflowPayload(Payload):
    @strawberry.field(description="The workflow; null when refused.")
    async def workflow(self, info: Info) -> Workflow | None:
        return await workflow_of(info, self.id_of("workflow"))


@strawberry.type(description="What writing a workflow came to.")
class WorkflowCreatePayload(WorkflowPayload):
    pass


@strawberry.type(description="What changing a workflow came to.")
class WorkflowUpdatePayload(WorkflowPayload):
    pass


@strawberry.type(description="What publishing a workflow came to.")
class WorkflowPublishPayload(WorkflowPayload):
    pass


@strawberry.type(description="What archiving a workflow came to.")
class WorkflowArchivePayload(WorkflowPayload):
    pass


@strawberry.type(description="What copying a template came to.")
class WorkflowCreateFromTemplatePayload(WorkflowPayload):
    pass


@strawberry.type
class WorkflowMutation:
    @mutation(WorkflowCreatePayload, "Write a workflow.")
    async def workflow_create(self, info: Info, input: WorkflowCreateInput) -> Answer:
        workflow = await WorkflowRecord.add(
            by=info.context.by,
            name=input.name,
            definition=input.definition.definition(),
            position=input.position,
        )
        return {"workflow": workflow.id}

    @mutation(WorkflowCreateFromTemplatePayload, "Copy a template into a workflow of yours.")
    async def workflow_create_from_template(
        self, info: Info, input: WorkflowCreateFromTemplateInput
    ) -> Answer:
        definition = filled(input.template, input.filling())
        by = info.context.by
        workflow = await WorkflowRecord.add(by=by, name=input.name, definition=definition)
        return {"workflow": workflow.id}

    @mutation(WorkflowUpdatePayload, "Write a workflow anew, rename it or move it.")
    async def workflow_update(self, info: Info, input: WorkflowUpdateInput) -> Answer:
        id = decode("Workflow", input.workflow_id)
        await WorkflowRecord.change(
            id,
            by=info.context.by,
            expected_version=input.expected_version,
            name=input.name,
            definition=input.definition.definition() if input.definition else None,
            position=input.position,
        )
        return {"workflow": id}

    @mutation(WorkflowPublishPayload, "Run a workflow as it is written now, if it has no defect.")
    async def workflow_publish(self, info: Info, input: WorkflowPublishInput) -> Answer:
        id = decode("Workflow", input.workflow_id)
        await WorkflowRecord.publish(id, by=info.context.by)
        return {"workflow": id}

    @mutation(WorkflowArchivePayload, "Run a workflow no more; its runs go on to their end.")
    async def workflow_archive(self, info: Info, input: WorkflowArchiveInput) -> Answer:
        id = decode("Workflow", input.workflow_id)
        await WorkflowRecord.archive(id, by=info.context.by)
        return {"workflow": id}
