"""Contact fields: what a workspace wants to know of its contacts, and the values it may get."""

import re
from collections.abc import Callable, Iterable, Mapping
from datetime import date
from decimal import Decimal
from enum import StrEnum
from functools import partial
from typing import Any
from uuid import UUID

from tortoise import fields
from tortoise.exceptions import IntegrityError
from tortoise.queryset import QuerySet

from models import event
from models.access import Actor, Right
from models.base import NAME_LENGTH_MAX, Record, require_length, require_name
from models.database import Transaction, encode, fetch, tx
from models.errors import BadUserInput, FieldValueInvalid, InUse, LimitReached, NameTaken, NotFound
from models.workspace import Workspace

FIELDS_MAX = 100
CHOICES_MAX = 100
CHOICE_LENGTH_MAX = 100
# Characters of any value.
VALUE_LENGTH_MAX = 1_000
# Eighteen digits and nine decimals hold any sum of money; there are no exponents.
_number = re.compile(r"-?\d{1,18}(\.\d{1,9})?", re.ASCII)
# How many contacts are named that still have what is taken away.
USES_MAX = 20
FORGETTING_BATCH_SIZE = 1_000
FORGETTING_BATCHES_MAX = 50


class FieldKind(StrEnum):
    """What a field holds; it never changes."""

    TEXT = "TEXT"
    NUMBER = "NUMBER"
    DATE = "DATE"
    CHOICE = "CHOICE"


class ContactField(Record):
    """What a workspace wants to know of its contacts."""

    name = fields.CharField(max_length=NAME_LENGTH_MAX)
    kind = fields.CharEnumField(FieldKind, max_length=16)
    choices: list[str] = fields.JSONField(default=list)

    class Meta:
        table = "contact_fields"

    @classmethod
    async def add(
        cls, *, by: Actor, name: str, kind: FieldKind, choices: Iterable[str] = ()
    ) -> "ContactField":
        """Define a field; raises NameTaken, LimitReached, BadUserInput, Forbidden."""
        by.require(Right.CONFIGURE)
        require_name(name)
        offered = _choices(kind, choices)
        async with tx():
            # Counted under a lock: two at once cannot both be the last.
            await Workspace.filter(id=by.workspace_id).select_for_update(no_key=True).get()
            if await cls.filter(workspace_id=by.workspace_id).count() >= FIELDS_MAX:
                raise LimitReached("contact fields", limit=FIELDS_MAX)
            try:
                field = await cls.create(
                    workspace_id=by.workspace_id, name=name, kind=kind, choices=offered
                )
            except IntegrityError as error:
                raise NameTaken from error
            event.record(event.Kind.CONTACT_FIELD_CREATED, by=by, field=field.id, holds=kind)
        return field

    @classmethod
    async def change(
        cls, id: UUID, *, by: Actor, name: str | None = None, choices: list[str] | None = None
    ) -> None:
        """Rename a field or offer other choices; one that a contact has stays.

        Raises NotFound, NameTaken, InUse (naming contacts that have the choice), BadUserInput.
        """
        by.require(Right.CONFIGURE)
        require_name("unchanged" if name is None else name)
        async with tx() as transaction:
            field = await cls.locked(id, by=by)
            name = field.name if name is None else name
            offered = field.choices if choices is None else _choices(field.kind, choices)
            if (name, offered) == (field.name, field.choices):
                return
            gone = [choice for choice in field.choices if choice not in offered]
            if gone:
                await field._require_unused(transaction, gone)
            try:
                await field.update_from_dict({"name": name, "choices": offered}).save()
            except IntegrityError as error:
                raise NameTaken from error
            event.record(event.Kind.CONTACT_FIELD_UPDATED, by=by, field=id)

    @classmethod
    async def remove(cls, id: UUID, *, by: Actor) -> None:
        """Forget a field with all its values; raises NotFound.

        Nobody sees a value from the commit on; the rows lose theirs after it, in batches.
        """
        by.require(Right.CONFIGURE)
        async with tx() as transaction:
            field = await cls.locked(id, by=by)
            await field.delete()
            event.record(event.Kind.CONTACT_FIELD_DELETED, by=by, field=id)
            forget = partial(_forget_values, by.workspace_id, id)
            transaction.followers[f"contact_field.forget {id}"] = forget

    @classmethod
    async def locked(cls, id: UUID, *, by: Actor) -> "ContactField":
        """A field that nobody gives a value to until the commit; raises NotFound."""
        return await cls.lock_own(id, by.workspace_id, what="contact field", path="input.fieldId")

    @classmethod
    def visible_to(cls, actor: Actor) -> QuerySet["ContactField"]:
        within = cls.filter(workspace_id=actor.workspace_id)
        return within if cls.are_visible_to(actor) else cls.filter(id__in=[])

    @classmethod
    def are_visible_to(cls, actor: Actor) -> bool:
        """Whoever reads contacts, be it a few, or sets fields up."""
        rights = (Right.READ_CONTACTS, Right.SEE_ALL, Right.HOLD_CONVERSATIONS, Right.CONFIGURE)
        return any(actor.may(right) for right in rights)

    @classmethod
    async def held(cls, ids: Iterable[UUID], *, by: Actor) -> "dict[UUID, ContactField]":
        """Fields that stay as they are until the commit; those that are gone are left out."""
        own = ", ".join(f'"{name}"' for name in cls._meta.fields_db_projection.values())
        rows = await fetch(
            f"""
            SELECT {own} FROM contact_fields WHERE workspace_id = $1 AND id = ANY($2)
            ORDER BY id FOR SHARE
            """,  # noqa: S608 - column names
            by.workspace_id,
            list(ids),
        )
        return {row["id"]: cls._init_from_db(**row) for row in rows}

    def canonical(self, value: str) -> str | None:
        """The one spelling of a value of this field's kind; None when it is not one."""
        return _SPELLINGS[self.kind](self, value)

    def checked(self, value: str, *, path: str = "input.fields") -> str:
        """The value as it is stored; raises FieldValueInvalid, BadUserInput."""
        require_length(value, VALUE_LENGTH_MAX, path=path)
        found = self.canonical(value)
        if found is None:
            raise FieldValueInvalid(name=self.name, kind=self.kind, path=path)
        return found

    async def _require_unused(self, transaction: Transaction, choices: list[str]) -> None:
        rows = await transaction.fetch(
            # In an order, or limited without the detour, each choice would read every contact.
            """
            SELECT found.id FROM unnest($2::text[]) AS gone(value)
            CROSS JOIN LATERAL (
                WITH having_it AS MATERIALIZED (
                    SELECT c.id FROM contacts c
                    WHERE c.workspace_id = $1 AND c.field_values @> gone.value::jsonb)
                SELECT id FROM having_it LIMIT $3) found
            LIMIT $3
            """,
            self.workspace_id,
            [encode({str(self.id): choice}) for choice in choices],
            USES_MAX,
        )
        if rows:
            ids = sorted(row["id"] for row in rows)
            raise InUse("choice", remedy="change those contacts first", contacts=(ids, len(ids)))


async def written(
    stored: Mapping[str, Any], given: Iterable[tuple[UUID, str | None]], *, by: Actor
) -> dict[str, Any]:
    """A contact's values with those given; None clears one.

    The fields stay as they are until the commit. Raises NotFound, FieldValueInvalid, BadUserInput.
    """
    changes = list(given)
    if len(changes) > FIELDS_MAX or len(dict(changes)) < len(changes):
        raise BadUserInput("Give each field once.", path="input.fields")
    held = await ContactField.held(dict(changes), by=by) if changes else {}
    values = dict(stored)
    for id, value in changes:
        if id not in held:
            raise NotFound("contact field", path="input.fields")
        if value is None:
            values.pop(str(id), None)
        else:
            values[str(id)] = held[id].checked(value)
    return values


async def _forget_values(workspace_id: UUID, id: UUID) -> None:
    last = UUID(int=0)
    for _ in range(FORGETTING_BATCHES_MAX):
        async with tx() as transaction:
            rows = await transaction.fetch(
                """
                WITH having_it AS MATERIALIZED (
                    SELECT id FROM contacts
                    WHERE workspace_id = $1 AND id > $2 AND field_values ? $3
                    ORDER BY id LIMIT $4 FOR NO KEY UPDATE)
                UPDATE contacts SET field_values = field_values - $3
                FROM having_it WHERE contacts.id = having_it.id RETURNING contacts.id
                """,
                workspace_id,
                last,
                str(id),
                FORGETTING_BATCH_SIZE,
            )
        if len(rows) < FORGETTING_BATCH_SIZE:
            return
        last = max(row["id"] for row in rows)


def _choices(kind: FieldKind, choices: Iterable[str]) -> list[str]:
    offered = list(choices)
    path = "input.choices"
    if (kind is FieldKind.CHOICE) != bool(offered):
        raise BadUserInput("A CHOICE has choices, and nothing else has.", path=path)
    if len(offered) > CHOICES_MAX or len(set(offered)) < len(offered):
        raise BadUserInput(f"There are at most {CHOICES_MAX} choices, each once.", path=path)
    for choice in offered:
        require_name(choice, length_max=CHOICE_LENGTH_MAX, path=path)
    return offered


def _text(_field: ContactField, value: str) -> str | None:
    return value.strip() or None


def _plain_number(_field: ContactField, value: str) -> str | None:
    if _number.fullmatch(value.strip()) is None:
        return None
    # Nothing is added but to minus nothing, which loses its sign.
    return f"{(Decimal(value) + 0).normalize():f}"


def _day(_field: ContactField, value: str) -> str | None:
    try:
        day = date.fromisoformat(value.strip()).isoformat()
    except ValueError:
        return None
    # Python also reads weeks and days without dashes; one spelling is enough.
    return day if day == value.strip() else None


def _choice(field: ContactField, value: str) -> str | None:
    return value if value in field.choices else None


_SPELLINGS: dict[FieldKind, Callable[[ContactField, str], str | None]] = {
    FieldKind.TEXT: _text,
    FieldKind.NUMBER: _plain_number,
    FieldKind.DATE: _day,
    FieldKind.CHOICE: _choice,
}
