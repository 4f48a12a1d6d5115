"""Contacts: finding them, creating them, and changing what is known of them."""

from typing import Annotated
from uuid import UUID

import strawberry

from models.contact import Contact as ContactRecord
from models.contact_search import Filter
from models.identity import Identity
from resolvers.commands import Answer, Payload, mutation
from resolvers.contact import Contact, ContactConnection, contact_of, contacts_found
from resolvers.context import Info
from resolvers.ids import decode
from resolvers.inputs import CommandInput, given
from resolvers.pagination import After, Before, First, Last, Page
from resolvers.segment import SegmentFilterInput, filter_of


@strawberry.input(description="Which contacts; what is left out does not matter.")
class ContactFilter(SegmentFilterInput):
    segment_id: strawberry.ID | None = strawberry.field(
        default=None, description="Also meets what this segment says."
    )

    async def all_wanted(self, info: Info) -> tuple[Filter | None, ...]:
        """What is asked for here, and what the segment says if one is named."""
        own = self.wanted()
        return (own,) if self.segment_id is None else (own, await filter_of(info, self.segment_id))


@strawberry.type
class ContactQuery:
    @strawberry.field(description="The customers you see, by when they came.")
    async def contacts(
        self,
        info: Info,
        filter: Annotated[
            ContactFilter | None, strawberry.argument(description="Which ones.")
        ] = None,
        first: First = None,
        after: After = None,
        last: Last = None,
        before: Before = None,
    ) -> ContactConnection:
        _ = info.context.by
        wanted = await filter.all_wanted(info) if filter else ()
        return await contacts_found(info, wanted, Page(first, after, last, before))

    @strawberry.field(description="One customer; null when missing or not visible to you.")
    async def contact(
        self, info: Info, id: Annotated[strawberry.ID, strawberry.argument(description="Its id.")]
    ) -> Contact | None:
        return await contact_of(info, decode("Contact", id))


@strawberry.input(description="How a channel knows a contact.")
class ContactIdentityInput:
    channel_id: strawberry.ID = strawberry.field(description="Which channel.")
    external_id: str = strawberry.field(description="What the channel calls the contact.")


@strawberry.input(description="What is known of a contact.")
class ContactFieldValueInput:
    field_id: strawberry.ID = strawberry.field(description="Which field.")
    value: str | None = strawberry.field(
        default=None, description="A value of the field's kind; null for none."
    )


@strawberry.input(description="A contact who has not written yet.")
class ContactCreateInput(CommandInput):
    name: str = strawberry.field(description="Name.")
    phone: str | None = strawberry.field(default=None, description="Telephone number.")
    email: str | None = strawberry.field(default=None, description="E-mail address.")
    identities: list[ContactIdentityInput] | None = strawberry.field(
        default=None, description="How channels know the contact, 50 at most."
    )
    fields: list[ContactFieldValueInput] | None = strawberry.field(
        default=None, description="What is known of the contact."
    )


@strawberry.input(description="Changes of a contact; what is left out stays.")
class ContactUpdateInput(CommandInput):
    contact_id: strawberry.ID = strawberry.field(description="Which contact.")
    name: str | None = strawberry.field(default=None, description="A new name.")
    phone: strawberry.Maybe[str | None] = strawberry.field(
        default=None, description="Telephone number; null for none."
    )
    email: strawberry.Maybe[str | None] = strawberry.field(
        default=None, description="E-mail address; null for none."
    )
    fields: list[ContactFieldValueInput] | None = strawberry.field(
        default=None, description="Values to set or, with null, to clear; the others stay."
    )
    add_identities: list[ContactIdentityInput] | None = strawberry.field(
        default=None, description="How channels know the contact too; nobody else may have them."
    )
    remove_identities: list[ContactIdentityInput] | None = strawberry.field(
        default=None, description="How channels no longer know the contact."
    )


@strawberry.type(description="The contact after a command.")
class ContactPayload(Payload):
    @strawberry.field(description="The contact; null when refused or not visible to you.")
    async def contact(self, info: Info) -> Contact | None:
        return await contact_of(info, self.id_of("contact"))


@strawberry.type(description="What creating a contact came to.")
class ContactCreatePayload(ContactPayload):
    pass


@strawberry.type(description="What changing a contact came to.")
class ContactUpdatePayload(ContactPayload):
    pass


@strawberry.type
class ContactMutation:
    @mutation(ContactCreatePayload, "Create a contact who has not written yet.")
    async def contact_create(self, info: Info, input: ContactCreateInput) -> Answer:
        contact = await ContactRecord.add(
            by=info.context.by,
            name=input.name,
            phone=input.phone,
            email=input.email,
            identities=_identities(input.identities),
            values=_values(input.fields),
        )
        return {"contact": contact.id}

    @mutation(ContactUpdatePayload, "Change what is known of a contact.")
    async def contact_update(self, info: Info, input: ContactUpdateInput) -> Answer:
        id = decode("Contact", input.contact_id)
        await ContactRecord.change(
            id,
            by=info.context.by,
            added=_identities(input.add_identities),
            removed=_identities(input.remove_identities),
            values=_values(input.fields),
            **given(name=input.name, phone=input.phone, email=input.email),
        )
        return {"contact": id}


def _identities(inputs: list[ContactIdentityInput] | None) -> list[Identity]:
    return [Identity(decode("Channel", each.channel_id), each.external_id) for each in inputs or ()]


def _values(inputs: list[ContactFieldValueInput] | None) -> list[tuple[UUID, str | None]]:
    return [(decode("ContactField", each.field_id), each.value) for each in inputs or ()]
