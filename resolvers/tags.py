"""Tags of contacts and conversations."""

from typing import Any

import strawberry

from models import tag as tags
from models.access import Actor
from models.tag import TAG_LENGTH_MAX, TAGS_MAX
from resolvers.commands import Answer, Payload, mutation
from resolvers.contact import Contact, contact_of
from resolvers.context import Info
from resolvers.conversations import ConversationPayload, find
from resolvers.ids import decode
from resolvers.inputs import CommandInput, ConversationInput
from resolvers.pagination import Connection, Edge
from resolvers.settings import listing
from resolvers.types import Tag

_NAMES = f"Names, 1 to {TAGS_MAX} of up to {TAG_LENGTH_MAX} characters; new ones are made."
_KNOWN = f"Names, 1 to {TAGS_MAX}; unknown ones do not matter."


@strawberry.type(description="A tag of a page.")
class TagEdge(Edge[Tag]):
    pass


@strawberry.type(description="A page of tags.")
class TagConnection(Connection[Tag]):
    pass


async def _tags(by: Actor) -> Any:
    return tags.Tag.visible_to(by)


@strawberry.type
class TagQuery:
    tags = listing(
        "The words that contacts and conversations are marked with, the oldest first.",
        noun=Tag,
        loader="tags",
        connection=TagConnection,
        edge=TagEdge,
        visible=_tags,
    )


@strawberry.input(description="Mark a conversation.")
class ConversationTagInput(ConversationInput):
    tags: list[str] = strawberry.field(description=_NAMES)


@strawberry.input(description="Take tags from a conversation.")
class ConversationUntagInput(ConversationInput):
    tags: list[str] = strawberry.field(description=_KNOWN)


@strawberry.input(description="Mark a contact.")
class ContactTagInput(CommandInput):
    contact_id: strawberry.ID = strawberry.field(description="Which contact.")
    tags: list[str] = strawberry.field(description=_NAMES)


@strawberry.input(description="Take tags from a contact.")
class ContactUntagInput(CommandInput):
    contact_id: strawberry.ID = strawberry.field(description="Which contact.")
    tags: list[str] = strawberry.field(description=_KNOWN)


@strawberry.type(description="What tagging came to.")
class ConversationTagPayload(ConversationPayload):
    pass


@strawberry.type(description="What taking tags away came to.")
class ConversationUntagPayload(ConversationPayload):
    pass


@strawberry.type(description="What tagging came to.")
class ContactTagPayload(Payload):
    @strawberry.field(description="The contact; null when refused or not visible to you.")
    async def contact(self, info: Info) -> Contact | None:
        id = self.id_of("contact")
        return await contact_of(info, id) if id else None


@strawberry.type(description="What taking tags away came to.")
class ContactUntagPayload(ContactTagPayload):
    pass


@strawberry.type
class TagMutation:
    @mutation(ConversationTagPayload, "Mark a conversation; what it has already stays.")
    async def conversation_tag(self, info: Info, input: ConversationTagInput) -> Answer:
        conversation = await find(info, input)
        await tags.tag_conversation(conversation, input.tags, by=info.context.by)
        return {"conversation": conversation.id}

    @mutation(ConversationUntagPayload, "Take tags from a conversation.")
    async def conversation_untag(self, info: Info, input: ConversationUntagInput) -> Answer:
        conversation = await find(info, input)
        await tags.untag_conversation(conversation, input.tags, by=info.context.by)
        return {"conversation": conversation.id}

    @mutation(ContactTagPayload, "Mark a contact; what it has already stays.")
    async def contact_tag(self, info: Info, input: ContactTagInput) -> Answer:
        contact_id = decode("Contact", input.contact_id)
        await tags.tag_contact(contact_id, input.tags, by=info.context.by)
        return {"contact": contact_id}

    @mutation(ContactUntagPayload, "Take tags from a contact.")
    async def contact_untag(self, info: Info, input: ContactUntagInput) -> Answer:
        contact_id = decode("Contact", input.contact_id)
        await tags.untag_contact(contact_id, input.tags, by=info.context.by)
        return {"contact": contact_id}
