"""Teams: sales groups in a tree, support departments with priority, and the two Todos."""

from typing import Any, cast
from uuid import UUID

from tortoise import fields
from tortoise.fields.db_defaults import SqlDefault
from tortoise.queryset import QuerySet

from models import event, queue
from models.access import Actor, Right
from models.base import NAME_LENGTH_MAX, IdlePeriod, Line, Record, reference, require_name
from models.database import fetch, fetchval, tx
from models.decision import Distribution
from models.errors import (
    BadUserInput,
    NotFound,
    PriorityOutOfRange,
    TargetNotAllowed,
    TeamInactive,
    TeamTooDeep,
    WindowOutOfRange,
)

TREE_DEPTH_MAX = 10
PRIORITY_MAX = 10
MAX_OPEN_MAX = 10_000
WINDOW_HOURS_MIN = 1
WINDOW_HOURS_MAX = 90 * 24
WINDOW_FOR_EVER = 0


def require_window(hours: int | None, *, least: int) -> None:
    """Raise WindowOutOfRange unless a reassignment window may be this long."""
    if hours is not None and not least <= hours <= WINDOW_HOURS_MAX:
        raise WindowOutOfRange(hours_max=WINDOW_HOURS_MAX)


class Team(Record):
    """A sales group, a support department, or the Todos of a line."""

    line = fields.CharEnumField(Line, max_length=16)
    name = fields.CharField(max_length=NAME_LENGTH_MAX)
    is_todos = fields.BooleanField(default=False)
    is_active = fields.BooleanField(default=True)
    parent = reference("models.Team", null=True)
    parent_id: UUID | None
    priority = fields.SmallIntField(default=0)
    distribution = fields.CharEnumField(Distribution, max_length=16, default=Distribution.MANUAL)
    online_only = fields.BooleanField(default=True)
    max_open = fields.IntField(null=True)
    # Whether its candidates are also the members of the groups below.
    include_descendants = fields.BooleanField(default=False)
    # After how many minutes an agent who has not answered loses a conversation to its queue.
    answer_timeout_minutes = fields.IntField(null=True)
    # After how many minutes of waiting a conversation counts one step of priority more.
    ageing_minutes = fields.IntField(null=True)
    idle_period_days = fields.IntEnumField(IdlePeriod, null=True)
    business_hours: dict[str, Any] | None = fields.JSONField(null=True)
    # Empty is the workspace's; 0 is for ever, which a team can want where the workspace does not.
    reassignment_window_hours = fields.IntField(null=True)
    unassign_on_close = fields.BooleanField(default=False)
    # The position, in the order of members, of whoever round robin served last.
    round_robin_position = fields.BigIntField(default=0)
    # Given once: keeps the members of the groups below in one stable order.
    number = fields.IntField(unique=True, db_default=SqlDefault("nextval('team_numbers')"))

    class Meta:
        table = "teams"

    @classmethod
    async def add(
        cls,
        *,
        by: Actor,
        line: Line,
        name: str,
        parent: "Team | None" = None,
        priority: int = 0,
        distribution: Distribution = Distribution.MANUAL,
    ) -> "Team":
        """Create a group or a department; raises TargetNotAllowed, TeamTooDeep,
        PriorityOutOfRange.
        """
        by.require(Right.CONFIGURE)
        require_name(name)
        if not 0 <= priority <= PRIORITY_MAX or (line is Line.SALES and priority):
            raise PriorityOutOfRange
        if parent is not None and (Line.SUPPORT in (line, parent.line) or parent.is_todos):
            raise TargetNotAllowed("Only a sales group has a parent, and it is another group.")
        async with tx():
            if parent is not None and await parent.depth() >= TREE_DEPTH_MAX:
                raise TeamTooDeep(depth_max=TREE_DEPTH_MAX)
            team = await cls.create(
                workspace_id=by.workspace_id,
                line=line,
                name=name,
                parent_id=parent.id if parent else None,
                priority=priority,
                distribution=distribution,
            )
            event.record(event.Kind.TEAM_CREATED, by=by, to_team_id=team.id)
        return team

    @classmethod
    async def change(cls, id: UUID, *, by: Actor, **changes: Any) -> None:
        """Change name, distribution, onlineOnly, maxOpen, priority, idle period or window.

        A team that becomes automatic, or more generous, gives out at once what waits. Raises
        PriorityOutOfRange, NotFound, TeamInactive.
        """
        by.require(Right.CONFIGURE)
        require_name(changes.get("name", "unchanged"))
        require_window(changes.get("reassignment_window_hours"), least=WINDOW_FOR_EVER)
        if changes.get("max_open") is not None and not 1 <= changes["max_open"] <= MAX_OPEN_MAX:
            raise BadUserInput(f"maxOpen is 1 to {MAX_OPEN_MAX}, or none.", path="input.maxOpen")
        async with tx() as transaction:
            team = await cls.locked(id, by=by)
            changed = {name: to for name, to in changes.items() if to != getattr(team, name)}
            priority = changed.get("priority", 0)
            if not 0 <= priority <= PRIORITY_MAX or (team.line is Line.SALES and priority):
                raise PriorityOutOfRange
            if team.is_todos and "name" in changed:
                raise TargetNotAllowed("Todos keeps its name.")
            if not changed:
                return
            await team.update_from_dict(changed).save(update_fields=list(changed))
            for untold in ("name", "business_hours"):
                changed.pop(untold, None)
            event.record(event.Kind.TEAM_UPDATED, by=by, to_team_id=id, **changed)
            queue.follow(transaction, teams=[id])

    @classmethod
    def visible_to(cls, actor: Actor) -> QuerySet["Team"]:
        within = cls.filter(workspace_id=actor.workspace_id)
        return within if cls.are_visible_to(actor) else cls.filter(id__in=[])

    @classmethod
    def are_visible_to(cls, actor: Actor) -> bool:
        """Every role reads the teams of its workspace; an integration needs the scope."""
        return actor.may(Right.READ_SETTINGS) or actor.may(Right.SEE_ALL)

    @classmethod
    async def queues_visible_to(cls, actor: Actor) -> list[UUID]:
        """The teams whose queues an actor sees: supervisors all, agents those they see."""
        if actor.may(Right.SEE_ALL):
            ids = await cls.filter(workspace_id=actor.workspace_id).values_list("id", flat=True)
            return cast("list[UUID]", ids)
        if actor.agent_id is not None and actor.may(Right.HOLD_CONVERSATIONS):
            return await cls.seen_by_agent(actor.workspace_id, actor.agent_id)
        return []

    @classmethod
    async def seen_by_agent(cls, workspace_id: UUID, agent_id: UUID) -> list[UUID]:
        """The teams whose conversations an agent sees: its own, the groups below, the Todos."""
        rows = await fetch(
            """
            WITH RECURSIVE seen AS (
                SELECT t.id, 1 AS depth FROM teams t
                WHERE t.workspace_id = $1 AND (t.is_todos OR EXISTS (
                    SELECT FROM memberships m WHERE m.team_id = t.id AND m.agent_id = $2))
                UNION
                SELECT t.id, s.depth + 1 FROM teams t JOIN seen s ON t.parent_id = s.id
                WHERE t.workspace_id = $1 AND s.depth < $3
            )
            SELECT DISTINCT id FROM seen
            """,
            workspace_id,
            agent_id,
            TREE_DEPTH_MAX,
        )
        return [row["id"] for row in rows]

    @classmethod
    async def todos(cls, workspace_id: UUID, line: Line) -> "Team":
        return await cls.get(workspace_id=workspace_id, line=line, is_todos=True)

    @classmethod
    async def todos_id(cls, workspace_id: UUID, line: Line) -> UUID:
        """The id of a line's Todos, which every workspace has from its first moment."""
        id: UUID = await fetchval(
            "SELECT id FROM teams WHERE workspace_id = $1 AND line = $2 AND is_todos",
            workspace_id,
            line.value,
        )
        return id

    async def depth(self) -> int:
        """How many groups there are from the root down to this one."""
        depth: int = await fetchval(
            """
            WITH RECURSIVE up AS (
                SELECT parent_id, 1 AS depth FROM teams WHERE id = $1
                UNION ALL
                SELECT t.parent_id, up.depth + 1 FROM teams t JOIN up ON t.id = up.parent_id
                WHERE up.depth <= $2
            )
            SELECT max(depth) FROM up
            """,
            self.id,
            TREE_DEPTH_MAX,
        )
        return depth

    @classmethod
    async def find(cls, id: UUID, *, by: Actor) -> "Team":
        """A team that the actor sees; raises NotFound."""
        found = await cls.visible_to(by).get_or_none(id=id)
        if found is None:
            raise NotFound("team", path="input.teamId")
        return found

    @classmethod
    async def locked(cls, id: UUID, *, by: Actor) -> "Team":
        """A team and its queue, locked for the rest of the transaction; raises NotFound,
        TeamInactive.
        """
        found = await cls.lock(id, by=by)
        if not found.is_active:
            raise TeamInactive
        return found

    @classmethod
    async def lock(cls, id: UUID, *, by: Actor) -> "Team":
        """A team and its queue, active or not, locked; raises NotFound."""
        own = cls.filter(workspace_id=by.workspace_id)
        found = await own.select_for_update(no_key=True).get_or_none(id=id)
        if found is None:
            raise NotFound("team", path="input.teamId")
        return found

    @property
    def distributes(self) -> bool:
        return self.distribution is not Distribution.MANUAL
