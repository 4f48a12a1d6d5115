"""Snippets: canned replies, with variables that each conversation fills."""

from typing import Any
from uuid import UUID

from tortoise import fields
from tortoise.exceptions import IntegrityError
from tortoise.expressions import Q
from tortoise.queryset import QuerySet

from models import event, variable
from models.access import Actor, Right
from models.base import NAME_LENGTH_MAX, Record, require_length, require_name, require_text
from models.database import tx
from models.errors import LimitReached, NameTaken
from models.workspace import Workspace

SNIPPETS_MAX = 1_000
# Characters; less than a message may have, so that there is room for what fills it.
TEXT_LENGTH_MAX = 10_000
SEARCH_LENGTH_MAX = 200


class Snippet(Record):
    """A canned reply."""

    name = fields.CharField(max_length=NAME_LENGTH_MAX)
    text = fields.TextField()

    class Meta:
        table = "snippets"

    @classmethod
    async def add(cls, *, by: Actor, name: str, text: str) -> "Snippet":
        """Keep a reply; raises NameTaken (names differ in more than case), VariableUnknown,
        LimitReached, BadUserInput, Forbidden.
        """
        by.require(Right.CONFIGURE)
        require_name(name)
        _require_reply(text)
        async with tx():
            # Counted under a lock: two at once cannot both be the last.
            await Workspace.filter(id=by.workspace_id).select_for_update(no_key=True).get()
            if await cls.filter(workspace_id=by.workspace_id).count() >= SNIPPETS_MAX:
                raise LimitReached("snippets", limit=SNIPPETS_MAX)
            try:
                snippet = await cls.create(workspace_id=by.workspace_id, name=name, text=text)
            except IntegrityError as error:
                raise NameTaken from error
            event.record(event.Kind.SNIPPET_CREATED, by=by, snippet=snippet.id)
        return snippet

    @classmethod
    async def change(cls, id: UUID, *, by: Actor, **changes: Any) -> None:
        """Rename a snippet or say something else; raises NotFound, NameTaken, VariableUnknown,
        BadUserInput, Forbidden.
        """
        by.require(Right.CONFIGURE)
        require_name(changes.get("name", "unchanged"))
        _require_reply(changes.get("text", "unchanged"))
        async with tx():
            snippet = await cls._locked(id, by=by)
            changed = {name: to for name, to in changes.items() if to != getattr(snippet, name)}
            if not changed:
                return
            try:
                await snippet.update_from_dict(changed).save(update_fields=list(changed))
            except IntegrityError as error:
                raise NameTaken from error
            event.record(event.Kind.SNIPPET_UPDATED, by=by, snippet=id)

    @classmethod
    async def remove(cls, id: UUID, *, by: Actor) -> None:
        """Forget a snippet; what was sent with it stays. Raises NotFound, Forbidden."""
        by.require(Right.CONFIGURE)
        async with tx():
            await (await cls._locked(id, by=by)).delete()
            event.record(event.Kind.SNIPPET_DELETED, by=by, snippet=id)

    @classmethod
    async def _locked(cls, id: UUID, *, by: Actor) -> "Snippet":
        return await cls.lock_own(id, by.workspace_id, what="snippet", path="input.snippetId")

    @classmethod
    def visible_to(cls, actor: Actor, *, search: str | None = None) -> QuerySet["Snippet"]:
        """Those that an actor reads, and that have the searched text; raises BadUserInput."""
        if search is not None:
            require_text(search, path="search")
            require_length(search, SEARCH_LENGTH_MAX, path="search")
        if not cls.are_visible_to(actor):
            return cls.filter(id__in=[])
        within = cls.filter(workspace_id=actor.workspace_id)
        if search is None:
            return within
        return within.filter(Q(name__icontains=search) | Q(text__icontains=search))

    @classmethod
    def are_visible_to(cls, actor: Actor) -> bool:
        return actor.may(Right.READ_SETTINGS)


def _require_reply(text: str) -> None:
    require_text(text, path="input.text")
    require_length(text, TEXT_LENGTH_MAX, path="input.text")
    variable.require_known(text)
