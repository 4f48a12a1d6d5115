"""Saying what a workspace wants to know of its contacts."""

from typing import Any

import strawberry

from models.access import Actor
from models.contact_field import ContactField as ContactFieldRecord
from models.contact_field import FieldKind
from resolvers.commands import Answer, Payload, mutation
from resolvers.contact import ContactField
from resolvers.context import Info
from resolvers.ids import decode, encode
from resolvers.inputs import CommandInput
from resolvers.pagination import Connection, Edge
from resolvers.settings import listing


@strawberry.type(description="A contact field of a page.")
class ContactFieldEdge(Edge[ContactField]):
    pass


@strawberry.type(description="A page of contact fields.")
class ContactFieldConnection(Connection[ContactField]):
    pass


async def _contact_fields(by: Actor) -> Any:
    return ContactFieldRecord.visible_to(by)


@strawberry.type
class ContactFieldQuery:
    contact_fields = listing(
        "What the workspace wants to know of its contacts.",
        noun=ContactField,
        loader="contact_fields",
        connection=ContactFieldConnection,
        edge=ContactFieldEdge,
        visible=_contact_fields,
    )


@strawberry.input(description="A new field of contacts.")
class ContactFieldCreateInput(CommandInput):
    name: str = strawberry.field(description="Name.")
    kind: FieldKind = strawberry.field(description="What it holds; it never changes.")
    choices: list[str] | None = strawberry.field(
        default=None, description="What a CHOICE offers, 100 at most; not for the others."
    )


@strawberry.input(description="Changes of a field; what is left out stays.")
class ContactFieldUpdateInput(CommandInput):
    field_id: strawberry.ID = strawberry.field(description="Which field.")
    name: str | None = strawberry.field(default=None, description="A new name.")
    choices: list[str] | None = strawberry.field(
        default=None, description="What it offers from now on; one that a contact has stays."
    )


@strawberry.input(description="A field to forget, with all its values.")
class ContactFieldDeleteInput(CommandInput):
    field_id: strawberry.ID = strawberry.field(description="Which field.")


@strawberry.type(description="The field after a command.")
class ContactFieldPayload(Payload):
    @strawberry.field(description="The field; null when refused.")
    async def contact_field(self, info: Info) -> ContactField | None:
        id = self.id_of("field")
        row = await info.context.loaders.contact_fields.load(id) if id else None
        return ContactField.of(row)


@strawberry.type(description="What defining a field came to.")
class ContactFieldCreatePayload(ContactFieldPayload):
    pass


@strawberry.type(description="What changing a field came to.")
class ContactFieldUpdatePayload(ContactFieldPayload):
    pass


@strawberry.type(description="What forgetting a field came to.")
class ContactFieldDeletePayload(Payload):
    @strawberry.field(description="The id that is gone; null when refused.")
    def contact_field_id(self) -> strawberry.ID | None:
        id = self.id_of("field")
        return encode("ContactField", id) if id else None


@strawberry.type
class ContactFieldMutation:
    @mutation(ContactFieldCreatePayload, "Define what is to be known of contacts.")
    async def contact_field_create(self, info: Info, input: ContactFieldCreateInput) -> Answer:
        field = await ContactFieldRecord.add(
            by=info.context.by, name=input.name, kind=input.kind, choices=input.choices or ()
        )
        return {"field": field.id}

    @mutation(ContactFieldUpdatePayload, "Rename a field, or offer other choices.")
    async def contact_field_update(self, info: Info, input: ContactFieldUpdateInput) -> Answer:
        id = decode("ContactField", input.field_id)
        by = info.context.by
        await ContactFieldRecord.change(id, by=by, name=input.name, choices=input.choices)
        return {"field": id}

    @mutation(ContactFieldDeletePayload, "Forget a field, with all its values.")
    async def contact_field_delete(self, info: Info, input: ContactFieldDeleteInput) -> Answer:
        id = decode("ContactField", input.field_id)
        await ContactFieldRecord.remove(id, by=info.context.by)
        return {"field": id}
