"""The end of a conversation: by whom or what, with which closing reason."""

from enum import StrEnum
from typing import Any
from uuid import UUID

from tortoise import fields
from tortoise.exceptions import IntegrityError
from tortoise.queryset import QuerySet

from models import event
from models.access import Actor, Right
from models.base import NAME_LENGTH_MAX, NOW, Record, reference, require_name
from models.database import tx
from models.errors import (
    InUse,
    NameTaken,
    NotFound,
    RuleViolation,
)

SUMMARY_LENGTH_MAX = 10_000


class ClosingReasonRequired(RuleViolation):
    """Whoever closes here gives a reason."""

    def __init__(self) -> None:
        super().__init__("This workspace closes with a reason.", path="input.closingReasonId")


class ClosingReasonInactive(RuleViolation):
    """The closing reason is no longer offered."""

    def __init__(self) -> None:
        super().__init__("This closing reason is no longer in use.", path="input.closingReasonId")


class SummaryRequired(RuleViolation):
    """Whoever closes here writes a summary."""

    def __init__(self) -> None:
        super().__init__("This workspace closes with a summary.", path="input.summary")


class Cause(StrEnum):
    """Who or what closed: only a person's closing starts a reassignment window."""

    AGENT = "AGENT"
    INTEGRATION = "INTEGRATION"
    INACTIVE = "INACTIVE"
    WORKFLOW = "WORKFLOW"


class ClosingReason(Record):
    """A reason that a workspace offers for closing."""

    name = fields.CharField(max_length=NAME_LENGTH_MAX)
    is_active = fields.BooleanField(default=True)

    class Meta:
        table = "closing_reasons"

    @classmethod
    async def add(cls, *, by: Actor, name: str) -> "ClosingReason":
        """Offer a reason; raises NameTaken (names differ in more than case)."""
        by.require(Right.CONFIGURE)
        require_name(name)
        async with tx():
            try:
                reason = await cls.create(workspace_id=by.workspace_id, name=name)
            except IntegrityError as error:
                raise NameTaken from error
            event.record(event.Kind.CLOSING_REASON_CREATED, by=by, reason=reason.id)
        return reason

    @classmethod
    async def change(cls, id: UUID, *, by: Actor, **changes: Any) -> None:
        """Rename a reason, or stop or go on offering it; raises NotFound, NameTaken."""
        by.require(Right.CONFIGURE)
        require_name(changes.get("name", "unchanged"))
        async with tx():
            reason = await cls._locked(id, by=by)
            changed = {name: to for name, to in changes.items() if to != getattr(reason, name)}
            if not changed:
                return
            try:
                await reason.update_from_dict(changed).save(update_fields=list(changed))
            except IntegrityError as error:
                raise NameTaken from error
            changed.pop("name", None)
            event.record(event.Kind.CLOSING_REASON_UPDATED, by=by, reason=id, **changed)

    @classmethod
    async def remove(cls, id: UUID, *, by: Actor) -> None:
        """Take away a reason that no closing ever gave; raises InUse, NotFound."""
        by.require(Right.CONFIGURE)
        async with tx():
            # In full: whoever closes with it at this moment has counted, or finds it gone.
            reason = await cls._locked(id, by=by, to_delete=True)
            used = await Closure.filter(reason_id=id).count()
            if used:
                raise InUse("closing reason", remedy="set isActive to false", closures=([], used))
            await reason.delete()
            event.record(event.Kind.CLOSING_REASON_DELETED, by=by, reason=id)

    @classmethod
    async def _locked(cls, id: UUID, *, by: Actor, to_delete: bool = False) -> "ClosingReason":
        own = cls.filter(workspace_id=by.workspace_id).select_for_update(no_key=not to_delete)
        found = await own.get_or_none(id=id)
        if found is None:
            raise NotFound("closing reason", path="input.closingReasonId")
        return found

    @classmethod
    def visible_to(cls, actor: Actor) -> QuerySet["ClosingReason"]:
        """Whoever may close may read the reasons."""
        return cls.filter(workspace_id=actor.workspace_id)

    @classmethod
    async def usable(cls, id: UUID, *, by: Actor) -> "ClosingReason":
        """The reason, if it may be used; raises NotFound, ClosingReasonInactive."""
        reason = await cls.fetch_one(
            "id = $1 AND workspace_id = $2", id, by.workspace_id, hold=True
        )
        if reason is None:
            raise NotFound("closing reason", path="input.closingReasonId")
        if not reason.is_active:
            raise ClosingReasonInactive
        return reason


class Closure(Record):
    """One closing of a conversation; a reopened one has several."""

    conversation = reference("models.Conversation")
    conversation_id: UUID
    # Who held it when it closed: the sticky agent.
    agent = reference("models.Agent", null=True)
    agent_id: UUID | None
    team = reference("models.Team", null=True)
    team_id: UUID | None
    is_sticky = fields.BooleanField(default=True)
    cause = fields.CharEnumField(Cause, max_length=16)
    closed_by_id: UUID | None = fields.UUIDField(null=True)
    reason = reference("models.ClosingReason", null=True)
    reason_id: UUID | None
    summary: str | None = fields.TextField(null=True)
    closed_at = fields.DatetimeField(db_default=NOW)

    class Meta:
        table = "closures"
