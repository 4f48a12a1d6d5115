"""Whom a ticket names: its requester, its assignee, its department.

The last two are asked for and not locked: who goes keeps the tickets that it has, unless somebody
takes its place, so it makes no difference which of both came first.
"""

from uuid import UUID

from models.access import Actor, Right
from models.agent import Agent
from models.base import Line
from models.contact import Contact
from models.errors import AgentInactive, NotFound, TargetNotAllowed, TeamInactive
from models.team import Team


async def lock_requester(id: UUID, *, by: Actor) -> None:
    """Lock the contact whose request it is: one that the actor sees.

    Whoever sees every ticket names any. Raises NotFound, ContactMerged.
    """
    seen_by = Actor.system(by.workspace_id) if by.may(Right.SEE_TICKETS) else by
    await Contact.locked(id, by=seen_by, path="input.requesterId")


async def require_assignee(id: UUID | None, *, by: Actor) -> None:
    """Raise NotFound, AgentInactive, RoleCannotHold unless a ticket can be assigned to it."""
    if id is None:
        return
    agent = await Agent.get_or_none(id=id, workspace_id=by.workspace_id)
    if agent is None:
        raise NotFound("agent", path="input.assigneeId")
    if not agent.is_active:
        raise AgentInactive(agent_id=id)
    agent.require_holder()


async def require_department(id: UUID | None, *, by: Actor) -> None:
    """Raise NotFound, TargetNotAllowed, TeamInactive unless a ticket can be of this team."""
    if id is None:
        return
    team = await Team.get_or_none(id=id, workspace_id=by.workspace_id)
    if team is None:
        raise NotFound("team", path="input.departmentId")
    if team.line is not Line.SUPPORT:
        raise TargetNotAllowed(
            "A ticket is of a department of the support desk.", path="input.departmentId"
        )
    if not team.is_active:
        raise TeamInactive
