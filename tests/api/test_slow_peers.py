"""Peers that send or read too slowly, on both transports: dropped, and nobody else feels it."""

import asyncio
import json
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from types import SimpleNamespace
from typing import cast

import pytest
from structlog.testing import capture_logs
from websockets.asyncio.client import ClientConnection
from websockets.frames import Frame, Opcode

from api import http_protocol, stall
from api.http_protocol import HEAD_BYTES_MAX, TOO_LARGE, TOO_SLOW, HttpProtocol
from api.socket_protocol import SocketProtocol
from api.stall import READ_BYTES_MIN, SEND_BUFFER_BYTES, UNANSWERED_SECONDS_MAX, StallWatch
from api.up import listen
from tests.api.place import PATIENCE_SECONDS, Place, serving

HEAD = "POST {path} HTTP/1.1\r\nhost: relevo\r\ncontent-type: application/json\r\n"
KNOWN = "authorization: Bearer good\r\n"
FLOOD = "subscription { flood }"
# Less than uvicorn keeps a connection that says nothing after an answer.
PROMPTLY_SECONDS = 4
LIVE = b"GET /graphql HTTP/1.1\r\nhost: relevo\r\n\r\n"


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stall, "LOOK_SECONDS", 0.05)
    monkeypatch.setattr(stall, "STALL_SECONDS_MAX", 0.2)


@pytest.fixture
def hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_protocol, "HEAD_SECONDS_MAX", 0.1)
    monkeypatch.setattr(http_protocol, "BODY_SECONDS_MAX", 0.1)


@pytest.fixture
def lost(monkeypatch: pytest.MonkeyPatch) -> asyncio.Event:
    """Set when the server has lost, or dropped, an HTTP connection."""
    event = asyncio.Event()
    connection_lost = HttpProtocol.connection_lost

    def noticed(self: HttpProtocol, exc: Exception | None) -> None:
        connection_lost(self, exc)
        event.set()

    monkeypatch.setattr(HttpProtocol, "connection_lost", noticed)
    return event


@pytest.fixture
def heard(monkeypatch: pytest.MonkeyPatch) -> asyncio.Event:
    """Set when the server has got something over HTTP."""
    event = asyncio.Event()
    data_received = HttpProtocol.data_received

    def noticed(self: HttpProtocol, data: bytes) -> None:
        data_received(self, data)
        event.set()

    monkeypatch.setattr(HttpProtocol, "data_received", noticed)
    return event


@pytest.fixture
def full(monkeypatch: pytest.MonkeyPatch) -> asyncio.Event:
    """Set when a peer left so much unread that we stop writing."""
    event = asyncio.Event()
    start = StallWatch.start

    def noticed(self: StallWatch) -> None:
        start(self)
        event.set()

    monkeypatch.setattr(StallWatch, "start", noticed)
    return event


async def within_patience(event: asyncio.Event) -> None:
    await asyncio.wait_for(event.wait(), PATIENCE_SECONDS)


async def say(peer: ClientConnection, type: str, **rest: object) -> None:
    await peer.send(json.dumps({"type": type, **rest}))


async def greet(peer: ClientConnection) -> None:
    await say(peer, "connection_init", payload={"authorization": "good"})
    assert json.loads(await asyncio.wait_for(peer.recv(), PATIENCE_SECONDS))


@asynccontextmanager
async def stalled_socket(place: Place) -> AsyncIterator[ClientConnection]:
    """A peer that asks for a flood and never reads a byte of it."""
    peer = await place.connect(max_queue=1, ping_interval=None)
    try:
        await greet(peer)
        peer.transport.pause_reading()
        await say(peer, "subscribe", id="1", payload={"query": FLOOD})
        yield peer
    finally:
        peer.transport.abort()


@asynccontextmanager
async def stalled_request(
    place: Place, path: str, query: str, times: int = 1
) -> AsyncIterator[None]:
    """The same over HTTP, with a socket so bare that nothing reads for it."""
    with await asyncio.to_thread(socket.create_connection, ("127.0.0.1", place.port)) as peer:
        body = json.dumps({"query": query})
        head = HEAD.format(path=path) + KNOWN + f"content-length: {len(body)}\r\n\r\n"
        peer.sendall((head + body).encode() * times)
        yield


async def test_a_socket_that_stops_reading_is_dropped_and_its_source_ends(impatient: None) -> None:
    async with serving() as place, stalled_socket(place), place.connect() as other:
        await within_patience(place.ended)

        await greet(other)
        assert len(place.app.connections) == 1


async def test_a_stream_that_stops_reading_is_dropped_and_its_source_ends(impatient: None) -> None:
    async with serving() as place, stalled_request(place, "/graphql/stream", FLOOD):
        await within_patience(place.ended)

        async with place.connect() as other:
            await greet(other)
            assert len(place.app.connections) == 1


async def test_a_response_that_nobody_reads_is_dropped(
    impatient: None, lost: asyncio.Event
) -> None:
    async with serving() as place, stalled_request(place, "/graphql", "{ large }"):
        await within_patience(lost)


async def test_others_are_served_while_a_peer_stalls(full: asyncio.Event) -> None:
    async with serving() as place, stalled_request(place, "/graphql/stream", FLOOD):
        await within_patience(full)

        async with place.connect() as other:
            await greet(other)


async def test_a_peer_that_reads_slowly_is_kept_and_one_that_stops_is_not(
    impatient: None,
) -> None:
    read_at_each_look = [READ_BYTES_MIN, READ_BYTES_MIN, READ_BYTES_MIN, 1, 1, 1, 1, 1, 1]
    dropped = asyncio.Event()
    waiting = iter([1_000_000 - sum(read_at_each_look[:n]) for n in range(10)])
    transport = SimpleNamespace(get_write_buffer_size=lambda: next(waiting), abort=dropped.set)
    watch = StallWatch(cast("asyncio.Transport", transport))

    watch.start()

    await within_patience(dropped)
    assert next(waiting) < 1_000_000 - 3 * READ_BYTES_MIN


async def test_who_reads_again_in_time_is_kept() -> None:
    transport = SimpleNamespace(get_write_buffer_size=lambda: 1)
    watch = StallWatch(cast("asyncio.Transport", transport))

    watch.start()
    watch.stop()

    assert watch._timer is None


async def test_pings_of_a_socket_that_does_not_read_are_not_answered(full: asyncio.Event) -> None:
    async with serving() as place, stalled_socket(place):
        await within_patience(full)
        [protocol] = place.server.server_state.connections
        assert isinstance(protocol, SocketProtocol)
        waiting_bytes = protocol.transport.get_write_buffer_size()

        for _ in range(100):
            protocol.data_received(Frame(Opcode.PING, b"x" * 100).serialize(mask=True))

        assert protocol.transport.get_write_buffer_size() == waiting_bytes


@pytest.mark.skipif(sys.platform != "linux", reason="other kernels have no such limit")
async def test_the_kernel_bounds_what_waits_for_a_peer_and_for_how_long() -> None:
    with (
        listen("127.0.0.1", 0) as listening,
        socket.create_connection(listening.getsockname()),
        listening.accept()[0] as accepted,
    ):
        milliseconds = accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT)
        buffer_bytes = accepted.getsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF)

    assert milliseconds == 1_000 * UNANSWERED_SECONDS_MAX
    # Linux doubles it for its own book-keeping.
    assert buffer_bytes <= 2 * SEND_BUFFER_BYTES


async def said_to(place: Place, *parts: bytes) -> bytes:
    """What a peer hears that says this much and no more, until the server hangs up."""
    reader, writer = await asyncio.open_connection("127.0.0.1", place.port)
    try:
        for part in parts:
            writer.write(part)
            await writer.drain()
        return await asyncio.wait_for(reader.read(), PATIENCE_SECONDS)
    finally:
        writer.close()


@pytest.mark.parametrize(
    ("said", "heard"),
    [
        (b"", b""),
        (b"POST /graphql HTTP/1.1\r\nhost: rel", TOO_SLOW),
        (f"{HEAD.format(path='/graphql')}content-length: 9\r\n\r\n{{".encode(), b""),
    ],
)
async def test_a_request_that_does_not_end_is_given_up(
    hurried: None, said: bytes, heard: bytes
) -> None:
    with capture_logs() as logs:
        async with serving() as place:
            assert await said_to(place, said) == heard
    assert logs == []


async def test_a_connection_is_not_held_by_empty_lines_after_an_answer(hurried: None) -> None:
    async with serving() as place:
        reader, writer = await asyncio.open_connection("127.0.0.1", place.port)
        writer.write(LIVE)
        await asyncio.wait_for(reader.readuntil(b"}]}"), PATIENCE_SECONDS)
        writer.write(b"\r\n")

        assert await asyncio.wait_for(reader.read(), PROMPTLY_SECONDS) == TOO_SLOW
        writer.close()


async def test_a_head_without_end_is_refused() -> None:
    async with serving() as place:
        answer = await said_to(place, b"GET / HTTP/1.1\r\nx: ", b"x" * HEAD_BYTES_MAX)

    assert answer == TOO_LARGE


async def test_a_body_in_chunks_is_no_head(place: Place) -> None:
    chunk = b" " * 4_000
    body = b'{"query": "{ requestId }"' + b"".join([chunk] * 50) + b"}"
    chunks = [body[at : at + 4_000] for at in range(0, len(body), 4_000)]
    head = HEAD.format(path="/graphql") + "connection: close\r\ntransfer-encoding: chunked\r\n\r\n"

    answer = await said_to(
        place, head.encode(), *(b"%x\r\n%b\r\n" % (len(it), it) for it in chunks), b"0\r\n\r\n"
    )

    assert answer.startswith(b"HTTP/1.1 200")


@pytest.fixture(scope="module")
async def place() -> AsyncIterator[Place]:
    async with serving() as place:
        yield place


async def test_of_too_many_connections_without_a_request_the_oldest_is_given_up(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(http_protocol, "WAITING_MAX", 1)
    async with serving() as place:
        reader, writer = await asyncio.open_connection("127.0.0.1", place.port)
        answer = await said_to(place, LIVE.replace(b"\r\n\r\n", b"\r\nconnection: close\r\n\r\n"))

        assert answer.startswith(b"HTTP/1.1 400")
        assert await asyncio.wait_for(reader.read(), PATIENCE_SECONDS) == b""
        writer.close()


async def test_who_sent_a_whole_request_may_stay(hurried: None) -> None:
    async with serving() as place, place.connect() as peer:
        await greet(peer)
        reader, writer = await asyncio.open_connection("127.0.0.1", place.port)
        body = json.dumps({"query": "subscription { told }"})
        head = HEAD.format(path="/graphql/stream") + KNOWN + f"content-length: {len(body)}\r\n\r\n"
        writer.write((head + body).encode())
        await asyncio.wait_for(reader.readuntil(b":\n\n"), PATIENCE_SECONDS)
        # Longer than either of them would have had to send a request.
        assert await said_to(place, b"") == b""
        assert await said_to(place, b"") == b""

        place.tell.set()

        await asyncio.wait_for(reader.readuntil(b"event: complete"), PATIENCE_SECONDS)
        await say(peer, "ping")
        assert json.loads(await peer.recv()) == {"type": "pong"}
        writer.close()


async def stop(place: Place) -> None:
    place.server.should_exit = True
    assert place.running
    await asyncio.wait_for(place.running, PATIENCE_SECONDS)


async def test_the_server_stops_although_a_socket_does_not_read(
    monkeypatch: pytest.MonkeyPatch, full: asyncio.Event
) -> None:
    monkeypatch.setattr(stall, "ABORT_GRACE_SECONDS", 0.1)
    async with serving() as place, stalled_socket(place):
        async with place.connect() as other:
            await greet(other)
            await within_patience(full)

            await stop(place)

            await asyncio.wait_for(other.wait_closed(), PATIENCE_SECONDS)
            assert other.close_code == 1012
        assert place.ended.is_set()


@pytest.mark.parametrize(
    ("path", "query", "times"),
    [("/graphql/stream", FLOOD, 1), ("/graphql", "{ large }", 1), ("/graphql", "{ large }", 2)],
)
async def test_the_server_stops_although_an_answer_is_not_read(
    monkeypatch: pytest.MonkeyPatch, full: asyncio.Event, path: str, query: str, times: int
) -> None:
    monkeypatch.setattr(stall, "ABORT_GRACE_SECONDS", 0.1)
    async with serving() as place, stalled_request(place, path, query, times):
        await within_patience(full)

        await stop(place)


@pytest.mark.parametrize(
    "said", [b"POST /graph", f"{HEAD.format(path='/graphql')}content-length: 9\r\n\r\n{{".encode()]
)
async def test_the_server_stops_although_a_request_does_not_end(
    said: bytes, heard: asyncio.Event
) -> None:
    async with serving() as place:
        hearing = asyncio.create_task(said_to(place, said))
        await within_patience(heard)

        await stop(place)

        await hearing
