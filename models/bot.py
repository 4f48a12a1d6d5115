"""The bot: taking a conversation over from it, and letting it go on."""

from models import event, placement
from models.access import Actor, Right
from models.agent import Agent
from models.conversation import Conversation, Status
from models.decision import Rule
from models.errors import ConversationNotWithBot, Forbidden


async def pause(conversation: Conversation, *, by: Actor) -> None:
    """Take a locked conversation from the bot; raises ConversationNotWithBot, Forbidden."""
    if by.agent_id is None:
        raise Forbidden("take over from the bot: only a person can")
    by.require(Right.HOLD_CONVERSATIONS)
    if conversation.status is not Status.BOT:
        raise ConversationNotWithBot(status=conversation.status)
    agent = await Agent.locked(by.agent_id, by=by)
    paused = placement.Move(Rule.BOT_PAUSED, event.Kind.BOT_PAUSED)
    await placement.hold(conversation, agent.id, paused, by=by)


async def resume(conversation: Conversation, *, by: Actor) -> None:
    """Let the bot go on with a locked conversation and give it up; a snooze ends.

    Raises ConversationNotAssigned, Forbidden.
    """
    await conversation.require_held(by)
    await placement.give_to_bot(conversation, await conversation.home_queue(), by=by)
