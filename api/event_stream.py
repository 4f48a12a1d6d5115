"""GraphQL over server-sent events: graphql-sse, in its mode of distinct connections.

One request is one operation, and its results are the events `next`; `complete` follows the last.
Whatever the document does wrong is told in the stream as well, as that protocol asks: its clients
try again for every other status than 200. A stream that ends before its operation, for the token
ended or the process does, ends without `complete` and in the middle of the response: only then do
they connect again, asking for their headers anew. They go on with `after`: there are no ids of
events for Last-Event-ID, because which variable a cursor belongs to is in nobody's document.

Mutations are not run here: a client that leaves ends its operation half-way.
"""

import asyncio
from collections.abc import Iterable
from contextlib import aclosing
from typing import TYPE_CHECKING, Any, cast

import orjson
import structlog
from starlette.requests import ClientDisconnect, Request
from starlette.types import Receive, Scope, Send
from strawberry.types.execution import ExecutionResult, PreExecutionError
from strawberry.types.graphql import OperationType

from api.connections import TooManyConnections, require_admitted
from api.graphql import ended, payload_of, refused, request_id_of
from api.http_protocol import STREAM_EXTENSION
from api.limits import GraphQLRequest
from api.requests import EVENT_STREAM, JSON, Refusal, accepts_event_stream, read_request
from models.errors import Unauthenticated
from resolvers.masking import extensions
from resolvers.sharing import encoded

if TYPE_CHECKING:
    from api.graphql import GraphQLApp

log = structlog.get_logger(__name__)

PING_SECONDS = 12.0
# A comment, which also makes browsers take notice of the response before its first event.
PING = b":\n\n"
COMPLETE = b"event: complete\ndata:\n\n"


class EventStreamApp:
    """The same schema, callers and limits as those of the application that it stands beside."""

    def __init__(self, graphql: "GraphQLApp[Any]") -> None:
        self._graphql = graphql

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        request_id = request_id_of(request)
        try:
            await self._stream(request, request_id, send)
        except Refusal as refusal:
            await refused(refusal, JSON, request_id)(scope, receive, send)
        except ClientDisconnect:
            pass
        except Exception:
            log.exception("request_failed", request_id=request_id)
            failure = Refusal(500, "Internal error", code="INTERNAL_SERVER_ERROR")
            await refused(failure, JSON, request_id)(scope, receive, send)

    async def _stream(self, request: Request, request_id: str, send: Send) -> None:
        if not accepts_event_stream(",".join(request.headers.getlist("accept"))):
            raise Refusal(406, f"We answer in {EVENT_STREAM}.")
        asked = await read_request(request)
        session = await self._graphql.session_of(request)
        if session is None:
            raise ended()
        stream = EventStream(self._graphql, asked, session, request_id)
        try:
            await self._graphql.connections.join(stream)
            await stream.run(request, send)
        except Unauthenticated:
            raise ended() from None
        except TooManyConnections:
            raise Refusal(429, "Too many connections.", code="RATE_LIMITED") from None
        finally:
            self._graphql.connections.leave(stream)


class EventStream:
    """One operation, until it completes, its client leaves or its token ends."""

    def __init__(
        self, graphql: "GraphQLApp[Any]", asked: GraphQLRequest, session: Any, request_id: str
    ) -> None:
        self.session = session
        self._graphql = graphql
        self._asked = asked
        self._request_id = request_id
        self._dismissed = asyncio.Event()

    def dismiss(self) -> None:
        self._dismissed.set()

    async def run(self, request: Request, send: Send) -> None:
        connection = request.scope.get("extensions", {}).get(STREAM_EXTENSION, {})
        if begin := connection.get("begin"):
            begin()
        await send(self._start())
        await _write(send, PING)
        operation = asyncio.create_task(self._run_operation(send))
        await _first_of(operation, _disconnected(request), self._dismissed.wait(), _ping(send))
        cut = connection.get("cut")
        if cut and operation.cancelled():
            cut()
        else:
            await _write(send, b"", more_body=False)

    def _start(self) -> dict[str, Any]:
        headers = {
            "Content-Type": f"{EVENT_STREAM}; charset=utf-8",
            "Cache-Control": "no-store",
            "X-Accel-Buffering": "no",
            "X-Request-Id": self._request_id,
        }
        encoded = [(name.lower().encode(), value.encode()) for name, value in headers.items()]
        return {"type": "http.response.start", "status": 200, "headers": encoded}

    async def _run_operation(self, send: Send) -> None:
        try:
            results = await self._graphql.schema.stream(
                self._asked.query,
                variable_values=self._asked.variables,
                context_value=self._graphql.new_context(self.session, self._request_id),
                operation_name=self._asked.operation_name,
                operation_extensions=self._asked.extensions,
                allowed_operation_types=(OperationType.QUERY, OperationType.SUBSCRIPTION),
            )
            async with aclosing(results):
                async for result in results:
                    require_admitted(result)
                    for payload in _payloads(cast("ExecutionResult", result)):
                        await _write(send, _next(payload))
                    # Sending does not wait while there is room, nor once the peer is gone.
                    await asyncio.sleep(0)
        except Unauthenticated:
            self.dismiss()
            await asyncio.Event().wait()
        except Exception:
            log.exception("operation_failed", request_id=self._request_id)
            told = extensions("INTERNAL_SERVER_ERROR", self._request_id)
            failure = {"message": "Internal error", "extensions": told}
            await _write(send, _next(orjson.dumps({"errors": [failure]})))
        await _write(send, COMPLETE)


def _payloads(result: ExecutionResult) -> Iterable[bytes]:
    if isinstance(result, PreExecutionError):
        return [orjson.dumps(payload_of(result))]
    return [payload.encode() for payload in encoded(result)]


def _next(payload: bytes) -> bytes:
    # JSON has no line breaks of its own, so the data is one line.
    return b"event: next\ndata: " + payload + b"\n\n"


async def _write(send: Send, body: bytes, *, more_body: bool = True) -> None:
    await send({"type": "http.response.body", "body": body, "more_body": more_body})


async def _ping(send: Send) -> None:
    while True:
        await asyncio.sleep(PING_SECONDS)
        await _write(send, PING)


async def _disconnected(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass


async def _first_of(operation: "asyncio.Task[None]", *others: Any) -> None:
    """Wait for one of them to end, then end the others."""
    tasks = [operation, *map(asyncio.ensure_future, others)]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
