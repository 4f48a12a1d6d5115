"""Tags: made by their first use, once, and what having them means."""

import asyncio
from typing import Any

import pytest

from models import Channel, Contact, Conversation, Tag, Workspace
from models import tag as tags
from models.access import Actor, Role
from models.conversation import Status
from models.database import fetch
from models.decision import Distribution
from models.errors import BadUserInput, ContactMerged, Forbidden, LimitReached, NotFound
from models.event import Kind
from models.merge import merge
from models.tag import TAGS_MAX, tag_contact, untag_contact
from tests.conftest import Clock
from tests.factories import (
    a_channel,
    a_contact,
    a_conversation,
    a_team,
    a_workspace,
    accepting,
    an_agent,
    as_agent,
    as_integration,
    by_system,
    working,
)


@pytest.fixture
async def contact(workspace: Workspace) -> Contact:
    return await a_contact(await a_channel(workspace))


async def mark(conversation: Conversation, *names: str, by: Actor) -> None:
    async with working(conversation.id, by=by) as locked:
        await tags.tag_conversation(locked, list(names), by=by)


async def unmark(conversation: Conversation, *names: str, by: Actor) -> None:
    async with working(conversation.id, by=by) as locked:
        await tags.untag_conversation(locked, list(names), by=by)


async def names_of(record: Contact | Conversation) -> set[str]:
    noun = type(record).__name__.lower()
    rows = await fetch(
        f"SELECT t.name FROM {noun}_tags x JOIN tags t ON t.id = x.tag_id WHERE x.{noun}_id = $1",
        record.id,
    )
    return {row["name"] for row in rows}


async def events_of(*kinds: Kind) -> list[Any]:
    return await fetch("SELECT * FROM events WHERE kind = ANY($1) ORDER BY seq", list(kinds))


async def test_the_first_use_of_a_name_makes_the_tag(
    workspace: Workspace, contact: Contact
) -> None:
    by = by_system(workspace)
    conversation = await a_conversation(workspace)

    await tag_contact(contact.id, ["VIP", " Madrid "], by=by)
    await mark(conversation, "vip", "Vip", by=by)

    assert await names_of(contact) == {"VIP", "Madrid"}
    assert await names_of(conversation) == {"VIP"}
    assert len(await events_of(Kind.TAG_CREATED)) == await Tag.all().count() == 2


async def test_the_same_word_is_another_tag_in_another_workspace(contact: Contact) -> None:
    elsewhere = await a_contact(await a_channel(await a_workspace()))

    for tagged in (contact, elsewhere):
        await tag_contact(tagged.id, ["VIP"], by=Actor.system(tagged.workspace_id))

    assert await Tag.all().count() == 2


async def test_what_has_the_tag_already_is_not_changed(
    workspace: Workspace, contact: Contact
) -> None:
    by = by_system(workspace)
    conversation = await a_conversation(workspace)
    await tag_contact(contact.id, ["VIP"], by=by)
    await mark(conversation, "VIP", by=by)
    before = await events_of(*Kind), await Conversation.get(id=conversation.id).values()

    await tag_contact(contact.id, ["vip"], by=by)
    await mark(conversation, "vip", by=by)
    await untag_contact(contact.id, ["unknown"], by=by)
    await unmark(conversation, "unknown", by=by)

    after = await events_of(*Kind), await Conversation.get(id=conversation.id).values()
    assert after == before


async def test_events_name_the_tags_that_came_and_went(
    workspace: Workspace, contact: Contact
) -> None:
    by = by_system(workspace)
    agent = await an_agent(workspace)
    conversation = await a_conversation(workspace, holder=agent)
    await tag_contact(contact.id, ["VIP"], by=by)
    vip = await Tag.get()

    await mark(conversation, "VIP", by=by)
    await unmark(conversation, "vip", by=by)
    await untag_contact(contact.id, ["vip"], by=by)

    facts = await events_of(
        Kind.CONVERSATION_TAGGED,
        Kind.CONVERSATION_UNTAGGED,
        Kind.CONTACT_TAGGED,
        Kind.CONTACT_UNTAGGED,
    )
    assert [(fact["kind"], fact["conversation_id"], fact["to_agent_id"]) for fact in facts] == [
        (Kind.CONTACT_TAGGED, None, None),
        (Kind.CONVERSATION_TAGGED, conversation.id, agent.id),
        (Kind.CONVERSATION_UNTAGGED, conversation.id, agent.id),
        (Kind.CONTACT_UNTAGGED, None, None),
    ]
    assert {fact["data"] for fact in facts} == {f'{{"tags": ["{vip.id}"]}}'}
    assert await names_of(conversation) == await names_of(contact) == set()


async def test_tags_restart_the_idle_time(workspace: Workspace, clock: Clock) -> None:
    by = by_system(workspace)
    conversation = await a_conversation(workspace)

    for change in (mark, unmark):
        before = await Conversation.get(id=conversation.id)
        await clock.travel(hours=1)
        await change(conversation, "VIP", by=by)
        after = await Conversation.get(id=conversation.id)

        assert (after.last_activity_at - before.last_activity_at).total_seconds() >= 3_600
        assert after.version == before.version + 1


async def test_a_closed_conversation_is_tagged_without_waking_up(
    workspace: Workspace, clock: Clock
) -> None:
    agent = await an_agent(workspace)
    conversation = await a_conversation(workspace, holder=agent)
    async with working(conversation.id, by=as_agent(agent)) as held:
        await held.close(by=as_agent(agent))
    before = await Conversation.get(id=conversation.id)
    await clock.travel(hours=1)

    await mark(conversation, "VIP", by=as_agent(agent))

    after = await Conversation.get(id=conversation.id)
    assert (after.status, after.last_activity_at) == (Status.CLOSED, before.last_activity_at)
    assert after.version == before.version + 1
    assert await names_of(conversation) == {"VIP"}


@pytest.mark.parametrize(
    ("who", "what", "may"),
    [
        ("holder", "held", True),
        ("holder", "closed", True),
        ("holder", "waiting", True),
        ("holder", "given out", False),
        ("member", "held", False),
        ("member", "closed", False),
        ("operator", "held", True),
        ("operator", "closed", True),
        ("auditor", "held", False),
        ("auditor", "waiting", False),
    ],
)
async def test_whoever_works_a_conversation_tags_it(
    workspace: Workspace, who: str, what: str, may: bool
) -> None:
    holder, member = await an_agent(workspace), await an_agent(workspace)
    team = await a_team(workspace, members=[holder, member])
    conversation = await a_conversation(
        workspace, team=team, holder=holder if what in ("held", "closed") else None
    )
    if what == "closed":
        async with working(conversation.id, by=as_agent(holder)) as held:
            await held.close(by=as_agent(holder))
    if what == "given out":
        for agent in (holder, member):
            await accepting(agent, accepts_new=False)
        await type(team).filter(id=team.id).update(distribution=Distribution.ROUND_ROBIN)
    actors = {
        "holder": holder,
        "member": member,
        "operator": await an_agent(workspace, role=Role.OPERATOR, connected=False),
        "auditor": await an_agent(workspace, role=Role.AUDITOR, connected=False),
    }
    by = as_agent(actors[who])

    for change in (mark, unmark):
        try:
            await change(conversation, "VIP", by=by)
            assert may
        except Forbidden:
            assert not may


@pytest.mark.parametrize(
    ("who", "refusal"),
    [
        ("holder", None),
        ("marketing", None),
        ("contacts:write", None),
        ("auditor", Forbidden),
        ("contacts:read", Forbidden),
        ("conversations:write", Forbidden),
        ("bystander", NotFound),
        ("messages:receive", NotFound),
    ],
)
async def test_whoever_works_with_a_contact_tags_it(
    workspace: Workspace, who: str, refusal: type[Exception] | None
) -> None:
    holder = await an_agent(workspace)
    team = await a_team(workspace)
    conversation = await a_conversation(workspace, team=team, holder=holder)
    roles = {"auditor": Role.AUDITOR, "marketing": Role.MARKETING, "bystander": Role.AGENT}
    if who == "holder":
        by = as_agent(holder)
    elif who in roles:
        by = as_agent(await an_agent(workspace, role=roles[who], connected=False))
    else:
        by = as_integration(workspace, who)

    for change in (tag_contact, untag_contact):
        if refusal is None:
            await change(conversation.contact_id, ["VIP"], by=by)
        else:
            with pytest.raises(refusal):
                await change(conversation.contact_id, ["VIP"], by=by)


async def test_a_merged_contact_is_not_tagged(workspace: Workspace, contact: Contact) -> None:
    by = by_system(workspace)
    other = await a_contact(await a_channel(workspace))
    await merge(survivor_id=other.id, merged_id=contact.id, by=by)

    for change in (tag_contact, untag_contact):
        with pytest.raises(ContactMerged) as refused:
            await change(contact.id, ["VIP"], by=by)

        assert refused.value.facts == {"contactId": other.id}


@pytest.mark.parametrize("names", [[], ["a"] * (TAGS_MAX + 1), ["VIP", " "], ["x" * 51], ["\0"]])
async def test_names_are_few_and_say_something(contact: Contact, names: list[str]) -> None:
    with pytest.raises(BadUserInput):
        await tag_contact(contact.id, names, by=Actor.system(contact.workspace_id))

    assert await Tag.all().count() == 0


async def test_a_record_has_so_many_tags_and_no_more(
    workspace: Workspace, contact: Contact
) -> None:
    by = by_system(workspace)
    conversation = await a_conversation(workspace)
    full = [f"Tag {number}" for number in range(TAGS_MAX)]
    await tag_contact(contact.id, full, by=by)
    await mark(conversation, *full, by=by)

    with pytest.raises(LimitReached) as refused:
        await tag_contact(contact.id, ["One more"], by=by)
    with pytest.raises(LimitReached):
        await mark(conversation, "One more", by=by)

    assert refused.value.facts == {"limit": TAGS_MAX}
    assert await names_of(contact) == await names_of(conversation) == set(full)
    assert await Tag.all().count() == TAGS_MAX


async def test_a_workspace_has_so_many_tags_and_no_more(
    contact: Contact, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tags, "TAGS_PER_WORKSPACE_MAX", 3)
    by = Actor.system(contact.workspace_id)
    contacts = [contact, *[await a_contact(await Channel.get(), sender=f"c{n}") for n in range(4)]]

    outcomes = await asyncio.gather(
        *[tag_contact(one.id, [f"Tag {n}"], by=by) for n, one in enumerate(contacts)],
        return_exceptions=True,
    )

    refused = [outcome for outcome in outcomes if outcome is not None]
    assert [type(outcome) for outcome in refused] == [LimitReached] * 2
    assert await Tag.all().count() == 3


async def test_two_who_make_the_same_tags_at_once_get_the_same_ones(workspace: Workspace) -> None:
    by = by_system(workspace)
    channel = await a_channel(workspace)
    contacts = [await a_contact(channel, sender=f"c{number}") for number in range(6)]
    names = ["North", "South", "East", "West"]

    # Not retried: none of them may run into a deadlock.
    await asyncio.gather(
        *[
            tag_contact(one.id, names if number % 2 else [n.upper() for n in names[::-1]], by=by)
            for number, one in enumerate(contacts)
        ]
    )

    assert await Tag.all().count() == len(await events_of(Kind.TAG_CREATED)) == 4
    assert [len(await names_of(one)) for one in contacts] == [4] * 6
