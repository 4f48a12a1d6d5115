"""Finding contacts by what they are called, reached and known by, and by what is known of them."""

import re
from typing import Any
from uuid import UUID, uuid4

import pytest

from models import Agent, Channel, Contact, ContactField, Team, Workspace, contact_search
from models.access import Actor
from models.contact_field import FieldKind
from models.contact_search import NAMED_MAX, SEARCH_LENGTH_MAX, Bounds, Filter, OwnedBy
from models.database import fetch
from models.errors import BadUserInput
from models.merge import merge
from tests.factories import (
    a_channel,
    a_contact,
    a_contact_field,
    a_conversation,
    a_tag,
    a_team,
    a_workspace,
    an_agent,
    as_agent,
    as_integration,
    by_system,
)

EVERYBODY = Bounds(size=100)


async def found(*wanted: Filter | None, by: Actor) -> set[str]:
    """The names of those who meet all filters; they are counted too."""
    [rows] = await contact_search.pages([wanted], EVERYBODY, by=by)
    [count] = await contact_search.counts([wanted], by=by)
    assert count == len(rows)
    names = await Contact.filter(id__in=[row["id"] for row in rows]).values_list("name", flat=True)
    return {str(name) for name in names}


@pytest.fixture
async def channel(workspace: Workspace) -> Channel:
    return await a_channel(workspace)


@pytest.fixture
async def people(channel: Channel) -> None:
    """A few customers, and one of another company who would be found by everything."""
    await a_contact(
        channel, sender="wa-1", name="Ada Lovelace", phone="+55 (11) 91234-5678", email="Ada@X.org"
    )
    await a_contact(channel, sender="wa-2", name="Ada-Maria Silva", phone="5511 9876 5432")
    await a_contact(channel, sender="WA-3", name="José Núñez", email="jose@example.com")
    await a_contact(channel, sender="wa 4", name="100% O'Brien", email="ob_rien@example.com")
    elsewhere = await a_channel(await a_workspace("Another"))
    await a_contact(elsewhere, sender="wa-1", name="Ada Lovelace", phone="+5511", email="ada@x.org")


@pytest.mark.usefixtures("people")
@pytest.mark.parametrize(
    ("search", "names"),
    [
        ("ada", {"Ada Lovelace", "Ada-Maria Silva"}),
        ("ADA", {"Ada Lovelace", "Ada-Maria Silva"}),
        ("love", {"Ada Lovelace"}),
        ("lov ada", {"Ada Lovelace"}),
        ("ada-maria", {"Ada-Maria Silva"}),
        ("ada jos", set()),
        ("ovelace", set()),
        ("josé", {"José Núñez"}),
        ("nú", {"José Núñez"}),
        ("o'brien", {"100% O'Brien"}),
        ("100", {"100% O'Brien"}),
        ("+55 11 9", {"Ada Lovelace", "Ada-Maria Silva"}),
        ("5511 91", {"Ada Lovelace"}),
        ("0055 (11) 98", {"Ada-Maria Silva"}),
        ("11 9", set()),
        ("55", set()),
        ("ada@", {"Ada Lovelace"}),
        ("ADA@x.ORG", {"Ada Lovelace"}),
        ("ob_", {"100% O'Brien"}),
        ("ob%", set()),
        ("@x.org", set()),
        ("wa-1", {"Ada Lovelace"}),
        (" wa-1 ", {"Ada Lovelace"}),
        ("wa 4", {"100% O'Brien"}),
        ("wa-3", set()),
        ("wa-", set()),
        ("%", set()),
        ("' & | ! :* <-> \\", set()),
        ("\u200b", set()),
        ("x" * SEARCH_LENGTH_MAX, set()),
    ],
)
async def test_a_contact_is_found_by(workspace: Workspace, search: str, names: set[str]) -> None:
    assert await found(Filter(search=search), by=by_system(workspace)) == names


@pytest.mark.parametrize("search", ["", " \n", "x" * (SEARCH_LENGTH_MAX + 1), "a\0b"])
def test_nobody_is_searched_for_by(search: str) -> None:
    with pytest.raises(BadUserInput):
        Filter(search=search)


def test_a_filter_names_only_so_much() -> None:
    with pytest.raises(BadUserInput):
        Filter(tag_ids=tuple(uuid4() for _ in range(NAMED_MAX + 1)))
    with pytest.raises(BadUserInput):
        Filter(fields=tuple((uuid4(), "x") for _ in range(NAMED_MAX + 1)))


async def test_a_contact_is_found_by_its_owner(workspace: Workspace, channel: Channel) -> None:
    agent, team = await an_agent(workspace), await a_team(workspace)
    other = await an_agent(workspace)
    await a_contact(channel, sender="1", name="Agent's", owner_agent=agent)
    await a_contact(channel, sender="2", name="Team's", owner_team=team)
    await a_contact(channel, sender="3", name="Nobody's")
    by = by_system(workspace)

    assert await found(Filter(owned_by=OwnedBy.NOBODY), by=by) == {"Nobody's"}
    assert await found(Filter(owned_by=OwnedBy.ANYBODY), by=by) == {"Agent's", "Team's"}
    assert await found(Filter(owner_agent_id=agent.id), by=by) == {"Agent's"}
    assert await found(Filter(owner_team_id=team.id), by=by) == {"Team's"}
    assert await found(Filter(owner_agent_id=other.id), by=by) == set()
    # Who is no person owns nobody.
    assert await found(Filter(owned_by=OwnedBy.ME), by=by) == set()


async def test_mine_are_those_of_whoever_asks(workspace: Workspace, channel: Channel) -> None:
    mine, others = await an_agent(workspace), await an_agent(workspace)
    await a_contact(channel, sender="1", name="Mine", owner_agent=mine)
    await a_contact(channel, sender="2", name="Another's", owner_agent=others)
    for sender in ("1", "2"):
        await a_conversation(workspace, channel=channel, sender=sender)

    assert await found(Filter(owned_by=OwnedBy.ME), by=as_agent(mine)) == {"Mine"}


async def test_a_contact_is_found_by_all_its_tags(workspace: Workspace, channel: Channel) -> None:
    ada = await a_contact(channel, sender="1", name="Ada")
    bob = await a_contact(channel, sender="2", name="Bob")
    vip, late = await a_tag(workspace, of=[ada, bob]), await a_tag(workspace, of=[bob])
    by = by_system(workspace)

    assert await found(Filter(tag_ids=(vip,)), by=by) == {"Ada", "Bob"}
    assert await found(Filter(tag_ids=(vip, late)), by=by) == {"Bob"}
    assert await found(Filter(tag_ids=(vip, uuid4())), by=by) == set()


async def test_a_contact_is_found_by_a_channel(workspace: Workspace, channel: Channel) -> None:
    other = await a_channel(workspace)
    await a_contact(channel, sender="1", name="Ada")
    await a_contact(channel, other, sender="2", name="Bob")
    by = by_system(workspace)

    assert await found(Filter(channel_id=other.id), by=by) == {"Bob"}
    assert await found(Filter(channel_id=channel.id), by=by) == {"Ada", "Bob"}
    assert await found(Filter(channel_id=uuid4()), by=by) == set()


@pytest.mark.parametrize(
    ("kind", "stored", "asked", "is_found"),
    [
        (FieldKind.TEXT, "Lima", "Lima", True),
        (FieldKind.TEXT, "Lima", "lima", False),
        (FieldKind.NUMBER, "1.50", "1.5", True),
        (FieldKind.NUMBER, "7", "007", True),
        (FieldKind.NUMBER, "7", "seven", False),
        (FieldKind.DATE, "2026-11-22", "2026-11-22", True),
        (FieldKind.DATE, "2026-11-22", "2026-11-23", False),
        (FieldKind.CHOICE, "S", "S", True),
        (FieldKind.CHOICE, "S", "L", False),
        (FieldKind.CHOICE, "S", "XXL", False),
    ],
)
async def test_a_contact_is_found_by_a_value(
    workspace: Workspace, kind: FieldKind, stored: str, asked: str, is_found: bool
) -> None:
    choices = ["S", "L"] if kind is FieldKind.CHOICE else []
    field = await a_contact_field(workspace, kind=kind, choices=choices)
    by = by_system(workspace)
    await Contact.add(by=by, name="Ada", values=[(field.id, stored)])
    await Contact.add(by=by, name="Bob")

    names = await found(Filter(fields=((field.id, asked),)), by=by)

    assert names == ({"Ada"} if is_found else set())


async def test_all_conditions_hold_together(workspace: Workspace, channel: Channel) -> None:
    await a_contact(channel, sender="1", name="Ada Lovelace")
    bob = await a_contact(channel, sender="2", name="Ada Byron")
    tag_id = await a_tag(workspace, of=[bob])
    by = by_system(workspace)

    assert await found(Filter(search="ada", tag_ids=(tag_id,)), by=by) == {"Ada Byron"}
    assert await found(Filter(search="ada"), Filter(search="lov"), by=by) == {"Ada Lovelace"}
    assert await found(Filter(search="ada"), None, by=by) == set()
    assert await found(by=by) == {"Ada Lovelace", "Ada Byron"}


async def test_an_agent_finds_those_whose_conversations_it_sees(workspace: Workspace) -> None:
    agent = await an_agent(workspace)
    team = await a_team(workspace, members=[agent])
    own, other = await a_channel(workspace, team=team), await a_team(workspace)
    strange = await a_channel(workspace, team=other)
    await a_contact(own, sender="1", name="Ada Seen")
    await a_contact(strange, sender="2", name="Ada Unseen")
    await a_conversation(workspace, channel=own, sender="1")
    await a_conversation(workspace, channel=strange, sender="2")

    assert await found(Filter(search="ada"), by=as_agent(agent)) == {"Ada Seen"}
    assert await found(by=as_integration(workspace, "settings:read")) == set()


async def test_who_was_merged_is_in_no_list(workspace: Workspace, channel: Channel) -> None:
    ada = await a_contact(channel, sender="1", name="Ada")
    twin = await a_contact(channel, sender="2", name="Ada's twin")
    await merge(survivor_id=ada.id, merged_id=twin.id, by=by_system(workspace))

    assert await found(by=by_system(workspace)) == {"Ada"}
    assert await found(Filter(search="twin"), by=by_system(workspace)) == set()


async def test_pages_neither_skip_nor_repeat(workspace: Workspace, channel: Channel) -> None:
    for number in range(7):
        await a_contact(channel, sender=f"{number}", name=f"Ada {number}", email=f"ada{number}@x")
    # All of one instant: then their ids tell them apart.
    await fetch("UPDATE contacts SET created_at = relevo_now()::date")
    by, wanted = by_system(workspace), (Filter(search="ada"),)
    [everybody] = await contact_search.pages([wanted], EVERYBODY, by=by)

    for descending, side in ((False, "after"), (True, "before")):
        walked: list[UUID] = []
        bounds = Bounds(3, descending)
        while rows := (await contact_search.pages([wanted], bounds, by=by))[0]:
            walked += [row["id"] for row in rows]
            cursor: Any = {side: (rows[-1]["created_at"], rows[-1]["id"])}
            bounds = Bounds(3, descending, **cursor)

        expected = [row["id"] for row in everybody]
        assert walked == (expected[::-1] if descending else expected)


@pytest.fixture
async def crowd(workspace: Workspace) -> dict[str, Any]:
    """Four thousand contacts of two companies, in a table whose contents the planner knows."""
    channel = await a_channel(workspace)
    agent, team = await an_agent(workspace), await a_team(workspace)
    field, tag_id = await a_contact_field(workspace), await a_tag(workspace)
    other = await a_workspace("Another")
    await fetch(
        """
        INSERT INTO contacts (id, workspace_id, name, phone, email, field_values, owner_agent_id)
        SELECT gen_random_uuid(), CASE WHEN n % 2 = 0 THEN $1::uuid ELSE $2::uuid END,
               'Name' || n || ' Family' || n % 97, '+5511' || 900000000 + n,
               'somebody' || n || '@example.com', jsonb_build_object($3::text, 'City' || n % 199),
               CASE WHEN n % 200 = 0 THEN $4::uuid END
        FROM generate_series(1, 4000) n
        """,
        workspace.id,
        other.id,
        str(field.id),
        agent.id,
    )
    await fetch(
        """
        INSERT INTO contact_identities (id, workspace_id, contact_id, channel_id, external_id)
        SELECT gen_random_uuid(), $1::uuid, id, $2::uuid, 'id-' || name FROM contacts
        WHERE workspace_id = $1
        """,
        workspace.id,
        channel.id,
    )
    await fetch(
        """
        INSERT INTO contact_tags (workspace_id, contact_id, tag_id)
        SELECT $1::uuid, id, $2::uuid FROM contacts WHERE workspace_id = $1 ORDER BY id LIMIT 20
        """,
        workspace.id,
        tag_id,
    )
    await fetch("ANALYZE contacts, contact_identities, contact_tags")
    return {"agent": agent, "team": team, "field": field, "tag": tag_id, "channel": channel}


@pytest.mark.usefixtures("people")
async def test_many_searches_are_asked_a_few_at_a_time(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What PostgreSQL plans in one statement grows with it, however little it finds."""
    monkeypatch.setattr(contact_search, "WANTED_TOGETHER_MAX", 2)
    said: list[str] = []

    async def heard(statement: str, *arguments: object) -> list[Any]:
        said.append(statement)
        return await fetch(statement, *arguments)

    monkeypatch.setattr(contact_search, "fetch", heard)
    by = by_system(workspace)
    wanted = [(Filter(search=name),) for name in ("ada", "josé", "nobody", "love", "brien")]

    pages = await contact_search.pages(wanted, EVERYBODY, by=by)
    counts = await contact_search.counts(wanted, by=by)

    assert counts == [len(rows) for rows in pages] == [2, 1, 0, 1, 1]
    assert len(said) == 6
    assert max(statement.count(" AS place") for statement in said) == 2


async def test_no_way_of_finding_reads_every_contact(
    workspace: Workspace, crowd: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    agent, team, field, channel = (crowd[name] for name in ("agent", "team", "field", "channel"))
    assert isinstance(agent, Agent)
    assert isinstance(team, Team)
    assert isinstance(field, ContactField)
    wanted = {
        "nothing": Filter(),
        "a word": Filter(search="family13"),
        "a beginning of words": Filter(search="name39 fam"),
        "a telephone number": Filter(search="+55 11 90000 39"),
        "an address": Filter(search="somebody399@"),
        "an identity": Filter(search="id-Name400 Family12"),
        "nobody": Filter(search="xyz"),
        "an owner": Filter(owner_agent_id=agent.id),
        "an owner team": Filter(owner_team_id=team.id),
        "unowned": Filter(owned_by=OwnedBy.NOBODY),
        "a value": Filter(fields=((field.id, "City7"),)),
        "a tag": Filter(tag_ids=(crowd["tag"],)),
        "a channel": Filter(channel_id=channel.id),
        "a word and a tag": Filter(search="family13", tag_ids=(crowd["tag"],)),
    }
    plans: list[str] = []

    async def explained(statement: str, *arguments: object) -> list[Any]:
        rows = await fetch(f"EXPLAIN ANALYZE {statement}", *arguments)
        plans.append("\n".join(row[0] for row in rows))
        return []

    monkeypatch.setattr(contact_search, "fetch", explained)
    for one in wanted.values():
        await contact_search.pages([(one,)], Bounds(51), by=by_system(workspace))

    found = dict(zip(wanted, plans, strict=True))
    assert [
        name for name, plan in found.items() if re.search(r"Seq Scan on contacts\b", plan)
    ] == []
    unserved = {name: index for name, index in SERVED_BY.items() if index not in found[name]}
    assert unserved == {}


SERVED_BY = {
    "nothing": "contacts_in_order",
    "a word": "contacts_by_word",
    "a beginning of words": "contacts_by_word",
    "a telephone number": "contacts_by_phone",
    "an address": "contacts_by_email",
    "an identity": "contact_identities_by_external_id",
    "an owner": "contacts_of_owner",
    "a value": "contacts_by_field",
}
