"""One going through the steps of a published workflow, and how one is begun by hand."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID, uuid4

from tortoise import fields
from tortoise.expressions import RawSQL
from tortoise.queryset import QuerySet

from models import event
from models.access import Actor, ActorKind
from models.base import Line, Record
from models.conversation import Conversation
from models.database import Row, Transaction, fetch, fetchrow, tx
from models.errors import NotFound
from models.visibility import Visibility
from models.workflow import condition
from models.workflow.condition import Facts
from models.workflow.definition import KEY_LENGTH_MAX, Definition, Source, Trigger
from models.workflow.errors import (
    ConversationRequired,
    WorkflowNotActive,
    WorkflowNotManual,
    WorkflowRanAlready,
)

FAILURE_LENGTH_MAX = 64


class RunStatus(StrEnum):
    """Where a run stands; it is going until it ENDED or FAILED."""

    STARTING = "STARTING"
    RUNNING = "RUNNING"
    WAITING = "WAITING"
    ENDED = "ENDED"
    FAILED = "FAILED"


class StepOutcome(StrEnum):
    """What taking a step came to."""

    DONE = "DONE"
    SKIPPED = "SKIPPED"
    WAITING = "WAITING"
    TIMED_OUT = "TIMED_OUT"
    FAILED = "FAILED"


@dataclass(frozen=True, slots=True, kw_only=True)
class Taken:
    """What taking a step came to, and the key of the step that comes next, if one does.

    Of one that waits that is its own, with the minutes until its limit passes, counted from now
    unless it waits already.
    """

    outcome: StepOutcome = StepOutcome.DONE
    next_key: str | None = None
    waiting_minutes: int | None = None
    waits_since: datetime | None = None
    failure: str | None = None


class WorkflowRun(Record):
    """One going through the steps of a published workflow."""

    workflow_id: UUID = fields.UUIDField()
    revision_id: UUID = fields.UUIDField()
    # The workflow's place when it began: of those that are due at once, the first goes first.
    position = fields.IntField()
    trigger = fields.CharEnumField(Trigger, max_length=32)
    source = fields.CharEnumField(Source, max_length=16, null=True)
    is_once = fields.BooleanField()
    # Whether another run, or what was given out automatically, caused it.
    is_echo = fields.BooleanField()
    contact_id: UUID = fields.UUIDField()
    conversation_id: UUID | None = fields.UUIDField(null=True)
    message_id: UUID | None = fields.UUIDField(null=True)
    status = fields.CharEnumField(RunStatus, max_length=16)
    # The step that comes next, or of one that waits the step that does.
    next_key = fields.CharField(max_length=KEY_LENGTH_MAX, null=True)
    steps_taken = fields.IntField(default=0)
    # When to go on; of one that waits, when its waiting limit passes.
    due_at: datetime | None = fields.DatetimeField(null=True)
    failure = fields.CharField(max_length=FAILURE_LENGTH_MAX, null=True)
    ended_at: datetime | None = fields.DatetimeField(null=True)

    class Meta:
        table = "workflow_runs"

    @classmethod
    async def visible_to(cls, actor: Actor) -> QuerySet["WorkflowRun"]:
        """Those on the conversations that an actor sees; without one only who sees all does."""
        seen = await Visibility.of(actor)
        within = cls.filter(workspace_id=actor.workspace_id)
        if seen.everything:
            return within
        on_one_seen = f"""EXISTS (SELECT FROM conversations c
            WHERE c.id = "workflow_runs"."conversation_id" AND {seen.literal})"""
        return within.annotate(is_seen=RawSQL(on_one_seen)).filter(is_seen=True)

    @property
    def actor(self) -> Actor:
        return Actor.workflow(self.workspace_id, self.workflow_id)

    @property
    def conversation(self) -> UUID:
        """The id of the run's conversation; raises ConversationRequired."""
        if self.conversation_id is None:
            raise ConversationRequired
        return self.conversation_id

    @property
    def is_going(self) -> bool:
        return self.due_at is not None

    def record(self, kind: event.Kind, *, by: Actor | None = None, **data: Any) -> None:
        """A fact about the run."""
        event.record(
            kind,
            by=by or self.actor,
            conversation_id=self.conversation_id,
            contact_id=self.contact_id,
            run=self.id,
            **data,
        )


async def read_facts(
    transaction: Transaction, run: WorkflowRun, definition: Definition, line: Line | None = None
) -> Facts:
    """What the conditions of a definition ask for, as it is now; of the `line` that is given."""
    conversation = None
    if run.conversation_id is not None:
        conversation = await Conversation.get(id=run.conversation_id)
    return await condition.read(
        transaction,
        workspace_id=run.workspace_id,
        contact_id=conversation.contact_id if conversation else run.contact_id,
        conversation_id=run.conversation_id,
        channel_id=conversation.channel_id if conversation else None,
        line=line or (conversation.line if conversation else None),
        source=run.source,
        definitions=[definition],
        message_id=run.message_id,
    )


async def steps_of(run_ids: list[UUID]) -> dict[UUID, list[Row]]:
    """What each step of these runs came to, in their order: place, key, kind, outcome, failure,
    next_key, at.
    """
    rows = await fetch(
        """
        SELECT run_id, place, key, kind, outcome, failure, next_key, at FROM workflow_run_steps
        WHERE run_id = ANY($1) ORDER BY run_id, place
        """,
        run_ids,
    )
    steps: dict[UUID, list[Row]] = {id: [] for id in run_ids}
    for row in rows:
        steps[row["run_id"]].append(row)
    return steps


async def start_by_hand(
    workflow_id: UUID, conversation_id: UUID, *, by: Actor, expected_version: int | None = None
) -> UUID:
    """Begin a workflow with the trigger MANUAL in a conversation; returns the run's id.

    It goes on directly after the commit. A run whose conditions are not met never was. Raises
    NotFound, ConversationChanged, WorkflowNotActive, WorkflowNotManual, WorkflowRanAlready,
    Forbidden.
    """
    async with tx() as transaction:
        conversation = await Conversation.locked(
            conversation_id, by=by, expected_version=expected_version
        )
        await conversation.require_workable(by)
        workflow = await _manual(workflow_id, by=by)
        if workflow["is_once"] and await has_begun(
            transaction, workflow_id, conversation.contact_id
        ):
            raise WorkflowRanAlready
        run = WorkflowRun(
            id=uuid4(),
            workspace_id=by.workspace_id,
            workflow_id=workflow_id,
            contact_id=conversation.contact_id,
            conversation_id=conversation_id,
        )
        await _insert(transaction, run, workflow, by=by)
        run.record(event.Kind.WORKFLOW_RUN_STARTED, by=by, workflow=workflow_id)
    return run.id


async def has_begun(transaction: Transaction, workflow_id: UUID, contact_id: UUID) -> bool:
    """Whether a workflow that runs once for each contact did so for this one, or for one that was
    merged into it.
    """
    return bool(
        await transaction.fetchval(
            """
            SELECT EXISTS (SELECT FROM workflow_runs WHERE workflow_id = $1 AND is_once
                AND contact_id = ANY(relevo_merged($2)) AND status <> 'STARTING')
            """,
            workflow_id,
            contact_id,
        )
    )


async def _manual(workflow_id: UUID, *, by: Actor) -> Row:
    workflow = await fetchrow(
        """
        SELECT w.status, w.position, r.id AS revision_id, r.trigger, r.is_once
        FROM workflows w LEFT JOIN workflow_revisions r ON r.id = w.revision_id
        WHERE w.id = $1 AND w.workspace_id = $2
        """,
        workflow_id,
        by.workspace_id,
    )
    if workflow is None:
        raise NotFound("workflow", path="input.workflowId")
    if workflow["status"] != "ACTIVE":
        raise WorkflowNotActive
    if workflow["trigger"] != Trigger.MANUAL:
        raise WorkflowNotManual(trigger=workflow["trigger"])
    return workflow


async def _insert(transaction: Transaction, run: WorkflowRun, workflow: Row, *, by: Actor) -> None:
    await transaction.execute(
        """
        INSERT INTO workflow_runs (
            id, workspace_id, workflow_id, revision_id, position, trigger, source, is_once,
            is_echo, contact_id, conversation_id, status, due_at)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, 'STARTING', relevo_now())
        """,
        run.id,
        run.workspace_id,
        run.workflow_id,
        workflow["revision_id"],
        workflow["position"],
        Trigger.MANUAL.value,
        Source.WORKFLOW.value if by.kind is ActorKind.WORKFLOW else Source.AGENT.value,
        workflow["is_once"],
        by.kind is ActorKind.WORKFLOW,
        run.contact_id,
        run.conversation_id,
    )
