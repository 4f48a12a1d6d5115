"""Reads a GraphQL request from HTTP, or says with which status it cannot be read.

Cross-site request forgery: a page of another site can make a browser send a GET, or a POST with
the content type of a form, but it cannot make it set Authorization, one of the headers that exist
for this purpose, or the content type of JSON without asking first (a preflight, which we refuse).
"""

from collections.abc import Mapping

import orjson
from starlette.requests import Request

from api.limits import BODY_BYTES_MAX, GraphQLRequest, Malformed, Unstorable

JSON = "application/json"
GRAPHQL_RESPONSE = "application/graphql-response+json"
EVENT_STREAM = "text/event-stream"

_PREFLIGHTED_HEADERS = (
    "authorization",
    "x-graphql-csrf",
    "apollo-require-preflight",
    "graphql-require-preflight",
)


class Refusal(Exception):
    """A request that cannot be served, with the HTTP status that says so."""

    def __init__(
        self,
        status: int,
        message: str,
        *,
        code: str = "BAD_USER_INPUT",
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.code = code
        self.headers = headers or {}


def accepted_media_type(accept: str | None) -> str | None:
    """The better of our two media types for this Accept header; None if it wants neither.

    Only a client that names application/graphql-response+json gets it: it expects other statuses.
    """
    if not accept or not accept.strip():
        return JSON
    ranges = dict(map(_media_range, accept.split(",")))
    anything = ranges.get("application/*", ranges.get("*/*", 0.0))
    plain = ranges.get(JSON, anything)
    strict = ranges.get(GRAPHQL_RESPONSE, 0.0)
    if strict and strict >= plain:
        return GRAPHQL_RESPONSE
    return JSON if plain else None


def accepts_event_stream(accept: str | None) -> bool:
    """Whether this Accept header lets us answer with an event stream."""
    if not accept or not accept.strip():
        return True
    ranges = dict(map(_media_range, accept.split(",")))
    anything = ranges.get("text/*", ranges.get("*/*", 0.0))
    return ranges.get(EVENT_STREAM, anything) > 0


async def read_request(request: Request) -> GraphQLRequest:
    """Raise Refusal unless the request is a well-formed GraphQL request."""
    if request.method == "GET":
        parameters: object = _read_query_string(request)
    elif request.method == "POST":
        _require_json(request.headers.get("content-type", ""))
        parameters = _decoded(await _read_body(request), "The body")
    else:
        raise Refusal(405, "Use GET or POST.", headers={"Allow": "GET, POST"})
    try:
        return GraphQLRequest.of(parameters)
    except (Malformed, Unstorable) as unreadable:
        raise Refusal(400, str(unreadable)) from None


def bearer_token(credentials: str) -> str | None:
    """The token of an Authorization header; None if it is of another scheme."""
    scheme, _, token = credentials.strip().partition(" ")
    return token.strip() or None if scheme.lower() == "bearer" else None


def _media_range(text: str) -> tuple[str, float]:
    name, *parameters = (part.strip().lower() for part in text.split(";"))
    for parameter in parameters:
        if parameter.startswith("q="):
            try:
                return name, float(parameter[2:])
            except ValueError:
                return name, 0.0
    return name, 1.0


def _read_query_string(request: Request) -> dict[str, object]:
    if "query" not in request.query_params:
        raise Refusal(400, "This is a GraphQL endpoint: send a query, best by POST.")
    has_custom_header = any(name in request.headers for name in _PREFLIGHTED_HEADERS)
    if not has_custom_header and not _is_json(request.headers.get("content-type", "")):
        wanted = ", ".join(_PREFLIGHTED_HEADERS)
        raise Refusal(400, f"A GET needs a header that no other site can send: {wanted}.")
    parameters: dict[str, object] = dict(request.query_params)
    for name in ("variables", "extensions"):
        if text := request.query_params.get(name):
            parameters[name] = _decoded(text, f"The parameter {name}")
        else:
            parameters.pop(name, None)
    return parameters


def _require_json(content_type: str) -> None:
    if not _is_json(content_type):
        raise Refusal(415, "Send application/json in UTF-8.", headers={"Accept": JSON})


def _is_json(content_type: str) -> bool:
    media_type, *parameters = (part.strip().lower() for part in content_type.split(";"))
    charsets = [value for value in parameters if value.startswith("charset=")]
    return media_type == JSON and all(
        charset.removeprefix("charset=").strip('"') in ("utf-8", "utf8") for charset in charsets
    )


async def _read_body(request: Request) -> bytes:
    announced = request.headers.get("content-length", "0")
    if announced.isdecimal() and int(announced[:20]) > BODY_BYTES_MAX:
        raise _too_large()
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > BODY_BYTES_MAX:
            raise _too_large()
    return bytes(body)


def _too_large() -> Refusal:
    # The rest of the body is not read, so the connection cannot serve another request.
    return Refusal(
        413, f"A body holds at most {BODY_BYTES_MAX} bytes.", headers={"Connection": "close"}
    )


def _decoded(text: bytes | str, what: str) -> object:
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        raise Refusal(400, f"{what} is not JSON in UTF-8.") from None
