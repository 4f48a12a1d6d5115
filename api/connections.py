"""Who stays connected, by WebSocket or by event stream: counted by actor, ended with its token."""

import asyncio
from collections import Counter, defaultdict
from collections.abc import Hashable, Iterator
from typing import Any, Protocol
from uuid import UUID

from strawberry.types.execution import ExecutionResult

from models.errors import Unauthenticated


class TooManyConnections(Exception):
    """The actor has as many connections as it may."""


class Session(Protocol):
    """Whoever a token stands for, and how long it does."""

    @property
    def owner(self) -> Hashable:
        """Whose connections are counted together."""

    @property
    def token_id(self) -> UUID | None: ...

    @property
    def seconds_left(self) -> float | None:
        """Until the token expires; None for one that never does."""


class Connection(Protocol):
    """A WebSocket or an event stream of somebody who is known."""

    session: Any

    def dismiss(self) -> None:
        """End soon, without waiting for it, because the token no longer counts."""


class Watch(Protocol):
    """Whoever is told of the connections, to end those that should not go on."""

    async def joined(self, session: Any) -> None:
        """Raise Unauthenticated when the session is no longer one."""

    def left(self, session: Any) -> None: ...


class Connections:
    """The authenticated connections of this process, of all transports."""

    def __init__(self, per_actor_max: int) -> None:
        self.watch: Watch | None = None
        self._per_actor_max = per_actor_max
        self._members: defaultdict[Hashable, set[Connection]] = defaultdict(set)
        self._expiries: dict[Connection, asyncio.TimerHandle] = {}

    def __len__(self) -> int:
        return sum(map(len, self._members.values()))

    def __iter__(self) -> Iterator[Connection]:
        """A copy: connections come and go while somebody walks through them."""
        return iter([member for members in self._members.values() for member in members])

    async def join(self, connection: Connection) -> None:
        """Count one more until it leaves; raises TooManyConnections or Unauthenticated."""
        session: Session = connection.session
        seconds_left = session.seconds_left
        if seconds_left is not None and seconds_left <= 0:
            raise Unauthenticated
        members = self._members[session.owner]
        if len(members) >= self._per_actor_max:
            raise TooManyConnections
        members.add(connection)
        if seconds_left is not None:
            loop = asyncio.get_running_loop()
            self._expiries[connection] = loop.call_later(seconds_left, connection.dismiss)
        if self.watch:
            await self.watch.joined(session)

    def leave(self, connection: Connection) -> None:
        """Forget a connection, whether it ever joined or not."""
        session = connection.session
        if session is None or connection not in self._members.get(session.owner, ()):
            return
        self._members[session.owner].remove(connection)
        if not self._members[session.owner]:
            del self._members[session.owner]
        if expiry := self._expiries.pop(connection, None):
            expiry.cancel()
        if self.watch:
            self.watch.left(session)

    def close_token(self, token_id: UUID) -> int:
        """Start ending every connection of a revoked token; returns how many there are."""
        concerned = [member for member in self if member.session.token_id == token_id]
        for connection in concerned:
            connection.dismiss()
        return len(concerned)


def require_admitted(result: Any) -> None:
    """Raise Unauthenticated when a result for somebody with a token says that it ended.

    To send that result would be to end the operation for good, and no client would go on with it
    under a new token.
    """
    if not isinstance(result, ExecutionResult) or not result.errors:
        return
    if any((error.extensions or {}).get("code") == Unauthenticated.code for error in result.errors):
        raise Unauthenticated


class Strangers:
    """Sockets that did not yet say whose they are: few at once, in all and from one address."""

    def __init__(self, in_all_max: int, per_address_max: int) -> None:
        self._in_all_max = in_all_max
        self._per_address_max = per_address_max
        self._addresses: Counter[str] = Counter()

    def enter(self, address: str) -> bool:
        """False when there are too many; else `leave` has to follow."""
        if self._addresses.total() >= self._in_all_max:
            return False
        if self._addresses[address] >= self._per_address_max:
            return False
        self._addresses[address] += 1
        return True

    def leave(self, address: str) -> None:
        self._addresses[address] -= 1
        if not self._addresses[address]:
            del self._addresses[address]


class Allowance:
    """How often something may happen: a full bucket at first, which refills steadily."""

    def __init__(self, burst: int, per_minute: float) -> None:
        self._burst = float(burst)
        self._per_second = per_minute / 60
        self._left = self._burst
        self._counted_at: float | None = None

    def take(self, now: float) -> bool:
        """Whether it may happen once more, `now` being of any clock that only goes forward."""
        if self._counted_at is not None:
            refilled = self._left + (now - self._counted_at) * self._per_second
            self._left = min(self._burst, refilled)
        self._counted_at = now
        if self._left < 1:
            return False
        self._left -= 1
        return True
