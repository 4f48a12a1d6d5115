"""Memberships: who belongs to a team, in an order that is stable and editable."""

from uuid import UUID

from tortoise import fields

from models import event, queue
from models.access import Actor, Right
from models.agent import Agent
from models.base import Record, reference
from models.database import Transaction, tx
from models.decision import ROUND_ROBIN_START
from models.errors import (
    AgentInactive,
    AlreadyMember,
    LimitReached,
    NotFound,
    NotMember,
    TeamInactive,
)
from models.team import Team, lock_drawing_from

MEMBERS_MAX = 1_000


class Membership(Record):
    """An agent's place in the order of a team's members."""

    team = reference("models.Team")
    team_id: UUID
    agent = reference("models.Agent")
    agent_id: UUID
    position = fields.IntField()

    class Meta:
        table = "memberships"

    @classmethod
    async def add(cls, *, by: Actor, team: Team, agent_id: UUID) -> "Membership":
        """Append an agent to a team's order; raises AlreadyMember, AgentInactive, NotFound."""
        by.require(Right.CONFIGURE)
        async with tx() as transaction:
            # The team's lock keeps the positions apart when two agents join at once.
            drawing = await lock_drawing_from(transaction, team.id, by=by)
            if not (await Team.lock(team.id, by=by)).is_active:
                raise TeamInactive
            agent = await Agent.filter(workspace_id=by.workspace_id).get_or_none(id=agent_id)
            if agent is None:
                raise NotFound("agent", path="input.agentId")
            if not agent.is_active:
                raise AgentInactive(agent_id=agent_id)
            agent.require_holder()
            if await cls.exists(team_id=team.id, agent_id=agent_id):
                raise AlreadyMember
            last, count = await _last_and_count(transaction, team.id)
            if count >= MEMBERS_MAX:
                raise LimitReached("members of a team", limit=MEMBERS_MAX)
            membership = await cls.create(
                workspace_id=by.workspace_id,
                team_id=team.id,
                agent_id=agent_id,
                position=last + 1,
            )
            event.record(event.Kind.MEMBER_ADDED, by=by, to_team_id=team.id, to_agent_id=agent_id)
            queue.follow(transaction, teams=drawing)
        return membership

    @classmethod
    async def remove(cls, *, by: Actor, team: Team, agent_id: UUID) -> None:
        """Take an agent out of a team; the conversations it holds stay with it."""
        by.require(Right.CONFIGURE)
        async with tx() as transaction:
            # What the queue gives out is decided under this lock too: nothing goes to one who left.
            drawing = await lock_drawing_from(transaction, team.id, by=by)
            if not await cls.filter(team_id=team.id, agent_id=agent_id).delete():
                raise NotMember
            event.record(
                event.Kind.MEMBER_REMOVED, by=by, from_team_id=team.id, from_agent_id=agent_id
            )
            # A Todos without listed members has everybody as a member again.
            queue.follow(transaction, teams=drawing)

    @classmethod
    async def reorder(cls, *, by: Actor, team: Team, agent_ids: list[UUID]) -> None:
        """Put all members into a new order; round robin goes on after whoever it served last.

        Raises NotMember unless these are exactly the members.
        """
        by.require(Right.CONFIGURE)
        async with tx() as transaction:
            locked = await Team.locked(team.id, by=by)
            members = await cls.filter(team_id=team.id).order_by("position")
            if sorted(agent_ids) != sorted(member.agent_id for member in members):
                raise NotMember
            if not members:
                return
            served = [m.agent_id for m in members if m.position <= locked.round_robin_position]
            # Places are exchanged one row after the other: no two are equal only in the end.
            await transaction.execute("SET CONSTRAINTS memberships_one_position DEFERRED")
            await transaction.execute(
                """
                UPDATE memberships m SET position = o.place
                FROM unnest($2::uuid[]) WITH ORDINALITY AS o(agent_id, place)
                WHERE m.team_id = $1 AND m.agent_id = o.agent_id
                """,
                team.id,
                agent_ids,
            )
            await transaction.execute("SET CONSTRAINTS memberships_one_position IMMEDIATE")
            pointer = agent_ids.index(served[-1]) + 1 if served else ROUND_ROBIN_START
            await Team.filter(id=team.id).update(round_robin_position=pointer)
            event.record(event.Kind.MEMBERS_REORDERED, by=by, to_team_id=team.id)


async def _last_and_count(transaction: Transaction, team_id: UUID) -> tuple[int, int]:
    row = await transaction.fetchrow(
        """
        SELECT coalesce(max(position), 0) AS last, count(*) AS count
        FROM memberships WHERE team_id = $1
        """,
        team_id,
    )
    assert row is not None  # noqa: S101 - aggregates have one row
    return row["last"], row["count"]
