"""What a subscriber follows: a snapshot or a resumed position, then every event of its scope.

A scope says what belongs to it, what its state is at one instant, and whether the subscriber may
still see it; the rest is the same for all.
"""

from collections.abc import AsyncGenerator
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Protocol
from uuid import UUID

from models import event, log
from models.access import Actor
from models.conversation import Conversation, Status
from models.database import snapshot
from models.errors import NotFound
from models.log import Event, Position
from models.sight import Sight
from models.stream import Reader
from models.team import Team
from models.token import actor_of_token

SNAPSHOT_SIZE_MAX = 500


class ResetReason(StrEnum):
    """Why a cursor could not be resumed."""

    TOO_OLD = "TOO_OLD"
    OTHER_HISTORY = "OTHER_HISTORY"


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The state of a scope at one position of the log."""

    position: Position
    conversation_ids: list[UUID]
    is_complete: bool


@dataclass(frozen=True, slots=True)
class Resumed:
    """The stream goes on directly after this position."""

    position: Position


@dataclass(frozen=True, slots=True)
class Reset:
    """The cursor is of no use any more; a fresh snapshot follows."""

    position: Position
    reason: ResetReason


@dataclass(frozen=True, slots=True)
class Logged:
    """An event of the scope, and the position after it."""

    position: Position
    event: Event
    sight: Sight


Item = Snapshot | Resumed | Reset | Logged


class Scope(Protocol):
    """What one subscription is about."""

    def concerns(self, event: Event) -> bool:
        """Whether an event belongs to this scope."""

    def moves_access(self, _event: Event) -> bool:
        """Whether an event can change who sees this scope, beyond memberships and roles."""

    async def is_visible_to(self, actor: Actor) -> bool:
        """Whether the actor may see this scope now."""

    async def conversations(self) -> list[UUID]:
        """What the scope shows now, one more than a snapshot holds when there is more."""


@dataclass(frozen=True, slots=True)
class QueueScope:
    """The waiting conversations of one team."""

    team_id: UUID

    def concerns(self, event: Event) -> bool:
        return self.team_id in (event.from_queue_id, event.to_queue_id)

    def moves_access(self, _event: Event) -> bool:
        return False

    async def is_visible_to(self, actor: Actor) -> bool:
        return self.team_id in await Team.queues_visible_to(actor)

    async def conversations(self) -> list[UUID]:
        return await _ids(
            Conversation.filter(team_id=self.team_id, status=Status.QUEUED).order_by(
                "queued_at", "id"
            )
        )


@dataclass(frozen=True, slots=True)
class ConversationScope:
    """One conversation."""

    conversation_id: UUID

    def concerns(self, event: Event) -> bool:
        return event.conversation_id == self.conversation_id

    def moves_access(self, _event: Event) -> bool:
        return self.concerns(_event)

    async def is_visible_to(self, actor: Actor) -> bool:
        return await (await Conversation.visible_to(actor)).filter(id=self.conversation_id).exists()

    async def conversations(self) -> list[UUID]:
        return [self.conversation_id]


@dataclass(frozen=True, slots=True)
class InboxScope:
    """The work of one agent: what it holds."""

    agent_id: UUID

    def concerns(self, event: Event) -> bool:
        return self.agent_id in (event.from_agent_id, event.to_agent_id)

    def moves_access(self, _event: Event) -> bool:
        return False

    async def is_visible_to(self, actor: Actor) -> bool:
        return actor.agent_id == self.agent_id

    async def conversations(self) -> list[UUID]:
        return await _ids(
            Conversation.filter(assignee_id=self.agent_id).order_by("last_activity_at", "id")
        )


async def _ids(conversations: Any) -> list[UUID]:
    rows = await conversations.limit(SNAPSHOT_SIZE_MAX + 1).values_list("id", flat=True)
    return list(rows)


async def subscribe(  # noqa: C901 - one loop reads better than its parts
    reader: Reader, scope: Scope, *, by: Actor, after: str | None = None
) -> AsyncGenerator[Item, None]:
    """A snapshot, or what came after a cursor; then every event of the scope, in order.

    Ends when the subscriber may no longer see the scope, at the very event that took it away.
    Raises NotFound when it never might, InvalidCursor, Unauthenticated when its token ends.
    """
    opening, position, head = await _open(scope, by, after)
    sight = await Sight.of(by)
    # Asked after the position was taken: what ends access later is an event behind it.
    if not await scope.is_visible_to(by):
        raise NotFound("subscription target")
    for item in opening:
        yield item
    async for batch in reader.follow(by.workspace_id, after=position.seq, head=head):
        for logged in batch:
            if _may_end_access(logged, by) or scope.moves_access(logged):
                by = await _refreshed(by)
                if not await scope.is_visible_to(by):
                    return
                sight = await Sight.of(by)
            if scope.concerns(logged):
                yield Logged(Position(position.epoch, logged.seq, logged.logged_at), logged, sight)


async def _open(scope: Scope, by: Actor, after: str | None) -> tuple[list[Item], Position, int]:
    """What a stream begins with, the position after it, and where the log stood."""
    if after is None:
        fresh = await _snapshot(scope, by)
        return [fresh], fresh.position, fresh.position.seq
    position = Position.of_cursor(after)
    head = await log.head(by.workspace_id)
    if head.holds(position):
        return [Resumed(position)], position, head.seq
    fresh = await _snapshot(scope, by)
    old = position.epoch == head.epoch and position.seq < head.floor_seq
    reason = ResetReason.TOO_OLD if old else ResetReason.OTHER_HISTORY
    return [Reset(fresh.position, reason), fresh], fresh.position, fresh.position.seq


async def _snapshot(scope: Scope, by: Actor) -> Snapshot:
    """State and position of one instant; READ COMMITTED gets a third of these wrong."""
    async with snapshot() as transaction:
        ids = await scope.conversations()
        head = await log.head(by.workspace_id, transaction)
    return Snapshot(head.position, ids[:SNAPSHOT_SIZE_MAX], len(ids) <= SNAPSHOT_SIZE_MAX)


def _may_end_access(logged: Event, by: Actor) -> bool:
    if logged.kind is event.Kind.TOKEN_REVOKED:
        return logged.data.get("token") == str(by.token_id)
    if logged.kind in (event.Kind.TEAM_UPDATED, event.Kind.TEAM_DELETED):
        return True
    concerned = by.agent_id in (logged.from_agent_id, logged.to_agent_id)
    return logged.kind in event.CHANGES_ACCESS and concerned


async def _refreshed(by: Actor) -> Actor:
    """The same actor with the rights it has now; raises Unauthenticated when its token ended."""
    if by.token_id is None:
        return by
    return await actor_of_token(by.token_id)
