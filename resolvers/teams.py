"""Setting a workspace up: its teams and members, its agents, its channels and their targets."""

import strawberry

from models.access import Role
from models.agent import CAPACITY_DEFAULT
from models.agent import Agent as AgentRecord
from models.base import IdlePeriod, Line
from models.channel import Channel as ChannelRecord
from models.channel import ChannelKind, ChannelStatus, Target
from models.closure import ClosingReason as ClosingReasonRecord
from models.decision import Distribution
from models.membership import Membership
from models.team import Team as TeamRecord
from models.workspace import Workspace as WorkspaceRecord
from resolvers.bot import ChannelSetBotPayload
from resolvers.commands import Answer, Payload, mutation
from resolvers.context import Info
from resolvers.ids import decode, decode_maybe
from resolvers.inputs import CommandInput, given
from resolvers.presence import AgentPayload
from resolvers.settings import workspace_of
from resolvers.types import ClosingReason, Team, Workspace, team_of


@strawberry.input(description="Changes of the workspace's settings; what is left out stays.")
class WorkspaceUpdateInput(CommandInput):
    name: str | None = strawberry.field(default=None, description="A new name.")
    idle_period: IdlePeriod | None = strawberry.field(
        default=None, description="When quiet conversations close."
    )
    closing_reason_required: bool | None = strawberry.field(
        default=None, description="Whether people must close with a reason."
    )
    transfers_to_unavailable: bool | None = strawberry.field(
        default=None, description="Whether conversations may be handed to whoever is away."
    )
    owned_skips_bot: bool | None = strawberry.field(
        default=None, description="Whether owned contacts go to their owner before the bot."
    )
    owner_wait_minutes: strawberry.Maybe[int | None] = strawberry.field(
        default=None, description="How long a conversation waits for its owner; null for ever."
    )
    sticky_falls_through: bool | None = strawberry.field(
        default=None, description="Whether contacts go on when their last agent is away."
    )
    reassignment_window_hours: strawberry.Maybe[int | None] = strawberry.field(
        default=None, description="1 to 2,160 hours; null for ever."
    )
    owner_setters: list[Role] | None = strawberry.field(
        default=None, description="Any of AGENT, AUDITOR and MARKETING: they may set owners too."
    )


@strawberry.input(description="A new group or department.")
class TeamCreateInput(CommandInput):
    name: str = strawberry.field(description="Name.")
    line: Line = strawberry.field(description="SALES for a group, SUPPORT for a department.")
    parent_id: strawberry.ID | None = strawberry.field(
        default=None, description="The group above; groups only."
    )
    priority: int = strawberry.field(default=0, description="0 to 10; departments only.")
    distribution: Distribution = strawberry.field(
        default=Distribution.MANUAL, description="Who gives out its conversations."
    )


@strawberry.input(description="Changes of a team; what is left out stays.")
class TeamUpdateInput(CommandInput):
    team_id: strawberry.ID = strawberry.field(description="Which team.")
    name: str | None = strawberry.field(default=None, description="A new name; not of a Todos.")
    priority: int | None = strawberry.field(default=None, description="0 to 10; departments only.")
    distribution: Distribution | None = strawberry.field(
        default=None, description="Who gives out its conversations."
    )
    online_only: bool | None = strawberry.field(
        default=None, description="Whether only those at work get automatic ones."
    )
    max_open: strawberry.Maybe[int | None] = strawberry.field(
        default=None, description="Load from which a member gets no automatic ones; null for none."
    )
    idle_period: strawberry.Maybe[IdlePeriod | None] = strawberry.field(
        default=None, description="When quiet conversations close; null for the workspace's."
    )
    reassignment_window_hours: strawberry.Maybe[int | None] = strawberry.field(
        default=None, description="1 to 2,160 hours, 0 for ever; null for the workspace's."
    )
    unassign_on_close: bool | None = strawberry.field(
        default=None, description="Whether a closing lets its agent go."
    )


@strawberry.input(description="A place in a team.")
class TeamMemberInput(CommandInput):
    team_id: strawberry.ID = strawberry.field(description="Which team.")
    agent_id: strawberry.ID = strawberry.field(description="Which agent.")


@strawberry.input(description="Put an agent at the end of a team's order.")
class TeamMemberAddInput(TeamMemberInput):
    pass


@strawberry.input(description="Take an agent out of a team.")
class TeamMemberRemoveInput(TeamMemberInput):
    pass


@strawberry.input(description="The members of a team in a new order.")
class TeamMembersReorderInput(CommandInput):
    team_id: strawberry.ID = strawberry.field(description="Which team.")
    agent_ids: list[strawberry.ID] = strawberry.field(description="All its members, in order.")


@strawberry.input(description="A new agent.")
class AgentCreateInput(CommandInput):
    name: str = strawberry.field(description="Name.")
    email: str = strawberry.field(description="Address to sign in with.")
    password: str | None = strawberry.field(default=None, description="At least 8 characters.")
    role: Role = strawberry.field(default=Role.AGENT, description="What it may do.")
    capacity: int = strawberry.field(
        default=CAPACITY_DEFAULT, description="How many it may hold before automatic ones stop."
    )


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


@strawberry.input(description="Where a channel's conversations of a line go; neither is Todos.")
class ChannelAssignInput(CommandInput):
    channel_id: strawberry.ID = strawberry.field(description="Which channel.")
    line: Line = strawberry.field(description="Which line.")
    team_id: strawberry.ID | None = strawberry.field(default=None, description="To this team.")
    agent_id: strawberry.ID | None = strawberry.field(default=None, description="To this agent.")
    replace: bool = strawberry.field(
        default=False, description="Take the group from the channel that it holds."
    )


@strawberry.input(description="A new reason for closing.")
class ClosingReasonCreateInput(CommandInput):
    name: str = strawberry.field(description="Name.")


@strawberry.type(description="What changing the workspace came to.")
class WorkspaceUpdatePayload(Payload):
    @strawberry.field(description="The workspace; null when refused.")
    async def workspace(self, info: Info) -> Workspace | None:
        return await workspace_of(info) if "workspace" in self.answer else None


@strawberry.type(description="The team after a command.")
class TeamPayload(Payload):
    @strawberry.field(description="The team; null when refused.")
    async def team(self, info: Info) -> Team | None:
        return await team_of(info, self.id_of("team"))


@strawberry.type(description="What creating a team came to.")
class TeamCreatePayload(TeamPayload):
    pass


@strawberry.type(description="What changing a team came to.")
class TeamUpdatePayload(TeamPayload):
    pass


@strawberry.type(description="What adding a member came to.")
class TeamMemberAddPayload(TeamPayload):
    pass


@strawberry.type(description="What removing a member came to.")
class TeamMemberRemovePayload(TeamPayload):
    pass


@strawberry.type(description="What reordering came to.")
class TeamMembersReorderPayload(TeamPayload):
    pass


@strawberry.type(description="What creating an agent came to.")
class AgentCreatePayload(AgentPayload):
    pass


@strawberry.type(description="What creating a channel came to.")
class ChannelCreatePayload(ChannelSetBotPayload):
    pass


@strawberry.type(description="What giving a channel's line a target came to.")
class ChannelAssignPayload(ChannelSetBotPayload):
    pass


@strawberry.type(description="What creating a closing reason came to.")
class ClosingReasonCreatePayload(Payload):
    @strawberry.field(description="The reason; null when refused.")
    async def closing_reason(self, info: Info) -> ClosingReason | None:
        id = self.id_of("closing_reason")
        found = await info.context.loaders.closing_reasons.load(id) if id else None
        return ClosingReason.of(found)


@strawberry.type
class TeamMutation:
    @mutation(WorkspaceUpdatePayload, "Change the workspace's settings.")
    async def workspace_update(self, info: Info, input: WorkspaceUpdateInput) -> Answer:
        changes = given(
            name=input.name,
            idle_period_days=input.idle_period,
            closing_reason_required=input.closing_reason_required,
            transfers_to_unavailable=input.transfers_to_unavailable,
            owned_skips_bot=input.owned_skips_bot,
            owner_wait_minutes=input.owner_wait_minutes,
            sticky_falls_through=input.sticky_falls_through,
            reassignment_window_hours=input.reassignment_window_hours,
            owner_setters=input.owner_setters,
        )
        await WorkspaceRecord.change(by=info.context.by, **changes)
        return {"workspace": info.context.by.workspace_id}

    @mutation(TeamCreatePayload, "Create a group or a department.")
    async def team_create(self, info: Info, input: TeamCreateInput) -> Answer:
        parent_id = decode_maybe("Team", input.parent_id)
        parent = await TeamRecord.find(parent_id, by=info.context.by) if parent_id else None
        team = await TeamRecord.add(
            by=info.context.by,
            line=input.line,
            name=input.name,
            parent=parent,
            priority=input.priority,
            distribution=input.distribution,
        )
        return {"team": team.id}

    @mutation(TeamUpdatePayload, "Change a team; what waits is given out at once.")
    async def team_update(self, info: Info, input: TeamUpdateInput) -> Answer:
        team_id = decode("Team", input.team_id)
        changes = given(
            name=input.name,
            priority=input.priority,
            distribution=input.distribution,
            online_only=input.online_only,
            max_open=input.max_open,
            idle_period_days=input.idle_period,
            reassignment_window_hours=input.reassignment_window_hours,
            unassign_on_close=input.unassign_on_close,
        )
        await TeamRecord.change(team_id, by=info.context.by, **changes)
        return {"team": team_id}

    @mutation(TeamMemberAddPayload, "Put an agent at the end of a team's order.")
    async def team_member_add(self, info: Info, input: TeamMemberAddInput) -> Answer:
        by = info.context.by
        team = await TeamRecord.find(decode("Team", input.team_id), by=by)
        await Membership.add(by=by, team=team, agent_id=decode("Agent", input.agent_id))
        return {"team": team.id}

    @mutation(TeamMemberRemovePayload, "Take an agent out of a team; it keeps what it holds.")
    async def team_member_remove(self, info: Info, input: TeamMemberRemoveInput) -> Answer:
        by = info.context.by
        team = await TeamRecord.find(decode("Team", input.team_id), by=by)
        await Membership.remove(by=by, team=team, agent_id=decode("Agent", input.agent_id))
        return {"team": team.id}

    @mutation(TeamMembersReorderPayload, "Put a team's members into a new order.")
    async def team_members_reorder(self, info: Info, input: TeamMembersReorderInput) -> Answer:
        by = info.context.by
        team = await TeamRecord.find(decode("Team", input.team_id), by=by)
        agent_ids = [decode("Agent", id) for id in input.agent_ids]
        await Membership.reorder(by=by, team=team, agent_ids=agent_ids)
        return {"team": team.id}

    @mutation(AgentCreatePayload, "Create an agent.")
    async def agent_create(self, info: Info, input: AgentCreateInput) -> Answer:
        agent = await AgentRecord.add(
            by=info.context.by,
            name=input.name,
            email=input.email,
            password=input.password,
            role=input.role,
            capacity=input.capacity,
        )
        return {"agent": agent.id}

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

    @mutation(ClosingReasonCreatePayload, "Offer a reason for closing.")
    async def closing_reason_create(self, info: Info, input: ClosingReasonCreateInput) -> Answer:
        reason = await ClosingReasonRecord.add(by=info.context.by, name=input.name)
        return {"closing_reason": reason.id}
