"""Which conversations an actor sees: decided here, and nowhere else."""

from collections.abc import Iterable
from dataclasses import dataclass
from uuid import UUID

from models.access import Actor, Right
from models.team import Team


def sees_by_team(actor: Actor) -> bool:
    """Whether an actor sees its own conversations and its teams': not all of them, and not none."""
    return actor.may(Right.HOLD_CONVERSATIONS) and not actor.may(Right.SEE_ALL)


@dataclass(frozen=True, slots=True)
class Visibility:
    """An actor's own conversations, and those of the teams that it sees; or all.

    Own is what it holds, and what was closed while it held it, until somebody opens that again.
    """

    workspace_id: UUID
    everything: bool
    agent_id: UUID | None
    team_ids: list[UUID]

    @classmethod
    async def of(cls, actor: Actor) -> "Visibility":
        teams: list[UUID] = []
        if sees_by_team(actor) and actor.agent_id is not None:
            teams = await Team.seen_by_agent(actor.workspace_id, actor.agent_id)
        return cls.through(actor, teams)

    @classmethod
    def through(cls, actor: Actor, team_ids: Iterable[UUID]) -> "Visibility":
        """What an actor sees by way of the teams that it sees."""
        if not sees_by_team(actor):
            return cls(actor.workspace_id, actor.may(Right.SEE_ALL), None, [])
        assert actor.agent_id is not None  # noqa: S101 - only people have that right
        return cls(
            actor.workspace_id, everything=False, agent_id=actor.agent_id, team_ids=list(team_ids)
        )

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
        agent = quoted(self.agent_id)
        teams = ", ".join(map(quoted, self.team_ids)) or "NULL"
        return f"""(c.assignee_id = {agent} OR c.team_id IN ({teams})
            OR {closed_while_held("c", by=agent)})"""


def quoted(id: UUID) -> str:
    """An id for statements that take no arguments; a UUID object can only spell itself."""
    return f"'{UUID(str(id))}'"


def closed_while_held(row: str, *, by: str) -> str:
    """What a row of conversations must meet that an agent held when it closed, and is closed still.

    Written so that it is asked of each row where these are few, and of all closings at once else.
    """
    return f"""({row}.status = 'CLOSED' AND EXISTS (
        SELECT FROM closures s WHERE s.conversation_id = {row}.id
          AND s.closed_at = {row}.closed_at AND s.agent_id = {by}))"""


def visible(workspace: str, everything: str, agent: str, teams: str) -> str:
    """What a row of "conversations" must meet for whoever these four describe to see it."""
    return f"""conversations.workspace_id = {workspace}
        AND ({everything} OR assignee_id = {agent} OR team_id = ANY({teams})
             OR {closed_while_held("conversations", by=agent)})"""


VISIBLE = visible("$1", "$2::bool", "$3::uuid", "$4::uuid[]")
