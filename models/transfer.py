"""Handing a conversation over: to an agent, or to a team whose queue and distribution it joins."""

from uuid import UUID

from models import event, placement
from models.access import Actor
from models.agent import Agent
from models.base import require_length, require_text
from models.channel import Channel, require_line
from models.conversation import Conversation
from models.database import fetch, tx
from models.decision import Availability, Rule, Verdict
from models.errors import BadUserInput, NotFound, TargetUnavailable, TransferNotAllowed
from models.team import Team
from models.workspace import Workspace

REASON_LENGTH_MAX = 500


async def transfer(
    id: UUID,
    *,
    by: Actor,
    to_agent: UUID | None = None,
    to_team: UUID | None = None,
    reason: str | None = None,
    expected_version: int | None = None,
) -> None:
    """Hand over to an agent, whatever its load, or to a team: its line, queue, distribution.

    The waiting time stays, and so does the contact's owner; a snooze ends. The reason is kept as a
    private note, which the receiver reads. Raises NotFound, TargetUnavailable (unless the
    workspace allows transfers to whoever is away), AgentInactive, RoleCannotHold, TeamInactive,
    TransferNotAllowed, LineNotSupported, AlreadyAssigned, ConversationClosed, BadUserInput.
    """
    if (to_agent is None) == (to_team is None):
        raise BadUserInput("Hand over to one of both: an agent, or a team.")
    if reason is not None:
        require_text(reason, path="input.reason")
        require_length(reason, REASON_LENGTH_MAX, path="input.reason")
    async with tx():
        team = await Team.locked(to_team, by=by) if to_team else None
        found = await Conversation.locked(id, by=by, expected_version=expected_version)
        await found.require_workable(by)
        found.require_open()
        if reason is not None:
            await found.note(reason, by=by)
        handed_over = placement.Move(Rule.TRANSFERRED, event.Kind.CONVERSATION_TRANSFERRED)
        if team is not None:
            await _require_reachable(found, team)
            found.line = team.line
            await placement.enqueue(found, team.id, handed_over, by=by)
        elif to_agent is not None:
            await _require_available(found, to_agent)
            await found.hand_to(to_agent, handed_over, by=by)


async def _require_reachable(conversation: Conversation, team: Team) -> None:
    """Raise unless the channel serves the team's line, and its own department hands over to it."""
    channel = await Channel.get(id=conversation.channel_id)
    require_line(channel.kind, team.line)
    rows = await fetch(
        "SELECT to_team_id FROM transfer_targets WHERE team_id = $1 ORDER BY to_team_id",
        conversation.team_id,
    )
    allowed = [row["to_team_id"] for row in rows]
    if allowed and team.id not in (*allowed, conversation.team_id):
        raise TransferNotAllowed(allowed=allowed)


async def _require_available(conversation: Conversation, agent_id: UUID) -> None:
    agent = await Agent.get_or_none(id=agent_id, workspace_id=conversation.workspace_id)
    if agent is None:
        raise NotFound("agent", path="input.agentId")
    verdict = await _obstacle(agent)
    if verdict is None:
        return
    workspace = await Workspace.get(id=conversation.workspace_id)
    if not workspace.transfers_to_unavailable:
        raise TargetUnavailable(verdict=verdict)


async def _obstacle(agent: Agent) -> Verdict | None:
    """Why an agent is not there to take over, if it is not."""
    if not await agent.has_live_lease() or agent.availability is Availability.OFFLINE:
        return Verdict.OFFLINE
    if agent.availability is Availability.AWAY:
        return Verdict.AWAY
    return None if agent.accepts_new else Verdict.NOT_ACCEPTING
