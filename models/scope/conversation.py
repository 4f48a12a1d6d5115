"""One conversation."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self
from uuid import UUID

from models.database import Read
from models.event import Kind
from models.event_key import Key
from models.log import Arms, Event, Filter
from models.scope.base import Rows, Steady, conversations
from models.sight import Viewer
from models.visibility import visible

# Who held it when it was closed sees it until it is open again; a newer version may know more.
_MOVES = frozenset({Kind.CONVERSATION_CLOSED, Kind.CONVERSATION_REOPENED, Kind.OTHER})
_SEEN = f"""
    SELECT a.place FROM unnest(
        $1::int[], $2::uuid[], $3::uuid[], $4::bool[], $5::uuid[], $6::text[]
    ) AS a(place, id, workspace_id, everything, agent_id, teams)
    JOIN conversations ON conversations.id = a.id
    WHERE {visible("a.workspace_id", "a.everything", "a.agent_id", "a.teams::uuid[]")}
"""  # noqa: S608 - constants


@dataclass(frozen=True, slots=True)
class ConversationScope(Steady):
    """One conversation."""

    conversation_id: UUID

    @property
    def keys(self) -> frozenset[Key]:
        return frozenset({("conversation", self.conversation_id)})

    @property
    def arms(self) -> Arms:
        return Filter(conversation_id=self.conversation_id).arms

    def concerns(self, event: Event) -> bool:
        return event.conversation_id == self.conversation_id

    def moves_access(self, event: Event) -> bool:
        return self.concerns(event) and moves(event)

    @classmethod
    async def seen(cls, asked: Sequence[tuple[Self, Viewer]], *, read: Read) -> list[bool]:
        seen = [viewer.visibility for _, viewer in asked]
        rows = await read(
            _SEEN,
            list(range(len(asked))),
            [scope.conversation_id for scope, _ in asked],
            [each.workspace_id for each in seen],
            [each.everything for each in seen],
            [each.agent_id for each in seen],
            ["{" + ",".join(map(str, each.team_ids)) + "}" for each in seen],
        )
        places = {row["place"] for row in rows}
        return [place in places for place in range(len(asked))]

    async def rows(self, viewer: Viewer, *, limit: int, read: Read) -> Rows:
        one = "conversations.id = $5"
        return Rows(
            await conversations(one, self.conversation_id, viewer=viewer, limit=limit, read=read)
        )


def moves(event: Event) -> bool:
    """Whether a conversation's event can change who sees the conversation."""
    return (
        event.from_agent_id != event.to_agent_id
        or event.from_team_id != event.to_team_id
        or event.kind in _MOVES
    )
