"""One customer company; nothing is ever visible across workspaces."""

from collections.abc import Iterable
from typing import Any
from uuid import UUID, uuid4

from tortoise import fields
from tortoise.models import Model

from models import event, idle_policy, queue
from models.access import OWNER_SETTERS, Actor, Right, Role
from models.base import NAME_LENGTH_MAX, NOW, IdlePeriod, Line, require_name
from models.database import Transaction, tx
from models.errors import BadUserInput
from models.hours import require_known_zone, require_zone
from models.team import WINDOW_HOURS_MIN, Team, require_window

OWNER_WAIT_MINUTES_MAX = 7 * 24 * 60
# The longest idle period is thirty days.
REMINDER_BEFORE_MINUTES_MAX = 29 * 24 * 60
TIME_ZONE_LENGTH_MAX = 64


class Workspace(Model):
    """A company with its own agents, teams, channels and log."""

    id: UUID = fields.UUIDField(primary_key=True, default=uuid4)
    name = fields.CharField(max_length=NAME_LENGTH_MAX)
    idle_period_days = fields.IntEnumField(IdlePeriod, default=IdlePeriod.NEVER)
    # How long before it closes a quiet conversation is reminded; empty for no reminder.
    idle_reminder_before_minutes = fields.IntField(null=True)
    business_hours: dict[str, Any] | None = fields.JSONField(null=True)
    # Where its days begin: reports are of days.
    time_zone = fields.CharField(max_length=TIME_ZONE_LENGTH_MAX, default="UTC")
    closing_reason_required = fields.BooleanField(default=False)
    summary_required = fields.BooleanField(default=False)
    transfers_to_unavailable = fields.BooleanField(default=False)
    owned_skips_bot = fields.BooleanField(default=False)
    owner_wait_minutes = fields.IntField(null=True)
    sticky_falls_through = fields.BooleanField(default=False)
    # Which roles, beside those that always may, set the owners of contacts.
    owner_setters: list[str] = fields.JSONField(default=list)
    # Empty is for ever: whoever held a contact's last conversation gets it back however late.
    reassignment_window_hours = fields.IntField(null=True)
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

    @classmethod
    async def change(cls, *, by: Actor, preview_token: str | None = None, **changes: Any) -> None:
        """Change settings; those about routing act on conversations opened from now on.

        A shorter idle period takes the token of its preview. Raises WindowOutOfRange,
        PreviewRequired, PreviewStale, BadUserInput, Forbidden.
        """
        by.require(Right.CONFIGURE)
        require_name(changes.get("name", "unchanged"))
        require_window(changes.get("reassignment_window_hours"), least=WINDOW_HOURS_MIN)
        wait = changes.get("owner_wait_minutes")
        if wait is not None and not 1 <= wait <= OWNER_WAIT_MINUTES_MAX:
            raise BadUserInput(
                f"An owner is waited for 1 to {OWNER_WAIT_MINUTES_MAX} minutes, or for ever.",
                path="input.ownerWaitMinutes",
            )
        _require_reminder(changes.get("idle_reminder_before_minutes"))
        await require_known_zone(changes.get("business_hours"))
        await require_zone(changes.get("time_zone"), path="input.timeZone")
        if "owner_setters" in changes:
            changes["owner_setters"] = _owner_setters(changes["owner_setters"])
        async with tx() as transaction:
            workspace = await cls.filter(id=by.workspace_id).select_for_update(no_key=True).get()
            changed = {name: to for name, to in changes.items() if to != getattr(workspace, name)}
            if not changed:
                return
            if "idle_period_days" in changed:
                whose = idle_policy.Whose(by.workspace_id)
                await idle_policy.require_seen(whose, changed["idle_period_days"], preview_token)
            await workspace.update_from_dict(changed).save(update_fields=list(changed))
            if "business_hours" in changed:
                await _drain_all(transaction, by.workspace_id)
            event.record(event.Kind.WORKSPACE_UPDATED, by=by, **event.told(changed))


def _require_reminder(minutes: int | None) -> None:
    if minutes is not None and not 1 <= minutes <= REMINDER_BEFORE_MINUTES_MAX:
        raise BadUserInput(
            f"A reminder comes 1 to {REMINDER_BEFORE_MINUTES_MAX} minutes before, or not at all.",
            path="input.idleReminderBeforeMinutes",
        )


async def _drain_all(transaction: Transaction, workspace_id: UUID) -> None:
    """What opens for everybody gives out what waits anywhere."""
    teams = await transaction.fetch("SELECT id FROM teams WHERE workspace_id = $1", workspace_id)
    queue.follow(transaction, teams=[row["id"] for row in teams])


def _owner_setters(roles: Iterable[Role]) -> list[str]:
    chosen = set(roles)
    if not chosen <= set(OWNER_SETTERS):
        raise BadUserInput(
            f"{', '.join(OWNER_SETTERS)} may set owners where you say so; the others always or by "
            "their scopes.",
            path="input.ownerSetters",
        )
    return [role.value for role in OWNER_SETTERS if role in chosen]
