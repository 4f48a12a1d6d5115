"""GraphQL over WebSocket: graphql-transport-ws, with no patience for broken or absent peers.

The clients of the graphql-ws library reconnect by themselves after some close codes only:

    4400  malformed message              fatal
    4401  subscribed before the ack      fatal
    4403  token missing or no longer valid: reconnects and asks for connectionParams again
    4408  no connection_init in time     reconnects
    4409  operation id in use            fatal
    4429  a second connection_init       fatal
    4499  no answer to pings             reconnects
    4503  too many connections           reconnects, for the old ones of a lost network may still
                                         count for half a minute
    1013  we could not authenticate just now, reconnects
"""

import asyncio
from collections.abc import Mapping
from contextlib import aclosing, suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, cast
from uuid import uuid4

import orjson
import structlog
from strawberry.exceptions import ConnectionRejectionError
from strawberry.http.exceptions import WebSocketDisconnected
from strawberry.schema.schema import StreamResult
from strawberry.subscriptions.protocols.graphql_transport_ws.handlers import (
    BaseGraphQLTransportWSHandler,
    Operation,
)
from strawberry.types.execution import ExecutionResult, PreExecutionError
from strawberry.types.graphql import OperationType

from api.connections import Allowance, TooManyConnections, require_admitted
from api.limits import GraphQLRequest, Malformed, Unstorable, require_message
from models.errors import Unauthenticated
from resolvers.masking import extensions
from resolvers.sharing import encoded

if TYPE_CHECKING:
    from api.graphql import GraphQLApp
    from api.socket_protocol import SocketAdapter

log = structlog.get_logger(__name__)


@dataclass(slots=True)
class Socket:
    """What is known of one connection; operations get contexts of their own."""

    headers: Mapping[str, str]
    address: str = ""
    connection_params: dict[str, object] = field(default_factory=dict)
    session: Any = None


class SocketHandler(BaseGraphQLTransportWSHandler[Socket, None]):
    """One connection; every operation on it has its own context, hence its own loaders."""

    view: "GraphQLApp[Any]"

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.limits = self.view.socket_limits
        self.loop = asyncio.get_running_loop()
        self.heard_at = self.loop.time()
        self.subscribes = Allowance(self.limits.subscribe_burst, self.limits.subscribes_per_minute)
        self.watch: asyncio.Task[None] | None = None
        self.farewell: asyncio.Task[None] | None = None
        self.is_stranger = False

    @property
    def session(self) -> Any:
        return self.context.session

    @session.setter
    def session(self, session: Any) -> None:
        self.context.session = session

    def dismiss(self) -> None:
        self.farewell = self.loop.create_task(self.websocket.close(4403, "Forbidden"))

    async def handle(self) -> None:
        self.is_stranger = self.view.strangers.enter(self.context.address)
        if not self.is_stranger:
            await self.websocket.close(4503, "Too many connections")
            return
        await super().handle()

    async def shutdown(self) -> None:
        self._introduce()
        self.view.connections.leave(self)
        if self.watch:
            self.watch.cancel()
        await super().shutdown()

    async def handle_message(self, message: Any) -> None:
        self.heard_at = self.loop.time()
        try:
            require_message(message)
            await super().handle_message(message)
        except Malformed as malformed:
            await self.handle_invalid_message(str(malformed))

    async def handle_connection_init(self, message: Any) -> None:
        if self.connection_timed_out:
            return
        if self.connection_init_received:
            await self.websocket.close(4429, "Too many initialisation requests")
            return
        self.connection_init_received = True
        self.context.connection_params = message.get("payload") or {}
        refusal = await self._admit()
        if refusal:
            await self.websocket.close(*refusal)
            return
        await self.send_message({"type": "connection_ack"})
        self.connection_acknowledged = True
        self.watch = self.loop.create_task(self._watch())

    def _introduce(self) -> None:
        """It is no stranger any more."""
        if self.is_stranger:
            self.is_stranger = False
            self.view.strangers.leave(self.context.address)

    async def _admit(self) -> tuple[int, str] | None:
        try:
            async with asyncio.timeout(self.limits.init_timeout_seconds):
                await self.view.admit(self.context)
                await self.view.connections.join(self)
        except (ConnectionRejectionError, Unauthenticated):
            return 4403, "Forbidden"
        except TooManyConnections:
            return 4503, "Too many connections"
        except Exception:
            log.exception("socket_not_authenticated")
            return 1013, "Try again later"
        self._introduce()
        return None

    async def _watch(self) -> None:
        """Ping a peer that says nothing, and leave one that says nothing to that either."""
        with suppress(WebSocketDisconnected):
            while True:
                quiet = self.loop.time() - self.heard_at
                if quiet < self.limits.ping_interval_seconds:
                    await asyncio.sleep(self.limits.ping_interval_seconds - quiet)
                    continue
                asked_at = self.loop.time()
                await self.send_message({"type": "ping"})
                await asyncio.sleep(self.limits.pong_timeout_seconds)
                if self.heard_at < asked_at:
                    await self.websocket.close(4499, "No answer to ping")
                    return

    async def handle_subscribe(self, message: Any) -> None:
        operation_id = message["id"]
        if not self.connection_acknowledged:
            await self.websocket.close(4401, "Unauthorized")
        elif operation_id in self.operations:
            await self.websocket.close(4409, f"Subscriber for {operation_id} already exists")
        elif not self.subscribes.take(self.loop.time()):
            # Meanwhile nothing more is read from this peer.
            await asyncio.sleep(self.limits.refusal_pause_seconds)
            at_most = f"At most {self.limits.subscribes_per_minute:g} operations start in a minute."
            await self._refuse(operation_id, "RATE_LIMITED", at_most, retryable=True)
        elif len(self.operations) >= self.limits.operations_max:
            at_most = f"At most {self.limits.operations_max} operations run on one socket."
            await self._refuse(operation_id, "RATE_LIMITED", at_most, retryable=True)
        else:
            try:
                self._start(operation_id, GraphQLRequest.of(message.get("payload")))
            except Unstorable as unstorable:
                await self._refuse(operation_id, "BAD_USER_INPUT", str(unstorable))

    def _start(self, id: str, asked: GraphQLRequest) -> None:
        operation = Operation(self, id, asked.query, asked.variables, asked.operation_name)
        operation.task = self.loop.create_task(self.run_operation(operation, asked.extensions))
        operation.task.add_done_callback(self._task_done)
        self.operations[id] = operation

    async def run_operation(
        self, operation: Operation[Socket, None], extensions: dict[str, Any] | None = None
    ) -> None:
        request_id = uuid4().hex
        try:
            results = await self.schema.stream(
                operation.query,
                variable_values=operation.variables,
                context_value=self.view.new_context(self.context.session, request_id),
                operation_name=operation.operation_name,
                operation_extensions=extensions,
                allowed_operation_types=(OperationType.QUERY, OperationType.SUBSCRIPTION),
            )
            async with aclosing(results):
                await self._send_result_stream(operation, results)
            await operation.send_operation_message({"id": operation.id, "type": "complete"})
        except WebSocketDisconnected:
            self.operations.pop(operation.id, None)
        except Unauthenticated:
            self.dismiss()
        except Exception:
            log.exception("operation_failed", request_id=request_id)
            await self._fail(operation, request_id)

    async def _send_result_stream(
        self, operation: Operation[Socket, None], result_source: StreamResult
    ) -> None:
        """As Strawberry does, but what is encoded already goes out as it is."""
        # The id is the peer's own text; the rest of the frame may be everybody's.
        begin = f'{{"id":{orjson.dumps(operation.id).decode()},"type":"next","payload":'
        adapter = cast("SocketAdapter", self.websocket)
        async for result in result_source:
            require_admitted(result)
            if isinstance(result, PreExecutionError):
                await self._handle_pre_execution_error(operation, result)
                return
            if not isinstance(result, ExecutionResult):
                await self._reject_incremental_delivery(operation)
                return
            await adapter.send_texts([f"{begin}{payload}}}" for payload in encoded(result)])

    async def _fail(self, operation: Operation[Socket, None], request_id: str) -> None:
        if self.operations.get(operation.id) is operation:
            del self.operations[operation.id]
            with suppress(WebSocketDisconnected):
                await self._refuse(
                    operation.id, "INTERNAL_SERVER_ERROR", "Internal error", request_id
                )

    async def _refuse(
        self,
        id: str,
        code: str,
        message: str,
        request_id: str | None = None,
        *,
        retryable: bool = False,
    ) -> None:
        told = extensions(code, request_id or uuid4().hex, retryable=retryable)
        await self.send_message(
            {"id": id, "type": "error", "payload": [{"message": message, "extensions": told}]}
        )

    @staticmethod
    def _get_pre_execution_close_reason(error: object) -> None:
        """Never: a document with a mistake ends its own operation, not those of its neighbours."""
