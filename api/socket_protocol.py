"""The lowest layer of a WebSocket: whatever the peer does not read in time is thrown away.

A closing transport waits until everything written is sent, which for a peer that stopped reading
is for ever; uvicorn therefore keeps such a connection, and the subscriptions on it, for good.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from starlette.websockets import WebSocketDisconnect, WebSocketState
from strawberry.asgi import ASGIWebSocketAdapter
from strawberry.http.exceptions import WebSocketDisconnected
from uvicorn._types import ASGISendEvent
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.frames import Frame
from websockets.http11 import Request

from api.limits import FRAME_BYTES_MAX

if TYPE_CHECKING:
    from api.graphql import GraphQLApp

ABORT_GRACE_SECONDS = 3.0
ABORT_EXTENSION = "relevo.abort"


class SocketProtocol(WebSocketsSansIOProtocol):
    """Aborts a connection that is still there a moment after it was told to close."""

    def handle_connect(self, event: Request) -> None:
        super().handle_connect(event)
        if self.response.status_code == 101:
            self.scope["extensions"][ABORT_EXTENSION] = {"abort": self.transport.abort}

    def keepalive_timeout(self) -> None:
        super().keepalive_timeout()
        self._abort_soon()

    def shutdown(self) -> None:
        super().shutdown()
        self._abort_soon()

    def handle_close(self, event: Frame) -> None:
        super().handle_close(event)
        self._abort_soon()

    def handle_parser_exception(self) -> None:
        super().handle_parser_exception()
        self._abort_soon()

    async def send(self, message: ASGISendEvent) -> None:
        await super().send(message)
        if message["type"] == "websocket.close":
            self._abort_soon()

    def _abort_soon(self) -> None:
        self.loop.call_later(ABORT_GRACE_SECONDS, self._abort)

    def _abort(self) -> None:
        if self in self.connections:
            self.transport.abort()


# What uvicorn.Config needs besides the application. Its own pings are a backstop only: they end
# in code 1011, after which the clients of graphql-ws never come back.
SOCKET_OPTIONS: Mapping[str, Any] = {
    "ws": SocketProtocol,
    "ws_max_size": FRAME_BYTES_MAX,
    "ws_per_message_deflate": False,
    "ws_ping_interval": 30.0,
    "ws_ping_timeout": 120.0,
}


class SocketAdapter(ASGIWebSocketAdapter):
    """Gives a peer that does not read a few seconds, then aborts its connection."""

    view: "GraphQLApp[Any]"

    async def send_json(self, message: Mapping[str, object]) -> None:
        await self.send_text(self.view.encode_json(message))

    async def send_text(self, text: str) -> None:
        await self._deliver(lambda: self.ws.send_text(text))

    async def close(self, code: int, reason: str) -> None:
        with suppress(WebSocketDisconnected):
            await self._deliver(lambda: self.ws.close(code, reason))

    async def _deliver(self, send: Callable[[], Awaitable[None]]) -> None:
        if self.ws.application_state is not WebSocketState.CONNECTED:
            raise WebSocketDisconnected
        try:
            async with asyncio.timeout(self.view.socket_limits.send_timeout_seconds):
                await send()
        except TimeoutError:
            abort = self.ws.scope.get("extensions", {}).get(ABORT_EXTENSION, {}).get("abort")
            if abort:
                abort()
            raise WebSocketDisconnected from None
        except WebSocketDisconnect:
            raise WebSocketDisconnected from None
