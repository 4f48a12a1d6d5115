"""Commands sent again: one effect and one answer for each key."""

import asyncio
from typing import Any

import pytest

from models import Conversation, Message, Token
from resolvers.ids import encode
from tests.factories import an_agent
from tests.resolvers.client import Client, Company, contents, integration_of, session_of
from tests.resolvers.conftest import As

CONVERSATION = "conversation { id version status assignee { id } }"
RECEIVED = "duplicate opened message { id text } conversation { id version lastMessage { text } }"


@pytest.fixture
async def script(company: Company, calling: As) -> Client:
    return calling(await integration_of(company.workspace))


def delivery(company: Company, **changed: Any) -> dict[str, Any]:
    return {
        "idempotencyKey": "delivery-1",
        "channelId": company.id("Channel"),
        "externalId": "wamid.1",
        "contact": {"externalId": "5551", "name": "Ada"},
        "text": "Hello?",
        **changed,
    }


async def test_twenty_deliveries_at_once_have_one_effect_and_one_answer(
    company: Company, script: Client
) -> None:
    before = await Message.all().count()

    answers = await asyncio.gather(
        *[script.do("messageReceive", delivery(company), RECEIVED) for _ in range(20)]
    )

    assert answers[0]["messageReceive"]["opened"]
    assert all(answer == answers[0] for answer in answers)
    assert await Message.all().count() == before + 1


async def test_twenty_deliveries_without_a_key_have_one_effect_too(
    company: Company, script: Client
) -> None:
    before = await Message.all().count()
    keyless = delivery(company, idempotencyKey=None)

    answers = await asyncio.gather(
        *[script.do("messageReceive", keyless, RECEIVED) for _ in range(20)]
    )

    payloads = [answer["messageReceive"] for answer in answers]
    assert sorted(payload["duplicate"] for payload in payloads) == [False] + [True] * 19
    assert len({payload["message"]["id"] for payload in payloads}) == 1
    assert await Message.all().count() == before + 1


async def test_one_message_id_from_many_senders_at_once_is_one_message(
    company: Company, script: Client
) -> None:
    before = await contents()
    deliveries = [
        delivery(company, idempotencyKey=None, contact={"externalId": f"sender-{number}"})
        for number in range(8)
    ]

    answers = await asyncio.gather(
        *[script.do("messageReceive", given, RECEIVED) for given in deliveries]
    )

    assert len({answer["messageReceive"]["message"]["id"] for answer in answers}) == 1
    after = await contents()
    assert after["messages"] == before["messages"] + 1
    assert after["contacts"] == before["contacts"] + 1
    assert after["conversations"] == before["conversations"] + 1


async def test_a_command_again_has_its_first_answer_and_no_second_effect(
    company: Company, calling: As
) -> None:
    agent = calling(await session_of(company.agent))
    picking = {"conversationId": company.id("Conversation"), "idempotencyKey": "pick"}
    first = await agent.do("conversationPick", picking, CONVERSATION)
    before = await contents()

    again = await agent.do("conversationPick", picking, CONVERSATION)

    assert first["conversationPick"]["conversation"]["status"] == "ASSIGNED"
    assert again == first
    assert await contents() == before


async def test_the_order_of_an_inputs_fields_does_not_matter(
    company: Company, script: Client
) -> None:
    given = delivery(company)
    first = await script.do("messageReceive", given, RECEIVED)

    again = await script.do("messageReceive", dict(reversed(given.items())), RECEIVED)

    assert again == first


@pytest.mark.parametrize(
    "changed",
    [{"text": "Bye"}, {"externalId": "wamid.2"}, {"contact": {"externalId": "5552"}}],
    ids=["text", "message", "sender"],
)
async def test_a_key_with_another_input_is_refused(
    company: Company, script: Client, changed: dict[str, Any]
) -> None:
    await script.do("messageReceive", delivery(company), RECEIVED)
    before = await contents()

    answer = await script.do("messageReceive", delivery(company, **changed), RECEIVED)

    assert answer.codes == ["IDEMPOTENCY_KEY_REUSED"]
    assert answer.data["messageReceive"]["userErrors"][0]["path"] == ["input", "idempotencyKey"]
    assert await contents() == before


async def test_the_same_key_is_another_ones_for_another_mutation(
    company: Company, calling: As
) -> None:
    agent = calling(await session_of(company.agent))
    conversation = {"conversationId": company.id("Conversation"), "idempotencyKey": "mine"}
    await agent.do("conversationPick", conversation)

    answer = await agent.do("noteAdd", {**conversation, "text": "Took it."}, "message { text }")

    assert answer["noteAdd"]["message"] == {"text": "Took it."}


async def test_a_key_of_another_actor_is_another_key(company: Company, calling: As) -> None:
    note = {"conversationId": company.id("Conversation"), "text": "Hm.", "idempotencyKey": "same"}
    tokens = [
        await session_of(company.agent),
        await session_of(company.operator),
        await integration_of(company.workspace),
        await integration_of(company.workspace),
    ]

    answers = [
        await calling(token).do("noteAdd", note, "message { id author { id } }") for token in tokens
    ]

    assert len({answer["noteAdd"]["message"]["id"] for answer in answers}) == 4


async def test_a_key_outlives_the_session_it_was_used_in(company: Company, calling: As) -> None:
    note = {"conversationId": company.id("Conversation"), "text": "Hm.", "idempotencyKey": "same"}
    first, second = await session_of(company.agent), await session_of(company.agent)

    answers = [
        await calling(token).do("noteAdd", note, "message { id }") for token in (first, second)
    ]

    assert answers[0] == answers[1]
    assert answers[0].codes == []


async def test_a_refused_command_is_not_stored(company: Company, calling: As) -> None:
    agent = calling(await session_of(company.agent))
    reopening = {
        "conversationId": company.id("Conversation"),
        "agentId": company.id("Agent"),
        "idempotencyKey": "transfer",
    }
    conversation = await Conversation.get(id=company.waiting.id)
    stale = {**reopening, "expectedVersion": conversation.version + 1}

    refused = await agent.do("conversationTransfer", stale, CONVERSATION)
    allowed = await agent.do("conversationTransfer", reopening, CONVERSATION)

    assert refused.codes == ["CONVERSATION_CHANGED"]
    assert allowed["conversationTransfer"]["conversation"]["status"] == "ASSIGNED"


async def test_a_refused_command_may_succeed_later_with_the_same_key(
    company: Company, calling: As
) -> None:
    admin = calling(await session_of(company.admin))
    reopening = {"conversationId": company.id("Conversation"), "idempotencyKey": "again"}
    refused = await admin.do("conversationReopen", reopening, CONVERSATION)
    await admin.do("conversationClose", {"conversationId": company.id("Conversation")})

    allowed = await admin.do("conversationReopen", reopening, CONVERSATION)

    assert refused.codes == ["CONVERSATION_NOT_CLOSED"]
    assert allowed["conversationReopen"]["conversation"]["status"] == "QUEUED"


@pytest.mark.parametrize("key", ["", "x" * 201])
async def test_a_key_has_1_to_200_characters(company: Company, script: Client, key: str) -> None:
    before = await contents()

    answer = await script.do("messageReceive", delivery(company, idempotencyKey=key), RECEIVED)

    assert answer.codes == ["BAD_USER_INPUT"]
    assert await contents() == before


async def test_a_secret_is_shown_once(company: Company, calling: As) -> None:
    admin = calling(await session_of(company.admin))
    wanted = {"name": "Script", "scopes": ["messages:receive"], "idempotencyKey": "token"}
    first = await admin.do("tokenCreate", wanted, "token tokenId")

    again = await admin.do("tokenCreate", wanted, "token tokenId")

    assert first["tokenCreate"]["token"].startswith("rlv_")
    assert again["tokenCreate"]["token"] is None
    assert again["tokenCreate"]["tokenId"] == first["tokenCreate"]["tokenId"]
    assert await Token.filter(name="Script", scopes__contains=["messages:receive"]).count() == 1


async def test_signing_in_again_opens_another_session(company: Company, calling: As) -> None:
    """Also for somebody signed in, whose other commands are answered once."""
    person = await an_agent(company.workspace, password="correct horse")
    client = calling(await session_of(person))
    given = {"email": person.email, "password": "correct horse", "idempotencyKey": "in"}

    first, second = [
        (await client.do("signIn", given, "token expiresAt agent { id }"))["signIn"]
        for _ in range(2)
    ]

    assert first["agent"] == second["agent"] == {"id": encode("Agent", person.id)}
    assert first["token"] != second["token"]
