"""What a request may look like before the schema sees it, whichever transport brought it."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

BODY_BYTES_MAX = 1024 * 1024
FRAME_BYTES_MAX = 128 * 1024
OPERATION_ID_LENGTH_MAX = 128

_PARAMETERS: tuple[tuple[str, type, str], ...] = (
    ("query", str, "a string"),
    ("variables", dict, "an object"),
    ("operationName", str, "a string"),
    ("extensions", dict, "an object"),
)


@dataclass(frozen=True, slots=True)
class SocketLimits:
    """How long and how much one peer may keep us busy by WebSocket or event stream."""

    init_timeout_seconds: float = 5.0
    # A peer that vanished without a word is left within 25 s, by its silence or by TCP's.
    ping_interval_seconds: float = 11.0
    pong_timeout_seconds: float = 10.0
    operations_max: int = 20
    # Of one socket. Whoever spends them waits before every refusal.
    subscribe_burst: int = 100
    subscribes_per_minute: float = 120.0
    refusal_pause_seconds: float = 1.0
    # Sockets and event streams together; an agent's tokens count as one.
    connections_per_actor_max: int = 50
    # Of sockets that did not yet say whose they are.
    strangers_max: int = 1_000
    strangers_per_address_max: int = 100


class Malformed(Exception):
    """The parameters of a request have the wrong shape; the message says which."""


class Unstorable(Exception):
    """A text holds a character that PostgreSQL cannot store."""


@dataclass(frozen=True, slots=True)
class GraphQLRequest:
    """One operation somebody asks for."""

    query: str
    variables: dict[str, Any] | None
    operation_name: str | None
    extensions: dict[str, Any] | None

    @classmethod
    def of(cls, parameters: object) -> "GraphQLRequest":
        """Raise Malformed or Unstorable."""
        if not isinstance(parameters, dict):
            raise Malformed("A GraphQL request is one JSON object.")
        for name, kind, article in _PARAMETERS:
            if not isinstance(parameters.get(name), kind | None):
                raise Malformed(f"The parameter {name} is {article} or null.")
        if not parameters.get("query"):
            raise Malformed("Send a GraphQL document in the parameter query.")
        _require_storable(parameters)
        return cls(
            query=parameters["query"],
            variables=parameters.get("variables"),
            operation_name=parameters.get("operationName") or None,
            extensions=parameters.get("extensions"),
        )


def require_message(message: object) -> None:
    """Raise Malformed unless it has the shape that graphql-transport-ws gives its messages."""
    if not isinstance(message, dict) or not isinstance(message.get("type"), str):
        raise Malformed("A message is a JSON object with a type.")
    payload = message.get("payload")
    if not isinstance(payload, dict | None):
        raise Malformed("A payload is an object.")
    if message["type"] in ("subscribe", "complete"):
        operation_id = message.get("id")
        if (
            not isinstance(operation_id, str)
            or not 0 < len(operation_id) <= OPERATION_ID_LENGTH_MAX
        ):
            raise Malformed(f"An id is a text of 1 to {OPERATION_ID_LENGTH_MAX} characters.")


def _require_storable(parameters: Mapping[str, object]) -> None:
    for text in _texts([parameters.get("query"), parameters.get("variables")]):
        # Lone surrogates never come this far: the JSON decoder and the lexer refuse them.
        if "\0" in text:
            raise Unstorable("Texts cannot hold the character U+0000.")


def _texts(values: list[object]) -> Iterator[str]:
    # A stack instead of recursion: the decoder allows a thousand levels.
    while values:
        value = values.pop()
        if isinstance(value, str):
            yield value
        elif isinstance(value, dict):
            values.extend(value.keys())
            values.extend(value.values())
        elif isinstance(value, list):
            values.extend(value)
