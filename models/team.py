"""Teams: sales groups in a tree, support departments with priority, and the two Todos."""

from collections.abc import Iterable, Sequence
from typing import Any, cast
from uuid import UUID

from tortoise import fields
from tortoise.fields.db_defaults import SqlDefault
from tortoise.queryset import QuerySet

from models import event, idle_policy, queue, team_tree
from models.access import Actor, ActorKind, Right
from models.base import NAME_LENGTH_MAX, IdlePeriod, Line, Record, reference, require_name
from models.database import Raced, Read, Transaction, fetch, fetchval, tx
from models.decision import Distribution
from models.errors import (
    BadUserInput,
    Forbidden,
    LimitReached,
    NotFound,
    PriorityOutOfRange,
    TargetInactive,
    TargetNotAllowed,
    TeamCycle,
    TeamInactive,
    TeamTooDeep,
    WindowOutOfRange,
)
from models.hours import require_known_zone
from models.team_tree import TREE_DEPTH_MAX

PRIORITY_MAX = 10
MAX_OPEN_MAX = 10_000
# Of a time to answer in, and of a step of ageing.
MINUTES_MAX = 7 * 24 * 60
TRANSFER_TARGETS_MAX = 100
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
        cls, *, by: Actor, line: Line, name: str, parent: "Team | None" = None, **settings: Any
    ) -> "Team":
        """Create a group or a department with the settings that `change` knows.

        Raises TargetNotAllowed, TeamTooDeep, TeamInactive, PriorityOutOfRange, LimitReached.
        """
        by.require(Right.CONFIGURE)
        if line is Line.SALES:
            _require_group_creator(by)
        require_name(name)
        _require_bounds(settings)
        handed_to: list[UUID] = settings.pop("transfers_to", [])
        team = cls(workspace_id=by.workspace_id, line=line, name=name, **settings)
        async with tx() as transaction:
            if parent is not None:
                await team_tree.lock(transaction, by.workspace_id)
                team.parent_id = parent.id
            await _lock_others(transaction, [*handed_to, *([parent.id] if parent else [])], by)
            _require_fitting(team, settings)
            if parent is not None:
                await _require_parent(team)
            await team.save(force_create=True)
            event.record(event.Kind.TEAM_CREATED, by=by, to_team_id=team.id)
            await _hand_over_to(transaction, team, handed_to)
        # Its number comes from the database.
        await team.refresh_from_db()
        return team

    @classmethod
    async def change(
        cls, id: UUID, *, by: Actor, preview_token: str | None = None, **changes: Any
    ) -> None:
        """Change a team's settings; what becomes automatic, or more generous, gives out at once.

        With `parent_id` a group moves, with all below it. A shorter idle period takes the token of
        its preview. Raises PriorityOutOfRange, NotFound, TeamInactive, TargetNotAllowed, TeamCycle,
        TeamTooDeep, LimitReached, PreviewRequired, PreviewStale.
        """
        by.require(Right.CONFIGURE)
        require_name(changes.get("name", "unchanged"))
        _require_bounds(changes)
        await require_known_zone(changes.get("business_hours"))
        handed_to: list[UUID] | None = changes.pop("transfers_to", None)
        async with tx() as transaction:
            others = [*(handed_to or []), *filter(None, [changes.get("parent_id")])]
            await _lock_to_change(transaction, id, others, moves="parent_id" in changes, by=by)
            team = await cls.locked(id, by=by)
            changed = {name: to for name, to in changes.items() if to != getattr(team, name)}
            team.update_from_dict(changed)
            _require_fitting(team, changed)
            if changed.get("parent_id") is not None:
                await _require_parent(team)
            if "idle_period_days" in changed:
                whose = idle_policy.Whose(by.workspace_id, team_id=id)
                await idle_policy.require_seen(whose, changed["idle_period_days"], preview_token)
            if changed:
                await team.save(update_fields=list(changed))
            if handed_to is not None and await _hand_over_to(transaction, team, handed_to):
                changed["transfers_to"] = handed_to
            if not changed:
                return
            event.record(event.Kind.TEAM_UPDATED, by=by, to_team_id=id, **event.told(changed))
            queue.follow(transaction, teams=await drawing_from([id]))

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
        return (await seen_by_agents(workspace_id, [agent_id]))[agent_id]

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

    @classmethod
    async def find(cls, id: UUID, *, by: Actor, path: str = "input.teamId") -> "Team":
        """A team that the actor sees; raises NotFound."""
        found = await cls.visible_to(by).get_or_none(id=id)
        if found is None:
            raise NotFound("team", path=path)
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

    @property
    def is_group(self) -> bool:
        return self.line is Line.SALES and not self.is_todos


_groups_are_reserved = False


def reserve_groups(*, reserved: bool) -> None:
    """Leave creating sales groups to the installation's operator (composition roots only)."""
    global _groups_are_reserved  # noqa: PLW0603 - one per process, set while it starts
    _groups_are_reserved = reserved


def _require_group_creator(by: Actor) -> None:
    by.require(Right.CREATE_GROUPS)
    if _groups_are_reserved and by.kind is not ActorKind.SYSTEM:
        raise Forbidden("create sales groups: here only whoever runs the installation does")


async def add_group_by_name(workspace: str, *, name: str, parent: str | None = None) -> UUID:
    """A sales group, created by the operator of the installation; raises NotFound and what
    creating a group does.
    """
    workspace_id = await fetchval(
        "SELECT id FROM workspaces WHERE name = $1 ORDER BY created_at LIMIT 1", workspace
    )
    if workspace_id is None:
        raise NotFound(f"workspace as {workspace!r}")
    above = None
    if parent is not None:
        groups = Team.filter(workspace_id=workspace_id, line=Line.SALES, is_active=True)
        above = await groups.filter(name=parent, is_todos=False).order_by("created_at").first()
        if above is None:
            raise NotFound(f"group as {parent!r}")
    by = Actor.system(workspace_id)
    return (await Team.add(by=by, line=Line.SALES, name=name, parent=above)).id


async def seen_by_agents(
    workspace_id: UUID, agent_ids: Sequence[UUID], *, read: Read = fetch
) -> dict[UUID, list[UUID]]:
    """The teams whose conversations each of these agents sees, in one statement."""
    rows = await read(
        """
        WITH RECURSIVE seen AS (
            SELECT a.id AS agent_id, t.id, 1 AS depth
            FROM unnest($2::uuid[]) AS a(id) CROSS JOIN LATERAL (
                SELECT id FROM teams WHERE workspace_id = $1 AND is_todos
                UNION ALL
                SELECT m.team_id FROM memberships m
                WHERE m.workspace_id = $1 AND m.agent_id = a.id) t
            UNION
            SELECT s.agent_id, t.id, s.depth + 1 FROM teams t JOIN seen s ON t.parent_id = s.id
            WHERE t.workspace_id = $1 AND s.depth < $3
        )
        SELECT agent_id, array_agg(DISTINCT id) AS ids FROM seen GROUP BY agent_id
        """,
        workspace_id,
        list(agent_ids),
        TREE_DEPTH_MAX,
    )
    found = {row["agent_id"]: row["ids"] for row in rows}
    return {id: found.get(id, []) for id in agent_ids}


async def drawing_from(team_ids: list[UUID]) -> list[UUID]:
    """The teams that these teams' members are candidates of: themselves, and the groups above
    that include those below.
    """
    rows = await fetch(
        "SELECT id FROM teams WHERE id = ANY($1) AND (include_descendants OR id = ANY($2))",
        list(await team_tree.ancestors(team_ids)),
        team_ids,
    )
    return [row["id"] for row in rows]


async def lock_drawing_from(
    transaction: Transaction, id: UUID, *, by: Actor, others: Iterable[UUID] = ()
) -> list[UUID]:
    """Lock every team that a team's members are candidates of, and others; raises NotFound.

    What their queues give out is decided under these locks. Raises Raced when the tree changed.
    """
    ids = await drawing_from([id])
    await _lock_others(transaction, [*ids, *others], by)
    await Team.lock(id, by=by)
    if not set(await drawing_from([id])) <= set(ids):
        raise Raced
    return ids


async def _lock_to_change(
    transaction: Transaction, id: UUID, others: list[UUID], *, moves: bool, by: Actor
) -> None:
    """Lock a team and others; if it moves, also the tree and those that its members leave."""
    if moves:
        await team_tree.lock(transaction, by.workspace_id)
        await lock_drawing_from(transaction, id, by=by, others=others)
    else:
        await _lock_others(transaction, [id, *others], by)


async def _lock_others(transaction: Transaction, ids: list[UUID], by: Actor) -> None:
    """Lock those of these teams that are there, by id; whoever asked finds out who is not."""
    if ids:
        await transaction.execute(
            """
            SELECT FROM teams WHERE workspace_id = $1 AND id = ANY($2)
            ORDER BY id FOR NO KEY UPDATE
            """,
            by.workspace_id,
            ids,
        )


def _require_fitting(team: Team, changed: dict[str, Any]) -> None:
    """Raise unless these settings are for a team of this kind."""
    if team.line is Line.SALES and team.priority:
        raise PriorityOutOfRange
    if team.is_todos and "name" in changed:
        raise TargetNotAllowed("Todos keeps its name.")
    if team.include_descendants and not team.is_group:
        raise TargetNotAllowed("Only a sales group has groups below it.")


async def _require_parent(team: Team) -> None:
    """Raise unless the group may be below its parent; the caller has locked the tree."""
    own = Team.filter(workspace_id=team.workspace_id)
    parent = await own.get_or_none(id=team.parent_id)
    if parent is None:
        raise NotFound("team", path="input.parentId")
    if not (team.is_group and parent.is_group):
        raise TargetNotAllowed("Only a sales group has a parent, and it is another group.")
    if not parent.is_active:
        raise TeamInactive
    if team.id in await team_tree.ancestors([parent.id]):
        raise TeamCycle
    if await team_tree.depth(parent.id) + await team_tree.height(team.id) > TREE_DEPTH_MAX:
        raise TeamTooDeep(depth_max=TREE_DEPTH_MAX)


async def _hand_over_to(transaction: Transaction, team: Team, ids: list[UUID]) -> bool:
    """Keep which departments a department hands over to; whether that was a change."""
    before = await transaction.fetch(
        "SELECT to_team_id FROM transfer_targets WHERE team_id = $1", team.id
    )
    if {row["to_team_id"] for row in before} == set(ids):
        return False
    await _require_departments(team, ids)
    await transaction.execute("DELETE FROM transfer_targets WHERE team_id = $1", team.id)
    await transaction.execute(
        """
        INSERT INTO transfer_targets (workspace_id, team_id, to_team_id)
        SELECT DISTINCT $1::uuid, $2::uuid, unnest($3::uuid[])
        """,
        team.workspace_id,
        team.id,
        ids,
    )
    return True


async def _require_departments(team: Team, ids: list[UUID]) -> None:
    """Raise unless a department can hand over to these, which the caller has locked."""
    if team.line is not Line.SUPPORT or team.is_todos or team.id in ids:
        raise TargetNotAllowed("Only a department lists others that it hands over to.")
    found = await Team.filter(workspace_id=team.workspace_id, id__in=ids)
    if len(found) < len(set(ids)):
        raise NotFound("team", path="input.transfersTo")
    if any(other.line is not Line.SUPPORT for other in found):
        raise TargetNotAllowed("A department hands over to others of its line.")
    if not all(other.is_active for other in found):
        raise TargetInactive


def _require_bounds(settings: dict[str, Any]) -> None:
    """Raise unless these settings are within their bounds, whatever team they are for."""
    require_window(settings.get("reassignment_window_hours"), least=WINDOW_FOR_EVER)
    if not 0 <= settings.get("priority", 0) <= PRIORITY_MAX:
        raise PriorityOutOfRange
    for name, most, path in _POSITIVE:
        if settings.get(name) is not None and not 1 <= settings[name] <= most:
            raise BadUserInput(f"{path} is 1 to {most}, or none.", path=f"input.{path}")
    if len(settings.get("transfers_to") or ()) > TRANSFER_TARGETS_MAX:
        raise LimitReached("departments to hand over to", limit=TRANSFER_TARGETS_MAX)


_POSITIVE = (
    ("max_open", MAX_OPEN_MAX, "maxOpen"),
    ("answer_timeout_minutes", MINUTES_MAX, "answerTimeoutMinutes"),
    ("ageing_minutes", MINUTES_MAX, "ageingMinutes"),
)
