"""Public clients through the ends of the process that they are connected to."""

import asyncio
import json
import signal
import socket
import time
from collections.abc import AsyncIterator, Awaitable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

import httpx
import pytest
from gql import Client, gql
from gql.transport.exceptions import TransportError
from gql.transport.websockets import WebsocketsTransport
from websockets.asyncio.client import ClientConnection, connect
from websockets.typing import Subprotocol

from models import Channel, Token, database
from models.access import SCOPES
from models.database import fetch
from models.wakeup import Wakeups
from tests.factories import a_message, by_system
from tests.resolvers.client import Company, a_company, integration_of, session_of
from tests.web import Web, running

pytestmark = pytest.mark.timeout(100)

TRANSPORT = Subprotocol("graphql-transport-ws")
QUEUE = """
    subscription ($queue: ID!, $after: String) {
        queueChanged(queueId: $queue, after: $after) {
            __typename
            ... on StreamSnapshot { cursor }
            ... on StreamResumed { cursor }
            ... on LoggedEvent { seq cursor }
        }
    }
"""
KILLS = 2
SEEN_BETWEEN_KILLS = 5
MESSAGE_SECONDS = 0.05
FOLLOW_SECONDS_MAX = 60
SOCKETS = 20
STREAMS = 5
STALLED = 2
END_SECONDS_MAX = 10


@pytest.fixture
async def company(database: str) -> Company:
    return await a_company()


@pytest.fixture(scope="module")
async def process(
    pool: str, redis_url: str, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Web]:
    async with running(pool, redis_url, tmp_path_factory.mktemp("web")) as web:
        yield web


@pytest.fixture
async def web(process: Web) -> Web:
    """One for the whole module: whoever ended it leaves the next to start it again."""
    if not process.is_up.is_set():
        await process.start()
    return process


@dataclass
class Follower:
    """Keeps the last cursor itself, and begins after it whenever it has to begin again."""

    web: Web
    token: str
    queue: str
    cursor: str | None = None
    seqs: list[int] = field(default_factory=list)
    grown: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def variables(self) -> dict[str, str | None]:
        return {"queue": self.queue, "after": self.cursor}

    def take(self, item: dict[str, Any]) -> None:
        self.cursor = item["cursor"]
        if "seq" in item:
            self.seqs.append(item["seq"])
        self.grown.set()

    async def follow(self, transport: str) -> None:
        """For ever, whenever there is somebody to follow."""
        by = {"socket": self.follow_by_socket, "stream": self.follow_by_stream}[transport]
        while True:
            await self.web.is_up.wait()
            await by()

    async def seen(self, size: int) -> None:
        while len(self.seqs) < size:
            self.grown.clear()
            await self.grown.wait()

    async def follow_by_socket(self) -> None:
        transport = WebsocketsTransport(
            f"ws://{self.web.address}/graphql",
            init_payload={"authorization": f"Bearer {self.token}"},
        )
        request = gql(QUEUE)
        request.variable_values = self.variables
        with suppress(TransportError, OSError):
            async with Client(transport=transport) as session:
                async for result in session.subscribe(request):
                    self.take(result["queueChanged"])

    async def follow_by_stream(self) -> None:
        headers = {"authorization": f"Bearer {self.token}"}
        url = f"http://{self.web.address}/graphql/stream"
        body = {"query": QUEUE, "variables": self.variables}
        with suppress(httpx.TransportError):
            async with (
                httpx.AsyncClient(timeout=None) as client,  # noqa: S113 - it has no end
                client.stream("POST", url, json=body, headers=headers) as response,
            ):
                response.raise_for_status()
                async for line in response.aiter_lines():
                    if line.startswith("data: "):
                        self.take(json.loads(line[6:])["data"]["queueChanged"])


@asynccontextmanager
async def in_background(work: Awaitable[Any]) -> AsyncIterator[None]:
    task = asyncio.ensure_future(work)
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def customers_write(channel: Channel, redis_url: str) -> None:
    """A new customer every moment, of whom web processes are told as another process tells."""
    wakeups = Wakeups(redis_url)
    forget = database.on_commit(wakeups.committed)
    wakeups.start()
    try:
        while True:
            await a_message(channel)
            await asyncio.sleep(MESSAGE_SECONDS)
    finally:
        forget()
        await wakeups.stop()


@pytest.mark.parametrize("transport", ["socket", "stream"])
async def test_a_client_loses_and_repeats_nothing_while_the_server_is_killed(
    company: Company, web: Web, redis_url: str, transport: str
) -> None:
    follower = Follower(web, await integration_of(company.workspace), company.id("Queue"))
    before = await newest_of_queue(company)
    async with asyncio.timeout(FOLLOW_SECONDS_MAX), in_background(follower.follow(transport)):
        await follower.grown.wait()
        async with in_background(customers_write(company.channel, redis_url)):
            for _ in range(KILLS):
                await follower.seen(len(follower.seqs) + SEEN_BETWEEN_KILLS)
                await web.end(signal.SIGKILL)
                await web.start()
        logged = [seq for seq in await seqs_of_queue(company) if seq > before]
        await follower.seen(len(logged))

    assert follower.seqs == logged
    assert len(logged) > KILLS * SEEN_BETWEEN_KILLS


async def seqs_of_queue(company: Company) -> list[int]:
    rows = await fetch(
        "SELECT seq FROM events WHERE $1 IN (from_queue_id, to_queue_id) ORDER BY seq",
        company.team.id,
    )
    return [row["seq"] for row in rows]


async def newest_of_queue(company: Company) -> int:
    return (await seqs_of_queue(company))[-1]


async def test_a_stream_goes_on_with_a_new_token_where_the_revoked_one_ended(
    company: Company, web: Web
) -> None:
    revoked, secret = await Token.issue(by=by_system(company.workspace), name="X", scopes=SCOPES)
    follower = Follower(web, secret, company.id("Queue"))
    before = await newest_of_queue(company)
    async with asyncio.timeout(FOLLOW_SECONDS_MAX):
        following = asyncio.create_task(follower.follow_by_stream())
        await follower.grown.wait()

        began = time.monotonic()
        await Token.revoke(revoked.id, by=by_system(company.workspace))
        await following
        assert time.monotonic() - began < 2

        with pytest.raises(httpx.HTTPStatusError, match="401"):
            await follower.follow_by_stream()
        await a_message(company.channel)
        follower.token = await integration_of(company.workspace)
        logged = [seq for seq in await seqs_of_queue(company) if seq > before]
        async with in_background(follower.follow_by_stream()):
            await follower.seen(len(logged))

    assert follower.seqs == logged


async def test_a_web_process_with_a_crowd_ends_within_its_grace(company: Company, web: Web) -> None:
    """Also when some of the crowd read nothing of what they asked for."""
    token = await session_of(company.agent)
    async with AsyncExitStack() as crowd, asyncio.timeout(FOLLOW_SECONDS_MAX):
        sockets = [await crowd.enter_async_context(a_socket(web, token)) for _ in range(SOCKETS)]
        streams = [await crowd.enter_async_context(a_stream(web, token)) for _ in range(STREAMS)]
        for peer in sockets[:STALLED]:
            peer.transport.pause_reading()
        for _ in range(STALLED):
            crowd.enter_context(a_request_that_is_not_read(web, token))
            crowd.enter_context(socket.create_connection(("127.0.0.1", web.port)))

        began = time.monotonic()
        code = await web.end(signal.SIGTERM)

        assert code in (0, -signal.SIGTERM)
        assert time.monotonic() - began < END_SECONDS_MAX
        for stream in streams:
            with pytest.raises(httpx.RemoteProtocolError):
                _ = [line async for line in stream]
        for peer in sockets[STALLED:]:
            await peer.wait_closed()
            assert peer.close_code == 1012


@asynccontextmanager
async def a_socket(web: Web, token: str) -> AsyncIterator[ClientConnection]:
    peer = await connect(f"ws://{web.address}/graphql", subprotocols=[TRANSPORT], max_queue=None)
    try:
        hello = {"type": "connection_init", "payload": {"authorization": token}}
        await peer.send(json.dumps(hello))
        await peer.recv()
        payload = {"query": "subscription { inboxChanged { __typename } }"}
        await peer.send(json.dumps({"type": "subscribe", "id": "1", "payload": payload}))
        yield peer
    finally:
        peer.transport.abort()


@asynccontextmanager
async def a_stream(web: Web, token: str) -> AsyncIterator[AsyncIterator[str]]:
    url = f"http://{web.address}/graphql/stream"
    body = {"query": "subscription { inboxChanged { __typename } }"}
    headers = {"authorization": f"Bearer {token}"}
    async with (
        httpx.AsyncClient(timeout=None) as client,  # noqa: S113 - it has no end
        client.stream("POST", url, json=body, headers=headers) as response,
    ):
        lines = response.aiter_lines()
        assert await anext(lines) == ":"
        yield lines


def a_request_that_is_not_read(web: Web, token: str) -> socket.socket:
    peer = socket.create_connection(("127.0.0.1", web.port))
    head = f"GET /schema.graphql HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {token}\r\n\r\n"
    peer.sendall(head.encode() * 100)
    return peer
