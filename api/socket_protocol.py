"""The lowest layer of a WebSocket: whatever the peer does not read in time is thrown away.

A closing transport waits until everything written is sent, which for a peer that stopped reading
is for ever; uvicorn therefore keeps such a connection, and the subscriptions on it, for good.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from functools import cached_property
from struct import Struct
from typing import TYPE_CHECKING, Any

from starlette.websockets import WebSocketDisconnect, WebSocketState
from strawberry.asgi import ASGIWebSocketAdapter
from strawberry.http.exceptions import WebSocketDisconnected
from uvicorn._types import ASGISendEvent
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.frames import Frame
from websockets.http11 import Request
from websockets.protocol import State

from api.limits import FRAME_BYTES_MAX
from api.stall import StallWatch, abort_soon

if TYPE_CHECKING:
    from asyncio.transports import BaseTransport

    from api.graphql import GraphQLApp

WRITE_EXTENSION = "relevo.write"

# A final text frame, and how its length is told: in the second byte, or in what follows it.
_TEXT = 0x81
_SHORT_MAX = 125
_MEDIUM_MAX = 2**16 - 1
_medium_head = Struct("!BBH").pack
_long_head = Struct("!BBQ").pack


class SocketProtocol(WebSocketsSansIOProtocol):
    """Aborts a peer that does not read, and one that is still there after it was told to close."""

    stall: StallWatch

    def connection_made(self, transport: "BaseTransport") -> None:
        super().connection_made(transport)
        self.stall = StallWatch(self.transport)

    def handle_connect(self, event: Request) -> None:
        super().handle_connect(event)
        if self.response.status_code == 101:
            self.scope["extensions"][WRITE_EXTENSION] = {"write": self.write}

    def write(self, texts: Sequence[str]) -> bool:
        """Send all of them in one go, without waiting; False, and nothing, when there is no room.

        A thousand peers are told of an event each by one call, instead of by five that await.
        """
        is_open = self.conn.state is State.OPEN and not self.transport.is_closing()
        if not (is_open and self.writable.is_set()) or self.conn.extensions:
            return False
        self.transport.write(b"".join([frame_of(text.encode()) for text in texts]))
        return True

    def connection_lost(self, exc: Exception | None) -> None:
        self.stall.stop()
        super().connection_lost(exc)

    def pause_writing(self) -> None:
        super().pause_writing()
        self.stall.start()

    def resume_writing(self) -> None:
        super().resume_writing()
        self.stall.stop()

    def handle_ping(self) -> None:
        if self.writable.is_set():
            super().handle_ping()
        else:
            # Answers that nobody reads would pile up behind the others without a bound.
            self.conn.data_to_send()

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
        abort_soon(self.transport, lambda: self in self.connections)


def frame_of(payload: bytes) -> bytes:
    """A whole text message in one frame, as RFC 6455 has it of a server without extensions."""
    size = len(payload)
    if size <= _SHORT_MAX:
        return bytes((_TEXT, size)) + payload
    if size <= _MEDIUM_MAX:
        return _medium_head(_TEXT, _SHORT_MAX + 1, size) + payload
    return _long_head(_TEXT, _SHORT_MAX + 2, size) + payload


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
    """Tells apart a peer that left, however it did, from a failure of ours."""

    view: "GraphQLApp[Any]"

    @cached_property
    def _write(self) -> Callable[[Sequence[str]], bool] | None:
        extension: dict[str, Any] = self.ws.scope.get("extensions", {}).get(WRITE_EXTENSION, {})
        return extension.get("write")

    async def send_json(self, message: Mapping[str, object]) -> None:
        await self.send_text(self.view.encode_json(message))

    async def send_texts(self, texts: Sequence[str]) -> None:
        """At once where the peer has room for them, else one after another."""
        is_open = self.ws.application_state is WebSocketState.CONNECTED
        if not (is_open and self._write and self._write(texts)):
            for text in texts:
                await self.send_text(text)

    async def send_text(self, text: str) -> None:
        await self._deliver(lambda: self.ws.send_text(text))

    async def close(self, code: int, reason: str) -> None:
        with suppress(WebSocketDisconnected):
            await self._deliver(lambda: self.ws.close(code, reason))

    async def _deliver(self, send: Callable[[], Awaitable[None]]) -> None:
        if self.ws.application_state is not WebSocketState.CONNECTED:
            raise WebSocketDisconnected
        try:
            await send()
        except WebSocketDisconnect:
            raise WebSocketDisconnected from None
