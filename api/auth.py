"""Who asks: from a bearer token to an actor."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from models.access import Actor
from models.token import actor_of


@dataclass(frozen=True, slots=True)
class Caller:
    """The actor behind a token, and until when it stands for it."""

    actor: Actor
    expires_at: datetime | None

    @property
    def token_id(self) -> UUID | None:
        return self.actor.token_id


async def authenticate(token: str | None) -> Caller | None:
    """None for a stranger without a token; raises Unauthenticated for a token that ended."""
    if token is None:
        return None
    actor, expires_at = await actor_of(token)
    return Caller(actor, expires_at)
