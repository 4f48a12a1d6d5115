"""The ticket as the API shows it: what it says, what was done about it, what is linked to it."""

from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any
from uuid import UUID

import strawberry

from models.tag import TAGS_MAX
from models.ticket.action import ActionKind
from models.ticket.search import COLUMNS
from resolvers.contact import Contact, contact_of
from resolvers.context import Info
from resolvers.pagination import (
    BY_CREATION,
    After,
    Before,
    Connection,
    Edge,
    First,
    Keyset,
    Last,
    Nested,
    Page,
    place,
)
from resolvers.types import (
    Agent,
    Closure,
    Message,
    Node,
    Row,
    Tag,
    Team,
    agent_of,
    column,
    nested,
    tags_of,
    team_of,
)
from resolvers.vocabulary import ActorKind, TicketPriority, TicketStatus

if TYPE_CHECKING:
    from resolvers.conversation import Conversation, ConversationConnection, MessageConnection

DONE = Nested(
    """
    SELECT a.id, a.kind, a.author_kind, a.author_id, a.text, a.conversation_id, a.closure_id,
           a.ticket_id, a.created_at
    FROM ticket_actions a WHERE a.workspace_id = $1 AND a.ticket_id = p.id
    """,
    BY_CREATION,
)


def _part(visible: str) -> Nested:
    """What was said in a conversation after an instant, or since its beginning, and until another.

    Private notes are for whoever sees the conversation `c`.
    """
    return Nested(
        f"""
        SELECT m.id, m.conversation_id, m.direction, m.author_agent_id, m.external_id, m.text,
               m.delivery, m.created_at
        FROM ticket_actions a JOIN conversations c ON c.id = a.conversation_id
        JOIN messages m ON m.conversation_id = c.id
        WHERE a.workspace_id = $1 AND a.id = p.id AND m.created_at <= a.messages_until
          AND m.created_at > coalesce(a.messages_after, '-infinity')
          AND (m.direction <> 'NOTE' OR {visible})
        """,  # noqa: S608 - constants and ids of ours
        BY_CREATION,
    )


@strawberry.type(description="What was done about a ticket; it never changes.")
class TicketAction(Node):
    kind = column(ActionKind, "kind", "What it is, and for whom.")
    text = column(str | None, "text", "What somebody wrote; null for a conversation's history.")
    author_kind = column(ActorKind, "author_kind", "What kind of party did it.")
    created_at = column(datetime, "created_at", "When it was done.")

    @strawberry.field(description="The agent who did it, if a person did.")
    async def author(self, info: Info) -> Agent | None:
        is_person = self.row["author_kind"] == ActorKind.AGENT
        return await agent_of(info, self.row["author_id"] if is_person else None)

    @strawberry.field(
        description="Whose history it is; null for the others, or when not visible to you."
    )
    async def conversation(
        self, info: Info
    ) -> Annotated["Conversation", strawberry.lazy("resolvers.conversation")] | None:
        from resolvers.conversation import conversation_of

        return await conversation_of(info, self.row["conversation_id"])

    @strawberry.field(
        description="The closing that appended it; null for the others, or when its conversation "
        "is not visible to you."
    )
    async def closure(self, info: Info) -> Closure | None:
        id = self.row["closure_id"]
        loaders = info.context.loaders
        seen = id and await loaders.conversations.load(self.row["conversation_id"])
        return Closure.of(await loaders.parts["closures"].load(id) if seen else None)

    @strawberry.field(
        description="The part of the conversation that the closing appended, the oldest first: "
        "whoever sees the ticket reads what was said with the customer, and whoever sees the "
        "conversation its private notes, too."
    )
    async def messages(
        self,
        info: Info,
        first: First = None,
        after: After = None,
        last: Last = None,
        before: Before = None,
    ) -> Annotated["MessageConnection", strawberry.lazy("resolvers.conversation")]:
        from resolvers.conversation import MessageConnection, MessageEdge

        visible = await info.context.loaders.sight.load(info.context.by.workspace_id)
        return await info.context.loaders.nested(
            _part(visible),
            self.row["id"],
            Page(first, after, last, before),
            node=lambda row: Message(row=row),
            connection=MessageConnection,
            edge=MessageEdge,
        )


@strawberry.type(description="An action of a page.")
class TicketActionEdge(Edge[TicketAction]):
    pass


@strawberry.type(description="A page of actions.")
class TicketActionConnection(Connection[TicketAction]):
    pass


@strawberry.type(description="A numbered case with a requester; conversations link to it.")
class Ticket(Node):
    number = column(int, "number", "1, 2, 3 ... in a workspace, without holes.")
    subject = column(str, "subject", "What it is about.")
    description = column(str | None, "description", "More of that.")
    status = column(TicketStatus, "status", "Where it stands.")
    priority = column(TicketPriority, "priority", "How much it matters.")
    created_at = column(datetime, "created_at", "When it was opened.")
    updated_at = column(datetime, "updated_at", "When it changed last, or something was done.")
    version = column(
        int,
        "version",
        "Grows with every change of what it says, but with no action; send it as "
        "`expectedVersion`.",
    )

    @strawberry.field(description="Whose request it is; null when not visible to you.")
    async def requester(self, info: Info) -> Contact | None:
        return await contact_of(info, self.row["requester_id"])

    @strawberry.field(description="Who is to solve it; null for nobody yet.")
    async def assignee(self, info: Info) -> Agent | None:
        return await agent_of(info, self.row["assignee_id"])

    @strawberry.field(description="The department that it is of; null for none.")
    async def department(self, info: Info) -> Team | None:
        return await team_of(info, self.row["department_id"])

    @strawberry.field(description=f"Its tags, by name; at most {TAGS_MAX}.")
    async def tags(self, info: Info) -> list[Tag]:
        return await tags_of(info, "ticket", self.row["id"])

    actions = nested(
        "What was done about it, the oldest first.",
        DONE,
        noun=TicketAction,
        connection=TicketActionConnection,
        edge=TicketActionEdge,
    )

    @strawberry.field(
        description="The conversations that have it, or might, and that you see, newest first."
    )
    async def conversations(
        self,
        info: Info,
        first: First = None,
        after: After = None,
        last: Last = None,
        before: Before = None,
    ) -> Annotated["ConversationConnection", strawberry.lazy("resolvers.conversation")]:
        from resolvers.conversation import conversations_of_ticket

        return await conversations_of_ticket(info, self.row["id"], Page(first, after, last, before))


@strawberry.type(description="A ticket of a page.")
class TicketEdge(Edge[Ticket]):
    pass


@strawberry.type(description="A page of tickets.")
class TicketConnection(Connection[Ticket]):
    pass


async def ticket_of(info: Info, id: UUID | None) -> Ticket | None:
    """The ticket, if the asker sees it."""
    return Ticket.of(await info.context.loaders.tickets.load(id) if id else None)


async def action_of(info: Info, id: UUID) -> TicketAction | None:
    """The action, if the asker sees its ticket."""
    row = await info.context.loaders.parts["ticket_actions"].load(id)
    seen = row and await info.context.loaders.tickets.load(row["ticket_id"])
    return TicketAction.of(row if seen else None)


async def tickets_of(info: Info, contact_id: UUID, page: Page) -> TicketConnection:
    """A page of a contact's tickets, without those that the asker does not see."""
    visible = await info.context.loaders.ticket_sight.load(info.context.by.workspace_id)
    of_contact = Nested(
        f"""
        SELECT {COLUMNS} FROM tickets
        WHERE tickets.workspace_id = $1 AND tickets.requester_id = p.id AND {visible}
        """,  # noqa: S608 - constants and ids of ours
        Keyset("number", descending=True, parse=place),
    )
    return await info.context.loaders.nested(
        of_contact,
        contact_id,
        page,
        node=_node,
        connection=TicketConnection,
        edge=TicketEdge,
    )


def _node(row: Row) -> Any:
    return Ticket(row=row)
