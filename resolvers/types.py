"""The nouns of the API. Each shows one projected row; related nouns load in batches."""

from collections.abc import Mapping
from datetime import datetime
from enum import Enum
from typing import TYPE_CHECKING, Annotated, Any, Self, get_args
from uuid import UUID

import orjson
import strawberry

from models.projection import AGENT_COLUMNS
from resolvers.context import Info
from resolvers.hours import BusinessHours
from resolvers.ids import encode
from resolvers.pagination import (
    After,
    Before,
    Connection,
    Edge,
    First,
    Keyset,
    Last,
    Nested,
    Page,
    place,
)
from resolvers.projections import TEAM_COLUMNS
from resolvers.vocabulary import (
    Availability,
    Cause,
    ChannelKind,
    ChannelStatus,
    Delivery,
    Direction,
    Distribution,
    IdlePeriod,
    Line,
    Role,
)

if TYPE_CHECKING:
    from resolvers.conversation import ConversationConnection

Row = Mapping[str, Any]


@strawberry.interface(description="Anything with a global id.")
class Node:
    row: strawberry.Private[Row]

    @classmethod
    def of(cls, row: Row | None) -> Self | None:
        return None if row is None else cls(row=row)

    @strawberry.field(description="Opaque global id.")
    def id(self) -> strawberry.ID:
        return encode(type(self).__name__, self.row["id"])


def column(type_: Any, name: str, description: str) -> Any:
    """A field that shows a column of the row; enums come as text from raw rows."""
    enum = next((t for t in (type_, *get_args(type_)) if _is_enum(t)), None)

    def read(self: Any) -> Any:
        value = self.row[name]
        return value if enum is None or value is None else enum(value)

    read.__annotations__ = {"return": type_}
    return strawberry.field(read, description=description)


def hours(description: str) -> Any:
    """A field that shows business hours."""

    def read(self: Any) -> BusinessHours | None:
        stored = self.row["business_hours"]
        return BusinessHours.of(orjson.loads(stored) if isinstance(stored, str) else stored)

    return strawberry.field(read, description=description)


def nested(
    description: str,
    what: Nested,
    *,
    noun: type[Any],
    connection: type[Connection[Any]],
    edge: type[Edge[Any]],
) -> Any:
    """A field that shows a page of what lies below a record, read with its siblings' pages."""

    async def below(
        self: Any,
        info: Info,
        first: First = None,
        after: After = None,
        last: Last = None,
        before: Before = None,
    ) -> Any:
        return await info.context.loaders.nested(
            what,
            self.row["id"],
            Page(first, after, last, before),
            node=lambda row: noun(row=row),
            connection=connection,
            edge=edge,
        )

    below.__annotations__["return"] = connection
    return strawberry.field(below, description=description)


def _is_enum(type_: Any) -> bool:
    return isinstance(type_, type) and issubclass(type_, Enum)


@strawberry.type(description="One customer company.")
class Workspace(Node):
    name = column(str, "name", "Name.")
    idle_period = column(
        IdlePeriod, "idle_period_days", "When quiet conversations close, where nothing else says."
    )
    idle_reminder_before_minutes = column(
        int | None,
        "idle_reminder_before_minutes",
        "How long before a quiet conversation closes it is reminded; null for never.",
    )
    closing_reason_required = column(
        bool, "closing_reason_required", "Whether people must close with a reason."
    )
    summary_required = column(bool, "summary_required", "Whether they must close with a summary.")
    transfers_to_unavailable = column(
        bool, "transfers_to_unavailable", "Whether transfers may go to whoever is away."
    )
    owned_skips_bot = column(
        bool, "owned_skips_bot", "Whether owned contacts go to their owner before the bot."
    )
    owner_wait_minutes = column(
        int | None, "owner_wait_minutes", "How long an owner is waited for; null for ever."
    )
    sticky_falls_through = column(
        bool, "sticky_falls_through", "Whether contacts go on when their last agent is away."
    )
    reassignment_window_hours = column(
        int | None, "reassignment_window_hours", "How long contacts come back; null for ever."
    )
    time_zone = column(str, "time_zone", "By its name: where days begin, which reports are of.")
    business_hours = hours("When conversations are given out; null for always.")

    @strawberry.field(
        description="Which of AGENT, AUDITOR and MARKETING set owners, beside those who always may."
    )
    def owner_setters(self) -> list[Role]:
        return [Role(role) for role in self.row["owner_setters"]]


@strawberry.type(description="A person who signs in and holds conversations.")
class Agent(Node):
    name = column(str, "name", "Name.")
    email = column(str, "email", "Address to sign in with.")
    role = column(Role, "role", "What it may do.")
    is_active = column(bool, "is_active", "Whether the account is active.")
    is_connected = column(bool, "is_connected", "Whether a device's presence lease is live.")
    accepts_new = column(bool, "accepts_new", "Whether it takes new conversations.")
    capacity = column(int, "capacity", "How many it may hold before automatic ones stop.")
    load = column(int, "load", "How many it holds: conversations in status ASSIGNED.")
    business_hours = hours("When it is given conversations; null for its teams' hours.")

    @strawberry.field(description="OFFLINE without a live connection, else what the agent said.")
    def availability(self) -> Availability:
        connected = self.row["is_connected"]
        return Availability(self.row["availability"]) if connected else Availability.OFFLINE

    @strawberry.field(description="What the agent said last; it is back with the connection.")
    def chosen_availability(self) -> Availability:
        return Availability(self.row["availability"])


@strawberry.type(description="An agent of a page.")
class AgentEdge(Edge[Agent]):
    pass


@strawberry.type(description="A page of agents.")
class AgentConnection(Connection[Agent]):
    pass


def _teams(join: str) -> Nested:
    """Active teams of a workspace below a record, in the order of their creation."""
    return Nested(
        f"""
        SELECT {TEAM_COLUMNS}, t.created_at FROM teams t {join}
          AND t.workspace_id = $1 AND t.is_active
        """,  # noqa: S608 - constants
        Keyset("created_at"),
    )


CHILDREN = _teams("WHERE t.parent_id = p.id")
TRANSFER_TARGETS = _teams("JOIN transfer_targets o ON o.to_team_id = t.id WHERE o.team_id = p.id")
MEMBERS = Nested(
    f"""
    SELECT {AGENT_COLUMNS}, m.position FROM memberships m JOIN agents a ON a.id = m.agent_id
    WHERE m.workspace_id = $1 AND m.team_id = p.id
    """,  # noqa: S608 - constants
    Keyset("position", parse=place),
)


@strawberry.type(description="A sales group, a support department, or the Todos of a line.")
class Team(Node):
    name = column(str, "name", "Name.")
    line = column(Line, "line", "SALES for a group, SUPPORT for a department.")
    is_todos = column(bool, "is_todos", "Whether it is the line's built-in team.")
    is_active = column(bool, "is_active", "Whether it takes conversations.")
    priority = column(int, "priority", "0 to 10; a department's larger number is served first.")
    distribution = column(Distribution, "distribution", "Who gives out its conversations.")
    online_only = column(bool, "online_only", "Whether only those at work get automatic ones.")
    max_open = column(int | None, "max_open", "Load from which a member gets no automatic ones.")
    reassignment_window_hours = column(
        int | None, "reassignment_window_hours", "0 for ever; null for the workspace's."
    )
    unassign_on_close = column(bool, "unassign_on_close", "Whether a closing lets its agent go.")
    business_hours = hours("When it gives conversations out; null for the workspace's.")
    include_descendants = column(
        bool, "include_descendants", "Whether the members of the groups below get from it too."
    )
    answer_timeout_minutes = column(
        int | None, "answer_timeout_minutes", "After how long unanswered ones are taken back."
    )
    ageing_minutes = column(
        int | None, "ageing_minutes", "After how long a waiting one gains a step of priority."
    )
    idle_period = column(
        IdlePeriod | None,
        "idle_period_days",
        "When quiet conversations close; null for the workspace's.",
    )

    @strawberry.field(description="The group above.")
    async def parent(self, info: Info) -> "Team | None":
        return await team_of(info, self.row["parent_id"])

    @strawberry.field(description="The groups directly below it.")
    async def children(
        self,
        info: Info,
        first: First = None,
        after: After = None,
        last: Last = None,
        before: Before = None,
    ) -> "TeamConnection":
        return await self._below(info, CHILDREN, Page(first, after, last, before))

    @strawberry.field(description="The only departments that it hands over to; empty for all.")
    async def transfers_to(
        self,
        info: Info,
        first: First = None,
        after: After = None,
        last: Last = None,
        before: Before = None,
    ) -> "TeamConnection":
        return await self._below(info, TRANSFER_TARGETS, Page(first, after, last, before))

    async def _below(self, info: Info, what: Nested, page: Page) -> "TeamConnection":
        return await info.context.loaders.nested(
            what,
            self.row["id"],
            page,
            node=lambda row: Team(row=row),
            connection=TeamConnection,
            edge=TeamEdge,
        )

    @strawberry.field(description="What a group sends through: its own or the nearest above's.")
    async def channel(self, info: Info) -> "Channel | None":
        held = await info.context.loaders.held_channels.load(self.row["id"])
        row = await info.context.loaders.channels.load(held.channel_id) if held else None
        return Channel.of(row)

    @strawberry.field(description="Whether a group above holds the channel it sends through.")
    async def inherits_channel(self, info: Info) -> bool:
        held = await info.context.loaders.held_channels.load(self.row["id"])
        return held is not None and held.is_inherited

    members = nested(
        "Members in their order; empty for a Todos means every agent.",
        MEMBERS,
        noun=Agent,
        connection=AgentConnection,
        edge=AgentEdge,
    )

    @strawberry.field(description="Its queue; null where you may not see it.")
    async def queue(self, info: Info) -> "Queue | None":
        return await queue_of(info, self.row["id"])


@strawberry.type(description="A team of a page.")
class TeamEdge(Edge[Team]):
    pass


@strawberry.type(description="A page of teams.")
class TeamConnection(Connection[Team]):
    pass


@strawberry.type(description="The ordered waiting conversations of one team.")
class Queue(Node):
    name = column(str, "name", "The team's name.")

    @strawberry.field(description="The team whose queue this is.")
    def team(self) -> Team:
        return Team(row=self.row)

    @strawberry.field(description="How many wait.")
    async def waiting_count(self, info: Info) -> int:
        found = await info.context.loaders.waiting.load(self.row["id"])
        return found["waiting"] if found else 0

    @strawberry.field(description="How long the first has waited, in seconds; null when empty.")
    async def longest_waiting_seconds(self, info: Info) -> int | None:
        found = await info.context.loaders.waiting.load(self.row["id"])
        return seconds_between(found["longest_since"], found["now"]) if found else None

    @strawberry.field(description="Who waits, longest first.")
    async def conversations(
        self,
        info: Info,
        first: First = None,
        after: After = None,
        last: Last = None,
        before: Before = None,
    ) -> Annotated["ConversationConnection", strawberry.lazy("resolvers.conversation")]:
        from resolvers.conversation import waiting_in

        return await waiting_in(info, self.row["id"], Page(first, after, last, before))


@strawberry.type(description="One connected account: a number, a page, a webchat.")
class Channel(Node):
    name = column(str, "name", "Name.")
    kind = column(ChannelKind, "kind", "What it is an account of.")
    status = column(ChannelStatus, "status", "Whether it is connected.")
    default_line = column(Line, "default_line", "The line of conversations when nobody says.")
    bot_is_on = column(bool, "bot_is_on", "Whether the bot answers first.")

    @strawberry.field(description="The group that its sales conversations go to.")
    async def sales_team(self, info: Info) -> Team | None:
        return await team_of(info, self.row["sales_team_id"])

    @strawberry.field(description="The agent that its sales conversations go to.")
    async def sales_agent(self, info: Info) -> Agent | None:
        return await agent_of(info, self.row["sales_agent_id"])

    @strawberry.field(description="The department that its support conversations go to.")
    async def support_team(self, info: Info) -> Team | None:
        return await team_of(info, self.row["support_team_id"])


@strawberry.type(description="Whom a contact belongs to: an agent or a team.")
class Owner:
    agent_id: strawberry.Private[UUID | None]
    team_id: strawberry.Private[UUID | None]

    @classmethod
    def of(cls, agent_id: UUID | None, team_id: UUID | None) -> "Owner | None":
        return cls(agent_id=agent_id, team_id=team_id) if agent_id or team_id else None

    @strawberry.field(description="The agent; null when a team owns the contact.")
    async def agent(self, info: Info) -> Agent | None:
        return await agent_of(info, self.agent_id)

    @strawberry.field(description="The team; null when an agent owns the contact.")
    async def team(self, info: Info) -> Team | None:
        return await team_of(info, self.team_id)


@strawberry.type(description="A word that contacts and conversations are marked with.")
class Tag(Node):
    name = column(str, "name", "The word, as it was first written; its case does not matter.")


async def tags_of(info: Info, noun: str, id: UUID) -> list[Tag]:
    """The tags of a contact or of a conversation, by name."""
    return [Tag(row=row) for row in await info.context.loaders.tags_of[noun].load(id)]


@strawberry.type(description="One thing that was said in a conversation, or a private note.")
class Message(Node):
    direction = column(Direction, "direction", "Which way it went.")
    text = column(str, "text", "What was said.")
    external_id = column(str | None, "external_id", "The carrier's id.")
    delivery = column(
        Delivery | None, "delivery", "How far an answer got; null for what is not delivered."
    )
    created_at = column(datetime, "created_at", "When it was taken in.")

    @strawberry.field(description="The agent who wrote it; null for the customer.")
    async def author(self, info: Info) -> Agent | None:
        return await agent_of(info, self.row["author_agent_id"])


@strawberry.type(description="A reason that the workspace offers for closing.")
class ClosingReason(Node):
    name = column(str, "name", "Name.")
    is_active = column(bool, "is_active", "Whether it is offered.")


@strawberry.type(description="The end of a conversation.")
class Closure(Node):
    cause = column(Cause, "cause", "Who or what closed it.")
    summary = column(str | None, "summary", "What the person who closed it wrote.")
    closed_at = column(datetime, "closed_at", "When.")

    @strawberry.field(description="Who held it when it closed.")
    async def agent(self, info: Info) -> Agent | None:
        return await agent_of(info, self.row["agent_id"])

    @strawberry.field(description="The reason that was given.")
    async def closing_reason(self, info: Info) -> ClosingReason | None:
        return await closing_reason_of(info, self.row["reason_id"])


async def agent_of(info: Info, id: UUID | None) -> Agent | None:
    row = None if id is None else await info.context.loaders.agents.load(id)
    return Agent.of(row)


async def team_of(info: Info, id: UUID | None) -> Team | None:
    row = None if id is None else await info.context.loaders.teams.load(id)
    return Team.of(row)


async def channel_of(info: Info, id: UUID | None) -> Channel | None:
    row = None if id is None else await info.context.loaders.channels.load(id)
    return Channel.of(row)


async def closing_reason_of(info: Info, id: UUID | None) -> ClosingReason | None:
    row = None if id is None else await info.context.loaders.closing_reasons.load(id)
    return ClosingReason.of(row)


async def queue_of(info: Info, id: UUID | None) -> Queue | None:
    """The team's queue, if the asker sees it."""
    if id is None or not await info.context.sees_queue(id):
        return None
    row = await info.context.loaders.teams.load(id)
    return Queue.of(row)


def seconds_between(start: datetime, end: datetime) -> int:
    return max(0, int((end - start).total_seconds()))
