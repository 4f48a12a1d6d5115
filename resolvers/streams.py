"""Subscriptions: a snapshot or a resumed position first, then every event, in order."""

from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from datetime import datetime
from typing import Annotated, Any, Union

import strawberry

from models.errors import Forbidden
from models.log import Filter
from models.subscription import (
    SNAPSHOT_SIZE_MAX,
    ConversationScope,
    InboxScope,
    Item,
    Logged,
    LogScope,
    Mark,
    QueueScope,
    Reset,
    ResetReason,
    Resumed,
    Scope,
    Snapshot,
    TeamScope,
    TicketScope,
    subscribe_in_batches,
)
from resolvers import events
from resolvers.context import Info
from resolvers.conversation import Conversation
from resolvers.history import EventFilter
from resolvers.ids import decode
from resolvers.settings import Id
from resolvers.sharing import Feed
from resolvers.ticket import Ticket
from resolvers.types import Agent

Cursor = Annotated[
    str | None, strawberry.argument(description="Go on after this cursor, from any server.")
]


@strawberry.type(description="What the stream is about, at one position of the log.")
class StreamSnapshot:
    cursor: str = strawberry.field(description="Go on after this snapshot with it: `after`.")
    occurred_at: datetime = strawberry.field(description="When the log stood there.")
    is_complete: bool = strawberry.field(
        description="Whether these are all; if not, page through the rest with a query."
    )
    conversations: list[Conversation] = strawberry.field(
        description=f"The conversations concerned; at most {SNAPSHOT_SIZE_MAX}."
    )
    agents: list[Agent] = strawberry.field(
        description=f"The agents concerned; at most {SNAPSHOT_SIZE_MAX}."
    )
    tickets: list[Ticket] = strawberry.field(description="The tickets concerned: one, or none.")


@strawberry.type(description="The stream goes on directly after the cursor that was sent.")
class StreamResumed:
    cursor: str = strawberry.field(description="The cursor that was sent.")
    occurred_at: datetime = strawberry.field(description="When the log stood there.")


@strawberry.type(description="What came since cannot be told any more; a fresh snapshot follows.")
class StreamReset:
    cursor: str = strawberry.field(description="Where the fresh snapshot stands.")
    occurred_at: datetime = strawberry.field(description="When the log stood there.")
    reason: ResetReason = strawberry.field(description="Why.")


@strawberry.type(
    description="The log has moved, and nothing of it concerned this stream: keep the cursor, so "
    "that it stays young enough to go on after it."
)
class StreamMark:
    cursor: str = strawberry.field(description="Go on after it: `after`.")
    occurred_at: datetime = strawberry.field(description="When the log stood there.")


_TYPES: Any = (
    StreamSnapshot,
    StreamResumed,
    StreamReset,
    StreamMark,
    events.ConversationEntered,
    events.ConversationLeft,
    *events.MEMBERS,
)
StreamItem = Annotated[
    Union[_TYPES],  # noqa: UP007 - made from a tuple
    strawberry.union("StreamItem", description="What a subscription sends."),
]


@strawberry.type(description="Live streams; each can be resumed.")
class Subscription:
    @strawberry.subscription(
        graphql_type=StreamItem, description="A queue: who waits, who comes, who goes."
    )
    async def queue_changed(
        self, info: Info, queue_id: Id, after: Cursor = None
    ) -> AsyncGenerator[Any, None]:
        team_id = decode("Queue", queue_id)

        def show(item: Item) -> Any:
            if isinstance(item, Logged):
                return events.shown_in_queue(item.event, item.position, team_id)
            return _show(item)

        return _stream(info, QueueScope(team_id), after, show)

    @strawberry.subscription(graphql_type=StreamItem, description="One conversation.")
    async def conversation_changed(
        self, info: Info, conversation_id: Id, after: Cursor = None
    ) -> AsyncGenerator[Any, None]:
        scope = ConversationScope(decode("Conversation", conversation_id))
        return _stream(info, scope, after)

    @strawberry.subscription(
        graphql_type=StreamItem, description="Your own work: what you hold, gain and lose."
    )
    async def inbox_changed(self, info: Info, after: Cursor = None) -> AsyncGenerator[Any, None]:
        agent_id = info.context.by.agent_id
        if agent_id is None:
            raise Forbidden("have an inbox: only a person has")
        return _stream(info, InboxScope(agent_id), after)

    @strawberry.subscription(
        graphql_type=StreamItem,
        description="A team: itself, and whether its members are there, work, and how much they "
        "hold.",
    )
    async def team_changed(
        self, info: Info, team_id: Id, after: Cursor = None
    ) -> AsyncGenerator[Any, None]:
        return _stream(info, TeamScope(decode("Team", team_id)), after)

    @strawberry.subscription(
        graphql_type=StreamItem, description="One ticket: what it says, and what is done about it."
    )
    async def ticket_changed(
        self, info: Info, ticket_id: Id, after: Cursor = None
    ) -> AsyncGenerator[Any, None]:
        return _stream(info, TicketScope(decode("Ticket", ticket_id)), after)

    @strawberry.subscription(
        graphql_type=StreamItem,
        description="The log itself, for integrators; it has no state, so its snapshot is only a "
        "cursor. Agents get their own part: what they do and what is about themselves.",
    )
    async def workspace_events(
        self,
        info: Info,
        filter: Annotated[
            EventFilter | None, strawberry.argument(description="Which ones.")
        ] = None,
        after: Cursor = None,
    ) -> AsyncGenerator[Any, None]:
        wanted = filter.parts() if filter else Filter()
        return _stream(info, LogScope(wanted.within_sight(info.context.by)), after)


async def _stream(
    info: Info, scope: Scope, after: str | None, show: Callable[[Item], Any] | None = None
) -> AsyncGenerator[Feed, None]:
    """What a scope tells, in one piece."""
    by = info.context.by
    batches = subscribe_in_batches(info.context.reader, scope, by=by, after=after)
    async with aclosing(batches):
        yield Feed(batches, show or _show)


def _show(item: Item) -> Any:
    cursor, occurred_at = item.position.cursor(), item.position.at
    match item:
        case Logged():
            return events.shown(item.event, item.position)
        case Snapshot():
            return StreamSnapshot(
                cursor=cursor,
                occurred_at=occurred_at,
                is_complete=item.is_complete,
                conversations=[Conversation(row=row) for row in item.conversations],
                agents=[Agent(row=row) for row in item.agents],
                tickets=[Ticket(row=row) for row in item.tickets],
            )
        case Reset():
            return StreamReset(cursor=cursor, occurred_at=occurred_at, reason=item.reason)
        case Resumed():
            return StreamResumed(cursor=cursor, occurred_at=occurred_at)
        case Mark():
            return StreamMark(cursor=cursor, occurred_at=occurred_at)
