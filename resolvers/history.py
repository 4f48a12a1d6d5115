"""The log as lists: the whole of it for integrators, a conversation's part as its history."""

from typing import Annotated, Any
from uuid import UUID

import strawberry

from models import log
from models.access import Right
from models.event import Kind
from models.log import Event, Position
from resolvers.context import Info
from resolvers.events import shown
from resolvers.ids import decode_maybe
from resolvers.logged_event import LoggedEvent
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
    PageInfo,
    number,
)
from resolvers.types import Row


@strawberry.input(description="Which events; what is left out does not matter.")
class EventFilter:
    kinds: list[Kind] | None = strawberry.field(default=None, description="Any of these.")
    conversation_id: strawberry.ID | None = strawberry.field(
        default=None, description="About this conversation."
    )
    queue_id: strawberry.ID | None = strawberry.field(
        default=None, description="Into, in or out of this queue."
    )
    agent_id: strawberry.ID | None = strawberry.field(
        default=None, description="About what this agent held before or afterwards."
    )

    def parts(self) -> log.Filter:
        """The filter in the log's terms."""
        return log.Filter(
            kinds=self.kinds,
            conversation_id=decode_maybe("Conversation", self.conversation_id),
            queue_id=decode_maybe("Queue", self.queue_id),
            agent_id=decode_maybe("Agent", self.agent_id),
        )


@strawberry.type(description="An event of a page.")
class EventEdge(Edge[LoggedEvent]):
    pass


@strawberry.type(description="A page of the log.")
class EventConnection:
    edges: list[EventEdge] = strawberry.field(description="The events with their cursors.")
    page_info: PageInfo = strawberry.field(description="Where this page stands.")
    total_count: int | None = strawberry.field(
        default=None, description="Not counted for a log; the newest `seq` tells."
    )

    @strawberry.field(description="The events without their cursors.")
    def nodes(self) -> list[LoggedEvent]:
        return [edge.node for edge in self.edges]


HISTORY = Nested(
    f"""
    SELECT {log.COLUMNS}, e.workspace_id AS id FROM events e
    WHERE e.workspace_id = $1 AND e.conversation_id = p.id
    """,  # noqa: S608 - constants
    Keyset("seq", parse=number),
)


@strawberry.type(description="An event of a conversation's history.")
class ConversationEventEdge(Edge[LoggedEvent]):
    pass


@strawberry.type(description="A page of a conversation's history.")
class ConversationEventConnection(Connection[LoggedEvent]):
    pass


async def history_of(info: Info, id: UUID, page: Page) -> ConversationEventConnection:
    """What happened in a conversation that the asker sees, the first event first."""
    head = await info.context.loaders.log_heads.load(info.context.by.workspace_id)

    def node(row: Row) -> Any:
        event = Event.of(row)
        return shown(event, Position(head.epoch, event.seq, event.logged_at))

    return await info.context.loaders.nested(
        HISTORY,
        id,
        page,
        node=node,
        connection=ConversationEventConnection,
        edge=ConversationEventEdge,
    )


@strawberry.type
class EventQuery:
    @strawberry.field(description="The log itself, oldest first; cursors fit every subscription.")
    async def events(
        self,
        info: Info,
        filter: Annotated[
            EventFilter | None, strawberry.argument(description="Which ones.")
        ] = None,
        first: First = None,
        after: After = None,
        last: Last = None,
        before: Before = None,
    ) -> EventConnection:
        by = info.context.by
        by.require(Right.READ_LOG)
        page = Page(first, after, last, before)
        head = await log.head(by.workspace_id)
        found = await log.page(
            head,
            by.workspace_id,
            filter.parts() if filter else log.Filter(),
            size=page.size + 1,
            after=after,
            before=before,
            backward=page.backward,
        )
        more = len(found) > page.size
        kept = found[: page.size]
        if page.backward:
            kept = kept[::-1]
        return _connection(kept, head, page, more=more)


def _connection(events: list[Event], head: log.Head, page: Page, *, more: bool) -> EventConnection:
    edges = [_edge(event, head) for event in events]
    return EventConnection(
        edges=edges,
        page_info=PageInfo(
            has_next_page=page.before is not None if page.backward else more,
            has_previous_page=more if page.backward else page.after is not None,
            start_cursor=edges[0].cursor if edges else None,
            end_cursor=edges[-1].cursor if edges else None,
        ),
    )


def _edge(event: Event, head: log.Head) -> EventEdge:
    position = Position(head.epoch, event.seq, event.logged_at)
    return EventEdge(cursor=position.cursor(), node=shown(event, position))
