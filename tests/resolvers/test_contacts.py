"""Contacts, their fields and segments over HTTP."""

from itertools import pairwise
from typing import Any
from uuid import uuid4

import pytest

from models import Contact, Workspace, contact_search
from models.access import Actor, Role
from models.contact_search import Filter, OwnedBy
from models.merge import merge
from resolvers.ids import encode
from tests.factories import (
    a_channel,
    a_contact,
    a_conversation,
    a_segment,
    a_tag,
    a_team,
    an_agent,
    by_system,
)
from tests.resolvers.client import Answer, Client, Company, integration_of, session_of
from tests.resolvers.conftest import As

CONTACT = """contact { id name phone email owner { agent { id } } mergedInto { id }
    fields { name kind value field { id } }
    identities { totalCount nodes { externalId channel { id } } } }"""


@pytest.fixture
async def admin(company: Company, calling: As) -> Client:
    return calling(await session_of(company.admin))


def names(answer: Answer) -> set[str]:
    return {node["name"] for node in answer["contacts"]["nodes"]}


async def test_a_contact_is_created_shown_and_changed(company: Company, admin: Client) -> None:
    identity = {"channelId": company.id("Channel"), "externalId": "wa-1"}
    field = {"fieldId": company.id("ContactField"), "value": "Lima"}
    given = {"name": "Ada", "phone": "+55 11 9", "identities": [identity], "fields": [field]}

    created = await admin.do("contactCreate", given, CONTACT)

    contact = created["contactCreate"]["contact"]
    assert contact == {
        "id": contact["id"],
        "name": "Ada",
        "phone": "+55119",
        "email": None,
        "owner": None,
        "mergedInto": None,
        "fields": [
            {"name": "City", "kind": "TEXT", "value": "Lima", "field": {"id": field["fieldId"]}}
        ],
        "identities": {
            "totalCount": 1,
            "nodes": [{"externalId": "wa-1", "channel": {"id": identity["channelId"]}}],
        },
    }
    changes = {
        "contactId": contact["id"],
        "phone": None,
        "email": "ada@example.com",
        "fields": [{**field, "value": None}],
        "removeIdentities": [identity],
        "addIdentities": [{**identity, "externalId": "wa-2"}],
    }
    changed = (await admin.do("contactUpdate", changes, CONTACT))["contactUpdate"]["contact"]
    assert (changed["name"], changed["phone"], changed["email"]) == ("Ada", None, "ada@example.com")
    assert changed["fields"] == []
    assert [node["externalId"] for node in changed["identities"]["nodes"]] == ["wa-2"]


async def test_an_identity_of_another_is_refused_naming_it(company: Company, admin: Client) -> None:
    ada = await a_contact(company.channel, sender="ada")
    identity = {"channelId": company.id("Channel"), "externalId": "ada"}

    answer = await admin.do("contactCreate", {"name": "Bob", "identities": [identity]})

    [error] = answer.data["contactCreate"]["userErrors"]
    assert (error["code"], error["path"]) == ("IDENTITY_TAKEN", ["input", "identities"])
    assert {fact["name"]: fact["value"] for fact in error["facts"]} == {
        "contactId": encode("Contact", ada.id),
        "channelId": company.id("Channel"),
    }


async def test_a_value_of_another_kind_is_refused_naming_field_and_kind(
    company: Company, admin: Client
) -> None:
    created = await admin.do(
        "contactFieldCreate", {"name": "Age", "kind": "NUMBER"}, "contactField { id choices }"
    )
    field = created["contactFieldCreate"]["contactField"]

    answer = await admin.do(
        "contactUpdate",
        {
            "contactId": company.id("Contact"),
            "fields": [{"fieldId": field["id"], "value": "old"}],
        },
    )

    [error] = answer.data["contactUpdate"]["userErrors"]
    assert field["choices"] == []
    assert error["code"] == "FIELD_VALUE_INVALID"
    assert error["facts"] == [
        {"name": "field", "value": "Age"},
        {"name": "kind", "value": "NUMBER"},
    ]


async def test_fields_are_defined_changed_and_forgotten(company: Company, admin: Client) -> None:
    given = {"name": "Size", "kind": "CHOICE", "choices": ["S", "L"]}
    created = await admin.do("contactFieldCreate", given, "contactField { id name kind choices }")
    field = created["contactFieldCreate"]["contactField"]
    changed = await admin.do(
        "contactFieldUpdate",
        {"fieldId": field["id"], "choices": ["L", "M"]},
        "contactField { name choices }",
    )
    deleted = await admin.do("contactFieldDelete", {"fieldId": field["id"]}, "contactFieldId")

    listed = await admin.ask("{ contactFields { totalCount nodes { name } } }")

    assert {**given, "id": field["id"]} == field
    assert changed["contactFieldUpdate"]["contactField"] == {"name": "Size", "choices": ["L", "M"]}
    assert deleted["contactFieldDelete"]["contactFieldId"] == field["id"]
    assert [node["name"] for node in listed["contactFields"]["nodes"]] == ["City", "Spare"]


async def test_a_value_that_outlives_its_field_is_not_shown(
    company: Company, admin: Client
) -> None:
    """As when a server stops while it forgets the values of a field."""
    orphan = {str(uuid4()): "Lima"}
    await Contact.filter(id=company.contact.id).update(field_values=orphan)
    ask = "query ($id: ID!) { contact(id: $id) { fields { value } } }"

    answer = await admin.ask(ask, id=company.id("Contact"))

    assert answer["contact"] == {"fields": []}


FIND = """query ($filter: ContactFilter, $first: Int) {
    contacts(filter: $filter, first: $first) { totalCount nodes { name } } }"""


@pytest.fixture
async def known(company: Company) -> dict[str, Any]:
    """Three contacts of whom something else is known each."""
    owner = await an_agent(company.workspace)
    ada = await a_contact(company.channel, sender="k-1", name="Ada Lovelace", owner_agent=owner)
    bob = await a_contact(company.channel, sender="k-2", name="Bob Lovelace")
    values = [(company.field.id, "Lima")]
    await Contact.change(bob.id, by=by_system(company.workspace), values=values)
    tag_id = await a_tag(company.workspace, of=[ada, bob])
    desk = await a_channel(company.workspace)
    await a_contact(desk, sender="k-3", name="Cid Lovelace")
    return {
        "an owner": ({"ownerAgentId": encode("Agent", owner.id)}, {"Ada"}),
        "an owner team": ({"ownerTeamId": company.id("Team")}, set()),
        "nobody's": ({"ownedBy": "NOBODY"}, {"Bob", "Cid"}),
        "mine": ({"ownedBy": "ME"}, set()),
        "a tag": ({"tagIds": [encode("Tag", tag_id)]}, {"Ada", "Bob"}),
        "a value": (
            {"fields": [{"fieldId": company.id("ContactField"), "value": "Lima"}]},
            {"Bob"},
        ),
        "a channel": ({"channelId": encode("Channel", desk.id)}, {"Cid"}),
        "a tag of nobody's": (
            {"tagIds": [encode("Tag", tag_id)], "ownedBy": "NOBODY"},
            {"Bob"},
        ),
    }


async def test_contacts_are_found_by_every_part_of_a_filter_and_by_a_segment_of_it(
    company: Company, admin: Client, known: dict[str, Any]
) -> None:
    found, saved = {}, {}
    for name, (filter, _) in known.items():
        asked = {**filter, "search": "lovelace"}
        found[name] = {full.split()[0] for full in names(await admin.ask(FIND, filter=asked))}
        created = await admin.do(
            "segmentCreate",
            {"name": name, "filter": filter},
            "segment { id contacts { nodes { name } } }",
        )
        segment = created["segmentCreate"]["segment"]
        asked = {"segmentId": segment["id"], "search": "lovelace"}
        saved[name] = {full.split()[0] for full in names(await admin.ask(FIND, filter=asked))}
        members = {node["name"] for node in segment["contacts"]["nodes"]}
        assert names(await admin.ask(FIND, filter=asked)) <= members

    assert found == saved == {name: expected for name, (_, expected) in known.items()}


async def test_pages_of_what_was_found(company: Company, admin: Client) -> None:
    for number in range(5):
        await a_contact(company.channel, sender=f"p-{number}", name=f"Eve {number}")
    ask = """query ($after: String, $before: String, $first: Int, $last: Int) {
        contacts(filter: {search: "eve"}, after: $after, before: $before, first: $first,
                 last: $last) {
            totalCount nodes { name }
            pageInfo { hasNextPage hasPreviousPage startCursor endCursor } } }"""

    first = (await admin.ask(ask, first=2))["contacts"]
    second = (await admin.ask(ask, first=2, after=first["pageInfo"]["endCursor"]))["contacts"]
    back = (await admin.ask(ask, last=2, before=second["pageInfo"]["startCursor"]))["contacts"]
    last = (await admin.ask(ask, last=1))["contacts"]

    assert [node["name"] for node in first["nodes"]] == ["Eve 0", "Eve 1"]
    assert [node["name"] for node in second["nodes"]] == ["Eve 2", "Eve 3"]
    assert back["nodes"] == first["nodes"]
    assert [node["name"] for node in last["nodes"]] == ["Eve 4"]
    assert first["totalCount"] == 5
    assert (first["pageInfo"]["hasNextPage"], last["pageInfo"]["hasPreviousPage"]) == (True, True)


async def test_a_segment_shows_its_filter_even_when_parts_are_gone(
    company: Company, admin: Client
) -> None:
    filter = Filter(
        search="ada",
        owned_by=OwnedBy.ME,
        owner_agent_id=company.agent.id,
        owner_team_id=company.team.id,
        tag_ids=(company.tag.id,),
        fields=((company.field.id, "Lima"),),
        channel_id=company.channel.id,
    )
    saved = await a_segment(company.workspace, filter=filter)
    ask = """query ($id: ID!) { node(id: $id) { ... on Segment { name filter {
        search ownedBy tagIds ownerAgent { id } ownerTeam { id } channel { id }
        fields { value field { id } } } contacts { totalCount } } } }"""
    id = encode("Segment", saved.id)

    before = (await admin.ask(ask, id=id))["node"]
    await admin.do("contactFieldDelete", {"fieldId": company.id("ContactField")})
    after = (await admin.ask(ask, id=id))["node"]

    assert before["filter"] == {
        "search": "ada",
        "ownedBy": "ME",
        "tagIds": [company.id("Tag")],
        "ownerAgent": {"id": company.id("Agent")},
        "ownerTeam": {"id": company.id("Team")},
        "channel": {"id": company.id("Channel")},
        "fields": [{"value": "Lima", "field": {"id": company.id("ContactField")}}],
    }
    assert after["filter"]["fields"] == [{"value": "Lima", "field": None}]
    assert after["contacts"] == {"totalCount": 0}


async def test_the_same_count_below_one_operation_is_made_once(
    company: Company, admin: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    counted: list[Any] = []
    count = contact_search.counts

    async def heard(wanted: Any, *, by: Actor) -> list[int]:
        counted.extend(wanted)
        return await count(wanted, by=by)

    monkeypatch.setattr(contact_search, "counts", heard)
    alias = "contacts(first: 1) { totalCount }"
    answer = await admin.ask(f"{{ segments {{ nodes {{ a: {alias} b: {alias} }} }} }}")

    assert all(node["a"] == node["b"] for node in answer["segments"]["nodes"])
    assert len(counted) == len(set(counted)) > 0


async def test_counts_below_every_segment_are_too_complex(admin: Client) -> None:
    counts = " ".join(f"a{number}: contacts(first: 1) {{ totalCount }}" for number in range(29))

    refused = await admin.ask(f"{{ segments(first: 100) {{ nodes {{ {counts} }} }} }}")

    assert refused.codes == ["OPERATION_TOO_COMPLEX"]


async def test_segments_are_changed_listed_and_forgotten(company: Company, admin: Client) -> None:
    id = company.id("Segment")
    changed = await admin.do(
        "segmentUpdate",
        {"segmentId": id, "name": "Ladies", "filter": {"search": "ada"}},
        "segment { name filter { search ownedBy tagIds channel { id } ownerAgent { id } } }",
    )
    listed = await admin.ask("{ segments { totalCount nodes { name } } }")
    deleted = await admin.do("segmentDelete", {"segmentId": id}, "segmentId")

    nobody = await admin.ask(FIND, filter={"segmentId": id})

    assert changed["segmentUpdate"]["segment"] == {
        "name": "Ladies",
        "filter": {
            "search": "ada",
            "ownedBy": None,
            "tagIds": [],
            "channel": None,
            "ownerAgent": None,
        },
    }
    assert {node["name"] for node in listed["segments"]["nodes"]} == {"Ladies", "Spare"}
    assert deleted["segmentDelete"]["segmentId"] == id
    assert names(nobody) == set()


WROTE = """query ($id: ID!) { contact(id: $id) { conversations {
    totalCount nodes { id } } } }"""


async def test_a_contact_shows_the_conversations_that_one_sees(
    company: Company, calling: As
) -> None:
    agent = await an_agent(company.workspace)
    own = await a_channel(company.workspace, team=await a_team(company.workspace, members=[agent]))
    strange = await a_channel(company.workspace, team=await a_team(company.workspace))
    contact = await a_contact(own, strange, sender="ada")
    seen = await a_conversation(company.workspace, channel=own, sender="ada")
    unseen = await a_conversation(company.workspace, channel=strange, sender="ada")
    marketing = await an_agent(company.workspace, role=Role.MARKETING, connected=False)
    found = {}
    for name, token in {
        "agent": await session_of(agent),
        "operator": await session_of(company.operator),
        "marketing": await session_of(marketing),
        "script": await integration_of(company.workspace, "contacts:read"),
    }.items():
        answer = await calling(token).ask(WROTE, id=encode("Contact", contact.id))
        page = answer["contact"]["conversations"]
        assert page["totalCount"] == len(page["nodes"])
        found[name] = [node["id"] for node in page["nodes"]]

    newest_first = [encode("Conversation", each.id) for each in (unseen, seen)]
    assert found == {
        "agent": newest_first[1:],
        "operator": newest_first,
        "marketing": [],
        "script": [],
    }


async def test_who_was_merged_says_into_whom(company: Company, admin: Client) -> None:
    twin = await a_contact(company.channel, sender="twin", name="Twin")
    await merge(survivor_id=company.contact.id, merged_id=twin.id, by=by_system(company.workspace))
    id = encode("Contact", twin.id)

    shown = await admin.ask("query ($id: ID!) { contact(id: $id) { mergedInto { id } } }", id=id)
    refused = await admin.do("contactUpdate", {"contactId": id, "name": "B"})

    assert shown["contact"] == {"mergedInto": {"id": company.id("Contact")}}
    assert refused.codes == ["CONTACT_MERGED"]
    assert "Twin" not in names(await admin.ask(FIND))


async def test_an_owner_is_told_of_before_and_after(company: Company, admin: Client) -> None:
    contact = {"contactId": company.id("Contact")}
    agent, team = {"id": company.id("Agent")}, {"id": company.id("Team")}
    for owner in ({"agentId": agent["id"]}, {"teamId": team["id"]}, {}):
        assert (await admin.do("contactSetOwner", {**contact, **owner})).codes == []

    answer = await admin.ask(
        """{ events(filter: {kinds: [CONTACT_OWNER_SET]}) { nodes { ... on ContactOwnerSet {
            contact { id } conversation { id } fromQueue { id } toQueue { id }
            fromOwner { agent { id } team { id } } toOwner { agent { id } team { id } } } } } }"""
    )

    nodes = answer["events"]["nodes"]
    owners = [None, {"agent": agent, "team": None}, {"agent": None, "team": team}, None]
    assert [(node["fromOwner"], node["toOwner"]) for node in nodes] == list(pairwise(owners))
    for node in nodes:
        assert node["contact"] == {"id": company.id("Contact")}
        assert node["conversation"] == {"id": company.id("Conversation")}
        assert node["fromQueue"] == node["toQueue"] == {"id": company.id("Queue")}


async def test_an_agent_sets_owners_where_the_workspace_says_so(
    company: Company, calling: As
) -> None:
    client = calling(await session_of(company.agent))
    given = {"contactId": company.id("Contact"), "agentId": company.id("Agent")}
    stranger = await a_contact(
        await a_channel(company.workspace, team=await a_team(company.workspace)), sender="s"
    )

    before = await client.do("contactSetOwner", given)
    await Workspace.change(by=by_system(company.workspace), owner_setters=[Role.AGENT])
    after = await client.do("contactSetOwner", given, "contact { owner { agent { id } } }")
    unseen = await client.do("contactSetOwner", {"contactId": encode("Contact", stranger.id)})

    assert before.codes == ["FORBIDDEN"]
    assert after["contactSetOwner"]["contact"]["owner"] == {"agent": {"id": given["agentId"]}}
    assert unseen.codes == ["NOT_FOUND"]
    assert unseen.data["contactSetOwner"]["userErrors"][0]["path"] == ["input", "contactId"]
