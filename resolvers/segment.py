"""Filters of contacts, as they are asked for and as segments keep them."""

from uuid import UUID

import orjson
import strawberry

from models.contact_search import Filter, OwnedBy
from models.segment import Segment as SegmentRecord
from resolvers.contact import ContactConnection, ContactField, contacts_found
from resolvers.context import Info
from resolvers.enums import described
from resolvers.ids import decode, decode_maybe, encode
from resolvers.pagination import After, Before, First, Last, Page
from resolvers.types import Agent, Channel, Node, Team, agent_of, column, team_of

described(
    OwnedBy,
    "ContactOwnedBy",
    ME="The agent who asks.",
    ANYBODY="Some agent or team.",
    NOBODY="No agent and no team.",
)


@strawberry.input(description="A field with a value.")
class ContactFieldFilter:
    field_id: strawberry.ID = strawberry.field(description="Which field.")
    value: str = strawberry.field(description="Its value.")


@strawberry.input(
    description="What contacts must all meet; what is left out does not matter. "
    "What a condition names may be missing: then nobody meets it."
)
class SegmentFilterInput:
    search: str | None = strawberry.field(
        default=None,
        description="Words of the name, or beginnings of them; the beginning of a telephone number "
        "or an e-mail address; or exactly what a channel calls the contact.",
    )
    tag_ids: list[strawberry.ID] | None = strawberry.field(
        default=None, description="Has all these tags, 20 at most."
    )
    owned_by: OwnedBy | None = strawberry.field(default=None, description="Belongs to.")
    owner_agent_id: strawberry.ID | None = strawberry.field(
        default=None, description="Belongs to this agent."
    )
    owner_team_id: strawberry.ID | None = strawberry.field(
        default=None, description="Belongs to this team."
    )
    fields: list[ContactFieldFilter] | None = strawberry.field(
        default=None, description="Has all these values, 20 at most."
    )
    channel_id: strawberry.ID | None = strawberry.field(
        default=None, description="Is known to this channel."
    )

    def wanted(self) -> Filter:
        """The filter in the domain's terms."""
        return Filter(
            search=self.search,
            tag_ids=tuple(decode("Tag", id) for id in self.tag_ids or ()),
            owned_by=self.owned_by,
            owner_agent_id=decode_maybe("Agent", self.owner_agent_id),
            owner_team_id=decode_maybe("Team", self.owner_team_id),
            fields=tuple(
                (decode("ContactField", each.field_id), each.value) for each in self.fields or ()
            ),
            channel_id=decode_maybe("Channel", self.channel_id),
        )


@strawberry.type(description="A field with the value that contacts must have.")
class SegmentFieldValue:
    field_id: strawberry.Private[UUID]
    value: str = strawberry.field(description="The value.")

    @strawberry.field(description="The field; null when it is gone, and then nobody has the value.")
    async def field(self, info: Info) -> ContactField | None:
        return ContactField.of(await info.context.loaders.contact_fields.load(self.field_id))


@strawberry.type(description="What the contacts of a segment all meet.")
class SegmentFilter:
    kept: strawberry.Private[Filter]

    @strawberry.field(description="The text that is searched for.")
    def search(self) -> str | None:
        return self.kept.search

    @strawberry.field(description="The tags that they all have; some may be gone.")
    def tag_ids(self) -> list[strawberry.ID]:
        return [encode("Tag", id) for id in self.kept.tag_ids]

    @strawberry.field(description="Whom they belong to; ME is whoever reads them.")
    def owned_by(self) -> OwnedBy | None:
        return self.kept.owned_by

    @strawberry.field(description="The agent that they belong to.")
    async def owner_agent(self, info: Info) -> Agent | None:
        return await agent_of(info, self.kept.owner_agent_id)

    @strawberry.field(description="The team that they belong to.")
    async def owner_team(self, info: Info) -> Team | None:
        return await team_of(info, self.kept.owner_team_id)

    @strawberry.field(description="The values that they have.")
    def fields(self) -> list[SegmentFieldValue]:
        return [SegmentFieldValue(field_id=id, value=value) for id, value in self.kept.fields]

    @strawberry.field(description="The channel that knows them.")
    async def channel(self, info: Info) -> Channel | None:
        id = self.kept.channel_id
        return Channel.of(await info.context.loaders.channels.load(id) if id else None)


@strawberry.type(description="A saved filter of contacts.")
class Segment(Node):
    name = column(str, "name", "Name.")

    @strawberry.field(description="What its contacts meet.")
    def filter(self) -> SegmentFilter:
        return SegmentFilter(kept=self._kept)

    @strawberry.field(description="The contacts that meet the filter now, and that you see.")
    async def contacts(
        self,
        info: Info,
        first: First = None,
        after: After = None,
        last: Last = None,
        before: Before = None,
    ) -> ContactConnection:
        return await contacts_found(info, (self._kept,), Page(first, after, last, before))

    @property
    def _kept(self) -> Filter:
        return Filter.recall(orjson.loads(self.row["filter"]))


async def segment_of(info: Info, id: UUID | None) -> Segment | None:
    """The segment, if the asker reads segments."""
    seen = id is not None and SegmentRecord.are_visible_to(info.context.by)
    return Segment.of(await info.context.loaders.segments.load(id) if id and seen else None)


async def filter_of(info: Info, id: strawberry.ID) -> Filter | None:
    """What a segment keeps; None when there is no such segment, and then nobody meets it."""
    found = await segment_of(info, decode("Segment", id))
    return found._kept if found else None  # noqa: SLF001 - of a class of this module
