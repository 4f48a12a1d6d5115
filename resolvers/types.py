"""The nouns of the API. Each shows one projected row; related nouns load in batches."""

from collections.abc import Mapping
from datetime import datetime
from enum import Enum
from typing import TYPE_CHECKING, Annotated, Any, Self, get_args
from uuid import UUID

import orjson
import strawberry

from models.tag import TAGS_MAX
from resolvers.context import Info
from resolvers.ids import encode
from resolvers.loaders import AGENT_COLUMNS
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
from resolvers.vocabulary import (
    Availability,
    Cause,
    ChannelKind,
    ChannelStatus,
    Direction,
    Distribution,
    Ending,
    IdlePeriod,
    Line,
    Outcome,
    Reason,
    Role,
    Rule,
    TieBreak,
    Verdict,
)

if TYPE_CHECKING:
    from resolvers.conversation import ConversationConnection
    from resolvers.settings import ContactConnection

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


def _is_enum(type_: Any) -> bool:
    return isinstance(type_, type) and issubclass(type_, Enum)


@strawberry.type(description="One customer company.")
class Workspace(Node):
    name = column(str, "name", "Name.")
    idle_period = column(
        IdlePeriod, "idle_period_days", "When quiet conversations close, where nothing else says."
    )
    closing_reason_required = column(
        bool, "closing_reason_required", "Whether people must close with a reason."
    )
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

    @strawberry.field(description="The group above.")
    async def parent(self, info: Info) -> "Team | None":
        return await team_of(info, self.row["parent_id"])

    @strawberry.field(description="Members in their order; empty for a Todos means every agent.")
    async def members(
        self,
        info: Info,
        first: First = None,
        after: After = None,
        last: Last = None,
        before: Before = None,
    ) -> AgentConnection:
        return await info.context.loaders.nested(
            MEMBERS,
            self.row["id"],
            Page(first, after, last, before),
            node=lambda row: Agent(row=row),
            connection=AgentConnection,
            edge=AgentEdge,
        )

    @strawberry.field(description="Its queue; null where you may not see it.")
    async def queue(self, info: Info) -> "Queue | None":
        return await queue_of(info, self.row["id"])


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


MERGED = Nested(
    """
    SELECT c.id, c.name, c.phone, c.email, c.created_at, c.owner_agent_id, c.owner_team_id,
           c.merged_into_id
    FROM contacts c WHERE c.workspace_id = $1 AND c.merged_into_id = p.id
    """,
    Keyset("created_at"),
)


@strawberry.type(description="A customer.")
class Contact(Node):
    name = column(str, "name", "Name, or what the channel calls them.")
    phone = column(str | None, "phone", "Telephone number.")
    email = column(str | None, "email", "E-mail address.")
    created_at = column(datetime, "created_at", "When they first wrote.")

    @strawberry.field(description="Whom the contact belongs to; null for nobody.")
    def owner(self) -> "Owner | None":
        agent_id, team_id = self.row["owner_agent_id"], self.row["owner_team_id"]
        return Owner(agent_id=agent_id, team_id=team_id) if agent_id or team_id else None

    @strawberry.field(description=f"Its tags, by name; at most {TAGS_MAX}.")
    async def tags(self, info: Info) -> list[Tag]:
        return await tags_of(info, "contact", self.row["id"])

    @strawberry.field(description="Whom it was merged into and lives on in; null unless it was.")
    async def merged_into(self, info: Info) -> "Contact | None":
        id = self.row["merged_into_id"]
        return Contact.of(await info.context.loaders.contacts.load(id) if id else None)

    @strawberry.field(description="The contacts merged into it, each of which can be split again.")
    async def merged_contacts(
        self,
        info: Info,
        first: First = None,
        after: After = None,
        last: Last = None,
        before: Before = None,
    ) -> Annotated["ContactConnection", strawberry.lazy("resolvers.settings")]:
        from resolvers.settings import ContactConnection, ContactEdge

        return await info.context.loaders.nested(
            MERGED,
            self.row["id"],
            Page(first, after, last, before),
            node=lambda row: Contact(row=row),
            connection=ContactConnection,
            edge=ContactEdge,
        )


@strawberry.type(description="One thing that was said in a conversation, or a private note.")
class Message(Node):
    direction = column(Direction, "direction", "Which way it went.")
    text = column(str, "text", "What was said.")
    external_id = column(str | None, "external_id", "The carrier's id.")
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
        if self.row["reason_id"] is None:
            return None
        row = await info.context.loaders.closing_reasons.load(self.row["reason_id"])
        return ClosingReason.of(row)


@strawberry.type(
    description="One member at the moment of a decision, with what spoke for or against."
)
class Candidate:
    fact: strawberry.Private[Row]

    @strawberry.field(description="The member.")
    async def agent(self, info: Info) -> Agent | None:
        return await agent_of(info, UUID(self.fact["agent_id"]))

    @strawberry.field(description="The verdict.")
    def verdict(self) -> Verdict:
        return Verdict(self.fact["verdict"])

    @strawberry.field(description="How many it held.")
    def load(self) -> int:
        load: int = self.fact["load"]
        return load

    @strawberry.field(description="How many it may hold.")
    def capacity(self) -> int:
        capacity: int = self.fact["capacity"]
        return capacity

    @strawberry.field(description="Its place in the team's order.")
    def position(self) -> int:
        position: int = self.fact["position"]
        return position


@strawberry.type(description="Why: the rule, every candidate with its verdict, the winner.")
class Decision:
    made: strawberry.Private[Row]

    @classmethod
    def of(cls, stored: str | Row | None) -> "Decision | None":
        if stored is None:
            return None
        made = orjson.loads(stored) if isinstance(stored, str) else stored
        return cls(made=made) if "outcome" in made else None

    @strawberry.field(description="The rule that chose the place.")
    def rule(self) -> Rule:
        return Rule(self.made["rule"])

    @strawberry.field(description="What it came to.")
    def outcome(self) -> Outcome:
        return Outcome(self.made["outcome"])

    @strawberry.field(description="The team's distribution; null for a choice by hand.")
    def distribution(self) -> Distribution | None:
        value = self.made.get("distribution")
        return Distribution(value) if value else None

    @strawberry.field(description="What told equal candidates apart.")
    def tie_break(self) -> TieBreak | None:
        value = self.made.get("tie_break")
        return TieBreak(value) if value else None

    @strawberry.field(description="The rules that could have decided and why they did not.")
    def passed_over(self) -> list[Reason]:
        routed = self.made.get("routed") or {}
        return [Reason(reason) for reason in routed.get("passed", ())]

    @strawberry.field(description="The winner.")
    async def winner(self, info: Info) -> Agent | None:
        winner = self.made.get("winner")
        return await agent_of(info, UUID(winner)) if winner else None

    @strawberry.field(description="Every member, in order; empty for a choice by hand.")
    def candidates(self) -> list[Candidate]:
        return [Candidate(fact=fact) for fact in self.made["candidates"]]


@strawberry.type(description="The time during which one agent held one conversation.")
class Assignment(Node):
    rule = column(Rule, "rule", "The rule that gave it.")
    started_at = column(datetime, "started_at", "Since when.")
    ended_at = column(datetime | None, "ended_at", "Until when; null while it lasts.")
    ending = column(Ending | None, "ending", "How it ended.")

    @strawberry.field(description="Who holds or held it.")
    async def agent(self, info: Info) -> Agent | None:
        return await agent_of(info, self.row["agent_id"])

    @strawberry.field(description="The decision that gave it.")
    def decision(self) -> Decision | None:
        return Decision.of(self.row["decision"])


async def agent_of(info: Info, id: UUID | None) -> Agent | None:
    row = None if id is None else await info.context.loaders.agents.load(id)
    return Agent.of(row)


async def team_of(info: Info, id: UUID | None) -> Team | None:
    row = None if id is None else await info.context.loaders.teams.load(id)
    return Team.of(row)


async def queue_of(info: Info, id: UUID | None) -> Queue | None:
    """The team's queue, if the asker sees it."""
    if id is None or not await info.context.sees_queue(id):
        return None
    row = await info.context.loaders.teams.load(id)
    return Queue.of(row)


def seconds_between(start: datetime, end: datetime) -> int:
    return max(0, int((end - start).total_seconds()))
