"""The reasons that a workspace offers for closing."""

import strawberry

from models.closure import ClosingReason as ClosingReasonRecord
from resolvers.commands import Answer, Payload, mutation
from resolvers.context import Info
from resolvers.ids import decode, encode
from resolvers.inputs import CommandInput, given
from resolvers.types import ClosingReason


@strawberry.input(description="A new reason for closing.")
class ClosingReasonCreateInput(CommandInput):
    name: str = strawberry.field(description="Name.")


@strawberry.input(description="Changes of a reason; what is left out stays.")
class ClosingReasonUpdateInput(CommandInput):
    closing_reason_id: strawberry.ID = strawberry.field(description="Which reason.")
    name: str | None = strawberry.field(default=None, description="A new name.")
    is_active: bool | None = strawberry.field(default=None, description="Whether it is offered.")


@strawberry.input(description="Take away a reason that was never given.")
class ClosingReasonDeleteInput(CommandInput):
    closing_reason_id: strawberry.ID = strawberry.field(description="Which reason.")


@strawberry.type(description="The reason after a command.")
class ClosingReasonPayload(Payload):
    @strawberry.field(description="The reason; null when refused.")
    async def closing_reason(self, info: Info) -> ClosingReason | None:
        id = self.id_of("closing_reason")
        found = await info.context.loaders.closing_reasons.load(id) if id else None
        return ClosingReason.of(found)


@strawberry.type(description="What creating a closing reason came to.")
class ClosingReasonCreatePayload(ClosingReasonPayload):
    pass


@strawberry.type(description="What changing a closing reason came to.")
class ClosingReasonUpdatePayload(ClosingReasonPayload):
    pass


@strawberry.type(description="What deleting a closing reason came to.")
class ClosingReasonDeletePayload(Payload):
    @strawberry.field(description="The id that was; null when refused.")
    def deleted_id(self) -> strawberry.ID | None:
        id = self.id_of("closing_reason")
        return encode("ClosingReason", id) if id else None


@strawberry.type
class ClosingReasonMutation:
    @mutation(ClosingReasonCreatePayload, "Offer a reason for closing.")
    async def closing_reason_create(self, info: Info, input: ClosingReasonCreateInput) -> Answer:
        reason = await ClosingReasonRecord.add(by=info.context.by, name=input.name)
        return {"closing_reason": reason.id}

    @mutation(ClosingReasonUpdatePayload, "Rename a reason, or offer it no more.")
    async def closing_reason_update(self, info: Info, input: ClosingReasonUpdateInput) -> Answer:
        reason_id = decode("ClosingReason", input.closing_reason_id)
        changes = given(name=input.name, is_active=input.is_active)
        await ClosingReasonRecord.change(reason_id, by=info.context.by, **changes)
        return {"closing_reason": reason_id}

    @mutation(ClosingReasonDeletePayload, "Delete a reason that was never given.")
    async def closing_reason_delete(self, info: Info, input: ClosingReasonDeleteInput) -> Answer:
        reason_id = decode("ClosingReason", input.closing_reason_id)
        await ClosingReasonRecord.remove(reason_id, by=info.context.by)
        return {"closing_reason": reason_id}
