"""Opening conversations by hand, and changing what line they are of."""

import strawberry

from models.base import Line
from models.line_change import set_line
from models.opening import open_by_hand
from resolvers.commands import Answer, mutation
from resolvers.context import Info
from resolvers.conversations import ConversationPayload
from resolvers.ids import decode, decode_maybe
from resolvers.inputs import CommandInput, ConversationInput


@strawberry.input(description="Write to a contact first.")
class ConversationOpenInput(CommandInput):
    contact_id: strawberry.ID = strawberry.field(description="To whom; a contact that you see.")
    channel_id: strawberry.ID = strawberry.field(description="On which account.")
    line: Line | None = strawberry.field(
        default=None, description="On this line; else the channel's default line."
    )
    external_id: str | None = strawberry.field(
        default=None, description="What the channel calls the contact, where it does not know it."
    )
    on_behalf_of: strawberry.ID | None = strawberry.field(
        default=None, description="For integrations: the agent who opens and holds it."
    )


@strawberry.input(description="Change the line of a conversation.")
class ConversationSetLineInput(ConversationInput):
    line: Line = strawberry.field(description="The line it is to be of.")


@strawberry.type(description="What opening came to.")
class ConversationOpenPayload(ConversationPayload):
    pass


@strawberry.type(description="What changing the line came to.")
class ConversationSetLinePayload(ConversationPayload):
    pass


@strawberry.type
class OpeningMutation:
    @mutation(ConversationOpenPayload, "Open a conversation with a contact, and hold it.")
    async def conversation_open(self, info: Info, input: ConversationOpenInput) -> Answer:
        conversation_id = await open_by_hand(
            by=info.context.by,
            contact_id=decode("Contact", input.contact_id),
            channel_id=decode("Channel", input.channel_id),
            line=input.line,
            external_id=input.external_id,
            on_behalf_of=decode_maybe("Agent", input.on_behalf_of),
        )
        return {"conversation": conversation_id}

    @mutation(ConversationSetLinePayload, "Make a conversation one of sales, or of support.")
    async def conversation_set_line(self, info: Info, input: ConversationSetLineInput) -> Answer:
        conversation_id = decode("Conversation", input.conversation_id)
        await set_line(
            conversation_id,
            input.line,
            by=info.context.by,
            expected_version=input.expected_version,
        )
        return {"conversation": conversation_id}
