"""What a resolver knows of its operation: who asks, what to read through, and the streams."""

from functools import cached_property
from typing import TypeAlias
from uuid import UUID

import strawberry

from models.access import Actor, Right
from models.errors import Unauthenticated
from models.stream import Reader
from resolvers.loaders import Loaders


class Context:
    """One operation's context; asking for its actor is what requires one."""

    def __init__(self, *, actor: Actor | None, request_id: str, reader: Reader) -> None:
        self.actor = actor
        self.request_id = request_id
        self.reader = reader

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
        return Loaders(self.by)


Info: TypeAlias = strawberry.Info[Context, None]
