"""The lowest layer of HTTP: bounded time and size for whatever a peer sends or does not read.

uvicorn waits for ever for the rest of a request, keeps a head of any size in memory, and never
drops a peer that stops reading. Responses without an end of their own, the event streams, would
also hold up its shutdown.
"""

import asyncio
from collections.abc import Mapping
from typing import Any

from uvicorn._types import ASGI3Application
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from api.stall import StallWatch, abort_soon

HEAD_SECONDS_MAX = 10.0
BODY_SECONDS_MAX = 30.0
# Everything of one request that is not body: its line, headers, the sizes of chunks, trailers.
HEAD_BYTES_MAX = 64 * 1024
# Connections of a process that still owe us a request; of more, the oldest are given up.
WAITING_MAX = 1_000
STREAM_EXTENSION = "relevo.stream"
_CLOSING = b"\r\nconnection: close\r\ncontent-length: 0\r\n\r\n"
TOO_SLOW = b"HTTP/1.1 408 Request Timeout" + _CLOSING
TOO_LARGE = b"HTTP/1.1 431 Request Header Fields Too Large" + _CLOSING

_waiting: dict["HttpProtocol", None] = {}


class HttpProtocol(HttpToolsProtocol):
    """Gives up peers that send too slowly or too much, or do not read; ends streams at once."""

    stall: StallWatch

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._deadline: asyncio.TimerHandle | None = None
        self._owes_request = True
        self._seconds_max = HEAD_SECONDS_MAX
        self._head_bytes = 0
        self._running: RequestResponseCycle | None = None
        self._is_streaming = False
        self._is_stopping = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # asyncio's is wider
        super().connection_made(transport)
        self.stall = StallWatch(transport)
        self._wait_for_request()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_waiting()
        self.stall.stop()
        super().connection_lost(exc)
        self._tell_running()

    def pause_writing(self) -> None:
        super().pause_writing()
        self.stall.start()

    def resume_writing(self) -> None:
        super().resume_writing()
        self.stall.stop()

    def data_received(self, data: bytes) -> None:
        self._head_bytes += len(data)
        super().data_received(data)
        if self.transport.get_protocol() is not self:
            return
        if self._head_bytes > HEAD_BYTES_MAX and self._owes_request:
            self.give_up(TOO_LARGE)
        elif self.cycle is not None and self.cycle.response_complete:
            # Uvicorn stops its timer for whatever comes, an empty line included, and starts no
            # other before the next response.
            self._owes_request = True
        if self._owes_request and self._deadline is None:
            self._wait_for_request()

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._owes_request = True

    def on_headers_complete(self) -> None:
        super().on_headers_complete()
        self._stop_waiting()
        self._seconds_max = BODY_SECONDS_MAX
        self.scope["extensions"] = {STREAM_EXTENSION: {"begin": self.begin_stream, "cut": self.cut}}

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: ASGI3Application) -> None:
        self._running = cycle
        self._is_streaming = False
        super()._start_asgi_task(cycle, app)

    def on_body(self, body: bytes) -> None:
        self._head_bytes -= len(body)
        super().on_body(body)

    def on_message_complete(self) -> None:
        super().on_message_complete()
        self._stop_waiting()
        self._owes_request = False
        self._seconds_max = HEAD_SECONDS_MAX
        self._head_bytes = 0

    def handle_websocket_upgrade(self) -> None:
        self._stop_waiting()
        self.stall.stop()
        super().handle_websocket_upgrade()

    def shutdown(self) -> None:
        self._is_stopping = True
        if self._is_streaming:
            self.cut()
        elif self._owes_request:
            self.give_up()
        else:
            super().shutdown()
            abort_soon(self.transport, lambda: self.is_open() and not self._is_being_answered())

    def give_up(self, answer: bytes = TOO_SLOW) -> None:
        """Wait no longer for the rest of a request."""
        self._stop_waiting()
        self._owes_request = False
        if self._head_bytes and not self._is_answering() and not self.transport.is_closing():
            self.transport.write(answer)
        self._close()

    def begin_stream(self) -> None:
        """A response without an end of its own begins: `cut` ends it, or our shutting down."""
        self._is_streaming = True
        if self._is_stopping:
            self.cut()

    def cut(self) -> None:
        """End the connection in the middle of the stream, so that the peer takes it for lost."""
        self._tell_running()
        self._close()

    def is_open(self) -> bool:
        return self in self.connections

    def _tell_running(self) -> None:
        """Uvicorn tells the newest request that its peer is gone, which may only wait its turn."""
        if self._running:
            self._running.disconnected = True
            self._running.message_event.set()

    def _close(self) -> None:
        self.transport.close()
        abort_soon(self.transport, self.is_open)

    def _is_answering(self) -> bool:
        return self.cycle is not None and not self.cycle.response_complete

    def _is_being_answered(self) -> bool:
        """Whether the peer is worth waiting for: an answer is on its way, and it reads."""
        return self._is_answering() and not self.flow.write_paused

    def _wait_for_request(self) -> None:
        self._deadline = self.loop.call_later(self._seconds_max, self.give_up)
        _waiting[self] = None
        if len(_waiting) > WAITING_MAX:
            next(iter(_waiting)).give_up()

    def _stop_waiting(self) -> None:
        if self._deadline:
            self._deadline.cancel()
            self._deadline = None
            del _waiting[self]


# What uvicorn.Config needs besides the application, and SOCKET_OPTIONS.
HTTP_OPTIONS: Mapping[str, Any] = {"http": HttpProtocol}
