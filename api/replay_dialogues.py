"""What each recorded line asks of the server, and what its answers say about the conversations."""

import zlib
from array import array
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

from api.recording import Line
from api.replay_client import Client, Operation, Refused
from api.replay_report import Tally
from api.replay_setup import Key, Owners

MESSAGE_RECEIVE = Operation(
    "messageReceive",
    """mutation (
        $channel: ID!, $external: String!, $contact: String!, $text: String!, $key: String!
    ) {
        messageReceive(input: {
            channelId: $channel, externalId: $external, contact: {externalId: $contact},
            text: $text, idempotencyKey: $key
        }) {
            duplicate opened
            conversation {
                id status line assignee { id } queue { id name } ticketLink { status }
            }
            userErrors { code message path }
        }
    }""",
)
MESSAGE_SEND = Operation(
    "messageSend",
    """mutation ($conversation: ID!, $text: String!, $agent: ID!, $key: String!) {
        messageSend(input: {
            conversationId: $conversation, text: $text, onBehalfOf: $agent, idempotencyKey: $key
        }) { conversation { id status assignee { id } } userErrors { code message path } }
    }""",
)
CONVERSATION_HAND_OFF = Operation(
    "conversationHandOff",
    """mutation ($conversation: ID!, $key: String!) {
        conversationHandOff(input: {conversationId: $conversation, idempotencyKey: $key}) {
            conversation {
                id status line assignee { id } queue { id name } ticketLink { status }
            }
            userErrors { code message path }
        }
    }""",
)
CONVERSATION_CLOSE = Operation(
    "conversationClose",
    """mutation (
        $conversation: ID!, $reason: ID, $summary: String!, $agent: ID,
        $ticket: ClosingTicketInput, $key: String!
    ) {
        conversationClose(input: {
            conversationId: $conversation, closingReasonId: $reason, summary: $summary,
            onBehalfOf: $agent, ticket: $ticket, idempotencyKey: $key
        }) { conversation { id status } userErrors { code message path } }
    }""",
)
CONVERSATION = Operation(
    "conversation",
    "query ($id: ID!) { conversation(id: $id) { id status assignee { id } } }",
)


TICKET_SUBJECT_LENGTH_MAX = 200
# Of what no topic was recorded of.
TICKET_SUBJECT = "Replayed"


class MayNotReceive(Exception):
    """The token is not one that feeds messages in: no message would be taken."""


@dataclass(slots=True)
class Conversation:
    """An open conversation as the last answer about it showed it."""

    id: str
    is_with_bot: bool = False
    # Of the support desk, which closes with a ticket, and without one yet.
    lacks_ticket: bool = False
    assignee: str | None = None
    queue: str | None = None
    holders: set[str] = field(default_factory=set)
    # After a refusal: what is remembered may be old.
    doubtful: bool = False


@dataclass(slots=True)
class Dialogues:
    """Plays lines; those of one contact on one channel have to come one at a time, in order.

    `bots` are the ids of the channels on which the bot's part is played, too.
    """

    client: Client
    tally: Tally
    closing_reasons: list[str]
    owners: Owners
    bots: frozenset[str]
    now: Callable[[], float]
    open: dict[Key, Conversation] = field(default_factory=dict)
    # One line has the same key at every try, two lines never: a carrier's duplicate must reach
    # the server as a message of its own, and so must a second replay of the same day.
    run: str = field(default_factory=lambda: uuid4().hex)

    async def play(self, line: Line, channel: str) -> None:
        """Carry the line out and count what came of it.

        Raises ServerGone, and MayNotReceive when the first messages are forbidden.
        """
        key = (line.contact, channel)
        if line.direction == "INBOUND":
            await self._receive(line, key)
        else:
            await self._answer(line, key)
        if line.last:
            await self._close(line, key)

    async def _receive(self, line: Line, key: Key) -> None:
        contact, channel = key
        variables = {
            "channel": channel,
            "external": line.external_id,
            "contact": contact,
            "text": line.text,
            "key": self._idempotency_key(line, "receive"),
        }
        began = self.now()
        payload = await self._mutate(MESSAGE_RECEIVE, variables, key)
        if payload is None:
            return
        took = self.now() - began
        self.tally.receive_seconds.append(took)
        conversation = self._remember(key, payload["conversation"])
        if payload["duplicate"]:
            self.tally.duplicates += 1
        else:
            self.tally.accepted += 1
            if payload["opened"]:
                self.tally.opened += 1
                self._count_placing(conversation, self.tally.assignment_seconds, took)
        await self._set_owner(line, key, payload["conversation"]["id"])

    async def _answer(self, line: Line, key: Key) -> None:
        conversation = self.open.get(key)
        if conversation and conversation.is_with_bot and key[1] in self.bots:
            conversation = await self._hand_off(line, key, conversation)
        if conversation and (conversation.assignee is None or conversation.doubtful):
            # Somebody may have got room since the last answer.
            conversation = await self._look_again(key, conversation)
        if conversation is None or conversation.assignee is None:
            self.tally.unanswered[_why_unanswered(conversation)] += 1
            return
        agent = conversation.assignee
        variables = {
            "conversation": conversation.id,
            "text": line.text,
            "agent": agent,
            "key": self._idempotency_key(line, "send"),
        }
        payload = await self._mutate(MESSAGE_SEND, variables, key)
        if payload is not None:
            self.tally.sent[agent] += 1
            self._remember(key, payload["conversation"])

    async def _set_owner(self, line: Line, key: Key, conversation_id: str) -> None:
        idempotency_key = self._idempotency_key(line, "own")
        try:
            kind = await self.owners.give(self.client, key, conversation_id, idempotency_key)
        except Refused as refusal:
            self.tally.refused[f"contactSetOwner {refusal.code}"] += 1
        else:
            if kind:
                self.tally.owners[kind] += 1

    async def _hand_off(
        self, line: Line, key: Key, conversation: Conversation
    ) -> Conversation | None:
        """The bot's part ends with what the customer said before people answered."""
        variables = {
            "conversation": conversation.id,
            "key": self._idempotency_key(line, "hand-off"),
        }
        began = self.now()
        payload = await self._mutate(CONVERSATION_HAND_OFF, variables, key)
        if payload is None:
            return self.open.get(key)
        took = self.now() - began
        self.tally.handed_off += 1
        handed = self._remember(key, payload["conversation"])
        self._count_placing(handed, self.tally.hand_off_seconds, took)
        return handed

    async def _close(self, line: Line, key: Key) -> None:
        conversation = self.open.get(key)
        if conversation is None:
            return
        variables: dict[str, Any] = {
            "conversation": conversation.id,
            "summary": f"Replayed: {line.topic}",
            "key": self._idempotency_key(line, "close"),
        }
        if conversation.lacks_ticket:
            subject = line.topic.strip() or TICKET_SUBJECT
            variables["ticket"] = {"create": {"subject": subject[:TICKET_SUBJECT_LENGTH_MAX]}}
        # Absent is not null: what is not known is left out.
        if conversation.assignee:
            variables["agent"] = conversation.assignee
        if self.closing_reasons:
            chosen = zlib.crc32(line.topic.encode()) % len(self.closing_reasons)
            variables["reason"] = self.closing_reasons[chosen]
        if await self._mutate(CONVERSATION_CLOSE, variables, key) is not None:
            self.tally.closed += 1
            self.open.pop(key, None)

    async def _look_again(self, key: Key, conversation: Conversation) -> Conversation | None:
        try:
            answer = await self.client.query(CONVERSATION, {"id": conversation.id})
        except Refused as refusal:
            self.tally.refused[f"conversation {refusal.code}"] += 1
            return conversation
        return self._remember(key, answer) if answer else conversation

    async def _mutate(
        self, operation: Operation, variables: dict[str, Any], key: Key
    ) -> dict[str, Any] | None:
        """The payload; a refusal is counted, and makes what is remembered doubtful."""
        try:
            return await self.client.mutate(operation, variables)
        except Refused as refusal:
            self._require_permission(operation, refusal)
            self.tally.refused[f"{operation.field} {refusal.code}"] += 1
            if refusal.code == "CONVERSATION_CLOSED":
                self.open.pop(key, None)
            elif key in self.open:
                self.open[key].doubtful = True
            return None

    def _require_permission(self, operation: Operation, refusal: Refused) -> None:
        none_taken = not self.tally.receive_seconds
        if none_taken and operation is MESSAGE_RECEIVE and refusal.code == "FORBIDDEN":
            raise MayNotReceive(str(refusal)) from refusal

    def _remember(self, key: Key, answer: dict[str, Any]) -> Conversation | None:
        """The conversation now open for the key, after one more answer."""
        known = self.open.get(key)
        if answer["status"] == "CLOSED":
            # A duplicate may tell of an earlier conversation than the one that is open.
            if known and known.id == answer["id"]:
                del self.open[key]
            return self.open.get(key)
        if known is None or known.id != answer["id"]:
            known = self.open[key] = Conversation(answer["id"])
        known.is_with_bot = answer["status"] == "BOT"
        known.assignee = answer["assignee"]["id"] if answer["assignee"] else None
        known.doubtful = False
        if "line" in answer:
            link = answer["ticketLink"]
            is_linked = link is not None and link["status"] == "CONFIRMED"
            known.lacks_ticket = answer["line"] == "SUPPORT" and not is_linked
        if "queue" in answer:
            known.queue = answer["queue"]["name"] if answer["queue"] else None
        self._count_holder(known)
        return known

    def _count_holder(self, conversation: Conversation) -> None:
        agent = conversation.assignee
        if agent is None or agent in conversation.holders:
            return
        self.tally.assigned += not conversation.holders
        self.tally.held[agent] += 1
        conversation.holders.add(agent)

    def _count_placing(
        self, conversation: Conversation | None, measured: "array[float]", took: float
    ) -> None:
        """Somebody has it at once, or it waits for people; with the bot it waits for nobody."""
        if conversation and conversation.assignee:
            measured.append(took)
        elif conversation and conversation.queue:
            self.tally.waited[f"in queue {conversation.queue}"] += 1
        elif not (conversation and conversation.is_with_bot):
            self.tally.waited["in no queue that is shown"] += 1

    def _idempotency_key(self, line: Line, verb: str) -> str:
        return f"{self.run}-{line.number}-{verb}"


def _why_unanswered(conversation: Conversation | None) -> str:
    if conversation is None:
        return "no open conversation"
    if conversation.is_with_bot:
        return "with the bot"
    return f"waiting in queue {conversation.queue}" if conversation.queue else "waiting, no queue"
