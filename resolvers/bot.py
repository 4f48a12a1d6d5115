"""The bot: handing conversations off, taking them over, letting it go on."""

import strawberry

from models import bot, routing
from models.base import Line
from models.channel import Channel as ChannelRecord
from resolvers.commands import Answer, Payload, mutation
from resolvers.context import Info
from resolvers.conversations import ConversationPayload, find
from resolvers.ids import decode, decode_maybe
from resolvers.inputs import CommandInput, ConversationInput
from resolvers.types import Channel


@strawberry.input(description="Give a conversation from the bot to people.")
class ConversationHandOffInput(ConversationInput):
    team_id: strawberry.ID | None = strawberry.field(
        default=None, description="To this team; it wins over owner and target."
    )
    line: Line | None = strawberry.field(
        default=None, description="On this line; else the line it has."
    )


@strawberry.input(description="Take a conversation over from the bot.")
class ConversationPauseBotInput(ConversationInput):
    pass


@strawberry.input(description="Give a conversation up to the bot.")
class ConversationResumeBotInput(ConversationInput):
    pass


@strawberry.input(description="Whether the bot answers first on a channel.")
class ChannelSetBotInput(CommandInput):
    channel_id: strawberry.ID = strawberry.field(description="Which channel.")
    is_on: bool = strawberry.field(description="Whether it answers first, from now on.")


@strawberry.type(description="What handing off came to.")
class ConversationHandOffPayload(ConversationPayload):
    pass


@strawberry.type(description="What taking over came to.")
class ConversationPauseBotPayload(ConversationPayload):
    pass


@strawberry.type(description="What giving up to the bot came to.")
class ConversationResumeBotPayload(ConversationPayload):
    pass


@strawberry.type(description="What switching the bot came to.")
class ChannelSetBotPayload(Payload):
    @strawberry.field(description="The channel; null when refused.")
    async def channel(self, info: Info) -> Channel | None:
        id = self.id_of("channel")
        return Channel.of(await info.context.loaders.channels.load(id)) if id else None


@strawberry.type
class BotMutation:
    @mutation(ConversationHandOffPayload, "Give a conversation from the bot to people.")
    async def conversation_hand_off(self, info: Info, input: ConversationHandOffInput) -> Answer:
        conversation_id = decode("Conversation", input.conversation_id)
        await routing.hand_off(
            conversation_id,
            by=info.context.by,
            team_id=decode_maybe("Team", input.team_id),
            line=input.line,
            expected_version=input.expected_version,
        )
        return {"conversation": conversation_id}

    @mutation(ConversationPauseBotPayload, "Take a conversation over from the bot.")
    async def conversation_pause_bot(self, info: Info, input: ConversationPauseBotInput) -> Answer:
        conversation = await find(info, input)
        await bot.pause(conversation, by=info.context.by)
        return {"conversation": conversation.id}

    @mutation(ConversationResumeBotPayload, "Give a conversation up, and let the bot go on.")
    async def conversation_resume_bot(
        self, info: Info, input: ConversationResumeBotInput
    ) -> Answer:
        conversation = await find(info, input)
        await bot.resume(conversation, by=info.context.by)
        return {"conversation": conversation.id}

    @mutation(ChannelSetBotPayload, "Let the bot answer first on a channel, or not.")
    async def channel_set_bot(self, info: Info, input: ChannelSetBotInput) -> Answer:
        channel_id = decode("Channel", input.channel_id)
        await ChannelRecord.set_bot(channel_id, by=info.context.by, is_on=input.is_on)
        return {"channel": channel_id}
