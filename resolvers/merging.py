"""Merging contacts that are one person, and splitting them again."""

import strawberry

from models import merge as merges
from resolvers.commands import Answer, Payload, mutation
from resolvers.contact import Contact, contact_of
from resolvers.context import Info
from resolvers.ids import decode
from resolvers.inputs import CommandInput


@strawberry.input(description="Two contacts that are one person.")
class ContactMergeInput(CommandInput):
    survivor_id: strawberry.ID = strawberry.field(
        description="Which one lives on; its owner and details win."
    )
    merged_id: strawberry.ID = strawberry.field(
        description="Which one gives it all that it has: conversations, identities, tags."
    )


@strawberry.input(description="Undo a merge.")
class ContactSplitInput(CommandInput):
    contact_id: strawberry.ID = strawberry.field(description="The contact that was merged.")


@strawberry.type(description="What merging came to.")
class ContactMergePayload(Payload):
    @strawberry.field(description="The contact that lives on; null when refused.")
    async def contact(self, info: Info) -> Contact | None:
        id = self.id_of("contact")
        return await contact_of(info, id) if id else None


@strawberry.type(description="What splitting came to.")
class ContactSplitPayload(ContactMergePayload):
    @strawberry.field(description="The contact that it had been merged into.")
    async def survivor(self, info: Info) -> Contact | None:
        id = self.id_of("survivor")
        return await contact_of(info, id) if id else None


@strawberry.type
class MergeMutation:
    @mutation(ContactMergePayload, "Make one contact of two; it can be split again.")
    async def contact_merge(self, info: Info, input: ContactMergeInput) -> Answer:
        survivor_id = decode("Contact", input.survivor_id)
        merged_id = decode("Contact", input.merged_id)
        await merges.merge(survivor_id=survivor_id, merged_id=merged_id, by=info.context.by)
        return {"contact": survivor_id}

    @mutation(ContactSplitPayload, "Undo a merge: what it moved goes back.")
    async def contact_split(self, info: Info, input: ContactSplitInput) -> Answer:
        contact_id = decode("Contact", input.contact_id)
        survivor_id = await merges.split(contact_id, by=info.context.by)
        return {"contact": contact_id, "survivor": survivor_id}
