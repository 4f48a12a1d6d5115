"""Segments: saved filters that answer whatever became of what they name."""

import asyncio
from typing import Any
from uuid import uuid4

import pytest

from models import (
    Agent,
    Channel,
    Contact,
    ContactField,
    Segment,
    Workspace,
    contact_search,
    segment,
)
from models.access import Actor, Role
from models.contact_field import FieldKind
from models.contact_search import Bounds, Filter, OwnedBy
from models.database import fetch
from models.errors import FieldValueInvalid, Forbidden, LimitReached, NameTaken, NotFound
from tests.factories import (
    a_channel,
    a_contact,
    a_contact_field,
    a_segment,
    a_tag,
    a_team,
    a_workspace,
    an_agent,
    as_agent,
    by_system,
)


@pytest.fixture
async def channel(workspace: Workspace) -> Channel:
    return await a_channel(workspace)


async def contacts_of(saved: Segment, by: Actor) -> set[str]:
    wanted = Filter.recall((await Segment.get(id=saved.id)).wanted)
    [rows] = await contact_search.pages([(wanted,)], Bounds(100), by=by)
    names = await Contact.filter(id__in=[row["id"] for row in rows]).values_list("name", flat=True)
    return {str(name) for name in names}


async def everything(workspace: Workspace, channel: Channel) -> dict[str, Any]:
    """A filter with every condition, which one contact meets, and what it names."""
    field, agent = await a_contact_field(workspace), await an_agent(workspace)
    ada = await a_contact(channel, sender="1", name="Ada Lovelace", owner_agent=agent)
    await Contact.change(ada.id, by=by_system(workspace), values=[(field.id, "Lima")])
    tag_id = await a_tag(workspace, of=[ada])
    filter = Filter(
        search="ada",
        tag_ids=(tag_id,),
        owned_by=OwnedBy.ANYBODY,
        owner_agent_id=agent.id,
        fields=((field.id, "Lima"),),
        channel_id=channel.id,
    )
    return {"filter": filter, "field": field, "agent": agent, "tag_id": tag_id}


async def test_a_segment_keeps_every_condition(workspace: Workspace, channel: Channel) -> None:
    filter = (await everything(workspace, channel))["filter"]
    await a_contact(channel, sender="2", name="Ada Byron")

    saved = await a_segment(workspace, filter=filter)

    assert Filter.recall(saved.wanted) == filter
    assert await contacts_of(saved, by_system(workspace)) == {"Ada Lovelace"}


@pytest.mark.parametrize("gone", ["field", "tag", "agent"])
async def test_a_segment_answers_when_what_it_names_is_gone(
    workspace: Workspace, channel: Channel, gone: str
) -> None:
    found = await everything(workspace, channel)
    saved = await a_segment(workspace, filter=found["filter"])
    by = by_system(workspace)

    if gone == "field":
        await ContactField.remove(found["field"].id, by=by)
    elif gone == "tag":
        await fetch("DELETE FROM contact_tags")
        await fetch("DELETE FROM tags")
    else:
        await Agent.filter(id=found["agent"].id).update(is_active=False)
        await fetch("UPDATE contacts SET owner_agent_id = NULL")

    assert await contacts_of(saved, by) == set()


async def test_a_choice_that_is_no_longer_offered_is_had_by_nobody(workspace: Workspace) -> None:
    field = await a_contact_field(workspace, kind=FieldKind.CHOICE, choices=["S", "L"])
    saved = await a_segment(workspace, filter=Filter(fields=((field.id, "L"),)))

    await ContactField.change(field.id, by=by_system(workspace), choices=["S"])

    assert await contacts_of(saved, by_system(workspace)) == set()


async def test_what_a_segment_names_must_be_there_when_it_is_saved(
    workspace: Workspace, channel: Channel
) -> None:
    other = await a_workspace("Another")
    foreign = {
        "tagIds": Filter(tag_ids=(await a_tag(other),)),
        "ownerAgentId": Filter(owner_agent_id=(await an_agent(other)).id),
        "ownerTeamId": Filter(owner_team_id=(await a_team(other)).id),
        "channelId": Filter(channel_id=(await a_channel(other)).id),
        "fields": Filter(fields=(((await a_contact_field(other)).id, "x"),)),
    }
    saved = await a_segment(workspace)

    for name, filter in foreign.items():
        with pytest.raises(NotFound) as on_creation:
            await a_segment(workspace, filter=filter)
        with pytest.raises(NotFound) as on_change:
            await Segment.change(saved.id, by=by_system(workspace), filter=filter)
        assert on_creation.value.path == on_change.value.path == f"input.filter.{name}"


async def test_a_segment_keeps_values_in_their_one_spelling(workspace: Workspace) -> None:
    field = await a_contact_field(workspace, kind=FieldKind.NUMBER)

    saved = await a_segment(workspace, filter=Filter(fields=((field.id, "1.50"),)))

    assert saved.wanted == {"fields": [[str(field.id), "1.5"]]}
    with pytest.raises(FieldValueInvalid) as refused:
        await a_segment(workspace, filter=Filter(fields=((field.id, "many"),)))
    assert refused.value.path == "input.filter.fields"


async def test_mine_in_a_segment_are_those_of_whoever_reads_it(
    workspace: Workspace, channel: Channel
) -> None:
    first, second = (
        await an_agent(workspace, role=Role.OPERATOR),
        await an_agent(workspace, role=Role.OPERATOR),
    )
    await a_contact(channel, sender="1", name="First's", owner_agent=first)
    await a_contact(channel, sender="2", name="Second's", owner_agent=second)
    saved = await a_segment(workspace, filter=Filter(owned_by=OwnedBy.ME))

    assert await contacts_of(saved, as_agent(first)) == {"First's"}
    assert await contacts_of(saved, as_agent(second)) == {"Second's"}


async def test_a_segment_is_renamed_changed_and_forgotten(workspace: Workspace) -> None:
    by = by_system(workspace)
    saved = await a_segment(workspace, name="Ladies")
    await a_segment(workspace, name="Others")

    await Segment.change(saved.id, by=by, name="Ladies", filter=Filter())
    await Segment.change(saved.id, by=by, filter=Filter(search="ada"))
    with pytest.raises(NameTaken):
        await Segment.change(saved.id, by=by, name="OTHERS")
    with pytest.raises(NameTaken):
        await a_segment(workspace, name="others")
    changed = await Segment.get(id=saved.id)
    await Segment.remove(saved.id, by=by)

    assert (changed.name, changed.wanted) == ("Ladies", {"search": "ada"})
    for command in (Segment.remove, Segment.change):
        with pytest.raises(NotFound):
            await command(saved.id, by=by)
    rows = await fetch("SELECT kind FROM events WHERE data ->> 'segment' = $1", str(saved.id))
    assert [row["kind"] for row in rows] == [
        "SEGMENT_CREATED",
        "SEGMENT_UPDATED",
        "SEGMENT_DELETED",
    ]


async def test_there_are_only_so_many_segments_even_at_once(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(segment, "SEGMENTS_MAX", 2)

    outcomes = await asyncio.gather(
        *[a_segment(workspace) for _ in range(5)], return_exceptions=True
    )

    assert sum(isinstance(outcome, LimitReached) for outcome in outcomes) == 3
    assert await Segment.all().count() == 2


@pytest.mark.parametrize("role", [Role.AGENT, Role.AUDITOR])
async def test_who_only_reads_saves_nothing(workspace: Workspace, role: Role) -> None:
    by = as_agent(await an_agent(workspace, role=role, connected=False))
    saved = await a_segment(workspace)

    for command in (
        Segment.add(by=by, name="Mine", filter=Filter()),
        Segment.change(saved.id, by=by, name="Mine"),
        Segment.remove(saved.id, by=by),
    ):
        with pytest.raises(Forbidden):
            await command


async def test_a_segment_of_another_company_is_not_there(workspace: Workspace) -> None:
    foreign = await a_segment(await a_workspace("Another"))

    with pytest.raises(NotFound):
        await Segment.remove(foreign.id, by=by_system(workspace))
    assert await Segment.visible_to(by_system(workspace)).get_or_none(id=foreign.id) is None
    assert await Segment.visible_to(by_system(workspace)).get_or_none(id=uuid4()) is None
