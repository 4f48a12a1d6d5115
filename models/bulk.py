"""One command on many conversations: each is refused or done for itself, all in one transaction."""

from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from uuid import UUID

from models import closing
from models.access import Actor, Right
from models.agent import Agent
from models.conversation import Conversation
from models.database import Transaction, attempt, tx
from models.errors import (
    BadUserInput,
    ConversationNotHeld,
    Forbidden,
    NotFound,
    RuleViolation,
)
from models.ticket.record import Ticket
from models.visibility import VISIBLE, Visibility

CONVERSATIONS_MAX = 100
Verb = Callable[[Conversation], Awaitable[object]]


@dataclass(frozen=True, slots=True)
class Result:
    """What the command came to for one conversation."""

    conversation_id: UUID
    refusal: RuleViolation | None = None


async def assign(ids: list[UUID], agent_id: UUID, *, by: Actor) -> list[Result]:
    """Give conversations to an agent by hand, whatever its load; raises Forbidden, BadUserInput."""
    by.require(Right.ASSIGN_OTHERS)
    return await _each(
        ids, lambda conversation: conversation.assign(agent_id, by=by), by=by, agents=[agent_id]
    )


async def close(
    ids: list[UUID],
    *,
    by: Actor,
    reason_id: UUID | None = None,
    summary: str | None = None,
) -> list[Result]:
    """End conversations with one reason and summary; raises Forbidden, BadUserInput."""
    if not by.may(Right.HOLD_CONVERSATIONS):
        by.require(Right.WORK_ALL)
    return await _each(
        ids,
        lambda conversation: closing.close(
            conversation, by=by, reason_id=reason_id, summary=summary
        ),
        by=by,
    )


async def _each(
    ids: list[UUID], verb: Verb, *, by: Actor, agents: Iterable[UUID] = ()
) -> list[Result]:
    """Run a verb on every conversation in the order given, with everything locked before."""
    if not 1 <= len(ids) <= CONVERSATIONS_MAX or len(set(ids)) < len(ids):
        raise BadUserInput(
            f"Name 1 to {CONVERSATIONS_MAX} conversations, each once.",
            path="input.conversationIds",
        )
    async with tx() as transaction:
        seen = await Visibility.of(by)
        found = await Conversation.lock_all(f"id = ANY($5) AND {VISIBLE}", *seen.arguments, ids)
        holders = {conversation.assignee_id for conversation in found}
        await Agent.lock_all(
            "id = ANY($1) AND workspace_id = $2", [*holders, *agents], by.workspace_id
        )
        # After agents, and by id: what closes adds to its ticket.
        await Ticket.lock_all("id = ANY($1)", [conversation.ticket_id for conversation in found])
        by_id = {conversation.id: conversation for conversation in found}
        return [Result(id, await _refusal(transaction, by_id.get(id), verb)) for id in ids]


async def _refusal(
    transaction: Transaction, conversation: Conversation | None, verb: Verb
) -> RuleViolation | None:
    """Run a verb; what it is refused for, if it is."""
    if conversation is None:
        return NotFound("conversation", path="input.conversationIds")
    try:
        async with attempt(transaction):
            await verb(conversation)
    except Forbidden:
        return ConversationNotHeld(holder_id=conversation.assignee_id)
    except RuleViolation as refusal:
        return refusal
    return None
