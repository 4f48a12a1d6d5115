"""Reading what a workspace is made of: channels, teams and queues, agents, contacts, reasons."""

from typing import Annotated, Any, cast
from uuid import UUID

import strawberry

from models.access import Right
from models.agent import Agent as AgentRecord
from models.channel import Channel as ChannelRecord
from models.closure import ClosingReason as ClosingReasonRecord
from models.contact import Contact as ContactRecord
from models.team import Team as TeamRecord
from models.workspace import Workspace as WorkspaceRecord
from resolvers.context import Info
from resolvers.conversation import After, Before, First, Last, conversation_of
from resolvers.ids import decode, split
from resolvers.pagination import Connection, Edge, Keyset, Page, paginate
from resolvers.types import (
    Agent,
    Channel,
    ClosingReason,
    Contact,
    Node,
    Queue,
    Team,
    Workspace,
    agent_of,
    queue_of,
    team_of,
)

NODES_MAX = 100
IN_ORDER = Keyset("created_at")
Id = Annotated[strawberry.ID, strawberry.argument(description="Its id.")]


@strawberry.type(description="A channel of a page.")
class ChannelEdge(Edge[Channel]):
    pass


@strawberry.type(description="A page of channels.")
class ChannelConnection(Connection[Channel]):
    pass


@strawberry.type(description="A team of a page.")
class TeamEdge(Edge[Team]):
    pass


@strawberry.type(description="A page of teams.")
class TeamConnection(Connection[Team]):
    pass


@strawberry.type(description="A queue of a page.")
class QueueEdge(Edge[Queue]):
    pass


@strawberry.type(description="A page of queues.")
class QueueConnection(Connection[Queue]):
    pass


@strawberry.type(description="An agent of a page.")
class AgentEdge(Edge[Agent]):
    pass


@strawberry.type(description="A page of agents.")
class AgentConnection(Connection[Agent]):
    pass


@strawberry.type(description="A contact of a page.")
class ContactEdge(Edge[Contact]):
    pass


@strawberry.type(description="A page of contacts.")
class ContactConnection(Connection[Contact]):
    pass


@strawberry.type(description="A closing reason of a page.")
class ClosingReasonEdge(Edge[ClosingReason]):
    pass


@strawberry.type(description="A page of closing reasons.")
class ClosingReasonConnection(Connection[ClosingReason]):
    pass


async def _page(
    info: Info, queryset: Any, page: Page, noun: type[Any], loader: str, kind: tuple[Any, Any]
) -> Any:
    """A page by creation: the keys in order, the rows as the noun's own loader shows them."""

    async def read(ordered: Any) -> list[dict[str, Any]]:
        keys = await ordered.values("id", "created_at")
        rows = await getattr(info.context.loaders, loader).load_many([key["id"] for key in keys])
        return [
            {**row, "created_at": key["created_at"]}
            for key, row in zip(keys, rows, strict=True)
            if row is not None
        ]

    connection, edge = kind
    return await paginate(
        queryset,
        page,
        IN_ORDER,
        read=read,
        node=lambda row: noun(row=row),
        connection=connection,
        edge=edge,
    )


@strawberry.type
class SettingsQuery:
    @strawberry.field(description="Anything by its global id; null when missing or not visible.")
    async def node(self, info: Info, id: Id) -> Node | None:
        return cast("Node | None", await _node(info, id))

    @strawberry.field(description="Several at once, in the order of the ids; at most 100.")
    async def nodes(
        self,
        info: Info,
        ids: Annotated[list[strawberry.ID], strawberry.argument(description="Their ids.")],
    ) -> list[Node | None]:
        return [await _node(info, id) for id in ids[:NODES_MAX]]

    @strawberry.field(description="Your workspace.")
    async def workspace(self, info: Info) -> Workspace | None:
        row = (
            await WorkspaceRecord.filter(id=info.context.by.workspace_id)
            .first()
            .values("id", "name", "idle_period_days", "closing_reason_required")
        )
        return Workspace.of(row)

    @strawberry.field(description="The connected accounts.")
    async def channels(
        self,
        info: Info,
        first: First = None,
        after: After = None,
        last: Last = None,
        before: Before = None,
    ) -> ChannelConnection:
        visible = ChannelRecord.visible_to(info.context.by)
        page = Page(first, after, last, before)
        kind = (ChannelConnection, ChannelEdge)
        return cast(
            "ChannelConnection", await _page(info, visible, page, Channel, "channels", kind)
        )

    @strawberry.field(description="The groups, the departments and the two Todos.")
    async def teams(
        self,
        info: Info,
        first: First = None,
        after: After = None,
        last: Last = None,
        before: Before = None,
    ) -> TeamConnection:
        visible = TeamRecord.visible_to(info.context.by)
        page = Page(first, after, last, before)
        kind = (TeamConnection, TeamEdge)
        return cast("TeamConnection", await _page(info, visible, page, Team, "teams", kind))

    @strawberry.field(description="One team; null when missing or not visible to you.")
    async def team(self, info: Info, id: Id) -> Team | None:
        found = await TeamRecord.visible_to(info.context.by).filter(id=decode("Team", id)).exists()
        return await team_of(info, decode("Team", id)) if found else None

    @strawberry.field(description="The queues you see.")
    async def queues(
        self,
        info: Info,
        first: First = None,
        after: After = None,
        last: Last = None,
        before: Before = None,
    ) -> QueueConnection:
        visible = TeamRecord.filter(id__in=await TeamRecord.queues_visible_to(info.context.by))
        page = Page(first, after, last, before)
        kind = (QueueConnection, QueueEdge)
        return cast("QueueConnection", await _page(info, visible, page, Queue, "teams", kind))

    @strawberry.field(description="One queue, by its own id; null when not visible to you.")
    async def queue(self, info: Info, id: Id) -> Queue | None:
        return await queue_of(info, decode("Queue", id))

    @strawberry.field(description="The people of the workspace.")
    async def agents(
        self,
        info: Info,
        first: First = None,
        after: After = None,
        last: Last = None,
        before: Before = None,
    ) -> AgentConnection:
        visible = AgentRecord.visible_to(info.context.by)
        page = Page(first, after, last, before)
        kind = (AgentConnection, AgentEdge)
        return cast("AgentConnection", await _page(info, visible, page, Agent, "agents", kind))

    @strawberry.field(description="The customers you see.")
    async def contacts(
        self,
        info: Info,
        first: First = None,
        after: After = None,
        last: Last = None,
        before: Before = None,
    ) -> ContactConnection:
        visible = await ContactRecord.visible_to(info.context.by)
        page = Page(first, after, last, before)
        kind = (ContactConnection, ContactEdge)
        return cast(
            "ContactConnection", await _page(info, visible, page, Contact, "contacts", kind)
        )

    @strawberry.field(description="One customer; null when missing or not visible to you.")
    async def contact(self, info: Info, id: Id) -> Contact | None:
        return await _contact(info, decode("Contact", id))

    @strawberry.field(description="The reasons for closing.")
    async def closing_reasons(
        self,
        info: Info,
        first: First = None,
        after: After = None,
        last: Last = None,
        before: Before = None,
    ) -> ClosingReasonConnection:
        visible = ClosingReasonRecord.visible_to(info.context.by)
        page = Page(first, after, last, before)
        kind = (ClosingReasonConnection, ClosingReasonEdge)
        return cast(
            "ClosingReasonConnection",
            await _page(info, visible, page, ClosingReason, "closing_reasons", kind),
        )


async def _contact(info: Info, id: UUID) -> Contact | None:
    visible = await ContactRecord.visible_to(info.context.by)
    if not await visible.filter(id=id).exists():
        return None
    row = await info.context.loaders.contacts.load(id)
    return Contact.of(row)


async def _team(info: Info, id: UUID) -> Team | None:
    return await team_of(info, id) if info.context.by.may(Right.READ_SETTINGS) else None


async def _agent(info: Info, id: UUID) -> Agent | None:
    found = await AgentRecord.visible_to(info.context.by).filter(id=id).exists()
    return await agent_of(info, id) if found else None


async def _channel(info: Info, id: UUID) -> Channel | None:
    found = await ChannelRecord.visible_to(info.context.by).filter(id=id).exists()
    row = await info.context.loaders.channels.load(id) if found else None
    return Channel.of(row)


async def _closing_reason(info: Info, id: UUID) -> ClosingReason | None:
    row = await info.context.loaders.closing_reasons.load(id)
    return ClosingReason.of(row)


_FINDERS = {
    "Agent": _agent,
    "Channel": _channel,
    "ClosingReason": _closing_reason,
    "Contact": _contact,
    "Conversation": conversation_of,
    "Queue": queue_of,
    "Team": _team,
}


async def _node(info: Info, id: str) -> Any:
    type_name, uuid = split(id)
    find = _FINDERS.get(type_name)
    return await find(info, uuid) if find else None
