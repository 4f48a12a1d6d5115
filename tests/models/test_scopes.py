"""What belongs to each subscription, what its state is, and who is shown it."""

from collections.abc import AsyncIterator
from contextlib import aclosing
from uuid import UUID

import pytest

from models import Agent, Contact, Membership, Team, Workspace, snooze
from models.access import Actor, Role
from models.base import Line
from models.closing import close
from models.decision import Availability
from models.errors import NotFound
from models.event import Kind
from models.log import Filter
from models.scope.base import Scope
from models.stream import Reader
from models.subscription import (
    Item,
    Logged,
    LogScope,
    Resumed,
    Snapshot,
    TeamScope,
    TicketScope,
    subscribe,
)
from models.team_removal import delete
from models.ticket.action import ActionKind, add_action
from models.ticket.link import link, unlink
from models.ticket.record import Ticket
from models.transfer import transfer
from tests.factories import (
    a_conversation,
    a_team,
    a_ticket,
    a_workspace,
    an_agent,
    as_agent,
    as_integration,
    by_system,
    working,
)


@pytest.fixture
async def reader(database: str) -> AsyncIterator[Reader]:
    reader = Reader()
    reader.start()
    yield reader
    await reader.stop()


async def opened(reader: Reader, scope: Scope, by: Actor) -> tuple[Snapshot, AsyncIterator[Item]]:
    items = subscribe(reader, scope, by=by)
    opening = await anext(items)
    assert isinstance(opening, Snapshot)
    return opening, items


async def kinds_until(items: AsyncIterator[Item], last: Kind) -> list[Kind]:
    """The kinds that a stream tells, up to the first of one."""
    found: list[Kind] = []
    while not found or found[-1] is not last:
        item = await anext(items)
        assert isinstance(item, Logged), item
        found.append(item.event.kind)
    return found


async def availability(agent: Agent, to: Availability) -> None:
    await Agent.set_availability(agent.id, by=as_agent(agent), availability=to)


# -- Teams


async def test_a_team_shows_its_members_as_they_are(workspace: Workspace, reader: Reader) -> None:
    first, second, stranger = [
        await an_agent(workspace, connected=place != 1) for place in range(3)
    ]
    team = await a_team(workspace, members=[second, first])
    await a_conversation(workspace, team=team, holder=first)

    opening, items = await opened(reader, TeamScope(team.id), as_agent(stranger))

    assert [(row["id"], row["load"], row["is_connected"]) for row in opening.agents] == [
        (second.id, 0, False),
        (first.id, 1, True),
    ]
    assert (opening.conversations, opening.tickets, opening.is_complete) == ([], [], True)
    await items.aclose()  # type: ignore[attr-defined]  # generators


async def test_a_team_tells_of_itself_and_of_its_members_presence_and_load(
    workspace: Workspace, reader: Reader
) -> None:
    member, stranger = await an_agent(workspace), await an_agent(workspace)
    team, elsewhere = await a_team(workspace, members=[member]), await a_team(workspace)
    boss = by_system(workspace)
    conversation = await a_conversation(workspace, team=team, holder=stranger)
    _, items = await opened(reader, TeamScope(team.id), as_agent(member))

    await availability(stranger, Availability.AWAY)
    await availability(member, Availability.AWAY)
    async with working(conversation.id, by=boss) as locked:
        await locked.assign(member.id, by=boss)
        await locked.note("A word changes no load.", by=boss)
    async with working(conversation.id, by=boss) as locked:
        await snooze.begin(locked, by=boss)
    async with working(conversation.id, by=boss) as locked:
        await close(locked, by=boss)
    await Team.change(elsewhere.id, by=boss, priority=0, name="Elsewhere")
    await Team.change(team.id, by=boss, name="Night")

    assert await kinds_until(items, Kind.TEAM_UPDATED) == [
        Kind.AGENT_AVAILABILITY_CHANGED,
        Kind.CONVERSATION_ASSIGNED,
        Kind.CONVERSATION_SNOOZED,
        Kind.CONVERSATION_CLOSED,
        Kind.TEAM_UPDATED,
    ]


async def test_a_member_belongs_from_when_it_is_added_until_it_is_removed(
    workspace: Workspace, reader: Reader
) -> None:
    team, boss = await a_team(workspace), by_system(workspace)
    agent = await an_agent(workspace)
    _, items = await opened(reader, TeamScope(team.id), boss)

    await availability(agent, Availability.AWAY)
    await Membership.add(by=boss, team=team, agent_id=agent.id)
    await availability(agent, Availability.ONLINE)
    await Membership.remove(by=boss, team=team, agent_id=agent.id)
    await availability(agent, Availability.AWAY)
    await Team.change(team.id, by=boss, name="Night")

    assert await kinds_until(items, Kind.TEAM_UPDATED) == [
        Kind.MEMBER_ADDED,
        Kind.AGENT_AVAILABILITY_CHANGED,
        Kind.MEMBER_REMOVED,
        Kind.TEAM_UPDATED,
    ]


@pytest.mark.parametrize("how", ["removed", "deleted"])
async def test_a_cursor_of_a_team_goes_on_with_whoever_belonged_to_it_then(
    workspace: Workspace, reader: Reader, how: str
) -> None:
    first, second = await an_agent(workspace), await an_agent(workspace)
    team, boss = await a_team(workspace, members=[first]), by_system(workspace)
    opening, items = await opened(reader, TeamScope(team.id), boss)
    await items.aclose()  # type: ignore[attr-defined]  # generators

    await availability(second, Availability.AWAY)
    await Membership.add(by=boss, team=team, agent_id=second.id)
    await availability(first, Availability.AWAY)
    if how == "removed":
        await Membership.remove(by=boss, team=team, agent_id=first.id)
    else:
        await delete(team.id, by=boss)
    await availability(first, Availability.ONLINE)
    await Team.change(team.id, by=boss, name="Night") if how == "removed" else None

    last = Kind.TEAM_UPDATED if how == "removed" else Kind.TEAM_DELETED
    async with aclosing(
        subscribe(reader, TeamScope(team.id), by=boss, after=opening.position.cursor())
    ) as again:
        assert isinstance(await anext(again), Resumed)
        assert await kinds_until(again, last) == [
            Kind.MEMBER_ADDED,
            Kind.AGENT_AVAILABILITY_CHANGED,
            *([Kind.MEMBER_REMOVED] if how == "removed" else []),
            last,
        ]


async def test_everybody_belongs_to_todos_until_members_are_listed(
    workspace: Workspace, reader: Reader
) -> None:
    todos = await Team.todos(workspace.id, Line.SALES)
    boss = by_system(workspace)
    first, second = await an_agent(workspace), await an_agent(workspace)
    opening, items = await opened(reader, TeamScope(todos.id), boss)
    assert [row["id"] for row in opening.agents] == [first.id, second.id]

    await availability(first, Availability.AWAY)
    await Membership.add(by=boss, team=todos, agent_id=second.id)
    await availability(first, Availability.ONLINE)
    await availability(second, Availability.AWAY)
    await Membership.remove(by=boss, team=todos, agent_id=second.id)
    await availability(first, Availability.AWAY)

    found = [await anext(items) for _ in range(5)]
    assert [
        (item.event.kind, item.event.to_agent_id) for item in found if isinstance(item, Logged)
    ] == [
        (Kind.AGENT_AVAILABILITY_CHANGED, first.id),
        (Kind.MEMBER_ADDED, second.id),
        (Kind.AGENT_AVAILABILITY_CHANGED, second.id),
        (Kind.MEMBER_REMOVED, None),
        (Kind.AGENT_AVAILABILITY_CHANGED, first.id),
    ]


# -- Tickets


async def a_linked_ticket(workspace: Workspace, team: Team) -> tuple[Ticket, UUID]:
    """A ticket that is seen by way of one conversation only."""
    conversation = await a_conversation(workspace, team=team)
    contact = await Contact.add(by=by_system(workspace), name="Somebody else")
    ticket = await a_ticket(contact)
    await linked(conversation.id, ticket, workspace)
    return ticket, conversation.id


async def linked(conversation_id: UUID, ticket: Ticket, workspace: Workspace) -> None:
    async with working(conversation_id, by=by_system(workspace)) as conversation:
        await link(conversation, ticket.id, by=by_system(workspace))


async def test_a_ticket_shows_what_it_is_and_tells_what_is_done_about_it(
    workspace: Workspace, reader: Reader
) -> None:
    team, boss = await a_team(workspace, line=Line.SUPPORT), by_system(workspace)
    ticket, conversation_id = await a_linked_ticket(workspace, team)
    another = await a_ticket(await Contact.get(id=ticket.requester_id))
    opening, items = await opened(reader, TicketScope(ticket.id), boss)
    assert [(row["id"], row["number"]) for row in opening.tickets] == [(ticket.id, 1)]

    await Ticket.change(another.id, by=boss, subject="Another")
    await Ticket.change(ticket.id, by=boss, subject="It is dark")
    await add_action(ticket.id, "Changed the bulb.", kind=ActionKind.PUBLIC, by=boss)
    # The link moves to another ticket, then back, then nowhere.
    await linked(conversation_id, another, workspace)
    await linked(conversation_id, ticket, workspace)
    async with working(conversation_id, by=boss) as conversation:
        await unlink(conversation, by=boss)

    assert await kinds_until(items, Kind.TICKET_UNLINKED) == [
        Kind.TICKET_UPDATED,
        Kind.TICKET_ACTION_ADDED,
        Kind.TICKET_LINKED,
        Kind.TICKET_LINKED,
        Kind.TICKET_UNLINKED,
    ]


@pytest.mark.parametrize("how", ["transferred", "unlinked", "relinked"])
async def test_a_ticket_ends_when_what_showed_it_is_out_of_sight(
    workspace: Workspace, reader: Reader, how: str
) -> None:
    team = await a_team(workspace, line=Line.SUPPORT)
    elsewhere = await a_team(workspace, line=Line.SUPPORT)
    agent, boss = await an_agent(workspace, teams=[team]), by_system(workspace)
    ticket, conversation_id = await a_linked_ticket(workspace, team)
    _, items = await opened(reader, TicketScope(ticket.id), as_agent(agent))
    await Ticket.change(ticket.id, by=boss, subject="It is dark")

    if how == "transferred":
        await transfer(conversation_id, by=boss, to_team=elsewhere.id)
    elif how == "unlinked":
        async with working(conversation_id, by=boss) as conversation:
            await unlink(conversation, by=boss)
    else:
        another = await a_ticket(await Contact.get(id=ticket.requester_id))
        await linked(conversation_id, another, workspace)
    await Ticket.change(ticket.id, by=boss, subject="It is light")

    rest = [item async for item in items]
    assert [item.event.kind for item in rest if isinstance(item, Logged)] == [Kind.TICKET_UPDATED]


async def test_a_ticket_seen_in_two_ways_goes_on_when_one_is_lost(
    workspace: Workspace, reader: Reader
) -> None:
    team = await a_team(workspace, line=Line.SUPPORT)
    agent, boss = await an_agent(workspace, teams=[team]), by_system(workspace)
    ticket, conversation_id = await a_linked_ticket(workspace, team)
    _, items = await opened(reader, TicketScope(ticket.id), as_agent(agent))

    await Ticket.change(ticket.id, by=boss, assignee_id=agent.id)
    assert await kinds_until(items, Kind.TICKET_UPDATED)
    async with working(conversation_id, by=boss) as conversation:
        await unlink(conversation, by=boss)
    assert await kinds_until(items, Kind.TICKET_UNLINKED)
    await Ticket.change(ticket.id, by=boss, subject="It is light")
    await Ticket.change(ticket.id, by=boss, assignee_id=None)

    rest = [item async for item in items]
    assert [item.event.kind for item in rest if isinstance(item, Logged)] == [Kind.TICKET_UPDATED]


# -- The log


async def test_the_log_is_told_as_far_as_the_filter_holds(
    workspace: Workspace, reader: Reader
) -> None:
    team, boss = await a_team(workspace), by_system(workspace)
    agent = await an_agent(workspace, teams=[team])
    conversation = await a_conversation(workspace, team=team)
    wanted = Filter(kinds=[Kind.NOTE_ADDED, Kind.CONVERSATION_ASSIGNED], queue_id=team.id)
    opening, items = await opened(reader, LogScope(wanted), boss)
    assert (opening.conversations, opening.agents, opening.tickets) == ([], [], [])

    await a_conversation(workspace, team=team)
    async with working(conversation.id, by=boss) as locked:
        await locked.note("Hm.", by=boss)
        await locked.assign(agent.id, by=boss)
        await locked.note("Not in the queue any more.", by=boss)

    assert await kinds_until(items, Kind.CONVERSATION_ASSIGNED) == [
        Kind.NOTE_ADDED,
        Kind.CONVERSATION_ASSIGNED,
    ]


@pytest.mark.parametrize(
    ("role", "may"),
    [(role, role is not Role.AGENT) for role in Role if role is not Role.INTEGRATION],
)
async def test_who_may_read_the_log_may_follow_it(
    workspace: Workspace, reader: Reader, role: Role, may: bool
) -> None:
    items = subscribe(reader, LogScope(), by=as_agent(await an_agent(workspace, role=role)))

    if may:
        assert isinstance(await anext(items), Snapshot)
        await items.aclose()
    else:
        with pytest.raises(NotFound):
            await anext(items)


async def test_an_agent_follows_its_own_part_of_the_log_and_nobody_elses(
    workspace: Workspace, reader: Reader
) -> None:
    agent, peer = await an_agent(workspace), await an_agent(workspace)
    conversation = await a_conversation(workspace, holder=peer)
    by = as_agent(agent)
    _, items = await opened(reader, LogScope(Filter().within_sight(by)), by)

    async with working(conversation.id, by=by_system(workspace)) as locked:
        await locked.note("Not its own.", by=by_system(workspace))
    await availability(peer, Availability.AWAY)
    async with working(conversation.id, by=by) as locked:
        await locked.note("Of what another holds.", by=by)
    await availability(agent, Availability.AWAY)

    assert await kinds_until(items, Kind.AGENT_AVAILABILITY_CHANGED) == [
        Kind.NOTE_ADDED,
        Kind.AGENT_AVAILABILITY_CHANGED,
    ]
    with pytest.raises(NotFound):
        await anext(subscribe(reader, LogScope(Filter(own_of=peer.id)), by=by))


@pytest.mark.parametrize("name", ["team", "ticket"])
async def test_of_another_workspace_nothing_is_found(
    workspace: Workspace, reader: Reader, name: str
) -> None:
    rival = await an_agent(await a_workspace("Rival"), role=Role.ADMIN)
    team = await a_team(workspace)
    ticket, _ = await a_linked_ticket(workspace, team)
    scope = {"team": TeamScope(team.id), "ticket": TicketScope(ticket.id)}[name]

    with pytest.raises(NotFound):
        await anext(subscribe(reader, scope, by=as_agent(rival)))


async def test_a_token_without_the_scope_sees_no_team(workspace: Workspace, reader: Reader) -> None:
    team = await a_team(workspace)

    with pytest.raises(NotFound):
        await anext(
            subscribe(reader, TeamScope(team.id), by=as_integration(workspace, "contacts:read"))
        )
