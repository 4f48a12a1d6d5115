"""What every record has: an id unique everywhere, its workspace, and the database's clock."""

from enum import IntEnum, StrEnum
from typing import Any
from uuid import UUID, uuid4

from tortoise import fields
from tortoise.fields.db_defaults import SqlDefault
from tortoise.models import Model

# The only clock: `relevo_now()` is clock_timestamp(); tests replace its body to travel in time.
NOW = SqlDefault("relevo_now()")
NAME_LENGTH_MAX = 200


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
