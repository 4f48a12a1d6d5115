"""GraphQL over server-sent events: its framing, its refusals, and how a stream ends."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from uuid import uuid4

import httpx
import pytest
from structlog.testing import capture_logs

from api import event_stream
from api.event_stream import EventStreamApp
from api.limits import BODY_BYTES_MAX, SocketLimits
from tests.api.place import PATIENCE_SECONDS, Place, Session, serving

ACCEPT = {"accept": "text/event-stream"}
GOOD = {**ACCEPT, "authorization": "Bearer good"}
SILENCE = "subscription { silence }"


@pytest.fixture(scope="module")
async def place() -> AsyncIterator[Place]:
    async with serving() as place:
        yield place


@pytest.fixture(autouse=True)
async def client() -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(timeout=PATIENCE_SECONDS) as client:
        yield client


async def ask(
    client: httpx.AsyncClient, place: Place, query: str, headers: dict[str, str] = GOOD, **rest: Any
) -> httpx.Response:
    """The whole answer to an operation that ends."""
    return await client.post(place.stream_url, json={"query": query, **rest}, headers=headers)


class Stream:
    """An open stream; comments are left out unless they are waited for."""

    def __init__(self, response: httpx.Response) -> None:
        self.response = response
        self.lines = response.aiter_lines()

    async def next(self) -> Any:
        """The payload of the next event."""
        async for line in self.lines:
            if line.startswith("data: "):
                return json.loads(line.removeprefix("data: "))
        raise EOFError

    async def comment(self) -> None:
        async for line in self.lines:
            if line == ":":
                return

    async def broken_off(self) -> None:
        """Wait until the connection ends in the middle of the response."""
        with pytest.raises(httpx.RemoteProtocolError):
            _ = [line async for line in self.lines]


@asynccontextmanager
async def opened(
    client: httpx.AsyncClient, place: Place, query: str, name: str = "good"
) -> AsyncIterator[Stream]:
    headers = {**ACCEPT, "authorization": f"Bearer {name}"}
    body = {"query": query}
    async with client.stream("POST", place.stream_url, json=body, headers=headers) as response:
        assert response.status_code == 200, await response.aread()
        yield Stream(response)


async def test_results_come_as_events_and_an_event_says_that_they_are_complete(
    client: httpx.AsyncClient, place: Place
) -> None:
    query = "subscription ($to: Int!) { count(to: $to) }"

    response = await ask(client, place, query, variables={"to": 2})

    assert response.text == (
        ":\n\n"
        'event: next\ndata: {"data":{"count":0}}\n\n'
        'event: next\ndata: {"data":{"count":1}}\n\n'
        "event: complete\ndata:\n\n"
    )


async def test_nobody_between_us_keeps_or_holds_back_a_stream(
    client: httpx.AsyncClient, place: Place
) -> None:
    response = await ask(client, place, "{ requestId }", {**GOOD, "x-request-id": "mine"})

    assert response.headers["content-type"] == "text/event-stream; charset=utf-8"
    assert response.headers["cache-control"] == "no-store"
    assert response.headers["x-accel-buffering"] == "no"
    assert response.headers["x-request-id"] == "mine"
    assert '{"data":{"requestId":"mine"}}' in response.text


@pytest.mark.parametrize("accept", ["text/event-stream", "text/*;q=0.5", "*/*", ""])
async def test_whoever_accepts_an_event_stream_gets_one(
    client: httpx.AsyncClient, place: Place, accept: str
) -> None:
    response = await ask(client, place, "{ requestId }", {**GOOD, "accept": accept})

    assert response.status_code == 200


@pytest.mark.parametrize(
    "accept", ["application/json", "text/event-stream;q=0, */*", "text/html;q=x"]
)
async def test_whoever_does_not_is_refused(
    client: httpx.AsyncClient, place: Place, accept: str
) -> None:
    response = await ask(client, place, "{ requestId }", {**GOOD, "accept": accept})

    assert (response.status_code, response.headers["content-type"]) == (
        406,
        "application/json; charset=utf-8",
    )


@pytest.mark.parametrize("query", ["{ requestId }", "subscription { count }"])
async def test_a_stream_may_be_asked_for_by_get(
    client: httpx.AsyncClient, place: Place, query: str
) -> None:
    response = await client.get(place.stream_url, params={"query": query}, headers=GOOD)

    assert response.text.endswith("event: complete\ndata:\n\n")


async def test_a_get_that_a_page_of_another_site_could_send_is_refused(
    client: httpx.AsyncClient, place: Place
) -> None:
    response = await client.get(place.stream_url, params={"query": "{ requestId }"}, headers=ACCEPT)

    assert response.status_code == 400
    assert "authorization" in response.text


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ("{", "GRAPHQL_PARSE_FAILED"),
        ("{ nope }", "GRAPHQL_VALIDATION_FAILED"),
        ("query A { requestId } query B { requestId }", "BAD_USER_INPUT"),
        ("subscription ($to: Int!) { count(to: $to) }", "BAD_USER_INPUT"),
        ("mutation { touch }", "BAD_USER_INPUT"),
        ("{ " + "requestId " * 2000 + "}", "OPERATION_TOO_COMPLEX"),
    ],
)
async def test_a_mistake_in_the_document_is_told_in_the_stream(
    client: httpx.AsyncClient, place: Place, query: str, code: str
) -> None:
    response = await ask(client, place, query)

    start, told, complete, _ = response.text.split("\n\n")
    payload = json.loads(told.removeprefix("event: next\ndata: "))
    assert (response.status_code, start, complete) == (200, ":", "event: complete\ndata:")
    assert list(payload) == ["errors"]
    assert payload["errors"][0]["extensions"]["code"] == code
    assert set(payload["errors"][0]["extensions"]) == {"code", "requestId", "retryable"}


async def test_mutations_are_sent_elsewhere(client: httpx.AsyncClient, place: Place) -> None:
    response = await ask(client, place, "mutation { touch }")

    assert "to /graphql" in response.text
    assert "touched" not in response.text


@pytest.mark.parametrize(
    ("request_", "status", "code"),
    [
        ({"content": b"{"}, 400, "BAD_USER_INPUT"),
        ({"json": []}, 400, "BAD_USER_INPUT"),
        ({"json": {"query": 5}}, 400, "BAD_USER_INPUT"),
        ({"json": {"query": "{a}\0"}}, 400, "BAD_USER_INPUT"),
        ({"content": b"{}", "headers": {"content-type": "text/plain"}}, 415, "BAD_USER_INPUT"),
        ({"content": b" " * (BODY_BYTES_MAX + 1)}, 413, "BAD_USER_INPUT"),
        ({"method": "PUT", "json": {}}, 405, "BAD_USER_INPUT"),
        ({"headers": {"authorization": "Bearer bad"}}, 401, "UNAUTHENTICATED"),
        ({"headers": {"authorization": "Basic good"}}, 401, "UNAUTHENTICATED"),
        ({"headers": {"authorization": "Bearer late"}}, 401, "UNAUTHENTICATED"),
    ],
)
async def test_a_request_that_cannot_be_served_has_the_status_that_says_so(
    client: httpx.AsyncClient, request_: dict[str, Any], status: int, code: str
) -> None:
    tokens = {"good": Session(uuid4()), "late": Session(uuid4(), -1.0)}
    asked = {"method": "POST", "content": b'{"query": "{ requestId }"}', **request_}
    if "json" in asked:
        del asked["content"]
    asked["headers"] = {**GOOD, "content-type": "application/json", **asked.get("headers", {})}
    async with serving(Place(tokens=tokens)) as place:
        response = await client.request(url=place.stream_url, **asked)

        assert response.status_code == status
        assert response.json()["errors"][0]["extensions"]["code"] == code


async def test_a_stranger_gets_no_stream(client: httpx.AsyncClient, place: Place) -> None:
    response = await ask(client, place, "{ requestId }", ACCEPT)

    assert response.status_code == 401
    assert response.headers["www-authenticate"].startswith("Bearer")


async def test_a_token_that_cannot_be_checked_now_is_a_failure_of_ours(
    client: httpx.AsyncClient, place: Place
) -> None:
    with capture_logs() as logs:
        response = await ask(
            client, place, "{ requestId }", {**ACCEPT, "authorization": "Bearer crash"}
        )

    assert response.status_code == 500
    assert "the database is away" not in response.text
    assert [entry["event"] for entry in logs] == ["request_failed"]


@pytest.mark.parametrize("query", ["{ unencodable }", "subscription { breaks }", "{ broken }"])
async def test_a_bug_is_logged_once_and_not_told(
    client: httpx.AsyncClient, place: Place, query: str
) -> None:
    with capture_logs() as logs:
        response = await ask(client, place, query)

    assert "INTERNAL_SERVER_ERROR" in response.text
    assert "secret" not in response.text
    assert response.text.endswith("event: complete\ndata:\n\n")
    assert [entry["request_id"] for entry in logs] == [response.headers["x-request-id"]]


async def test_a_quiet_stream_is_kept_open_by_comments(
    client: httpx.AsyncClient, place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(event_stream, "PING_SECONDS", 0.01)
    async with opened(client, place, SILENCE) as stream:
        for _ in range(3):
            await asyncio.wait_for(stream.comment(), PATIENCE_SECONDS)


async def test_leaving_ends_the_source() -> None:
    async with serving() as place:
        async with httpx.AsyncClient() as client, opened(client, place, SILENCE) as stream:
            await stream.comment()
            assert len(place.app.connections) == 1

        await asyncio.wait_for(place.ended.wait(), PATIENCE_SECONDS)
        async with httpx.AsyncClient() as client:
            await ask(client, place, "{ requestId }")
        assert len(place.app.connections) == 0


async def test_leaving_ends_the_source_although_a_second_request_waits_behind_it() -> None:
    body = json.dumps({"query": SILENCE})
    head = (
        "POST /graphql/stream HTTP/1.1\r\nhost: relevo\r\nauthorization: Bearer good\r\n"
        f"content-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
    )
    async with serving() as place:
        reader, writer = await asyncio.open_connection("127.0.0.1", place.port)
        writer.write((head + body + "GET / HTTP/1.1\r\n\r\n").encode())
        await asyncio.wait_for(reader.readuntil(b":\n\n"), PATIENCE_SECONDS)
        writer.close()

        await asyncio.wait_for(place.ended.wait(), PATIENCE_SECONDS)


async def test_sockets_and_streams_of_one_agent_are_counted_together(
    client: httpx.AsyncClient,
) -> None:
    agent_id = uuid4()
    tokens = {
        "phone": Session(uuid4(), agent_id=agent_id),
        "good": Session(uuid4(), agent_id=agent_id),
        "script": Session(uuid4()),
    }
    place = Place(SocketLimits(connections_per_actor_max=1), tokens)
    async with serving(place), place.connect() as socket:
        hello = {"type": "connection_init", "payload": {"authorization": "phone"}}
        await socket.send(json.dumps(hello))
        await socket.recv()

        refused = await ask(client, place, "{ requestId }")

        assert refused.status_code == 429
        assert refused.json()["errors"][0]["extensions"]["code"] == "RATE_LIMITED"
        assert refused.json()["errors"][0]["extensions"]["retryable"] is True
        async with opened(client, place, SILENCE, "script"):
            pass


async def test_a_token_that_expires_breaks_its_stream_off(client: httpx.AsyncClient) -> None:
    async with serving(Place(tokens={"good": Session(uuid4(), 0.05)})) as place:
        async with opened(client, place, SILENCE) as stream:
            await stream.broken_off()

        await asyncio.wait_for(place.ended.wait(), PATIENCE_SECONDS)


async def test_a_revoked_token_breaks_its_streams_off_and_no_others(
    client: httpx.AsyncClient,
) -> None:
    revoked, kept = Session(uuid4()), Session(uuid4())
    place = Place(tokens={"revoked": revoked, "kept": kept})
    async with (
        serving(place),
        opened(client, place, SILENCE, "revoked") as leaving,
        opened(client, place, "subscription { told }", "kept") as staying,
    ):
        await leaving.comment()
        await staying.comment()

        assert place.app.connections.close_token(revoked.token_id) == 1

        await leaving.broken_off()
        place.tell.set()
        assert await staying.next() == {"data": {"told": 1}}


async def test_an_operation_that_learns_of_the_tokens_end_breaks_its_stream_off(
    client: httpx.AsyncClient, place: Place
) -> None:
    query = "subscription { isToldThatItsTokenEnded }"
    async with opened(client, place, query) as stream:
        assert await stream.next() == {"data": {"isToldThatItsTokenEnded": 1}}

        await stream.broken_off()


async def test_a_stream_of_another_server_just_ends_with_its_token() -> None:
    place = Place(tokens={"good": Session(uuid4(), 0.05)})
    transport = httpx.ASGITransport(app=EventStreamApp(place.app))
    async with httpx.AsyncClient(transport=transport, base_url="http://relevo") as client:
        response = await client.post("/", json={"query": SILENCE}, headers=GOOD)

    assert response.text == ":\n\n"


async def test_the_server_stops_at_once_although_streams_are_open(
    client: httpx.AsyncClient,
) -> None:
    async with serving() as place, opened(client, place, SILENCE) as stream:
        await stream.comment()
        place.server.should_exit = True

        await stream.broken_off()
        assert place.running
        await asyncio.wait_for(place.running, 1)
        assert place.ended.is_set()


async def test_a_stream_that_begins_while_the_server_stops_is_broken_off(
    client: httpx.AsyncClient,
) -> None:
    async with serving() as place:
        place.admits.clear()
        asking = asyncio.create_task(ask(client, place, SILENCE))
        await asyncio.wait_for(place.asked.wait(), PATIENCE_SECONDS)
        place.server.should_exit = True
        await asyncio.wait_for(place.stopping.wait(), PATIENCE_SECONDS)

        place.admits.set()

        with pytest.raises(httpx.RemoteProtocolError):
            await asking
