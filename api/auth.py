"""Who asks: from a bearer token to an actor."""

import time
from collections.abc import Hashable
from dataclasses import dataclass
from uuid import UUID

from models.access import Actor
from models.token import actor_of


@dataclass(frozen=True, slots=True)
class Caller:
    """The actor behind a token, and until when by the monotonic clock it stands for it."""

    actor: Actor
    ends_at: float | None

    @property
    def token_id(self) -> UUID | None:
        return self.actor.token_id

    @property
    def owner(self) -> Hashable:
        """The agent, whichever of its tokens it came with, or the script."""
        return self.actor.id

    @property
    def seconds_left(self) -> float | None:
        return None if self.ends_at is None else self.ends_at - time.monotonic()


async def authenticate(token: str | None) -> Caller | None:
    """None for a stranger without a token; raises Unauthenticated for a token that ended."""
    if token is None:
        return None
    # Before the database's clock is read: what we count from then on ends early, never late.
    asked_at = time.monotonic()
    actor, seconds_left = await actor_of(token)
    return Caller(actor, None if seconds_left is None else asked_at + seconds_left)
