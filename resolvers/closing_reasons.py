"""The reasons that a workspace offers for closing."""

import strawberry

from models.closure import ClosingReason as ClosingReasonRecord
from resolvers.commands import Answer, Payload, mutation
from resolvers.context import Info
from resolvers.inputs import CommandInput
from resolvers.types import ClosingReason


@strawberry.input(description="A new reason for closing.")
class ClosingReasonCreateInput(CommandInput):
    name: str = strawberry.field(description="Name.")


@strawberry.type(description="What creating a closing reason came to.")
class ClosingReasonCreatePayload(Payload):
    @strawberry.field(description="The reason; null when refused.")
    async def closing_reason(self, info: Info) -> ClosingReason | None:
        id = self.id_of("closing_reason")
        found = await info.context.loaders.closing_reasons.load(id) if id else None
        return ClosingReason.of(found)


@strawberry.type
class ClosingReasonMutation:
    @mutation(ClosingReasonCreatePayload, "Offer a reason for closing.")
    async def closing_reason_create(self, info: Info, input: ClosingReasonCreateInput) -> Answer:
        reason = await ClosingReasonRecord.add(by=info.context.by, name=input.name)
        return {"closing_reason": reason.id}
