"""Linking conversations to tickets, and what customers propose."""

from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from models import Agent, Contact, Conversation, Ticket, Workspace
from models.access import Actor
from models.closing import close
from models.conversation import TicketLink
from models.errors import (
    ConversationClosed,
    DomainError,
    Forbidden,
    NotFound,
)
from models.event import Kind
from models.log import read
from models.team import Team
from models.ticket import link
from models.ticket.errors import (
    AlreadyLinked,
    TicketLinkNotProposed,
    TicketLinkPending,
    TicketNotLinked,
)
from models.ticket.link import propose_by_id
from tests.conftest import Clock
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

Linked = tuple[object, TicketLink | None]


class Desk:
    """An agent who holds a conversation, and two tickets of its customer."""

    agent: Agent
    team: Team
    conversation: Conversation
    one: Ticket
    other: Ticket

    @property
    def by(self) -> Actor:
        return as_agent(self.agent)

    async def do(self, verb: Callable[..., Awaitable[None]], *arguments: Any) -> Linked:
        """A verb of the conversation by its agent; returns what it has then."""
        async with working(self.conversation.id, by=self.by) as conversation:
            await verb(conversation, *arguments, by=self.by)
        return await self.linked()

    async def linked(self) -> Linked:
        kept = await Conversation.get(id=self.conversation.id)
        return kept.ticket_id, kept.ticket_link

    async def close(self) -> None:
        async with working(self.conversation.id, by=self.by) as conversation:
            await close(conversation, by=self.by)


@pytest.fixture
async def desk(workspace: Workspace) -> Desk:
    desk = Desk()
    desk.team = await a_team(workspace)
    desk.agent = await an_agent(workspace, teams=[desk.team])
    desk.conversation = await a_conversation(workspace, team=desk.team, holder=desk.agent)
    requester = await Contact.get(id=desk.conversation.contact_id)
    desk.one = await a_ticket(requester)
    desk.other = await a_ticket(requester)
    return desk


async def test_a_link_by_who_works_the_conversation_counts_at_once(desk: Desk) -> None:
    assert await desk.do(link.link, desk.one.id) == (desk.one.id, TicketLink.CONFIRMED)


async def test_a_conversation_is_linked_again_until_it_closes(desk: Desk) -> None:
    await desk.do(link.link, desk.one.id)

    assert await desk.do(link.link, desk.other.id) == (desk.other.id, TicketLink.CONFIRMED)
    await desk.close()
    with pytest.raises(ConversationClosed):
        async with working(desk.conversation.id, by=by_system_of(desk)) as conversation:
            await link.link(conversation, desk.one.id, by=by_system_of(desk))


async def test_a_proposal_does_not_count_until_it_is_confirmed(desk: Desk) -> None:
    assert await desk.do(link.propose, desk.one.id) == (desk.one.id, TicketLink.PROPOSED)

    assert await desk.do(link.confirm) == (desk.one.id, TicketLink.CONFIRMED)


async def test_a_second_proposal_replaces_the_first(desk: Desk) -> None:
    await desk.do(link.propose, desk.one.id)

    assert await desk.do(link.propose, desk.other.id) == (desk.other.id, TicketLink.PROPOSED)


async def test_what_is_rejected_or_unlinked_is_linked_no_more(desk: Desk) -> None:
    await desk.do(link.propose, desk.one.id)
    assert await desk.do(link.reject) == (None, None)

    await desk.do(link.link, desk.one.id)
    assert await desk.do(link.unlink) == (None, None)


async def test_linking_what_is_proposed_confirms_it(desk: Desk) -> None:
    await desk.do(link.propose, desk.one.id)

    assert await desk.do(link.link, desk.one.id) == (desk.one.id, TicketLink.CONFIRMED)


@pytest.mark.parametrize(
    ("before", "refused", "error", "names"),
    [
        ("link", "link", AlreadyLinked, True),
        ("link", "propose", AlreadyLinked, True),
        ("propose", "propose", AlreadyLinked, True),
        ("propose", "unlink", TicketLinkPending, True),
        ("link", "confirm", TicketLinkNotProposed, False),
        ("link", "reject", TicketLinkNotProposed, False),
        (None, "confirm", TicketLinkNotProposed, False),
        (None, "reject", TicketLinkNotProposed, False),
        (None, "unlink", TicketNotLinked, False),
    ],
)
async def test_links_are_refused_where_they_make_no_sense(
    desk: Desk, before: str | None, refused: str, error: type[DomainError], *, names: bool
) -> None:
    if before:
        await desk.do(getattr(link, before), desk.one.id)
    as_it_was = await desk.linked()
    arguments = [desk.one.id] if refused in ("link", "propose") else []

    with pytest.raises(error) as refusal:
        await desk.do(getattr(link, refused), *arguments)

    assert refusal.value.facts == ({"ticketId": desk.one.id} if names else {})
    assert await desk.linked() == as_it_was


@pytest.mark.parametrize("verb", ["link", "propose", "confirm", "reject", "unlink"])
async def test_a_closed_conversation_keeps_its_ticket(desk: Desk, verb: str) -> None:
    await desk.do(link.link, desk.one.id)
    await desk.close()
    arguments = [desk.other.id] if verb in ("link", "propose") else []

    with pytest.raises(ConversationClosed):
        await desk.do(getattr(link, verb), *arguments)

    assert await desk.linked() == (desk.one.id, TicketLink.CONFIRMED)


async def test_links_are_events_that_say_which_ticket_and_which_before(
    workspace: Workspace, desk: Desk
) -> None:
    for verb, *arguments in (
        (link.propose, desk.one.id),
        (link.propose, desk.other.id),
        (link.confirm,),
        (link.link, desk.one.id),
        (link.unlink,),
        (link.propose, desk.other.id),
        (link.reject,),
    ):
        await desk.do(verb, *arguments)

    log = await read(workspace.id, 0)
    told = [(it.kind, it.ticket_id, it.data.get("from_ticket")) for it in log[-7:]]
    one, other = desk.one.id, desk.other.id
    assert told == [
        (Kind.TICKET_LINK_PROPOSED, one, None),
        (Kind.TICKET_LINK_PROPOSED, other, str(one)),
        (Kind.TICKET_LINK_CONFIRMED, other, None),
        (Kind.TICKET_LINKED, one, str(other)),
        (Kind.TICKET_UNLINKED, one, None),
        (Kind.TICKET_LINK_PROPOSED, other, None),
        (Kind.TICKET_LINK_REJECTED, other, None),
    ]
    assert {it.conversation_id for it in log[-7:]} == {desk.conversation.id}


@pytest.mark.parametrize("verb", ["link", "propose", "confirm", "reject", "unlink"])
async def test_links_are_activity_of_a_new_version(desk: Desk, clock: Clock, verb: str) -> None:
    if verb in ("confirm", "reject"):
        await desk.do(link.propose, desk.one.id)
    if verb == "unlink":
        await desk.do(link.link, desk.one.id)
    before = await Conversation.get(id=desk.conversation.id)
    await clock.travel(hours=1)

    await desk.do(getattr(link, verb), *([desk.one.id] if verb in ("link", "propose") else []))

    after = await Conversation.get(id=desk.conversation.id)
    assert after.version == before.version + 1
    assert (after.last_activity_at - before.last_activity_at).total_seconds() >= 3_600


async def test_only_who_works_a_conversation_links_it(workspace: Workspace, desk: Desk) -> None:
    colleague = as_agent(await an_agent(workspace, teams=[desk.team]))

    for verb in (link.link, link.propose):
        with pytest.raises(Forbidden):
            async with working(desk.conversation.id, by=colleague) as conversation:
                await verb(conversation, desk.one.id, by=colleague)


async def test_an_agent_links_tickets_that_it_sees(workspace: Workspace, desk: Desk) -> None:
    elsewhere = await a_conversation(workspace, team=await a_team(workspace))
    unseen = await a_ticket(await Contact.get(id=elsewhere.contact_id))
    stranger = await a_conversation(await a_workspace("Other"))
    strangers = await a_ticket(await Contact.get(id=stranger.contact_id))

    for ticket in (unseen, strangers):
        for verb in (link.link, link.propose):
            with pytest.raises(NotFound) as refused:
                await desk.do(verb, ticket.id)
            assert refused.value.path == "input.ticketId"


async def test_a_number_that_nobody_has_is_refused_like_one_that_the_agent_does_not_see(
    workspace: Workspace, desk: Desk
) -> None:
    elsewhere = await a_conversation(workspace, team=await a_team(workspace))
    unseen = await a_ticket(await Contact.get(id=elsewhere.contact_id))

    refusals = []
    for number in (unseen.number, 99):
        with pytest.raises(NotFound) as refused:
            await propose_by_id(desk.conversation.id, by=desk.by, number=number)
        refusals.append((refused.value.path, refused.value.message))

    assert refusals[0] == refusals[1]
    assert refusals[0][0] == "input.number"


async def test_whoever_feeds_messages_in_proposes_what_the_customer_names(
    workspace: Workspace, desk: Desk
) -> None:
    bot = as_integration(workspace, "messages:receive")

    await propose_by_id(desk.conversation.id, by=bot, number=desk.other.number)

    assert await desk.linked() == (desk.other.id, TicketLink.PROPOSED)
    with pytest.raises(NotFound) as refused:
        await propose_by_id(desk.conversation.id, by=bot, number=99)
    assert refused.value.path == "input.number"
    with pytest.raises(Forbidden):
        async with working(desk.conversation.id, by=desk.by) as conversation:
            await link.confirm(conversation, by=bot)


def by_system_of(desk: Desk) -> Actor:
    return Actor.system(desk.agent.workspace_id)


async def test_a_system_links_for_everybody(workspace: Workspace, desk: Desk) -> None:
    async with working(desk.conversation.id, by=by_system(workspace)) as conversation:
        await link.link(conversation, desk.one.id, by=by_system(workspace))

        assert (conversation.ticket_id, conversation.ticket_link) == (
            desk.one.id,
            TicketLink.CONFIRMED,
        )
