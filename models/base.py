"""What every record has: an id unique everywhere, its workspace, and the database's clock."""

import re
from datetime import UTC, datetime
from enum import IntEnum, StrEnum
from typing import Any, Self
from uuid import UUID, uuid4

from tortoise import fields
from tortoise.fields.db_defaults import SqlDefault
from tortoise.models import Model

from models.database import fetch, fetchrow
from models.errors import BadUserInput, NotFound

# The only clock: `relevo_now()` is clock_timestamp(); tests replace its body to travel in time.
NOW = SqlDefault("relevo_now()")
NAME_LENGTH_MAX = 200
# PostgreSQL's text has no NUL, and UTF-8 no lone surrogate.
_unstorable = re.compile("[\x00\ud800-\udfff]")


class Line(StrEnum):
    """The two kinds of attention."""

    SALES = "SALES"
    SUPPORT = "SUPPORT"


class IdlePeriod(IntEnum):
    """Days without activity after which a conversation closes; no other period is accepted."""

    NEVER = 0
    ONE_DAY = 1
    THREE_DAYS = 3
    SEVEN_DAYS = 7
    FOURTEEN_DAYS = 14
    THIRTY_DAYS = 30


class Record(Model):
    """A row of one workspace; foreign keys are composite with it and live in the migrations."""

    id: UUID = fields.UUIDField(primary_key=True, default=uuid4)
    workspace_id: UUID = fields.UUIDField()
    created_at = fields.DatetimeField(db_default=NOW)

    class Meta:
        abstract = True

    @classmethod
    async def fetch_one(
        cls, condition: str, *arguments: object, lock: bool = False, hold: bool = False
    ) -> Self | None:
        """One record by an SQL condition, until the commit locked, or held as it is, if asked for.

        For the paths that every message takes: the query builder costs five times the statement.
        """
        columns = ", ".join(f'"{name}"' for name in cls._meta.fields_db_projection.values())
        row = await fetchrow(
            f'SELECT {columns} FROM "{cls._meta.db_table}" WHERE {condition} LIMIT 1'  # noqa: S608 - the table's own names
            f"{' FOR NO KEY UPDATE' if lock else ' FOR SHARE' if hold else ''}",
            *arguments,
        )
        return None if row is None else cls._init_from_db(**row)

    @classmethod
    async def lock_own(cls, id: UUID, workspace_id: UUID, *, what: str, path: str) -> Self:
        """A record of the workspace, locked until the commit; raises NotFound."""
        found = await cls.fetch_one("id = $1 AND workspace_id = $2", id, workspace_id, lock=True)
        if found is None:
            raise NotFound(what, path=path)
        return found

    @classmethod
    async def lock_all(cls, condition: str, *arguments: object) -> list[Self]:
        """The records by an SQL condition, locked in the order of their ids until the commit."""
        columns = ", ".join(f'"{name}"' for name in cls._meta.fields_db_projection.values())
        rows = await fetch(
            f'SELECT {columns} FROM "{cls._meta.db_table}" WHERE {condition}'  # noqa: S608 - the table's own names
            " ORDER BY id FOR NO KEY UPDATE",
            *arguments,
        )
        return [cls._init_from_db(**row) for row in rows]


def require_text(text: str, *, path: str) -> None:
    """Raise BadUserInput unless the text can be stored and says something."""
    if not text.strip():
        raise BadUserInput("The text is empty.", path=path)
    require_storable(text, path=path)


def require_storable(text: str, *, path: str) -> None:
    """Raise BadUserInput when the text has a character that the database does not."""
    if _unstorable.search(text):
        raise BadUserInput("The text has a NUL or half a character in it.", path=path)


def require_length(text: str, length_max: int, *, path: str) -> None:
    """Raise BadUserInput unless the text can be stored in a column of this many characters."""
    require_storable(text, path=path)
    if len(text) > length_max:
        raise BadUserInput(f"The text is longer than {length_max} characters.", path=path)


def require_name(name: str, *, length_max: int = NAME_LENGTH_MAX, path: str = "input.name") -> None:
    """Raise BadUserInput unless this can name something."""
    require_text(name, path=path)
    require_length(name, length_max, path=path)


def require_instant(at: datetime, *, path: str) -> None:
    """Raise BadUserInput unless the time says its offset and is one that UTC knows."""
    if at.tzinfo is None:
        raise BadUserInput("The time does not say its offset from UTC.", path=path)
    try:
        at.astimezone(UTC)
    except OverflowError as error:
        raise BadUserInput("The time is outside of the calendar.", path=path) from error


def reference(model: str, *, null: bool = False) -> Any:
    """A reference whose constraint is written by hand in a migration, with the workspace in it."""
    return fields.ForeignKeyField(  # type: ignore[call-overload]  # it wants a literal `null`
        model,
        null=null,
        db_constraint=False,
        on_delete=fields.OnDelete.NO_ACTION,
        db_index=False,
        related_name=False,
    )
