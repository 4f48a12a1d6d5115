"""Subscriptions: a snapshot or a resumed position first, then every event, in order."""

from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from datetime import datetime
from typing import Annotated, Any, Union

import strawberry

from models.errors import Forbidden
from models.subscription import (
    ConversationScope,
    InboxScope,
    Item,
    Logged,
    Mark,
    QueueScope,
    Reset,
    ResetReason,
    Resumed,
    Scope,
    Snapshot,
    subscribe,
)
from resolvers import events
from resolvers.context import Info
from resolvers.conversation import Conversation
from resolvers.ids import decode
from resolvers.settings import Id
from resolvers.types import Row

Cursor = Annotated[
    str | None, strawberry.argument(description="Go on after this cursor, from any server.")
]


@strawberry.type(description="What the stream is about, at one position of the log.")
class StreamSnapshot:
    cursor: str = strawberry.field(description="Go on after this snapshot with it: `after`.")
    occurred_at: datetime = strawberry.field(description="When the log stood there.")
    is_complete: bool = strawberry.field(
        description="Whether these are all conversations; page through the rest with a query."
    )
    rows: strawberry.Private[list[Row]]

    @strawberry.field(description="The conversations concerned.")
    def conversations(self) -> list[Conversation]:
        return [Conversation(row=row) for row in self.rows]


@strawberry.type(description="The stream goes on directly after the cursor that was sent.")
class StreamResumed:
    cursor: str = strawberry.field(description="The cursor that was sent.")
    occurred_at: datetime = strawberry.field(description="When the log stood there.")


@strawberry.type(description="The cursor is of no use any more; a fresh snapshot follows.")
class StreamReset:
    cursor: str = strawberry.field(description="Where the fresh snapshot stands.")
    occurred_at: datetime = strawberry.field(description="When the log stood there.")
    reason: ResetReason = strawberry.field(description="Why.")


_TYPES: Any = (
    StreamSnapshot,
    StreamResumed,
    StreamReset,
    events.ConversationEntered,
    events.ConversationLeft,
    *events.MEMBERS,
)
StreamItem = Annotated[
    Union[_TYPES],  # noqa: UP007 - made from a tuple
    strawberry.union("StreamItem", description="What a subscription sends."),
]
Show = Callable[[Logged], Any]


@strawberry.type(description="Live streams; each can be resumed.")
class Subscription:
    @strawberry.subscription(
        graphql_type=StreamItem, description="A queue: who waits, who comes, who goes."
    )
    async def queue_changed(
        self, info: Info, queue_id: Id, after: Cursor = None
    ) -> AsyncGenerator[Any, None]:
        team_id = decode("Queue", queue_id)

        def show(logged: Logged) -> Any:
            return events.shown_in_queue(logged.event, logged.position, team_id)

        return _stream(info, QueueScope(team_id), after, show)

    @strawberry.subscription(graphql_type=StreamItem, description="One conversation.")
    async def conversation_changed(
        self, info: Info, conversation_id: Id, after: Cursor = None
    ) -> AsyncGenerator[Any, None]:
        scope = ConversationScope(decode("Conversation", conversation_id))
        return _stream(info, scope, after, _show)

    @strawberry.subscription(
        graphql_type=StreamItem, description="Your own work: what you hold, gain and lose."
    )
    async def inbox_changed(self, info: Info, after: Cursor = None) -> AsyncGenerator[Any, None]:
        agent_id = info.context.by.agent_id
        if agent_id is None:
            raise Forbidden("have an inbox: only a person has")
        return _stream(info, InboxScope(agent_id), after, _show)


async def _stream(
    info: Info, scope: Scope, after: str | None, show: Show
) -> AsyncGenerator[Any, None]:
    stream = subscribe(info.context.reader, scope, by=info.context.by, after=after)
    async with aclosing(stream):
        async for item in stream:
            if not isinstance(item, Mark):
                yield _item(item, show)


def _show(logged: Logged) -> Any:
    return events.shown(logged.event, logged.position)


def _item(item: Item, show: Show) -> Any:
    match item:
        case Logged():
            return show(item)
        case Snapshot():
            return StreamSnapshot(
                cursor=item.position.cursor(),
                occurred_at=item.position.at,
                is_complete=item.is_complete,
                rows=item.conversations,
            )
        case Resumed():
            return StreamResumed(cursor=item.position.cursor(), occurred_at=item.position.at)
        case Reset():
            return StreamReset(
                cursor=item.position.cursor(), occurred_at=item.position.at, reason=item.reason
            )
