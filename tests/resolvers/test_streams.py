"""Live streams over real sockets: from any server, without a hole, and only for who may see."""

import asyncio
import json
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

import pytest
import uvicorn
from gql import Client as GqlClient
from gql import gql
from gql.transport.exceptions import TransportError
from gql.transport.websockets import WebsocketsTransport
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed
from websockets.typing import Subprotocol

from api.app import graphql_app
from api.auth import Caller
from api.graphql import GraphQLApp
from api.socket_protocol import SOCKET_OPTIONS
from models import Agent, Conversation, Membership, Ticket, Token, database
from models.access import SCOPES, Role
from models.closing import close
from models.database import fetch
from models.log import Position
from models.stream import Reader
from models.transfer import transfer
from models.wakeup import Wakeups
from resolvers.ids import encode
from tests.factories import (
    a_message,
    a_team,
    an_agent,
    as_agent,
    by_system,
    working,
)
from tests.resolvers.client import Client, Company, integration_of, session_of
from tests.resolvers.conftest import As

TRANSPORT = Subprotocol("graphql-transport-ws")
PATIENCE_SECONDS = 10

ITEM = """__typename
    ... on StreamSnapshot { cursor isComplete conversations { id status } }
    ... on StreamResumed { cursor }
    ... on StreamReset { cursor reason }
    ... on LoggedEvent { cursor seq kind }
    ... on ConversationEvent { conversation { id } }
    ... on MessageEvent { message { text } }"""
QUEUE = f"""subscription ($id: ID!, $after: String) {{
    queueChanged(queueId: $id, after: $after) {{ {ITEM} }} }}"""
ONE = f"""subscription ($id: ID!, $after: String) {{
    conversationChanged(conversationId: $id, after: $after) {{ {ITEM} }} }}"""
INBOX = f"subscription ($after: String) {{ inboxChanged(after: $after) {{ {ITEM} }} }}"
TEAM = f"""subscription ($id: ID!, $after: String) {{
    teamChanged(teamId: $id, after: $after) {{ {ITEM} }} }}"""
TICKET = f"""subscription ($id: ID!, $after: String) {{
    ticketChanged(ticketId: $id, after: $after) {{ {ITEM} }} }}"""
LOG = f"""subscription ($filter: EventFilter, $after: String) {{
    workspaceEvents(filter: $filter, after: $after) {{ {ITEM} }} }}"""
STREAMS = {
    "queueChanged": QUEUE,
    "conversationChanged": ONE,
    "inboxChanged": INBOX,
    "teamChanged": TEAM,
    "ticketChanged": TICKET,
}


class UvicornServer(uvicorn.Server):
    """Leaves the signals to pytest: it would give them back to a loop's run that has ended."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


@dataclass
class Server:
    """One web process of the product: its own reader, its own sockets, told of others by Valkey."""

    redis_url: str
    tells: bool = True
    reader: Reader = field(default_factory=Reader)
    port: int = 0

    def __post_init__(self) -> None:
        self.app: GraphQLApp[Caller] = graphql_app(self.reader)
        options = dict(SOCKET_OPTIONS)
        config = uvicorn.Config(self.app, log_level="warning", lifespan="off", **options)
        self.server = UvicornServer(config)

    @property
    def url(self) -> str:
        return f"ws://127.0.0.1:{self.port}/graphql"

    @asynccontextmanager
    async def running(self) -> AsyncIterator["Server"]:
        wakeups = Wakeups(self.redis_url)
        wakeups.listen(self.reader.wake)
        forget = database.on_commit(wakeups.committed) if self.tells else lambda: None
        wakeups.start()
        self.reader.start()
        listening = socket.create_server(("127.0.0.1", 0))
        self.port = listening.getsockname()[1]
        serving = asyncio.create_task(self.server.serve([listening]))
        try:
            yield self
        finally:
            self.server.should_exit = True
            await asyncio.wait_for(serving, PATIENCE_SECONDS)
            forget()
            await self.reader.stop()
            await wakeups.stop()


@dataclass
class Peer:
    """A client of the raw protocol."""

    socket: ClientConnection

    async def say(self, type: str, **rest: object) -> None:
        await self.socket.send(json.dumps({"type": type, **rest}))

    async def hear(self) -> dict[str, Any]:
        message: dict[str, Any] = json.loads(
            await asyncio.wait_for(self.socket.recv(), PATIENCE_SECONDS)
        )
        return message

    async def subscribe(self, query: str, operation: str = "1", **variables: object) -> None:
        await self.say("subscribe", id=operation, payload={"query": query, "variables": variables})

    async def next(self, operation: str = "1") -> Any:
        """The next item of a stream."""
        message = await self.hear()
        assert (message["type"], message["id"]) == ("next", operation), message
        assert "errors" not in message["payload"], message
        [item] = message["payload"]["data"].values()
        return item

    async def refusal(self) -> str:
        """The code of the error that an operation ends with, as an error or as its only result."""
        message = await self.hear()
        errors = message["payload"]
        if message["type"] == "next":
            errors = message["payload"]["errors"]
            assert (await self.hear())["type"] == "complete"
        code: str = errors[0]["extensions"]["code"]
        return code

    async def close_code(self) -> int | None:
        with suppress(ConnectionClosed):
            while True:
                await self.hear()
        return self.socket.close_code


@asynccontextmanager
async def peer(server: Server, token: str) -> AsyncIterator[Peer]:
    async with connect(server.url, subprotocols=[TRANSPORT]) as connection:
        found = Peer(connection)
        await found.say("connection_init", payload={"authorization": f"Bearer {token}"})
        assert (await found.hear())["type"] == "connection_ack"
        yield found


@pytest.fixture
async def here(database: str, redis_url: str) -> AsyncIterator[Server]:
    async with Server(redis_url).running() as server:
        yield server


@pytest.fixture
async def there(database: str, redis_url: str) -> AsyncIterator[Server]:
    """Another process: what is committed here, it hears from Valkey or sees by itself."""
    async with Server(redis_url, tells=False).running() as server:
        yield server


def conversation_id(conversation: Conversation | UUID) -> str:
    id = conversation.id if isinstance(conversation, Conversation) else conversation
    return str(encode("Conversation", id))


async def test_a_queue_begins_with_who_waits_and_goes_on_with_who_comes_and_goes(
    company: Company, here: Server
) -> None:
    async with peer(here, await session_of(company.agent)) as watching:
        await watching.subscribe(QUEUE, id=company.id("Queue"))
        snapshot = await watching.next()
        new = await a_message(company.channel, sender="new")
        by = as_agent(company.agent)
        async with working(company.waiting.id, by=by) as conversation:
            await conversation.pick(by=by)
        items = [await watching.next() for _ in range(2)]

    assert snapshot["__typename"] == "StreamSnapshot"
    assert snapshot["isComplete"]
    assert snapshot["conversations"] == [
        {"id": conversation_id(company.waiting), "status": "QUEUED"}
    ]
    assert [(item["__typename"], item["kind"]) for item in items] == [
        ("ConversationEntered", "CONVERSATION_QUEUED"),
        ("ConversationLeft", "CONVERSATION_ASSIGNED"),
    ]
    assert [item["conversation"]["id"] for item in items] == [
        conversation_id(new.conversation_id),
        conversation_id(company.waiting),
    ]


async def test_a_conversation_is_followed_from_its_state_to_its_end(
    company: Company, here: Server
) -> None:
    by = as_agent(company.agent)
    async with peer(here, await session_of(company.agent)) as watching:
        await watching.subscribe(ONE, id=conversation_id(company.held))
        snapshot = await watching.next()
        async with working(company.held.id, by=by) as conversation:
            await conversation.send("Hello.", by=by)
            await conversation.note("Hm.", by=by)
        async with working(company.held.id, by=by) as conversation:
            await close(conversation, by=by)
        items = [await watching.next() for _ in range(3)]

    assert snapshot["conversations"] == [
        {"id": conversation_id(company.held), "status": "ASSIGNED"}
    ]
    assert [item["__typename"] for item in items] == [
        "MessageSent",
        "NoteAdded",
        "ConversationClosed",
    ]
    assert [item.get("message") for item in items] == [{"text": "Hello."}, {"text": "Hm."}, None]


async def test_an_inbox_is_what_one_holds_gains_and_loses(company: Company, here: Server) -> None:
    by = by_system(company.workspace)
    async with peer(here, await session_of(company.agent)) as watching:
        await watching.subscribe(INBOX)
        snapshot = await watching.next()
        async with working(company.waiting.id, by=by) as conversation:
            await conversation.assign(company.agent.id, by=by)
        gained = await watching.next()
        async with working(company.held.id, by=by) as conversation:
            await conversation.unassign(by=by)
        lost = await watching.next()

    assert [shown["id"] for shown in snapshot["conversations"]] == [conversation_id(company.held)]
    assert (gained["kind"], gained["conversation"]["id"]) == (
        "CONVERSATION_ASSIGNED",
        conversation_id(company.waiting),
    )
    assert (lost["kind"], lost["conversation"]["id"]) == (
        "CONVERSATION_UNASSIGNED",
        conversation_id(company.held),
    )


async def test_a_stream_goes_on_from_another_server_without_a_hole(
    company: Company, here: Server, there: Server
) -> None:
    token = await session_of(company.agent)
    async with peer(here, token) as watching:
        await watching.subscribe(QUEUE, id=company.id("Queue"))
        await watching.next()
        await a_message(company.channel, sender="first")
        first = await watching.next()
    for number in range(3):
        await a_message(company.channel, sender=f"missed-{number}")

    async with peer(there, token) as watching:
        await watching.subscribe(QUEUE, id=company.id("Queue"), after=first["cursor"])
        resumed = await watching.next()
        missed = [await watching.next() for _ in range(3)]
        await a_message(company.channel, sender="last")
        last = await watching.next()

    assert resumed == {"__typename": "StreamResumed", "cursor": first["cursor"]}
    seqs = [item["seq"] for item in (first, *missed, last)]
    rows = await fetch(
        """
        SELECT seq FROM events WHERE $1 IN (from_queue_id, to_queue_id) AND seq >= $2 ORDER BY seq
        """,
        company.team.id,
        first["seq"],
    )
    assert seqs == [row["seq"] for row in rows]


async def test_another_server_hears_of_a_commit_although_nobody_told_it(
    company: Company, there: Server
) -> None:
    """Within the second in which it looks by itself."""
    async with peer(there, await session_of(company.agent)) as watching:
        await watching.subscribe(QUEUE, id=company.id("Queue"))
        await watching.next()

        await a_message(company.channel, sender="new")

        assert (await watching.next())["__typename"] == "ConversationEntered"


def arguments(name: str, company: Company) -> dict[str, Any]:
    """What a stream of the company takes; the inbox is always one's own."""
    ids = {
        "queueChanged": company.id("Queue"),
        "conversationChanged": conversation_id(company.waiting),
        "teamChanged": company.id("Team"),
        "ticketChanged": company.id("Ticket"),
    }
    return {"id": ids[name]} if name in ids else {}


@pytest.mark.parametrize("name", STREAMS)
@pytest.mark.parametrize("change", ["epoch", "number"])
async def test_a_cursor_of_another_history_starts_afresh(
    company: Company, here: Server, name: str, change: str
) -> None:
    given = arguments(name, company)
    async with peer(here, await session_of(company.agent)) as watching:
        await watching.subscribe(STREAMS[name], **given)
        at = Position.of_cursor((await watching.next())["cursor"])
        epoch = UUID(int=7) if change == "epoch" else at.epoch
        seq = at.seq + 1_000 if change == "number" else at.seq
        await watching.say("complete", id="1")

        foreign = Position(epoch, seq, at.at).cursor()
        await watching.subscribe(STREAMS[name], "2", **given, after=foreign)
        reset, snapshot = await watching.next("2"), await watching.next("2")

    assert (reset["__typename"], reset["reason"]) == ("StreamReset", "OTHER_HISTORY")
    assert snapshot["__typename"] == "StreamSnapshot"
    assert snapshot["cursor"] == reset["cursor"]


async def test_a_cursor_from_before_the_log_begins_starts_afresh(
    company: Company, here: Server
) -> None:
    async with peer(here, await session_of(company.agent)) as watching:
        await watching.subscribe(QUEUE, id=company.id("Queue"))
        at = Position.of_cursor((await watching.next())["cursor"])
        await watching.say("complete", id="1")
        old = Position(at.epoch, 1, at.at).cursor()
        await fetch("UPDATE logs SET floor_seq = 2 WHERE workspace_id = $1", company.workspace.id)
        await fetch("DELETE FROM events WHERE workspace_id = $1 AND seq <= 2", company.workspace.id)

        await watching.subscribe(QUEUE, "2", id=company.id("Queue"), after=old)
        reset = await watching.next("2")

    assert (reset["__typename"], reset["reason"]) == ("StreamReset", "TOO_OLD")


@pytest.mark.parametrize("cursor", ["", "x", "AAAA"])
async def test_what_is_no_cursor_is_refused(company: Company, here: Server, cursor: str) -> None:
    async with peer(here, await session_of(company.agent)) as watching:
        await watching.subscribe(QUEUE, id=company.id("Queue"), after=cursor)

        assert await watching.refusal() == "INVALID_CURSOR"


async def test_nobody_follows_what_it_does_not_see(company: Company, here: Server) -> None:
    bystander = await an_agent(company.workspace)
    async with peer(here, await session_of(bystander)) as watching:
        for name in ("queueChanged", "conversationChanged"):
            await watching.subscribe(STREAMS[name], name, **arguments(name, company))

            assert await watching.refusal() == "NOT_FOUND"


async def test_a_script_without_the_scope_follows_nothing(company: Company, here: Server) -> None:
    token = await integration_of(company.workspace, "messages:receive")
    found = {}
    async with peer(here, token) as watching:
        for name, query in STREAMS.items():
            await watching.subscribe(query, name, **arguments(name, company))
            found[name] = await watching.refusal()

    assert found == {
        "queueChanged": "NOT_FOUND",
        "conversationChanged": "NOT_FOUND",
        "inboxChanged": "FORBIDDEN",
        "teamChanged": "NOT_FOUND",
        "ticketChanged": "NOT_FOUND",
    }


async def test_a_team_tells_whether_its_members_are_there_and_what_they_hold(
    company: Company, here: Server
) -> None:
    by = by_system(company.workspace)
    async with peer(here, await session_of(company.agent)) as watching:
        await watching.subscribe(TEAM, id=company.id("Team"))
        snapshot = await watching.next()
        await Agent.change(company.agent.id, by=by, capacity=7)
        async with working(company.waiting.id, by=by) as conversation:
            await conversation.assign(company.agent.id, by=by)
        items = [await watching.next() for _ in range(2)]

    assert snapshot["__typename"] == "StreamSnapshot"
    assert [item["kind"] for item in items] == ["AGENT_UPDATED", "CONVERSATION_ASSIGNED"]


async def test_a_ticket_tells_what_is_done_about_it(company: Company, here: Server) -> None:
    async with peer(here, await session_of(company.operator)) as watching:
        await watching.subscribe(TICKET, id=company.id("Ticket"))
        snapshot = await watching.next()
        await Ticket.change(company.ticket.id, by=as_agent(company.operator), subject="Dark")
        changed = await watching.next()

    assert snapshot["__typename"] == "StreamSnapshot"
    assert (changed["__typename"], changed["kind"]) == ("TicketUpdated", "TICKET_UPDATED")


async def test_the_log_tells_what_a_filter_lets_through(company: Company, here: Server) -> None:
    token = await integration_of(company.workspace, "conversations:read")
    async with peer(here, token) as watching:
        await watching.subscribe(LOG, filter={"kinds": ["MESSAGE_RECEIVED"]})
        await watching.next()
        await a_message(company.channel, sender="new")
        told = await watching.next()

    assert (told["kind"], told["message"]) == ("MESSAGE_RECEIVED", {"text": "Hello?"})


async def test_an_agent_follows_its_own_part_of_the_log(company: Company, here: Server) -> None:
    async with peer(here, await session_of(company.agent)) as watching:
        await watching.subscribe(LOG)
        await watching.next()
        await a_message(company.channel, sender="new")
        by = by_system(company.workspace)
        async with working(company.held.id, by=by) as held:
            await held.send("Hello.", by=as_agent(company.agent))
        told = await watching.next()

    assert (told["kind"], told["conversation"]["id"]) == (
        "MESSAGE_SENT",
        conversation_id(company.held),
    )


async def test_a_script_that_may_not_read_the_log_follows_no_part_of_it(
    company: Company, here: Server
) -> None:
    token = await integration_of(company.workspace, "contacts:read")
    async with peer(here, token) as watching:
        await watching.subscribe(LOG)

        assert await watching.refusal() == "FORBIDDEN"


async def test_a_stream_ends_at_the_event_that_took_the_right_away(
    company: Company, here: Server
) -> None:
    by = by_system(company.workspace)
    async with peer(here, await session_of(company.agent)) as watching:
        await watching.subscribe(QUEUE, id=company.id("Queue"))
        await watching.next()
        await a_message(company.channel, sender="before")
        before = await watching.next()

        await Membership.remove(by=by, team=company.team, agent_id=company.agent.id)
        await a_message(company.channel, sender="after")
        end = await watching.hear()

    assert before["__typename"] == "ConversationEntered"
    assert end == {"id": "1", "type": "complete"}


async def test_a_conversations_stream_ends_when_it_goes_where_one_does_not_see(
    company: Company, here: Server
) -> None:
    by = by_system(company.workspace)
    elsewhere = await a_team(company.workspace)
    async with peer(here, await session_of(company.agent)) as watching:
        await watching.subscribe(ONE, id=conversation_id(company.waiting))
        await watching.next()

        await transfer(company.waiting.id, by=by, to_team=elsewhere.id)
        end = await watching.hear()

    assert end == {"id": "1", "type": "complete"}


async def test_two_companies_with_the_same_words_never_see_each_other(
    company: Company, other: Company, here: Server
) -> None:
    seen: dict[str, list[str]] = {}
    texts = {"ours": company, "theirs": other}
    async with (
        peer(here, await session_of(company.agent)) as ours,
        peer(here, await session_of(other.agent)) as theirs,
    ):
        peers = {"ours": ours, "theirs": theirs}
        for name, watching in peers.items():
            await watching.subscribe(QUEUE, id=texts[name].id("Queue"))
            await watching.next()
        for number in range(3):
            await asyncio.gather(
                *[
                    a_message(of.channel, sender="same", text=name, external_id=f"m-{number}")
                    for name, of in texts.items()
                ]
            )
        for name, watching in peers.items():
            items = [await watching.next() for _ in range(3)]
            # The first of them enters the queue, the others are messages inside it.
            seen[name] = [item["message"]["text"] for item in items if "message" in item]

        await ours.subscribe(QUEUE, "2", id=other.id("Queue"))
        assert await ours.refusal() == "NOT_FOUND"

    assert seen == {"ours": ["ours"] * 2, "theirs": ["theirs"] * 2}


async def test_a_revoked_token_closes_its_sockets_on_every_server(
    company: Company, here: Server, there: Server, calling: As
) -> None:
    """Also those that follow nothing; and nobody else's."""
    token, secret = await Token.issue(by=by_system(company.workspace), name="X", scopes=SCOPES)
    admin = calling(await session_of(company.admin))
    async with (
        peer(here, secret) as following,
        peer(here, secret) as idle,
        peer(there, secret) as far,
        peer(there, await session_of(company.agent)) as somebody_else,
    ):
        await following.subscribe(QUEUE, id=company.id("Queue"))
        await following.next()

        await admin.do("tokenRevoke", {"tokenId": encode("Token", token.id)})
        async with asyncio.timeout(3):
            codes = [await gone.close_code() for gone in (following, idle, far)]
        await somebody_else.say("ping")

        assert codes == [4403] * 3
        assert (await somebody_else.hear())["type"] == "pong"


async def test_signing_out_closes_ones_own_sockets(
    company: Company, here: Server, there: Server, calling: As
) -> None:
    leaving, staying = await session_of(company.agent), await session_of(company.agent)
    async with (
        peer(here, leaving) as near,
        peer(there, leaving) as far,
        peer(here, staying) as another_session,
    ):
        await calling(leaving).do("signOut", {})

        assert [await near.close_code(), await far.close_code()] == [4403, 4403]
        await another_session.say("ping")
        assert (await another_session.hear())["type"] == "pong"


async def test_a_token_that_ends_while_it_is_shown_opens_no_socket(
    company: Company, here: Server
) -> None:
    token, secret = await Token.issue(by=by_system(company.workspace), name="X", scopes=SCOPES)
    authenticate = here.app.authenticate

    async def revoked_meanwhile(given: str | None) -> Caller | None:
        caller = await authenticate(given)
        await Token.revoke(token.id, by=by_system(company.workspace))
        return caller

    here.app.authenticate = revoked_meanwhile
    async with connect(here.url, subprotocols=[TRANSPORT]) as connection:
        late = Peer(connection)
        await late.say("connection_init", payload={"authorization": f"Bearer {secret}"})

        assert await late.close_code() == 4403


async def test_an_agent_whose_account_ends_loses_its_sockets(
    company: Company, here: Server, there: Server
) -> None:
    leaver = await an_agent(company.workspace)
    token = await session_of(leaver)
    async with peer(here, token) as near, peer(there, token) as far:
        await Agent.change(leaver.id, by=by_system(company.workspace), is_active=False)

        assert [await near.close_code(), await far.close_code()] == [4403, 4403]


async def test_a_socket_has_the_rights_that_its_agent_has_now(
    company: Company, here: Server
) -> None:
    page = "{ conversations { totalCount } }"
    counts = []
    async with peer(here, await session_of(company.operator)) as supervising:
        await supervising.subscribe(page, "before")
        counts.append((await supervising.next("before"))["totalCount"])
        await supervising.hear()
        # Its own stream tells when the change has come through here.
        await supervising.subscribe(INBOX)
        await supervising.next()

        await Agent.change(company.operator.id, by=by_system(company.workspace), role=Role.AGENT)
        await supervising.next()
        await supervising.subscribe(page, "after")
        counts.append((await supervising.next("after"))["totalCount"])

    # What the department has it goes on seeing: it is a member.
    assert counts == [6, 3]


async def test_a_company_without_sockets_is_not_followed(company: Company, here: Server) -> None:
    watch: Any = here.app.connections.watch
    token = await session_of(company.agent)
    async with peer(here, token), peer(here, token):
        [follower] = watch._followers.values()
    await asyncio.wait([follower], timeout=PATIENCE_SECONDS)

    assert follower.cancelled()
    assert (watch._followers, watch._counts) == ({}, {})


async def test_a_killed_client_resumes_until_it_has_what_the_log_has(
    company: Company, here: Server, there: Server, calling: As
) -> None:
    """The public client, cut off three times in the middle of traffic, on either server."""
    token = await session_of(company.agent)
    admin = calling(await session_of(company.admin))
    start = (await admin.ask("{ events(last: 1) { pageInfo { endCursor } } }"))["events"]
    listening = asyncio.Event()
    traffic = asyncio.create_task(some_traffic(company, admin, listening))

    found: list[dict[str, Any]] = []
    for server, size in ((here, 7), (there, 9), (here, 5), (there, 19)):
        after = found[-1]["cursor"] if found else None
        opening, *items = await cut_off(server, token, company, after, size, listening)
        assert opening["__typename"] == ("StreamResumed" if found else "StreamSnapshot")
        found += items
    await traffic

    logged = await admin.ask(
        """query ($id: ID!, $after: String) { events(filter: { queueId: $id }, after: $after,
            first: 100) { nodes { seq kind cursor } } }""",
        id=company.id("Queue"),
        after=start["pageInfo"]["endCursor"],
    )
    seen = [{name: item[name] for name in ("seq", "kind", "cursor")} for item in found]
    assert seen == logged["events"]["nodes"]
    assert len(seen) == 40


async def cut_off(
    server: Server,
    token: str,
    company: Company,
    after: str | None,
    size: int,
    listening: asyncio.Event,
) -> list[dict[str, Any]]:
    """What a client hears before its network is gone: the beginning and some items."""
    transport = WebsocketsTransport(
        url=server.url,
        init_payload={"authorization": f"Bearer {token}"},
        subprotocols=[WebsocketsTransport.GRAPHQLWS_SUBPROTOCOL],
    )
    request = gql(QUEUE)
    request.variable_values = {"id": company.id("Queue"), "after": after}
    async with GqlClient(transport=transport) as session:
        stream = session.subscribe(request)
        found = [(await anext(stream))["queueChanged"]]
        listening.set()
        found += [(await anext(stream))["queueChanged"] for _ in range(size)]
        connection: Any = transport.adapter
        connection.websocket.transport.abort()
        with suppress(TransportError):
            await stream.aclose()
    return found


async def some_traffic(company: Company, admin: Client, listening: asyncio.Event) -> None:
    """Forty events of the queue: ten customers write three times, and ten are taken away."""
    await listening.wait()
    for number in range(10):
        for line in range(3):
            received = await a_message(
                company.channel, sender=f"caller-{number}", text=f"Line {line}"
            )
        await admin.do(
            "conversationClose", {"conversationId": conversation_id(received.conversation_id)}
        )
