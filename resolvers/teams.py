"""Teams: sales groups and support departments."""

import strawberry

from models import team_removal
from models.base import IdlePeriod, Line
from models.decision import Distribution
from models.team import Team as TeamRecord
from resolvers.commands import Answer, Payload, mutation
from resolvers.context import Info
from resolvers.hours import BusinessHoursInput, stored_hours
from resolvers.idle_policies import CONFIRMED_BY
from resolvers.ids import decode, decode_maybe
from resolvers.inputs import CommandInput, given
from resolvers.types import Team, team_of

PRIORITY = "0 to 10; departments only."
DISTRIBUTION = "Who gives out its conversations."
ONLINE_ONLY = "Whether only those at work get automatic ones."
MAX_OPEN = "Load from which a member gets no automatic ones; null for none."
DESCENDANTS = "Whether the members of the groups below get its conversations too; groups only."
ANSWER_TIMEOUT = "Minutes after which an unanswered conversation is taken back; null for never."
AGEING = "Minutes of waiting that count as one step of priority; null for none."
IDLE_PERIOD = "When quiet conversations close; null for the workspace's."
TRANSFERS_TO = "The only departments that it hands over to; empty for all."


@strawberry.input(description="A new group or department.")
class TeamCreateInput(CommandInput):
    name: str = strawberry.field(description="Name.")
    line: Line = strawberry.field(description="SALES for a group, SUPPORT for a department.")
    parent_id: strawberry.ID | None = strawberry.field(
        default=None, description="The group above; groups only."
    )
    priority: int = strawberry.field(default=0, description=PRIORITY)
    distribution: Distribution = strawberry.field(
        default=Distribution.MANUAL, description=DISTRIBUTION
    )
    online_only: bool = strawberry.field(default=True, description=ONLINE_ONLY)
    max_open: int | None = strawberry.field(default=None, description=MAX_OPEN)
    include_descendants: bool = strawberry.field(default=False, description=DESCENDANTS)
    answer_timeout_minutes: int | None = strawberry.field(default=None, description=ANSWER_TIMEOUT)
    ageing_minutes: int | None = strawberry.field(default=None, description=AGEING)
    idle_period: IdlePeriod | None = strawberry.field(default=None, description=IDLE_PERIOD)
    transfers_to: list[strawberry.ID] = strawberry.field(
        default_factory=list, description=TRANSFERS_TO
    )


@strawberry.input(description="Changes of a team; what is left out stays.")
class TeamUpdateInput(CommandInput):
    team_id: strawberry.ID = strawberry.field(description="Which team.")
    name: str | None = strawberry.field(default=None, description="A new name; not of a Todos.")
    parent_id: strawberry.Maybe[strawberry.ID | None] = strawberry.field(
        default=None, description="The group above, with all below it moving too; null for none."
    )
    priority: int | None = strawberry.field(default=None, description=PRIORITY)
    distribution: Distribution | None = strawberry.field(default=None, description=DISTRIBUTION)
    online_only: bool | None = strawberry.field(default=None, description=ONLINE_ONLY)
    max_open: strawberry.Maybe[int | None] = strawberry.field(default=None, description=MAX_OPEN)
    include_descendants: bool | None = strawberry.field(default=None, description=DESCENDANTS)
    answer_timeout_minutes: strawberry.Maybe[int | None] = strawberry.field(
        default=None, description=ANSWER_TIMEOUT
    )
    ageing_minutes: strawberry.Maybe[int | None] = strawberry.field(
        default=None, description=AGEING
    )
    idle_period: strawberry.Maybe[IdlePeriod | None] = strawberry.field(
        default=None, description=IDLE_PERIOD
    )
    preview_token: str | None = strawberry.field(default=None, description=CONFIRMED_BY)
    reassignment_window_hours: strawberry.Maybe[int | None] = strawberry.field(
        default=None, description="1 to 2,160 hours, 0 for ever; null for the workspace's."
    )
    unassign_on_close: bool | None = strawberry.field(
        default=None, description="Whether a closing lets its agent go."
    )
    business_hours: strawberry.Maybe[BusinessHoursInput | None] = strawberry.field(
        default=None, description="When conversations are given out; null for the workspace's."
    )
    transfers_to: list[strawberry.ID] | None = strawberry.field(
        default=None, description=TRANSFERS_TO
    )


@strawberry.input(description="Let a team go for good.")
class TeamDeleteInput(CommandInput):
    team_id: strawberry.ID = strawberry.field(description="Which team; not a Todos.")
    replacement_id: strawberry.ID | None = strawberry.field(
        default=None,
        description="The team of its line that takes over its channels, contacts and queue.",
    )


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


@strawberry.type(description="What deleting a team came to.")
class TeamDeletePayload(TeamPayload):
    pass


@strawberry.type
class TeamMutation:
    @mutation(TeamCreatePayload, "Create a group or a department.")
    async def team_create(self, info: Info, input: TeamCreateInput) -> Answer:
        parent_id = decode_maybe("Team", input.parent_id)
        parent = (
            await TeamRecord.find(parent_id, by=info.context.by, path="input.parentId")
            if parent_id
            else None
        )
        team = await TeamRecord.add(
            by=info.context.by,
            line=input.line,
            name=input.name,
            parent=parent,
            priority=input.priority,
            distribution=input.distribution,
            online_only=input.online_only,
            max_open=input.max_open,
            include_descendants=input.include_descendants,
            answer_timeout_minutes=input.answer_timeout_minutes,
            ageing_minutes=input.ageing_minutes,
            idle_period_days=input.idle_period,
            transfers_to=[decode("Team", id) for id in input.transfers_to],
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
            preview_token=input.preview_token,
            reassignment_window_hours=input.reassignment_window_hours,
            unassign_on_close=input.unassign_on_close,
            business_hours=stored_hours(input.business_hours),
            include_descendants=input.include_descendants,
            answer_timeout_minutes=input.answer_timeout_minutes,
            ageing_minutes=input.ageing_minutes,
        )
        if input.parent_id is not None:
            changes["parent_id"] = decode_maybe("Team", input.parent_id.value)
        if input.transfers_to is not None:
            changes["transfers_to"] = [decode("Team", id) for id in input.transfers_to]
        await TeamRecord.change(team_id, by=info.context.by, **changes)
        return {"team": team_id}

    @mutation(TeamDeletePayload, "Delete a team; what waits goes on, what is held stays held.")
    async def team_delete(self, info: Info, input: TeamDeleteInput) -> Answer:
        team_id = decode("Team", input.team_id)
        replacement_id = decode_maybe("Team", input.replacement_id)
        await team_removal.delete(team_id, by=info.context.by, replacement_id=replacement_id)
        return {"team": team_id}
