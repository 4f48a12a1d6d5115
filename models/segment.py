"""Segments: filters of contacts that a workspace keeps under a name."""

from typing import Any
from uuid import UUID

from tortoise import fields
from tortoise.exceptions import IntegrityError
from tortoise.queryset import QuerySet

from models import contact_search, event
from models.access import Actor, Right
from models.base import NAME_LENGTH_MAX, Record, require_name
from models.contact_search import Filter
from models.database import tx
from models.errors import LimitReached, NameTaken
from models.workspace import Workspace

SEGMENTS_MAX = 200


class Segment(Record):
    """A saved filter of contacts."""

    name = fields.CharField(max_length=NAME_LENGTH_MAX)
    # What `Filter.stored` says; what it names may be gone since.
    wanted: dict[str, Any] = fields.JSONField(source_field="filter")

    class Meta:
        table = "segments"

    @classmethod
    async def add(cls, *, by: Actor, name: str, filter: Filter) -> "Segment":
        """Save a filter; raises NameTaken, LimitReached, NotFound, FieldValueInvalid, Forbidden."""
        by.require(Right.SAVE_SEGMENTS)
        require_name(name)
        async with tx():
            # Counted under a lock: two at once cannot both be the last.
            await Workspace.filter(id=by.workspace_id).select_for_update(no_key=True).get()
            if await cls.visible_to(by).count() >= SEGMENTS_MAX:
                raise LimitReached("segments", limit=SEGMENTS_MAX)
            wanted = await contact_search.validated(filter, by=by)
            try:
                segment = await cls.create(
                    workspace_id=by.workspace_id, name=name, wanted=wanted.stored
                )
            except IntegrityError as error:
                raise NameTaken from error
            event.record(event.Kind.SEGMENT_CREATED, by=by, segment=segment.id)
        return segment

    @classmethod
    async def change(
        cls, id: UUID, *, by: Actor, name: str | None = None, filter: Filter | None = None
    ) -> None:
        """Rename a segment or filter otherwise; raises NotFound, NameTaken, FieldValueInvalid."""
        by.require(Right.SAVE_SEGMENTS)
        require_name("unchanged" if name is None else name)
        async with tx():
            segment = await cls.locked(id, by=by)
            name = segment.name if name is None else name
            valid = await contact_search.validated(filter, by=by) if filter else None
            wanted = valid.stored if valid else segment.wanted
            if (name, wanted) == (segment.name, segment.wanted):
                return
            try:
                await segment.update_from_dict({"name": name, "wanted": wanted}).save()
            except IntegrityError as error:
                raise NameTaken from error
            event.record(event.Kind.SEGMENT_UPDATED, by=by, segment=id)

    @classmethod
    async def remove(cls, id: UUID, *, by: Actor) -> None:
        """Forget a segment; its contacts stay. Raises NotFound."""
        by.require(Right.SAVE_SEGMENTS)
        async with tx():
            await (await cls.locked(id, by=by)).delete()
            event.record(event.Kind.SEGMENT_DELETED, by=by, segment=id)

    @classmethod
    async def locked(cls, id: UUID, *, by: Actor) -> "Segment":
        return await cls.lock_own(id, by.workspace_id, what="segment", path="input.segmentId")

    @classmethod
    def visible_to(cls, actor: Actor) -> QuerySet["Segment"]:
        within = cls.filter(workspace_id=actor.workspace_id)
        return within if cls.are_visible_to(actor) else cls.filter(id__in=[])

    @classmethod
    def are_visible_to(cls, actor: Actor) -> bool:
        """Whoever reads contacts, be it a few: of a segment each sees its own part."""
        rights = (Right.READ_CONTACTS, Right.SEE_ALL, Right.HOLD_CONVERSATIONS)
        return any(actor.may(right) for right in rights)
