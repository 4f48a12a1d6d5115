"""graphql-transport-ws: its close codes, its limits, and peers that misbehave or vanish."""

import asyncio
import json
import logging
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Any
from uuid import uuid4

import pytest
from structlog.testing import capture_logs
from websockets.asyncio.client import ClientConnection
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.frames import Frame, Opcode
from websockets.typing import Subprotocol

from api.limits import SocketLimits
from api.socket_protocol import SOCKET_OPTIONS, frame_of
from tests.api.place import PATIENCE_SECONDS, Place, Session, serving


@pytest.fixture(scope="module")
async def place() -> AsyncIterator[Place]:
    async with serving() as place:
        yield place


async def say(peer: ClientConnection, type: str, **rest: object) -> None:
    await peer.send(json.dumps({"type": type, **rest}))


async def subscribe(peer: ClientConnection, query: str, id: str = "1", **rest: object) -> None:
    await say(peer, "subscribe", id=id, payload={"query": query, **rest})


async def hear(peer: ClientConnection) -> dict[str, Any]:
    text = await asyncio.wait_for(peer.recv(), PATIENCE_SECONDS)
    assert isinstance(text, str)
    message: dict[str, Any] = json.loads(text)
    return message


async def close_code(peer: ClientConnection) -> int | None:
    with suppress(ConnectionClosed):
        while True:
            await hear(peer)
    return peer.close_code


async def greet(peer: ClientConnection, credentials: str = "good") -> None:
    await say(peer, "connection_init", payload={"authorization": f"Bearer {credentials}"})
    assert (await hear(peer))["type"] == "connection_ack"


@pytest.mark.parametrize(
    "payload",
    [
        {"authorization": "Bearer good"},
        {"Authorization": "bearer good"},
        {"authorization": "good"},
    ],
)
async def test_a_token_opens_the_socket(place: Place, payload: dict[str, str]) -> None:
    async with place.connect() as peer:
        await say(peer, "connection_init", payload=payload)

        assert await hear(peer) == {"type": "connection_ack"}


@pytest.mark.parametrize("message", [{}, {"payload": None}, {"payload": {}}])
async def test_the_handshake_may_carry_the_token(place: Place, message: dict[str, object]) -> None:
    async with place.connect(additional_headers={"Authorization": "Bearer good"}) as peer:
        await say(peer, "connection_init", **message)

        assert await hear(peer) == {"type": "connection_ack"}


@pytest.mark.parametrize(
    "payload", [None, {}, {"authorization": "Bearer bad"}, {"authorization": 5}]
)
async def test_without_a_valid_token_the_socket_closes(place: Place, payload: object) -> None:
    async with place.connect() as peer:
        await say(peer, "connection_init", payload=payload)

        assert await close_code(peer) == 4403


async def test_a_token_that_cannot_be_checked_now_may_be_tried_again(place: Place) -> None:
    with capture_logs() as logs:
        async with place.connect() as peer:
            await say(peer, "connection_init", payload={"authorization": "crash"})

            assert await close_code(peer) == 1013
    assert [entry["event"] for entry in logs] == ["socket_not_authenticated"]


@pytest.mark.parametrize("subprotocols", [None, [Subprotocol("graphql-ws")]])
async def test_other_subprotocols_are_not_spoken(
    place: Place, subprotocols: list[Subprotocol] | None
) -> None:
    async with place.connect(subprotocols=subprotocols) as peer:
        assert await close_code(peer) == 4406


async def test_a_page_of_another_origin_cannot_connect(place: Place) -> None:
    with pytest.raises(InvalidStatus) as refused:
        await place.connect(origin="https://elsewhere.example")

    assert refused.value.response.status_code == 403


async def test_a_peer_that_never_says_hello_is_left() -> None:
    async with serving(init_timeout_seconds=0.05) as place, place.connect() as peer:
        assert await close_code(peer) == 4408


async def test_a_second_hello_is_one_too_many(place: Place) -> None:
    async with place.connect() as peer:
        await greet(peer)
        await say(peer, "connection_init", payload={"authorization": "good"})

        assert await close_code(peer) == 4429


async def test_nothing_runs_before_the_hello(place: Place) -> None:
    async with place.connect() as peer:
        await subscribe(peer, "{ requestId }")

        assert await close_code(peer) == 4401


@pytest.mark.parametrize(
    "frame",
    [
        b"{}",
        "",
        "{",
        "[]",
        "5",
        "null",
        '"ping"',
        "[" * 60_000,
        "{}",
        '{"type": 5}',
        '{"type": "dance"}',
        '{"type": "ping", "payload": "x"}',
        '{"type": "connection_init", "payload": "x"}',
        '{"type": "connection_init", "payload": []}',
        '{"type": "complete"}',
        '{"type": "complete", "id": 1}',
        '{"type": "subscribe", "id": "1"}',
        '{"type": "subscribe", "id": "1", "payload": null}',
        '{"type": "subscribe", "id": "1", "payload": {}}',
        '{"type": "subscribe", "id": "1", "payload": {"query": 5}}',
        '{"type": "subscribe", "id": "1", "payload": {"query": "{a}", "variables": []}}',
        '{"type": "subscribe", "id": 1, "payload": {"query": "{a}"}}',
        '{"type": "subscribe", "id": "", "payload": {"query": "{a}"}}',
        '{"type": "subscribe", "id": {}, "payload": {"query": "{a}"}}',
        '{"type": "subscribe", "id": "1", "payload": {"query": "\\ud800"}}',
    ],
)
async def test_a_malformed_message_closes_the_socket_without_a_trace(
    place: Place, frame: str | bytes, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING), capture_logs() as logs:
        async with place.connect() as peer:
            if "connection_init" not in str(frame):
                await greet(peer)
            await peer.send(frame)

            assert await close_code(peer) == 4400
    assert not caplog.records
    assert not logs


async def test_a_frame_beyond_the_limit_closes_the_socket(place: Place) -> None:
    async with place.connect() as peer:
        await peer.send("x" * (SOCKET_OPTIONS["ws_max_size"] + 1))

        assert await close_code(peer) == 1009


async def test_a_ping_is_answered(place: Place) -> None:
    async with place.connect() as peer:
        await say(peer, "ping", payload={"n": 1})

        assert await hear(peer) == {"type": "pong"}


async def test_a_subscription_delivers_and_completes(place: Place) -> None:
    async with place.connect() as peer:
        await greet(peer)
        await subscribe(peer, "subscription ($to: Int!) { count(to: $to) }", variables={"to": 2})

        assert [await hear(peer) for _ in range(3)] == [
            {"id": "1", "type": "next", "payload": {"data": {"count": 0}}},
            {"id": "1", "type": "next", "payload": {"data": {"count": 1}}},
            {"id": "1", "type": "complete"},
        ]


async def test_every_operation_has_a_context_of_its_own(place: Place) -> None:
    async with place.connect() as peer:
        await greet(peer)
        told = []
        for _ in range(2):
            await subscribe(peer, "{ requestId }")
            told.append((await hear(peer))["payload"]["data"]["requestId"])
            assert (await hear(peer))["type"] == "complete"

    assert told[0] != told[1]


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ("{", "GRAPHQL_PARSE_FAILED"),
        ("{ nope }", "GRAPHQL_VALIDATION_FAILED"),
        ("query A { requestId } query B { requestId }", "BAD_USER_INPUT"),
        ("subscription ($to: Int!) { count(to: $to) }", "BAD_USER_INPUT"),
        ("{ requestId @include(if: true) # \0\n }", "BAD_USER_INPUT"),
        ("mutation { touch }", "BAD_USER_INPUT"),
        ("{ " + "requestId " * 2000 + "}", "OPERATION_TOO_COMPLEX"),
    ],
)
async def test_a_mistake_ends_its_own_operation_only(place: Place, query: str, code: str) -> None:
    async with place.connect() as peer:
        await greet(peer)
        await subscribe(peer, query)
        error = await hear(peer)
        await subscribe(peer, "{ requestId }")

        assert (error["id"], error["type"]) == ("1", "error")
        assert error["payload"][0]["extensions"]["code"] == code
        assert set(error["payload"][0]["extensions"]) == {"code", "requestId", "retryable"}
        assert (await hear(peer))["type"] == "next"


async def test_an_unknown_operation_name_ends_its_own_operation_only(place: Place) -> None:
    async with place.connect() as peer:
        await greet(peer)
        await subscribe(peer, "query A { requestId }", operationName="B")

        assert (await hear(peer))["payload"][0]["extensions"]["code"] == "BAD_USER_INPUT"


async def test_mutations_are_sent_elsewhere(place: Place) -> None:
    async with place.connect() as peer:
        await greet(peer)
        await subscribe(peer, "mutation { touch }")

        assert "over HTTP" in (await hear(peer))["payload"][0]["message"]


async def test_a_bug_is_logged_once_and_not_told(place: Place) -> None:
    async with place.connect() as peer:
        await greet(peer)
        with capture_logs() as logs:
            await subscribe(peer, "subscription { breaks }")
            delivered, broken, complete = [await hear(peer) for _ in range(3)]

    assert delivered["payload"] == {"data": {"breaks": 1}}
    assert broken["payload"]["errors"][0]["message"] == "Internal error"
    assert complete["type"] == "complete"
    request_ids = [entry["request_id"] for entry in logs]
    assert request_ids == [broken["payload"]["errors"][0]["extensions"]["requestId"]]


async def test_a_result_that_cannot_be_encoded_is_a_bug_like_any_other(place: Place) -> None:
    async with place.connect() as peer:
        await greet(peer)
        with capture_logs() as logs:
            await subscribe(peer, "{ unencodable }")
            told = await hear(peer)

    assert told["type"] == "error"
    assert told["payload"][0]["extensions"]["code"] == "INTERNAL_SERVER_ERROR"
    assert len(logs) == 1


async def test_an_id_in_use_closes_the_socket(place: Place) -> None:
    async with place.connect() as peer:
        await greet(peer)
        await subscribe(peer, "subscription { silence }")
        await subscribe(peer, "subscription { silence }")

        assert await close_code(peer) == 4409


async def test_completing_frees_the_id_and_ends_the_source() -> None:
    async with serving() as place, place.connect() as peer:
        await greet(peer)
        await subscribe(peer, "subscription { silence }")
        await say(peer, "complete", id="1")
        await subscribe(peer, "{ requestId }")

        assert (await hear(peer))["type"] == "next"


async def test_leaving_ends_the_source() -> None:
    async with serving() as place:
        async with place.connect() as peer:
            await greet(peer)
            await subscribe(peer, "subscription { silence }")
            await subscribe(peer, "{ requestId }", id="2")
            await hear(peer)

        await asyncio.wait_for(place.ended.wait(), PATIENCE_SECONDS)
        assert len(place.app.connections) == 0


async def test_one_socket_runs_a_limited_number_of_operations() -> None:
    async with serving(operations_max=1) as place, place.connect() as peer:
        await greet(peer)
        await subscribe(peer, "subscription { silence }", id="1")
        await subscribe(peer, "subscription { silence }", id="2")
        refused = await hear(peer)

        assert (refused["id"], refused["type"]) == ("2", "error")
        assert refused["payload"][0]["extensions"]["code"] == "RATE_LIMITED"
        assert refused["payload"][0]["extensions"]["retryable"] is True


async def test_one_agent_holds_a_limited_number_of_sockets_with_all_its_tokens() -> None:
    agent_id = uuid4()
    place = Place(
        SocketLimits(connections_per_actor_max=1),
        {
            "phone": Session(uuid4(), agent_id=agent_id),
            "desk": Session(uuid4(), agent_id=agent_id),
            "script": Session(uuid4()),
        },
    )
    async with serving(place), place.connect() as first, place.connect() as second:
        await greet(first, "phone")
        await say(second, "connection_init", payload={"authorization": "desk"})

        assert await close_code(second) == 4503
        async with place.connect() as third:
            await greet(third, "script")


@pytest.mark.parametrize("limit", ["strangers_max", "strangers_per_address_max"])
async def test_few_sockets_at_once_may_keep_silent_about_whose_they_are(limit: str) -> None:
    async with serving(**{limit: 1}) as place, place.connect() as first:
        async with place.connect() as second:
            assert await close_code(second) == 4503
        await greet(first)

        async with place.connect() as third:
            await greet(third)


async def test_a_stranger_who_leaves_makes_room_for_the_next() -> None:
    async with serving(strangers_max=1) as place:
        async with place.connect() as first:
            await say(first, "connection_init", payload={"authorization": "bad"})
            assert await close_code(first) == 4403

        async with place.connect() as second:
            await greet(second)


async def test_a_socket_starts_operations_at_a_limited_rate() -> None:
    limits = {"subscribe_burst": 2, "subscribes_per_minute": 0.001, "refusal_pause_seconds": 0.0}
    async with serving(**limits) as place, place.connect() as peer:
        await greet(peer)
        for _ in range(3):
            await subscribe(peer, "subscription { silence }")
            await say(peer, "complete", id="1")
        refused = await hear(peer)

        assert (refused["id"], refused["type"]) == ("1", "error")
        assert refused["payload"][0]["extensions"]["code"] == "RATE_LIMITED"
        assert refused["payload"][0]["extensions"]["retryable"] is True


async def test_a_closed_socket_makes_room_for_the_next() -> None:
    async with serving(connections_per_actor_max=1) as place:
        async with place.connect() as first:
            await greet(first)
            await subscribe(first, "subscription { silence }")
            await subscribe(first, "{ requestId }", id="2")
            await hear(first)
        await asyncio.wait_for(place.ended.wait(), PATIENCE_SECONDS)

        async with place.connect() as second:
            await greet(second)


async def test_a_token_that_expires_closes_its_socket() -> None:
    tokens = {"soon": Session(uuid4(), 0.05), "late": Session(uuid4(), -0.05)}
    async with serving(Place(tokens=tokens)) as place:
        async with place.connect() as peer:
            await greet(peer, "soon")

            assert await close_code(peer) == 4403
        async with place.connect() as late:
            await say(late, "connection_init", payload={"authorization": "late"})

            assert await close_code(late) == 4403


async def test_a_revoked_token_closes_its_sockets_and_no_others() -> None:
    revoked, kept = Session(uuid4()), Session(uuid4())
    place = Place(tokens={"revoked": revoked, "kept": kept})
    async with serving(place), place.connect() as leaving, place.connect() as staying:
        await greet(leaving, "revoked")
        await greet(staying, "kept")
        await subscribe(leaving, "subscription { silence }")

        assert place.app.connections.close_token(revoked.token_id) == 1

        assert await close_code(leaving) == 4403
        await subscribe(staying, "{ requestId }")
        assert (await hear(staying))["type"] == "next"


async def test_an_operation_that_learns_of_the_tokens_end_closes_the_socket(place: Place) -> None:
    async with place.connect() as peer:
        await greet(peer)
        await subscribe(peer, "subscription { isToldThatItsTokenEnded }")

        assert (await hear(peer))["payload"] == {"data": {"isToldThatItsTokenEnded": 1}}
        assert await close_code(peer) == 4403


async def test_a_silent_peer_is_asked_and_left_without_an_answer() -> None:
    limits = SocketLimits(ping_interval_seconds=0.05, pong_timeout_seconds=0.05)
    async with serving(Place(limits)) as place, place.connect() as peer:
        await greet(peer)

        assert await hear(peer) == {"type": "ping"}
        assert await close_code(peer) == 4499


async def test_a_peer_that_answers_is_kept() -> None:
    limits = SocketLimits(ping_interval_seconds=0.05, pong_timeout_seconds=0.5)
    async with serving(Place(limits)) as place, place.connect() as peer:
        await greet(peer)
        for _ in range(2):
            assert await hear(peer) == {"type": "ping"}
            await say(peer, "pong")
        await subscribe(peer, "{ requestId }")

        assert (await hear(peer))["type"] == "next"


@pytest.mark.parametrize("size", [0, 125, 126, 65_535, 65_536])
async def test_a_frame_written_at_once_is_the_one_that_the_library_makes(size: int) -> None:
    payload = b"x" * size

    expected = Frame(Opcode.TEXT, payload).serialize(mask=False, extensions=[])

    assert frame_of(payload) == expected
