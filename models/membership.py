"""Memberships: who belongs to a team, in an order that is stable and editable."""

from uuid import UUID

from tortoise import fields
from tortoise.expressions import F

from models import event, queue
from models.access import Actor, Right
from models.agent import Agent
from models.base import Record, reference
from models.candidates import POSITIONS_PER_TEAM
from models.database import tx
from models.decision import ROUND_ROBIN_START
from models.errors import (
    AgentInactive,
    AlreadyMember,
    LimitReached,
    NotFound,
    NotMember,
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
            team = await Team.locked(team.id, by=by)
            agent = await Agent.filter(workspace_id=by.workspace_id).get_or_none(id=agent_id)
            if agent is None:
                raise NotFound("agent", path="input.agentId")
            if not agent.is_active:
                raise AgentInactive(agent_id=agent_id)
            agent.require_holder()
            if await cls.exists(team_id=team.id, agent_id=agent_id):
                raise AlreadyMember
            last, count = await _last_and_count(team, drawing)
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
            drawing = await lock_drawing_from(transaction, team.id, by=by)
            team = await Team.locked(team.id, by=by)
            members = await cls.filter(team_id=team.id).order_by("position")
            if sorted(agent_ids) != sorted(member.agent_id for member in members):
                raise NotMember
            if not members:
                return
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
            for other, place in (await _turns(team, drawing)).items():
                served = [member.agent_id for member in members if member.position <= place]
                turn = agent_ids.index(served[-1]) + 1 if served else ROUND_ROBIN_START
                await Team.filter(id=other).update(
                    round_robin_position=F("round_robin_position") + (turn - place)
                )
            event.record(event.Kind.MEMBERS_REORDERED, by=by, to_team_id=team.id)


async def _turns(team: Team, drawing: list[UUID]) -> dict[UUID, int]:
    """Among this team's positions, whom the locked teams that draw from it served last."""
    start = team.number * POSITIONS_PER_TEAM
    turns = {
        other.id: other.round_robin_position - (0 if other.id == team.id else start)
        for other in await Team.filter(id__in=drawing)
    }
    return {id: place for id, place in turns.items() if 0 < place < POSITIONS_PER_TEAM}


async def _last_and_count(team: Team, drawing: list[UUID]) -> tuple[int, int]:
    """The last position, of a member or of whoever was served last and left, and the members."""
    positions = [member.position for member in await Membership.filter(team_id=team.id)]
    turns = await _turns(team, drawing)
    return max([0, *positions, *turns.values()]), len(positions)
