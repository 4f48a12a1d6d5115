"""Tags and merged contacts as clients see them."""

from typing import Any

import pytest

from models import Conversation
from models.event import Kind
from resolvers.ids import encode
from tests.factories import a_message
from tests.resolvers.client import Client, Company, integration_of, session_of
from tests.resolvers.conftest import As

CONTACT = "contact { id tags { name } mergedInto { id } mergedContacts { nodes { id } } }"


@pytest.fixture
async def operator(company: Company, calling: As) -> Client:
    return calling(await session_of(company.operator))


def id_of(record: Any) -> str:
    return str(encode(type(record).__name__, record.id))


def names(tags: list[dict[str, str]]) -> list[str]:
    return [tag["name"] for tag in tags]


async def test_a_conversation_shows_its_tags_by_name(company: Company, operator: Client) -> None:
    given = {"conversationId": company.id("Conversation")}
    select = "conversation { version tags { id name } }"
    tagging = {**given, "tags": ["zoo", "Ant", "vip"]}

    tagged = await operator.do("conversationTag", tagging, select)
    stale = await operator.do("conversationTag", {**tagging, "expectedVersion": 1}, select)
    untagged = await operator.do("conversationUntag", {**given, "tags": ["ZOO"]}, select)

    tags = tagged["conversationTag"]["conversation"]["tags"]
    assert names(tags) == ["Ant", "VIP", "zoo"]
    assert tags[1]["id"] == company.id("Tag")
    assert stale.codes == ["CONVERSATION_CHANGED"]
    assert names(untagged["conversationUntag"]["conversation"]["tags"]) == ["Ant", "VIP"]


async def test_conversations_are_found_by_tag(company: Company, operator: Client) -> None:
    for record in (company.waiting, company.held):
        await operator.do("conversationTag", {"conversationId": id_of(record), "tags": ["VIP"]})
    ask = """query ($filter: ConversationFilter) {
        conversations(first: 1, filter: $filter) { totalCount nodes { id } } }"""

    both = await operator.ask(ask, filter={"tagId": company.id("Tag")})
    one = await operator.ask(ask, filter={"tagId": company.id("Tag"), "status": ["QUEUED"]})

    assert both["conversations"]["totalCount"] == 2
    assert one["conversations"]["nodes"] == [{"id": company.id("Conversation")}]


async def test_a_tag_is_in_the_list_and_has_an_id(company: Company, operator: Client) -> None:
    ask = "query ($id: ID!) { tags { totalCount nodes { id name } } node(id: $id) { id } }"

    answer = await operator.ask(ask, id=company.id("Tag"))

    shown = {"id": company.id("Tag"), "name": "VIP"}
    assert answer["tags"] == {"totalCount": 1, "nodes": [shown]}
    assert answer["node"] == {"id": company.id("Tag")}


async def test_whoever_may_not_read_tags_does_not_find_one(company: Company, calling: As) -> None:
    script = calling(await integration_of(company.workspace, "reports:read"))
    ask = """query ($id: ID!) { node(id: $id) { id } tags { nodes { id } }
        events(filter: { kinds: [CONTACT_TAGGED] }) {
            nodes { ... on ContactTagged { tags { name } contact { id } } } } }"""

    answer = await script.ask(ask, id=company.id("Tag"))

    assert answer["node"] is None
    assert answer["tags"]["nodes"] == []
    assert answer["events"]["nodes"] == [{"tags": [], "contact": None}]


async def test_an_agent_tags_the_contacts_that_it_sees(company: Company, calling: As) -> None:
    client = calling(await session_of(company.agent))

    own = await client.do(
        "contactTag", {"contactId": company.id("Contact"), "tags": ["Regular"]}, CONTACT
    )
    others = await client.do("contactTag", {"contactId": id_of(company.twin), "tags": ["VIP"]})

    assert names(own["contactTag"]["contact"]["tags"]) == ["Regular", "VIP"]
    assert others.codes == ["NOT_FOUND"]


async def test_a_merged_contact_is_found_where_it_went(company: Company, operator: Client) -> None:
    survivor, twin = company.id("Contact"), id_of(company.twin)

    merged = await operator.do("contactMerge", {"survivorId": survivor, "mergedId": twin}, CONTACT)
    listed = await operator.ask("{ contacts(first: 100) { nodes { id } } }")
    ask = "query ($id: ID!) { contact(id: $id) { mergedInto { id } } }"
    shown = await operator.ask(ask, id=twin)

    assert [
        node["id"] for node in merged["contactMerge"]["contact"]["mergedContacts"]["nodes"]
    ] == [
        twin,
        id_of(company.merged),
    ]
    assert not {twin, id_of(company.merged)} & {node["id"] for node in listed["contacts"]["nodes"]}
    assert shown["contact"] == {"mergedInto": {"id": survivor}}


async def test_a_split_shows_both(company: Company, operator: Client) -> None:
    given = {"contactId": id_of(company.merged)}
    select = f"{CONTACT} survivor {{ id mergedContacts {{ nodes {{ id }} }} }}"

    answer = await operator.do("contactSplit", given, select)
    again = await operator.do("contactSplit", given)

    assert answer["contactSplit"]["contact"]["id"] == id_of(company.merged)
    assert answer["contactSplit"]["contact"]["mergedInto"] is None
    assert answer["contactSplit"]["survivor"] == {
        "id": company.id("Contact"),
        "mergedContacts": {"nodes": []},
    }
    assert again.codes == ["CONTACT_NOT_MERGED"]


async def test_a_refused_merge_names_the_conversation_in_its_way(
    company: Company, operator: Client
) -> None:
    other = await a_message(company.channel, sender="other")
    contact = (await Conversation.get(id=other.conversation_id)).contact_id
    given = {"survivorId": company.id("Contact"), "mergedId": encode("Contact", contact)}

    answer = await operator.do("contactMerge", given)

    assert answer.codes == ["CONVERSATION_ALREADY_OPEN"]
    [error] = answer.data["contactMerge"]["userErrors"]
    assert error["facts"] == [{"name": "conversationId", "value": company.id("Conversation")}]


async def test_the_log_tells_what_was_tagged_and_who_was_merged(
    company: Company, operator: Client
) -> None:
    conversation, contact = company.id("Conversation"), company.id("Contact")
    await operator.do("conversationTag", {"conversationId": conversation, "tags": ["VIP"]})
    await operator.do("contactUntag", {"contactId": contact, "tags": ["VIP"]})
    await operator.do("contactMerge", {"survivorId": id_of(company.twin), "mergedId": contact})
    ask = """{ events(last: 4) { nodes { kind __typename
        ... on TagEvent { tags { name } }
        ... on ConversationEvent { conversation { id } toQueue { id } }
        ... on ContactEvent { contact { id } }
        ... on MergeEvent { survivor { id } mergedContact { id } } } } }"""

    nodes = (await operator.ask(ask))["events"]["nodes"]

    # The contact's ticket went to the survivor, too.
    assert nodes.pop(2)["kind"] == Kind.TICKET_UPDATED
    placed = {"conversation": {"id": conversation}, "toQueue": {"id": company.id("Queue")}}
    twin = {"id": id_of(company.twin)}
    assert nodes == [
        {
            "kind": Kind.CONVERSATION_TAGGED,
            "__typename": "ConversationTagged",
            "tags": [{"name": "VIP"}],
            **placed,
        },
        {
            "kind": Kind.CONTACT_UNTAGGED,
            "__typename": "ContactUntagged",
            "tags": [{"name": "VIP"}],
            "contact": {"id": contact},
        },
        {
            "kind": Kind.CONTACT_MERGED,
            "__typename": "ContactMerged",
            **placed,
            "contact": twin,
            "survivor": twin,
            "mergedContact": {"id": contact},
        },
    ]
