"""What decides what an actor sees, apart from what it holds itself."""

from dataclasses import dataclass
from typing import Self
from uuid import UUID

from models.access import Actor, ActorKind, Right, Role
from models.team import Team


@dataclass(frozen=True, slots=True)
class Sight:
    """Actors of equal sight see the same, but for what each of them holds or held.

    For those who see everything, or nothing, there are no teams in it.
    """

    workspace_id: UUID
    kind: ActorKind
    role: Role | None
    scopes: frozenset[str]
    team_ids: frozenset[UUID]

    @classmethod
    async def of(cls, actor: Actor) -> Self:
        teams: list[UUID] = []
        if actor.agent_id and actor.may(Right.HOLD_CONVERSATIONS) and not actor.may(Right.SEE_ALL):
            teams = await Team.seen_by_agent(actor.workspace_id, actor.agent_id)
        return cls(actor.workspace_id, actor.kind, actor.role, actor.scopes, frozenset(teams))
