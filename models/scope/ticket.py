"""One ticket: what it says, what was done about it, what was linked to it."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Self
from uuid import UUID

from models.database import Read
from models.event import Kind
from models.event_key import Key
from models.log import Arms, Event, Filter
from models.scope.base import Rows
from models.scope.conversation import moves
from models.sight import Viewer
from models.ticket.record import Ticket
from models.ticket.search import COLUMNS
from models.visibility import quoted

# An agent may see a ticket by way of its conversations: so many are watched, besides its contact's.
WATCHED_MAX = 1_000
# Viewers whose sight is asked for in one statement, each with a condition of its own.
VIEWERS_MAX = 50
# What shows a ticket, of what can be changed of it; and its events that change nothing else.
_SHOWING = frozenset({"assignee_id", "department_id", "requester_id"})
_SAID_OR_DONE = frozenset({Kind.TICKET_UPDATED, Kind.TICKET_ACTION_ADDED})
# An agent may see a ticket by way of its contact, too.
_OF_CONTACTS = frozenset({Kind.CONTACT_OWNER_SET, Kind.CONTACT_MERGED, Kind.CONTACT_SPLIT})


@dataclass(frozen=True, slots=True)
class TicketScope:
    """One ticket."""

    ticket_id: UUID

    async def course(self, _seq: int, viewer: Viewer, *, read: Read) -> "TicketCourse":
        """With whatever shows the ticket to an agent now, so that its loss is noticed."""
        if Ticket.are_all_visible_to(viewer.actor):
            return TicketCourse(self.ticket_id)
        rows = await read(
            """
            SELECT t.requester_id, ARRAY(
                SELECT c.id FROM conversations c WHERE c.ticket_id = t.id
                ORDER BY c.last_activity_at DESC LIMIT $3) AS linked
            FROM tickets t WHERE t.workspace_id = $1 AND t.id = $2
            """,
            viewer.actor.workspace_id,
            self.ticket_id,
            WATCHED_MAX,
        )
        return TicketCourse(
            self.ticket_id,
            frozenset(("contact", row["requester_id"]) for row in rows)
            | frozenset(("conversation", id) for row in rows for id in row["linked"]),
        )

    @classmethod
    async def seen(cls, asked: Sequence[tuple[Self, Viewer]], *, read: Read) -> list[bool]:
        places: set[int] = set()
        for start in range(0, len(asked), VIEWERS_MAX):
            batch = list(enumerate(asked))[start : start + VIEWERS_MAX]
            selects = [_select(place, scope.ticket_id, viewer) for place, (scope, viewer) in batch]
            places.update(row["place"] for row in await read(" UNION ALL ".join(selects)))
        return [place in places for place in range(len(asked))]

    async def rows(self, viewer: Viewer, *, limit: int, read: Read) -> Rows:
        rows = await read(
            f"""
            SELECT {COLUMNS} FROM tickets WHERE workspace_id = $1 AND id = $2
              AND {Ticket.sight_of(viewer.actor, viewer.visibility)} LIMIT $3
            """,  # noqa: S608 - constants and ids
            viewer.actor.workspace_id,
            self.ticket_id,
            limit,
        )
        return Rows(tickets=[dict(row) for row in rows])


def _select(place: int, ticket_id: UUID, viewer: Viewer) -> str:
    """A row with a place if the viewer sees a ticket."""
    return f"""
        SELECT {place} AS place FROM tickets
        WHERE id = {quoted(ticket_id)} AND workspace_id = {quoted(viewer.actor.workspace_id)}
          AND {Ticket.sight_of(viewer.actor, viewer.visibility)}
    """  # noqa: S608 - ids


@dataclass(frozen=True, slots=True)
class TicketCourse:
    """A ticket, and what shows it to whoever does not see every ticket."""

    ticket_id: UUID
    shown_by: frozenset[Key] = field(default=frozenset())

    @property
    def keys(self) -> frozenset[Key]:
        return frozenset({("ticket", self.ticket_id), *self.shown_by})

    @property
    def arms(self) -> Arms:
        return Filter(ticket_id=self.ticket_id).arms

    def concerns(self, event: Event) -> bool:
        return self.ticket_id in event.ticket_ids

    def moves_access(self, event: Event) -> bool:
        """Other people, links and contacts of it do, and what takes away a conversation of it."""
        if event.kind in _SAID_OR_DONE:
            return not _SHOWING.isdisjoint(event.data.get("changed", ()))
        return self.concerns(event) or event.kind in _OF_CONTACTS or moves(event)

    def after(self, _event: Event) -> "TicketCourse":
        return self

    async def shown_to(self, viewer: Viewer, *, read: Read) -> "TicketCourse":
        return await TicketScope(self.ticket_id).course(0, viewer, read=read)
