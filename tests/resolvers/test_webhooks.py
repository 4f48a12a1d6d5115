"""Webhooks over the API: who has them, what is shown once, and how they are changed and tried."""

from collections.abc import Mapping
from typing import Any

import pytest

from models import Webhook, log
from models.access import SCOPES
from models.database import fetch, fetchval
from models.event import Kind
from models.webhook import record
from resolvers.history import EventFilter
from resolvers.ids import encode
from tests.conftest import Clock
from tests.resolvers.client import Client, Company, contents, integration_of, session_of
from tests.resolvers.conftest import As

SHOWN = """webhook { id name url status deliveredSeq eventsBehind missedCount attempts failingSince
    nextAttemptAt failure statusCode deliveredAt disabledAt previousSecretUntil version
    filter { kinds conversationId queueId agentId ticketId } }"""
URL = "https://till:secret@example.com/in?key=1"


@pytest.fixture
async def admin(company: Company, calling: As) -> Client:
    return calling(await session_of(company.admin))


def on(company: Company, **given: Any) -> dict[str, Any]:
    return {"webhookId": company.id("Webhook"), **given}


async def test_a_webhook_begins_at_its_own_creation(company: Company, admin: Client) -> None:
    head = await log.head(company.workspace.id)

    answer = await admin.do("webhookCreate", {"name": "Till", "url": URL}, f"secret {SHOWN}")

    payload = answer["webhookCreate"]
    assert payload["secret"].startswith("whsec_")
    assert payload["webhook"].pop("id")
    anything = dict.fromkeys(("kinds", "conversationId", "queueId", "agentId", "ticketId"))
    nothing_yet = ("failingSince", "nextAttemptAt", "failure", "statusCode", "deliveredAt")
    assert payload["webhook"] == {
        "name": "Till",
        "url": URL,
        "status": "ACTIVE",
        "deliveredSeq": head.seq,
        "eventsBehind": 1,
        "missedCount": 0,
        "attempts": 0,
        "version": 1,
        "filter": anything,
        **dict.fromkeys((*nothing_yet, "disabledAt", "previousSecretUntil")),
    }


async def test_webhooks_are_listed_and_found(company: Company, admin: Client) -> None:
    id = company.id("Webhook")

    answer = await admin.ask(
        """query ($id: ID!) { webhooks(first: 1) { totalCount nodes { id url } }
            webhook(id: $id) { id eventsBehind } node(id: $id) { ... on Webhook { name } } }""",
        id=id,
    )

    behind = await fetchval(
        "SELECT max(e.seq) - min(w.delivered_seq) FROM events e, webhooks w WHERE w.id = $1",
        company.webhook.id,
    )
    assert answer.data == {
        "webhooks": {"totalCount": 2, "nodes": [{"id": id, "url": company.webhook.url}]},
        "webhook": {"id": id, "eventsBehind": behind},
        "node": {"name": company.webhook.name},
    }


async def test_what_a_webhook_is_sent_is_shown_as_it_was_given(
    company: Company, admin: Client
) -> None:
    wanted = {
        "kinds": ["CONVERSATION_CLOSED", "NOTE_ADDED"],
        "conversationId": company.id("Conversation"),
        "queueId": company.id("Queue"),
        "agentId": company.id("Agent"),
        "ticketId": company.id("Ticket"),
    }
    given = {**wanted, "kinds": ["NOTE_ADDED", "CONVERSATION_CLOSED", "NOTE_ADDED"]}

    answer = await admin.do("webhookCreate", {"name": "Till", "url": URL, "filter": given}, SHOWN)

    assert answer["webhookCreate"]["webhook"]["filter"] == wanted


def test_a_filter_has_no_more_kinds_than_there_are() -> None:
    kinds = list(Kind)

    assert list(EventFilter(kinds=kinds * 1_000).parts().kinds or ()) == kinds


async def test_what_is_left_out_stays_and_null_is_a_value(company: Company, admin: Client) -> None:
    kinds = {"filter": {"kinds": ["NOTE_ADDED"]}}
    found = []
    for changes in (kinds, {"name": "Till"}, {"url": URL, "status": "PAUSED"}, {"filter": None}):
        answer = await admin.do("webhookUpdate", on(company, **changes), f"secret {SHOWN}")
        payload = answer["webhookUpdate"]
        shown = payload["webhook"]
        found.append((shown["name"], shown["url"], shown["status"], shown["filter"]["kinds"]))
        assert payload["secret"] is None

    name, url = company.webhook.name, company.webhook.url
    assert found == [
        (name, url, "ACTIVE", ["NOTE_ADDED"]),
        ("Till", url, "ACTIVE", ["NOTE_ADDED"]),
        ("Till", URL, "PAUSED", ["NOTE_ADDED"]),
        ("Till", URL, "PAUSED", None),
    ]


async def test_a_secret_is_rotated_with_the_other_changes_or_none_of_them_happens(
    company: Company, admin: Client, clock: Clock
) -> None:
    await clock.stop()
    old = company.webhook.secret

    answer = await admin.do(
        "webhookUpdate", on(company, name="Till", rotateSecret=True), f"secret {SHOWN}"
    )
    stale = await admin.do(
        "webhookUpdate", on(company, rotateSecret=True, expectedVersion=1), "secret"
    )

    webhook = await Webhook.get(id=company.webhook.id)
    payload = answer["webhookUpdate"]
    assert (webhook.secret, webhook.previous_secret) == (payload["secret"], old)
    assert payload["webhook"]["name"] == "Till"
    until = await fetchval("SELECT relevo_now() + interval '24 hours'")
    assert payload["webhook"]["previousSecretUntil"] == until.isoformat()
    assert stale.codes == ["WEBHOOK_CHANGED"]

    await clock.travel(hours=24)
    shown = await admin.ask(
        "query ($id: ID!) { webhook(id: $id) { previousSecretUntil } }", id=company.id("Webhook")
    )
    assert shown["webhook"] == {"previousSecretUntil": None}


@pytest.mark.parametrize(
    ("mutation", "rest"),
    [
        ("webhookCreate", {"name": "Till", "url": URL}),
        ("webhookUpdate", {"rotateSecret": True}),
    ],
)
async def test_a_repeated_command_shows_the_webhook_again_and_no_secret(
    company: Company, admin: Client, mutation: str, rest: Mapping[str, Any]
) -> None:
    given = {**(rest if mutation == "webhookCreate" else on(company, **rest))}
    given["idempotencyKey"] = "once"

    first, second = [await admin.do(mutation, given, "secret webhook { id }") for _ in range(2)]

    secret = first[mutation]["secret"]
    assert second[mutation] == {**first[mutation], "secret": None}
    kept = await fetch("SELECT answer::text FROM idempotency_keys")
    logged = await fetch("SELECT data::text AS answer FROM events WHERE data IS NOT NULL")
    assert kept
    assert secret
    for row in (*kept, *logged):
        assert secret not in row["answer"]
        assert "till:secret" not in row["answer"]


async def test_whoever_has_not_both_rights_sees_and_does_nothing(
    company: Company, calling: As
) -> None:
    list_them = "query ($id: ID!) { webhooks { totalCount } webhook(id: $id) { url } }"
    for scopes in (("settings:write",), ("reports:read", "settings:read")):
        client = calling(await integration_of(company.workspace, *scopes))
        shown = await client.ask(list_them, id=company.id("Webhook"))
        done = await client.do("webhookTest", on(company))

        assert shown.data == {"webhooks": {"totalCount": 0}, "webhook": None}
        assert done.codes == ["FORBIDDEN"]

    client = calling(await integration_of(company.workspace, "settings:write", "reports:read"))
    shown = await client.ask(list_them, id=company.id("Webhook"))
    assert shown["webhook"] == {"url": company.webhook.url}


REFUSED: dict[str, tuple[str, dict[str, Any], str, str | None, dict[str, str]]] = {
    "no TLS": (
        "webhookUpdate",
        {"url": "http://example.com/"},
        "WEBHOOK_TARGET_NOT_ALLOWED",
        "url",
        {},
    ),
    "an address inside": (
        "webhookUpdate",
        {"url": "https://10.0.0.1/"},
        "WEBHOOK_TARGET_NOT_ALLOWED",
        "url",
        {},
    ),
    "no URL": ("webhookUpdate", {"url": "example.com"}, "BAD_USER_INPUT", None, {}),
    "a control character": (
        "webhookUpdate",
        {"url": "https://ada:\x85@example.com/"},
        "BAD_USER_INPUT",
        None,
        {},
    ),
    "a filter of nothing": (
        "webhookUpdate",
        {"filter": {"kinds": []}},
        "BAD_USER_INPUT",
        None,
        {},
    ),
    "disabling by hand": ("webhookUpdate", {"status": "DISABLED"}, "BAD_USER_INPUT", None, {}),
    "another version": (
        "webhookUpdate",
        {"name": "Till", "expectedVersion": 7},
        "WEBHOOK_CHANGED",
        None,
        {"currentVersion": "1"},
    ),
    "before the log begins": (
        "webhookRedeliver",
        {"fromSeq": 0},
        "REDELIVERY_OUT_OF_RANGE",
        "fromSeq",
        {"floorSeq": "0"},
    ),
    "before it was delivered": (
        "webhookRedeliver",
        {"fromSeq": 1_000_000},
        "REDELIVERY_OUT_OF_RANGE",
        "fromSeq",
        {"floorSeq": "0"},
    ),
}


@pytest.mark.parametrize("what", REFUSED)
async def test_a_refusal_says_why(company: Company, admin: Client, what: str) -> None:
    mutation, given, code, path, facts = REFUSED[what]
    before = await contents()

    answer = await admin.do(mutation, on(company, **given))

    assert answer.codes == [code]
    assert await contents() == before
    for error in (answer.data or {}).get(mutation, {}).get("userErrors", ()) if path else ():
        assert error["path"] == ["input", path]
        assert facts.items() <= {fact["name"]: fact["value"] for fact in error["facts"]}.items()


@pytest.mark.parametrize("noun", ["Conversation", "Queue", "Agent", "Ticket"])
async def test_a_filter_names_what_is_in_the_workspace(
    company: Company, other: Company, admin: Client, noun: str
) -> None:
    name = f"{noun.lower()}Id"

    for id in (other.id(noun), str(encode(noun, company.workspace.id))):
        for mutation, given in (
            ("webhookCreate", {"name": "Till", "url": URL}),
            ("webhookUpdate", on(company)),
        ):
            answer = await admin.do(mutation, {**given, "filter": {name: id}})

            [error] = answer.data[mutation]["userErrors"]
            assert (error["code"], error["path"]) == ("NOT_FOUND", ["input", "filter", name])


async def test_there_are_only_so_many(
    company: Company, admin: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(record, "WEBHOOKS_MAX", 3)

    third, fourth = [
        await admin.do("webhookCreate", {"name": "Till", "url": URL}) for _ in range(2)
    ]

    assert third.codes == []
    [error] = fourth.data["webhookCreate"]["userErrors"]
    assert error["code"] == "LIMIT_REACHED"
    assert error["facts"] == [{"name": "limit", "value": "3"}]


async def test_a_test_says_the_number_of_its_event(company: Company, admin: Client) -> None:
    tried = await admin.do("webhookTest", on(company), "seq webhook { id }")
    await admin.do("webhookUpdate", on(company, status="PAUSED"))
    refused = await admin.do("webhookTest", on(company), "seq")

    row = await fetch("SELECT seq, data FROM events WHERE kind = 'WEBHOOK_TESTED'")
    assert tried["webhookTest"]["seq"] == row[0]["seq"]
    assert tried["webhookTest"]["webhook"] == {"id": company.id("Webhook")}
    assert len(row) == 1
    [error] = refused.data["webhookTest"]["userErrors"]
    assert (error["code"], refused.data["webhookTest"]["seq"]) == ("WEBHOOK_NOT_ACTIVE", None)
    assert error["facts"] == [{"name": "status", "value": "PAUSED"}]


async def test_redelivery_takes_the_place_back(company: Company, admin: Client) -> None:
    answer = await admin.do("webhookRedeliver", on(company, fromSeq=3), SHOWN)

    shown = answer["webhookRedeliver"]["webhook"]
    assert shown["deliveredSeq"] == 2
    assert shown["eventsBehind"] == (await log.head(company.workspace.id)).seq - 2


async def test_a_deleted_webhook_is_gone_and_the_log_says_which(
    company: Company, admin: Client
) -> None:
    id = company.id("Webhook")

    answers = [await admin.do("webhookDelete", on(company), "deletedId") for _ in range(2)]

    assert answers[0]["webhookDelete"]["deletedId"] == id
    assert answers[1].codes == ["NOT_FOUND"]
    events = await admin.ask(
        """{ events(filter: {kinds: [WEBHOOK_DELETED]}) { nodes {
            ... on WebhookDeleted { deletedId webhook { id } } } } }"""
    )
    assert events["events"]["nodes"] == [{"deletedId": id, "webhook": None}]


async def test_who_reads_the_log_sees_that_a_webhook_was_added_and_not_where_it_is(
    company: Company, calling: As
) -> None:
    ask = """{ events(first: 1, filter: {kinds: [WEBHOOK_CREATED]}) { nodes {
        ... on WebhookCreated { kind webhook { url } } } } }"""
    operator = calling(await session_of(company.operator))
    script = calling(await integration_of(company.workspace, *SCOPES))

    [seen] = (await operator.ask(ask))["events"]["nodes"]
    [known] = (await script.ask(ask))["events"]["nodes"]

    assert seen == {"kind": "WEBHOOK_CREATED", "webhook": None}
    assert known["webhook"] == {"url": company.webhook.url}
