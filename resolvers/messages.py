"""Messages: taking them in from carriers, answering, and noting."""

import strawberry

from models import inbound
from models.base import Line
from models.delivery import set_delivery
from models.identity import Sender
from resolvers.commands import Answer, Payload, mutation
from resolvers.context import Info
from resolvers.conversation import Conversation, conversation_of
from resolvers.conversations import find
from resolvers.ids import decode, decode_maybe
from resolvers.inputs import CommandInput, ConversationInput
from resolvers.types import Message
from resolvers.vocabulary import Delivery


@strawberry.input(description="Who wrote, as the channel tells it.")
class SenderInput:
    external_id: str = strawberry.field(description="The channel's id of the customer.")
    name: str | None = strawberry.field(default=None, description="For a new contact.")
    phone: str | None = strawberry.field(default=None, description="For a new contact.")
    email: str | None = strawberry.field(default=None, description="For a new contact.")


@strawberry.input(description="One delivery of a customer's message.")
class MessageReceiveInput(CommandInput):
    channel_id: strawberry.ID = strawberry.field(description="The account it came in on.")
    external_id: str = strawberry.field(
        description="The carrier's id: delivered again, it has no second effect."
    )
    contact: SenderInput = strawberry.field(description="Who wrote it.")
    text: str = strawberry.field(description="What it says, at most 64 KiB of UTF-8.")
    line: Line | None = strawberry.field(
        default=None, description="For a new conversation; else the channel's default line."
    )


@strawberry.input(description="An answer to the customer.")
class MessageSendInput(ConversationInput):
    text: str = strawberry.field(description="What it says, at most 64 KiB of UTF-8.")
    on_behalf_of: strawberry.ID | None = strawberry.field(
        default=None, description="For integrations: the agent who wrote it elsewhere."
    )


@strawberry.input(description="A private note.")
class NoteAddInput(ConversationInput):
    text: str = strawberry.field(description="What it says, at most 64 KiB of UTF-8.")


@strawberry.input(description="What a carrier tells of an answer.")
class MessageSetDeliveryInput(CommandInput):
    message_id: strawberry.ID = strawberry.field(description="Which answer.")
    delivery: Delivery = strawberry.field(
        description="How far it got; what is told again, or comes late, changes nothing."
    )


@strawberry.type(description="What a command on messages came to.")
class MessagePayload(Payload):
    @strawberry.field(description="The message.")
    async def message(self, info: Info) -> Message | None:
        id = self.id_of("message")
        row = await info.context.loaders.messages.load(id) if id else None
        return Message.of(row)

    @strawberry.field(description="Its conversation; null when refused or not visible to you.")
    async def conversation(self, info: Info) -> Conversation | None:
        return await conversation_of(info, self.id_of("conversation"))


@strawberry.type(description="What taking a message in came to.")
class MessageReceivePayload(MessagePayload):
    @strawberry.field(description="Whether this message had been taken in before.")
    def duplicate(self) -> bool:
        return bool(self.answer.get("duplicate"))

    @strawberry.field(description="Whether it opened a conversation.")
    def opened(self) -> bool:
        return bool(self.answer.get("opened"))


@strawberry.type(description="What answering came to.")
class MessageSendPayload(MessagePayload):
    pass


@strawberry.type(description="What noting came to.")
class NoteAddPayload(MessagePayload):
    pass


@strawberry.type(description="What telling of a delivery came to.")
class MessageSetDeliveryPayload(MessagePayload):
    pass


@strawberry.type
class MessageMutation:
    @mutation(
        MessageReceivePayload,
        "Take in what a customer wrote, and place it at once.",
        repeatable=True,
    )
    async def message_receive(self, info: Info, input: MessageReceiveInput) -> Answer:
        received = await inbound.receive(
            by=info.context.by,
            channel_id=decode("Channel", input.channel_id),
            external_id=input.external_id,
            sender=Sender(
                external_id=input.contact.external_id,
                name=input.contact.name,
                phone=input.contact.phone,
                email=input.contact.email,
            ),
            text=input.text,
            line=input.line,
        )
        return {
            "message": received.message_id,
            "conversation": received.conversation_id,
            "duplicate": received.duplicate,
            "opened": received.opened,
        }

    @mutation(MessageSendPayload, "Answer the customer.")
    async def message_send(self, info: Info, input: MessageSendInput) -> Answer:
        conversation = await find(info, input)
        message_id = await conversation.send(
            input.text,
            by=info.context.by,
            on_behalf_of=decode_maybe("Agent", input.on_behalf_of),
        )
        return {"message": message_id, "conversation": conversation.id}

    @mutation(NoteAddPayload, "Add a note that only the workspace reads.")
    async def note_add(self, info: Info, input: NoteAddInput) -> Answer:
        conversation = await find(info, input)
        message_id = await conversation.note(input.text, by=info.context.by)
        return {"message": message_id, "conversation": conversation.id}

    @mutation(MessageSetDeliveryPayload, "Take in how far an answer got.", repeatable=True)
    async def message_set_delivery(self, info: Info, input: MessageSetDeliveryInput) -> Answer:
        message_id = decode("Message", input.message_id)
        conversation_id = await set_delivery(message_id, input.delivery, by=info.context.by)
        return {"message": message_id, "conversation": conversation_id}
