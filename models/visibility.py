"""Which conversations an actor sees: decided here, and nowhere else."""

from dataclasses import dataclass
from uuid import UUID

from models.access import Actor, Right
from models.team import Team


@dataclass(frozen=True, slots=True)
class Visibility:
    """An actor's own conversations, and those of the teams that it sees; or all."""

    workspace_id: UUID
    everything: bool
    agent_id: UUID | None
    team_ids: list[UUID]

    @classmethod
    async def of(cls, actor: Actor) -> "Visibility":
        if not actor.may(Right.HOLD_CONVERSATIONS) or actor.may(Right.SEE_ALL):
            return cls(actor.workspace_id, actor.may(Right.SEE_ALL), None, [])
        assert actor.agent_id is not None  # noqa: S101 - only people have that right
        teams = await Team.seen_by_agent(actor.workspace_id, actor.agent_id)
        return cls(actor.workspace_id, everything=False, agent_id=actor.agent_id, team_ids=teams)

    @property
    def arguments(self) -> tuple[object, ...]:
        """What the condition `VISIBLE` takes first."""
        return (self.workspace_id, self.everything, self.agent_id, self.team_ids)

    @property
    def literal(self) -> str:
        """What a row `c` of conversations of the workspace must meet, without arguments."""
        if self.everything:
            return "true"
        if self.agent_id is None:
            return "false"
        teams = ", ".join(map(quoted, self.team_ids))
        return f"(c.assignee_id = {quoted(self.agent_id)} OR c.team_id IN ({teams}))"


def quoted(id: UUID) -> str:
    """An id for statements that take no arguments; a UUID object can only spell itself."""
    return f"'{UUID(str(id))}'"


VISIBLE = """workspace_id = $1
    AND ($2::bool OR assignee_id = $3::uuid OR team_id = ANY($4::uuid[]))"""
