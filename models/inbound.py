"""What happens when a customer writes: find or open the conversation, and place it at once."""

from dataclasses import dataclass
from uuid import UUID, uuid4

from asyncpg import UniqueViolationError

from models import decision, distribution, event, message, queue
from models.access import Actor, Right
from models.assignment import Hold, begin
from models.base import Line, require_name
from models.channel import Channel, Target, require_line
from models.contact import EXTERNAL_ID_LENGTH_MAX, Sender, add_sender, lock_sender
from models.conversation import Conversation, Status
from models.database import Raced, Row, Transaction, fetchrow, tx
from models.decision import Rule
from models.errors import NotFound
from models.team import Team


@dataclass(frozen=True, slots=True)
class Received:
    """What a delivery came to; a repeated one comes to what the first did."""

    message_id: UUID
    conversation_id: UUID
    duplicate: bool = False
    opened: bool = False


async def receive(
    *,
    by: Actor,
    channel_id: UUID,
    external_id: str,
    sender: Sender,
    text: str,
    line: Line | None = None,
) -> Received:
    """Take in one delivery: idempotent per channel and external id, however often, however
    concurrently.

    It joins the contact's open conversation on the channel, or opens one; a burst of first
    messages opens exactly one. When this returns, whoever is eligible has it. Raises NotFound,
    LineNotSupported, BadUserInput, Forbidden.
    """
    by.require(Right.RECEIVE_MESSAGES)
    message.require_text(text)
    require_name(external_id, length_max=EXTERNAL_ID_LENGTH_MAX, path="input.externalId")
    channel = await _channel(channel_id, line, by=by)
    async with tx() as transaction:
        contact_id = await lock_sender(transaction, channel_id, sender)
        # A twin of this delivery held the contact's lock before us, if there was one.
        if twin := await _delivered(channel_id, external_id):
            return _repeated(twin)
        if contact_id is None:
            contact_id = await add_sender(transaction, channel_id, sender, by=by)
        conversation = await _open_conversation(contact_id, channel_id)
        opened = conversation is None
        customer = Actor.contact(by.workspace_id, contact_id)
        if conversation is None:
            conversation = await _open(
                transaction, contact_id, channel, line or channel.default_line, by=customer
            )
        try:
            message_id = await conversation.receive(
                text, by=customer, external_id=external_id, opened=opened
            )
        except UniqueViolationError as error:
            # The same message in the name of another contact, whose lock is another one.
            raise Raced from error
        if opened:
            await _place(transaction, conversation, channel.target(conversation.line), by=customer)
    return Received(message_id, conversation.id, opened=opened)


async def _channel(id: UUID, line: Line | None, *, by: Actor) -> Channel:
    channel = await Channel.fetch_one("id = $1 AND workspace_id = $2", id, by.workspace_id)
    if channel is None:
        raise NotFound("channel", path="input.channelId")
    require_line(channel.kind, line or channel.default_line)
    return channel


async def _delivered(channel_id: UUID, external_id: str) -> Row | None:
    return await fetchrow(
        """
        SELECT id, conversation_id FROM messages
        WHERE channel_id = $1 AND external_id = $2 AND direction = 'INBOUND'
        """,
        channel_id,
        external_id,
    )


def _repeated(twin: Row) -> Received:
    return Received(twin["id"], twin["conversation_id"], duplicate=True)


async def _open_conversation(contact_id: UUID, channel_id: UUID) -> Conversation | None:
    return await Conversation.fetch_one(
        "contact_id = $1 AND channel_id = $2 AND status <> 'CLOSED'",
        contact_id,
        channel_id,
        lock=True,
    )


async def _open(
    transaction: Transaction, contact_id: UUID, channel: Channel, line: Line, *, by: Actor
) -> Conversation:
    """A conversation in the queue of its channel's target or of Todos, or with the target agent.

    Nobody else sees it before the commit, so the queue's lock may come after it.
    """
    target = channel.target(line)
    team_id = target.team_id
    if target == Target():
        team_id = await Team.todos_id(channel.workspace_id, line)
    conversation = Conversation(
        id=uuid4(),
        workspace_id=channel.workspace_id,
        contact_id=contact_id,
        channel_id=channel.id,
        line=line,
        status=Status.QUEUED if team_id else Status.ASSIGNED,
        team_id=team_id,
        assignee_id=target.agent_id,
    )
    await transaction.execute(
        """
        INSERT INTO conversations (id, workspace_id, contact_id, channel_id, line, status, team_id,
                                   assignee_id, queued_at, opened_at, last_activity_at, decision,
                                   version)
        SELECT $1, $2, $3, $4, $5, $6, $7, $8,
               CASE WHEN $8::uuid IS NULL THEN now END, now, now, $9::text::jsonb, 1
        FROM (SELECT relevo_now() AS now) clock
        """,
        conversation.id,
        conversation.workspace_id,
        contact_id,
        channel.id,
        line.value,
        conversation.status.value,
        team_id,
        target.agent_id,
        f'{{"rule": "{_rule(target)}"}}',
    )
    conversation.record(
        event.Kind.CONVERSATION_OPENED,
        by=by,
        from_queue_id=None,
        to_queue_id=None,
        from_agent_id=None,
        to_agent_id=None,
        from_team_id=None,
    )
    return conversation


def _rule(target: Target) -> Rule:
    return Rule.TODOS if target == Target() else Rule.CHANNEL_TARGET


async def _place(
    transaction: Transaction, conversation: Conversation, target: Target, *, by: Actor
) -> None:
    """Give the new conversation to whoever should have it; what waits longer goes first."""
    if target.agent_id is not None:
        await _give(transaction, conversation, target.agent_id)
        return
    assert conversation.team_id is not None  # noqa: S101 - only an agent's target has no team
    given, _ = await distribution.distribute(
        transaction, [conversation.team_id], entering=frozenset({conversation.id})
    )
    if conversation.id not in given:
        conversation.record(event.Kind.CONVERSATION_QUEUED, by=by, from_queue_id=None)
        # Somebody is eligible all the same when it came in behind more than one batch.
        queue.follow(transaction, teams=[conversation.team_id])


async def _give(transaction: Transaction, conversation: Conversation, agent_id: UUID) -> None:
    """A channel's own agent has it directly, also while away and whatever its load."""
    await transaction.execute("SELECT FROM agents WHERE id = $1 FOR NO KEY UPDATE", agent_id)
    hold = Hold(
        workspace_id=conversation.workspace_id,
        conversation_id=conversation.id,
        agent_id=agent_id,
        team_id=None,
        rule=Rule.CHANNEL_TARGET,
        decision=decision.by_hand(Rule.CHANNEL_TARGET, agent_id),
        at=await transaction.fetchval("SELECT relevo_now()"),
    )
    await begin(transaction, [hold])
    event.record(
        event.Kind.CONVERSATION_ASSIGNED,
        by=Actor.system(conversation.workspace_id),
        conversation_id=conversation.id,
        contact_id=conversation.contact_id,
        channel_id=conversation.channel_id,
        to_agent_id=agent_id,
        rule=hold.rule,
        assignment=hold.id,
    )
