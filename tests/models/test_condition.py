"""What conditions are met by, kind by kind; and what is read to answer them."""

from typing import Any
from uuid import UUID, uuid4

import orjson
import pytest

from models import Contact, Workspace, closing
from models.base import Line
from models.contact_field import FieldKind, written
from models.database import encode, tx
from models.hours import BusinessHours, Interval
from models.reopening import reopen
from models.team import Team
from models.workflow.condition import Facts, Value, met, read, says
from models.workflow.definition import (
    ChannelCondition,
    Condition,
    ContactFieldCondition,
    ContactTagCondition,
    Definition,
    FirstContactCondition,
    HoursCondition,
    LineCondition,
    Marked,
    Match,
    Operator,
    Source,
    SourceCondition,
    TagStep,
    TextCondition,
    Trigger,
)
from tests.factories import (
    a_channel,
    a_contact,
    a_contact_field,
    a_conversation,
    a_message,
    a_tag,
    a_team,
    an_agent,
    by_system,
    working,
)

HERE, THERE, GOLD, NEW, FIELD, NIGHT = (UUID(int=number) for number in range(1, 7))
URGENT = TextCondition(contains=("urgent",))


def has(kind: FieldKind, value: str | None) -> Facts:
    return Facts(values=(Value(field_id=FIELD, kind=kind, value=value),))


def field(operator: Operator, value: str | None = None) -> ContactFieldCondition:
    return ContactFieldCondition(field_id=FIELD, operator=operator, value=value)


def tags(match: Match, *ids: UUID) -> ContactTagCondition:
    return ContactTagCondition(tag_ids=ids, match=match)


BOTH = Facts(tag_ids=frozenset({GOLD, NEW}))
ONE = Facts(tag_ids=frozenset({GOLD}))
SAID = Facts(texts_met=(URGENT,))
NIGHT_SHIFT = Facts(is_open=False, open_team_ids=frozenset({NIGHT}))

ANSWERS: list[tuple[Condition, Facts, bool]] = [
    (ChannelCondition(channel_ids=(HERE, THERE)), Facts(channel_id=THERE), True),
    (ChannelCondition(channel_ids=(HERE,)), Facts(channel_id=THERE), False),
    (ChannelCondition(channel_ids=(HERE,)), Facts(), False),
    (LineCondition(line=Line.SALES), Facts(line=Line.SALES), True),
    (LineCondition(line=Line.SALES), Facts(line=Line.SUPPORT), False),
    (LineCondition(line=Line.SALES), Facts(), False),
    (SourceCondition(sources=(Source.AGENT, Source.CONTACT)), Facts(source=Source.CONTACT), True),
    (SourceCondition(sources=(Source.AGENT,)), Facts(source=Source.CONTACT), False),
    (SourceCondition(sources=(Source.AGENT,)), Facts(), False),
    (tags(Match.ANY, GOLD, NEW), ONE, True),
    (tags(Match.ANY, NEW), ONE, False),
    (tags(Match.ALL, GOLD, NEW), BOTH, True),
    (tags(Match.ALL, GOLD, NEW), ONE, False),
    (tags(Match.NONE, NEW), ONE, True),
    (tags(Match.NONE, GOLD, NEW), ONE, False),
    (URGENT, SAID, True),
    (URGENT, Facts(), False),
    (HoursCondition(are_open=True), Facts(), True),
    (HoursCondition(are_open=True), NIGHT_SHIFT, False),
    (HoursCondition(are_open=False), NIGHT_SHIFT, True),
    (HoursCondition(are_open=True, team_id=NIGHT), NIGHT_SHIFT, True),
    (HoursCondition(are_open=False, team_id=NIGHT), NIGHT_SHIFT, False),
    (HoursCondition(are_open=False, team_id=NIGHT), Facts(), True),
    (FirstContactCondition(is_first=True), Facts(is_first=True), True),
    (FirstContactCondition(is_first=True), Facts(), False),
    (FirstContactCondition(is_first=False), Facts(), True),
]


@pytest.mark.parametrize(("condition", "facts", "expected"), ANSWERS)
def test_each_kind_of_condition_is_met_or_not(
    condition: Condition, facts: Facts, expected: bool
) -> None:
    assert met([condition], facts) is expected


@pytest.mark.parametrize(
    ("kind", "value", "operator", "asked", "expected"),
    [
        (FieldKind.TEXT, "gold", Operator.EQUALS, " gold ", True),
        (FieldKind.TEXT, "gold", Operator.EQUALS, "Gold", False),
        (FieldKind.TEXT, "gold", Operator.DIFFERS, "silver", True),
        (FieldKind.CHOICE, "gold", Operator.EQUALS, "gold", True),
        (FieldKind.CHOICE, "gold", Operator.DIFFERS, "gold", False),
        # As text 9 would be more than 10, and 1.50 something else than 1.5.
        (FieldKind.NUMBER, "9", Operator.AT_LEAST, "10", False),
        (FieldKind.NUMBER, "9", Operator.AT_MOST, "10", True),
        (FieldKind.NUMBER, "-3", Operator.AT_LEAST, "-10", True),
        (FieldKind.NUMBER, "1.5", Operator.EQUALS, "1.50", True),
        (FieldKind.NUMBER, "10", Operator.AT_LEAST, "10", True),
        (FieldKind.NUMBER, "10", Operator.AT_MOST, "10", True),
        (FieldKind.NUMBER, "10", Operator.AT_LEAST, "many", False),
        (FieldKind.NUMBER, "10", Operator.AT_LEAST, "NaN", False),
        (FieldKind.NUMBER, "10", Operator.DIFFERS, "many", True),
        (FieldKind.DATE, "2026-03-01", Operator.AT_LEAST, "2026-02-28", True),
        (FieldKind.DATE, "2026-03-01", Operator.AT_MOST, "2026-02-28", False),
        (FieldKind.DATE, "2026-03-01", Operator.EQUALS, "2026-03-01", True),
        (FieldKind.DATE, "2026-03-01", Operator.EQUALS, "soon", False),
        (FieldKind.TEXT, "gold", Operator.IS_SET, None, True),
        (FieldKind.TEXT, "gold", Operator.IS_EMPTY, None, False),
        (FieldKind.TEXT, None, Operator.IS_SET, None, False),
        (FieldKind.TEXT, None, Operator.IS_EMPTY, None, True),
        (FieldKind.NUMBER, None, Operator.EQUALS, "0", False),
        (FieldKind.NUMBER, None, Operator.DIFFERS, "0", True),
        (FieldKind.NUMBER, None, Operator.AT_LEAST, "0", False),
        (FieldKind.NUMBER, None, Operator.AT_MOST, "0", False),
    ],
)
def test_a_value_compares_as_what_its_field_holds(
    kind: FieldKind, value: str | None, operator: Operator, asked: str | None, expected: bool
) -> None:
    assert met([field(operator, asked)], has(kind, value)) is expected


def test_a_field_that_is_gone_is_an_empty_one() -> None:
    assert met([field(Operator.IS_EMPTY), field(Operator.DIFFERS, "x")], Facts())


def test_all_are_to_be_met_and_none_ask_for_nothing() -> None:
    both = [LineCondition(line=Line.SALES), FirstContactCondition(is_first=True)]

    assert met([], Facts())
    assert met(both, Facts(line=Line.SALES, is_first=True))
    assert not met(both, Facts(line=Line.SALES))


@pytest.mark.parametrize(
    ("text", "phrase", "expected"),
    [
        ("It is URGENT!", "urgent", True),
        ("Urgently", "urgent", False),
        ("I want to  cancel\nmy order", "Cancel my order", True),
        ("cancel", "cancel my order", False),
        ("Straße", "STRASSE", True),
        ("Cafe\u0301", "café", True),
        ("order 124", "24", False),
        ("24/7", "24", True),
        ("R$ 10?", "R$", True),
        ("我要退款了", "退款", True),
        ("anything", " ", False),
        ("a.c", "a.c", True),
        ("abc", "a.c", False),
    ],
)
def test_a_text_has_whole_words_whatever_their_case(text: str, phrase: str, expected: bool) -> None:
    assert says(text, TextCondition(contains=("never said", phrase))) is expected


def test_stored_facts_are_the_same_again_and_hold_no_text() -> None:
    facts = Facts(
        channel_id=HERE,
        line=Line.SUPPORT,
        source=Source.WORKFLOW,
        tag_ids=frozenset({GOLD}),
        tags_named=(("new", NEW),),
        values=(Value(field_id=FIELD, kind=FieldKind.DATE, value="2026-03-01"),),
        texts_met=(URGENT,),
        is_open=False,
        open_team_ids=frozenset({NIGHT}),
        is_first=True,
    )

    assert Facts.recall(orjson.loads(encode(facts.stored))) == facts


# -- Read


async def asked(workspace: Workspace, *conditions: Condition, **known: Any) -> Facts:
    """What is so of a contact, as workflows with these conditions ask for it."""
    definition = Definition(
        trigger=Trigger.CONVERSATION_OPENED,
        conditions=conditions,
        steps=(TagStep(key="mark", tags=("VIP", "unheard of"), on=Marked.CONTACT),),
    )
    unknown: dict[str, Any] = dict.fromkeys(
        ("contact_id", "conversation_id", "channel_id", "line", "source")
    )
    async with tx() as transaction:
        return await read(
            transaction,
            workspace_id=workspace.id,
            definitions=[definition],
            **{**unknown, **known},
        )


async def test_what_is_known_of_the_contact_is_read(workspace: Workspace) -> None:
    contact = await a_contact(await a_channel(workspace))
    vip, other = await a_tag(workspace, name="vip", of=[contact]), await a_tag(workspace)
    spent = await a_contact_field(workspace, kind=FieldKind.NUMBER)
    since = await a_contact_field(workspace, kind=FieldKind.DATE)
    async with tx():
        values = await written({}, [(spent.id, "007.50")], by=by_system(workspace))
        await Contact.filter(id=contact.id).update(field_values=values)

    facts = await asked(
        workspace,
        tags(Match.ALL, vip, other),
        ContactFieldCondition(field_id=spent.id, operator=Operator.AT_LEAST, value="7.5"),
        ContactFieldCondition(field_id=since.id, operator=Operator.IS_EMPTY),
        contact_id=contact.id,
    )

    assert facts.tag_ids == {vip}
    assert facts.tags_named == (("VIP", vip),)
    assert {(it.field_id, it.kind, it.value) for it in facts.values} == {
        (spent.id, FieldKind.NUMBER, "7.5"),
        (since.id, FieldKind.DATE, None),
    }


async def test_only_what_is_asked_for_is_read(workspace: Workspace) -> None:
    contact = await a_contact(await a_channel(workspace))
    await a_tag(workspace, of=[contact])

    facts = await asked(workspace, FirstContactCondition(is_first=True), contact_id=contact.id)

    assert (facts.tag_ids, facts.values, facts.texts_met) == (frozenset(), (), ())


@pytest.mark.parametrize("which", ["given", "of the message", "the last"])
async def test_the_text_is_the_one_that_it_is_about(workspace: Workspace, which: str) -> None:
    channel = await a_channel(workspace, agent=await an_agent(workspace))
    first = await a_message(channel, sender="ada", text="First")
    await a_message(channel, sender="ada", text="Last")
    async with working(first.conversation_id, by=by_system(workspace)) as conversation:
        await conversation.send("Answered", by=by_system(workspace))
    known = {
        "given": {"text": "Given"},
        "of the message": {"message_id": first.message_id},
        "the last": {},
    }
    words = {word: TextCondition(contains=(word,)) for word in ("given", "first", "last")}

    facts = await asked(
        workspace,
        *words.values(),
        conversation_id=first.conversation_id,
        contact_id=conversation.contact_id,
        **known[which],
    )

    expected = {"given": "given", "of the message": "first", "the last": "last"}[which]
    assert facts.texts_met == (words[expected],)


async def test_hours_are_the_teams_own_or_those_of_the_workspace(workspace: Workspace) -> None:
    never = BusinessHours.of("UTC", []).stored()
    always = BusinessHours.of("UTC", [Interval(day, 0, 1_440) for day in range(1, 8)]).stored()
    by = by_system(workspace)
    day, night, rival = [await a_team(workspace) for _ in range(3)]
    await Workspace.change(by=by, business_hours=never)
    await Team.change(night.id, by=by, business_hours=always)

    facts = await asked(
        workspace,
        *(HoursCondition(are_open=True, team_id=team.id) for team in (day, night)),
    )

    assert (facts.is_open, facts.open_team_ids) == (False, {night.id})
    assert rival.id not in facts.open_team_ids


async def test_a_conversation_is_the_first_until_it_closed(workspace: Workspace) -> None:
    agent, by = await an_agent(workspace), by_system(workspace)
    channels = [await a_channel(workspace, agent=agent) for _ in range(2)]
    contact = await a_contact(*channels)
    condition = FirstContactCondition(is_first=True)

    async def is_first(conversation_id: UUID | None) -> bool:
        facts = await asked(
            workspace, condition, contact_id=contact.id, conversation_id=conversation_id
        )
        return met([condition], facts)

    before = await is_first(None)
    one, two = [
        (await a_conversation(workspace, channel=channel, sender="ada")).id for channel in channels
    ]
    found = [before, await is_first(None), await is_first(one), await is_first(two)]
    async with working(one, by=by) as conversation:
        await closing.close(conversation, by=by)
    found.append(await is_first(one))
    await reopen(one, by=by)
    found.append(await is_first(one))

    assert found == [True, False, True, False, True, False]


async def test_a_stranger_is_there_for_the_first_time(workspace: Workspace) -> None:
    facts = await asked(workspace, FirstContactCondition(is_first=True), tags(Match.NONE, uuid4()))

    assert facts.is_first
    assert facts.tag_ids == frozenset()
