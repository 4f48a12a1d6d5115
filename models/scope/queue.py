"""The waiting conversations of one team."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self
from uuid import UUID

from models.access import Right
from models.database import Read
from models.event_key import Key
from models.log import Arms, Event, Filter
from models.scope.base import Rows, Steady, conversations
from models.scope.team import teams_of
from models.sight import Viewer


@dataclass(frozen=True, slots=True)
class QueueScope(Steady):
    """The waiting conversations of one team."""

    team_id: UUID

    @property
    def keys(self) -> frozenset[Key]:
        return frozenset({("queue", self.team_id)})

    @property
    def arms(self) -> Arms:
        return Filter(queue_id=self.team_id).arms

    def concerns(self, event: Event) -> bool:
        return self.team_id in (event.from_queue_id, event.to_queue_id)

    @classmethod
    async def seen(cls, asked: Sequence[tuple[Self, Viewer]], *, read: Read) -> list[bool]:
        of_all = [(scope.team_id, viewer) for scope, viewer in asked if _sees_all(viewer)]
        known = await teams_of([id for id, _ in of_all], read=read)
        return [
            known.get(scope.team_id) == viewer.actor.workspace_id
            if _sees_all(viewer)
            else scope.team_id in viewer.sight.team_ids
            for scope, viewer in asked
        ]

    async def rows(self, viewer: Viewer, *, limit: int, read: Read) -> Rows:
        waiting = "team_id = $5 AND status = 'QUEUED' ORDER BY queued_at, id"
        return Rows(
            await conversations(waiting, self.team_id, viewer=viewer, limit=limit, read=read)
        )


def _sees_all(viewer: Viewer) -> bool:
    return viewer.actor.may(Right.SEE_ALL)
