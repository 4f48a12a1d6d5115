"""What a caller is told when something fails: our own refusals in full, of a bug nothing.

Every error carries `code`, `requestId` and `retryable`. A bug is logged once, with its traceback
and the request id; the caller reads "Internal error".
"""

import re
from collections.abc import AsyncGenerator, Iterable
from contextlib import aclosing, nullcontext
from dataclasses import dataclass
from typing import Any, cast

import strawberry
import structlog
from graphql import GraphQLError, GraphQLSyntaxError
from strawberry.exceptions import StrawberryInputCoercionError
from strawberry.extensions import SchemaExtension
from strawberry.extensions.runner import SchemaExtensionsRunner
from strawberry.schema.exceptions import CannotGetOperationTypeError, InvalidOperationTypeError
from strawberry.schema.schema import StreamResult
from strawberry.types.execution import ExecutionContext, ExecutionResult, PreExecutionError
from strawberry.types.graphql import OperationType

from models.errors import DomainError, RequestError

# Field errors may be as many as the objects asked for; these come from the request itself.
REQUEST_ERRORS_MAX = 5

_NOT_HERE = {
    OperationType.QUERY: "Queries are not allowed here.",
    OperationType.MUTATION: "Send mutations over HTTP POST to /graphql.",
    OperationType.SUBSCRIPTION: (
        "Subscribe over the WebSocket with graphql-transport-ws, or at /graphql/stream."
    ),
}
_suggestion = re.compile(r" Did you mean .*\?$", re.DOTALL)
log = structlog.get_logger(__name__)


class Encoded(tuple[str, ...]):
    """Payloads of messages, encoded: what stands in for the data of a subscription's result."""

    __slots__ = ()


@dataclass(frozen=True, slots=True)
class Live:
    """All that a subscription will tell: what stands in for the data of the one result it has."""

    told: AsyncGenerator[Encoded, None]


class Extensions(SchemaExtensionsRunner):
    """None of ours watches single results, and there are many of them."""

    _nothing = nullcontext()

    def on_stream_result(self, _result: Any) -> Any:
        return self._nothing


class MaskedSchema(strawberry.Schema):
    """A schema whose results are fit to be shown, whichever transport runs it.

    Its context has `request_id: str` and `actor`, which is None for a stranger.
    """

    async def execute(
        self,
        query: str | None,
        variable_values: dict[str, Any] | None = None,
        context_value: Any | None = None,
        root_value: Any | None = None,
        operation_name: str | None = None,
        allowed_operation_types: Iterable[OperationType] | None = None,
        operation_extensions: dict[str, Any] | None = None,
    ) -> ExecutionResult:
        """Raise InvalidOperationTypeError when this transport does not run such operations."""
        try:
            result = await super().execute(
                query,
                variable_values,
                context_value,
                root_value,
                operation_name,
                allowed_operation_types,
                operation_extensions,
            )
        except CannotGetOperationTypeError as unknown:
            error = GraphQLError(unknown.as_http_error_reason(), original_error=unknown)
            result = PreExecutionError(data=None, errors=[error])
        return _shown(result, context_value)

    async def stream(
        self,
        query: str | None,
        variable_values: dict[str, Any] | None = None,
        context_value: Any | None = None,
        root_value: Any | None = None,
        operation_name: str | None = None,
        operation_extensions: dict[str, Any] | None = None,
        allowed_operation_types: Iterable[OperationType] | None = None,
    ) -> StreamResult:
        source = await super().stream(
            query,
            variable_values,
            context_value,
            root_value,
            operation_name,
            operation_extensions,
            allowed_operation_types,
        )
        return _shown_stream(source, context_value)

    def create_extensions_runner(
        self, execution_context: ExecutionContext, extensions: list[SchemaExtension]
    ) -> Extensions:
        return Extensions(execution_context=execution_context, extensions=extensions)

    async def _handle_execution_result(
        self, context: ExecutionContext, result: Any, *given: Any, **options: Any
    ) -> ExecutionResult:
        if isinstance(result.data, Live):
            # Nothing is left to be done with it.
            return ExecutionResult(data=cast("Any", result.data), errors=None)
        return await super()._handle_execution_result(context, result, *given, **options)

    def process_errors(
        self, errors: list[GraphQLError], execution_context: ExecutionContext | None = None
    ) -> None:
        """Log nothing: Strawberry would log the document with every error of every stranger."""


async def _shown_stream(source: StreamResult, context: Any) -> AsyncGenerator[Any, None]:
    async with aclosing(source):
        async for result in source:
            if not isinstance(result, ExecutionResult):
                yield result
            elif not isinstance(result.data, Live):
                yield _shown(result, context)
            else:
                async with aclosing(result.data.told) as told:
                    try:
                        async for encoded in told:
                            yield ExecutionResult(data=cast("Any", encoded), errors=None)
                    except Exception as error:  # noqa: BLE001 - the engine makes a result of it
                        yield _shown(await source.athrow(error), context)


def _shown(result: ExecutionResult, context: Any) -> ExecutionResult:
    if result.errors:
        kept = result.errors
        if all(error.path is None for error in kept):
            kept = kept[:REQUEST_ERRORS_MAX]
        stranger = getattr(context, "actor", None) is None
        request_id = getattr(context, "request_id", "")
        result.errors = [present(error, request_id, stranger=stranger) for error in kept]
    return result


def present(error: GraphQLError, request_id: str, *, stranger: bool) -> GraphQLError:
    """A copy of the error as the caller may see it; errors of validation are shared, so a copy."""
    code, message, retryable = _told(error)
    if code == "INTERNAL_SERVER_ERROR":
        cause = cause_of(error) or error
        log.error("operation_failed", request_id=request_id, path=error.path, exc_info=cause)
    if stranger and error.path is None:
        message = _suggestion.sub("", message)
    return GraphQLError(
        message,
        nodes=error.nodes,
        source=error.source,
        positions=error.positions,
        path=error.path,
        extensions={**extensions(code, request_id, retryable=retryable), **_explained(error)},
    )


def _explained(error: GraphQLError) -> dict[str, object]:
    """The argument at fault, where one is, as `path` names only the field; and what else helps."""
    cause = cause_of(error)
    path = cause.path if isinstance(cause, DomainError) else None
    facts = cause.facts if isinstance(cause, RequestError) else {}
    return {**facts, **({"argument": path.split(".")} if path else {})}


def extensions(code: str, request_id: str, *, retryable: bool = False) -> dict[str, object]:
    return {"code": code, "requestId": request_id, "retryable": retryable}


def _told(error: GraphQLError) -> tuple[str, str, bool]:
    given = error.extensions or {}
    if isinstance(given.get("code"), str):
        return given["code"], error.message, given.get("retryable") is True
    cause = cause_of(error)
    if isinstance(cause, DomainError):
        return cause.code, cause.message, cause.retryable
    if isinstance(cause, InvalidOperationTypeError):
        return "BAD_USER_INPUT", _NOT_HERE[cause.operation_type], False
    if isinstance(error, GraphQLSyntaxError):
        # The parser has no type of its own for its limits.
        too_large = error.message.endswith("Parsing aborted.")
        code = "OPERATION_TOO_COMPLEX" if too_large else "GRAPHQL_PARSE_FAILED"
        return code, error.message, False
    if _is_fault_of_request(error, cause):
        return "BAD_USER_INPUT", error.message, False
    return "INTERNAL_SERVER_ERROR", "Internal error", False


def _is_fault_of_request(error: GraphQLError, cause: Exception | None) -> bool:
    """Whether a value in the request could not be read.

    graphql-core tells such errors from failures of ours only by where it found them: in the
    document, before any field (a variable) or inside a field (its argument).
    """
    if isinstance(cause, CannotGetOperationTypeError):
        return True
    if isinstance(error, StrawberryInputCoercionError):
        # Of a variable that gives none or several of what takes one, without a place.
        return True
    if error.path is None:
        return bool(error.nodes)
    return isinstance(cause, GraphQLError) and bool(cause.nodes)


def cause_of(error: GraphQLError) -> Exception | None:
    """The exception at the bottom of the errors wrapped around it."""
    cause = error.original_error
    while isinstance(cause, GraphQLError) and cause.original_error is not None:
        cause = cause.original_error
    return cause
