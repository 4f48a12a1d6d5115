"""What stands against closing a conversation, and what its closing leaves on a ticket."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from typing import Any
from uuid import UUID, uuid4

import pytest
from asyncpg.connection import Connection

from models import Agent, Channel, ClosingReason, Closure, Conversation, Team, Ticket, Workspace
from models.access import Actor, ActorKind
from models.base import IdlePeriod, Line
from models.closing import Closed, close, close_automatically, obstacles
from models.closure import Cause
from models.conversation import Status, TicketLink
from models.database import Row, fetch, fetchval, retrying, tx
from models.errors import DomainError, Forbidden, RuleViolation
from models.event import Kind
from models.idle import close_idle
from models.line_change import set_line
from models.reopening import reopen
from models.ticket.at_closing import TicketAtClosing
from models.ticket.link import link, propose
from models.ticket.record import TicketStatus
from models.transfer import transfer
from tests.conftest import Clock
from tests.factories import (
    A_TICKET,
    a_channel,
    a_conversation,
    a_message,
    a_team,
    a_ticket,
    an_agent,
    as_agent,
    as_integration,
    by_system,
    working,
)

BATCH = 100


@dataclass
class Desk:
    """A group and a department on one account, and an agent of both who holds a conversation of
    the department, and one of the group.
    """

    workspace: Workspace
    group: Team
    department: Team
    ann: Agent
    channel: Channel
    support: Conversation
    sales: Conversation

    @property
    def by(self) -> Actor:
        return as_agent(self.ann)

    async def closed(self, conversation: Conversation, **how: Any) -> Closed:
        """Close it as its agent does, unless told otherwise."""
        by = how.pop("by", self.by)
        async with working(conversation.id, by=by) as locked:
            return await close(locked, by=by, **how)

    async def a_ticket(self) -> Ticket:
        contact = await self.support.contact
        return await a_ticket(contact)

    async def linked(self, conversation: Conversation, *, is_proposed: bool = False) -> Ticket:
        ticket = await self.a_ticket()
        by = by_system(self.workspace)
        async with working(conversation.id, by=by) as locked:
            await (propose if is_proposed else link)(locked, ticket.id, by=by)
        return ticket

    async def missing(self, conversation: Conversation, **how: Any) -> list[str]:
        """The codes of what would stand against closing it."""
        by = how.pop("by", self.by)
        found = await Conversation.get(id=conversation.id)
        return [refusal.code for refusal in await obstacles(found, by=by, **how)]


@pytest.fixture
async def desk(workspace: Workspace) -> Desk:
    group, department = await a_team(workspace), await a_team(workspace, line=Line.SUPPORT)
    ann = await an_agent(workspace, teams=[group, department])
    channel = await a_channel(workspace, team=department)
    sales_channel = await a_channel(workspace, team=group)
    return Desk(
        workspace,
        group,
        department,
        ann,
        channel,
        support=await a_conversation(workspace, channel=channel, holder=ann, sender="ada"),
        sales=await a_conversation(workspace, channel=sales_channel, holder=ann),
    )


async def actions() -> list[Row]:
    return await fetch("SELECT * FROM ticket_actions ORDER BY created_at, id")


async def texts(action: Row) -> list[str]:
    """What an action has of its conversation."""
    rows = await fetch(
        """
        SELECT text FROM messages
        WHERE conversation_id = $1 AND created_at > coalesce($2::timestamptz, '-infinity')
          AND created_at <= $3 ORDER BY created_at
        """,
        action["conversation_id"],
        action["messages_after"],
        action["messages_until"],
    )
    return [row["text"] for row in rows]


async def kinds(conversation_id: UUID) -> list[str]:
    rows = await fetch(
        "SELECT kind FROM events WHERE conversation_id = $1 ORDER BY seq", conversation_id
    )
    return [row["kind"] for row in rows]


# -- What stands against it


async def test_support_closes_with_a_ticket_only(desk: Desk) -> None:
    with pytest.raises(RuleViolation) as refused:
        await desk.closed(desk.support)
    closed = await desk.closed(desk.sales)

    assert (refused.value.code, refused.value.path) == ("TICKET_REQUIRED", "input.ticket")
    assert (await Conversation.get(id=desk.support.id)).status is Status.ASSIGNED
    assert (closed.ticket_id, closed.action_id) == (None, None)


async def to_sales(desk: Desk) -> None:
    await set_line(desk.support.id, Line.SALES, by=desk.by)


async def to_a_group(desk: Desk) -> None:
    await transfer(desk.support.id, by=by_system(desk.workspace), to_team=desk.group.id)


async def there_and_back_while_held(desk: Desk) -> None:
    for line in (Line.SUPPORT, Line.SALES):
        await set_line(desk.sales.id, line, by=desk.by)


@pytest.mark.parametrize("evade", [to_sales, to_a_group, there_and_back_while_held])
async def test_what_was_ever_assigned_on_support_stays_under_its_rule(
    desk: Desk, evade: Callable[[Desk], Awaitable[None]]
) -> None:
    await evade(desk)
    conversation = desk.sales if evade is there_and_back_while_held else desk.support

    found = await Conversation.get(id=conversation.id)
    assert found.line is Line.SALES
    assert await desk.missing(found, by=by_system(desk.workspace)) == ["TICKET_REQUIRED"]


async def test_what_only_waited_for_support_is_not_under_its_rule(desk: Desk) -> None:
    by = by_system(desk.workspace)
    waiting = await a_conversation(desk.workspace, channel=desk.channel)
    before = await desk.missing(waiting, by=by)

    await set_line(waiting.id, Line.SALES, by=by)

    assert (before, await desk.missing(waiting, by=by)) == (["TICKET_REQUIRED"], [])


async def test_a_proposed_link_does_not_count(desk: Desk) -> None:
    ticket = await desk.linked(desk.support, is_proposed=True)

    with pytest.raises(RuleViolation) as refused:
        await desk.closed(desk.support)

    assert refused.value.code == "TICKET_LINK_PENDING"
    assert refused.value.facts == {"ticketId": ticket.id}


async def test_closing_a_sale_rejects_what_is_only_proposed(desk: Desk) -> None:
    ticket = await desk.linked(desk.sales, is_proposed=True)

    await desk.closed(desk.sales)

    found = await Conversation.get(id=desk.sales.id)
    assert (found.ticket_id, found.ticket_link) == (None, None)
    assert (await kinds(found.id))[-2:] == [Kind.TICKET_LINK_REJECTED, Kind.CONVERSATION_CLOSED]
    told = await fetchval("SELECT ticket_id FROM events WHERE kind = 'TICKET_LINK_REJECTED'")
    assert told == ticket.id
    assert await actions() == []


@pytest.mark.parametrize(
    ("settings", "given", "missing"),
    [
        ({}, {}, []),
        ({"closing_reason_required": True}, {}, ["CLOSING_REASON_REQUIRED"]),
        ({"closing_reason_required": True}, {"reason_id": "offered"}, []),
        ({}, {"reason_id": "retired"}, ["CLOSING_REASON_INACTIVE"]),
        ({}, {"reason_id": "unknown"}, ["NOT_FOUND"]),
        ({"summary_required": True}, {}, ["SUMMARY_REQUIRED"]),
        ({"summary_required": True}, {"summary": " \n"}, ["SUMMARY_REQUIRED"]),
        ({"summary_required": True}, {"summary": "Sold."}, []),
        (
            {"closing_reason_required": True, "summary_required": True},
            {},
            ["CLOSING_REASON_REQUIRED", "SUMMARY_REQUIRED"],
        ),
    ],
)
@pytest.mark.parametrize("who", ["its agent", "an integration"])
async def test_whoever_closes_gives_the_reason_and_the_summary_that_are_asked_for(
    desk: Desk, settings: dict[str, bool], given: dict[str, str], missing: list[str], who: str
) -> None:
    await Workspace.change(by=by_system(desk.workspace), **settings)
    how: dict[str, Any] = dict(given)
    if "reason_id" in how:
        reason = await ClosingReason.add(by=by_system(desk.workspace), name="Sold")
        if how["reason_id"] == "retired":
            await ClosingReason.change(reason.id, by=by_system(desk.workspace), is_active=False)
        how["reason_id"] = uuid4() if how["reason_id"] == "unknown" else reason.id
    if who == "an integration":
        how["by"] = as_integration(desk.workspace, "conversations:write")

    assert await desk.missing(desk.sales, **how) == missing
    if missing:
        with pytest.raises(RuleViolation) as refused:
            await desk.closed(desk.sales, **how)
        assert refused.value.code == missing[0]
    else:
        await desk.closed(desk.sales, **how)


async def test_everything_that_is_missing_is_told_at_once(desk: Desk) -> None:
    await Workspace.change(
        by=by_system(desk.workspace), closing_reason_required=True, summary_required=True
    )
    ben = await an_agent(desk.workspace, teams=[desk.department])

    missing = await desk.missing(desk.support, by=as_agent(ben))

    assert missing == [
        "CONVERSATION_NOT_HELD",
        "TICKET_REQUIRED",
        "CLOSING_REASON_REQUIRED",
        "SUMMARY_REQUIRED",
    ]


async def test_of_a_closed_one_nothing_is_missing_but_that_it_is_open(desk: Desk) -> None:
    await desk.closed(desk.sales)
    await Workspace.change(by=by_system(desk.workspace), summary_required=True)

    assert await desk.missing(desk.sales) == ["CONVERSATION_CLOSED"]


# -- The ticket that comes with it


async def test_the_ticket_can_be_created_with_the_closing(desk: Desk) -> None:
    closed = await desk.closed(desk.support, ticket=A_TICKET)

    ticket = await Ticket.get(id=closed.ticket_id)
    assert (ticket.number, ticket.subject, ticket.requester_id, ticket.opened_by_id) == (
        1,
        "The light is out",
        desk.support.contact_id,
        desk.ann.id,
    )
    assert (await kinds(desk.support.id))[-3:] == [
        Kind.TICKET_LINKED,
        Kind.CONVERSATION_CLOSED,
        Kind.TICKET_ACTION_ADDED,
    ]


@pytest.mark.parametrize("was", ["free", "proposed", "linked to another", "linked to it"])
async def test_an_existing_ticket_can_be_linked_with_the_closing(desk: Desk, was: str) -> None:
    ticket = await desk.a_ticket()
    if was != "free":
        before = await desk.linked(desk.support, is_proposed=was == "proposed")
        ticket = before if was == "linked to it" else ticket

    closed = await desk.closed(desk.support, ticket=TicketAtClosing(link=ticket.id))

    found = await Conversation.get(id=desk.support.id)
    assert closed.ticket_id == ticket.id
    assert (found.ticket_id, found.ticket_link) == (ticket.id, TicketLink.CONFIRMED)
    assert [action["ticket_id"] for action in await actions()] == [ticket.id]


async def test_the_linked_ticket_can_be_changed_with_the_closing(desk: Desk) -> None:
    ticket = await desk.linked(desk.support)
    changes = {"status": TicketStatus.RESOLVED, "assignee_id": desk.ann.id}

    closed = await desk.closed(desk.support, ticket=TicketAtClosing(change=changes))

    changed = await Ticket.get(id=ticket.id)
    assert (closed.ticket_id, changed.status) == (ticket.id, TicketStatus.RESOLVED)
    assert changed.assignee_id == desk.ann.id


@pytest.mark.parametrize(
    ("was", "code"), [("free", "TICKET_NOT_LINKED"), ("proposed", "TICKET_LINK_PENDING")]
)
async def test_only_a_linked_ticket_is_changed_with_the_closing(
    desk: Desk, was: str, code: str
) -> None:
    if was == "proposed":
        await desk.linked(desk.sales, is_proposed=True)

    with pytest.raises(RuleViolation) as refused:
        await desk.closed(desk.sales, ticket=TicketAtClosing(change={"subject": "Dark"}))

    assert refused.value.code == code
    assert (await Conversation.get(id=desk.sales.id)).is_open


async def test_what_refuses_the_closing_leaves_no_ticket(desk: Desk) -> None:
    await Workspace.change(by=by_system(desk.workspace), summary_required=True)

    with pytest.raises(RuleViolation):
        await desk.closed(desk.support, ticket=A_TICKET)

    assert not await Ticket.exists()
    after = await desk.closed(desk.support, ticket=A_TICKET, summary="A new bulb.")
    assert (await Ticket.get(id=after.ticket_id)).number == 1


async def test_a_script_needs_its_own_right_for_the_ticket(desk: Desk) -> None:
    script = as_integration(desk.workspace, "conversations:write")
    with pytest.raises(RuleViolation) as refused:
        await desk.closed(desk.support, by=script)
    with pytest.raises(Forbidden):
        await desk.closed(desk.support, by=script, ticket=A_TICKET)

    both = as_integration(desk.workspace, "conversations:write", "tickets:write")
    await desk.closed(desk.support, by=both, ticket=A_TICKET, on_behalf_of=desk.ann.id)

    assert refused.value.code == "TICKET_REQUIRED"
    [action] = await actions()
    assert (action["author_kind"], action["author_id"]) == (ActorKind.AGENT, desk.ann.id)


# -- The history on the ticket


async def test_closing_adds_what_was_said_and_closing_again_only_what_is_new(
    desk: Desk, clock: Clock
) -> None:
    ticket = await desk.linked(desk.support)
    first = await desk.closed(desk.support)
    async with working(desk.support.id, by=desk.by) as closed:
        await closed.note("Said while it was closed.", by=desk.by)
    await reopen(desk.support.id, by=desk.by)
    async with working(desk.support.id, by=desk.by) as again:
        await again.send("Better?", by=desk.by)
    second = await desk.closed(desk.support)

    earlier, later = await actions()
    assert [earlier["id"], later["id"]] == [first.action_id, second.action_id]
    assert [earlier["closure_id"], later["closure_id"]] == [first.closure_id, second.closure_id]
    assert {earlier["ticket_id"], later["ticket_id"]} == {ticket.id}
    assert (earlier["messages_after"], later["messages_after"]) == (
        None,
        earlier["messages_until"],
    )
    assert await texts(earlier) == ["Hello?"]
    assert await texts(later) == ["Said while it was closed.", "Better?"]
    touched = await Ticket.get(id=ticket.id)
    # Nobody changed what it says.
    assert (touched.version, touched.updated_at > ticket.updated_at) == (ticket.version, True)


@pytest.mark.parametrize("seconds_back", [0, 5])
async def test_each_message_is_in_one_part_though_no_time_passes_or_it_goes_back(
    desk: Desk, clock: Clock, seconds_back: int
) -> None:
    await clock.stop()
    await clock.travel(seconds=5)
    for text in ("One", "Two"):
        async with working(desk.support.id, by=desk.by) as said:
            await said.send(text, by=desk.by)
    await clock.travel(seconds=-seconds_back)
    await desk.closed(desk.support, ticket=A_TICKET)
    await clock.travel(seconds=-seconds_back)
    await reopen(desk.support.id, by=desk.by)
    async with working(desk.support.id, by=desk.by) as again:
        await again.send("Three", by=desk.by)
    between = await texts((await actions())[0])
    await desk.closed(desk.support)
    await reopen(desk.support.id, by=desk.by)
    await desk.closed(desk.support)

    parts = [await texts(action) for action in sorted(await actions(), key=_place)]
    assert between == ["Hello?", "One", "Two"]
    assert parts == [["Hello?", "One", "Two"], ["Three"], []]


def _place(action: Row) -> tuple[object, bool, object]:
    after = action["messages_after"]
    return (action["messages_until"], after is not None, after or action["messages_until"])


async def test_the_new_part_goes_to_the_ticket_that_it_has_by_then(desk: Desk) -> None:
    await desk.closed(desk.sales)
    await reopen(desk.sales.id, by=desk.by)
    first = await desk.linked(desk.sales)
    await desk.closed(desk.sales)
    await reopen(desk.sales.id, by=desk.by)
    second = await desk.linked(desk.sales)
    await desk.closed(desk.sales)

    earlier, later = await actions()
    assert [earlier["ticket_id"], later["ticket_id"]] == [first.id, second.id]
    assert (await texts(earlier), await texts(later)) == (["Hello?"], [])


async def test_an_action_never_changes(desk: Desk) -> None:
    await desk.closed(desk.support, ticket=A_TICKET)

    for change in ("UPDATE ticket_actions SET author_id = NULL", "DELETE FROM ticket_actions"):
        with pytest.raises(Exception, match="never change"):
            await fetch(change)


async def test_the_action_is_told_with_its_ticket_and_conversation(desk: Desk) -> None:
    closed = await desk.closed(desk.support, ticket=A_TICKET)

    [told] = await fetch("SELECT * FROM events WHERE kind = 'TICKET_ACTION_ADDED'")
    assert (told["ticket_id"], told["conversation_id"]) == (closed.ticket_id, desk.support.id)
    assert (told["from_agent_id"], told["to_agent_id"], told["to_team_id"]) == (
        None,
        None,
        desk.department.id,
    )


async def test_concurrent_closings_add_one_action_each(desk: Desk) -> None:
    """Many conversations of one ticket, each closed by several at once."""
    ticket = await desk.a_ticket()
    by = by_system(desk.workspace)
    ids = []
    for _ in range(4):
        conversation = await a_conversation(desk.workspace, channel=desk.channel)
        async with working(conversation.id, by=by) as locked:
            await link(locked, ticket.id, by=by)
        ids.append(conversation.id)

    async def one(id: UUID) -> str | None:
        async def command() -> None:
            async with working(id, by=by) as locked:
                await close(locked, by=by)

        try:
            await retrying(command)
        except DomainError as refusal:
            return refusal.code
        return None

    outcomes = await asyncio.gather(*[one(id) for id in (*ids, *reversed(ids), *ids)])

    assert sorted(filter(None, outcomes)) == ["CONVERSATION_CLOSED"] * 8
    assert sorted(action["conversation_id"] for action in await actions()) == sorted(ids)
    assert (await Ticket.get(id=ticket.id)).version == ticket.version


# -- Closing that nobody does


async def idle_in_a_day(workspace: Workspace) -> None:
    await Workspace.filter(id=workspace.id).update(idle_period_days=IdlePeriod.ONE_DAY)


async def test_what_goes_quiet_gets_a_ticket_of_its_contact_where_one_is_asked_for(
    desk: Desk, clock: Clock
) -> None:
    await idle_in_a_day(desk.workspace)
    await Workspace.change(
        by=by_system(desk.workspace), closing_reason_required=True, summary_required=True
    )
    await clock.travel(days=1)

    assert await close_idle(BATCH) == 2

    [ticket] = await Ticket.all()
    found = await Conversation.get(id=desk.support.id)
    assert (found.ticket_id, found.ticket_link) == (ticket.id, TicketLink.CONFIRMED)
    assert (ticket.requester_id, ticket.subject, ticket.department_id, ticket.opened_by_id) == (
        desk.support.contact_id,
        "Hello?",
        desk.department.id,
        None,
    )
    [action] = await actions()
    assert (action["author_kind"], action["author_id"]) == (ActorKind.SYSTEM, None)
    assert await texts(action) == ["Hello?"]
    assert (await kinds(found.id))[-3:] == [
        Kind.TICKET_LINKED,
        Kind.CONVERSATION_CLOSED,
        Kind.TICKET_ACTION_ADDED,
    ]
    assert (await Closure.get(conversation_id=found.id)).reason_id is None


async def test_what_goes_quiet_keeps_its_ticket_and_loses_what_was_only_proposed(
    desk: Desk, clock: Clock
) -> None:
    await idle_in_a_day(desk.workspace)
    other = await a_conversation(desk.workspace, channel=desk.channel)
    kept = await desk.linked(other)
    rejected = await desk.linked(desk.support, is_proposed=True)
    dropped = await desk.linked(desk.sales, is_proposed=True)
    await clock.travel(days=1)

    assert await close_idle(BATCH) == 3

    links = {one.id: one.ticket_id for one in await Conversation.all()}
    created = await Ticket.exclude(id__in=[kept.id, rejected.id, dropped.id]).get()
    assert links == {other.id: kept.id, desk.support.id: created.id, desk.sales.id: None}
    told = await fetch("SELECT ticket_id FROM events WHERE kind = 'TICKET_LINK_REJECTED'")
    assert {row["ticket_id"] for row in told} == {rejected.id, dropped.id}


@pytest.mark.parametrize(
    ("text", "subject"),
    [
        ("The light is out.\nIn the hall.", "The light is out."),
        ("\r\n \n  Help!  \nNow.", "Help!"),
        ("é" * 300, "é" * 200),
    ],
)
async def test_the_subject_is_how_the_customer_began(
    desk: Desk, clock: Clock, text: str, subject: str
) -> None:
    await idle_in_a_day(desk.workspace)
    await a_message(desk.channel, text=text)
    await clock.travel(days=1)

    await close_idle(BATCH)

    assert (await Ticket.all().order_by("-number").first()).subject == subject


async def test_the_subject_is_of_the_opening_that_ends(desk: Desk, clock: Clock) -> None:
    by = by_system(desk.workspace)
    await fetch(
        "UPDATE conversations SET line = 'SALES', team_id = NULL WHERE id = $1", desk.support.id
    )
    await fetch("UPDATE assignments SET line = 'SALES' WHERE conversation_id = $1", desk.support.id)
    await desk.closed(desk.support)
    await reopen(desk.support.id, by=by)
    await set_line(desk.support.id, Line.SUPPORT, by=by)
    async with working(desk.support.id, by=by) as again:
        await again.send("Are you there?", by=by)
    await idle_in_a_day(desk.workspace)
    await clock.travel(days=1)

    await close_idle(BATCH)

    assert (await Ticket.get()).subject == "Ada"


async def test_a_sale_that_was_once_support_gets_a_ticket_of_no_department(
    desk: Desk, clock: Clock
) -> None:
    await idle_in_a_day(desk.workspace)
    await to_sales(desk)
    await clock.travel(days=1)

    await close_idle(BATCH)

    assert (await Ticket.get()).department_id is None


async def test_a_workflow_closes_with_what_it_says(desk: Desk) -> None:
    by = Actor.workflow(desk.workspace.id, uuid4())
    reason = await ClosingReason.add(by=by_system(desk.workspace), name="Sold")
    ids = [desk.support.id, desk.sales.id]

    async with tx() as transaction:
        await Conversation.lock_all("id = ANY($1)", ids)
        closed = await close_automatically(
            transaction, ids, Cause.WORKFLOW, by=by, reason_id=reason.id, summary="Quiet."
        )

    assert [one.ticket_id is None for one in closed] == [False, True]
    for id, one in zip(ids, closed, strict=True):
        closure = await Closure.get(id=one.closure_id)
        assert closure.conversation_id == id
        assert (closure.cause, closure.closed_by_id, closure.reason_id, closure.summary) == (
            Cause.WORKFLOW,
            by.id,
            reason.id,
            "Quiet.",
        )
    [action] = await actions()
    assert (action["author_kind"], action["author_id"]) == (ActorKind.WORKFLOW, by.id)


async def test_one_closing_of_many_costs_no_statement_of_its_own(
    desk: Desk, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    await idle_in_a_day(desk.workspace)
    for _ in range(8):
        await a_conversation(desk.workspace, channel=desk.channel)
    await clock.travel(days=1)

    few, many = [await _statements(monkeypatch, partial(close_idle, size)) for size in (3, 7)]

    assert await Ticket.all().count() == 9
    assert few == many


async def _statements(monkeypatch: pytest.MonkeyPatch, work: Callable[[], Awaitable[int]]) -> int:
    said = []
    untyped: Any = Connection
    plain = untyped._execute

    async def execute(self: Any, query: str, *args: Any, **options: Any) -> Any:
        said.append(query)
        return await plain(self, query, *args, **options)

    with monkeypatch.context() as patch:
        patch.setattr(untyped, "_execute", execute)
        await work()
    return len(said)


async def test_a_closing_a_message_and_a_sweep_at_once_end_it_once(
    desk: Desk, clock: Clock
) -> None:
    await idle_in_a_day(desk.workspace)
    await desk.linked(desk.support)
    await clock.travel(days=2)

    async def by_hand() -> None:
        async with working(desk.support.id, by=desk.by) as locked:
            await close(locked, by=desk.by)

    outcomes = await asyncio.gather(
        retrying(by_hand),
        a_message(desk.channel, sender="ada", text="Still there?"),
        close_idle(BATCH),
        a_message(desk.channel, sender="ada", text="Hello again."),
        return_exceptions=True,
    )

    refused = [one.code for one in outcomes if isinstance(one, DomainError)]
    closings = await Closure.filter(conversation_id=desk.support.id).count()
    of_it = [a for a in await actions() if a["conversation_id"] == desk.support.id]
    assert refused in ([], ["CONVERSATION_CLOSED"])
    assert len(of_it) == closings >= 1
    said = [text for action in of_it for text in await texts(action)]
    assert len(said) == len(set(said))
