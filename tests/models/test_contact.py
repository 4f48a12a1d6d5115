"""Contacts: created and changed by hand, known to channels by one identity each."""

import asyncio
from contextvars import copy_context
from typing import Any
from uuid import UUID, uuid4

import pytest

from models import Channel, Contact, ContactIdentity, Conversation, Workspace
from models.access import Actor, Role
from models.database import fetch, fetchval, retrying, tx
from models.errors import (
    BadUserInput,
    ContactMerged,
    Forbidden,
    IdentityTaken,
    LimitReached,
    NotFound,
    RuleViolation,
)
from models.identity import IDENTITIES_MAX, Identity, Sender, add_sender, claim, lock_sender
from models.inbound import receive
from models.merge import merge
from tests.factories import (
    a_channel,
    a_contact,
    a_contact_field,
    a_conversation,
    a_message,
    a_team,
    a_workspace,
    an_agent,
    as_agent,
    as_integration,
    by_system,
)


@pytest.fixture
async def channel(workspace: Workspace) -> Channel:
    return await a_channel(workspace)


async def identities(contact: Contact) -> list[str]:
    rows = await ContactIdentity.filter(contact_id=contact.id).order_by("external_id")
    return [row.external_id for row in rows]


async def told(contact: Contact) -> list[tuple[str, Any]]:
    """The kinds of what the log says of a contact, and its data."""
    rows = await fetch(
        "SELECT kind, data::text FROM events WHERE contact_id = $1 ORDER BY seq", contact.id
    )
    return [(row["kind"], row["data"]) for row in rows]


async def test_a_contact_is_created_with_all_that_is_known(
    workspace: Workspace, channel: Channel
) -> None:
    field = await a_contact_field(workspace)

    contact = await Contact.add(
        by=by_system(workspace),
        name="Ada",
        phone="+55 (11) 91234-5678",
        email="ada@example.com",
        identities=[Identity(channel.id, "wa-1"), Identity(channel.id, "wa-1")],
        values=[(field.id, "Lima")],
    )

    await contact.refresh_from_db()
    assert (contact.phone, contact.email) == ("+5511912345678", "ada@example.com")
    assert contact.field_values == {str(field.id): "Lima"}
    assert await identities(contact) == ["wa-1"]
    assert await told(contact) == [("CONTACT_CREATED", None)]


async def test_what_a_created_contact_writes_is_its_own(
    workspace: Workspace, channel: Channel
) -> None:
    contact = await a_contact(channel, sender="wa-1")

    conversation = await a_conversation(workspace, channel=channel, sender="wa-1")

    assert conversation.contact_id == contact.id


async def test_a_telephone_number_is_kept_the_same_way_whoever_gives_it(
    workspace: Workspace, channel: Channel
) -> None:
    sender = Sender("wa-1", phone="+55 (11) 91234.5678")

    received = await receive(
        by=by_system(workspace), channel_id=channel.id, external_id="m", sender=sender, text="Hi"
    )

    conversation = await Conversation.get(id=received.conversation_id)
    contact = await Contact.get(id=conversation.contact_id)
    assert contact.phone == "+5511912345678"
    await Contact.change(contact.id, by=by_system(workspace), phone="+55 11 9/1")
    await contact.refresh_from_db()
    assert contact.phone == "+551191"


async def test_what_is_given_changes_and_the_rest_stays(
    workspace: Workspace, channel: Channel
) -> None:
    first, second = await a_contact_field(workspace), await a_contact_field(workspace)
    by = by_system(workspace)
    contact = await a_contact(channel, name="Ada", phone="123", email="ada@example.com")
    await Contact.change(contact.id, by=by, values=[(first.id, "1"), (second.id, "2")])

    await Contact.change(
        contact.id, by=by, name="Ada King", phone=None, values=[(first.id, None), (second.id, "3")]
    )

    await contact.refresh_from_db()
    assert (contact.name, contact.phone, contact.email) == ("Ada King", None, "ada@example.com")
    assert contact.field_values == {str(second.id): "3"}


async def test_a_change_is_told_without_what_it_says(
    workspace: Workspace, channel: Channel
) -> None:
    contact = await a_contact(channel, sender="wa-1", name="Ada", phone="123")
    by = by_system(workspace)

    await Contact.change(contact.id, by=by, name="Ada", phone=" 12-3 ")
    await Contact.change(contact.id, by=by, added=[Identity(channel.id, "wa-1")])
    await Contact.change(contact.id, by=by, email="secret@example.com")
    await Contact.change(contact.id, by=by, added=[Identity(channel.id, "wa-2")])

    assert [data for kind, data in await told(contact) if kind == "CONTACT_UPDATED"] == [
        '{"changed": ["email"]}',
        '{"changed": ["identities"]}',
    ]


async def test_identities_come_and_go(workspace: Workspace, channel: Channel) -> None:
    contact = await a_contact(channel, sender="old")
    by = by_system(workspace)

    await Contact.change(
        contact.id,
        by=by,
        added=[Identity(channel.id, "new")],
        removed=[Identity(channel.id, "old")],
    )

    assert await identities(contact) == ["new"]
    await a_contact(channel, sender="old", name="Bob")
    with pytest.raises(NotFound):
        await Contact.change(contact.id, by=by, removed=[Identity(channel.id, "old")])


async def test_an_identity_of_another_contact_is_refused_naming_it(
    workspace: Workspace, channel: Channel
) -> None:
    ada, bob = await a_contact(channel, sender="ada"), await a_contact(channel, sender="bob")
    by = by_system(workspace)

    with pytest.raises(IdentityTaken) as on_change:
        await Contact.change(bob.id, by=by, name="B", added=[Identity(channel.id, "ada")])
    with pytest.raises(IdentityTaken) as on_creation:
        await Contact.add(by=by, name="Third", identities=[Identity(channel.id, "ada")])

    for refused in (on_change, on_creation):
        assert refused.value.facts == {"contactId": ada.id, "channelId": channel.id}
    assert not await Contact.exists(name="B")
    # What one channel calls somebody says nothing on another.
    await Contact.change(bob.id, by=by, added=[Identity((await a_channel(workspace)).id, "ada")])


async def test_who_is_not_seen_is_not_named(workspace: Workspace) -> None:
    agent = await an_agent(workspace)
    channel = await a_channel(workspace, team=await a_team(workspace, members=[agent]))
    elsewhere = await a_channel(workspace, team=await a_team(workspace))
    await a_contact(elsewhere, sender="unseen")
    seen = await a_contact(channel, sender="seen")
    await a_conversation(workspace, channel=channel, sender="seen")

    with pytest.raises(IdentityTaken) as refused:
        await Contact.change(seen.id, by=as_agent(agent), added=[Identity(elsewhere.id, "unseen")])

    assert refused.value.facts["contactId"] is None


async def test_a_channel_of_nobody_knows_nobody(workspace: Workspace) -> None:
    foreign = await a_channel(await a_workspace("Another"))

    for channel_id in (foreign.id, uuid4()):
        with pytest.raises(NotFound):
            await Contact.add(
                by=by_system(workspace), name="Ada", identities=[Identity(channel_id, "1")]
            )


async def test_whom_another_workspace_knows_is_not_told(workspace: Workspace) -> None:
    foreign = await a_channel(await a_workspace("Another"))
    await a_contact(foreign, sender="known")
    own = await a_contact(await a_channel(workspace))
    by = by_system(workspace)

    for sender in ("known", "unknown"):
        identity = Identity(foreign.id, sender)
        with pytest.raises(NotFound) as on_creation:
            await Contact.add(by=by, name="Ada", identities=[identity])
        with pytest.raises(NotFound) as on_change:
            await Contact.change(own.id, by=by, added=[identity])
        assert on_creation.value.path == on_change.value.path == "input.identities"


async def test_nobody_waits_for_what_another_workspace_claims(workspace: Workspace) -> None:
    foreign = await a_channel(await a_workspace("Another"))
    identity = Identity(foreign.id, "known")
    outside = copy_context()

    async with tx() as transaction:
        await claim(transaction, [identity])
        adding = Contact.add(by=by_system(workspace), name="Ada", identities=[identity])
        with pytest.raises(NotFound):
            await asyncio.wait_for(asyncio.create_task(adding, context=outside), 5)


async def test_a_contact_has_only_so_many_identities(
    workspace: Workspace, channel: Channel
) -> None:
    by = by_system(workspace)
    many = [Identity(channel.id, f"{number}") for number in range(IDENTITIES_MAX)]
    contact = await Contact.add(by=by, name="Ada", identities=many)

    with pytest.raises(LimitReached):
        await Contact.change(contact.id, by=by, added=[Identity(channel.id, "one more")])
    with pytest.raises(BadUserInput):
        await Contact.add(by=by, name="B", identities=[*many, Identity(channel.id, "more")])


async def test_of_those_who_claim_an_identity_at_once_one_has_it(
    workspace: Workspace, channel: Channel
) -> None:
    by = by_system(workspace)
    others = [await a_contact(channel, sender=f"{number}") for number in range(3)]

    async def claimed(contact: Contact) -> object:
        async def command() -> None:
            await Contact.change(contact.id, by=by, added=[Identity(channel.id, "wanted")])

        try:
            return await retrying(command)
        except RuleViolation as error:
            return error.code

    async def written() -> object:
        received = await a_message(channel, sender="wanted")
        return None if received.opened else received

    outcomes = await asyncio.gather(*map(claimed, others), written())

    holders = await ContactIdentity.filter(external_id="wanted")
    assert len(holders) == 1
    # A message takes what is there; of the commands at most one had it.
    assert outcomes[-1] is None
    assert outcomes[:-1].count(None) <= 1
    assert set(outcomes[:-1]) <= {None, "IDENTITY_TAKEN"}


async def test_a_first_message_and_who_wants_its_identity_take_turns(
    workspace: Workspace, channel: Channel
) -> None:
    contact = await a_contact(channel, sender="ada")
    by = by_system(workspace)
    looked, go = asyncio.Event(), asyncio.Event()

    async def first_message() -> UUID:
        async with tx() as transaction:
            assert await lock_sender(transaction, channel.id, Sender("wanted")) is None
            looked.set()
            await go.wait()
            return await add_sender(transaction, channel.id, Sender("wanted"), by=by)

    message = asyncio.create_task(first_message())
    await looked.wait()
    wanted = [Identity(channel.id, "wanted")]
    command = asyncio.create_task(Contact.change(contact.id, by=by, added=wanted))
    while not command.done() and not await fetchval(WAITS):  # noqa: ASYNC110 - only the database knows
        await asyncio.sleep(0)
    go.set()

    sender_id = await message
    with pytest.raises(IdentityTaken) as refused:
        await command
    assert refused.value.facts["contactId"] == sender_id


WAITS = "SELECT EXISTS (SELECT FROM pg_locks WHERE locktype = 'advisory' AND NOT granted)"


async def test_a_merged_contact_takes_no_command(workspace: Workspace, channel: Channel) -> None:
    ada, twin = await a_contact(channel, sender="1"), await a_contact(channel, sender="2")
    await merge(survivor_id=ada.id, merged_id=twin.id, by=by_system(workspace))

    with pytest.raises(ContactMerged) as refused:
        await Contact.change(twin.id, by=by_system(workspace), name="B")

    assert refused.value.facts == {"contactId": ada.id}


async def test_a_contact_of_another_company_is_not_there(workspace: Workspace) -> None:
    foreign = await a_contact(await a_channel(await a_workspace("Another")))

    with pytest.raises(NotFound):
        await Contact.change(foreign.id, by=by_system(workspace), name="B")


async def test_an_agent_edits_those_of_conversations_it_sees(workspace: Workspace) -> None:
    agent = await an_agent(workspace)
    channel = await a_channel(workspace, team=await a_team(workspace, members=[agent]))
    contact = await a_contact(channel, sender="1")
    by = as_agent(agent)

    with pytest.raises(NotFound):
        await Contact.change(contact.id, by=by, name="B")
    await a_conversation(workspace, channel=channel, sender="1")
    await Contact.change(contact.id, by=by, name="Ada King")
    with pytest.raises(Forbidden):
        await Contact.add(by=by, name="Bob")

    assert (await Contact.get(id=contact.id)).name == "Ada King"


@pytest.mark.parametrize(
    "who", [Role.AUDITOR, Role.MARKETING, "contacts:read", "conversations:write"]
)
async def test_who_only_reads_contacts_does_not_change_them(
    workspace: Workspace, channel: Channel, who: Role | str
) -> None:
    contact = await a_contact(channel)
    by: Actor = as_integration(workspace, who)
    if isinstance(who, Role):
        by = as_agent(await an_agent(workspace, role=who, connected=False))

    with pytest.raises(Forbidden):
        await Contact.change(contact.id, by=by, name="B")
    with pytest.raises(Forbidden):
        await Contact.add(by=by, name="B")
