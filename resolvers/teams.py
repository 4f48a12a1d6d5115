"""Teams: sales groups and support departments."""

import strawberry

from models.base import IdlePeriod, Line
from models.decision import Distribution
from models.team import Team as TeamRecord
from resolvers.commands import Answer, Payload, mutation
from resolvers.context import Info
from resolvers.hours import BusinessHoursInput, stored_hours
from resolvers.ids import decode, decode_maybe
from resolvers.inputs import CommandInput, given
from resolvers.types import Team, team_of


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
    business_hours: strawberry.Maybe[BusinessHoursInput | None] = strawberry.field(
        default=None, description="When conversations are given out; null for the workspace's."
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
            business_hours=stored_hours(input.business_hours),
        )
        await TeamRecord.change(team_id, by=info.context.by, **changes)
        return {"team": team_id}
