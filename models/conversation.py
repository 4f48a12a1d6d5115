"""Conversations: one exchange with a contact on a channel, from opening to closing.

Every verb is one transaction: lock, check, change, record. Locks are always taken in this order,
each kind by id: inbound or idempotency row; contacts; channels; teams (queues); conversations;
agents; event numbering. What was read before a lock is checked again after it.
"""

from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum
from types import MappingProxyType
from typing import Any, Self
from uuid import UUID

from tortoise import fields
from tortoise.expressions import Q, RawSQL
from tortoise.queryset import QuerySet

from models import event, message, placement
from models.access import Actor, ActorKind, Right, Role
from models.agent import Agent
from models.base import NOW, Line, Record, reference
from models.channel import Channel
from models.database import Raced, Transaction, fetchval, tx
from models.decision import Rule
from models.errors import (
    AgentAtCapacity,
    AlreadyAssigned,
    ConversationChanged,
    ConversationClosed,
    ConversationNotAssigned,
    ConversationNotQueued,
    Forbidden,
    NotFound,
    TeamDistributesAutomatically,
)
from models.message import Direction
from models.team import Team
from models.visibility import VISIBLE, Visibility, closed_while_held, quoted


class Status(StrEnum):
    """Where a conversation stands; open means not CLOSED."""

    BOT = "BOT"
    QUEUED = "QUEUED"
    ASSIGNED = "ASSIGNED"
    SNOOZED = "SNOOZED"
    CLOSED = "CLOSED"


class TicketLink(StrEnum):
    """How a conversation's ticket came to be its own."""

    PROPOSED = "PROPOSED"
    CONFIRMED = "CONFIRMED"


class Conversation(Record):
    """One exchange with a contact on a channel."""

    contact = reference("models.Contact")
    contact_id: UUID
    channel = reference("models.Channel")
    channel_id: UUID
    line = fields.CharEnumField(Line, max_length=16)
    status = fields.CharEnumField(Status, max_length=16)
    team = reference("models.Team", null=True)
    team_id: UUID | None
    assignee = reference("models.Agent", null=True)
    assignee_id: UUID | None
    # Waits for its contact's owner, who is away; others may pick it, nobody is given it.
    reserved_for = reference("models.Agent", null=True)
    reserved_for_id: UUID | None
    reserved_until: datetime | None = fields.DatetimeField(null=True)
    # Let it wait too long for an answer: passed over for it until then, or another held it.
    skipped_agent = reference("models.Agent", null=True)
    skipped_agent_id: UUID | None
    skipped_until: datetime | None = fields.DatetimeField(null=True)
    # Empty for a snoozed one: until the customer writes.
    snoozed_until: datetime | None = fields.DatetimeField(null=True)
    # At most one at a time; a proposed link is the customer's word, and does not count.
    ticket = reference("models.Ticket", null=True)
    ticket_id: UUID | None
    ticket_link = fields.CharEnumField(TicketLink, max_length=16, null=True)
    # How a workflow has it given out while it waits, instead of its team's own way.
    distribution: dict[str, Any] | None = fields.JSONField(null=True)
    # Survives transfer, unassignment and time-outs: nobody loses its place by being moved.
    queued_at: datetime | None = fields.DatetimeField(null=True)
    decision: dict[str, Any] | None = fields.JSONField(null=True)
    last_message_id: UUID | None = fields.UUIDField(null=True)
    opened_at = fields.DatetimeField(db_default=NOW)
    last_activity_at = fields.DatetimeField(db_default=NOW)
    closed_at: datetime | None = fields.DatetimeField(null=True)
    version = fields.IntField(default=1)

    class Meta:
        table = "conversations"

    @classmethod
    async def visible_to(cls, actor: Actor) -> QuerySet[Self]:
        """Own conversations, and those of the teams that an agent sees; everything to the rest."""
        seen = await Visibility.of(actor)
        within = cls.filter(workspace_id=actor.workspace_id)
        if seen.everything:
            return within
        if seen.agent_id is None:
            # Not left to the condition below: nobody's conversations have no assignee either.
            return cls.filter(id__in=[])
        held = closed_while_held('"conversations"', by=quoted(seen.agent_id))
        return within.annotate(was_held=RawSQL(held)).filter(
            Q(assignee_id=seen.agent_id) | Q(team_id__in=seen.team_ids) | Q(was_held=True)
        )

    @classmethod
    async def locked(cls, id: UUID, *, by: Actor, expected_version: int | None = None) -> Self:
        """The conversation, locked for the rest of the transaction.

        Raises NotFound, or ConversationChanged when it is not what the caller saw; whoever held it
        once, and sees it no more, is told so too.
        """
        seen = await Visibility.of(by)
        found = await cls.fetch_one(f"id = $5 AND {VISIBLE}", *seen.arguments, id, lock=True)
        known = found
        if found is None and expected_version is not None and by.agent_id is not None:
            known = await cls.fetch_one(_HELD_ONCE, id, by.workspace_id, by.agent_id)
        if known is not None and expected_version not in (None, known.version):
            raise ConversationChanged(
                version=known.version, holder_id=known.assignee_id, status=known.status
            )
        if found is None:
            raise NotFound("conversation", path="input.conversationId")
        return found

    # -- Verbs. Each expects the conversation to be locked by `locked` in the running transaction.

    async def pick(self, *, by: Actor) -> None:
        """Take a waiting conversation from its queue, within one's capacity.

        Raises ConversationNotQueued (naming who was faster), TeamDistributesAutomatically,
        AgentAtCapacity, Forbidden.
        """
        if by.agent_id is None:
            raise Forbidden("pick conversations: only a person can")
        by.require(Right.HOLD_CONVERSATIONS)
        if self.status is not Status.QUEUED:
            raise ConversationNotQueued(holder_id=self.assignee_id, status=self.status)
        if by.role is Role.AGENT and await self.is_given_out():
            raise TeamDistributesAutomatically
        agent = await Agent.locked(by.agent_id, by=by)
        if agent.load >= agent.capacity:
            raise AgentAtCapacity(agent_id=agent.id, load=agent.load, limit=agent.capacity)
        picked = placement.Move(Rule.PICKED, event.Kind.CONVERSATION_ASSIGNED)
        await placement.hold(self, agent.id, picked, by=by)

    async def assign(self, agent_id: UUID, *, by: Actor) -> None:
        """Give the conversation to an agent by hand, whatever its load.

        Raises Forbidden, ConversationClosed, AlreadyAssigned, NotFound, AgentInactive.
        """
        by.require(Right.ASSIGN_OTHERS)
        assigned = placement.Move(Rule.ASSIGNED_BY_HAND, event.Kind.CONVERSATION_ASSIGNED)
        await self.hand_to(agent_id, assigned, by=by)

    async def unassign(self, *, by: Actor) -> None:
        """Give the conversation back to its queue, with the waiting time it had.

        A snooze ends with it. Raises ConversationNotAssigned, Forbidden.
        """
        await self.require_held(by)
        given_back = placement.Move(Rule.UNASSIGNED, event.Kind.CONVERSATION_UNASSIGNED)
        await placement.enqueue(self, await self.home_queue(), given_back, by=by)

    async def send(
        self,
        text: str,
        *,
        by: Actor,
        on_behalf_of: UUID | None = None,
        is_activity: bool = True,
    ) -> UUID:
        """Answer the customer; returns the message's id. A reminder is no activity.

        Workflows say good-bye, too: after the closing, which nothing that they send undoes.
        """
        message.require_text(text)
        if by.kind is not ActorKind.WORKFLOW:
            self.require_open()
        await self.require_workable(by)
        active = is_activity and self.is_open
        return await self._say(Direction.OUTBOUND, text, by, on_behalf_of, is_activity=active)

    async def note(self, text: str, *, by: Actor) -> UUID:
        """Add a note that only the workspace reads; returns its id."""
        message.require_text(text)
        if by.kind is ActorKind.INTEGRATION:
            by.require(Right.NOTE_ALL)
        return await self._say(Direction.NOTE, text, by)

    async def receive(
        self, text: str, *, by: Actor, external_id: str, opened: bool = False
    ) -> UUID:
        """Append what the customer wrote; whoever holds the conversation keeps it.

        What has just been `opened` is nowhere yet, whatever its row says inside the transaction.
        """
        places = dict.fromkeys(_PLACES) if opened else {}
        return await self._say(Direction.INBOUND, text, by, external_id=external_id, places=places)

    @classmethod
    async def lock_contact(cls, transaction: Transaction, id: UUID, *, by: Actor) -> UUID | None:
        """Contacts come before conversations; a burst of messages waits here with us."""
        found: UUID | None = await transaction.fetchval(
            """
            SELECT id FROM contacts WHERE id = (
                SELECT contact_id FROM conversations WHERE id = $1 AND workspace_id = $2)
            FOR NO KEY UPDATE
            """,
            id,
            by.workspace_id,
        )
        return found

    @classmethod
    async def hold_channel(cls, id: UUID, *, by: Actor) -> Channel:
        """The channel of a conversation, which never changes, held as it is until the commit.

        Channels come before conversations, so this does. Raises NotFound.
        """
        channel = await Channel.fetch_one(
            "id = (SELECT channel_id FROM conversations WHERE id = $1 AND workspace_id = $2)",
            id,
            by.workspace_id,
            hold=True,
        )
        if channel is None:
            raise NotFound("conversation", path="input.conversationId")
        return channel

    @classmethod
    async def hold_team(cls, id: UUID, *, workspace_id: UUID) -> UUID | None:
        """The active team of a conversation that is to be opened again, held as it is.

        Teams come before conversations, so this does. Deleting a team waits for nothing closed.
        """
        found: UUID | None = await fetchval(
            """
            SELECT t.id FROM teams t
            WHERE t.is_active AND t.id = (
                SELECT team_id FROM conversations WHERE id = $1 AND workspace_id = $2)
            FOR SHARE
            """,
            id,
            workspace_id,
        )
        return found

    # -- Predicates and parts

    @property
    def is_open(self) -> bool:
        return self.status is not Status.CLOSED

    @property
    def queue_id(self) -> UUID | None:
        """The queue it waits in, if it waits."""
        return self.team_id if self.status is Status.QUEUED else None

    @classmethod
    async def open_one(cls, contact_id: UUID, channel_id: UUID) -> UUID | None:
        """The contact's open conversation on a channel; there is at most one."""
        found: UUID | None = await fetchval(
            """
            SELECT id FROM conversations
            WHERE contact_id = $1 AND channel_id = $2 AND status <> 'CLOSED'
            """,
            contact_id,
            channel_id,
        )
        return found

    def require_open(self) -> None:
        if not self.is_open:
            raise ConversationClosed

    async def require_workable(self, by: Actor) -> None:
        """Raise Forbidden: an agent works what it holds, and what it may pick; supervisors all."""
        if by.may(Right.WORK_ALL) or (by.agent_id and self.assignee_id == by.agent_id):
            return
        if not by.may(Right.HOLD_CONVERSATIONS) or self.status is not Status.QUEUED:
            raise Forbidden("work a conversation that you do not hold")
        if await self.is_given_out():
            raise Forbidden("work what waits in a queue that distributes automatically")

    async def is_given_out(self) -> bool:
        """Whether it waits to be given to somebody: by its team, or by a workflow's step."""
        if self.distribution is not None and self.distribution["distribution"] is not None:
            return True
        return (await Team.get(id=self.team_id)).distributes

    async def require_held(self, by: Actor) -> None:
        """Raise unless somebody holds it, and the actor may take it from there."""
        await self.require_workable(by)
        if self.assignee_id is None:
            raise ConversationNotAssigned(status=self.status)

    async def require_taggable(self, by: Actor) -> None:
        """Whoever works it tags it; a closed one also who held it last."""
        if self.is_open:
            await self.require_workable(by)
        else:
            self.require_reopenable(by, await self.last_holder())

    def require_reopenable(self, by: Actor, holder: UUID | None) -> None:
        """Raise Forbidden but for who held it when it closed, and for who works them all."""
        if not by.may(Right.WORK_ALL) and not (by.agent_id and holder == by.agent_id):
            raise Forbidden("reopen or tag a conversation that somebody else held")

    async def last_holder(self) -> UUID | None:
        """Who held it when it closed last."""
        found: UUID | None = await fetchval(
            """
            SELECT agent_id FROM closures WHERE conversation_id = $1
            ORDER BY closed_at DESC LIMIT 1
            """,
            self.id,
        )
        return found

    async def home_queue(self, held_team_id: UUID | None = None) -> UUID:
        """The team whose queue it belongs to: its own, else the channel's target, else Todos.

        The deletion of a team waits for what is open; of what is closed it must be held already.
        Raises Raced when it is not.
        """
        if self.team_id is not None and self.team_id == held_team_id:
            return self.team_id
        if self.team_id is not None and await Team.exists(id=self.team_id, is_active=True):
            if not self.is_open:
                raise Raced
            return self.team_id
        await Channel.hold_at_once([self.channel_id])
        channel = await Channel.get(id=self.channel_id)
        return await channel.queue_of(self.line)

    async def hand_to(self, agent_id: UUID, move: placement.Move, *, by: Actor) -> None:
        self.require_open()
        if self.status is Status.ASSIGNED and self.assignee_id == agent_id:
            raise AlreadyAssigned(holder_id=agent_id)
        for id_ in sorted({agent_id, self.assignee_id or agent_id}):
            # Both ends by id, so that two opposite transfers cannot wait for each other.
            own = Agent.filter(id=id_, workspace_id=self.workspace_id)
            await own.select_for_update(no_key=True).first()
        await Agent.locked_to_hold(agent_id, by=by)
        await placement.hold(self, agent_id, move, by=by)

    async def _say(
        self,
        direction: Direction,
        text: str,
        by: Actor,
        on_behalf_of: UUID | None = None,
        *,
        external_id: str | None = None,
        is_activity: bool = True,
        places: Mapping[str, None] = MappingProxyType({}),
    ) -> UUID:
        if on_behalf_of is not None:
            await Agent.require_stand_in(on_behalf_of, by=by)
        async with tx() as transaction:
            said = await message.append(
                transaction,
                workspace_id=self.workspace_id,
                conversation_id=self.id,
                direction=direction,
                text=text,
                author_agent_id=by.agent_id or on_behalf_of,
                channel_id=self.channel_id,
                external_id=external_id,
                is_activity=is_activity,
            )
            facts = {
                "on_behalf_of": on_behalf_of,
                "first_response_seconds": said.first_response_seconds,
            }
            facts = {name: fact for name, fact in facts.items() if fact is not None}
            self.record(_SAID[direction], by=by, message_id=said.id, **facts, **places)
        return said.id

    def record(self, kind: event.Kind, *, by: Actor, **places: Any) -> None:
        """An event with the place it had on both sides, but for what `places` say changed."""
        event.record(
            kind,
            by=by,
            **{
                "conversation_id": self.id,
                "contact_id": self.contact_id,
                "channel_id": self.channel_id,
                "from_queue_id": self.queue_id,
                "to_queue_id": self.queue_id,
                "from_agent_id": self.assignee_id,
                "to_agent_id": self.assignee_id,
                "from_team_id": self.team_id,
                "to_team_id": self.team_id,
                **places,
            },
        )


_HELD_ONCE = """id = $1 AND workspace_id = $2 AND EXISTS (
    SELECT FROM assignments a WHERE a.conversation_id = conversations.id AND a.agent_id = $3)"""
_PLACES = ("from_queue_id", "to_queue_id", "from_agent_id", "to_agent_id")
_SAID = {
    Direction.INBOUND: event.Kind.MESSAGE_RECEIVED,
    Direction.OUTBOUND: event.Kind.MESSAGE_SENT,
    Direction.NOTE: event.Kind.NOTE_ADDED,
}
