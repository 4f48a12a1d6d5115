"""The log as lists: the whole of it for integrators, a conversation's part as its history."""

from typing import Annotated, Any
from uuid import UUID

import strawberry

from models import log, log_page
from models.event import Kind
from models.log import Event, Position
from models.log_page import LogPage
from models.retention import EVENT_RETENTION_DAYS
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

    ticket_id: strawberry.ID | None = strawberry.field(
        default=None, description="About this ticket."
    )

    def parts(self) -> log.Filter:
        """The filter in the log's terms."""
        return log.Filter(
            # Said twice, a kind is said once: there are only so many.
            kinds=None if self.kinds is None else list(dict.fromkeys(self.kinds)),
            conversation_id=decode_maybe("Conversation", self.conversation_id),
            queue_id=decode_maybe("Queue", self.queue_id),
            agent_id=decode_maybe("Agent", self.agent_id),
            ticket_id=decode_maybe("Ticket", self.ticket_id),
        )


@strawberry.type(description="An event of a page.")
class EventEdge(Edge[LoggedEvent]):
    pass


@strawberry.type(
    description="A page of the log. Where the filter lets little through it may have fewer events "
    "than asked, or none, although more follow: go on while `hasNextPage` says so."
)
class EventConnection:
    edges: list[EventEdge] = strawberry.field(description="The events with their cursors.")
    page_info: PageInfo = strawberry.field(
        description="Where this page stands. Go on after `endCursor` in any case: it is as far as "
        "was looked, which may be beyond the last event, and for the last page the log's end."
    )
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
    @strawberry.field(
        description="The log itself, oldest first; its cursors fit every subscription, and theirs "
        "fit here. Agents read their own part: what they did and what was about themselves. What "
        f"is older than {EVENT_RETENTION_DAYS} days is forgotten, except who changed what was set "
        "up: a filter for such kinds alone reads it from the beginning. An older cursor is "
        "INVALID_CURSOR with the `reason` TOO_OLD, and `goOnAfter` in its extensions is where the "
        "log begins now."
    )
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
        page = Page(first, after, last, before)
        wanted = filter.parts() if filter else log.Filter()
        found = await log_page.page(
            by.workspace_id,
            wanted.within_sight(by),
            size=page.size,
            after=after,
            before=before,
            backward=page.backward,
        )
        return _connection(found, page)


def _connection(found: LogPage, page: Page) -> EventConnection:
    edges = [_edge(event, found.position_of(event)) for event in found.events]
    # The end that the page was read towards is as far as was looked, wherever its last event is.
    far = found.looked_to.cursor() if found.looked_to else None
    start = edges[0].cursor if edges else None
    end = edges[-1].cursor if edges else None
    return EventConnection(
        edges=edges,
        page_info=PageInfo(
            has_next_page=page.before is not None if page.backward else found.is_more,
            has_previous_page=found.is_more if page.backward else page.after is not None,
            start_cursor=(far or start) if page.backward else start,
            end_cursor=end if page.backward else (far or end),
        ),
    )


def _edge(event: Event, position: Position) -> EventEdge:
    return EventEdge(cursor=position.cursor(), node=shown(event, position))
