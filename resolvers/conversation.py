"""The conversation as the API shows it, and its lists."""

from datetime import datetime
from typing import Annotated
from uuid import UUID

import strawberry

from models.base import Line
from models.conversation import Conversation as Record
from models.conversation import Status
from models.decision import Availability
from models.message import Message as MessageRecord
from resolvers.context import Info
from resolvers.loaders import Row, projected
from resolvers.pagination import Connection, Edge, Keyset, Page, paginate
from resolvers.types import (
    Agent,
    Assignment,
    Channel,
    Closure,
    Contact,
    Decision,
    Message,
    Node,
    Queue,
    Team,
    agent_of,
    column,
    queue_of,
    seconds_between,
    team_of,
)

MESSAGE_COLUMNS = (
    "id",
    "conversation_id",
    "direction",
    "author_agent_id",
    "external_id",
    "text",
    "created_at",
)
BY_TIME = Keyset("created_at")
WAITING = Keyset("queued_at")

First = Annotated[
    int | None, strawberry.argument(description="Page size from the start, 1 to 100.")
]
After = Annotated[str | None, strawberry.argument(description="Start after this cursor.")]
Last = Annotated[int | None, strawberry.argument(description="Page size from the end, 1 to 100.")]
Before = Annotated[str | None, strawberry.argument(description="End before this cursor.")]


@strawberry.type(description="A message of a page.")
class MessageEdge(Edge[Message]):
    pass


@strawberry.type(description="A page of messages.")
class MessageConnection(Connection[Message]):
    pass


@strawberry.type(description="One exchange with a contact on a channel, from opening to closing.")
class Conversation(Node):
    status = column(Status, "status", "Where it stands.")
    line = column(Line, "line", "Commercial or support.")
    opened_at = column(datetime, "opened_at", "When it was opened.")
    last_activity_at = column(datetime, "last_activity_at", "When something last happened in it.")
    version = column(int, "version", "Grows with every change; send it as `expectedVersion`.")

    @strawberry.field(description="The account it runs on.")
    async def channel(self, info: Info) -> Channel | None:
        row = await info.context.loaders.channels.load(self.row["channel_id"])
        return Channel.of(row)

    @strawberry.field(description="The customer.")
    async def contact(self, info: Info) -> Contact | None:
        row = await info.context.loaders.contacts.load(self.row["contact_id"])
        return Contact.of(row)

    @strawberry.field(description="The queue it waits in; null when it does not wait.")
    async def queue(self, info: Info) -> Queue | None:
        waits = self.row["status"] == Status.QUEUED
        return await queue_of(info, self.row["team_id"]) if waits else None

    @strawberry.field(description="Its place in the queue, from 1; null when it does not wait.")
    async def position(self, info: Info) -> int | None:
        found = await info.context.loaders.positions.load(self.row["id"])
        return found["position"] if found else None

    @strawberry.field(description="Seconds since it first joined a queue; null unless it waits.")
    def waiting_seconds(self) -> int | None:
        if self.row["status"] != Status.QUEUED:
            return None
        return seconds_between(self.row["queued_at"], self.row["now"])

    @strawberry.field(description="Who holds it.")
    async def assignee(self, info: Info) -> Agent | None:
        return await agent_of(info, self.row["assignee_id"])

    @strawberry.field(description="The group or department it belongs to.")
    async def team(self, info: Info) -> Team | None:
        return await team_of(info, self.row["team_id"])

    @strawberry.field(description="What was said last; notes do not count.")
    async def last_message(self, info: Info) -> Message | None:
        if self.row["last_message_id"] is None:
            return None
        row = await info.context.loaders.messages.load(self.row["last_message_id"])
        return Message.of(row)

    @strawberry.field(description="How it ended last; null if it never has.")
    async def closure(self, info: Info) -> Closure | None:
        row = await info.context.loaders.closures.load(self.row["id"])
        return Closure.of(row)

    @strawberry.field(description="Whether its agent is not connected or not ONLINE.")
    async def waiting_on_absent_agent(self, info: Info) -> bool:
        if self.row["status"] != Status.ASSIGNED:
            return False
        agent = await info.context.loaders.agents.load(self.row["assignee_id"])
        present = agent and agent["is_connected"] and agent["availability"] == Availability.ONLINE
        return not present

    @strawberry.field(description="When it closes if nothing happens; null if it does not.")
    async def closes_at(self, info: Info) -> datetime | None:
        found = await info.context.loaders.closing_times.load(self.row["id"])
        return found["closes_at"] if found else None

    @strawberry.field(description="Who holds it, since when and why; null while nobody does.")
    async def assignment(self, info: Info) -> Assignment | None:
        row = await info.context.loaders.assignments.load(self.row["id"])
        return Assignment.of(row)

    @strawberry.field(description="Why it has the place it has; null where nothing was decided.")
    async def decision(self, info: Info) -> Decision | None:
        held = await info.context.loaders.assignments.load(self.row["id"])
        return Decision.of(held["decision"] if held else self.row["decision"])

    @strawberry.field(description="Messages and notes, oldest first.")
    async def messages(
        self,
        first: First = None,
        after: After = None,
        last: Last = None,
        before: Before = None,
    ) -> MessageConnection:
        return await paginate(  # type: ignore[return-value]  # the class given below
            MessageRecord.filter(conversation_id=self.row["id"]),
            Page(first, after, last, before),
            BY_TIME,
            read=lambda messages: messages.values(*MESSAGE_COLUMNS),
            node=lambda row: Message(row=row),
            connection=MessageConnection,
            edge=MessageEdge,
        )


@strawberry.type(description="A conversation of a page.")
class ConversationEdge(Edge[Conversation]):
    pass


@strawberry.type(description="A page of conversations.")
class ConversationConnection(Connection[Conversation]):
    pass


async def conversation_of(info: Info, id: UUID | None) -> Conversation | None:
    """The conversation, if the asker sees it."""
    row = None if id is None else await info.context.loaders.conversations.load(id)
    return Conversation.of(row)


async def listed(queryset: "object", page: Page, order: Keyset) -> ConversationConnection:
    """A page of visible conversations, projected."""
    return await paginate(  # type: ignore[return-value]  # the class given below
        queryset,
        page,
        order,
        read=projected,
        node=_node,
        connection=ConversationConnection,
        edge=ConversationEdge,
    )


async def waiting_in(
    info: Info, team_id: UUID, *, first: int | None, after: str | None
) -> ConversationConnection:
    """A page of a queue, longest waiting first."""
    visible = await Record.visible_to(info.context.by)
    waiting = visible.filter(team_id=team_id, status=Status.QUEUED)
    return await listed(waiting, Page(first, after), WAITING)


def _node(row: Row) -> Conversation:
    return Conversation(row=row)
