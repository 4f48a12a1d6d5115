"""Closing over the API: with its ticket, and after asking what stands against it."""

from typing import Any

from models import Ticket, Workspace
from models.closing import close
from resolvers.ids import encode
from tests.factories import A_TICKET, a_ticket, an_agent, as_agent, by_system, working
from tests.resolvers.client import Company, session_of
from tests.resolvers.conftest import As

CAN_CLOSE = """
    query ($id: ID!, $reason: ID, $summary: String) {
        conversationCanClose(conversationId: $id, closingReasonId: $reason, summary: $summary) {
            canClose missing { code path facts { name value } }
        }
    }
"""
WITH_TICKET = """
    conversation { status ticket { number } }
    closure { cause }
    ticket { number subject status requester { id } }
    action { kind author { id } closure { cause } messages(first: 5) { nodes { text } } }
"""


async def test_what_is_missing_is_told_before_trying(company: Company, calling: As) -> None:
    client = calling(await session_of(company.operator))
    await Workspace.change(by=by_system(company.workspace), summary_required=True)
    asked = {"id": encode("Conversation", company.escalated.id)}

    before = await client.ask(CAN_CLOSE, **asked)
    told = await client.ask(CAN_CLOSE, **asked, summary="A new bulb.")
    async with working(company.escalated.id, by=as_agent(company.operator)) as conversation:
        await close(
            conversation, by=as_agent(company.operator), summary="A new bulb.", ticket=A_TICKET
        )
    closed = await client.ask(CAN_CLOSE, **asked)

    assert codes(before) == (False, ["TICKET_REQUIRED", "SUMMARY_REQUIRED"])
    assert codes(told) == (False, ["TICKET_REQUIRED"])
    assert codes(closed) == (False, ["CONVERSATION_CLOSED"])


def codes(answer: Any) -> tuple[bool, list[str]]:
    told = answer["conversationCanClose"]
    return told["canClose"], [refusal["code"] for refusal in told["missing"]]


async def test_whoever_may_not_work_it_cannot_close_it(company: Company, calling: As) -> None:
    colleague = await an_agent(company.workspace, teams=[company.team])
    asked = {"id": encode("Conversation", company.held.id)}
    own = calling(await session_of(company.agent))
    sees = calling(await session_of(colleague))
    stranger = calling(await session_of(await an_agent(company.workspace)))

    assert codes(await own.ask(CAN_CLOSE, **asked)) == (True, [])
    assert codes(await sees.ask(CAN_CLOSE, **asked)) == (False, ["CONVERSATION_NOT_HELD"])
    assert (await stranger.ask(CAN_CLOSE, **asked))["conversationCanClose"] is None


async def test_a_ticket_is_created_with_the_closing(company: Company, calling: As) -> None:
    client = calling(await session_of(company.operator))
    create = {"subject": "The light is out", "departmentId": encode("Team", company.department.id)}

    answer = await client.do(
        "conversationClose",
        {**of(company), "ticket": {"create": create}},
        WITH_TICKET,
    )

    told = answer["conversationClose"]
    number = told["ticket"]["number"]
    assert told["conversation"] == {"status": "CLOSED", "ticket": {"number": number}}
    assert told["ticket"]["requester"] == {"id": encode("Contact", company.escalated.contact_id)}
    assert told["action"] == {
        "kind": "HISTORY",
        "author": {"id": encode("Agent", company.operator.id)},
        "closure": {"cause": "AGENT"},
        "messages": {"nodes": [{"text": "Hello?"}]},
    }


async def test_a_ticket_is_linked_and_later_changed_with_the_closing(
    company: Company, calling: As
) -> None:
    client = calling(await session_of(company.operator))
    ticket = await a_ticket(company.contact)

    linked = await client.do(
        "conversationClose",
        {**of(company), "ticket": {"ticketId": encode("Ticket", ticket.id)}},
        WITH_TICKET,
    )
    await client.do("conversationReopen", of(company))
    changes = {"status": "RESOLVED", "assigneeId": None, "tags": ["Bulb"]}
    changed = await client.do(
        "conversationClose", {**of(company), "ticket": {"update": changes}}, WITH_TICKET
    )

    assert linked["conversationClose"]["ticket"]["number"] == ticket.number
    assert changed["conversationClose"]["ticket"]["status"] == "RESOLVED"
    assert changed["conversationClose"]["action"]["messages"] == {"nodes": []}


async def test_the_same_closing_again_shows_the_same_action(company: Company, calling: As) -> None:
    client = calling(await session_of(company.operator))
    input = {**of(company), "ticket": {"create": {"subject": "Dark"}}, "idempotencyKey": "once"}

    first, again = [await client.do("conversationClose", input, WITH_TICKET) for _ in range(2)]

    assert first.data == again.data
    assert await Ticket.filter(subject="Dark").count() == 1


async def test_one_thing_becomes_of_the_ticket(company: Company, calling: As) -> None:
    client = calling(await session_of(company.operator))
    both = {"create": {"subject": "Dark"}, "update": {"subject": "Dark"}}

    for ticket in (both, {}):
        answer = await client.do("conversationClose", {**of(company), "ticket": ticket})
        assert answer.codes == ["BAD_USER_INPUT"], answer


async def test_many_are_each_refused_for_themselves(company: Company, calling: As) -> None:
    client = calling(await session_of(company.operator))
    ids = [encode("Conversation", one.id) for one in (company.escalated, company.held)]

    answer = await client.do(
        "conversationsClose",
        {"conversationIds": ids},
        "results { conversation { status } userErrors { code } }",
    )

    assert answer["conversationsClose"]["results"] == [
        {"conversation": {"status": "ASSIGNED"}, "userErrors": [{"code": "TICKET_REQUIRED"}]},
        {"conversation": {"status": "CLOSED"}, "userErrors": []},
    ]


def of(company: Company) -> dict[str, str]:
    """What the department's operator holds."""
    return {"conversationId": encode("Conversation", company.escalated.id)}
