"""Snippets over the API: filled for the conversations that the asker sees, in few statements."""

from models import Contact, Snippet
from resolvers.ids import encode
from tests.factories import an_agent, by_system
from tests.resolvers.client import Company, integration_of, session_of
from tests.resolvers.conftest import As

FILLED = """query ($conversation: ID!) {
    snippets { nodes { name filled(conversationId: $conversation) } } }"""


async def test_a_snippet_is_filled_by_whoever_asks(company: Company, calling: As) -> None:
    await Snippet.change(
        company.snippet.id,
        by=by_system(company.workspace),
        text="{{agent.name}}: hello, {{contact.name|friend}}.",
    )
    await Snippet.remove(company.spare_snippet.id, by=by_system(company.workspace))
    held = encode("Conversation", company.held.id)
    contact = await Contact.get(id=company.held.contact_id)

    said = {
        who: (await client.ask(FILLED, conversation=held))["snippets"]["nodes"][0]["filled"]
        for who, client in {
            "holder": calling(await session_of(company.agent)),
            "supervisor": calling(await session_of(company.operator)),
            "script": calling(await integration_of(company.workspace)),
        }.items()
    }

    assert said == {
        "holder": f"{company.agent.name}: hello, {contact.name}.",
        "supervisor": f"{company.operator.name}: hello, {contact.name}.",
        "script": f"{company.agent.name}: hello, {contact.name}.",
    }


async def test_what_one_does_not_see_fills_nothing(
    company: Company, other: Company, calling: As
) -> None:
    stranger = calling(await session_of(await an_agent(company.workspace)))
    admin = calling(await session_of(company.admin))

    for client, conversation in (
        (stranger, company.held.id),
        (admin, other.held.id),
        (admin, company.agent.id),
    ):
        answer = await client.ask(FILLED, conversation=encode("Conversation", conversation))
        assert {node["filled"] for node in answer["snippets"]["nodes"]} == {None}


async def test_snippets_are_searched(company: Company, calling: As) -> None:
    client = calling(await session_of(company.agent))

    answer = await client.ask('{ snippets(search: "welc") { totalCount nodes { name } } }')

    assert answer["snippets"] == {"totalCount": 1, "nodes": [{"name": "Welcome"}]}


async def test_an_unknown_variable_is_refused_by_its_name(company: Company, calling: As) -> None:
    client = calling(await session_of(company.admin))

    answer = await client.do("snippetCreate", {"name": "Hi", "text": "{{contact.nmae}}"})

    [error] = answer.data["snippetCreate"]["userErrors"]
    assert (error["code"], error["path"]) == ("VARIABLE_UNKNOWN", ["input", "text"])
    assert error["facts"] == [{"name": "variable", "value": "contact.nmae"}]
