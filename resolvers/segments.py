"""Saving filters of contacts under a name."""

from typing import Any

import strawberry

from models.access import Actor
from models.segment import Segment as SegmentRecord
from resolvers.commands import Answer, Payload, mutation
from resolvers.context import Info
from resolvers.ids import decode, encode
from resolvers.inputs import CommandInput
from resolvers.pagination import Connection, Edge
from resolvers.segment import Segment, SegmentFilterInput, segment_of
from resolvers.settings import listing


@strawberry.type(description="A segment of a page.")
class SegmentEdge(Edge[Segment]):
    pass


@strawberry.type(description="A page of segments.")
class SegmentConnection(Connection[Segment]):
    pass


async def _segments(by: Actor) -> Any:
    return SegmentRecord.visible_to(by)


@strawberry.type
class SegmentQuery:
    segments = listing(
        "The saved filters of contacts.",
        noun=Segment,
        loader="segments",
        connection=SegmentConnection,
        edge=SegmentEdge,
        visible=_segments,
    )


@strawberry.input(description="A filter of contacts to save.")
class SegmentCreateInput(CommandInput):
    name: str = strawberry.field(description="Name.")
    filter: SegmentFilterInput = strawberry.field(description="What its contacts meet.")


@strawberry.input(description="Changes of a segment; what is left out stays.")
class SegmentUpdateInput(CommandInput):
    segment_id: strawberry.ID = strawberry.field(description="Which segment.")
    name: str | None = strawberry.field(default=None, description="A new name.")
    filter: SegmentFilterInput | None = strawberry.field(
        default=None, description="What its contacts meet from now on, as a whole."
    )


@strawberry.input(description="A segment to forget.")
class SegmentDeleteInput(CommandInput):
    segment_id: strawberry.ID = strawberry.field(description="Which segment.")


@strawberry.type(description="The segment after a command.")
class SegmentPayload(Payload):
    @strawberry.field(description="The segment; null when refused.")
    async def segment(self, info: Info) -> Segment | None:
        return await segment_of(info, self.id_of("segment"))


@strawberry.type(description="What saving a segment came to.")
class SegmentCreatePayload(SegmentPayload):
    pass


@strawberry.type(description="What changing a segment came to.")
class SegmentUpdatePayload(SegmentPayload):
    pass


@strawberry.type(description="What forgetting a segment came to.")
class SegmentDeletePayload(Payload):
    @strawberry.field(description="The id that is gone; null when refused.")
    def segment_id(self) -> strawberry.ID | None:
        id = self.id_of("segment")
        return encode("Segment", id) if id else None


@strawberry.type
class SegmentMutation:
    @mutation(SegmentCreatePayload, "Save a filter of contacts.")
    async def segment_create(self, info: Info, input: SegmentCreateInput) -> Answer:
        segment = await SegmentRecord.add(
            by=info.context.by, name=input.name, filter=input.filter.wanted()
        )
        return {"segment": segment.id}

    @mutation(SegmentUpdatePayload, "Rename a segment, or filter otherwise.")
    async def segment_update(self, info: Info, input: SegmentUpdateInput) -> Answer:
        id = decode("Segment", input.segment_id)
        wanted = input.filter.wanted() if input.filter else None
        await SegmentRecord.change(id, by=info.context.by, name=input.name, filter=wanted)
        return {"segment": id}

    @mutation(SegmentDeletePayload, "Forget a segment; its contacts stay.")
    async def segment_delete(self, info: Info, input: SegmentDeleteInput) -> Answer:
        id = decode("Segment", input.segment_id)
        await SegmentRecord.remove(id, by=info.context.by)
        return {"segment": id}
