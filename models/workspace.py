"""One customer company; nothing is ever visible across workspaces."""

from uuid import UUID, uuid4

from tortoise import fields
from tortoise.models import Model

from models.base import NAME_LENGTH_MAX, NOW, IdlePeriod, Line, require_name
from models.database import tx
from models.team import Team


class Workspace(Model):
    """A company with its own agents, teams, channels and log."""

    id: UUID = fields.UUIDField(primary_key=True, default=uuid4)
    name = fields.CharField(max_length=NAME_LENGTH_MAX)
    idle_period_days = fields.IntEnumField(IdlePeriod, default=IdlePeriod.NEVER)
    closing_reason_required = fields.BooleanField(default=False)
    transfers_to_unavailable = fields.BooleanField(default=False)
    created_at = fields.DatetimeField(db_default=NOW)

    class Meta:
        table = "workspaces"

    @classmethod
    async def found(cls, name: str) -> "Workspace":
        """Create a workspace with its log and its two Todos."""
        require_name(name)
        async with tx() as transaction:
            workspace = await cls.create(name=name)
            await transaction.execute("INSERT INTO logs (workspace_id) VALUES ($1)", workspace.id)
            for line in Line:
                await Team.create(workspace_id=workspace.id, line=line, name="Todos", is_todos=True)
        return workspace
