"""What a resolver knows of its operation: who asks, what to read through, and the streams."""

from functools import cached_property
from typing import TypeAlias
from uuid import UUID

import strawberry

from models.access import Actor, Right
from models.errors import Unauthenticated
from models.sight import Sight
from models.stream import Reader
from resolvers.loaders import Loaders
from resolvers.onlooker import Notes, OnlookerLoaders


class Context:
    """One operation's context; asking for its actor is what requires one."""

    def __init__(
        self,
        *,
        actor: Actor | None,
        request_id: str,
        reader: Reader,
        loaders: Loaders | None = None,
    ) -> None:
        self.actor = actor
        self.request_id = request_id
        self.reader = reader
        self._loaders = loaders

    @property
    def by(self) -> Actor:
        """Whoever asks; raises Unauthenticated for a stranger."""
        if self.actor is None:
            raise Unauthenticated
        return self.actor

    async def sees_queue(self, id: UUID) -> bool:
        """Whether the actor sees the queue of a team of its workspace, now."""
        return self.by.may(Right.SEE_ALL) or await self.loaders.queues_seen.load(id)

    @cached_property
    def loaders(self) -> Loaders:
        return self._loaders or Loaders(self.by)

    def seen_by(self, actor: Actor) -> "Context":
        """The same operation for one event, asked by an actor as it is then."""
        return Context(actor=actor, request_id=self.request_id, reader=self.reader)

    def shared_by(self, sight: Sight, notes: Notes) -> "Context":
        """The same for one event and for all of a sight, noting for whom it would be another."""
        loaders = OnlookerLoaders(sight, notes)
        return Context(
            actor=loaders.actor, request_id=self.request_id, reader=self.reader, loaders=loaders
        )


Info: TypeAlias = strawberry.Info[Context, None]
