"""The work of one agent: what it holds."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self
from uuid import UUID

from models.database import Read
from models.event_key import Key
from models.log import Arms, Event, Filter
from models.scope.base import Rows, Steady, conversations
from models.sight import Viewer


@dataclass(frozen=True, slots=True)
class InboxScope(Steady):
    """The work of one agent: what it holds."""

    agent_id: UUID

    @property
    def keys(self) -> frozenset[Key]:
        return frozenset({("agent", self.agent_id)})

    @property
    def arms(self) -> Arms:
        return Filter(agent_id=self.agent_id).arms

    def concerns(self, event: Event) -> bool:
        return self.agent_id in (event.from_agent_id, event.to_agent_id)

    @classmethod
    async def seen(cls, asked: Sequence[tuple[Self, Viewer]], *, read: Read) -> list[bool]:  # noqa: ARG003 - the scope says
        return [viewer.actor.agent_id == scope.agent_id for scope, viewer in asked]

    async def rows(self, viewer: Viewer, *, limit: int, read: Read) -> Rows:
        held = "assignee_id = $5 ORDER BY last_activity_at, conversations.id"
        return Rows(await conversations(held, self.agent_id, viewer=viewer, limit=limit, read=read))
