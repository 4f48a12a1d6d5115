"""Channels: connecting accounts, and saying where their conversations go."""

import strawberry

from models.base import Line
from models.channel import Channel as ChannelRecord
from models.channel import ChannelKind, ChannelStatus, Target
from resolvers.bot import ChannelSetBotPayload
from resolvers.commands import Answer, mutation
from resolvers.context import Info
from resolvers.ids import decode, decode_maybe
from resolvers.inputs import CommandInput, given


@strawberry.input(description="A newly connected account.")
class ChannelCreateInput(CommandInput):
    name: str = strawberry.field(description="Name.")
    kind: ChannelKind = strawberry.field(description="What it is an account of.")
    status: ChannelStatus = strawberry.field(
        default=ChannelStatus.CONNECTED, description="Whether it is connected."
    )
    default_line: Line = strawberry.field(
        default=Line.SALES, description="The line of conversations when nobody says."
    )


@strawberry.input(description="Changes of a channel; its kind is fixed, its targets stay.")
class ChannelUpdateInput(CommandInput):
    channel_id: strawberry.ID = strawberry.field(description="Which channel.")
    name: str | None = strawberry.field(default=None, description="A new name.")
    status: ChannelStatus | None = strawberry.field(
        default=None, description="Whether it is connected."
    )
    default_line: Line | None = strawberry.field(
        default=None, description="The line of conversations when nobody says, from now on."
    )


@strawberry.input(description="Where a channel's conversations of a line go; neither is Todos.")
class ChannelAssignInput(CommandInput):
    channel_id: strawberry.ID = strawberry.field(description="Which channel.")
    line: Line = strawberry.field(description="Which line.")
    team_id: strawberry.ID | None = strawberry.field(default=None, description="To this team.")
    agent_id: strawberry.ID | None = strawberry.field(default=None, description="To this agent.")
    replace: bool = strawberry.field(
        default=False, description="Take the group from the channel that it holds."
    )


@strawberry.type(description="What creating a channel came to.")
class ChannelCreatePayload(ChannelSetBotPayload):
    pass


@strawberry.type(description="What changing a channel came to.")
class ChannelUpdatePayload(ChannelSetBotPayload):
    pass


@strawberry.type(description="What giving a channel's line a target came to.")
class ChannelAssignPayload(ChannelSetBotPayload):
    pass


@strawberry.type
class ChannelMutation:
    @mutation(ChannelCreatePayload, "Add a connected account.")
    async def channel_create(self, info: Info, input: ChannelCreateInput) -> Answer:
        channel = await ChannelRecord.add(
            by=info.context.by,
            kind=input.kind,
            name=input.name,
            default_line=input.default_line,
            status=input.status,
        )
        return {"channel": channel.id}

    @mutation(ChannelUpdatePayload, "Change a channel; disconnecting keeps its targets.")
    async def channel_update(self, info: Info, input: ChannelUpdateInput) -> Answer:
        channel_id = decode("Channel", input.channel_id)
        changes = given(name=input.name, status=input.status, default_line=input.default_line)
        await ChannelRecord.change(channel_id, by=info.context.by, **changes)
        return {"channel": channel_id}

    @mutation(ChannelAssignPayload, "Send a channel's conversations of a line to a target.")
    async def channel_assign(self, info: Info, input: ChannelAssignInput) -> Answer:
        by = info.context.by
        channel = await ChannelRecord.find(decode("Channel", input.channel_id), by=by)
        target = Target(
            team_id=decode_maybe("Team", input.team_id),
            agent_id=decode_maybe("Agent", input.agent_id),
        )
        await channel.assign(input.line, target, by=by, replace=input.replace)
        return {"channel": channel.id}
