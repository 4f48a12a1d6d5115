"""GraphQL over HTTP: what is accepted, what is refused, and with which status."""

import asyncio
import socket
from collections.abc import AsyncIterator
from dataclasses import dataclass
from uuid import UUID

import httpx
import pytest
import strawberry
import uvicorn
from structlog.testing import capture_logs
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from api.graphql import GraphQLApp, InvalidToken
from api.limits import BODY_BYTES_MAX
from api.requests import GRAPHQL_RESPONSE, JSON, accepted_media_type
from models.errors import Unauthenticated
from resolvers.guard import SCHEMA_EXTENSIONS
from resolvers.masking import MaskedSchema

STRICT = {"accept": GRAPHQL_RESPONSE}
NAMED = {"x-graphql-csrf": "1"}


@dataclass(frozen=True)
class Session:
    token_id: UUID | None = None
    seconds_left: float | None = None
    owner: str = "somebody"


@dataclass
class Context:
    actor: Session | None
    request_id: str


class Gate:
    """Holds the mutation `wait` open."""

    def __init__(self) -> None:
        self.entered = asyncio.Event()
        self.opened = asyncio.Event()
        self.passed = asyncio.Event()
        self.left = asyncio.Event()


gate = Gate()


class Watched(HttpToolsProtocol):
    """Says when the client has left."""

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        gate.left.set()


@strawberry.type
class Query:
    @strawberry.field
    def echo(self, text: str = "hello") -> str:
        return text

    @strawberry.field
    def viewer(self, info: strawberry.Info) -> str | None:
        if info.context.actor is None:
            raise Unauthenticated
        return "someone"

    @strawberry.field
    def broken(self) -> str:
        raise ValueError("postgresql://secret")

    @strawberry.field
    def unencodable(self) -> strawberry.scalars.JSON:
        return {"too": 2**70}  # type: ignore[return-value]  # what a careless resolver does


@strawberry.type
class Mutation:
    @strawberry.mutation
    async def wait(self) -> str:
        gate.entered.set()
        await gate.opened.wait()
        gate.passed.set()
        return "done"


@strawberry.type
class Subscription:
    @strawberry.subscription
    async def ticks(self) -> AsyncIterator[int]:
        yield 1


async def authenticate(token: str | None) -> Session | None:
    if token is None:
        return None
    if token == "crash":
        raise ValueError("the database is away")
    if token != "good":
        raise InvalidToken
    return Session()


schema = MaskedSchema(Query, Mutation, Subscription, extensions=SCHEMA_EXTENSIONS)
app = GraphQLApp(schema, authenticate=authenticate, new_context=Context)


@pytest.fixture
async def client() -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(app=app)
    async with httpx.AsyncClient(transport=transport, base_url="http://relevo") as client:
        yield client


async def post(client: httpx.AsyncClient, query: str, **headers: str) -> httpx.Response:
    headers = {name.replace("_", "-"): value for name, value in headers.items()}
    return await client.post("/graphql", json={"query": query}, headers=headers)


def code(response: httpx.Response) -> str:
    return response.json()["errors"][0]["extensions"]["code"]


@pytest.mark.parametrize(
    ("accept", "media_type"),
    [
        (None, JSON),
        ("", JSON),
        ("*/*", JSON),
        ("application/*", JSON),
        (GRAPHQL_RESPONSE, GRAPHQL_RESPONSE),
        (f"{GRAPHQL_RESPONSE}; charset=utf-8, {JSON}; charset=utf-8", GRAPHQL_RESPONSE),
        (f"{GRAPHQL_RESPONSE};q=0.5, {JSON}", JSON),
        (f"{JSON};q=0.5, {GRAPHQL_RESPONSE};q=0.9", GRAPHQL_RESPONSE),
        (f"{JSON};q=0, {GRAPHQL_RESPONSE}", GRAPHQL_RESPONSE),
        ("text/html, */*;q=0.8", JSON),
        (f"{JSON};q=none", None),
        ("text/html", None),
        ("text/event-stream", None),
    ],
)
def test_the_answer_has_the_type_the_client_prefers(
    accept: str | None, media_type: str | None
) -> None:
    assert accepted_media_type(accept) == media_type


async def test_a_query_is_answered_with_its_data(client: httpx.AsyncClient) -> None:
    response = await post(client, "{ echo }")

    assert response.status_code == 200
    assert response.headers["content-type"] == f"{JSON}; charset=utf-8"
    assert response.json() == {"data": {"echo": "hello"}}


async def test_a_client_that_accepts_nothing_we_have_is_told(client: httpx.AsyncClient) -> None:
    assert (await post(client, "{ echo }", accept="text/event-stream")).status_code == 406


@pytest.mark.parametrize("query", ["{", "{ nope }", "query ($t: String!) { echo(text: $t) }"])
async def test_an_operation_that_never_ran_has_no_data(
    client: httpx.AsyncClient, query: str
) -> None:
    strict = await post(client, query, **STRICT)
    lenient = await post(client, query)

    assert (strict.status_code, lenient.status_code) == (400, 200)
    assert "data" not in strict.json()
    assert "data" not in lenient.json()


async def test_a_failing_field_keeps_the_status_of_success(client: httpx.AsyncClient) -> None:
    response = await post(client, "{ viewer }", **STRICT)

    assert response.status_code == 200
    assert response.json()["data"] == {"viewer": None}
    assert code(response) == "UNAUTHENTICATED"


@pytest.mark.parametrize(
    "content_type",
    [
        "text/plain",
        "text/plain, application/json",
        "text/plain; application/json",
        "application/x-www-form-urlencoded",
        "application/graphql",
        "application/json; charset=iso-8859-1",
        "",
    ],
)
async def test_only_json_in_utf8_is_a_body(client: httpx.AsyncClient, content_type: str) -> None:
    response = await client.post(
        "/graphql", content=b'{"query": "{ echo }"}', headers={"content-type": content_type}
    )

    assert response.status_code == 415
    assert response.json()["errors"]


@pytest.mark.parametrize("content_type", [JSON, f'{JSON};charset="UTF-8"', "Application/JSON"])
async def test_json_is_recognised_however_it_is_spelled(
    client: httpx.AsyncClient, content_type: str
) -> None:
    response = await client.post(
        "/graphql", content=b'{"query": "{ echo }"}', headers={"content-type": content_type}
    )

    assert response.status_code == 200


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b'"x"',
        b"5",
        b"null",
        b'[{"query": "{ echo }"}]',
        b'{"query": "\xff"}',
        b'{"query": 5}',
        b'{"query": ""}',
        b'{"query": "{ echo }", "variables": [1]}',
        b'{"query": "{ echo }", "operationName": 5}',
        b'{"query": "{ echo }", "extensions": "x"}',
        b'{"query": "{ echo }", "variables": {"a": "\\u0000"}}',
        b'{"query": "{ echo }", "variables": {"a": [{"\\u0000": 1}]}}',
        b'{"query": "{ echo }", "variables": {"a": "\\ud800"}}',
        b'{"query": "{ echo(text: \\"\\u0000\\") }"}',
        b'{"query": "{ echo }", "variables": {"a": 1e400}}',
        b'{"query": "{ echo }", "variables": {"a": ' + b"[" * 100_000 + b"]" * 100_000 + b"}}",
    ],
)
async def test_a_body_that_cannot_be_read_is_the_callers_fault(
    client: httpx.AsyncClient, body: bytes
) -> None:
    response = await client.post("/graphql", content=body, headers={"content-type": JSON})

    assert response.status_code == 400
    assert code(response) == "BAD_USER_INPUT"


@pytest.mark.parametrize("literal", [r"\\ud800", r"\\u0000"])
async def test_characters_that_cannot_be_stored_are_refused_in_literals(
    client: httpx.AsyncClient, literal: str
) -> None:
    body = f'{{"query": "{{ echo(text: \\"{literal}\\") }}"}}'
    response = await client.post("/graphql", content=body, headers={"content-type": JSON, **STRICT})

    assert response.status_code == 400


async def test_a_body_beyond_the_limit_is_not_read(client: httpx.AsyncClient) -> None:
    body = b'{"query": "' + b" " * BODY_BYTES_MAX + b'"}'

    async def chunks() -> AsyncIterator[bytes]:
        for start in range(0, len(body), 2**16):
            yield body[start : start + 2**16]

    announced = await client.post("/graphql", content=body, headers={"content-type": JSON})
    chunked = await client.post("/graphql", content=chunks(), headers={"content-type": JSON})

    assert (announced.status_code, chunked.status_code) == (413, 413)


@pytest.mark.parametrize(
    "headers",
    [
        NAMED,
        {"apollo-require-preflight": "1"},
        {"graphql-require-preflight": "1"},
        {"authorization": "Bearer good"},
        {"content-type": JSON},
    ],
)
async def test_a_get_with_a_header_no_other_site_can_send_is_answered(
    client: httpx.AsyncClient, headers: dict[str, str]
) -> None:
    params = {
        "query": "query ($t: String!) { echo(text: $t) }",
        "variables": '{"t": "hi"}',
        "extensions": "",
    }
    response = await client.get("/graphql", params=params, headers=headers)

    assert response.json() == {"data": {"echo": "hi"}}


@pytest.mark.parametrize(
    ("params", "headers", "status"),
    [
        ({"query": "{ echo }"}, {}, 400),
        ({}, {"accept": "text/html"}, 406),
        ({}, NAMED, 400),
        ({"query": "{ echo }", "variables": "{"}, NAMED, 400),
        ({"query": "{ echo }", "variables": "[]"}, NAMED, 400),
        ({"query": "subscription { ticks }"}, NAMED, 400),
        ({"query": "mutation { wait }"}, NAMED, 405),
    ],
)
async def test_any_other_get_is_refused(
    client: httpx.AsyncClient, params: dict[str, str], headers: dict[str, str], status: int
) -> None:
    response = await client.get("/graphql", params=params, headers=headers)

    assert response.status_code == status
    assert "data" not in response.json()
    assert response.headers.get("allow") == ("POST" if status == 405 else None)


@pytest.mark.parametrize("method", ["PUT", "PATCH", "DELETE", "OPTIONS", "HEAD"])
async def test_other_methods_are_told_which_ones_exist(
    client: httpx.AsyncClient, method: str
) -> None:
    response = await client.request(method, "/graphql")

    assert response.status_code == 405
    assert response.headers["allow"] == "GET, POST"


async def test_a_subscription_by_post_is_sent_to_the_websocket(client: httpx.AsyncClient) -> None:
    response = await post(client, "subscription { ticks }")

    assert response.status_code == 400
    assert "graphql-transport-ws" in response.json()["errors"][0]["message"]


async def test_several_operations_need_a_name(client: httpx.AsyncClient) -> None:
    query = "query A { echo } query B { b: echo }"
    unnamed = await post(client, query, **STRICT)
    unknown = await client.post("/graphql", json={"query": query, "operationName": "C"})
    named = await client.post("/graphql", json={"query": query, "operationName": "B"})

    assert (unnamed.status_code, code(unnamed)) == (400, "BAD_USER_INPUT")
    assert code(unknown) == "BAD_USER_INPUT"
    assert named.json() == {"data": {"b": "hello"}}


@pytest.mark.parametrize("credentials", ["Bearer bad", "Bearer ", "Basic Z29vZA==", ""])
@pytest.mark.parametrize("accept", [JSON, GRAPHQL_RESPONSE])
async def test_a_token_that_is_not_valid_fails_the_whole_request(
    client: httpx.AsyncClient, credentials: str, accept: str
) -> None:
    response = await post(client, "{ echo }", authorization=credentials, accept=accept)

    assert response.status_code == 401
    assert response.headers["www-authenticate"].startswith("Bearer")
    assert "data" not in response.json()
    assert [error["extensions"]["code"] for error in response.json()["errors"]] == [
        "UNAUTHENTICATED"
    ]


async def test_a_stranger_may_run_what_does_not_ask_who_it_is(client: httpx.AsyncClient) -> None:
    assert (await post(client, "{ echo }")).json() == {"data": {"echo": "hello"}}
    assert (await post(client, "{ viewer }", authorization="Bearer good")).json() == {
        "data": {"viewer": "someone"}
    }


async def test_a_stranger_sees_no_schema(client: httpx.AsyncClient) -> None:
    query = "{ __schema { types { name } } }"

    assert (await post(client, query, **STRICT)).status_code == 401
    assert "data" in (await post(client, query, authorization="Bearer good")).json()


@pytest.mark.parametrize(("given", "kept"), [("trace-1", True), ("a b\n", False), ("", False)])
async def test_every_answer_names_its_request(
    client: httpx.AsyncClient, given: str, kept: bool
) -> None:
    response = await client.post(
        "/graphql", json={"query": "{"}, headers=[(b"x-request-id", given.encode())]
    )

    request_id = response.headers["x-request-id"]
    assert request_id
    assert (request_id == given) is kept
    assert response.json()["errors"][0]["extensions"] == {
        "code": "GRAPHQL_PARSE_FAILED",
        "requestId": request_id,
        "retryable": False,
    }


@pytest.mark.parametrize(
    ("query", "headers"),
    [
        ("{ broken }", {}),
        ("{ unencodable }", {}),
        ("{ echo }", {"authorization": "Bearer crash"}),
    ],
)
async def test_a_bug_is_logged_once_and_not_told(
    client: httpx.AsyncClient, query: str, headers: dict[str, str]
) -> None:
    with capture_logs() as logs:
        response = await post(client, query, x_request_id="bug-1", **headers)

    assert code(response) == "INTERNAL_SERVER_ERROR"
    assert "secret" not in response.text
    assert "away" not in response.text
    assert [(entry["request_id"], bool(entry["exc_info"])) for entry in logs] == [("bug-1", True)]


async def test_a_client_that_leaves_does_not_cut_a_mutation_short() -> None:
    config = uvicorn.Config(app, http=Watched, log_level="error", lifespan="off")
    server = uvicorn.Server(config)
    listening = socket.create_server(("127.0.0.1", 0))
    serving = asyncio.create_task(server.serve([listening]))
    _, writer = await asyncio.open_connection(*listening.getsockname())
    body = b'{"query": "mutation { wait }"}'
    head = f"POST /graphql HTTP/1.1\r\nHost: x\r\nContent-Type: {JSON}\r\n"

    writer.write(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
    async with asyncio.timeout(5):
        await gate.entered.wait()
        writer.transport.abort()
        await gate.left.wait()
        gate.opened.set()
        await gate.passed.wait()

    server.should_exit = True
    await serving
