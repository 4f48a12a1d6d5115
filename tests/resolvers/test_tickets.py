"""Tickets as clients see them."""

from typing import Any

import pytest

from models import Closure, Contact, Message, Ticket
from models.access import Actor
from models.base import Line
from models.event import Kind
from models.ticket.action import ActionKind, TicketAction, add_action
from models.ticket.record import TicketStatus
from resolvers.ids import encode
from tests.factories import (
    a_channel,
    a_contact,
    a_conversation,
    a_message,
    a_team,
    a_ticket,
    an_agent,
    as_agent,
    by_system,
    working,
)
from tests.resolvers.client import Client, Company, integration_of, session_of
from tests.resolvers.conftest import As

LINKED = "conversation { version ticket { number } ticketLink { status } }"


@pytest.fixture
async def operator(company: Company, calling: As) -> Client:
    return calling(await session_of(company.operator))


def id_of(record: Any) -> str:
    return str(encode(type(record).__name__, record.id))


async def test_a_ticket_shows_what_it_says_and_who_is_concerned(
    company: Company, operator: Client
) -> None:
    created = await operator.do(
        "ticketCreate",
        {
            "subject": "The light is out",
            "description": "In the hall",
            "requesterId": company.id("Contact"),
            "assigneeId": company.id("Agent"),
            "departmentId": id_of(company.department),
            "priority": "HIGH",
            "tags": ["Zoo", "ant"],
        },
        "ticket { id }",
    )
    id = created["ticketCreate"]["ticket"]["id"]
    ask = """query ($id: ID!) {
        byId: ticket(by: {id: $id}) { ...shown } byNumber: ticket(by: {number: 2}) { ...shown }
        none: ticket(by: {number: 9}) { id } node(id: $id) { ...shown } }
        fragment shown on Ticket { id number subject description status priority version
            requester { id } assignee { id } department { id } tags { name } }"""

    answer = await operator.ask(ask, id=id)

    shown = answer["byId"]
    assert shown == {
        "id": id,
        "number": 2,
        "subject": "The light is out",
        "description": "In the hall",
        "status": "OPEN",
        "priority": "HIGH",
        "version": 1,
        "requester": {"id": company.id("Contact")},
        "assignee": {"id": company.id("Agent")},
        "department": {"id": id_of(company.department)},
        "tags": [{"name": "ant"}, {"name": "Zoo"}],
    }
    assert answer["byNumber"] == answer["node"] == shown
    assert answer["none"] is None


@pytest.mark.parametrize("by", [{}, {"id": "x", "number": 1}, {"id": None}, {"number": None}])
async def test_a_ticket_is_named_by_one_of_both(operator: Client, by: dict[str, object]) -> None:
    answer = await operator.ask("query ($by: TicketBy!) { ticket(by: $by) { id } }", by=by)

    assert answer.codes == ["BAD_USER_INPUT"]


async def test_a_change_leaves_out_what_stays_and_clears_with_null(
    company: Company, operator: Client
) -> None:
    contact = await Contact.get(id=company.contact.id)
    ticket = await a_ticket(
        contact, assignee=company.agent, department=company.department, description="More"
    )
    given = {"ticketId": id_of(ticket)}
    select = """ticket { version status subject description assignee { id } department { id }
                         tags { name } }"""

    changed = await operator.do(
        "ticketUpdate",
        {**given, "assigneeId": None, "status": "PENDING", "tags": ["a"], "expectedVersion": 1},
        select,
    )
    cleared = await operator.do(
        "ticketUpdate", {**given, "departmentId": None, "description": None}, select
    )
    stale = await operator.do("ticketUpdate", {**given, "status": "OPEN", "expectedVersion": 1})

    assert changed["ticketUpdate"]["ticket"] == {
        "version": 2,
        "status": "PENDING",
        "subject": "The light is out",
        "description": "More",
        "assignee": None,
        "department": {"id": id_of(company.department)},
        "tags": [{"name": "a"}],
    }
    both = cleared["ticketUpdate"]["ticket"]
    assert (both["department"], both["description"], both["version"]) == (None, None, 3)
    (error,) = stale.data["ticketUpdate"]["userErrors"]
    assert (error["code"], error["facts"]) == (
        "TICKET_CHANGED",
        [{"name": "currentVersion", "value": "3"}],
    )


async def test_a_ticket_is_somebodys_request(operator: Client) -> None:
    answer = await operator.do("ticketCreate", {"subject": "The light is out"})

    (error,) = answer.data["ticketCreate"]["userErrors"]
    assert (error["code"], error["path"]) == ("REQUESTER_REQUIRED", ["input", "requesterId"])


async def test_a_ticket_created_in_a_conversation_is_linked_to_it(
    company: Company, operator: Client
) -> None:
    given = {"subject": "The light is out", "conversationId": company.id("Conversation")}

    stale = await operator.do("ticketCreate", {**given, "expectedVersion": 99})
    created = await operator.do("ticketCreate", given, f"ticket {{ requester {{ id }} }} {LINKED}")

    assert stale.codes == ["CONVERSATION_CHANGED"]
    answer = created["ticketCreate"]
    assert answer["ticket"] == {"requester": {"id": company.id("Contact")}}
    assert answer["conversation"]["ticket"] == {"number": 2}
    assert answer["conversation"]["ticketLink"] == {"status": "CONFIRMED"}


async def test_a_conversation_shows_how_it_got_its_ticket(
    company: Company, operator: Client, calling: As
) -> None:
    bot = calling(await integration_of(company.workspace, "messages:receive"))
    given = {"conversationId": company.id("Conversation")}

    proposed = await bot.do("conversationProposeTicket", {**given, "number": 1}, LINKED)
    pending = await operator.ask(
        f"query ($id: ID!) {{ conversation(id: $id) {{ {LINKED[15:-2]} }} }}",
        id=given["conversationId"],
    )
    confirmed = await operator.do("ticketLinkConfirm", given, LINKED)
    unlinked = await operator.do("conversationUnlinkTicket", given, LINKED)
    linked = await operator.do(
        "conversationLinkTicket", {**given, "ticketId": company.id("Ticket")}, LINKED
    )
    again = await operator.do("conversationLinkTicket", {**given, "ticketId": company.id("Ticket")})

    # Whoever feeds messages in need not see what comes of them.
    assert proposed["conversationProposeTicket"]["conversation"] is None
    assert pending["conversation"]["ticketLink"] == {"status": "PROPOSED"}
    shown = [
        answer[name]["conversation"]
        for answer, name in (
            (confirmed, "ticketLinkConfirm"),
            (unlinked, "conversationUnlinkTicket"),
            (linked, "conversationLinkTicket"),
        )
    ]
    assert [(it["ticket"], it["ticketLink"]) for it in shown] == [
        ({"number": 1}, {"status": "CONFIRMED"}),
        (None, None),
        ({"number": 1}, {"status": "CONFIRMED"}),
    ]
    (error,) = again.data["conversationLinkTicket"]["userErrors"]
    assert (error["code"], error["facts"]) == (
        "ALREADY_LINKED",
        [{"name": "ticketId", "value": company.id("Ticket")}],
    )


@pytest.mark.parametrize("named", [{}, {"ticketId": "x", "number": 1}])
async def test_a_proposal_names_one_ticket_in_one_way(
    company: Company, operator: Client, named: dict[str, object]
) -> None:
    given = {**named, **({"ticketId": company.id("Ticket")} if "ticketId" in named else {})}

    answer = await operator.do(
        "conversationProposeTicket", {"conversationId": company.id("Conversation"), **given}
    )

    assert answer.codes == ["BAD_USER_INPUT"]


async def test_tickets_are_found_and_ordered(company: Company, operator: Client) -> None:
    contact = await Contact.get(id=company.contact.id)
    for _ in range(3):
        await a_ticket(contact, subject="Another")
    second = await Ticket.get(number=2)
    await Ticket.change(second.id, by=by_system(company.workspace), status=TicketStatus.RESOLVED)
    ask = """query ($filter: TicketFilter, $order: TicketOrder, $first: Int, $after: String,
                    $last: Int) {
        tickets(filter: $filter, orderBy: $order, first: $first, after: $after, last: $last) {
            totalCount pageInfo { hasNextPage hasPreviousPage endCursor } nodes { number } } }"""

    async def asked(**variables: object) -> tuple[list[int], Any]:
        page = (await operator.ask(ask, **variables))["tickets"]
        return [node["number"] for node in page["nodes"]], page

    by_number = {"field": "NUMBER"}
    assert (await asked())[0] == [2, 4, 3, 1]
    assert (await asked(filter={"search": "anoth"}, order=by_number))[0] == [2, 3, 4]
    assert (await asked(filter={"search": "3"}))[0] == [3]
    assert (await asked(filter={"status": ["RESOLVED"]}))[0] == [2]
    assert (await asked(filter={"requesterId": company.id("Contact")}))[1]["totalCount"] == 4
    numbers, page = await asked(order=by_number, first=2)
    assert (numbers, page["pageInfo"]["hasNextPage"], page["totalCount"]) == ([1, 2], True, 4)
    numbers, page = await asked(order=by_number, first=2, after=page["pageInfo"]["endCursor"])
    assert (numbers, page["pageInfo"]["hasNextPage"]) == ([3, 4], False)
    assert (await asked(order={"field": "NUMBER", "direction": "DESC"}, last=3))[0] == [3, 2, 1]


async def test_actions_are_listed_in_order_with_their_authors(
    company: Company, operator: Client
) -> None:
    given = {"ticketId": company.id("Ticket")}

    public = await operator.do(
        "ticketAddAction",
        {**given, "text": "Replaced the bulb.", "kind": "PUBLIC"},
        "action { id kind text authorKind author { id } closure { id } } ticket { number }",
    )
    history = await operator.do("ticketAddAction", {**given, "text": "No.", "kind": "HISTORY"})
    await add_action(
        company.ticket.id, "Hm.", kind=ActionKind.INTERNAL, by=by_system(company.workspace)
    )
    listed = await operator.ask(
        """query ($id: ID!, $action: ID!) { node(id: $action) { id }
        ticket(by: {id: $id}) { actions { totalCount nodes { kind authorKind messages {
            totalCount } } } } }""",
        id=given["ticketId"],
        action=public["ticketAddAction"]["action"]["id"],
    )

    assert public["ticketAddAction"]["action"] == {
        "id": listed["node"]["id"],
        "kind": "PUBLIC",
        "text": "Replaced the bulb.",
        "authorKind": "AGENT",
        "author": {"id": id_of(company.operator)},
        "closure": None,
    }
    assert history.codes == ["BAD_USER_INPUT"]
    nothing = {"totalCount": 0}
    assert listed["ticket"]["actions"]["nodes"] == [
        {"kind": "PUBLIC", "authorKind": "AGENT", "messages": nothing},
        {"kind": "INTERNAL", "authorKind": "SYSTEM", "messages": nothing},
    ]


async def a_history(company: Company, *, after: Any = None) -> TicketAction:
    """A part of the waiting conversation on the company's ticket, as a closing appends it."""
    by = Actor.system(company.workspace.id)
    async with working(company.waiting.id, by=by) as conversation:
        await conversation.note("He means the hall.", by=by)
        await conversation.send("Which light?", by=by)
    rows = await _messages(company)
    closure = await _closure(company)
    return await TicketAction.create(
        workspace_id=company.workspace.id,
        ticket_id=company.ticket.id,
        kind=ActionKind.HISTORY,
        author_kind=by.kind,
        conversation_id=company.waiting.id,
        closure_id=closure,
        messages_after=after,
        messages_until=rows[-1],
    )


async def _messages(company: Company) -> list[Any]:
    said = await Message.filter(conversation_id=company.waiting.id).order_by("created_at")
    return [message.created_at for message in said]


async def _closure(company: Company) -> Any:
    return (await Closure.get(conversation_id=company.closed.id)).id


READ = """query ($id: ID!) { ticket(by: {id: $id}) { actions { nodes {
    kind text conversation { id } closure { id } messages { totalCount nodes { text } } } } } }"""


@pytest.mark.leaves_violations  # the part before this one is in no action
async def test_a_history_is_the_part_that_a_closing_appended_with_its_notes(
    company: Company, operator: Client
) -> None:
    first = (await _messages(company))[0]
    await a_history(company, after=first)
    channel = company.channel
    await a_message(channel, sender="somebody else")
    async with working(company.waiting.id, by=by_system(company.workspace)) as conversation:
        await conversation.send("Too late for it.", by=by_system(company.workspace))

    (action,) = (await operator.ask(READ, id=company.id("Ticket")))["ticket"]["actions"]["nodes"]

    assert (action["kind"], action["text"]) == ("HISTORY", None)
    assert action["conversation"] == {"id": company.id("Conversation")}
    assert action["closure"] is not None
    assert [it["text"] for it in action["messages"]["nodes"]] == [
        "He means the hall.",
        "Which light?",
    ]


async def test_a_history_without_notes_and_closing_is_read_by_whoever_sees_the_ticket(
    company: Company, calling: As
) -> None:
    await a_history(company)
    solver = await an_agent(company.workspace)
    by = by_system(company.workspace)
    await Ticket.change(company.ticket.id, by=by, assignee_id=solver.id)
    client = calling(await session_of(solver))

    (action,) = (await client.ask(READ, id=company.id("Ticket")))["ticket"]["actions"]["nodes"]

    assert (action["conversation"], action["closure"]) == (None, None)
    assert action["messages"] == {
        "totalCount": 2,
        "nodes": [{"text": "Hello?"}, {"text": "Which light?"}],
    }


async def test_a_ticket_lists_the_conversations_that_the_asker_sees(
    company: Company, operator: Client, calling: As
) -> None:
    team = await a_team(company.workspace, line=Line.SUPPORT)
    solver = await an_agent(company.workspace, teams=[team])
    own = await a_conversation(company.workspace, team=team, holder=solver)
    ticket = {"ticketId": company.id("Ticket")}
    for conversation in (company.waiting, own):
        await operator.do(
            "conversationLinkTicket", {"conversationId": id_of(conversation), **ticket}
        )
    ask = """query ($id: ID!) { ticket(by: {id: $id}) { requester { id }
        conversations { totalCount nodes { id } } } }"""

    everything = (await operator.ask(ask, id=company.id("Ticket")))["ticket"]
    one = (await calling(await session_of(solver)).ask(ask, id=company.id("Ticket")))["ticket"]

    assert {node["id"] for node in everything["conversations"]["nodes"]} == {
        company.id("Conversation"),
        id_of(own),
    }
    assert one == {
        "requester": None,
        "conversations": {"totalCount": 1, "nodes": [{"id": id_of(own)}]},
    }


async def test_a_contact_lists_the_tickets_that_the_asker_sees(
    company: Company, calling: As
) -> None:
    reader = calling(await integration_of(company.workspace, "contacts:read"))
    both = calling(await integration_of(company.workspace, "contacts:read", "tickets:read"))
    ask = "query ($id: ID!) { contact(id: $id) { tickets { totalCount nodes { number } } } }"

    hidden = await reader.ask(ask, id=company.id("Contact"))
    shown = await both.ask(ask, id=company.id("Contact"))

    assert hidden["contact"]["tickets"] == {"totalCount": 0, "nodes": []}
    assert shown["contact"]["tickets"] == {"totalCount": 1, "nodes": [{"number": 1}]}


async def test_events_of_links_name_the_tickets(company: Company, operator: Client) -> None:
    other = await a_ticket(await a_contact(await a_channel(company.workspace)))
    given = {"conversationId": company.id("Conversation")}
    await operator.do("conversationProposeTicket", {**given, "ticketId": company.id("Ticket")})
    await operator.do("conversationLinkTicket", {**given, "ticketId": id_of(other)})
    ask = """query ($kinds: [EventKind!]) { events(filter: {kinds: $kinds}) { nodes {
        kind ... on TicketLinkEvent { conversation { id } ticket { number }
                                      fromTicket { number } }
        ... on TicketCreated { ticket { number } } } } }"""

    kinds = [Kind.TICKET_CREATED, Kind.TICKET_LINK_PROPOSED, Kind.TICKET_LINKED]
    answer = await operator.ask(ask, kinds=kinds)

    place = {"conversation": {"id": company.id("Conversation")}}
    assert answer["events"]["nodes"] == [
        {"kind": "TICKET_CREATED", "ticket": {"number": 1}},
        {"kind": "TICKET_CREATED", "ticket": {"number": 2}},
        {"kind": "TICKET_LINK_PROPOSED", **place, "ticket": {"number": 1}, "fromTicket": None},
        {"kind": "TICKET_LINKED", **place, "ticket": {"number": 2}, "fromTicket": {"number": 1}},
    ]


async def test_an_agent_works_the_tickets_of_what_it_sees(company: Company, calling: As) -> None:
    client = calling(await session_of(company.agent))
    unseen = await a_ticket(await a_contact(await a_channel(company.workspace)))
    opened = await a_ticket(await Contact.get(id=company.contact.id), by=as_agent(company.agent))

    found = {
        "seen": await client.do("ticketUpdate", {"ticketId": company.id("Ticket"), "tags": ["a"]}),
        "own": await client.do("ticketUpdate", {"ticketId": id_of(opened), "status": "CLOSED"}),
        "unseen": await client.do("ticketUpdate", {"ticketId": id_of(unseen), "tags": ["a"]}),
        "link unseen": await client.do(
            "conversationLinkTicket",
            {"conversationId": id_of(company.held), "ticketId": id_of(unseen)},
        ),
    }

    assert {name: answer.codes for name, answer in found.items()} == {
        "seen": [],
        "own": [],
        "unseen": ["NOT_FOUND"],
        "link unseen": ["NOT_FOUND"],
    }
