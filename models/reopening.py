"""Opening a closed conversation again: for who held it, else in its queue."""

from uuid import UUID

from models import event, placement
from models.access import HOLDERS, Actor
from models.agent import Agent
from models.conversation import Conversation, Status
from models.database import Raced, Transaction, tx
from models.decision import Rule
from models.errors import ConversationAlreadyOpen, ConversationNotClosed


async def reopen(id: UUID, *, by: Actor, expected_version: int | None = None) -> None:
    """Open a closed conversation again, for who held it if active, else in its queue.

    Raises NotFound, ConversationAlreadyOpen (naming the other), ConversationNotClosed.
    """
    async with tx() as transaction:
        contact_id = await Conversation.lock_contact(transaction, id, by=by)
        home = await Conversation.hold_team(id, workspace_id=by.workspace_id)
        found = await Conversation.locked(id, by=by, expected_version=expected_version)
        if found.contact_id != contact_id:
            raise Raced
        if found.status is not Status.CLOSED:
            raise ConversationNotClosed
        holder = await found.last_holder()
        found.require_reopenable(by, holder)
        other = await Conversation.open_one(found.contact_id, found.channel_id)
        if other is not None:
            raise ConversationAlreadyOpen(conversation_id=other)
        await open_again(transaction, found, home)
        await _place(found, holder, by=by)


async def open_again(
    transaction: Transaction, conversation: Conversation, held_team_id: UUID | None
) -> None:
    """Let a locked, closed conversation wait in its queue; the caller places it at once.

    The time to a first answer, and to a closing, begins again.

    The caller held its team before it. Raises Raced when that is another by now.
    """
    await transaction.execute(
        """
        UPDATE conversations SET status = 'QUEUED', closed_at = NULL, team_id = $2,
               queued_at = relevo_now(), last_activity_at = relevo_now(),
               reopened_at = relevo_now(), answered_at = NULL
        WHERE id = $1
        """,
        conversation.id,
        await conversation.home_queue(held_team_id),
    )
    await conversation.refresh_from_db()


async def _place(conversation: Conversation, holder: UUID | None, *, by: Actor) -> None:
    reopened = placement.Move(Rule.REOPENED, event.Kind.CONVERSATION_REOPENED, entering=True)
    if holder and await Agent.exists(id=holder, is_active=True, role__in=HOLDERS):
        await Agent.locked(holder, by=Actor.system(conversation.workspace_id))
        await placement.hold(conversation, holder, reopened, by=by)
    elif conversation.team_id is not None:
        await placement.enqueue(conversation, conversation.team_id, reopened, by=by)
