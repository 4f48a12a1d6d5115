"""One run of a workflow as the API shows it, with what each of its steps came to."""

from datetime import datetime
from typing import TYPE_CHECKING, Annotated
from uuid import UUID

import strawberry

from models.access import Right
from models.workflow.advance import RECORDS_MAX
from models.workflow.run import RunStatus, StepOutcome
from resolvers.contact import Contact, contact_of
from resolvers.context import Info
from resolvers.enums import described
from resolvers.loaders import Row
from resolvers.pagination import Connection, Edge, Keyset, Nested, Page
from resolvers.projections import RUN_COLUMNS
from resolvers.types import Node, column
from resolvers.workflow import Workflow, workflow_of
from resolvers.workflow_words import Source, Trigger

if TYPE_CHECKING:
    from resolvers.conversation import Conversation

described(
    RunStatus,
    "WorkflowRunStatus",
    STARTING="Its conditions are about to be asked.",
    RUNNING="It goes from step to step.",
    WAITING="A step waits for an agent, or for its limit.",
    ENDED="It came to its end.",
    FAILED="A step could not be done.",
)
described(
    StepOutcome,
    "WorkflowStepOutcome",
    DONE="It did what it says.",
    SKIPPED="There was nothing for it to do.",
    WAITING="It began to wait.",
    TIMED_OUT="It waited as long as it may.",
    FAILED="It could not be done, and the run ended.",
)
NEWEST_FIRST = Keyset("created_at", descending=True)
OF_CONVERSATION = Nested(
    f"""
    SELECT {RUN_COLUMNS} FROM workflow_runs r JOIN workflow_revisions v ON v.id = r.revision_id
    WHERE r.workspace_id = $1 AND r.conversation_id = p.id
    """,  # noqa: S608 - constants
    NEWEST_FIRST,
)


@strawberry.type(description="What one step of a run came to.")
class WorkflowRunStep:
    row: strawberry.Private[Row]

    place = column(int, "place", "Its place in the run, from 1.")
    key = column(str, "step", "The step's key in what was published.")
    kind = column(str, "kind", "What kind of step, such as `ASSIGN`.")
    outcome = column(StepOutcome, "outcome", "What it came to.")
    failure = column(str | None, "failure", "Why it failed: the code of what was refused.")
    next_key = column(str | None, "next_key", "The step that came next; null for the end.")
    at = column(datetime, "at", "When.")


@strawberry.type(description="One going through the steps of a published workflow.")
class WorkflowRun(Node):
    revision = column(int, "revision", "Which publication of the workflow it goes through, from 1.")
    trigger = column(Trigger, "trigger", "What started it.")
    source = column(Source | None, "source", "Who did; null for Relevo itself.")
    status = column(RunStatus, "status", "Where it stands.")
    next_key = column(str | None, "next_key", "The step that comes next, or that waits.")
    due_at = column(
        datetime | None, "due_at", "When it goes on at the latest; null once it has ended."
    )
    failure = column(str | None, "failure", "Why it failed: the code of what was refused.")
    created_at = column(datetime, "created_at", "When it began.")
    ended_at = column(datetime | None, "ended_at", "When it ended or failed.")

    @strawberry.field(description="The workflow; null when not visible to you.")
    async def workflow(self, info: Info) -> Workflow | None:
        return await workflow_of(info, self.row["workflow_id"])

    @strawberry.field(description="Whom it is about; null when not visible to you.")
    async def contact(self, info: Info) -> Contact | None:
        return await contact_of(info, self.row["contact_id"])

    @strawberry.field(description="What it works on; null when it began without one.")
    async def conversation(
        self, info: Info
    ) -> Annotated["Conversation", strawberry.lazy("resolvers.conversation")] | None:
        from resolvers.conversation import conversation_of

        return await conversation_of(info, self.row["conversation_id"])

    @strawberry.field(
        description=f"What its steps came to, in their order; at most {RECORDS_MAX + 1}."
    )
    async def steps(self, info: Info) -> list[WorkflowRunStep]:
        rows = await info.context.loaders.run_steps.load(self.row["id"])
        return [WorkflowRunStep(row=row) for row in rows]


@strawberry.type(description="A run of a page.")
class WorkflowRunEdge(Edge[WorkflowRun]):
    pass


@strawberry.type(description="A page of runs.")
class WorkflowRunConnection(Connection[WorkflowRun]):
    pass


async def workflow_run_of(info: Info, id: UUID | None) -> WorkflowRun | None:
    """The run, if the asker sees its conversation, or without one every conversation."""
    row = await info.context.loaders.workflow_runs.load(id) if id else None
    if row is None:
        return None
    if row["conversation_id"] is None:
        return WorkflowRun(row=row) if info.context.by.may(Right.SEE_ALL) else None
    seen = await info.context.loaders.conversations.load(row["conversation_id"])
    return WorkflowRun(row=row) if seen else None


async def runs_of(info: Info, conversation_id: UUID, page: Page) -> WorkflowRunConnection:
    """A page of the runs that work on a conversation, which whoever sees it sees."""
    return await info.context.loaders.nested(
        OF_CONVERSATION,
        conversation_id,
        page,
        node=lambda row: WorkflowRun(row=row),
        connection=WorkflowRunConnection,
        edge=WorkflowRunEdge,
    )
