"""The log of a workspace, as far as a filter holds."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Self

from models.database import Read
from models.event_key import WORKSPACE, Key
from models.log import Arms, Event, Filter
from models.scope.base import Rows, Steady
from models.sight import Viewer


@dataclass(frozen=True, slots=True)
class LogScope(Steady):
    """Every event of the workspace that a filter holds for."""

    filter: Filter = field(default_factory=Filter)

    @property
    def keys(self) -> frozenset[Key]:
        """The narrowest that the filter allows."""
        one: tuple[Key, ...] = (
            ("conversation", self.filter.conversation_id),
            ("ticket", self.filter.ticket_id),
            ("agent", self.filter.agent_id),
            ("queue", self.filter.queue_id),
            ("own", self.filter.own_of),
        )
        for key in one:
            if key[1] is not None:
                return frozenset({key})
        if self.filter.kinds is not None:
            return frozenset(("kind", kind) for kind in self.filter.kinds)
        return frozenset({WORKSPACE})

    @property
    def arms(self) -> Arms:
        return self.filter.arms

    def concerns(self, event: Event) -> bool:
        return self.filter.holds(event)

    @classmethod
    async def seen(cls, asked: Sequence[tuple[Self, Viewer]], *, read: Read) -> list[bool]:  # noqa: ARG003 - the scope says
        return [scope.filter.is_within_sight(viewer.actor) for scope, viewer in asked]

    async def rows(self, _viewer: Viewer, *, limit: int, read: Read) -> Rows:  # noqa: ARG002 - the scope says
        return Rows()
