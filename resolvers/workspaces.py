"""The workspace's own settings."""

import strawberry

from models.access import Role
from models.base import IdlePeriod
from models.workspace import Workspace as WorkspaceRecord
from resolvers.commands import Answer, Payload, mutation
from resolvers.context import Info
from resolvers.hours import BusinessHoursInput, stored_hours
from resolvers.idle_policies import CONFIRMED_BY
from resolvers.inputs import CommandInput, given
from resolvers.settings import workspace_of
from resolvers.types import Workspace


@strawberry.input(description="Changes of the workspace's settings; what is left out stays.")
class WorkspaceUpdateInput(CommandInput):
    name: str | None = strawberry.field(default=None, description="A new name.")
    idle_period: IdlePeriod | None = strawberry.field(
        default=None, description="When quiet conversations close."
    )
    preview_token: str | None = strawberry.field(default=None, description=CONFIRMED_BY)
    idle_reminder_before_minutes: strawberry.Maybe[int | None] = strawberry.field(
        default=None,
        description="How long before they close they are reminded, 1 to 41,760; null for never.",
    )
    closing_reason_required: bool | None = strawberry.field(
        default=None, description="Whether people must close with a reason."
    )
    summary_required: bool | None = strawberry.field(
        default=None, description="Whether they must close with a summary."
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
    time_zone: str | None = strawberry.field(
        default=None, description="By its name, such as `America/Sao_Paulo`: where days begin."
    )
    business_hours: strawberry.Maybe[BusinessHoursInput | None] = strawberry.field(
        default=None, description="When conversations are given out; null for always open."
    )


@strawberry.type(description="What changing the workspace came to.")
class WorkspaceUpdatePayload(Payload):
    @strawberry.field(description="The workspace; null when refused.")
    async def workspace(self, info: Info) -> Workspace | None:
        return await workspace_of(info) if "workspace" in self.answer else None


@strawberry.type
class WorkspaceMutation:
    @mutation(WorkspaceUpdatePayload, "Change the workspace's settings.")
    async def workspace_update(self, info: Info, input: WorkspaceUpdateInput) -> Answer:
        changes = given(
            name=input.name,
            idle_period_days=input.idle_period,
            preview_token=input.preview_token,
            idle_reminder_before_minutes=input.idle_reminder_before_minutes,
            closing_reason_required=input.closing_reason_required,
            summary_required=input.summary_required,
            transfers_to_unavailable=input.transfers_to_unavailable,
            owned_skips_bot=input.owned_skips_bot,
            owner_wait_minutes=input.owner_wait_minutes,
            sticky_falls_through=input.sticky_falls_through,
            reassignment_window_hours=input.reassignment_window_hours,
            owner_setters=input.owner_setters,
            time_zone=input.time_zone,
            business_hours=stored_hours(input.business_hours),
        )
        await WorkspaceRecord.change(by=info.context.by, **changes)
        return {"workspace": info.context.by.workspace_id}
