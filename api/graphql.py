"""GraphQL over HTTP, as the specification of that name and the graphql-http audit ask for it.

Strawberry's view serves the WebSocket. Its HTTP half is replaced, because it answers in plain text
where JSON is due, trusts any content type that mentions JSON, and reads bodies of any size.
"""

import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import timedelta
from typing import Any, Generic, TypeVar
from uuid import uuid4

import orjson
import structlog
from graphql import GraphQLError
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send
from starlette.websockets import WebSocket
from strawberry.asgi import GraphQL
from strawberry.exceptions import ConnectionRejectionError
from strawberry.schema.base import BaseSchema
from strawberry.schema.exceptions import InvalidOperationTypeError
from strawberry.subscriptions import GRAPHQL_TRANSPORT_WS_PROTOCOL
from strawberry.types.execution import ExecutionResult, PreExecutionError
from strawberry.types.graphql import OperationType

from api.connections import Connections, Session, Strangers
from api.limits import GraphQLRequest, SocketLimits
from api.requests import (
    GRAPHQL_RESPONSE,
    JSON,
    Refusal,
    accepted_media_type,
    bearer_token,
    read_request,
)
from api.socket_protocol import SocketAdapter
from api.sockets import Socket, SocketHandler
from models.errors import Unauthenticated
from resolvers.masking import extensions, present

log = structlog.get_logger(__name__)
SessionT = TypeVar("SessionT", bound=Session)

# Of results without data, and only for clients that asked for the strict media type: to the others
# 200 has always meant that a GraphQL server answered.
STATUSES = {
    "UNAUTHENTICATED": 401,
    "FORBIDDEN": 403,
    "RATE_LIMITED": 429,
    "INTERNAL_SERVER_ERROR": 500,
    "TIMEOUT": 504,
}
_OPERATIONS = {
    "GET": frozenset({OperationType.QUERY}),
    "POST": frozenset({OperationType.QUERY, OperationType.MUTATION}),
}
_request_id = re.compile(r"[A-Za-z0-9_.-]{1,64}", re.ASCII)


class InvalidToken(Exception):
    """The token is unknown, expired or revoked."""


class GraphQLApp(GraphQL[Any, None], Generic[SessionT]):
    """The ASGI application of one schema, which knows nobody and asks `authenticate` who calls.

    `authenticate` gets the bearer token, or None where there is none, and raises InvalidToken.
    `new_context` makes the context of one operation from the session and the request id; the
    schema is expected to be a MaskedSchema. `connections` ends those of revoked tokens.
    """

    graphql_transport_ws_handler_class = SocketHandler
    websocket_adapter_class = SocketAdapter

    def __init__(
        self,
        schema: BaseSchema,
        *,
        authenticate: Callable[[str | None], Awaitable[SessionT | None]],
        new_context: Callable[[SessionT | None, str], object],
        allowed_origins: Sequence[str] = (),
        socket_limits: SocketLimits | None = None,
    ) -> None:
        self.authenticate = authenticate
        self.new_context = new_context
        self.socket_limits = socket_limits or SocketLimits()
        self.connections = Connections(self.socket_limits.connections_per_actor_max)
        self.strangers = Strangers(
            self.socket_limits.strangers_max, self.socket_limits.strangers_per_address_max
        )
        super().__init__(
            schema,
            graphql_ide=None,
            subscription_protocols=(GRAPHQL_TRANSPORT_WS_PROTOCOL,),
            connection_init_wait_timeout=timedelta(seconds=self.socket_limits.init_timeout_seconds),
            allowed_origins=allowed_origins,
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await super().__call__(scope, receive, send)
            return
        request = Request(scope, receive)
        request_id = request_id_of(request)
        try:
            response = await self._respond(request, request_id)
        except ClientDisconnect:
            return
        except Exception:
            log.exception("request_failed", request_id=request_id)
            refusal = Refusal(500, "Internal error", code="INTERNAL_SERVER_ERROR")
            response = refused(refusal, JSON, request_id)
        await response(scope, receive, send)

    async def _respond(self, request: Request, request_id: str) -> Response:
        media_type = accepted_media_type(",".join(request.headers.getlist("accept")))
        try:
            if media_type is None:
                raise Refusal(406, f"We answer in {JSON} or {GRAPHQL_RESPONSE}.")
            asked = await read_request(request)
            session = await self.session_of(request)
            context = self.new_context(session, request_id)
            result = await self._run(request.method, asked, context)
        except Refusal as refusal:
            return refused(refusal, media_type or JSON, request_id)
        except InvalidOperationTypeError as misplaced:
            return _misplaced(misplaced, request.method, media_type or JSON, request_id)
        return _answered(result, media_type, request_id)

    async def session_of(self, request: Request) -> SessionT | None:
        """None for a stranger; raises Refusal for a token that is none, or none any more."""
        credentials = request.headers.get("authorization")
        token = None if credentials is None else bearer_token(credentials)
        try:
            if credentials is not None and token is None:
                raise InvalidToken
            return await self.authenticate(token)
        except (InvalidToken, Unauthenticated):
            raise ended() from None

    async def _run(self, method: str, asked: GraphQLRequest, context: object) -> ExecutionResult:
        return await self.schema.execute(
            asked.query,
            variable_values=asked.variables,
            context_value=context,
            operation_name=asked.operation_name,
            allowed_operation_types=_OPERATIONS[method],
            operation_extensions=asked.extensions,
        )

    async def admit(self, socket: Socket) -> None:
        """Put the session on the socket; raise ConnectionRejectionError without a valid token."""
        params = socket.connection_params
        given = params.get("authorization") or params.get("Authorization")
        credentials = given or socket.headers.get("authorization")
        if not isinstance(credentials, str):
            raise ConnectionRejectionError
        token = bearer_token(credentials) or credentials.strip()
        try:
            session = await self.authenticate(token)
        except (InvalidToken, Unauthenticated):
            session = None
        if session is None:
            raise ConnectionRejectionError
        socket.session = session

    async def get_context(
        self,
        request: Request | WebSocket,
        response: Response | WebSocket,  # noqa: ARG002  # the signature is Strawberry's
    ) -> Socket:
        address = request.client.host if request.client else ""
        return Socket(headers=request.headers, address=address)

    def decode_json(self, data: str | bytes) -> object:
        return orjson.loads(data)

    def encode_json(self, data: object) -> str:
        # Text, for bytes would become binary frames, which the clients of the protocol refuse.
        return orjson.dumps(data).decode()


def request_id_of(request: Request) -> str:
    """The caller's own, if it is a plain one."""
    given = request.headers.get("x-request-id", "")
    return given if _request_id.fullmatch(given) else uuid4().hex


def ended() -> Refusal:
    """What whoever comes with a token that does not count is told."""
    return Refusal(
        401,
        "The token is not valid, or no longer: sign in again.",
        code="UNAUTHENTICATED",
        headers={"WWW-Authenticate": 'Bearer error="invalid_token"'},
    )


def payload_of(result: ExecutionResult) -> dict[str, Any]:
    """A result as it is sent: without data when it never ran."""
    errors = [error.formatted for error in result.errors or ()]
    never_ran = isinstance(result, PreExecutionError) or (
        result.data is None and all("path" not in error for error in errors)
    )
    payload: dict[str, Any] = {} if never_ran else {"data": result.data}
    if errors:
        payload["errors"] = errors
    if result.extensions:
        payload["extensions"] = result.extensions
    return payload


def _answered(result: ExecutionResult, media_type: str, request_id: str) -> Response:
    payload = payload_of(result)
    status = 200
    if "data" not in payload and media_type == GRAPHQL_RESPONSE:
        status = STATUSES.get(str(payload["errors"][0].get("extensions", {}).get("code")), 400)
    return _response(payload, status, media_type, request_id, {})


def _misplaced(
    error: InvalidOperationTypeError, method: str, media_type: str, request_id: str
) -> Response:
    """A mutation by GET is the wrong method; a subscription is the wrong transport."""
    told = present(GraphQLError("", original_error=error), request_id, stranger=True)
    is_method = method == "GET" and error.operation_type is OperationType.MUTATION
    refusal = Refusal(
        405 if is_method else 400, told.message, headers={"Allow": "POST"} if is_method else None
    )
    return refused(refusal, media_type, request_id)


def refused(refusal: Refusal, media_type: str, request_id: str) -> Response:
    """What a request that cannot be served is answered with."""
    retryable = refusal.code == "RATE_LIMITED"
    told = {
        "message": refusal.message,
        "extensions": extensions(refusal.code, request_id, retryable=retryable),
    }
    return _response({"errors": [told]}, refusal.status, media_type, request_id, refusal.headers)


def _response(
    payload: object, status: int, media_type: str, request_id: str, headers: Mapping[str, str]
) -> Response:
    return Response(
        orjson.dumps(payload),
        status,
        {
            "Content-Type": f"{media_type}; charset=utf-8",
            "Cache-Control": "no-store",
            "Vary": "Accept",
            "X-Request-Id": request_id,
            **headers,
        },
    )
