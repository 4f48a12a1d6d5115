"""Putting conversations off, and bringing them back."""

from datetime import datetime

import strawberry

from models import snooze
from resolvers.commands import Answer, mutation
from resolvers.context import Info
from resolvers.conversations import ConversationPayload, find
from resolvers.inputs import ConversationInput


@strawberry.input(description="Put a conversation off.")
class ConversationSnoozeInput(ConversationInput):
    until: datetime | None = strawberry.field(
        default=None,
        description="Until when, at most 365 days ahead; else until the customer writes.",
    )


@strawberry.input(description="Bring a snoozed conversation back.")
class ConversationWakeInput(ConversationInput):
    pass


@strawberry.type(description="What putting off came to.")
class ConversationSnoozePayload(ConversationPayload):
    pass


@strawberry.type(description="What bringing back came to.")
class ConversationWakePayload(ConversationPayload):
    pass


@strawberry.type
class SnoozeMutation:
    @mutation(ConversationSnoozePayload, "Put a conversation off: it keeps its agent and frees it.")
    async def conversation_snooze(self, info: Info, input: ConversationSnoozeInput) -> Answer:
        conversation = await find(info, input)
        await snooze.begin(conversation, by=info.context.by, until=input.until)
        return {"conversation": conversation.id}

    @mutation(ConversationWakePayload, "Bring a snoozed conversation back to its agent.")
    async def conversation_wake(self, info: Info, input: ConversationWakeInput) -> Answer:
        conversation = await find(info, input)
        await snooze.wake(conversation, by=info.context.by)
        return {"conversation": conversation.id}
