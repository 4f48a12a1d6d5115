"""An in-memory workspace behind the part of the public API that a replay uses; replays of it."""

import asyncio
import gzip
import json
import random
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from io import StringIO
from pathlib import Path
from typing import Any

from graphql import build_schema, graphql
from rich.console import Console
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from api.replay import AS_IT_IS, Replay, replay
from api.replay_setup import Setup

TOKEN = "a-token"
CHANNEL = {"id": "number-1", "name": "sales", "kind": "WHATSAPP", "status": "CONNECTED"}
SCHEMA = build_schema(
    """
    enum AgentAvailability { ONLINE AWAY OFFLINE }
    type Channel { id: ID! name: String! kind: String! status: String! }
    type Agent { id: ID! name: String! role: String! availability: String! isConnected: Boolean! }
    type Named { id: ID! name: String! }
    type LoggedEvent { seq: Int! }
    type OtherEvent { id: ID! }
    type ConversationEvent { kind: EventKind! rule: String toTeam: Team }
    union Event = LoggedEvent | OtherEvent | ConversationEvent
    enum EventKind { CONVERSATION_OPENED CONVERSATION_REOPENED CONVERSATION_HANDED_OFF }
    input EventFilter { kinds: [EventKind!] }
    type PageInfo { hasNextPage: Boolean! endCursor: String }
    type Team { id: ID! name: String! line: String! isTodos: Boolean! isActive: Boolean! }
    type Viewer { agent: Agent scopes: [String!]! }
    type Channels { nodes: [Channel!]! }
    type Agents { nodes: [Agent!]! }
    type Nameds { nodes: [Named!]! }
    type Events { nodes: [Event!]! pageInfo: PageInfo! }
    type Teams { nodes: [Team!]! }
    type UserError { code: String! message: String! path: [String!] }
    type Message { id: ID! }
    type Conversation {
        id: ID! status: String! assignee: Agent queue: Named line: String! contact: Named
        ticketLink: TicketLink
    }
    type TicketLink { status: String! }
    input ClosingTicketCreateInput { subject: String! }
    input ClosingTicketInput { create: ClosingTicketCreateInput }
    type Closure { id: ID! }
    input ContactInput { externalId: String! name: String }
    input MessageReceiveInput {
        channelId: ID! externalId: String! contact: ContactInput! text: String!
        idempotencyKey: String
    }
    input MessageSendInput {
        conversationId: ID! text: String! onBehalfOf: ID idempotencyKey: String
    }
    input ConversationCloseInput {
        conversationId: ID! closingReasonId: ID summary: String onBehalfOf: ID
        ticket: ClosingTicketInput idempotencyKey: String
    }
    input PresenceBeatInput { agentId: ID device: String! idempotencyKey: String }
    input AgentSetAvailabilityInput {
        agentId: ID availability: AgentAvailability acceptsNew: Boolean idempotencyKey: String
    }
    input WorkspaceUpdateInput { reassignmentWindowHours: Int idempotencyKey: String }
    input ChannelSetBotInput { channelId: ID! isOn: Boolean! idempotencyKey: String }
    input ConversationHandOffInput { conversationId: ID! idempotencyKey: String }
    input ContactSetOwnerInput { contactId: ID! agentId: ID teamId: ID idempotencyKey: String }
    type MessageReceivePayload {
        duplicate: Boolean opened: Boolean message: Message conversation: Conversation
        userErrors: [UserError!]!
    }
    type MessageSendPayload {
        message: Message conversation: Conversation userErrors: [UserError!]!
    }
    type ConversationClosePayload {
        conversation: Conversation closure: Closure userErrors: [UserError!]!
    }
    type AgentPayload { agent: Agent userErrors: [UserError!]! }
    type WorkspacePayload { workspace: Named userErrors: [UserError!]! }
    type ChannelPayload { channel: Channel userErrors: [UserError!]! }
    type ConversationPayload { conversation: Conversation userErrors: [UserError!]! }
    type ContactPayload { contact: Named userErrors: [UserError!]! }
    type Query {
        channels(first: Int): Channels
        agents(first: Int): Agents
        closingReasons(first: Int): Nameds
        events(first: Int, last: Int, after: String, filter: EventFilter): Events
        teams(first: Int): Teams
        viewer: Viewer
        conversation(id: ID!): Conversation
    }
    type Mutation {
        messageReceive(input: MessageReceiveInput!): MessageReceivePayload
        messageSend(input: MessageSendInput!): MessageSendPayload
        conversationClose(input: ConversationCloseInput!): ConversationClosePayload
        presenceBeat(input: PresenceBeatInput!): AgentPayload
        agentSetAvailability(input: AgentSetAvailabilityInput!): AgentPayload
        workspaceUpdate(input: WorkspaceUpdateInput!): WorkspacePayload
        channelSetBot(input: ChannelSetBotInput!): ChannelPayload
        conversationHandOff(input: ConversationHandOffInput!): ConversationPayload
        contactSetOwner(input: ContactSetOwnerInput!): ContactPayload
    }
    """
)

_random = random.Random(7)
Fields = dict[str, Any]


@dataclass
class FakeWorkspace:
    """One agent takes everything while there is room; `fault` may spoil an answer.

    `fault` gets the mutation's input and returns the response that replaces the answer, which the
    client then never sees although the work is done.
    """

    room: bool = True
    line: str = "SALES"
    tickets: list[str] = field(default_factory=list)
    fault: Callable[[Fields], Response | None] = lambda _: None
    refuse: str | None = None
    scopes: list[str] = field(default_factory=lambda: ["contacts:own"])
    teams: list[Fields] = field(default_factory=list)
    bots: set[str] = field(default_factory=set)
    owners: dict[str, str] = field(default_factory=dict)
    # Events of the log, a page each.
    routed: list[Fields] = field(default_factory=list)
    channels: list[Fields] = field(default_factory=list)
    inputs: list[Fields] = field(default_factory=list)
    conversations: dict[str, Fields] = field(default_factory=dict)
    received: dict[tuple[str, str], str] = field(default_factory=dict)
    answers: dict[str, Fields] = field(default_factory=dict)
    transcript: list[tuple[str, str]] = field(default_factory=list)
    beaten: asyncio.Event = field(default_factory=asyncio.Event)
    agent: Fields = field(
        default_factory=lambda: {
            "id": "ana",
            "name": "Ana",
            "role": "AGENT",
            "availability": "OFFLINE",
            "isConnected": False,
        }
    )

    async def answer(self, request: Request) -> Response:
        if request.headers["authorization"] != f"Bearer {TOKEN}":
            return JSONResponse({"errors": [{"message": "Who?"}]}, status_code=401)
        asked = await request.json()
        # The event loop may run other requests in between, as a database would let it.
        for _ in range(_random.randrange(5)):
            await asyncio.sleep(0)
        known = len(self.inputs)
        result = await graphql(
            SCHEMA, asked["query"], root_value=self._root(), variable_values=asked["variables"]
        )
        new_inputs = self.inputs[known:]
        spoiled = self.fault(new_inputs[0]) if new_inputs else None
        return spoiled or JSONResponse(result.formatted)

    def _root(self) -> dict[str, Any]:
        admin = self.agent | {"id": "root", "name": "Root", "role": "ADMIN"}
        return {
            "channels": {"nodes": self.channels},
            "agents": {"nodes": [self.agent, admin]},
            "closingReasons": {"nodes": [{"id": "solved", "name": "Solved"}]},
            "events": lambda _info, **wanted: self._events(**wanted),
            "teams": {"nodes": self.teams},
            "viewer": {"agent": None, "scopes": self.scopes},
            "conversation": lambda _info, **wanted: self.conversations[wanted["id"]],
            "messageReceive": self._once(self._receive),
            "messageSend": self._once(self._send),
            "conversationClose": self._once(self._close),
            "presenceBeat": self._once(self._beat),
            "agentSetAvailability": self._once(self._set_availability),
            "workspaceUpdate": self._once(lambda _: {"workspace": None}),
            "channelSetBot": self._once(self._set_bot),
            "conversationHandOff": self._once(self._hand_off),
            "contactSetOwner": self._once(self._set_owner),
        }

    def _events(self, *, after: str | None = None, **wanted: Any) -> Fields:
        if "filter" not in wanted:
            newest = {"__typename": "LoggedEvent", "seq": 10 + len(self.transcript)}
            return {"nodes": [newest], "pageInfo": {"hasNextPage": False, "endCursor": "0"}}
        page = int(after or 0)
        nodes = self.routed[page : page + 1]
        more = page + 1 < len(self.routed)
        return {"nodes": nodes, "pageInfo": {"hasNextPage": more, "endCursor": str(page + 1)}}

    def _once(self, work: Callable[[Fields], Fields]) -> Callable[[Any, Fields], Fields]:
        def resolve(_info: Any, input: Fields) -> Fields:
            self.inputs.append(input)
            key = input["idempotencyKey"]
            if key not in self.answers:
                self.answers[key] = {"userErrors": []} | work(input)
            return self.answers[key]

        return resolve

    def _receive(self, input: Fields) -> Fields:
        if input["text"] == self.refuse:
            return {"userErrors": [{"code": "CONTACT_BLOCKED", "message": "No."}]}
        external, contact = input["externalId"], input["contact"]["externalId"]
        name = f"{contact}@{input['channelId']}"
        duplicate = (input["channelId"], external) in self.received
        if duplicate:
            name = self.received[input["channelId"], external]
            return {"duplicate": True, "opened": False, "conversation": self.conversations[name]}
        self.received[input["channelId"], external] = name
        self.transcript.append((name, input["text"]))
        opened = self.conversations.get(name, {"status": "CLOSED"})["status"] == "CLOSED"
        if opened:
            self.conversations[name] = self._opened(name, input["channelId"])
        return {"duplicate": False, "opened": opened, "conversation": self.conversations[name]}

    def _opened(self, name: str, channel: str) -> Fields:
        known = {"id": name, "line": self.line, "contact": {"id": f"contact of {name}"}}
        if channel in self.bots:
            return known | {"status": "BOT", "assignee": None, "queue": None}
        return known | self._placed()

    def _placed(self) -> Fields:
        if self.room:
            return {"status": "ASSIGNED", "assignee": self.agent, "queue": None}
        queue = {"id": "todos", "name": "Todos [sales]"}
        return {"status": "QUEUED", "assignee": None, "queue": queue}

    def _set_bot(self, input: Fields) -> Fields:
        self.bots.add(input["channelId"])
        return {"channel": None}

    def _hand_off(self, input: Fields) -> Fields:
        conversation = self.conversations[input["conversationId"]]
        if conversation["status"] != "BOT":
            return {"userErrors": [{"code": "CONVERSATION_NOT_WITH_BOT", "message": "No."}]}
        conversation |= self._placed()
        return {"conversation": dict(conversation)}

    def _set_owner(self, input: Fields) -> Fields:
        self.owners[input["contactId"]] = input.get("agentId") or input["teamId"]
        return {"contact": None}

    def _send(self, input: Fields) -> Fields:
        conversation = self.conversations[input["conversationId"]]
        if conversation["status"] == "CLOSED":
            return {"userErrors": [{"code": "CONVERSATION_CLOSED", "message": "It is closed."}]}
        self.transcript.append((conversation["id"], input["text"]))
        return {"conversation": dict(conversation)}

    def _close(self, input: Fields) -> Fields:
        conversation = self.conversations[input["conversationId"]]
        if conversation["line"] == "SUPPORT" and not conversation.get("ticketLink"):
            if "ticket" not in input:
                return {"userErrors": [{"code": "TICKET_REQUIRED", "message": "Which ticket?"}]}
            self.tickets.append(input["ticket"]["create"]["subject"])
            conversation["ticketLink"] = {"status": "CONFIRMED"}
        conversation |= {"status": "CLOSED", "assignee": None}
        return {"conversation": dict(conversation)}

    def _beat(self, input: Fields) -> Fields:
        self.agent["isConnected"] = True
        self.beaten.set()
        return {"agent": self.agent}

    def _set_availability(self, input: Fields) -> Fields:
        self.agent["availability"] = input["availability"]
        return {"agent": self.agent}


def app_of(workspace: FakeWorkspace) -> Starlette:
    return Starlette(routes=[Route("/graphql", workspace.answer, methods=["POST"])])


def a_line(text: str, **changes: Any) -> Fields:
    """An inbound line unless told otherwise; its text names the message, too."""
    return {
        "at": 60.0,
        "channel": "sales",
        "kind": "WHATSAPP",
        "contact": "maria",
        "direction": "INBOUND",
        "externalId": text,
        "topic": "Bicycles",
        "text": text,
        "last": False,
    } | changes


def a_reply(text: str, **changes: Any) -> Fields:
    return a_line(text, direction="OUTBOUND", **changes)


def a_file(folder: Path, lines: Iterable[Fields | str]) -> Path:
    file = folder / "day.jsonl.gz"
    texts = (line if isinstance(line, str) else json.dumps(line) for line in lines)
    file.write_bytes(gzip.compress("\n".join(texts).encode()))
    return file


async def no_waiting(_seconds: float) -> None:
    await asyncio.sleep(0)


async def played(file: Path, url: str, *, senders: int = 2, setup: Setup = AS_IT_IS) -> Replay:
    console = Console(file=StringIO(), width=200)
    day = Replay(file, url, TOKEN, 0, senders, console, setup, sleep=no_waiting)
    await day.run()
    return day


async def exit_code(
    file: Path, url: str, console: Console, *, token: str = TOKEN, setup: Setup = AS_IT_IS
) -> int:
    """Run the synchronous entry point as the command line does, off the server's loop."""
    return await asyncio.to_thread(
        replay, file, url=url, token=token, speed=0, senders=2, console=console, setup=setup
    )


def told(console: Console) -> str:
    assert isinstance(console.file, StringIO)
    return console.file.getvalue()
