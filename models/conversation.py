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
from tortoise.expressions import Q
from tortoise.queryset import QuerySet

from models import event, message, placement
from models.access import HOLDERS, Actor, ActorKind, Right, Role
from models.agent import Agent
from models.base import NOW, Line, Record, reference, require_length
from models.channel import Channel, require_line
from models.closure import SUMMARY_LENGTH_MAX, Cause, ClosingReason, Closure
from models.database import Transaction, fetchval, tx
from models.decision import Availability, Rule, Verdict
from models.errors import (
    AgentAtCapacity,
    AlreadyAssigned,
    BadUserInput,
    ClosingReasonRequired,
    ConversationAlreadyOpen,
    ConversationChanged,
    ConversationClosed,
    ConversationNotAssigned,
    ConversationNotClosed,
    ConversationNotQueued,
    ConversationNotWithBot,
    Forbidden,
    NotFound,
    TargetUnavailable,
    TeamDistributesAutomatically,
)
from models.message import Direction
from models.team import Team
from models.visibility import VISIBLE, Visibility
from models.workspace import Workspace


class Status(StrEnum):
    """Where a conversation stands; open means not CLOSED."""

    BOT = "BOT"
    QUEUED = "QUEUED"
    ASSIGNED = "ASSIGNED"
    SNOOZED = "SNOOZED"
    CLOSED = "CLOSED"


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
        return within.filter(Q(assignee_id=seen.agent_id) | Q(team_id__in=seen.team_ids))

    @classmethod
    async def locked(cls, id: UUID, *, by: Actor, expected_version: int | None = None) -> Self:
        """The conversation, locked for the rest of the transaction.

        Raises NotFound, or ConversationChanged when it is not what the caller saw.
        """
        seen = await Visibility.of(by)
        found = await cls.fetch_one(f"id = $5 AND {VISIBLE}", *seen.arguments, id, lock=True)
        if found is None:
            raise NotFound("conversation", path="input.conversationId")
        if expected_version is not None and expected_version != found.version:
            raise ConversationChanged(
                version=found.version, holder_id=found.assignee_id, status=found.status
            )
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
        team = await Team.get(id=self.team_id)
        if team.distributes and by.role is Role.AGENT:
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
        await self._hand_to(agent_id, assigned, by=by)

    async def unassign(self, *, by: Actor) -> None:
        """Give the conversation back to its queue, with the waiting time it had."""
        await self._require_workable(by)
        if self.status is not Status.ASSIGNED:
            raise ConversationNotAssigned(status=self.status)
        given_back = placement.Move(Rule.UNASSIGNED, event.Kind.CONVERSATION_UNASSIGNED)
        await placement.enqueue(self, await self._queue(), given_back, by=by)

    @classmethod
    async def transfer(
        cls,
        id: UUID,
        *,
        by: Actor,
        to_agent: UUID | None = None,
        to_team: UUID | None = None,
        expected_version: int | None = None,
    ) -> None:
        """Hand over to an agent, whatever its load, or to a team: its line, queue, distribution.

        The waiting time stays, and so does the contact's owner. Raises NotFound, TargetUnavailable
        (unless the workspace allows transfers to whoever is away), AgentInactive, TeamInactive,
        LineNotSupported, AlreadyAssigned, ConversationClosed, BadUserInput.
        """
        if (to_agent is None) == (to_team is None):
            raise BadUserInput("Hand over to one of both: an agent, or a team.")
        async with tx():
            team = await Team.locked(to_team, by=by) if to_team else None
            found = await cls.locked(id, by=by, expected_version=expected_version)
            await found._require_workable(by)
            found._require_open()
            handed_over = placement.Move(Rule.TRANSFERRED, event.Kind.CONVERSATION_TRANSFERRED)
            if team is not None:
                await found._require_line(team.line)
                found.line = team.line
                await placement.enqueue(found, team.id, handed_over, by=by)
            elif to_agent is not None:
                await found._require_available(to_agent)
                await found._hand_to(to_agent, handed_over, by=by)

    async def send(self, text: str, *, by: Actor, on_behalf_of: UUID | None = None) -> UUID:
        """Answer the customer; returns the message's id."""
        message.require_text(text)
        self._require_open()
        await self._require_workable(by)
        return await self._say(Direction.OUTBOUND, text, by, on_behalf_of)

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

    async def close(
        self,
        *,
        by: Actor,
        reason_id: UUID | None = None,
        summary: str | None = None,
        on_behalf_of: UUID | None = None,
    ) -> Closure:
        """End the conversation: out of every queue, capacity freed.

        Raises ConversationClosed, ClosingReasonRequired, NotFound, ClosingReasonInactive,
        BadUserInput.
        """
        require_length(summary or "", SUMMARY_LENGTH_MAX, path="input.summary")
        self._require_open()
        await self._require_workable(by)
        if reason_id is not None:
            await ClosingReason.usable(reason_id, by=by)
        elif (await Workspace.get(id=self.workspace_id)).closing_reason_required:
            raise ClosingReasonRequired
        if on_behalf_of is not None:
            await self._require_stand_in(on_behalf_of, by=by)
        person = by.agent_id or on_behalf_of
        async with tx() as transaction:
            closed_at = await placement.end(transaction, [self.id])
            closure = await Closure.create(
                workspace_id=self.workspace_id,
                conversation_id=self.id,
                agent_id=self.assignee_id,
                team_id=self.team_id,
                is_sticky=not await self._is_let_go(),
                cause=Cause.AGENT if person else Cause.INTEGRATION,
                closed_by_id=person or by.id,
                reason_id=reason_id,
                summary=summary,
                closed_at=closed_at,
            )
            self.record(
                event.Kind.CONVERSATION_CLOSED,
                by=by,
                to_queue_id=None,
                to_agent_id=None,
                cause=closure.cause,
                reason=reason_id,
            )
            placement.freed(transaction, self)
        return closure

    async def pause_bot(self, *, by: Actor) -> None:
        """Take the conversation from the bot; raises ConversationNotWithBot, Forbidden."""
        if by.agent_id is None:
            raise Forbidden("take over from the bot: only a person can")
        by.require(Right.HOLD_CONVERSATIONS)
        if self.status is not Status.BOT:
            raise ConversationNotWithBot(status=self.status)
        agent = await Agent.locked(by.agent_id, by=by)
        paused = placement.Move(Rule.BOT_PAUSED, event.Kind.BOT_PAUSED)
        await placement.hold(self, agent.id, paused, by=by)

    async def resume_bot(self, *, by: Actor) -> None:
        """Let the bot go on and give the conversation up; raises ConversationNotAssigned."""
        await self._require_workable(by)
        if self.status is not Status.ASSIGNED:
            raise ConversationNotAssigned(status=self.status)
        await placement.give_to_bot(self, await self._queue(), by=by)

    @classmethod
    async def reopen(cls, id: UUID, *, by: Actor, expected_version: int | None = None) -> None:
        """Open a closed conversation again, for who held it if active, else in its queue.

        Raises NotFound, ConversationAlreadyOpen (naming the other), ConversationNotClosed.
        """
        async with tx() as transaction:
            await cls.lock_contact(transaction, id, by=by)
            found = await cls.locked(id, by=by, expected_version=expected_version)
            await found._reopen(transaction, by=by)

    async def _reopen(self, transaction: Transaction, *, by: Actor) -> None:
        if self.status is not Status.CLOSED:
            raise ConversationNotClosed
        last = await Closure.filter(conversation_id=self.id).order_by("-closed_at").first()
        self._require_reopenable(by, last)
        other = await type(self).open_one(self.contact_id, self.channel_id)
        if other is not None:
            raise ConversationAlreadyOpen(conversation_id=other)
        await self.open_again(transaction)
        reopened = placement.Move(Rule.REOPENED, event.Kind.CONVERSATION_REOPENED, entering=True)
        holder = last.agent_id if last else None
        if holder and await Agent.exists(id=holder, is_active=True, role__in=HOLDERS):
            await Agent.locked(holder, by=Actor.system(self.workspace_id))
            await placement.hold(self, holder, reopened, by=by)
        else:
            await placement.enqueue(self, await self._queue(), reopened, by=by)

    @classmethod
    async def lock_contact(cls, transaction: Transaction, id: UUID, *, by: Actor) -> None:
        """Contacts come before conversations; a burst of messages waits here with us."""
        await transaction.execute(
            """
            SELECT FROM contacts WHERE id = (
                SELECT contact_id FROM conversations WHERE id = $1 AND workspace_id = $2)
            FOR NO KEY UPDATE
            """,
            id,
            by.workspace_id,
        )

    async def open_again(self, transaction: Transaction) -> None:
        """Let a locked, closed conversation wait in its queue; the caller places it at once."""
        await transaction.execute(
            """
            UPDATE conversations SET status = 'QUEUED', closed_at = NULL, team_id = $2,
                   queued_at = relevo_now(), last_activity_at = relevo_now()
            WHERE id = $1
            """,
            self.id,
            await self._queue(),
        )
        await self.refresh_from_db()

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

    def _require_open(self) -> None:
        if not self.is_open:
            raise ConversationClosed

    async def _require_workable(self, by: Actor) -> None:
        """An agent works what it holds, and what it may pick; supervisors all."""
        if by.may(Right.WORK_ALL) or (by.agent_id and self.assignee_id == by.agent_id):
            return
        if not by.may(Right.HOLD_CONVERSATIONS) or self.status is not Status.QUEUED:
            raise Forbidden("work a conversation that you do not hold")
        if (await Team.get(id=self.team_id)).distributes:
            raise Forbidden("work what waits in a queue that distributes automatically")

    def _require_reopenable(self, by: Actor, last: Closure | None) -> None:
        held = last is not None and last.agent_id == by.agent_id
        if not by.may(Right.WORK_ALL) and not (held and by.agent_id):
            raise Forbidden("reopen a conversation that somebody else held")

    async def _require_available(self, agent_id: UUID) -> None:
        agent = await Agent.get_or_none(id=agent_id, workspace_id=self.workspace_id)
        if agent is None:
            raise NotFound("agent", path="input.agentId")
        verdict = None
        if not await agent.has_live_lease() or agent.availability is Availability.OFFLINE:
            verdict = Verdict.OFFLINE
        elif agent.availability is Availability.AWAY:
            verdict = Verdict.AWAY
        elif not agent.accepts_new:
            verdict = Verdict.NOT_ACCEPTING
        if verdict and not (await Workspace.get(id=self.workspace_id)).transfers_to_unavailable:
            raise TargetUnavailable(verdict=verdict)

    async def _is_let_go(self) -> bool:
        """Whether its team lets its agents go with every closing."""
        return bool(
            await fetchval("SELECT unassign_on_close FROM teams WHERE id = $1", self.team_id)
        )

    async def _require_line(self, line: Line) -> None:
        channel = await Channel.get(id=self.channel_id)
        require_line(channel.kind, line)

    async def _queue(self) -> UUID:
        """The team whose queue it belongs to: its own, else the channel's target, else Todos."""
        if self.team_id is not None:
            # Held where the deletion of a team does not wait for us: of what is closed.
            team = await Team.fetch_one(
                "id = $1 AND is_active", self.team_id, hold=not self.is_open
            )
            if team is not None:
                return team.id
        channel = await Channel.get(id=self.channel_id)
        target_id = channel.target(self.line).team_id
        if target_id is not None and await Team.exists(id=target_id, is_active=True):
            return target_id
        return await Team.todos_id(self.workspace_id, self.line)

    async def _hand_to(self, agent_id: UUID, move: placement.Move, *, by: Actor) -> None:
        self._require_open()
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
        places: Mapping[str, None] = MappingProxyType({}),
    ) -> UUID:
        if on_behalf_of is not None:
            await self._require_stand_in(on_behalf_of, by=by)
        async with tx() as transaction:
            message_id = await message.append(
                transaction,
                workspace_id=self.workspace_id,
                conversation_id=self.id,
                direction=direction,
                text=text,
                author_agent_id=by.agent_id or on_behalf_of,
                channel_id=self.channel_id,
                external_id=external_id,
            )
            self.record(_SAID[direction], by=by, message_id=message_id, **places)
        return message_id

    async def _require_stand_in(self, agent_id: UUID, *, by: Actor) -> None:
        """Only an integration speaks for an agent: people work elsewhere, and it tells us."""
        if by.kind is not ActorKind.INTEGRATION:
            raise Forbidden("act for somebody else")
        known = await fetchval(
            "SELECT EXISTS (SELECT FROM agents WHERE id = $1 AND workspace_id = $2)",
            agent_id,
            self.workspace_id,
        )
        if not known:
            raise NotFound("agent", path="input.onBehalfOf")

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


_PLACES = ("from_queue_id", "to_queue_id", "from_agent_id", "to_agent_id")
_SAID = {
    Direction.INBOUND: event.Kind.MESSAGE_RECEIVED,
    Direction.OUTBOUND: event.Kind.MESSAGE_SENT,
    Direction.NOTE: event.Kind.NOTE_ADDED,
}
