"""An endpoint on loopback that behaves as well, or as badly, as a test wants it to."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import Any

import orjson
import trustme

HOST = "receiver.example"


_AUTHORITY = trustme.CA()


def tls_context(purpose: ssl.Purpose) -> ssl.SSLContext:
    """Of a server with a certificate for the host, or of a client that trusts its authority."""
    context = ssl.create_default_context(purpose)
    if purpose is ssl.Purpose.CLIENT_AUTH:
        _AUTHORITY.issue_cert(HOST).configure_cert(context)
    else:
        _AUTHORITY.configure_trust(context)
    return context


class Manner(Enum):
    """What a receiver may do instead of answering."""

    RESET = auto()
    CLOSE = auto()
    CUT_OFF = auto()
    STALL = auto()
    NEVER_END = auto()
    SAY_NOTHING = auto()
    CHATTER = auto()
    ANNOUNCE = auto()


_WITH_LENGTH = b"HTTP/1.1 200 OK\r\ncontent-length: 1000000\r\n\r\nbegun"
_BEGUN = {
    Manner.CUT_OFF: _WITH_LENGTH,
    Manner.STALL: _WITH_LENGTH,
    Manner.NEVER_END: b"HTTP/1.1 200 OK\r\n\r\nbegun",
    Manner.CHATTER: _WITH_LENGTH,
}
_SILENT = (Manner.SAY_NOTHING, Manner.STALL, Manner.NEVER_END)
_ENDLESS = {
    Manner.CHATTER: b"x" * 1_024,
    Manner.ANNOUNCE: b"HTTP/1.1 102 Processing\r\n\r\n" * 1_024,
}


@dataclass(frozen=True)
class Delivery:
    """One request as it came."""

    headers: dict[str, str]
    body: bytes
    path: str

    @property
    def seq(self) -> int:
        return int(self.data["seq"])

    @property
    def kind(self) -> str:
        return str(self.data["kind"])

    @property
    def data(self) -> dict[str, Any]:
        data: dict[str, Any] = orjson.loads(self.body)["data"]
        return data

    @property
    def id(self) -> str:
        return self.headers["webhook-id"]


Answer = int | tuple[int, dict[str, str]] | Manner


@dataclass
class Receiver:
    """Remembers what came, in order, and what it accepted."""

    answer: Callable[[Delivery], Answer] = lambda _: 200
    deliveries: list[Delivery] = field(default_factory=list)
    accepted: list[Delivery] = field(default_factory=list)
    connections: int = 0
    together: int = 0
    together_max: int = 0
    # While it is clear, nothing is answered.
    open: asyncio.Event = field(default_factory=asyncio.Event)
    port: int = 0
    tls: ssl.SSLContext | None = None
    _server: asyncio.Server | None = None
    _writers: set[asyncio.StreamWriter] = field(default_factory=set)
    _arrived: asyncio.Condition = field(default_factory=asyncio.Condition)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/in?key=secret"

    @property
    def seqs(self) -> list[int]:
        return [each.seq for each in self.accepted]

    @property
    def first_seqs(self) -> list[int]:
        """Each number where it was accepted first."""
        return list(dict.fromkeys(self.seqs))

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port, ssl=self.tls)
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        if self._server is not None:
            self._server.close()
            for writer in self._writers:
                writer.transport.abort()
            await self._server.wait_closed()

    async def has(self, holds: Callable[["Receiver"], bool]) -> None:
        """Wait until what came is so, for twenty seconds at most."""
        async with asyncio.timeout(20), self._arrived:
            await self._arrived.wait_for(lambda: holds(self))

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self._writers.add(writer)
        with suppress(ConnectionError, asyncio.IncompleteReadError):
            while await self._take(reader, writer):
                pass
        self._writers.discard(writer)
        with suppress(ConnectionError):
            writer.close()

    async def _take(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
        headers = dict(line.lower().split(": ", 1) for line in head[1:] if line)
        raw = {line.split(": ", 1)[0].lower(): line.split(": ", 1)[1] for line in head[1:] if line}
        body = await reader.readexactly(int(headers["content-length"]))
        delivery = Delivery(raw, body, head[0].split(" ")[1])
        self.together += 1
        self.together_max = max(self.together_max, self.together)
        try:
            return await self._answer(delivery, writer)
        finally:
            self.together -= 1
            async with self._arrived:
                self._arrived.notify_all()

    async def _answer(self, delivery: Delivery, writer: asyncio.StreamWriter) -> bool:
        self.deliveries.append(delivery)
        async with self._arrived:
            self._arrived.notify_all()
        await self.open.wait()
        answer = self.answer(delivery)
        if isinstance(answer, Manner):
            return await self._misbehave(answer, writer)
        status, headers = answer if isinstance(answer, tuple) else (answer, {})
        if 200 <= status < 300:
            self.accepted.append(delivery)
        lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        writer.write(f"HTTP/1.1 {status} X\r\n{lines}content-length: 2\r\n\r\nok".encode())
        await writer.drain()
        return True

    async def _misbehave(self, manner: Manner, writer: asyncio.StreamWriter) -> bool:
        if manner is Manner.RESET:
            writer.transport.abort()
        writer.write(_BEGUN.get(manner, b""))
        if manner in _SILENT:
            await asyncio.Event().wait()
        while manner in _ENDLESS:
            writer.write(_ENDLESS[manner])
            await writer.drain()
        return False


@asynccontextmanager
async def a_receiver(
    answer: Callable[[Delivery], Answer] = lambda _: 200, *, tls: ssl.SSLContext | None = None
) -> AsyncIterator[Receiver]:
    receiver = Receiver(answer, tls=tls)
    receiver.open.set()
    await receiver.start()
    try:
        yield receiver
    finally:
        await receiver.stop()
