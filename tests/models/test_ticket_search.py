"""Finding tickets: by the beginning of a number, by words, and by what they are."""

import json
from collections.abc import Iterator
from typing import Any
from uuid import UUID, uuid4

import pytest

from models import Contact, Ticket, Workspace
from models.access import Actor
from models.base import Line
from models.database import fetch
from models.errors import BadUserInput
from models.ticket import search
from models.ticket.record import TicketPriority, TicketStatus
from models.ticket.search import Bounds, Filter, OrderColumn, count, page
from tests.factories import (
    a_channel,
    a_contact,
    a_conversation,
    a_tag,
    a_team,
    a_ticket,
    a_workspace,
    an_agent,
    as_agent,
    by_system,
)

BY_NUMBER = Bounds(OrderColumn.NUMBER, size=51)
CROWD = 10_000
# Of a page of 51, whatever is searched for.
READ_MAX = 1_000
FEW = 500


@pytest.fixture
async def requester(workspace: Workspace) -> Contact:
    return await a_contact(await a_channel(workspace))


async def found(wanted: Filter, by: Actor) -> list[int]:
    rows = await page(wanted, BY_NUMBER, by=by)
    assert await count(wanted, by=by) == len(rows)
    return [row["number"] for row in rows]


@pytest.fixture
async def tickets(requester: Contact) -> list[Ticket]:
    """Tickets 1 to 19, which say different things."""
    said = [
        ("The light is out", "In the hall, since yesterday"),
        ("Order ORD-12345 is late", None),
        ("Lighthouse tour", "ask ada.lovelace@example.com"),
        ("Café au lait", "it's 'cold' \\ stale"),
    ]
    said += [("Nothing else", None)] * 15
    return [
        await a_ticket(requester, subject=subject, description=description)
        for subject, description in said
    ]


@pytest.mark.usefixtures("tickets")
@pytest.mark.parametrize(
    ("text", "numbers"),
    [
        ("1", [1, *range(10, 20)]),
        ("#12", [12]),
        ("  7 ", [7]),
        ("20", []),
        ("light", [1, 3]),
        ("LIGHT is", [1]),
        ("is light", [1, 3][:1]),
        ("ligh is", []),
        ("hall yest", [1]),
        ("ORD-123", [2]),
        ("ada.lovelace@example.com", [3]),
        ("café", [4]),
        ("it's", [4]),
        ("\\", []),
        ("'", []),
        ("& | ! ( ) :*", []),
        ("cold' & '", [4]),
    ],
)
async def test_a_text_finds_beginnings_of_numbers_and_words(
    workspace: Workspace, text: str, numbers: list[int]
) -> None:
    assert await found(Filter(search=text), by_system(workspace)) == numbers


async def test_filters_hold_together(workspace: Workspace, requester: Contact) -> None:
    agent = await an_agent(workspace)
    department = await a_team(workspace, line=Line.SUPPORT)
    other = await a_contact(await a_channel(workspace), sender="other")
    by = by_system(workspace)
    await a_ticket(requester)
    two = await a_ticket(requester, assignee=agent, tags=["lamps"])
    three = await a_ticket(other, assignee=agent, department=department)
    await Ticket.change(two.id, by=by, status=TicketStatus.PENDING)
    await Ticket.change(three.id, by=by, priority=TicketPriority.URGENT)
    tag = (await fetch("SELECT id FROM tags"))[0]["id"]
    conditions: list[tuple[dict[str, Any], list[int]]] = [
        ({}, [1, 2, 3]),
        ({"assignee_id": agent.id}, [2, 3]),
        ({"department_id": department.id}, [3]),
        ({"requester_id": requester.id}, [1, 2]),
        ({"status": [TicketStatus.OPEN]}, [1, 3]),
        ({"status": [TicketStatus.OPEN, TicketStatus.PENDING]}, [1, 2, 3]),
        ({"status": []}, []),
        ({"priority": [TicketPriority.URGENT]}, [3]),
        ({"tag_id": tag}, [2]),
        ({"tag_id": uuid4()}, []),
        ({"assignee_id": agent.id, "requester_id": requester.id, "search": "light"}, [2]),
    ]

    for condition, numbers in conditions:
        assert await found(Filter(**condition), by) == numbers, condition


async def test_an_agent_finds_what_it_sees(workspace: Workspace, requester: Contact) -> None:
    team = await a_team(workspace)
    agent = await an_agent(workspace, teams=[team])
    conversation = await a_conversation(workspace, team=team)
    await a_ticket(requester)
    await a_ticket(await Contact.get(id=conversation.contact_id))
    stranger = await a_contact(await a_channel(await a_workspace("Other")))
    await a_ticket(stranger)

    assert await found(Filter(search="light"), as_agent(agent)) == [2]
    assert await found(Filter(search="1"), as_agent(agent)) == []


@pytest.mark.usefixtures("tickets")
async def test_pages_go_both_ways_by_number_and_by_change(workspace: Workspace) -> None:
    by = by_system(workspace)
    third = await Ticket.get(number=3)
    await Ticket.change(third.id, by=by, status=TicketStatus.CLOSED)

    newest = await page(Filter(), Bounds(OrderColumn.UPDATED, size=2, descending=True), by=by)
    after = Bounds(OrderColumn.NUMBER, size=2, after=(3, third.id))
    before = Bounds(OrderColumn.NUMBER, size=2, descending=True, after=(3, third.id))

    assert [row["number"] for row in newest] == [3, 19]
    assert [row["number"] for row in await page(Filter(), after, by=by)] == [4, 5]
    assert [row["number"] for row in await page(Filter(), before, by=by)] == [2, 1]


@pytest.mark.parametrize("text", ["", " ", "x" * 201, "\x00"])
def test_nobody_looks_for_what_cannot_be_written(text: str) -> None:
    with pytest.raises(BadUserInput) as refused:
        Filter(search=text)

    assert refused.value.path == "filter.search"


async def a_crowd(workspace: Workspace, size: int) -> tuple[UUID, UUID]:
    """Generated tickets of about 500 characters, of two companies, each of so many.

    Returns the one tag that a few of them have, and a contact who requests a few others.
    """
    for each in (workspace, await a_workspace("Other")):
        requester = await a_contact(await a_channel(each))
        await fetch(
            """
            INSERT INTO tickets (id, workspace_id, number, subject, description, requester_id,
                                 status, priority, version, updated_at)
            SELECT gen_random_uuid(), $1, n, 'Subject' || n % 997,
                   'Words' || n || repeat(' of the lamp that does not work ' || md5(n::text), 8),
                   $2,
                   (ARRAY['OPEN', 'PENDING', 'RESOLVED', 'CLOSED'])[n % 4 + 1], 'NORMAL', 1,
                   relevo_now() - make_interval(secs => n)
            FROM generate_series(1, $3) n
            """,
            each.id,
            requester.id,
            size,
        )
    tag_id = await a_tag(workspace)
    await fetch(
        """
        INSERT INTO ticket_tags (workspace_id, ticket_id, tag_id)
        SELECT workspace_id, id, $2 FROM tickets WHERE workspace_id = $1 ORDER BY id LIMIT 20
        """,
        workspace.id,
        tag_id,
    )
    few = await a_contact(await a_channel(workspace), sender="few")
    await fetch(
        "UPDATE tickets SET requester_id = $1 WHERE workspace_id = $2 AND number % 500 = 77",
        few.id,
        workspace.id,
    )
    await fetch("ANALYZE tickets, ticket_tags")
    return tag_id, few.id


def _parts(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield plan
    for part in plan.get("Plans", ()):
        yield from _parts(part)


def tickets_read(plan: dict[str, Any]) -> int:
    """How many tickets a plan that was run took from the table, also those that did not meet it."""
    counts = ("Actual Rows", "Rows Removed by Filter", "Rows Removed by Index Recheck")
    return sum(
        sum(part.get(name, 0) for name in counts) * part["Actual Loops"]
        for part in _parts(plan)
        if part.get("Relation Name") == "tickets"
    )


@pytest.mark.leaves_violations
async def test_no_search_reads_every_ticket(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    tag_id, few = await a_crowd(workspace, CROWD)
    rare = {
        "nothing": Filter(),
        "a number": Filter(search="1234"),
        "the beginning of a number": Filter(search="#199"),
        "a word": Filter(search="words77"),
        "the oldest's word": Filter(search=f"words{CROWD}"),
        "the beginning of words": Filter(search="subject500 wor"),
        "a word and a tag": Filter(search="words77", tag_id=tag_id),
        "a word of all and a tag": Filter(search="lamp", tag_id=tag_id),
        "a word of all and a requester": Filter(search="lamp", requester_id=few),
        "nobody's word": Filter(search="xyz"),
        "a word of all and nobody's": Filter(search="lamp xyz"),
    }
    common = {
        "a word of all": Filter(search="lamp"),
        "the beginning of a word of all": Filter(search="l"),
        "the beginning of many numbers": Filter(search="1"),
    }
    read: dict[str, int] = {}
    names = iter([*rare, *common])

    async def explained(statement: str, *arguments: object) -> list[Any]:
        rows = await fetch(f"EXPLAIN (ANALYZE, FORMAT JSON) {statement}", *arguments)
        read[next(names)] = tickets_read(json.loads(rows[0][0])[0]["Plan"])
        return []

    monkeypatch.setattr(search, "fetch", explained)
    monkeypatch.setattr(search, "FEW", FEW)
    by_change = Bounds(OrderColumn.UPDATED, size=51, descending=True)
    for one in (*rare.values(), *common.values()):
        await page(one, by_change, by=by_system(workspace))

    assert {name: read[name] for name in rare if read[name] > READ_MAX} == {}
    # Only enough of them to know that they are common.
    assert {name: read[name] for name in common if read[name] > READ_MAX + 2 * FEW} == {}


@pytest.mark.leaves_violations
async def test_a_common_word_is_found_like_a_rare_one(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is walked in order, is in the same order, and as much."""
    tag_id, few = await a_crowd(workspace, 100)
    by = by_system(workspace)
    wanted = [
        Filter(search="lamp"),
        Filter(search="1"),
        Filter(search="lamp", tag_id=tag_id),
        Filter(search="l", requester_id=few),
        Filter(search="xyz"),
    ]
    third = await Ticket.get(workspace_id=workspace.id, number=3)
    bounds = [
        BY_NUMBER,
        Bounds(OrderColumn.UPDATED, size=7, descending=True),
        Bounds(OrderColumn.NUMBER, size=5, after=(3, third.id)),
    ]

    async def numbers() -> list[Any]:
        return [
            [await count(one, by=by)]
            + [[row["number"] for row in await page(one, each, by=by)] for each in bounds]
            for one in wanted
        ]

    rare = await numbers()
    monkeypatch.setattr(search, "FEW", 3)

    assert await numbers() == rare
    assert [one[0] for one in rare] == [100, 19, 20, 1, 0]
