"""The web process: what it connects on start, and which routes it serves."""

import gc
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route, WebSocketRoute

from api.auth import Caller, authenticate
from api.event_stream import EventStreamApp
from api.graphql import GraphQLApp
from api.health import live, ready, workers
from api.jobs import Jobs
from api.rehearsal import rehearse
from api.reports import ReportsApp
from api.requests import bearer_token
from api.revocation import TokenWatch
from models import database, queue, team
from models.errors import Unauthenticated
from models.settings import Settings
from models.stream import Reader
from models.wakeup import Wakeups
from models.webhook import target
from resolvers.context import Context
from resolvers.schema import schema

# Allocations, and younger collections, between collections of each age.
COLLECT_EVERY = (10_000, 20, 50)


def create_app(settings: Settings) -> Starlette:
    """An ASGI application on the servers of these settings; its lifespan connects them."""
    reader = Reader()
    graphql = graphql_app(reader, allowed_origins=settings.allowed_origins)

    @asynccontextmanager
    async def lifespan(_app: Starlette) -> AsyncIterator[None]:
        await database.connect(settings.database_url or "", pool_max=settings.database_pool_max)
        wakeups = Wakeups(settings.redis_url or "")
        wakeups.listen(reader.wake)
        forget = database.on_commit(wakeups.committed)
        wakeups.start()
        reader.start()
        jobs = Jobs(settings.redis_url or "")
        queue.hand_over_to(jobs.drain)
        _leave_to_the_installation(settings)
        await rehearse(settings.database_pool_max)
        _spare_the_collector()
        try:
            yield
        finally:
            queue.hand_over_to(None)
            forget()
            await jobs.close()
            await reader.stop()
            await wakeups.stop()
            await database.close()

    return Starlette(
        routes=[
            Route("/graphql", graphql),
            WebSocketRoute("/graphql", graphql),
            Route("/graphql/stream", EventStreamApp(graphql)),
            Route("/schema.graphql", _sdl),
            Route("/reports/{name}.csv", ReportsApp()),
            Route("/health/live", live),
            Route("/health/ready", ready),
            Route("/health/workers", workers),
        ],
        lifespan=lifespan,
    )


def _leave_to_the_installation(settings: Settings) -> None:
    team.reserve_groups(reserved=settings.groups_reserved)
    target.allow(settings.webhook_targets_allowed)


def _spare_the_collector() -> None:
    """Leave what was loaded at the start out of garbage collections, which stop every request."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(*COLLECT_EVERY)


def graphql_app(reader: Reader, *, allowed_origins: Sequence[str] = ()) -> GraphQLApp[Caller]:
    """The schema, served to whoever has a token, and live through the reader."""

    def new_context(caller: Caller | None, request_id: str) -> Context:
        return Context(actor=caller.actor if caller else None, request_id=request_id, reader=reader)

    graphql = GraphQLApp(
        schema,
        authenticate=authenticate,
        new_context=new_context,
        allowed_origins=allowed_origins,
    )
    graphql.connections.watch = TokenWatch(reader, graphql.connections)
    return graphql


async def _sdl(request: Request) -> PlainTextResponse:
    """The schema for whoever could ask for it by introspection."""
    try:
        caller = await authenticate(bearer_token(request.headers.get("authorization", "")))
    except Unauthenticated:
        caller = None
    if caller is None:
        return PlainTextResponse(
            "The schema is shown to those with a valid token: Authorization: Bearer ...\n",
            status_code=401,
            headers={"WWW-Authenticate": "Bearer"},
        )
    return PlainTextResponse(schema.as_str(), media_type="application/graphql")
