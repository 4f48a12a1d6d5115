"""Two contacts that are one person, and two again: what moves, what stays, who waits for whom."""

from functools import partial
from random import Random
from typing import Any
from uuid import UUID

import pytest

from models import (
    Agent,
    Channel,
    Contact,
    ContactIdentity,
    Conversation,
    Ticket,
    Workspace,
    closing,
)
from models.access import Actor, Role
from models.base import Line
from models.conversation import Status
from models.database import Raced, fetch, retrying
from models.decision import Distribution
from models.errors import (
    BadUserInput,
    ContactMerged,
    ContactNotMerged,
    ConversationAlreadyOpen,
    Forbidden,
    LimitReached,
    NotFound,
    RuleViolation,
)
from models.event import Kind
from models.merge import merge, split
from models.owner import set_owner
from models.reopening import reopen
from models.routing import hand_off
from models.tag import tag_contact, untag_contact
from models.ticket import link
from models.ticket.creation import create
from models.verify import violations
from tests.factories import (
    A_TICKET,
    a_channel,
    a_contact,
    a_message,
    a_team,
    a_ticket,
    a_workspace,
    an_agent,
    as_agent,
    as_integration,
    by_system,
    working,
)
from tests.meeting import behind


@pytest.fixture
def by(workspace: Workspace) -> Actor:
    return by_system(workspace)


@pytest.fixture
async def shop(workspace: Workspace) -> Channel:
    return await a_channel(workspace)


@pytest.fixture
async def desk(workspace: Workspace) -> Channel:
    return await a_channel(workspace)


@pytest.fixture
async def ada(shop: Channel) -> Contact:
    """Known to the shop."""
    return await a_contact(shop, sender="ada")


@pytest.fixture
async def lovelace(desk: Channel) -> Contact:
    """The same person, known to the desk."""
    return await a_contact(desk, sender="lovelace")


async def close(id: UUID, by: Actor) -> None:
    async with working(id, by=by) as conversation:
        await closing.close(conversation, by=by)


async def written(channel: Channel, sender: str, by: Actor, *, closed: bool = False) -> UUID:
    """The conversation that somebody's message is in."""
    id = (await a_message(channel, sender=sender)).conversation_id
    if closed:
        await close(id, by)
    return id


async def owned_by(contact: Contact) -> tuple[set[UUID], set[UUID], set[str]]:
    """The conversations, identities and tags that a contact has."""
    names = await fetch(
        "SELECT t.name FROM contact_tags x JOIN tags t ON t.id = x.tag_id WHERE x.contact_id = $1",
        contact.id,
    )
    return (
        {row.id for row in await Conversation.filter(contact_id=contact.id)},
        {row.id for row in await ContactIdentity.filter(contact_id=contact.id)},
        {row["name"] for row in names},
    )


async def own(contact: Contact, whose: str, same: Agent, by: Actor) -> None:
    """Make a contact somebody's: the same agent's, another's, a team's or nobody's."""
    workspace = await Workspace.get(id=contact.workspace_id)
    owners: dict[str, dict[str, UUID]] = {
        "same": {"agent_id": same.id},
        "another": {"agent_id": (await an_agent(workspace, connected=False)).id},
        "team": {"team_id": (await a_team(workspace)).id},
        "nobody": {},
    }
    await set_owner(contact.id, by=by, **owners[whose])


async def facts(*kinds: Kind) -> list[Any]:
    return await fetch("SELECT * FROM events WHERE kind = ANY($1) ORDER BY seq", list(kinds))


async def test_the_survivor_has_what_both_had(
    ada: Contact, lovelace: Contact, shop: Channel, desk: Channel, by: Actor
) -> None:
    ids = {
        await written(shop, "ada", by),
        await written(desk, "lovelace", by),
    }
    before = [await owned_by(contact) for contact in (ada, lovelace)]
    await tag_contact(ada.id, ["VIP", "Madrid"], by=by)
    await tag_contact(lovelace.id, ["vip", "Regular"], by=by)

    await merge(survivor_id=ada.id, merged_id=lovelace.id, by=by)

    identities = before[0][1] | before[1][1]
    assert await owned_by(ada) == (ids, identities, {"VIP", "Madrid", "Regular"})
    assert (await owned_by(lovelace))[:2] == (set(), set())
    await lovelace.refresh_from_db()
    assert lovelace.merged_into_id == ada.id
    received = await a_message(desk, sender="lovelace")
    assert received.conversation_id in ids


async def test_the_survivors_details_win_and_the_others_fill_what_it_lacks(
    ada: Contact, lovelace: Contact, by: Actor
) -> None:
    await Contact.filter(id=ada.id).update(phone="1", field_values={"size": "L"})
    await Contact.filter(id=lovelace.id).update(
        name="Lovelace", phone="2", email="l@example.com", field_values={"size": "S", "shoe": 40}
    )

    await merge(survivor_id=ada.id, merged_id=lovelace.id, by=by)

    await ada.refresh_from_db()
    assert (ada.name, ada.phone, ada.email) == ("Ada", "1", "l@example.com")
    assert ada.field_values == {"size": "L", "shoe": 40}


@pytest.mark.parametrize(
    ("survivors", "others", "after"),
    [
        ("agent", "team", "agent"),
        (None, "team", "team"),
        (None, "agent", "agent"),
        ("team", None, "team"),
    ],
)
async def test_the_survivors_owner_wins_if_it_has_one(
    workspace: Workspace,
    ada: Contact,
    lovelace: Contact,
    by: Actor,
    survivors: str | None,
    others: str | None,
    after: str,
) -> None:
    owners = {
        "agent": {"agent_id": (await an_agent(workspace)).id},
        "team": {"team_id": (await a_team(workspace)).id},
    }
    for contact, owner in ((ada, survivors), (lovelace, others)):
        if owner:
            await set_owner(contact.id, by=by, **owners[owner])

    await merge(survivor_id=ada.id, merged_id=lovelace.id, by=by)

    await ada.refresh_from_db()
    kept = {"agent_id": ada.owner_agent_id, "team_id": ada.owner_team_id}
    assert {name: id for name, id in kept.items() if id} == owners[after]


@pytest.mark.parametrize(
    ("receivers", "keeps"),
    [("another", False), ("team", False), ("nobody", True), ("same", True)],
)
async def test_what_waited_for_the_merged_ones_owner_waits_for_the_survivors_or_anybody(
    workspace: Workspace,
    ada: Contact,
    lovelace: Contact,
    desk: Channel,
    by: Actor,
    receivers: str,
    keeps: bool,
) -> None:
    away = await an_agent(workspace, connected=False)
    await own(ada, receivers, away, by)
    await set_owner(lovelace.id, by=by, agent_id=away.id)
    before = await Conversation.get(id=await written(desk, "lovelace", by))
    assert before.reserved_for_id == away.id

    await merge(survivor_id=ada.id, merged_id=lovelace.id, by=by)

    after = await Conversation.get(id=before.id)
    assert (after.status, after.team_id, after.queued_at) == (
        before.status,
        before.team_id,
        before.queued_at,
    )
    assert after.reserved_for_id == (away.id if keeps else None)
    assert after.decision is not None
    assert before.decision is not None
    kept = before.decision["outcome"] if keeps else "WAITING_FOR_PICK"
    assert after.decision["outcome"] == kept


@pytest.mark.parametrize(
    ("receivers", "keeps"),
    [("another", False), ("team", False), ("nobody", False), ("same", True)],
)
async def test_what_waited_for_the_survivors_owner_goes_back_to_wait_for_its_own_or_anybody(
    workspace: Workspace,
    ada: Contact,
    lovelace: Contact,
    shop: Channel,
    desk: Channel,
    by: Actor,
    receivers: str,
    keeps: bool,
) -> None:
    away = await an_agent(workspace, connected=False)
    await set_owner(ada.id, by=by, agent_id=away.id)
    await own(lovelace, receivers, away, by)
    await merge(survivor_id=ada.id, merged_id=lovelace.id, by=by)
    going, staying = await written(desk, "lovelace", by), await written(shop, "ada", by)

    await split(lovelace.id, by=by)

    reserved = dict(await Conversation.all().values_list("id", "reserved_for_id"))
    assert reserved == {going: away.id if keeps else None, staying: away.id}


@pytest.mark.parametrize("turn", ["merge", "split"])
async def test_an_automatic_queue_gives_out_at_once_what_moved_from_its_owner(
    workspace: Workspace, ada: Contact, by: Actor, turn: str
) -> None:
    member = await an_agent(workspace)
    owners = [await an_agent(workspace, connected=False) for _ in range(2)]
    team = await a_team(workspace, distribution=Distribution.LEAST_OPEN, members=[member])
    channel = await a_channel(workspace, team=team)
    other = await a_contact(channel, sender="other", owner_agent=owners[0])
    await set_owner(ada.id, by=by, agent_id=owners[1].id)
    if turn == "merge":
        waiting = await written(channel, "other", by)
    await merge(survivor_id=ada.id, merged_id=other.id, by=by)
    if turn == "split":
        waiting = await written(channel, "other", by)
        await split(other.id, by=by)

    assert (await Conversation.get(id=waiting)).assignee_id == member.id


async def test_open_conversations_are_told_of_the_merge_and_of_a_new_owner(
    workspace: Workspace, ada: Contact, lovelace: Contact, shop: Channel, desk: Channel, by: Actor
) -> None:
    agent = await an_agent(workspace)
    of_ada, of_lovelace = await written(shop, "ada", by), await written(desk, "lovelace", by)
    async with working(of_lovelace, by=by) as conversation:
        await conversation.assign(agent.id, by=by)
    await set_owner(lovelace.id, by=by, agent_id=agent.id)
    told = (Kind.CONTACT_MERGED, Kind.CONTACT_SPLIT, Kind.CONTACT_OWNER_SET)
    count = len(await facts(*told))

    await merge(survivor_id=ada.id, merged_id=lovelace.id, by=by)
    await split(lovelace.id, by=by)

    found = (await facts(*told))[count:]
    assert [(row["kind"], row["contact_id"], row["conversation_id"]) for row in found] == [
        (Kind.CONTACT_OWNER_SET, ada.id, of_ada),
        (Kind.CONTACT_MERGED, ada.id, of_lovelace),
        (Kind.CONTACT_OWNER_SET, ada.id, of_ada),
        (Kind.CONTACT_SPLIT, lovelace.id, of_lovelace),
    ]
    assert {row["to_agent_id"] for row in found if "OWNER" not in row["kind"]} == {agent.id}
    assert (await Conversation.get(id=of_lovelace)).version == 5


async def test_a_contact_without_open_conversations_is_told_once(
    ada: Contact, lovelace: Contact, desk: Channel, by: Actor
) -> None:
    for _ in range(2):
        await written(desk, "lovelace", by, closed=True)

    await merge(survivor_id=ada.id, merged_id=lovelace.id, by=by)
    await split(lovelace.id, by=by)

    found = await facts(Kind.CONTACT_MERGED, Kind.CONTACT_SPLIT)
    assert [(row["contact_id"], row["conversation_id"]) for row in found] == [
        (ada.id, None),
        (lovelace.id, None),
    ]
    assert {row["data"] for row in found} == {
        f'{{"merged": "{lovelace.id}", "survivor": "{ada.id}"}}'
    }


async def test_two_open_ones_on_one_channel_are_not_merged(
    ada: Contact, shop: Channel, by: Actor
) -> None:
    twin = await a_contact(shop, sender="twin")
    of_ada, of_twin = await written(shop, "ada", by), await written(shop, "twin", by)

    with pytest.raises(ConversationAlreadyOpen) as refused:
        await merge(survivor_id=ada.id, merged_id=twin.id, by=by)

    assert refused.value.facts == {"conversationId": of_ada}
    assert (await Conversation.get(id=of_twin)).contact_id == twin.id
    await close(of_ada, by)
    await merge(survivor_id=ada.id, merged_id=twin.id, by=by)


async def test_reopening_would_make_two_open_ones_too(
    ada: Contact, shop: Channel, by: Actor
) -> None:
    twin = await a_contact(shop, sender="twin")
    of_ada = await written(shop, "ada", by, closed=True)
    of_twin = await written(shop, "twin", by)
    await merge(survivor_id=ada.id, merged_id=twin.id, by=by)

    with pytest.raises(ConversationAlreadyOpen) as refused:
        await reopen(of_ada, by=by)

    assert refused.value.facts == {"conversationId": of_twin}


async def test_what_is_no_contact_of_the_workspace_is_not_merged_or_split(
    ada: Contact, by: Actor
) -> None:
    foreign = await a_contact(await a_channel(await a_workspace()))

    for survivor, merged, path in (
        (ada, foreign, "input.mergedId"),
        (foreign, ada, "input.survivorId"),
    ):
        with pytest.raises(NotFound) as refused:
            await merge(survivor_id=survivor.id, merged_id=merged.id, by=by)
        assert refused.value.path == path
    with pytest.raises(NotFound):
        await split(foreign.id, by=by)


async def test_a_contact_is_merged_once_and_not_into_itself(
    ada: Contact, lovelace: Contact, shop: Channel, by: Actor
) -> None:
    third = await a_contact(shop, sender="third")
    await merge(survivor_id=ada.id, merged_id=lovelace.id, by=by)

    for survivor, merged in ((third, lovelace), (lovelace, third), (ada, lovelace)):
        with pytest.raises(ContactMerged) as refused:
            await merge(survivor_id=survivor.id, merged_id=merged.id, by=by)
        assert refused.value.facts == {"contactId": ada.id}
    with pytest.raises(BadUserInput):
        await merge(survivor_id=ada.id, merged_id=ada.id, by=by)
    with pytest.raises(ContactNotMerged):
        await split(ada.id, by=by)


@pytest.mark.parametrize("role", [Role.AGENT, Role.AUDITOR, Role.MARKETING])
async def test_who_does_not_edit_contacts_merges_none(
    workspace: Workspace, ada: Contact, lovelace: Contact, role: Role
) -> None:
    by = as_agent(await an_agent(workspace, role=role, connected=False))

    with pytest.raises(Forbidden):
        await merge(survivor_id=ada.id, merged_id=lovelace.id, by=by)
    with pytest.raises(Forbidden):
        await split(lovelace.id, by=by)


async def test_a_merged_contact_has_no_owner_to_set_and_is_in_no_list(
    workspace: Workspace, ada: Contact, lovelace: Contact, by: Actor
) -> None:
    await merge(survivor_id=ada.id, merged_id=lovelace.id, by=by)

    with pytest.raises(ContactMerged) as refused:
        await set_owner(lovelace.id, by=by)

    assert refused.value.facts == {"contactId": ada.id}
    reader = as_integration(workspace, "contacts:read")
    assert await (await Contact.visible_to(reader)).values_list("id", flat=True) == [ada.id]
    assert await (await Contact.visible_to(reader, merged=True)).count() == 2


async def test_tags_of_both_must_fit(ada: Contact, lovelace: Contact, by: Actor) -> None:
    await tag_contact(ada.id, [f"A{number}" for number in range(20)], by=by)
    await tag_contact(lovelace.id, ["one more"], by=by)

    with pytest.raises(LimitReached):
        await merge(survivor_id=ada.id, merged_id=lovelace.id, by=by)

    assert (await owned_by(lovelace))[2] == {"one more"}


async def test_a_split_gives_back_what_moved(
    workspace: Workspace, ada: Contact, lovelace: Contact, shop: Channel, desk: Channel, by: Actor
) -> None:
    await written(shop, "ada", by)
    await written(desk, "lovelace", by, closed=True)
    await written(desk, "lovelace", by)
    await tag_contact(ada.id, ["VIP"], by=by)
    await tag_contact(lovelace.id, ["VIP", "Regular"], by=by)
    agent = await an_agent(workspace)
    await set_owner(lovelace.id, by=by, agent_id=agent.id)
    await Contact.filter(id=lovelace.id).update(phone="2", field_values={"shoe": 40})
    before = [await owned_by(contact) for contact in (ada, lovelace)]
    rows = [await Contact.get(id=contact.id).values() for contact in (ada, lovelace)]

    await merge(survivor_id=ada.id, merged_id=lovelace.id, by=by)
    assert await split(lovelace.id, by=by) == ada.id

    assert [await owned_by(contact) for contact in (ada, lovelace)] == before
    assert [await Contact.get(id=contact.id).values() for contact in (ada, lovelace)] == rows
    with pytest.raises(ContactNotMerged):
        await split(lovelace.id, by=by)
    await merge(survivor_id=lovelace.id, merged_id=ada.id, by=by)


async def test_what_was_changed_since_stays_with_the_survivor(
    workspace: Workspace, ada: Contact, lovelace: Contact, by: Actor
) -> None:
    first, second = await an_agent(workspace), await an_agent(workspace)
    await set_owner(lovelace.id, by=by, agent_id=first.id)
    await tag_contact(lovelace.id, ["VIP", "Regular"], by=by)
    await Contact.filter(id=lovelace.id).update(
        phone="2", email="l@example.com", field_values={"shoe": 40, "size": "S"}
    )
    await merge(survivor_id=ada.id, merged_id=lovelace.id, by=by)
    await set_owner(ada.id, by=by, agent_id=second.id)
    await untag_contact(ada.id, ["Regular"], by=by)
    await tag_contact(ada.id, ["New"], by=by)
    await Contact.filter(id=ada.id).update(phone="3", field_values={"shoe": 41, "size": "S"})

    await split(lovelace.id, by=by)

    await ada.refresh_from_db()
    await lovelace.refresh_from_db()
    assert (ada.owner_agent_id, ada.phone, ada.email) == (second.id, "3", None)
    assert ada.field_values == {"shoe": 41}
    assert (await owned_by(ada))[2] == {"New"}
    assert (lovelace.owner_agent_id, lovelace.phone) == (first.id, "2")
    assert lovelace.field_values == {"shoe": 40, "size": "S"}
    assert (await owned_by(lovelace))[2] == {"VIP", "Regular"}


async def test_what_was_opened_since_goes_where_the_customer_is_reached(
    ada: Contact, lovelace: Contact, shop: Channel, desk: Channel, by: Actor
) -> None:
    also_desk = await a_contact(shop, sender="also")
    await ContactIdentity.filter(contact_id=also_desk.id).update(channel_id=desk.id)
    before = await written(shop, "ada", by, closed=True)
    await merge(survivor_id=ada.id, merged_id=lovelace.id, by=by)
    await merge(survivor_id=ada.id, merged_id=also_desk.id, by=by)
    on_shop = await written(shop, "ada", by, closed=True)
    on_desk = await written(desk, "lovelace", by)

    await split(also_desk.id, by=by)
    shared = await owned_by(ada)
    await split(lovelace.id, by=by)

    # As long as both had an identity on the desk it stayed where it was.
    assert shared[0] == {before, on_shop, on_desk}
    assert (await owned_by(ada))[0] == {before, on_shop}
    assert (await owned_by(lovelace))[0] == {on_desk}
    received = await a_message(desk, sender="lovelace")
    assert received.conversation_id == on_desk


async def test_a_chain_of_merges_is_split_from_its_end(
    ada: Contact, lovelace: Contact, shop: Channel, desk: Channel, by: Actor
) -> None:
    third = await a_contact(await a_channel(await Workspace.get()), sender="third")
    await written(shop, "ada", by)
    await written(desk, "lovelace", by)
    await tag_contact(ada.id, ["A"], by=by)
    contacts = (ada, lovelace, third)
    before = [await owned_by(contact) for contact in contacts]

    await merge(survivor_id=lovelace.id, merged_id=ada.id, by=by)
    await merge(survivor_id=third.id, merged_id=lovelace.id, by=by)
    everything = await owned_by(third)
    with pytest.raises(ContactMerged) as refused:
        await split(ada.id, by=by)
    await split(lovelace.id, by=by)
    await split(ada.id, by=by)

    assert refused.value.facts == {"contactId": third.id}
    assert everything[0] == before[0][0] | before[1][0]
    assert everything[2] == {"A"}
    assert [await owned_by(contact) for contact in contacts] == before


async def test_two_merged_into_one_are_split_in_any_order(
    ada: Contact, lovelace: Contact, shop: Channel, by: Actor
) -> None:
    third = await a_contact(await a_channel(await Workspace.get()), sender="third")
    for contact in (lovelace, third):
        await tag_contact(contact.id, ["VIP"], by=by)
        await merge(survivor_id=ada.id, merged_id=contact.id, by=by)

    await split(lovelace.id, by=by)
    still = (await owned_by(ada))[2]
    await split(third.id, by=by)

    # The other one had it too, and takes it away in the end.
    assert still == {"VIP"}
    assert (await owned_by(ada))[2] == set()


async def test_the_last_agent_follows_the_conversation(
    workspace: Workspace, ada: Contact, lovelace: Contact, desk: Channel, by: Actor
) -> None:
    agent = await an_agent(workspace)
    other = await a_channel(workspace)
    await ContactIdentity.create(
        workspace_id=workspace.id, contact_id=ada.id, channel_id=other.id, external_id="ada"
    )
    last = await written(desk, "lovelace", by)
    async with working(last, by=by) as conversation:
        await conversation.assign(agent.id, by=by)
    await close(last, by)

    await merge(survivor_id=ada.id, merged_id=lovelace.id, by=by)
    received = await a_message(other, sender="ada")

    assert (await Conversation.get(id=received.conversation_id)).assignee_id == agent.id


STEPS = 40


async def a_crowd(workspace: Workspace, choose: Random, by: Actor) -> list[Contact]:
    """Contacts of some channels with conversations, tags, owners and details of their own."""
    channels = [await a_channel(workspace) for _ in range(3)]
    agent = await an_agent(workspace, connected=False)
    crowd = []
    for number in range(5):
        known = choose.sample(channels, choose.randint(1, 2))
        contact = await a_contact(*known, sender=f"c{number}")
        await tag_contact(contact.id, choose.sample(["VIP", "Madrid", "New"], 2), by=by)
        await Contact.filter(id=contact.id).update(
            phone=choose.choice([None, "1", "2"]), field_values=choose.choice([{}, {"size": "L"}])
        )
        if choose.random() < 0.5:
            await set_owner(contact.id, by=by, agent_id=agent.id)
        for channel in known:
            await written(channel, f"c{number}", by, closed=choose.random() < 0.7)
        crowd.append(contact)
    return crowd


async def everything(crowd: list[Contact], conversations: set[UUID]) -> list[Any]:
    """What each contact has and is, of these conversations."""
    found = []
    for contact in crowd:
        own, identities, names = await owned_by(contact)
        row = await Contact.get(id=contact.id).values()
        found.append((own & conversations, identities, names, row))
    return found


async def a_step(crowd: list[Contact], choose: Random, by: Actor) -> None:
    """Merge, split, write or close; what a rule refuses has not happened."""
    step = choose.choice(["merge", "merge", "merge", "split", "write", "close"])
    one, other = choose.sample(crowd, 2)
    try:
        if step == "merge":
            await merge(survivor_id=one.id, merged_id=other.id, by=by)
        elif step == "split":
            await split(one.id, by=by)
        elif step == "write":
            identity = choose.choice(await ContactIdentity.all().order_by("created_at"))
            channel = await Channel.get(id=identity.channel_id)
            await a_message(channel, sender=identity.external_id)
        else:
            for conversation in await Conversation.exclude(status=Status.CLOSED):
                await close(conversation.id, by)
    except RuleViolation:
        return


@pytest.mark.parametrize("seed", range(6))
async def test_whatever_was_merged_is_as_it_was_when_all_is_split(
    workspace: Workspace, by: Actor, seed: int
) -> None:
    choose = Random(seed)
    crowd = await a_crowd(workspace, choose, by)
    conversations = {conversation.id for conversation in await Conversation.all()}
    before = await everything(crowd, conversations)

    for _ in range(STEPS):
        await a_step(crowd, choose, by)
        assert await violations() == []
    merges = await fetch("SELECT merged_id FROM contact_merges ORDER BY created_at DESC")
    for id in dict.fromkeys(row["merged_id"] for row in merges):
        if await Contact.exists(id=id, merged_into_id__isnull=False):
            await split(id, by=by)

    assert await everything(crowd, conversations) == before
    assert len(merges) >= 3


# -- At the same time


@pytest.mark.parametrize("has_written", [True, False])
async def test_whoever_writes_while_being_merged_writes_to_the_survivor(
    ada: Contact, lovelace: Contact, desk: Channel, by: Actor, has_written: bool
) -> None:
    if has_written:
        await written(desk, "lovelace", by)

    received = await behind(
        partial(merge, survivor_id=ada.id, merged_id=lovelace.id, by=by),
        partial(a_message, desk, sender="lovelace"),
    )

    assert (await Conversation.get(id=received.conversation_id)).contact_id == ada.id
    assert await Conversation.all().count() == 1


async def test_whoever_writes_while_being_split_writes_as_itself(
    ada: Contact, lovelace: Contact, desk: Channel, by: Actor
) -> None:
    await merge(survivor_id=ada.id, merged_id=lovelace.id, by=by)

    received = await behind(
        partial(split, lovelace.id, by=by), partial(a_message, desk, sender="lovelace")
    )

    assert (await Conversation.get(id=received.conversation_id)).contact_id == lovelace.id


@pytest.mark.parametrize("bot", [False, True])
async def test_what_is_opened_again_or_handed_off_while_it_moves_is_the_survivors(
    workspace: Workspace, ada: Contact, by: Actor, bot: bool
) -> None:
    desk = await a_channel(workspace, bot=bot)
    lovelace = await a_contact(desk, sender="lovelace")
    id = await written(desk, "lovelace", by, closed=not bot)
    work = partial(hand_off, id, by=by) if bot else partial(reopen, id, by=by)
    move = partial(merge, survivor_id=ada.id, merged_id=lovelace.id, by=by)

    with pytest.raises(Raced):
        await behind(move, work)
    await work()

    conversation = await Conversation.get(id=id)
    assert (conversation.contact_id, conversation.status) == (ada.id, Status.QUEUED)


async def test_of_a_merge_and_a_reopening_the_second_is_refused(
    ada: Contact, shop: Channel, by: Actor
) -> None:
    twin = await a_contact(shop, sender="twin")
    of_ada = await written(shop, "ada", by)
    of_twin = await written(shop, "twin", by, closed=True)

    with pytest.raises(ConversationAlreadyOpen) as refused:
        await behind(
            partial(reopen, of_twin, by=by),
            partial(merge, survivor_id=ada.id, merged_id=twin.id, by=by),
        )

    assert refused.value.facts == {"conversationId": of_ada}


async def test_who_waits_for_a_merge_finds_the_contact_merged(
    ada: Contact, lovelace: Contact, by: Actor
) -> None:
    for waiting in (
        partial(set_owner, lovelace.id, by=by),
        partial(tag_contact, lovelace.id, ["VIP"], by=by),
        partial(merge, survivor_id=lovelace.id, merged_id=ada.id, by=by),
    ):
        with pytest.raises(ContactMerged):
            await behind(partial(merge, survivor_id=ada.id, merged_id=lovelace.id, by=by), waiting)
        await split(lovelace.id, by=by)


async def test_of_two_splits_at_once_one_finds_nothing_to_split(
    ada: Contact, lovelace: Contact, by: Actor
) -> None:
    await merge(survivor_id=ada.id, merged_id=lovelace.id, by=by)
    separate = partial(split, lovelace.id, by=by)

    with pytest.raises(ContactNotMerged):
        await behind(separate, partial(retrying, separate))


async def test_opposite_merges_cannot_wait_for_each_other(
    ada: Contact, lovelace: Contact, by: Actor
) -> None:
    first, second = sorted((ada.id, lovelace.id))
    lock = "SELECT id FROM contacts WHERE id = $1 FOR NO KEY UPDATE"

    for survivor, merged in ((first, second), (second, first)):
        await behind(
            partial(fetch, lock, first),
            partial(merge, survivor_id=survivor, merged_id=merged, by=by),
            # Whoever waits for the first has not locked the second.
            meanwhile=partial(fetch, f"{lock} NOWAIT", second),
        )
        await split(merged, by=by)


async def test_tickets_go_with_a_merge_and_back_with_a_split(
    ada: Contact, lovelace: Contact, shop: Channel, by: Actor
) -> None:
    own, moved, given_on, theirs = [
        await a_ticket(contact) for contact in (ada, lovelace, lovelace, lovelace)
    ]
    other = await a_contact(shop, sender="other")

    await merge(survivor_id=ada.id, merged_id=lovelace.id, by=by)
    merged = await requesters()
    await Ticket.change(given_on.id, by=by, requester_id=other.id)
    since = await a_ticket(ada)
    await split(lovelace.id, by=by)

    assert merged == dict.fromkeys((own.id, moved.id, given_on.id, theirs.id), ada.id)
    assert await requesters() == {
        own.id: ada.id,
        moved.id: lovelace.id,
        given_on.id: other.id,
        theirs.id: lovelace.id,
        since.id: ada.id,
    }
    told = [(row["ticket_id"], row["contact_id"]) for row in await facts(Kind.TICKET_UPDATED)]
    assert told[:3] == [(id, ada.id) for id in sorted([moved.id, given_on.id, theirs.id])]
    assert told[4:] == [(id, lovelace.id) for id in sorted([moved.id, theirs.id])]


async def test_a_split_gives_back_tickets_of_conversations_that_all_go_back(
    shop: Channel, ada: Contact, workspace: Workspace, by: Actor
) -> None:
    desk = await a_channel(workspace, default_line=Line.SUPPORT)
    lovelace = await a_contact(desk, sender="lovelace")
    await merge(survivor_id=ada.id, merged_id=lovelace.id, by=by)
    hers = (await a_message(desk, sender="lovelace")).conversation_id
    adas = await Conversation.get(id=(await a_message(shop, sender="ada")).conversation_id)
    async with working(hers, by=by) as conversation:
        first = await closing.close(conversation, by=by, ticket=A_TICKET)
    await reopen(hers, by=by)
    shared = await a_ticket(ada)
    for id in (hers, adas.id):
        async with working(id, by=by) as conversation:
            await link.link(conversation, shared.id, by=by)
            await closing.close(conversation, by=by)
    again = (await a_message(desk, sender="lovelace")).conversation_id
    async with working(again, by=by) as conversation:
        await link.link(conversation, first.ticket_id, by=by)
    unlinked = await a_ticket(ada)

    await split(lovelace.id, by=by)

    assert adas.contact_id == ada.id
    assert await requesters() == {
        first.ticket_id: lovelace.id,
        shared.id: ada.id,
        unlinked.id: ada.id,
    }


async def requesters() -> dict[UUID, UUID]:
    return {ticket.id: ticket.requester_id for ticket in await Ticket.all()}


async def test_a_ticket_created_in_a_conversation_while_it_moves_is_the_survivors(
    ada: Contact, lovelace: Contact, desk: Channel, by: Actor
) -> None:
    id = await written(desk, "lovelace", by)
    merging = partial(merge, survivor_id=ada.id, merged_id=lovelace.id, by=by)
    creating = partial(create, by=by, conversation_id=id, subject="The light is out")

    await behind(creating, merging)
    await split(lovelace.id, by=by)
    before = await requesters()
    after = await behind(merging, creating)

    assert set(before.values()) == {lovelace.id}
    assert after.requester_id == ada.id
    assert set((await requesters()).values()) == {ada.id}


async def test_who_is_merged_while_somebody_opens_a_ticket_for_it_requests_nothing(
    ada: Contact, lovelace: Contact, by: Actor
) -> None:
    with pytest.raises(ContactMerged):
        await behind(
            partial(merge, survivor_id=ada.id, merged_id=lovelace.id, by=by),
            partial(a_ticket, lovelace),
        )

    assert await requesters() == {}
