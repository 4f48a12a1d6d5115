"""Changing the line of a conversation: its team changes with it, whoever holds it does not."""

from uuid import UUID

from models import assignment, event, placement
from models.access import Actor
from models.base import Line
from models.channel import Channel, require_line
from models.conversation import Conversation, Status
from models.database import Raced, encode, tx
from models.decision import Outcome, Rule
from models.errors import TeamInactive
from models.team import Team


async def set_line(id: UUID, line: Line, *, by: Actor, expected_version: int | None = None) -> None:
    """Make a conversation one of the other line, in the team that its channel's target names there.

    What waits goes into that team's queue with its waiting time and what it is reserved for;
    what an agent or the bot has stays there. The line it has already changes nothing. Raises
    NotFound, LineNotSupported, ConversationClosed, Forbidden.
    """
    async with tx():
        channel = await Conversation.hold_channel(id, by=by)
        team = await _team(channel, line)
        found = await Conversation.locked(id, by=by, expected_version=expected_version)
        await found.require_workable(by)
        found.require_open()
        require_line(channel.kind, line)
        if found.line is line:
            return
        found.line = line
        if found.status is Status.QUEUED:
            await _enqueue(found, team, by=by)
        else:
            await _keep(found, team, by=by)


async def _team(channel: Channel, line: Line) -> Team:
    """The channel's target team for the line, else the line's Todos, locked."""
    team_id = await channel.queue_of(line)
    try:
        return await Team.locked(team_id, by=Actor.system(channel.workspace_id))
    except TeamInactive as error:
        # Deleted between the look and the lock: the next look passes it over.
        raise Raced from error


async def _enqueue(conversation: Conversation, team: Team, *, by: Actor) -> None:
    moved = placement.Move(Rule.LINE_SET, event.Kind.CONVERSATION_LINE_SET)
    owner_id, until = conversation.reserved_for_id, conversation.reserved_until
    await placement.enqueue(conversation, team.id, moved, by=by)
    await placement.reserve(conversation, owner_id, until)


async def _keep(conversation: Conversation, team: Team, *, by: Actor) -> None:
    async with tx() as transaction:
        await assignment.note_line(transaction, conversation.id, conversation.line)
        await transaction.execute(
            """
            UPDATE conversations SET line = $2, team_id = $3,
                   decision = CASE WHEN status = 'BOT' THEN $4::text::jsonb END,
                   last_activity_at = relevo_now(), version = version + 1
            WHERE id = $1
            """,
            conversation.id,
            conversation.line.value,
            team.id,
            encode({"rule": Rule.LINE_SET, "outcome": Outcome.WITH_BOT, "candidates": []}),
        )
        conversation.record(
            event.Kind.CONVERSATION_LINE_SET,
            by=by,
            to_team_id=team.id,
            rule=Rule.LINE_SET,
        )
