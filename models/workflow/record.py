"""Workflows: what people write as a draft, and publish as revisions that never change."""

from enum import StrEnum
from typing import Any
from uuid import UUID

from tortoise import fields
from tortoise.exceptions import IntegrityError
from tortoise.queryset import QuerySet

from models import event
from models.access import Actor, Right
from models.base import NAME_LENGTH_MAX, Record, reference, require_name
from models.database import Raced, Transaction, tx
from models.errors import (
    BadUserInput,
    LimitReached,
    NameTaken,
    NotFound,
)
from models.workflow import naming
from models.workflow.defect import Defect
from models.workflow.definition import Definition, Trigger
from models.workflow.errors import WorkflowArchived, WorkflowChanged, WorkflowInvalid
from models.workflow.facts import hold_targets
from models.workflow.lint import defects_of

# Those that are archived do not count.
WORKFLOWS_MAX = 200


class WorkflowStatus(StrEnum):
    """Where a workflow is between being written and running no more."""

    DRAFT = "DRAFT"
    ACTIVE = "ACTIVE"
    ARCHIVED = "ARCHIVED"


class Workflow(Record):
    """An ordered list of steps started by a trigger; it runs as it was last published.

    Those that are not archived have the places 1, 2, 3 ... in which they run.
    """

    name = fields.CharField(max_length=NAME_LENGTH_MAX)
    position = fields.IntField()
    status = fields.CharEnumField(WorkflowStatus, max_length=16, default=WorkflowStatus.DRAFT)
    # What `Definition.stored` says.
    draft: dict[str, Any] = fields.JSONField()
    revision = reference("models.WorkflowRevision", null=True)
    revision_id: UUID | None
    version = fields.IntField(default=1)

    class Meta:
        table = "workflows"

    @classmethod
    async def add(
        cls, *, by: Actor, name: str, definition: Definition, position: int | None = None
    ) -> "Workflow":
        """Write a draft, the last in order unless a place is named.

        Raises NameTaken, LimitReached, NotFound for what it names and is not there, BadUserInput.
        """
        by.require(Right.CONFIGURE)
        require_name(name)
        naming.require_storable(definition)
        async with tx() as transaction:
            live = await _lock_order(transaction, by)
            if len(live) >= WORKFLOWS_MAX:
                raise LimitReached("workflows", limit=WORKFLOWS_MAX)
            await naming.require_there(definition, workspace_id=by.workspace_id)
            try:
                workflow = await cls.create(
                    workspace_id=by.workspace_id,
                    name=name,
                    position=len(live) + 1,
                    draft=definition.stored,
                )
            except IntegrityError as error:
                raise NameTaken from error
            event.record(
                event.Kind.WORKFLOW_CREATED,
                by=by,
                workflow=workflow.id,
                trigger=definition.trigger,
            )
            if position is not None:
                await _move(transaction, workflow, position, [*live, workflow.id])
        return workflow

    @classmethod
    async def change(
        cls,
        id: UUID,
        *,
        by: Actor,
        expected_version: int | None = None,
        name: str | None = None,
        definition: Definition | None = None,
        position: int | None = None,
    ) -> None:
        """Rename a workflow, write its draft anew or move it; it runs on as it was published.

        Raises NotFound, WorkflowArchived, WorkflowChanged, NameTaken, BadUserInput.
        """
        by.require(Right.CONFIGURE)
        require_name("unchanged" if name is None else name)
        if definition is not None:
            naming.require_storable(definition)
        async with tx() as transaction:
            live = await _lock_order(transaction, by) if position is not None else []
            workflow = await cls.locked(id, by=by, expected_version=expected_version)
            changed = await _write(workflow, name, definition)
            if position is not None:
                changed |= await _move(transaction, workflow, position, live)
            if changed:
                event.record(event.Kind.WORKFLOW_UPDATED, by=by, workflow=id)

    @classmethod
    async def publish(cls, id: UUID, *, by: Actor) -> None:
        """Let it run as it is written now, from now on; what runs already goes on as it began.

        Raises NotFound, WorkflowArchived, WorkflowInvalid naming each defect; Raced when somebody
        wrote it anew meanwhile.
        """
        by.require(Right.CONFIGURE)
        async with tx() as transaction:
            read = await cls.visible_to(by).get_or_none(id=id)
            if read is None:
                raise NotFound("workflow", path="input.workflowId")
            # None of them can go before the commit: what takes them away locks them too.
            await hold_targets(transaction, read.definition, workspace_id=by.workspace_id)
            workflow = await cls.locked(id, by=by)
            if workflow.draft != read.draft:
                raise Raced
            if found := await workflow.defects():
                raise WorkflowInvalid(defects=[str(defect) for defect in found])
            await workflow.keep_revision(workflow.definition, by=by)

    @classmethod
    async def archive(cls, id: UUID, *, by: Actor) -> None:
        """Start no more runs of it; those that run go on. Raises NotFound, WorkflowArchived."""
        by.require(Right.CONFIGURE)
        async with tx() as transaction:
            live = await _lock_order(transaction, by)
            workflow = await cls.locked(id, by=by)
            workflow.status = WorkflowStatus.ARCHIVED
            workflow.version += 1
            await workflow.save(update_fields=["status", "version"])
            await _renumber(transaction, [other for other in live if other != id])
            event.record(event.Kind.WORKFLOW_ARCHIVED, by=by, workflow=id)

    @classmethod
    async def locked(
        cls, id: UUID, *, by: Actor, expected_version: int | None = None
    ) -> "Workflow":
        """One that is not archived, locked; raises NotFound, WorkflowArchived, WorkflowChanged."""
        path = "input.workflowId"
        workflow = await cls.lock_own(id, by.workspace_id, what="workflow", path=path)
        if workflow.status is WorkflowStatus.ARCHIVED:
            raise WorkflowArchived
        if expected_version not in (None, workflow.version):
            raise WorkflowChanged(version=workflow.version)
        return workflow

    @classmethod
    def visible_to(cls, actor: Actor) -> QuerySet["Workflow"]:
        within = cls.filter(workspace_id=actor.workspace_id)
        return within if cls.are_visible_to(actor) else cls.filter(id__in=[])

    @classmethod
    def are_visible_to(cls, actor: Actor) -> bool:
        """Every role reads the workflows of its workspace; an integration needs the scope."""
        return actor.may(Right.READ_SETTINGS)

    async def defects(self) -> list[Defect]:
        """What stands against publishing it now."""
        return await defects_of(self.definition, workspace_id=self.workspace_id)

    @property
    def definition(self) -> Definition:
        """What its draft says."""
        return Definition.recall(self.draft)

    async def rewrite(self, definition: Definition, *, by: Actor) -> None:
        """Give a locked workflow another draft, whatever that names."""
        self.draft = definition.stored
        self.version += 1
        await self.save(update_fields=["draft", "version"])
        event.record(event.Kind.WORKFLOW_UPDATED, by=by, workflow=self.id)

    async def keep_revision(self, definition: Definition, *, by: Actor) -> None:
        """Let a locked workflow run like this from now on, if it does not already."""
        last = await WorkflowRevision.filter(workflow_id=self.id).order_by("-number").first()
        if last is not None and last.definition == definition.stored:
            return
        revision = await WorkflowRevision.create(
            workspace_id=self.workspace_id,
            workflow_id=self.id,
            number=last.number + 1 if last else 1,
            trigger=definition.trigger,
            is_once=definition.is_once,
            definition=definition.stored,
        )
        self.status, self.revision_id = WorkflowStatus.ACTIVE, revision.id
        self.version += 1
        await self.save(update_fields=["status", "revision_id", "version"])
        event.record(
            event.Kind.WORKFLOW_PUBLISHED,
            by=by,
            workflow=self.id,
            revision=revision.number,
            trigger=definition.trigger,
        )


class WorkflowRevision(Record):
    """A workflow as it was published once, at `created_at`; immutable."""

    workflow = reference("models.Workflow")
    workflow_id: UUID
    # 1, 2, 3 ... of each workflow.
    number = fields.IntField()
    trigger = fields.CharEnumField(Trigger, max_length=32)
    is_once = fields.BooleanField()
    definition: dict[str, Any] = fields.JSONField()

    class Meta:
        table = "workflow_revisions"

    @property
    def published(self) -> Definition:
        return Definition.recall(self.definition)


async def _lock_order(transaction: Transaction, by: Actor) -> list[UUID]:
    """The ids of those not archived, in order, which nobody else changes until the commit."""
    await transaction.execute(
        "SELECT FROM workspaces WHERE id = $1 FOR NO KEY UPDATE", by.workspace_id
    )
    rows = await transaction.fetch(
        """
        SELECT id, position FROM workflows WHERE workspace_id = $1 AND status <> 'ARCHIVED'
        ORDER BY id FOR NO KEY UPDATE
        """,
        by.workspace_id,
    )
    return [row["id"] for row in sorted(rows, key=lambda row: (row["position"], row["id"]))]


async def _write(workflow: Workflow, name: str | None, definition: Definition | None) -> bool:
    """Keep another name and draft; whether that was a change."""
    wanted = workflow.draft if definition is None else definition.stored
    name = workflow.name if name is None else name
    if (name, wanted) == (workflow.name, workflow.draft):
        return False
    if definition is not None:
        # What it named before may be gone by now, and stays a defect.
        await naming.require_there(
            definition, workspace_id=workflow.workspace_id, besides=workflow.definition
        )
    workflow.update_from_dict({"name": name, "draft": wanted, "version": workflow.version + 1})
    try:
        await workflow.save(update_fields=["name", "draft", "version"])
    except IntegrityError as error:
        raise NameTaken from error
    return True


async def _move(
    transaction: Transaction, workflow: Workflow, position: int, live: list[UUID]
) -> bool:
    """Give a workflow a place, the last if there are not as many; whether it had another."""
    if position < 1:
        raise BadUserInput("Places count from 1.", path="input.position")
    others = [id for id in live if id != workflow.id]
    others.insert(position - 1, workflow.id)
    if others == live:
        return False
    await _renumber(transaction, others)
    await workflow.refresh_from_db(fields=["position"])
    return True


async def _renumber(transaction: Transaction, ids: list[UUID]) -> None:
    await transaction.execute(
        """
        UPDATE workflows w SET position = p.place
        FROM unnest($1::uuid[]) WITH ORDINALITY AS p(id, place)
        WHERE w.id = p.id AND w.position <> p.place
        """,
        ids,
    )
