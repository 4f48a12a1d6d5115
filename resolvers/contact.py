"""The contact as the API shows it: its owner, its values, by what it is known, what it wrote."""

from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any
from uuid import UUID

import orjson
import strawberry

from models.contact_field import FieldKind
from models.contact_search import Wanted
from models.tag import TAGS_MAX
from resolvers.context import Info
from resolvers.enums import described
from resolvers.pagination import (
    BY_CREATION,
    After,
    Before,
    Connection,
    Edge,
    First,
    Last,
    Nested,
    Page,
    connected,
)
from resolvers.types import Channel, Node, Owner, Row, Tag, column, nested, tags_of

if TYPE_CHECKING:
    from resolvers.conversation import ConversationConnection
    from resolvers.ticket import TicketConnection

KNOWN = Nested(
    """
    SELECT i.id, i.channel_id, i.external_id, i.created_at
    FROM contact_identities i WHERE i.workspace_id = $1 AND i.contact_id = p.id
    """,
    BY_CREATION,
)

MERGED = Nested(
    """
    SELECT c.id, c.name, c.phone, c.email, c.created_at, c.owner_agent_id, c.owner_team_id,
           c.field_values, c.merged_into_id
    FROM contacts c WHERE c.workspace_id = $1 AND c.merged_into_id = p.id
    """,
    BY_CREATION,
)

described(
    FieldKind,
    "ContactFieldKind",
    TEXT="Up to 1,000 characters.",
    NUMBER="A decimal number without exponent: 18 digits, 9 decimals.",
    DATE="A day, as in `2026-11-22`.",
    CHOICE="One of the field's choices.",
)


@strawberry.type(description="What the workspace wants to know of its contacts.")
class ContactField(Node):
    name = column(str, "name", "Name.")
    kind = column(FieldKind, "kind", "What it holds; it never changes.")

    @strawberry.field(description="What a CHOICE offers; empty for the others.")
    def choices(self) -> list[str]:
        choices: list[str] = orjson.loads(self.row["choices"])
        return choices


@strawberry.type(description="What is known of a contact.")
class ContactFieldValue:
    row: strawberry.Private[Row]
    value: str = strawberry.field(description="The value, in the one spelling of its kind.")
    name = column(str, "name", "The field's name.")
    kind = column(FieldKind, "kind", "What the field holds.")

    @strawberry.field(description="The field.")
    def field(self) -> ContactField:
        return ContactField(row=self.row)


@strawberry.type(description="How a channel knows a contact.")
class ContactIdentity:
    row: strawberry.Private[Row]
    external_id = column(str, "external_id", "What the channel calls the contact.")

    @strawberry.field(description="The channel.")
    async def channel(self, info: Info) -> Channel | None:
        return Channel.of(await info.context.loaders.channels.load(self.row["channel_id"]))


@strawberry.type(description="An identity of a page.")
class ContactIdentityEdge(Edge[ContactIdentity]):
    pass


@strawberry.type(description="A page of identities.")
class ContactIdentityConnection(Connection[ContactIdentity]):
    pass


@strawberry.type(description="A customer.")
class Contact(Node):
    name = column(str, "name", "Name, or what the channel calls them.")
    phone = column(str | None, "phone", "Telephone number, without spaces and the like.")
    email = column(str | None, "email", "E-mail address.")
    created_at = column(datetime, "created_at", "When they first wrote, or were created.")

    @strawberry.field(description="Whom the contact belongs to; null for nobody.")
    def owner(self) -> Owner | None:
        return Owner.of(self.row["owner_agent_id"], self.row["owner_team_id"])

    @strawberry.field(description="What is known of the contact; fields without a value are not.")
    async def fields(self, info: Info) -> list[ContactFieldValue]:
        values: dict[str, str] = orjson.loads(self.row["field_values"])
        rows = await info.context.loaders.contact_fields.load_many([UUID(id) for id in values])
        known = [
            (row["created_at"], row["id"], ContactFieldValue(row=row, value=value))
            # The values of a deleted field outlive it for a moment.
            for row, value in zip(rows, values.values(), strict=True)
            if row is not None
        ]
        return [value for _, _, value in sorted(known, key=lambda each: each[:2])]

    identities = nested(
        "How channels know the contact.",
        KNOWN,
        noun=ContactIdentity,
        connection=ContactIdentityConnection,
        edge=ContactIdentityEdge,
    )

    @strawberry.field(description="The contact's conversations that you see, the newest first.")
    async def conversations(
        self,
        info: Info,
        first: First = None,
        after: After = None,
        last: Last = None,
        before: Before = None,
    ) -> Annotated["ConversationConnection", strawberry.lazy("resolvers.conversation")]:
        from resolvers.conversation import conversations_with

        return await conversations_with(info, self.row["id"], Page(first, after, last, before))

    @strawberry.field(description="The contact's tickets that you see, the newest first.")
    async def tickets(
        self,
        info: Info,
        first: First = None,
        after: After = None,
        last: Last = None,
        before: Before = None,
    ) -> Annotated["TicketConnection", strawberry.lazy("resolvers.ticket")]:
        from resolvers.ticket import tickets_of

        return await tickets_of(info, self.row["id"], Page(first, after, last, before))

    @strawberry.field(description=f"Its tags, by name; at most {TAGS_MAX}.")
    async def tags(self, info: Info) -> list[Tag]:
        return await tags_of(info, "contact", self.row["id"])

    @strawberry.field(description="Whom it was merged into and lives on in; null unless it was.")
    async def merged_into(self, info: Info) -> "Contact | None":
        return await contact_of(info, self.row["merged_into_id"])

    @strawberry.field(description="The contacts merged into it, each of which can be split again.")
    async def merged_contacts(
        self,
        info: Info,
        first: First = None,
        after: After = None,
        last: Last = None,
        before: Before = None,
    ) -> "ContactConnection":
        return await info.context.loaders.nested(
            MERGED,
            self.row["id"],
            Page(first, after, last, before),
            node=lambda row: Contact(row=row),
            connection=ContactConnection,
            edge=ContactEdge,
        )


@strawberry.type(description="A contact of a page.")
class ContactEdge(Edge[Contact]):
    pass


@strawberry.type(description="A page of contacts.")
class ContactConnection(Connection[Contact]):
    pass


async def contact_of(info: Info, id: UUID | None) -> Contact | None:
    """The contact, if the asker sees it."""
    loaders = info.context.loaders
    seen = id is not None and await loaders.contacts_seen.load(id)
    return Contact.of(await loaders.contacts.load(id) if id and seen else None)


async def contacts_found(info: Info, wanted: Wanted, page: Page) -> ContactConnection:
    """A page of the visible contacts that meet all filters, by their creation."""
    loaders = info.context.loaders
    keys = await loaders.contacts_found.load((wanted, page))
    rows = await loaders.contacts.load_many([key["id"] for key in keys])
    found: Any = connected(
        [row for row in rows if row is not None],
        page,
        BY_CREATION,
        node=lambda row: Contact(row=row),
        connection=ContactConnection,
        edge=ContactEdge,
        count=lambda: loaders.contacts_counted.load(wanted),
    )
    return found  # type: ignore[no-any-return]  # the class given above
