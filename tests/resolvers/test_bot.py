"""The bot and the owner over HTTP: handing over, taking over, giving up, belonging to somebody."""

from typing import Any

import pytest

from resolvers.ids import encode
from tests.factories import a_channel, a_team, an_agent
from tests.resolvers.client import Client, Company, integration_of, session_of
from tests.resolvers.conftest import As

SHOWN = """conversation { status line assignee { id } team { id } reservedFor { id }
    owner { agent { id } team { id } } decision { rule outcome passedOver } }"""


@pytest.fixture
async def bot(company: Company, calling: As) -> Client:
    """The integration that the bot runs as."""
    scopes = ("messages:receive", "conversations:read")
    return calling(await integration_of(company.workspace, *scopes))


@pytest.fixture
async def operator(company: Company, calling: As) -> Client:
    return calling(await session_of(company.operator))


@pytest.fixture
async def admin(company: Company, calling: As) -> Client:
    return calling(await session_of(company.admin))


def with_bot(company: Company) -> dict[str, object]:
    return {"conversationId": encode("Conversation", company.with_bot.id)}


async def writes(bot: Client, channel_id: str, sender: str, number: int = 1) -> dict[str, Any]:
    given = {
        "channelId": channel_id,
        "externalId": f"{sender}-{number}",
        "contact": {"externalId": sender},
        "text": "Hello?",
    }
    answer = await bot.do("messageReceive", given, SHOWN.replace("{ status", "{ id status", 1))
    conversation: dict[str, Any] = answer["messageReceive"]["conversation"]
    return conversation


async def test_a_bot_that_is_switched_on_answers_first(
    company: Company, admin: Client, bot: Client
) -> None:
    channel = {"channelId": company.id("Channel")}

    on = await admin.do("channelSetBot", {**channel, "isOn": True}, "channel { botIsOn }")
    first = await writes(bot, company.id("Channel"), "grace")
    off = await admin.do("channelSetBot", {**channel, "isOn": False}, "channel { botIsOn }")
    second = await writes(bot, company.id("Channel"), "alan")

    assert on["channelSetBot"]["channel"] == {"botIsOn": True}
    assert (first["status"], first["decision"]["outcome"]) == ("BOT", "WITH_BOT")
    assert off["channelSetBot"]["channel"] == {"botIsOn": False}
    assert second["status"] == "QUEUED"


async def test_the_bot_hands_over_to_the_team_that_it_names(company: Company, bot: Client) -> None:
    given = {**with_bot(company), "teamId": company.id("Team")}

    answer = await bot.do("conversationHandOff", given, SHOWN)

    assert answer["conversationHandOff"]["conversation"] == {
        "status": "QUEUED",
        "line": "SALES",
        "assignee": None,
        "team": {"id": company.id("Team")},
        "reservedFor": None,
        "owner": None,
        "decision": {"rule": "HANDED_OFF", "outcome": "WAITING_FOR_PICK", "passedOver": []},
    }


async def test_the_bot_hands_over_on_the_line_that_it_names(company: Company, bot: Client) -> None:
    answer = await bot.do("conversationHandOff", {**with_bot(company), "line": "SALES"}, SHOWN)

    conversation = answer["conversationHandOff"]["conversation"]
    assert (conversation["line"], conversation["decision"]["rule"]) == ("SALES", "TODOS")


async def test_what_was_handed_over_is_not_handed_over_again(company: Company, bot: Client) -> None:
    await bot.do("conversationHandOff", with_bot(company))

    answer = await bot.do("conversationHandOff", with_bot(company))

    assert answer.codes == ["CONVERSATION_NOT_WITH_BOT"]


async def test_handing_over_twice_with_one_key_hands_over_once(
    company: Company, bot: Client
) -> None:
    given = {**with_bot(company), "idempotencyKey": "1"}

    first = await bot.do("conversationHandOff", given, SHOWN)
    again = await bot.do("conversationHandOff", given, SHOWN)

    assert first == again
    assert again.codes == []


async def test_a_person_takes_over_and_lets_the_bot_go_on(
    company: Company, operator: Client
) -> None:
    taken = await operator.do("conversationPauseBot", with_bot(company), SHOWN)
    given_up = await operator.do("conversationResumeBot", with_bot(company), SHOWN)

    first = taken["conversationPauseBot"]["conversation"]
    second = given_up["conversationResumeBot"]["conversation"]
    assert first["status"] == "ASSIGNED"
    assert first["assignee"] == {"id": str(encode("Agent", company.operator.id))}
    assert first["decision"]["rule"] == "BOT_PAUSED"
    assert (second["status"], second["assignee"]) == ("BOT", None)
    assert second["decision"]["outcome"] == "WITH_BOT"


async def test_what_people_have_cannot_be_taken_from_the_bot(
    company: Company, operator: Client
) -> None:
    waiting = {"conversationId": company.id("Conversation")}

    taken = await operator.do("conversationPauseBot", waiting)
    given_up = await operator.do("conversationResumeBot", waiting)

    assert taken.codes == ["CONVERSATION_NOT_WITH_BOT"]
    assert given_up.codes == ["CONVERSATION_NOT_ASSIGNED"]


OWNER = "contact { owner { agent { id } team { id } } }"


async def test_a_contact_belongs_to_an_agent_a_team_or_nobody(
    company: Company, operator: Client
) -> None:
    agent, team = {"id": company.id("Agent")}, {"id": company.id("Team")}
    contact = {"contactId": company.id("Contact")}
    found = []
    for owner in ({"agentId": agent["id"]}, {"teamId": team["id"]}, {}):
        answer = await operator.do("contactSetOwner", {**contact, **owner}, OWNER)
        found.append(answer["contactSetOwner"]["contact"]["owner"])

    assert found == [{"agent": agent, "team": None}, {"agent": None, "team": team}, None]


async def test_a_contact_has_one_owner(company: Company, operator: Client) -> None:
    both = {"agentId": company.id("Agent"), "teamId": company.id("Team")}

    answer = await operator.do("contactSetOwner", {"contactId": company.id("Contact"), **both})

    assert answer.codes == ["BAD_USER_INPUT"]


async def test_an_owner_is_told_of_by_the_conversation_and_the_log(
    company: Company, operator: Client
) -> None:
    given = {"contactId": company.id("Contact"), "agentId": company.id("Agent")}
    await operator.do("contactSetOwner", given)
    ask = """query ($id: ID!) { conversation(id: $id) { owner { agent { id } } assignee { id } }
        events(last: 1) { nodes { kind ... on ConversationEvent { conversation { id } } } } }"""

    answer = await operator.ask(ask, id=company.id("Conversation"))

    assert answer["conversation"] == {
        "owner": {"agent": {"id": given["agentId"]}},
        "assignee": None,
    }
    assert answer["events"]["nodes"] == [
        {"kind": "CONTACT_OWNER_SET", "conversation": {"id": company.id("Conversation")}}
    ]


async def a_contact_of(company: Company, bot: Client, operator: Client, owner_id: str) -> str:
    """A channel whose one customer belongs to somebody, and whose conversations are over."""
    team = await a_team(company.workspace)
    channel = str(encode("Channel", (await a_channel(company.workspace, team=team)).id))
    id = (await writes(bot, channel, "ada"))["id"]
    ask = "query ($id: ID!) { conversation(id: $id) { contact { id } } }"
    contact = (await operator.ask(ask, id=id))["conversation"]["contact"]
    owned = await operator.do("contactSetOwner", {"contactId": contact["id"], "agentId": owner_id})
    closed = await operator.do("conversationClose", {"conversationId": id})
    assert owned.codes == closed.codes == []
    return channel


async def test_a_connected_owner_has_what_its_contact_writes(
    company: Company, bot: Client, operator: Client
) -> None:
    channel = await a_contact_of(company, bot, operator, company.id("Agent"))

    conversation = await writes(bot, channel, "ada", 2)

    assert (conversation["status"], conversation["decision"]["rule"]) == ("ASSIGNED", "OWNER")
    assert conversation["assignee"] == {"id": company.id("Agent")}


async def test_an_absent_owner_has_it_when_it_is_back(
    company: Company, bot: Client, operator: Client, calling: As
) -> None:
    owner = await an_agent(company.workspace, connected=False)
    owner_id = str(encode("Agent", owner.id))
    channel = await a_contact_of(company, bot, operator, owner_id)

    conversation = await writes(bot, channel, "ada", 2)
    back = calling(await session_of(owner))
    await back.do("presenceBeat", {"device": "browser"})

    assert (conversation["status"], conversation["reservedFor"]) == ("QUEUED", {"id": owner_id})
    assert conversation["decision"] == {
        "rule": "OWNER",
        "outcome": "RESERVED",
        "passedOver": ["OWNER_ABSENT"],
    }
    ask = "query ($id: ID!) { conversation(id: $id) { assignee { id } reservedFor { id } } }"
    answer = await operator.ask(ask, id=conversation["id"])
    assert answer["conversation"] == {"assignee": {"id": owner_id}, "reservedFor": None}
