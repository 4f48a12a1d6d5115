"""Connections whose token ends, or whose agent's rights change, whichever process did it.

A plain request asks who calls; a socket or event stream was asked once. So every process follows
the log of the workspaces that have one on it, and ends or renews what an event of theirs concerns.
"""

import asyncio
from collections.abc import Callable
from contextlib import aclosing
from dataclasses import replace
from functools import partial
from uuid import UUID

import structlog

from api.auth import Caller
from api.connections import Connections
from models import log as event_log
from models.access import Actor
from models.event import Kind
from models.log import Event, Filter, Head
from models.ring import Gap, LogBroken
from models.scope.workspace_log import LogScope
from models.stream import RETRY_SECONDS, Reader, patiently
from models.token import actor_of_token, actors_of_tokens

log = structlog.get_logger(__name__)

_ENDINGS = LogScope(Filter(kinds=(Kind.TOKEN_REVOKED, Kind.AGENT_UPDATED)))


class TokenWatch:
    """One follower of the log for each workspace with connections, however many they are."""

    def __init__(self, reader: Reader, connections: Connections) -> None:
        self._reader = reader
        self._connections = connections
        self._counts: dict[UUID, int] = {}
        self._followers: dict[UUID, asyncio.Task[None]] = {}

    async def joined(self, caller: Caller) -> None:
        """Watch over one more connection; raises Unauthenticated when its token ended meanwhile."""
        workspace_id = caller.actor.workspace_id
        self._counts[workspace_id] = self._counts.get(workspace_id, 0) + 1
        if workspace_id not in self._followers:
            self._follow_from(workspace_id, await event_log.head(workspace_id))
        # What ended before the position was read has no event behind it.
        if caller.token_id is not None:
            await actor_of_token(caller.token_id)

    def left(self, caller: Caller) -> None:
        """Forget one connection, and with the last one its workspace."""
        workspace_id = caller.actor.workspace_id
        self._counts[workspace_id] -= 1
        if self._counts[workspace_id] == 0:
            del self._counts[workspace_id]
            if follower := self._followers.pop(workspace_id, None):
                follower.cancel()

    def _follow_from(self, workspace_id: UUID, head: Head) -> None:
        # Whoever waited for the position with us may have been faster, or may have left.
        if workspace_id in self._counts and workspace_id not in self._followers:
            follower = asyncio.create_task(self._follow(workspace_id, head))
            self._followers[workspace_id] = follower

    async def _follow(self, workspace_id: UUID, head: Head) -> None:
        after = head.seq
        while True:
            try:
                events = self._reader.follow(workspace_id, _ENDINGS, after=after, head=head)
                async with aclosing(events):
                    async for batch in events:
                        for event in batch:
                            await self._apply(event)
                            after = event.seq
            except (Gap, LogBroken):
                # What was logged meanwhile is not told: everybody is asked again.
                head = await patiently(partial(event_log.head, workspace_id))
                after = head.seq
                await patiently(partial(self._renew_all, workspace_id))
            except Exception as error:  # noqa: BLE001 - the database may be away; they stay
                log.warning("tokens not watched", error=type(error).__name__)
                await asyncio.sleep(RETRY_SECONDS)

    async def _apply(self, event: Event) -> None:
        if event.kind is Kind.TOKEN_REVOKED:
            self._connections.close_token(UUID(event.data["token"]))
        elif event.kind is Kind.AGENT_UPDATED:
            await self._renew(event.to_agent_id)

    async def _renew_all(self, workspace_id: UUID) -> None:
        await self._renew_those(lambda actor: actor.workspace_id == workspace_id)

    async def _renew(self, agent_id: UUID | None) -> None:
        await self._renew_those(lambda actor: actor.agent_id == agent_id)

    async def _renew_those(self, are_meant: Callable[[Actor], bool]) -> None:
        """Give connections the present rights of their actors, or end them without any."""
        meant = [
            connection
            for connection in self._connections
            if connection.session.token_id is not None and are_meant(connection.session.actor)
        ]
        live = await actors_of_tokens({connection.session.token_id for connection in meant})
        for connection in meant:
            if found := live.get(connection.session.token_id):
                connection.session = replace(connection.session, actor=found[0])
            else:
                connection.dismiss()
