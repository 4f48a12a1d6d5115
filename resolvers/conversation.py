"""The conversation as the API shows it, and its lists."""

from datetime import datetime
from typing import TYPE_CHECKING, Annotated
from uuid import UUID

import strawberry

from models.base import Line
from models.conversation import Status, TicketLink
from models.decision import Availability
from models.precedence import Sticky
from models.projection import CONVERSATION_COLUMNS
from models.retention import EVENT_RETENTION_DAYS
from models.stickiness import ends_at, sticky
from models.tag import TAGS_MAX
from resolvers.contact import Contact
from resolvers.context import Info
from resolvers.decision import Assignment, Decision
from resolvers.loaders import Row, projected
from resolvers.pagination import (
    After,
    Before,
    Connection,
    Edge,
    First,
    Keyset,
    Last,
    Nested,
    Page,
    paginate,
)
from resolvers.types import (
    Agent,
    Channel,
    Closure,
    Message,
    Node,
    Owner,
    Queue,
    Tag,
    Team,
    agent_of,
    column,
    nested,
    queue_of,
    seconds_between,
    tags_of,
    team_of,
)

if TYPE_CHECKING:
    from resolvers.history import ConversationEventConnection
    from resolvers.ticket import Ticket
    from resolvers.workflow_run import WorkflowRunConnection

SAID = Nested(
    """
    SELECT m.id, m.conversation_id, m.direction, m.author_agent_id, m.external_id, m.text,
           m.delivery, m.created_at
    FROM messages m WHERE m.workspace_id = $1 AND m.conversation_id = p.id
    """,
    Keyset("created_at"),
)
HELD = Nested(
    """
    SELECT a.id, a.agent_id, a.team_id, a.rule, a.decision, a.started_at, a.ended_at, a.ending
    FROM assignments a WHERE a.workspace_id = $1 AND a.conversation_id = p.id
    """,
    Keyset("started_at"),
)
_COLUMNS = f"""{", ".join(f"c.{name}" for name in CONVERSATION_COLUMNS if name != "now")},
    relevo_now() AS now"""
WAITING = Nested(
    f"""
    SELECT {_COLUMNS} FROM conversations c
    WHERE c.workspace_id = $1 AND c.team_id = p.id AND c.status = 'QUEUED'
    """,  # noqa: S608 - constants
    Keyset("queued_at"),
)


@strawberry.type(description="A message of a page.")
class MessageEdge(Edge[Message]):
    pass


@strawberry.type(description="A page of messages.")
class MessageConnection(Connection[Message]):
    pass


@strawberry.type(description="An assignment of a page.")
class AssignmentEdge(Edge[Assignment]):
    pass


@strawberry.type(description="A page of assignments.")
class AssignmentConnection(Connection[Assignment]):
    pass


@strawberry.type(description="The link of a conversation to its ticket.")
class ConversationTicketLink:
    row: strawberry.Private[Row]
    status = column(TicketLink, "ticket_link", "Whether it counts.")


@strawberry.type(description="One exchange with a contact on a channel, from opening to closing.")
class Conversation(Node):
    status = column(Status, "status", "Where it stands.")
    line = column(Line, "line", "Commercial or support.")
    opened_at = column(datetime, "opened_at", "When it was opened.")
    last_activity_at = column(datetime, "last_activity_at", "When something last happened in it.")
    snoozed_until = column(
        datetime | None,
        "snoozed_until",
        "When its snooze ends at the latest; null while none does, or until the customer writes.",
    )
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

    @strawberry.field(description="Whom its contact belongs to.")
    async def owner(self, info: Info) -> Owner | None:
        contact = await info.context.loaders.contacts.load(self.row["contact_id"])
        if contact is None:
            return None
        return Owner.of(contact["owner_agent_id"], contact["owner_team_id"])

    @strawberry.field(description="The owner it waits for; null when it waits for nobody.")
    async def reserved_for(self, info: Info) -> Agent | None:
        return await agent_of(info, self.row["reserved_for_id"])

    @strawberry.field(description="The group or department it belongs to.")
    async def team(self, info: Info) -> Team | None:
        return await team_of(info, self.row["team_id"])

    @strawberry.field(description=f"Its tags, by name; at most {TAGS_MAX}.")
    async def tags(self, info: Info) -> list[Tag]:
        return await tags_of(info, "conversation", self.row["id"])

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

    @strawberry.field(description="Whom its contact comes back to; null when to nobody.")
    async def sticky_agent(self, info: Info) -> Agent | None:
        found = await _sticky(info, self.row["id"])
        return await agent_of(info, found.agent_id) if found and found.is_active else None

    @strawberry.field(description="Until when its contact does; null when for ever, or to nobody.")
    async def sticky_until(self, info: Info) -> datetime | None:
        found = await _sticky(info, self.row["id"])
        return ends_at(found) if found and found.is_active else None

    @strawberry.field(description="Who holds it, since when and why; null while nobody does.")
    async def assignment(self, info: Info) -> Assignment | None:
        row = await info.context.loaders.assignments.load(self.row["id"])
        return Assignment.of(row)

    @strawberry.field(
        description="Why it has the place it has now; `assignments` keep the earlier decisions."
    )
    async def decision(self, info: Info) -> Decision | None:
        held = await info.context.loaders.assignments.load(self.row["id"])
        return Decision.of(held["decision"] if held else self.row["decision"])

    @strawberry.field(description="Its ticket, or the one proposed; null when not visible to you.")
    async def ticket(
        self, info: Info
    ) -> Annotated["Ticket", strawberry.lazy("resolvers.ticket")] | None:
        from resolvers.ticket import ticket_of

        return await ticket_of(info, self.row["ticket_id"])

    @strawberry.field(description="How it came to have a ticket; null when it has none.")
    def ticket_link(self) -> "ConversationTicketLink | None":
        return None if self.row["ticket_id"] is None else ConversationTicketLink(row=self.row)

    assignments = nested(
        "Everybody who held it, with the decisions, the first one first.",
        HELD,
        noun=Assignment,
        connection=AssignmentConnection,
        edge=AssignmentEdge,
    )

    @strawberry.field(
        description="What happened to it: its part of the log, the oldest first. It shortens to "
        f"what is kept for ever after {EVENT_RETENTION_DAYS} days; messages, assignments and "
        "closures stay."
    )
    async def events(
        self,
        info: Info,
        first: First = None,
        after: After = None,
        last: Last = None,
        before: Before = None,
    ) -> Annotated["ConversationEventConnection", strawberry.lazy("resolvers.history")]:
        from resolvers.history import history_of

        return await history_of(info, self.row["id"], Page(first, after, last, before))

    @strawberry.field(description="What workflows did with it, the newest run first.")
    async def workflow_runs(
        self,
        info: Info,
        first: First = None,
        after: After = None,
        last: Last = None,
        before: Before = None,
    ) -> Annotated["WorkflowRunConnection", strawberry.lazy("resolvers.workflow_run")]:
        from resolvers.workflow_run import runs_of

        return await runs_of(info, self.row["id"], Page(first, after, last, before))

    messages = nested(
        "Messages and notes, oldest first.",
        SAID,
        noun=Message,
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


async def _sticky(info: Info, id: UUID) -> Sticky | None:
    row = await info.context.loaders.sticky.load(id)
    return None if row is None else sticky(row, is_present=False, reopens=None)


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


async def waiting_in(info: Info, team_id: UUID, page: Page) -> ConversationConnection:
    """A page of a queue, longest waiting first; whoever sees the queue sees who waits in it."""
    return await info.context.loaders.nested(
        WAITING,
        team_id,
        page,
        node=_node,
        connection=ConversationConnection,
        edge=ConversationEdge,
    )


async def conversations_with(info: Info, contact_id: UUID, page: Page) -> ConversationConnection:
    """A page of a contact's conversations, without those that the asker does not see."""
    visible = await info.context.loaders.sight.load(info.context.by.workspace_id)
    with_contact = Nested(
        f"""
        SELECT {_COLUMNS} FROM conversations c
        WHERE c.workspace_id = $1 AND c.contact_id = p.id AND {visible}
        """,  # noqa: S608 - constants and ids of ours
        Keyset("opened_at", descending=True),
    )
    return await info.context.loaders.nested(
        with_contact,
        contact_id,
        page,
        node=_node,
        connection=ConversationConnection,
        edge=ConversationEdge,
    )


async def conversations_of_ticket(
    info: Info, ticket_id: UUID, page: Page
) -> ConversationConnection:
    """A page of a ticket's conversations, without those that the asker does not see."""
    visible = await info.context.loaders.sight.load(info.context.by.workspace_id)
    of_ticket = Nested(
        f"""
        SELECT {_COLUMNS} FROM conversations c
        WHERE c.workspace_id = $1 AND c.ticket_id = p.id AND {visible}
        """,  # noqa: S608 - constants and ids of ours
        Keyset("opened_at", descending=True),
    )
    return await info.context.loaders.nested(
        of_ticket,
        ticket_id,
        page,
        node=_node,
        connection=ConversationConnection,
        edge=ConversationEdge,
    )


def _node(row: Row) -> Conversation:
    return Conversation(row=row)
