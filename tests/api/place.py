"""A small schema behind the real transports, on a port of its own in the loop of the test."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID, uuid4

import strawberry
import uvicorn
from starlette.applications import Starlette
from starlette.routing import Route, WebSocketRoute
from websockets.asyncio.client import connect
from websockets.typing import Subprotocol

from api.event_stream import EventStreamApp
from api.graphql import GraphQLApp, InvalidToken
from api.http_protocol import HTTP_OPTIONS
from api.limits import SocketLimits
from api.socket_protocol import SOCKET_OPTIONS
from api.stall import limit_peers
from models.errors import Unauthenticated
from resolvers.guard import SCHEMA_EXTENSIONS
from resolvers.masking import MaskedSchema

TRANSPORT = Subprotocol("graphql-transport-ws")
PATIENCE_SECONDS = 5
# More than kernels hold for a peer that does not read.
LARGE_BYTES = 20_000_000


@dataclass(frozen=True)
class Session:
    token_id: UUID
    seconds_left: float | None = None
    agent_id: UUID | None = None

    @property
    def owner(self) -> UUID:
        return self.agent_id or self.token_id


@dataclass
class Context:
    actor: Session | None
    request_id: str
    place: "Place"


@strawberry.type
class Query:
    @strawberry.field
    def request_id(self, info: strawberry.Info) -> str:
        return info.context.request_id

    @strawberry.field
    def large(self) -> str:
        return "x" * LARGE_BYTES

    @strawberry.field
    def broken(self) -> str:
        raise ValueError("postgresql://secret")

    @strawberry.field
    def unencodable(self) -> strawberry.scalars.JSON:
        return {"too": 2**70}  # type: ignore[return-value]  # what a careless resolver does


@strawberry.type
class Mutation:
    @strawberry.mutation
    def touch(self) -> str:
        return "touched"


@strawberry.type
class Subscription:
    @strawberry.subscription
    async def count(self, to: int = 2) -> AsyncIterator[int]:
        for number in range(to):
            yield number

    @strawberry.subscription
    async def silence(self, info: strawberry.Info) -> AsyncIterator[int]:
        try:
            await asyncio.Event().wait()
            yield 0
        finally:
            info.context.place.ended.set()

    @strawberry.subscription
    async def told(self, info: strawberry.Info) -> AsyncIterator[int]:
        await info.context.place.tell.wait()
        yield 1

    @strawberry.subscription
    async def flood(self, info: strawberry.Info) -> AsyncIterator[str]:
        try:
            while True:
                yield "x" * 100_000
        finally:
            info.context.place.ended.set()

    @strawberry.subscription
    async def is_told_that_its_token_ended(self) -> AsyncIterator[int]:
        yield 1
        raise Unauthenticated

    @strawberry.subscription
    async def breaks(self) -> AsyncIterator[int]:
        yield 1
        raise ValueError("postgresql://secret")


schema = MaskedSchema(Query, Mutation, Subscription, extensions=SCHEMA_EXTENSIONS)


def _set() -> asyncio.Event:
    event = asyncio.Event()
    event.set()
    return event


class Server(uvicorn.Server):
    """Says when it begins to stop."""

    def __init__(self, config: uvicorn.Config, stopping: asyncio.Event) -> None:
        super().__init__(config)
        self.stopping = stopping

    async def _wait_tasks_to_complete(self) -> None:
        self.stopping.set()
        await super()._wait_tasks_to_complete()


@dataclass
class Place:
    """A server on a free port, with tokens to try on it."""

    limits: SocketLimits = field(default_factory=SocketLimits)
    tokens: dict[str, Session] = field(default_factory=lambda: {"good": Session(uuid4())})
    asked: asyncio.Event = field(default_factory=asyncio.Event)
    admits: asyncio.Event = field(default_factory=_set)
    tell: asyncio.Event = field(default_factory=asyncio.Event)
    ended: asyncio.Event = field(default_factory=asyncio.Event)
    stopping: asyncio.Event = field(default_factory=asyncio.Event)
    port: int = 0
    running: asyncio.Task[None] | None = None

    def __post_init__(self) -> None:
        self.app = GraphQLApp(
            schema,
            authenticate=self.authenticate,
            new_context=lambda session, request_id: Context(session, request_id, self),
            socket_limits=self.limits,
        )
        options = {**HTTP_OPTIONS, **SOCKET_OPTIONS}
        routes = [
            Route("/graphql", self.app),
            WebSocketRoute("/graphql", self.app),
            Route("/graphql/stream", EventStreamApp(self.app)),
        ]
        served = Starlette(routes=routes)
        config = uvicorn.Config(served, log_level="warning", lifespan="off", **options)
        self.server = Server(config, self.stopping)

    @property
    def stream_url(self) -> str:
        return f"http://127.0.0.1:{self.port}/graphql/stream"

    async def authenticate(self, token: str | None) -> Session | None:
        self.asked.set()
        await self.admits.wait()
        if token == "crash":
            raise ValueError("the database is away")
        if token is not None and token not in self.tokens:
            raise InvalidToken
        return self.tokens[token] if token else None

    def connect(self, **options: Any) -> connect:
        options = {"subprotocols": [TRANSPORT], **options}
        return connect(f"ws://127.0.0.1:{self.port}/graphql", **options)


@asynccontextmanager
async def serving(place: Place | None = None, **limits: float) -> AsyncIterator[Place]:
    place = place or Place(SocketLimits(**limits))  # type: ignore[arg-type]  # counts are whole
    listening = socket.create_server(("127.0.0.1", 0))
    limit_peers(listening)
    place.port = listening.getsockname()[1]
    place.running = asyncio.create_task(place.server.serve([listening]))
    try:
        yield place
    finally:
        place.server.should_exit = True
        await asyncio.wait_for(place.running, PATIENCE_SECONDS)
