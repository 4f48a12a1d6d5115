"""Reading what a workspace is made of: channels, teams and queues, agents, contacts, reasons."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Annotated, Any, cast
from uuid import UUID

import strawberry

from models.access import Actor
from models.agent import Agent as AgentRecord
from models.channel import Channel as ChannelRecord
from models.closure import ClosingReason as ClosingReasonRecord
from models.contact_field import ContactField as ContactFieldRecord
from models.errors import BadUserInput
from models.tag import Tag as TagRecord
from models.team import Team as TeamRecord
from models.workspace import Workspace as WorkspaceRecord
from resolvers.contact import ContactField, contact_of
from resolvers.context import Info
from resolvers.conversation import conversation_of
from resolvers.decision import Assignment
from resolvers.ids import decode, split
from resolvers.pagination import (
    BY_CREATION,
    After,
    Before,
    Connection,
    Edge,
    First,
    Last,
    Page,
    paginate,
)
from resolvers.segment import segment_of
from resolvers.snippet import snippet_of
from resolvers.ticket import action_of, ticket_of
from resolvers.types import (
    Agent,
    AgentConnection,
    AgentEdge,
    Channel,
    ClosingReason,
    Closure,
    Message,
    Node,
    Queue,
    Tag,
    Team,
    TeamConnection,
    TeamEdge,
    Workspace,
    agent_of,
    queue_of,
    team_of,
)
from resolvers.webhook import webhook_of
from resolvers.workflow import workflow_of
from resolvers.workflow_run import workflow_run_of

NODES_MAX = 100
Find = Callable[[Info, UUID], Awaitable[Node | None]]
Id = Annotated[strawberry.ID, strawberry.argument(description="Its id.")]


@strawberry.type(description="A channel of a page.")
class ChannelEdge(Edge[Channel]):
    pass


@strawberry.type(description="A page of channels.")
class ChannelConnection(Connection[Channel]):
    pass


@strawberry.type(description="A queue of a page.")
class QueueEdge(Edge[Queue]):
    pass


@strawberry.type(description="A page of queues.")
class QueueConnection(Connection[Queue]):
    pass


@strawberry.type(description="A closing reason of a page.")
class ClosingReasonEdge(Edge[ClosingReason]):
    pass


@strawberry.type(description="A page of closing reasons.")
class ClosingReasonConnection(Connection[ClosingReason]):
    pass


def listing(
    description: str,
    *,
    noun: type[Any],
    loader: str,
    connection: type[Connection[Any]],
    edge: type[Edge[Any]],
    visible: Callable[[Actor], Awaitable[Any]],
) -> Any:
    """A list by creation: the keys in order, the rows as the noun's own loader shows them."""

    async def listed(
        self: Any,  # noqa: ARG001 - what a field's function is called with
        info: Info,
        first: First = None,
        after: After = None,
        last: Last = None,
        before: Before = None,
    ) -> Any:
        async def read(ordered: Any) -> list[dict[str, Any]]:
            keys = await ordered.values("id", "created_at")
            load = getattr(info.context.loaders, loader).load_many
            rows = await load([key["id"] for key in keys])
            return [
                {**row, "created_at": key["created_at"]}
                for key, row in zip(keys, rows, strict=True)
                if row is not None
            ]

        return await paginate(
            await visible(info.context.by),
            Page(first, after, last, before),
            BY_CREATION,
            read=read,
            node=lambda row: noun(row=row),
            connection=connection,
            edge=edge,
        )

    listed.__annotations__["return"] = connection
    return strawberry.field(listed, description=description)


async def _channels(by: Actor) -> Any:
    return ChannelRecord.visible_to(by)


async def _teams(by: Actor) -> Any:
    return TeamRecord.visible_to(by).filter(is_active=True)


async def _queues(by: Actor) -> Any:
    return TeamRecord.filter(id__in=await TeamRecord.queues_visible_to(by), is_active=True)


async def _agents(by: Actor) -> Any:
    return AgentRecord.visible_to(by)


async def _closing_reasons(by: Actor) -> Any:
    return ClosingReasonRecord.visible_to(by)


@strawberry.type
class SettingsQuery:
    @strawberry.field(description="Anything by its global id; null when missing or not visible.")
    async def node(self, info: Info, id: Id) -> Node | None:
        return await _node(info, *split(id))

    @strawberry.field(description="Several at once, in the order of the ids; at most 100.")
    async def nodes(
        self,
        info: Info,
        ids: Annotated[list[strawberry.ID], strawberry.argument(description="Their ids.")],
    ) -> list[Node | None]:
        if len(ids) > NODES_MAX:
            raise BadUserInput(f"Ask for at most {NODES_MAX} ids at once.", path="ids")
        return await asyncio.gather(*[_node(info, *split(id)) for id in ids])

    @strawberry.field(description="Your workspace.")
    async def workspace(self, info: Info) -> Workspace | None:
        return await workspace_of(info)

    channels = listing(
        "The connected accounts.",
        noun=Channel,
        loader="channels",
        connection=ChannelConnection,
        edge=ChannelEdge,
        visible=_channels,
    )

    teams = listing(
        "The groups, the departments and the two Todos.",
        noun=Team,
        loader="teams",
        connection=TeamConnection,
        edge=TeamEdge,
        visible=_teams,
    )

    @strawberry.field(description="One team; null when missing or not visible to you.")
    async def team(self, info: Info, id: Id) -> Team | None:
        return await _team(info, decode("Team", id))

    queues = listing(
        "The queues you see.",
        noun=Queue,
        loader="teams",
        connection=QueueConnection,
        edge=QueueEdge,
        visible=_queues,
    )

    @strawberry.field(description="One queue, by its own id; null when not visible to you.")
    async def queue(self, info: Info, id: Id) -> Queue | None:
        return await queue_of(info, decode("Queue", id))

    agents = listing(
        "The people of the workspace.",
        noun=Agent,
        loader="agents",
        connection=AgentConnection,
        edge=AgentEdge,
        visible=_agents,
    )

    closing_reasons = listing(
        "The reasons for closing.",
        noun=ClosingReason,
        loader="closing_reasons",
        connection=ClosingReasonConnection,
        edge=ClosingReasonEdge,
        visible=_closing_reasons,
    )


async def workspace_of(info: Info) -> Workspace | None:
    """The asker's own workspace."""
    found = await WorkspaceRecord.filter(id=info.context.by.workspace_id).first().values()
    return Workspace.of(cast("dict[str, Any] | None", found))


async def _workspace(info: Info, id: UUID) -> Workspace | None:
    return await workspace_of(info) if id == info.context.by.workspace_id else None


async def _team(info: Info, id: UUID) -> Team | None:
    return await team_of(info, id) if TeamRecord.are_visible_to(info.context.by) else None


async def _agent(info: Info, id: UUID) -> Agent | None:
    return await agent_of(info, id) if AgentRecord.are_visible_to(info.context.by) else None


async def _channel(info: Info, id: UUID) -> Channel | None:
    seen = ChannelRecord.are_visible_to(info.context.by)
    return Channel.of(await info.context.loaders.channels.load(id) if seen else None)


async def _closing_reason(info: Info, id: UUID) -> ClosingReason | None:
    row = await info.context.loaders.closing_reasons.load(id)
    return ClosingReason.of(row)


async def tag_of(info: Info, id: UUID) -> Tag | None:
    seen = TagRecord.are_visible_to(info.context.by)
    return Tag.of(await info.context.loaders.tags.load(id) if seen else None)


async def _contact_field(info: Info, id: UUID) -> ContactField | None:
    seen = ContactFieldRecord.are_visible_to(info.context.by)
    return ContactField.of(await info.context.loaders.contact_fields.load(id) if seen else None)


def _part(noun: type[Node], table: str) -> Find:
    """What belongs to a conversation is seen by whoever sees that."""

    async def find(info: Info, id: UUID) -> Node | None:
        row = await info.context.loaders.parts[table].load(id)
        seen = row and await info.context.loaders.conversations.load(row["conversation_id"])
        return noun.of(row if seen else None)

    return find


_FINDERS: dict[str, Find] = {
    "Agent": _agent,
    "Assignment": _part(Assignment, "assignments"),
    "Channel": _channel,
    "ClosingReason": _closing_reason,
    "Closure": _part(Closure, "closures"),
    "Contact": contact_of,
    "ContactField": _contact_field,
    "Conversation": conversation_of,
    "Message": _part(Message, "messages"),
    "Queue": queue_of,
    "Segment": segment_of,
    "Snippet": snippet_of,
    "Tag": tag_of,
    "Team": _team,
    "Webhook": webhook_of,
    "Workflow": workflow_of,
    "Ticket": ticket_of,
    "TicketAction": action_of,
    "WorkflowRun": workflow_run_of,
    "Workspace": _workspace,
}


async def _node(info: Info, type_name: str, id: UUID) -> Node | None:
    _ = info.context.by
    find = _FINDERS.get(type_name)
    return await find(info, id) if find else None
