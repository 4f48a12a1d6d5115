"""Memberships: who belongs to a team, in an order that is stable and editable."""

from uuid import UUID

from tortoise import fields

from models import event, queue
from models.access import Actor, Right
from models.agent import Agent
from models.base import Record, reference
from models.database import tx
from models.errors import AgentInactive, AlreadyMember, NotFound, NotMember
from models.team import Team


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
            await Team.lock(team.id, by=by)
            agent = await Agent.filter(workspace_id=by.workspace_id).get_or_none(id=agent_id)
            if agent is None:
                raise NotFound("agent", path="input.agentId")
            if not agent.is_active:
                raise AgentInactive(agent_id=agent_id)
            agent.require_holder()
            if await cls.exists(team_id=team.id, agent_id=agent_id):
                raise AlreadyMember
            last = await transaction.fetchval(
                "SELECT coalesce(max(position), 0) FROM memberships WHERE team_id = $1", team.id
            )
            membership = await cls.create(
                workspace_id=by.workspace_id,
                team_id=team.id,
                agent_id=agent_id,
                position=last + 1,
            )
            event.record(event.Kind.MEMBER_ADDED, by=by, to_team_id=team.id, to_agent_id=agent_id)
            queue.follow(transaction, teams=[team.id])
        return membership

    @classmethod
    async def remove(cls, *, by: Actor, team: Team, agent_id: UUID) -> None:
        """Take an agent out of a team; the conversations it holds stay with it."""
        by.require(Right.CONFIGURE)
        async with tx() as transaction:
            # What the queue gives out is decided under this lock too: nothing goes to one who left.
            await Team.lock(team.id, by=by)
            if not await cls.filter(team_id=team.id, agent_id=agent_id).delete():
                raise NotMember
            event.record(
                event.Kind.MEMBER_REMOVED, by=by, from_team_id=team.id, from_agent_id=agent_id
            )
            # A Todos without listed members has everybody as a member again.
            queue.follow(transaction, teams=[team.id])

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
            # Above every old position, so that no two are equal in between.
            base = max((member.position for member in members), default=0)
            await transaction.execute(
                """
                UPDATE memberships m SET position = $3 + o.place
                FROM unnest($2::uuid[]) WITH ORDINALITY AS o(agent_id, place)
                WHERE m.team_id = $1 AND m.agent_id = o.agent_id
                """,
                team.id,
                agent_ids,
                base,
            )
            pointer = base + agent_ids.index(served[-1]) + 1 if served else 0
            await Team.filter(id=team.id).update(round_robin_position=pointer)
            event.record(event.Kind.MEMBERS_REORDERED, by=by, to_team_id=team.id)
