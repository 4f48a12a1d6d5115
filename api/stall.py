"""Peers that read nothing of what waits for them are thrown away.

A closing transport waits until everything written is sent, which for a peer that stopped reading
is for ever; so it is aborted. One that reads slowly is left alone while it makes progress.
"""

import asyncio
import socket
import sys
from collections.abc import Callable

LOOK_SECONDS = 2.0
# A stall begins anywhere between two looks, so a peer is dropped within 10 s of its last read.
STALL_SECONDS_MAX = 8.0
READ_BYTES_MIN = 16 * 1024
# Of the kernel, per connection; left alone it grows to several megabytes for a peer that stalls.
SEND_BUFFER_BYTES = 256 * 1024
UNANSWERED_SECONDS_MAX = 10
# What was told to close gets this long to take leave in order.
ABORT_GRACE_SECONDS = 3.0


class StallWatch:
    """Watches one transport whose buffer is full."""

    def __init__(self, transport: asyncio.Transport) -> None:
        self._transport = transport
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None
        self._waiting_bytes = 0
        self._read_at = 0.0

    def start(self) -> None:
        """The buffer is full: from now on the peer has to read."""
        self._waiting_bytes = self._transport.get_write_buffer_size()
        self._read_at = self._loop.time()
        self._look_later()

    def stop(self) -> None:
        """The buffer has room again, or the connection is lost."""
        if self._timer:
            self._timer.cancel()
            self._timer = None

    def _look_later(self) -> None:
        self.stop()
        self._timer = self._loop.call_later(LOOK_SECONDS, self._look)

    def _look(self) -> None:
        waiting_bytes = self._transport.get_write_buffer_size()
        now = self._loop.time()
        if waiting_bytes <= self._waiting_bytes - READ_BYTES_MIN:
            self._waiting_bytes, self._read_at = waiting_bytes, now
        elif now - self._read_at >= STALL_SECONDS_MAX:
            self._transport.abort()
            return
        self._look_later()


def abort_soon(transport: asyncio.Transport, is_needed: Callable[[], bool]) -> None:
    """Abort what still needs it after the time for an orderly leave."""

    def abort() -> None:
        if is_needed():
            transport.abort()

    asyncio.get_running_loop().call_later(ABORT_GRACE_SECONDS, abort)


def limit_peers(listening: socket.socket) -> None:
    """Let the kernel bound how much waits for the peers that connect here, and for how long.

    It also drops those whose network is gone: without this it tries for a quarter of an hour.
    """
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER_BYTES)
    if sys.platform == "linux":
        milliseconds = UNANSWERED_SECONDS_MAX * 1_000
        listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, milliseconds)
