"""Explicit owners of contacts."""

import strawberry

from models import owner
from resolvers.commands import Answer, Payload, mutation
from resolvers.contact import Contact, contact_of
from resolvers.context import Info
from resolvers.ids import decode, decode_maybe
from resolvers.inputs import CommandInput


@strawberry.input(description="Whom a contact belongs to; neither is nobody.")
class ContactSetOwnerInput(CommandInput):
    contact_id: strawberry.ID = strawberry.field(description="Which contact.")
    agent_id: strawberry.ID | None = strawberry.field(default=None, description="To this agent.")
    team_id: strawberry.ID | None = strawberry.field(default=None, description="To this team.")


@strawberry.type(description="What setting the owner came to.")
class ContactSetOwnerPayload(Payload):
    @strawberry.field(description="The contact; null when refused or not visible to you.")
    async def contact(self, info: Info) -> Contact | None:
        id = self.id_of("contact")
        return await contact_of(info, id) if id else None


@strawberry.type
class OwnerMutation:
    @mutation(ContactSetOwnerPayload, "Give a contact to an agent, to a team, or to nobody.")
    async def contact_set_owner(self, info: Info, input: ContactSetOwnerInput) -> Answer:
        contact_id = decode("Contact", input.contact_id)
        await owner.set_owner(
            contact_id,
            by=info.context.by,
            agent_id=decode_maybe("Agent", input.agent_id),
            team_id=decode_maybe("Team", input.team_id),
        )
        return {"contact": contact_id}
