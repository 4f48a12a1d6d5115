"""Working conversations through the API: what each command shows, and what followers are told."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from models import Team, bulk
from models.answer_timeout import lapse_answers
from models.base import Line
from models.channel import Target
from models.database import fetchval
from resolvers.ids import encode
from tests.conftest import Clock
from tests.factories import an_agent, by_system
from tests.resolvers.client import Answer, BusyCompany, Client, integration_of, session_of
from tests.resolvers.conftest import As


@pytest.fixture
def company(busy_company: BusyCompany) -> BusyCompany:
    return busy_company


@pytest.fixture
async def agent(company: BusyCompany, calling: As) -> Client:
    return calling(await session_of(company.agent))


@pytest.fixture
async def admin(company: BusyCompany, calling: As) -> Client:
    return calling(await session_of(company.admin))


def of(record: Any) -> dict[str, str]:
    return {"conversationId": str(encode("Conversation", record.id))}


def errors(answer: Answer, mutation: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = answer.data[mutation]["userErrors"]
    return found


async def the_last(client: Client, fields: str = "") -> dict[str, Any]:
    answer = await client.ask(
        "{ events(last: 1) { nodes { __typename kind"
        f" ... on ConversationEvent {{ rule }} {fields} }} }} }}"
    )
    found: dict[str, Any] = answer["events"]["nodes"][0]
    return found


async def test_putting_off_shows_until_when_and_whom_it_frees(
    company: BusyCompany, agent: Client, admin: Client
) -> None:
    until = (datetime.now(UTC) + timedelta(days=1)).replace(microsecond=0)
    shown = "conversation { status snoozedUntil closesAt assignee { load } }"

    snoozed = await agent.do(
        "conversationSnooze", {**of(company.held), "until": until.isoformat()}, shown
    )
    told = await the_last(admin, "... on ConversationSnoozed { until }")
    woken = await agent.do("conversationWake", of(company.held), shown)
    told_again = await the_last(admin)

    expected = until.isoformat()
    found = snoozed["conversationSnooze"]["conversation"]
    assert datetime.fromisoformat(found.pop("snoozedUntil")) == until
    assert found == {"status": "SNOOZED", "closesAt": None, "assignee": {"load": 0}}
    assert datetime.fromisoformat(told.pop("until")).isoformat() == expected
    assert told == {
        "__typename": "ConversationSnoozed",
        "kind": "CONVERSATION_SNOOZED",
        "rule": None,
    }
    assert woken["conversationWake"]["conversation"] == {
        "status": "ASSIGNED",
        "snoozedUntil": None,
        "closesAt": None,
        "assignee": {"load": 1},
    }
    assert told_again == {
        "__typename": "ConversationWoken",
        "kind": "CONVERSATION_WOKEN",
        "rule": "WOKEN",
    }


async def test_without_a_time_it_sleeps_until_the_customer_writes(
    company: BusyCompany, agent: Client, admin: Client
) -> None:
    shown = "conversation { snoozedUntil } "

    snoozed = await agent.do("conversationSnooze", of(company.held), shown)
    told = await the_last(admin, "... on ConversationSnoozed { until }")

    assert snoozed["conversationSnooze"]["conversation"] == {"snoozedUntil": None}
    assert told["until"] is None


async def test_a_time_in_the_past_is_refused(company: BusyCompany, agent: Client) -> None:
    given = {**of(company.held), "until": "2001-01-01T00:00:00Z"}

    refused = await agent.do("conversationSnooze", given)

    assert errors(refused, "conversationSnooze") == [
        {
            "code": "SNOOZE_OUT_OF_RANGE",
            "message": "A snooze ends after now, and within 365 days.",
            "path": ["input", "until"],
            "facts": [{"name": "daysMax", "value": "365"}],
        }
    ]


async def test_setting_the_line_shows_the_team_it_comes_to(
    company: BusyCompany, admin: Client
) -> None:
    await company.channel.assign(
        Line.SUPPORT, Target(company.department.id), by=by_system(company.workspace)
    )
    shown = "conversation { line team { id } queue { id } }"

    answer = await admin.do(
        "conversationSetLine", {**of(company.waiting), "line": "SUPPORT"}, shown
    )

    department = company.department.id
    assert answer["conversationSetLine"]["conversation"] == {
        "line": "SUPPORT",
        "team": {"id": encode("Team", department)},
        "queue": {"id": encode("Queue", department)},
    }
    assert await the_last(admin) == {
        "__typename": "ConversationLineSet",
        "kind": "CONVERSATION_LINE_SET",
        "rule": "LINE_SET",
    }


async def test_opening_shows_whoever_opened_it(
    company: BusyCompany, agent: Client, admin: Client
) -> None:
    given = {
        "contactId": encode("Contact", company.closed.contact_id),
        "channelId": company.id("Channel"),
        "idempotencyKey": "1",
    }
    shown = "conversation { id status assignee { id } team { id } assignment { rule } }"

    opened = await agent.do("conversationOpen", given, shown)
    again = await agent.do("conversationOpen", given, shown)
    beside = await agent.do("conversationOpen", {**given, "idempotencyKey": "2"})

    found = opened["conversationOpen"]["conversation"]
    assert again["conversationOpen"]["conversation"] == found
    (refusal,) = errors(beside, "conversationOpen")
    assert refusal["code"] == "CONVERSATION_ALREADY_OPEN"
    assert refusal["facts"] == [{"name": "conversationId", "value": found.pop("id")}]
    assert found == {
        "status": "ASSIGNED",
        "assignee": {"id": company.id("Agent")},
        "team": {"id": company.id("Team")},
        "assignment": {"rule": "OPENED_BY_HAND"},
    }
    told = await the_last(admin)
    assert (told["kind"], told["rule"]) == ("CONVERSATION_ASSIGNED", "OPENED_BY_HAND")


async def test_an_integration_opens_for_an_agent(company: BusyCompany, calling: As) -> None:
    script = calling(await integration_of(company.workspace, "conversations:write"))
    given = {
        "contactId": encode("Contact", company.closed.contact_id),
        "channelId": company.id("Channel"),
        "onBehalfOf": company.id("Agent"),
    }

    answer = await script.do("conversationOpen", given, "conversation { assignee { id } }")

    assert answer["conversationOpen"]["conversation"] == {"assignee": {"id": company.id("Agent")}}


async def test_the_receiver_of_a_transfer_reads_the_reason_and_sees_the_owner(
    company: BusyCompany, agent: Client, admin: Client, calling: As
) -> None:
    colleague = await an_agent(company.workspace)
    await admin.do(
        "contactSetOwner",
        {
            "contactId": encode("Contact", company.held.contact_id),
            "agentId": company.id("Agent"),
        },
    )
    given = {
        **of(company.held),
        "agentId": encode("Agent", colleague.id),
        "reason": "Speaks Welsh.",
    }

    await agent.do("conversationTransfer", given)

    receiver = calling(await session_of(colleague))
    answer = await receiver.ask(
        """query ($id: ID!) { conversation(id: $id) { owner { agent { id } }
            messages(last: 1) { nodes { direction text author { id } } } } }""",
        id=of(company.held)["conversationId"],
    )
    assert answer["conversation"] == {
        "owner": {"agent": {"id": company.id("Agent")}},
        "messages": {
            "nodes": [
                {
                    "direction": "NOTE",
                    "text": "Speaks Welsh.",
                    "author": {"id": company.id("Agent")},
                }
            ]
        },
    }


async def test_a_delivery_is_shown_on_its_message(
    company: BusyCompany, admin: Client, calling: As
) -> None:
    script = calling(await integration_of(company.workspace, "messages:receive"))
    id = encode("Message", company.answer.id)

    set_ = await script.do(
        "messageSetDelivery", {"messageId": id, "delivery": "READ"}, "message { delivery }"
    )
    late = await script.do(
        "messageSetDelivery", {"messageId": id, "delivery": "SENT"}, "message { delivery }"
    )
    inbound = await script.do(
        "messageSetDelivery", {"messageId": company.id("Message"), "delivery": "SENT"}
    )

    assert set_["messageSetDelivery"]["message"] == {"delivery": "READ"}
    assert late["messageSetDelivery"]["message"] == {"delivery": "READ"}
    assert inbound.codes == ["MESSAGE_NOT_OUTBOUND"]
    fields = "... on MessageDeliverySet { delivery message { delivery } }"
    assert await the_last(admin, fields) == {
        "__typename": "MessageDeliverySet",
        "kind": "MESSAGE_DELIVERY_SET",
        "rule": None,
        "delivery": "READ",
        "message": {"delivery": "READ"},
    }


async def test_only_answers_have_a_delivery(company: BusyCompany, admin: Client) -> None:
    answer = await admin.ask(
        "query ($id: ID!) { conversation(id: $id) { messages { nodes { direction delivery } } } }",
        id=encode("Conversation", company.answer.conversation_id),
    )

    assert answer["conversation"]["messages"]["nodes"] == [
        {"direction": "INBOUND", "delivery": None},
        {"direction": "OUTBOUND", "delivery": "PENDING"},
    ]


RESULTS = """results { conversation { id status } userErrors { code path facts { name value } } }"""


async def test_a_bulk_command_answers_for_each(company: BusyCompany, admin: Client) -> None:
    ids = [company.id("Conversation"), str(encode("Conversation", company.held.id))]
    given = {"conversationIds": ids, "agentId": company.id("Agent"), "idempotencyKey": "1"}

    answer = await admin.do("conversationsAssign", given, RESULTS)
    again = await admin.do("conversationsAssign", given, RESULTS)

    assert answer["conversationsAssign"]["results"] == [
        {"conversation": {"id": ids[0], "status": "ASSIGNED"}, "userErrors": []},
        {
            "conversation": {"id": ids[1], "status": "ASSIGNED"},
            "userErrors": [
                {
                    "code": "ALREADY_ASSIGNED",
                    "path": None,
                    "facts": [{"name": "holderId", "value": company.id("Agent")}],
                }
            ],
        },
    ]
    assert again.data == answer.data


async def test_many_are_closed_at_once(company: BusyCompany, admin: Client) -> None:
    ids = [company.id("Conversation"), str(encode("Conversation", company.closed.id))]
    given = {
        "conversationIds": ids,
        "closingReasonId": company.id("ClosingReason"),
        "summary": "All the same.",
    }

    answer = await admin.do("conversationsClose", given, RESULTS)

    results = answer["conversationsClose"]["results"]
    assert [result["conversation"]["status"] for result in results] == ["CLOSED", "CLOSED"]
    assert answer.refusals == ["CONVERSATION_CLOSED"]


@pytest.mark.parametrize("number", [0, bulk.CONVERSATIONS_MAX + 1])
async def test_a_bulk_command_names_one_to_a_hundred(
    company: BusyCompany, admin: Client, number: int
) -> None:
    ids = [company.id("Conversation")] * number

    answer = await admin.do("conversationsClose", {"conversationIds": ids})

    assert answer.codes == ["BAD_USER_INPUT"]


async def test_an_event_says_which_rule_moved_it(
    company: BusyCompany, admin: Client, clock: Clock
) -> None:
    await Team.filter(id=company.team.id).update(answer_timeout_minutes=1)
    await clock.travel(minutes=2)

    assert await lapse_answers(10) == 1
    assert await the_last(admin) == {
        "__typename": "ConversationUnassigned",
        "kind": "CONVERSATION_UNASSIGNED",
        "rule": "ANSWER_TIMEOUT",
    }


async def test_a_rule_of_a_newer_version_is_no_rule_of_ours(
    company: BusyCompany, agent: Client, admin: Client
) -> None:
    await agent.do("conversationUnassign", of(company.held))
    await fetchval(
        """UPDATE events SET data = '{"rule": "ASTROLOGY"}'
        WHERE seq = (SELECT max(seq) FROM events) RETURNING 1"""
    )

    assert (await the_last(admin))["rule"] is None
