"""Whatever somebody sends, they are told what is wrong with it, and nothing is half done.

The tables are made from the schema (see documents.py): a new argument is tried without anybody
thinking of it.
"""

import base64
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing
from typing import Any
from uuid import uuid4

import orjson
import pytest

from api.auth import authenticate
from models import Agent, Conversation, Token, log
from models.access import SCOPES
from models.decision import Distribution
from models.log import Position
from models.stream import Reader
from resolvers.context import Context
from resolvers.ids import encode
from resolvers.schema import schema
from resolvers.sharing import encoded
from tests.conftest import Clock
from tests.factories import a_channel, a_team, by_system
from tests.resolvers.client import (
    ID_TYPES,
    Answer,
    BusyCompany,
    Client,
    Company,
    contents,
    integration_of,
    session_of,
)
from tests.resolvers.conftest import As
from tests.resolvers.documents import OPERATIONS, Operation, Path, put, valid

# A session that ends itself could ask nothing more.
REPEATABLE = [operation for operation in OPERATIONS if operation.name != "signOut"]
# What is read as another operation reads it, which is tried, and is too large to try twice.
ELSEWHERE = {("workflowUpdate", "input", "definition")}
STREAMED = [operation.name for operation in OPERATIONS if operation.kind == "subscription"]
TYPED = frozenset({"BAD_USER_INPUT", "INVALID_CURSOR"})
Run = Callable[[Operation, dict[str, Any]], Any]


async def first_of_stream(operation: Operation, variables: dict[str, Any], token: str) -> Answer:
    """What a subscription says first."""
    caller = await authenticate(token)
    assert caller is not None
    context = Context(actor=caller.actor, request_id="1", reader=Reader())
    stream = await schema.stream(
        operation.document, variable_values=variables, context_value=context
    )
    async with aclosing(stream):
        result: Any = await anext(aiter(stream))
    payload = orjson.loads(encoded(result)[0])
    errors = payload.get("errors", [])
    for error in errors:
        del error["extensions"]["requestId"]
    return Answer(200, payload["data"], errors)


def running(client: Client) -> Run:
    async def run(operation: Operation, variables: dict[str, Any]) -> Answer:
        if operation.kind == "subscription":
            assert client.token is not None
            return await first_of_stream(operation, variables, client.token)
        return await client.ask(operation.document, **variables)

    return run


async def trying(
    client: Client, company: Company, scalar: str, values: list[Any]
) -> AsyncIterator[tuple[str, Answer]]:
    """Every value in every place for this scalar, and whether anything else happened."""
    run, before = running(client), await contents()
    for operation in REPEATABLE:
        for place in operation.places(scalar):
            if (operation.name, *place[:2]) in ELSEWHERE:
                continue
            for value in values:
                answer = await run(operation, put(valid(operation, company), place, value))
                what = f"{operation} {'.'.join(place)} {repr(value)[:20]}"
                after = await contents()
                assert after == before or not answer.codes, what
                before = after
                yield what, answer


@pytest.fixture
def company(busy_company: BusyCompany) -> BusyCompany:
    return busy_company


@pytest.fixture
async def admin(company: Company, calling: As) -> Client:
    return calling(await session_of(company.admin))


@pytest.fixture
async def script(company: Company, calling: As) -> Client:
    return calling(await integration_of(company.workspace))


@pytest.fixture(params=["admin", "script"])
def either(request: pytest.FixtureRequest, admin: Client, script: Client) -> Client:
    """A person who may everything, and then a script."""
    return admin if request.param == "admin" else script


# What asks for no token, and the answer to a secret that is none.
STRANGERS = {"passwordReset": ["INVITATION_INVALID"], "signIn": ["INVALID_CREDENTIALS"]}


async def test_every_operation_runs_with_what_is_called_valid(
    company: Company, admin: Client, script: Client
) -> None:
    """Else the tables below would test nothing."""
    refused = {}
    for operation in REPEATABLE:
        for client in (admin, script):
            answer = await running(client)(operation, valid(operation, company))
            refused[operation.name] = answer.codes
            if not answer.codes:
                del refused[operation.name]
                break

    assert refused == STRANGERS


async def test_an_id_of_another_company_is_answered_like_one_of_nobody(
    company: Company, other: Company, either: Client, clock: Clock
) -> None:
    # What is shown of a refused conversation counts seconds.
    await clock.stop()
    run = running(either)
    tried = 0

    for operation in REPEATABLE:
        for place in operation.places("ID"):
            for type_name in ID_TYPES if place[-1] == "ids" else [operation.type_named(place)]:
                before = await contents()

                foreign, unknown = [
                    await run(operation, put(valid(operation, company), place, id))
                    for id in (other.id(type_name), str(encode(type_name, uuid4())))
                ]

                assert foreign == unknown, f"{operation} {place}"
                assert "INTERNAL_SERVER_ERROR" not in foreign.codes, f"{operation} {place}"
                if operation.kind == "mutation":
                    assert foreign.refusals, f"{operation} {place}"
                assert await contents() == before, f"{operation} {place}"
                tried += 1
    assert tried >= 40


async def test_an_id_of_another_type_or_of_none_is_bad_input(
    company: Company, admin: Client
) -> None:
    malformed = ["", " ", "x", "é", "Conversation:1", base64.b64encode(b"Agent:1").decode()]
    malformed += [base64.b64encode(b"\xff\xfe:1").decode(), "x" * 100_000, str(uuid4())]
    strange = str(encode("Elephant", uuid4()))

    async for what, answer in trying(admin, company, "ID", malformed):
        assert answer.codes == ["BAD_USER_INPUT"], what
    async for what, answer in trying(admin, company, "ID", [strange, company.id("Token")]):
        if what.startswith(("node ", "nodes ")):
            assert answer.data in ({"node": None}, {"nodes": [None]}), what
        elif not what.startswith("tokenRevoke input.tokenId 'VG9r"):
            assert answer.codes == ["BAD_USER_INPUT"], what


LONG = ["x" * 101, "x" * 201, "x" * 256, "é" * 10_001, "𝄞" * 20_000, "x" * 70_000]
ODD = ["", " ", "\t\n", "\u200b", "\ufeff", "'; DROP TABLE events; --", "%s{}\\", "İ" * 128]


# A question for each text in the schema, times fourteen: on a busy machine it takes long.
@pytest.mark.timeout(180)
async def test_no_text_is_too_long_or_too_odd_for_an_answer(
    company: Company, admin: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    # What a hash costs is tried elsewhere, and as many of them would be most of this test.
    monkeypatch.setattr(Agent, "accepts_password", lambda *_: False)
    monkeypatch.setattr("argon2.PasswordHasher.hash", lambda *_: "none")

    async for what, answer in trying(admin, company, "String", [*LONG, *ODD]):
        assert "INTERNAL_SERVER_ERROR" not in answer.codes, what


@pytest.mark.parametrize("text", ["\0", "a\0b"])
async def test_a_text_with_a_nul_is_refused_everywhere(
    company: Company, admin: Client, text: str
) -> None:
    async for what, answer in trying(admin, company, "String", [text]):
        # Sockets have a test of their own for it.
        if what.split()[0] not in STREAMED:
            assert answer.codes == ["BAD_USER_INPUT"], what


async def test_half_a_character_is_refused(company: Company, admin: Client) -> None:
    before = await contents()
    body = orjson.dumps({"query": "{ a }", "variables": {"text": "HALF"}})

    response = await admin.http.post(
        "/graphql",
        content=body.replace(b"HALF", b"\\ud800"),
        headers={"Authorization": f"Bearer {admin.token}", "Content-Type": "application/json"},
    )

    assert Answer.of(response).codes == ["BAD_USER_INPUT"]
    assert await contents() == before


ODD_TIMES = [
    "0001-01-01T00:00:00+14:00",
    "9999-12-31T23:59:59-14:00",
    "2026-01-01T00:00:00",
    "2026-13-01T00:00:00Z",
    "tomorrow",
    "",
    0,
    1e300,
]


async def test_no_time_is_too_odd_for_an_answer(company: Company, admin: Client) -> None:
    tried = 0

    async for what, answer in trying(admin, company, "DateTime", ODD_TIMES):
        assert answer.codes == ["BAD_USER_INPUT"], what
        tried += 1

    assert tried >= len(ODD_TIMES)


async def test_no_number_is_too_large_for_an_answer(company: Company, admin: Client) -> None:
    numbers = [0, -1, 2**31 - 1, -(2**31), 2**31, 2**63, -(2**63), 1.5, 1e300, "1", True]

    async for what, answer in trying(admin, company, "Int", numbers):
        assert "INTERNAL_SERVER_ERROR" not in answer.codes, what
        if not any(what.endswith(f" {number}") for number in (0, -1, 2**31 - 1, -(2**31))):
            assert answer.codes == ["BAD_USER_INPUT"], what


SHORT_ENOUGH: list[tuple[str, Path, int]] = [
    ("presenceBeat", ("input", "device"), 100),
    ("agentUpdate", ("input", "name"), 200),
    ("tokenCreate", ("input", "name"), 200),
    ("conversationClose", ("input", "summary"), 10_000),
    ("conversationsClose", ("input", "summary"), 10_000),
    ("conversationOpen", ("input", "externalId"), 200),
    ("conversationTransfer", ("input", "reason"), 500),
    ("agentCreate", ("input", "email"), 254),
    ("agentCreate", ("input", "password"), 1_024),
    ("teamCreate", ("input", "name"), 200),
    ("teamUpdate", ("input", "name"), 200),
    ("agentCreate", ("input", "name"), 200),
    ("channelCreate", ("input", "name"), 200),
    ("closingReasonCreate", ("input", "name"), 200),
    ("workspaceUpdate", ("input", "name"), 200),
    ("contactTag", ("input", "tags"), 50),
    ("conversationTag", ("input", "tags"), 50),
    ("conversationUntag", ("input", "tags"), 50),
    ("contactCreate", ("input", "name"), 200),
    ("contactCreate", ("input", "phone"), 40),
    ("contactCreate", ("input", "email"), 254),
    ("contactCreate", ("input", "identities", "externalId"), 200),
    ("contactCreate", ("input", "fields", "value"), 1_000),
    ("contactUpdate", ("input", "name"), 200),
    ("contactUpdate", ("input", "phone"), 40),
    ("contactUpdate", ("input", "email"), 254),
    ("contactUpdate", ("input", "addIdentities", "externalId"), 200),
    ("contactFieldCreate", ("input", "name"), 200),
    ("contactFieldCreate", ("input", "choices"), 100),
    ("contactFieldUpdate", ("input", "name"), 200),
    ("segmentCreate", ("input", "name"), 200),
    ("segmentCreate", ("input", "filter", "search"), 200),
    ("segmentCreate", ("input", "filter", "fields", "value"), 1_000),
    ("segmentUpdate", ("input", "name"), 200),
    ("webhookCreate", ("input", "name"), 200),
    ("webhookUpdate", ("input", "name"), 200),
    ("workflowCreate", ("input", "name"), 200),
    ("workflowCreateFromTemplate", ("input", "name"), 200),
    ("workflowUpdate", ("input", "name"), 200),
    ("ticketCreate", ("input", "subject"), 200),
    ("ticketCreate", ("input", "description"), 10_000),
    ("ticketCreate", ("input", "tags"), 50),
    ("ticketUpdate", ("input", "subject"), 200),
]
SHORT_ENOUGH_TO_RECEIVE: list[tuple[str, Path, int]] = [
    ("messageReceive", ("input", "externalId"), 200),
    ("messageReceive", ("input", "contact", "externalId"), 200),
    ("messageReceive", ("input", "contact", "name"), 200),
    ("messageReceive", ("input", "contact", "phone"), 40),
    ("messageReceive", ("input", "contact", "email"), 254),
]


@pytest.mark.parametrize(("name", "place", "length_max"), SHORT_ENOUGH + SHORT_ENOUGH_TO_RECEIVE)
async def test_a_text_fills_its_column_and_no_more(
    company: Company, script: Client, admin: Client, name: str, place: Path, length_max: int
) -> None:
    operation = Operation("mutation", name)
    client = script if name == "messageReceive" else admin
    before = await contents()

    too_long = put(valid(operation, company), place, "é" * (length_max + 1))
    refused = await client.ask(operation.document, **too_long)
    unchanged = await contents() == before
    just_right = put(valid(operation, company), place, "é" * length_max)
    accepted = await client.ask(operation.document, **just_right)

    assert refused.codes == ["BAD_USER_INPUT"]
    assert unchanged
    assert accepted.codes == []


@pytest.mark.parametrize(
    ("name", "place"),
    [
        ("presenceBeat", ("input", "device")),
        ("agentUpdate", ("input", "name")),
        ("tokenCreate", ("input", "name")),
        ("messageReceive", ("input", "externalId")),
        ("messageReceive", ("input", "contact", "externalId")),
        ("messageReceive", ("input", "text")),
        ("messageSend", ("input", "text")),
        ("noteAdd", ("input", "text")),
        ("conversationOpen", ("input", "externalId")),
        ("conversationTransfer", ("input", "reason")),
        ("agentCreate", ("input", "email")),
        ("teamCreate", ("input", "name")),
        ("ticketCreate", ("input", "subject")),
        ("ticketUpdate", ("input", "subject")),
        ("ticketAddAction", ("input", "text")),
        ("teamUpdate", ("input", "name")),
        ("agentCreate", ("input", "name")),
        ("channelCreate", ("input", "name")),
        ("closingReasonCreate", ("input", "name")),
        ("workspaceUpdate", ("input", "name")),
        ("contactTag", ("input", "tags")),
        ("conversationUntag", ("input", "tags")),
        ("contactCreate", ("input", "name")),
        ("contactCreate", ("input", "identities", "externalId")),
        ("contactUpdate", ("input", "name")),
        ("contactUpdate", ("input", "addIdentities", "externalId")),
        ("contactFieldCreate", ("input", "name")),
        ("contactFieldCreate", ("input", "choices")),
        ("contactFieldUpdate", ("input", "name")),
        ("segmentCreate", ("input", "name")),
        ("segmentCreate", ("input", "filter", "search")),
        ("segmentUpdate", ("input", "name")),
        ("webhookCreate", ("input", "name")),
        ("webhookUpdate", ("input", "name")),
        ("workflowCreate", ("input", "name")),
        ("workflowCreateFromTemplate", ("input", "name")),
        ("workflowUpdate", ("input", "name")),
    ],
)
async def test_what_must_say_something_is_not_blank(
    company: Company, admin: Client, name: str, place: Path
) -> None:
    operation = Operation("mutation", name)
    before = await contents()

    for text in ("", " \t\n"):
        answer = await admin.ask(operation.document, **put(valid(operation, company), place, text))

        assert answer.codes == ["BAD_USER_INPUT"]
    assert await contents() == before


@pytest.mark.parametrize("character", ["x", "é", "𝄞"])
async def test_a_message_has_64_kib_of_utf_8(
    company: Company, admin: Client, character: str
) -> None:
    fits = character * (65_536 // len(character.encode()))
    for name in ("messageReceive", "messageSend", "noteAdd"):
        operation = Operation("mutation", name)
        for text, codes in ((f"{fits}x", ["BAD_USER_INPUT"]), (fits, [])):
            variables = put(valid(operation, company), ("input", "text"), text)

            answer = await admin.ask(operation.document, **variables)

            assert answer.codes == codes, name


async def test_a_closed_conversation_takes_no_command_but_notes_and_tags(
    company: Company, admin: Client
) -> None:
    found = {}
    for operation in OPERATIONS:
        takes_one = ("input", "conversationId") in operation.places("ID")
        if takes_one and operation.name != "conversationReopen":
            closed = str(encode("Conversation", company.closed.id))
            variables = put(valid(operation, company), ("input", "conversationId"), closed)
            found[operation.name] = (await admin.ask(operation.document, **variables)).codes

    assert found == {
        "conversationAssign": ["CONVERSATION_CLOSED"],
        "conversationClose": ["CONVERSATION_CLOSED"],
        "conversationHandOff": ["CONVERSATION_NOT_WITH_BOT"],
        "conversationPauseBot": ["CONVERSATION_NOT_WITH_BOT"],
        "conversationPick": ["CONVERSATION_NOT_QUEUED"],
        "conversationResumeBot": ["CONVERSATION_NOT_ASSIGNED"],
        "conversationSetLine": ["CONVERSATION_CLOSED"],
        "conversationSnooze": ["CONVERSATION_NOT_ASSIGNED"],
        "conversationTransfer": ["CONVERSATION_CLOSED"],
        "conversationUnassign": ["CONVERSATION_NOT_ASSIGNED"],
        "conversationWake": ["CONVERSATION_NOT_SNOOZED"],
        "conversationTag": [],
        "conversationLinkTicket": ["CONVERSATION_CLOSED"],
        "conversationProposeTicket": ["CONVERSATION_CLOSED"],
        "conversationUnlinkTicket": ["CONVERSATION_CLOSED"],
        "ticketCreate": ["CONVERSATION_CLOSED"],
        "ticketLinkConfirm": ["CONVERSATION_CLOSED"],
        "ticketLinkReject": ["CONVERSATION_CLOSED"],
        "conversationUntag": [],
        "messageSend": ["CONVERSATION_CLOSED"],
        "noteAdd": [],
        "workflowRun": [],
    }


async def test_a_team_without_members_lets_its_queue_wait(company: Company, script: Client) -> None:
    lonely = await a_team(company.workspace, distribution=Distribution.ROUND_ROBIN)
    channel = await a_channel(company.workspace, team=lonely)
    given = {
        "channelId": encode("Channel", channel.id),
        "externalId": "m",
        "contact": {"externalId": "s"},
        "text": "Anybody?",
    }

    answer = await script.do(
        "messageReceive",
        given,
        "conversation { status position team { members { totalCount } } decision { outcome } }",
    )

    assert answer["messageReceive"]["conversation"] == {
        "status": "QUEUED",
        "position": 1,
        "team": {"members": {"totalCount": 0}},
        "decision": {"outcome": "NOBODY_ELIGIBLE"},
    }


ASKED = "{ viewer { scopes } }"


async def test_a_token_of_nobody_is_refused(company: Company, calling: As) -> None:
    for token in ("rlv_" + "x" * 43, "x", "x" * 5_000):
        answer = await calling(token).ask(ASKED)

        assert answer.codes == ["UNAUTHENTICATED"]


async def test_an_expired_token_is_refused(company: Company, calling: As, clock: Clock) -> None:
    _, secret = await Token.issue(
        by=by_system(company.workspace), name="Short", scopes=SCOPES, expires_days=1
    )
    client = calling(secret)
    before = await client.ask(ASKED)

    await clock.travel(days=1, seconds=1)

    assert before.codes == []
    assert (await client.ask(ASKED)).codes == ["UNAUTHENTICATED"]


async def test_a_session_ends_by_itself(company: Company, calling: As, clock: Clock) -> None:
    client = calling(await session_of(company.agent))

    await clock.travel(days=13, hours=23)
    before = await client.ask(ASKED)
    await clock.travel(hours=2)

    assert before.codes == []
    assert (await client.ask(ASKED)).codes == ["UNAUTHENTICATED"]


async def test_a_revoked_token_is_refused(company: Company, admin: Client, calling: As) -> None:
    token, secret = await Token.issue(by=by_system(company.workspace), name="Mine", scopes=SCOPES)
    client = calling(secret)
    before = await client.ask(ASKED)

    await admin.do("tokenRevoke", {"tokenId": encode("Token", token.id)})

    assert before.codes == []
    assert (await client.ask(ASKED)).codes == ["UNAUTHENTICATED"]


async def test_an_inactive_agents_session_is_refused(company: Company, calling: As) -> None:
    client = calling(await session_of(company.agent))

    await Agent.filter(id=company.agent.id).update(is_active=False)
    answer = await client.ask(ASKED)
    await Agent.filter(id=company.agent.id).update(is_active=True)

    assert answer.codes == ["UNAUTHENTICATED"]


async def test_a_stranger_may_only_sign_in_or_choose_a_password(
    company: Company, calling: As
) -> None:
    stranger = calling(None)
    found = {}
    before = await contents()
    for operation in OPERATIONS:
        if operation.kind != "subscription":
            answer = await stranger.ask(operation.document, **valid(operation, company))
            found[operation.name] = answer.codes

    assert {name: found.pop(name) for name in STRANGERS} == STRANGERS
    assert set(map(tuple, found.values())) == {("UNAUTHENTICATED",)}
    assert await contents() == before


PAGED = [operation for operation in OPERATIONS if "first" in operation.field.args]


MISSIZED = [
    {"first": 1, "last": 1},
    {"first": 0},
    {"first": 101},
    {"first": -1},
    {"last": 0},
    {"last": 101},
]


async def test_a_page_has_1_to_100_entries_from_one_end(company: Company, admin: Client) -> None:
    for operation in PAGED:
        for page in MISSIZED:
            answer = await admin.ask(operation.document, **page)

            assert answer.codes == ["BAD_USER_INPUT"], (operation.name, page)
    assert len(PAGED) >= 14


def packed(*parts: object) -> str:
    return base64.urlsafe_b64encode(orjson.dumps(parts)).decode()


ID = "00000000-0000-4000-8000-000000000000"
TAMPERED = [
    "",
    " ",
    "x",
    "é",
    "x" * 10_000,
    packed(),
    packed("created_at"),
    packed("created_at", "2026-01-01T00:00:00+00:00", ID, 1),
    packed("created_at", None, ID),
    packed("created_at", 1, ID),
    packed("created_at", "2026-01-01T00:00:00", ID),
    packed("created_at", "0001-01-01T00:00:00+23:59", ID),
    packed("created_at", "2026-01-01T00:00:00+00:00", 1),
    packed("created_at", "2026-01-01T00:00:00+00:00", [ID]),
    packed("created_at", "2026-01-01T00:00:00+00:00", "x"),
    packed("elephants", "2026-01-01T00:00:00+00:00", ID),
    packed("position", 2**63, ID),
    packed("-last_activity_at", {"a": 1}, ID),
    base64.urlsafe_b64encode(b'{"a": 1, "b": 2, "c": 3}').decode(),
    base64.urlsafe_b64encode(b"log1" + b"\xff" * 32).decode(),
    base64.urlsafe_b64encode(b"log1" + b"\0" * 32).decode(),
]


@pytest.mark.parametrize("way", ["after", "before"])
async def test_a_tampered_cursor_is_told_from_a_cursor(
    company: Company, admin: Client, way: str
) -> None:
    for operation in PAGED:
        for cursor in TAMPERED:
            answer = await admin.ask(operation.document, **{way: cursor})

            assert answer.codes == ["INVALID_CURSOR"], (operation.name, cursor)


@pytest.mark.parametrize("operation", PAGED, ids=str)
async def test_a_cursor_of_another_list_is_told_from_a_cursor(
    company: Company, admin: Client, operation: Operation
) -> None:
    cursors = {}
    for paged in PAGED:
        page = (await admin.ask(paged.document, first=1))[paged.name]
        cursors[paged.name] = page["pageInfo"]["endCursor"]
    # All that are ordered by creation share their cursors, which say nothing but a time.
    own = ("conversations", "events", "tickets", "workflows", "workflowRuns")
    same = {name: {name} for name in own}
    by_creation = set(cursors) - set(same)

    for name, cursor in cursors.items():
        answer = await admin.ask(operation.document, first=1, after=cursor)

        fits = name in same.get(operation.name, by_creation)
        assert answer.codes == ([] if fits else ["INVALID_CURSOR"]), name


async def test_a_cursor_belongs_to_its_order(company: Company, admin: Client) -> None:
    page = "query ($order: ConversationOrder!, $after: String) { conversations(first: 1,"
    page += " orderBy: $order, after: $after) { pageInfo { endCursor } } }"
    orders = [
        {"field": field, "direction": direction}
        for field in ("OPENED", "LAST_ACTIVITY", "QUEUED")
        for direction in ("ASC", "DESC")
    ]
    cursors = [
        (await admin.ask(page, order=order))["conversations"]["pageInfo"]["endCursor"]
        for order in orders
    ]

    found = [
        [(await admin.ask(page, order=order, after=cursor)).codes for cursor in cursors]
        for order in orders
    ]

    assert found == [
        [[] if order is given else ["INVALID_CURSOR"] for given in orders] for order in orders
    ]


async def test_a_log_cursor_beyond_every_number_is_told_from_a_cursor(
    company: Company, admin: Client
) -> None:
    ask = "query ($after: String, $before: String) { events(first: 1, after: $after,"
    ask += " before: $before) { nodes { seq } pageInfo { endCursor } } }"
    head = await log.head(company.workspace.id)

    assert (await admin.ask(ask, after=head.position.cursor()))["events"]["nodes"] == []
    for number in (head.seq + 1, 2**63 - 1, 2**63):
        far = Position(head.epoch, number, head.at).cursor()
        assert (await admin.ask(ask, after=far)).codes == ["INVALID_CURSOR"]
        assert (await admin.ask(ask, before=far)).codes == ["INVALID_CURSOR"]


async def test_a_log_cursor_of_another_company_is_told_from_a_cursor(
    company: Company, other: Company, calling: As, admin: Client
) -> None:
    ask = "query ($after: String) { events(first: 1, after: $after) { pageInfo { endCursor } } }"
    stranger = calling(await session_of(other.admin))
    cursor = (await stranger.ask(ask))["events"]["pageInfo"]["endCursor"]

    answer = await admin.ask(ask, after=cursor)

    assert answer.codes == ["INVALID_CURSOR"]


async def test_more_than_a_hundred_nodes_at_once_are_refused(
    company: Company, admin: Client
) -> None:
    ask = "query ($ids: [ID!]!) { nodes(ids: $ids) { id } }"

    answer = await admin.ask(ask, ids=[company.id("Agent")] * 101)

    assert answer.codes == ["BAD_USER_INPUT"]


@pytest.mark.parametrize("direction", ["to nobody", "to both"])
async def test_a_transfer_goes_to_an_agent_or_to_a_team(
    company: Company, admin: Client, direction: str
) -> None:
    before = await contents()
    both = {"agentId": company.id("Agent"), "teamId": company.id("Team")}
    given = {"conversationId": company.id("Conversation")}

    answer = await admin.do("conversationTransfer", given | (both if "both" in direction else {}))

    assert answer.codes == ["BAD_USER_INPUT"]
    assert await contents() == before


async def test_a_token_for_unknown_scopes_is_refused(company: Company, admin: Client) -> None:
    before = await contents()

    answer = await admin.do("tokenCreate", {"name": "Script", "scopes": ["everything"]})

    assert answer.codes == ["BAD_USER_INPUT"]
    assert await contents() == before


@pytest.mark.parametrize("days", [-1, 3_651, 2**31 - 1])
async def test_a_token_lasts_at_most_ten_years(company: Company, admin: Client, days: int) -> None:
    answer = await admin.do("tokenCreate", {"name": "S", "scopes": [], "expiresInDays": days})

    assert answer.codes == ["BAD_USER_INPUT"]


async def test_a_refusal_names_the_argument_at_fault(company: Company, admin: Client) -> None:
    unknown = str(encode("Agent", uuid4()))
    given = {"conversationId": company.id("Conversation"), "agentId": unknown}

    answer = await admin.do("conversationAssign", given)

    assert answer.data["conversationAssign"]["userErrors"] == [
        {
            "code": "NOT_FOUND",
            "message": "There is no such agent.",
            "path": ["input", "agentId"],
            "facts": [],
        }
    ]


async def test_a_stale_command_names_the_present_holder(company: Company, admin: Client) -> None:
    held = await Conversation.get(id=company.held.id)
    given = {
        "conversationId": encode("Conversation", held.id),
        "expectedVersion": held.version - 1,
        "text": "Hello",
    }

    answer = await admin.do("messageSend", given)

    [error] = answer.data["messageSend"]["userErrors"]
    assert error["code"] == "CONVERSATION_CHANGED"
    assert {fact["name"]: fact["value"] for fact in error["facts"]} == {
        "currentVersion": str(held.version),
        "holderId": company.id("Agent"),
        "status": "ASSIGNED",
    }
