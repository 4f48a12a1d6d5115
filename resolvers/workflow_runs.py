"""Finding the runs of workflows, and beginning one by hand."""

from typing import Annotated, Any

import strawberry

from models.workflow.run import RunStatus, start_by_hand
from models.workflow.run import WorkflowRun as RunRecord
from resolvers.commands import Answer, Payload, mutation
from resolvers.context import Info
from resolvers.ids import decode, decode_maybe
from resolvers.inputs import ConversationInput
from resolvers.pagination import After, Before, First, Last, Page, Row, paginate
from resolvers.workflow_run import (
    NEWEST_FIRST,
    WorkflowRun,
    WorkflowRunConnection,
    WorkflowRunEdge,
    workflow_run_of,
)


@strawberry.input(description="Which runs; what is left out does not matter.")
class WorkflowRunFilter:
    workflow_id: strawberry.ID | None = strawberry.field(
        default=None, description="Of this workflow."
    )
    conversation_id: strawberry.ID | None = strawberry.field(
        default=None, description="On this conversation."
    )
    status: list[RunStatus] | None = strawberry.field(default=None, description="Any of these.")

    def conditions(self) -> dict[str, object]:
        """The filter in the record's terms."""
        given = {
            "workflow_id": decode_maybe("Workflow", self.workflow_id),
            "conversation_id": decode_maybe("Conversation", self.conversation_id),
            "status__in": self.status,
        }
        return {name: value for name, value in given.items() if value is not None}


@strawberry.type
class WorkflowRunQuery:
    @strawberry.field(description="What workflows did to the conversations you see, newest first.")
    async def workflow_runs(
        self,
        info: Info,
        filter: Annotated[
            WorkflowRunFilter | None, strawberry.argument(description="Which ones.")
        ] = None,
        first: First = None,
        after: After = None,
        last: Last = None,
        before: Before = None,
    ) -> WorkflowRunConnection:
        async def read(ordered: Any) -> list[Row]:
            keys = await ordered.values_list("id", flat=True)
            rows = await info.context.loaders.workflow_runs.load_many(keys)
            return [row for row in rows if row is not None]

        visible = await RunRecord.visible_to(info.context.by)
        return await paginate(  # type: ignore[return-value]  # the class given below
            visible.filter(**(filter.conditions() if filter else {})),
            Page(first, after, last, before),
            NEWEST_FIRST,
            read=read,
            node=lambda row: WorkflowRun(row=row),
            connection=WorkflowRunConnection,
            edge=WorkflowRunEdge,
        )


@strawberry.input(description="A workflow with the trigger MANUAL to run.")
class WorkflowRunInput(ConversationInput):
    workflow_id: strawberry.ID = strawberry.field(description="Which workflow.")


@strawberry.type(description="What running a workflow came to.")
class WorkflowRunPayload(Payload):
    @strawberry.field(
        description="The run, as far as it has got; null when refused, or when the workflow's "
        "conditions are not met."
    )
    async def workflow_run(self, info: Info) -> WorkflowRun | None:
        return await workflow_run_of(info, self.id_of("run"))


@strawberry.type
class WorkflowRunMutation:
    @mutation(WorkflowRunPayload, "Run a workflow on a conversation.")
    async def workflow_run(self, info: Info, input: WorkflowRunInput) -> Answer:
        run_id = await start_by_hand(
            decode("Workflow", input.workflow_id),
            decode("Conversation", input.conversation_id),
            by=info.context.by,
            expected_version=input.expected_version,
        )
        return {"run": run_id}
