"""Each defect of a workflow is found and named, and what has none is published."""

from collections.abc import Iterable
from dataclasses import replace
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.base import Line
from models.contact_field import ContactField, FieldKind
from models.decision import Distribution
from models.workflow.defect import DefectKind
from models.workflow.definition import (
    CASES_MAX,
    CONDITIONS_MAX,
    NAMED_MAX,
    STEPS_MAX,
    WAITING_MINUTES_MAX,
    WORDS_MAX,
    AssignStep,
    BotOffStep,
    BotOnStep,
    BranchStep,
    Case,
    ChannelCondition,
    CloseStep,
    Condition,
    ContactFieldCondition,
    ContactTagCondition,
    Definition,
    FirstContactCondition,
    HoursCondition,
    LineCondition,
    Marked,
    Operator,
    SendMessageStep,
    SetLineStep,
    Source,
    SourceCondition,
    Step,
    TagStep,
    TextCondition,
    Trigger,
    UnassignStep,
    WebhookStep,
)
from models.workflow.facts import AgentFact, Facts, TeamFact
from models.workflow.lint import DEFECTS_MAX, lint
from models.workflow.template import BLANKS, Blank, Filling, Template, filled

GONE, HERE, IDLE, OTHER = (UUID(int=number) for number in range(1, 5))
CHOICE = ContactField(name="Size", kind=FieldKind.CHOICE, choices=["S"])
FACTS = Facts(
    teams={
        HERE: TeamFact(Line.SALES),
        IDLE: TeamFact(Line.SALES, has_members=False),
        OTHER: TeamFact(Line.SUPPORT, is_active=False),
    },
    agents={HERE: AgentFact(), IDLE: AgentFact(can_hold=False), OTHER: AgentFact(is_active=False)},
    channels={HERE: False, OTHER: True},
    tags=frozenset({HERE}),
    fields={HERE: CHOICE, OTHER: ContactField(name="Age", kind=FieldKind.NUMBER, choices=[])},
    reasons={HERE: True, OTHER: False},
)
TELL = WebhookStep(key="tell")
TAGGED = ContactTagCondition(tag_ids=(HERE,))


def with_steps(*steps: Step, trigger: Trigger = Trigger.CONVERSATION_OPENED) -> Definition:
    return Definition(trigger=trigger, steps=steps)


def asking(*conditions: Condition, trigger: Trigger = Trigger.MESSAGE_RECEIVED) -> Definition:
    return Definition(trigger=trigger, conditions=conditions, steps=(TELL,))


def assigning(**settings: Any) -> Definition:
    return with_steps(AssignStep(**{"key": "give", "team_id": HERE, **settings}))


def to_agent(id: UUID = HERE, **settings: Any) -> Definition:
    return assigning(team_id=None, agent_id=id, **settings)


def saying(text: str) -> Definition:
    return with_steps(SendMessageStep(key="say", text=text))


def field(operator: Operator, value: str | None, id: UUID = HERE) -> Definition:
    return asking(ContactFieldCondition(field_id=id, operator=operator, value=value))


def branching(*cases: Case) -> Definition:
    return with_steps(BranchStep(key="fork", cases=cases))


def on_web(step: Step) -> Definition:
    """On a channel without the support desk."""
    return replace(with_steps(step), conditions=(ChannelCondition(channel_ids=(HERE,)),))


def many(count: int) -> tuple[UUID, ...]:
    return tuple(UUID(int=number) for number in range(100, 100 + count))


K = DefectKind
DEFECTS: list[tuple[Definition, set[tuple[DefectKind, str | None]]]] = [
    (with_steps(), {(K.NO_STEPS, None)}),
    (
        with_steps(
            *[WebhookStep(key=f"{n}", next=f"{n + 1}") for n in range(STEPS_MAX)],
            WebhookStep(key=f"{STEPS_MAX}"),
        ),
        {(K.TOO_MANY_STEPS, None)},
    ),
    (asking(*[TAGGED] * (CONDITIONS_MAX + 1)), {(K.TOO_MANY_CONDITIONS, None)}),
    (
        branching(Case(conditions=(TAGGED,) * (CONDITIONS_MAX + 1))),
        {(K.TOO_MANY_CONDITIONS, "fork")},
    ),
    (branching(*[Case(conditions=(TAGGED,))] * (CASES_MAX + 1)), {(K.TOO_MANY_CASES, "fork")}),
    (branching(), {(K.NO_CASES, "fork")}),
    (branching(Case(conditions=())), {(K.CONDITION_EMPTY, "fork")}),
    (
        branching(Case(conditions=(ContactTagCondition(tag_ids=(GONE,)),))),
        {(K.TAG_MISSING, "fork")},
    ),
    (with_steps(WebhookStep(key=" ")), {(K.KEY_INVALID, " ")}),
    (with_steps(WebhookStep(key="k" * 51)), {(K.KEY_INVALID, "k" * 51)}),
    (with_steps(TELL, TELL), {(K.KEY_REPEATED, "tell")}),
    (with_steps(WebhookStep(key="a", next="b")), {(K.UNKNOWN_NEXT, "a")}),
    (branching(Case(conditions=(TAGGED,), next="b")), {(K.UNKNOWN_NEXT, "fork")}),
    (assigning(on_timeout="b"), {(K.UNKNOWN_NEXT, "give")}),
    (with_steps(TELL, WebhookStep(key="b")), {(K.UNREACHABLE_STEP, "b")}),
    (with_steps(WebhookStep(key="a", next="a")), {(K.CYCLE, "a")}),
    (
        with_steps(
            AssignStep(key="a", team_id=HERE, on_timeout="b"), WebhookStep(key="b", next="a")
        ),
        {(K.CYCLE, "a")},
    ),
    (
        with_steps(CloseStep(key="close", next="again"), CloseStep(key="again")),
        {(K.STEP_AFTER_CLOSING, "again")},
    ),
    (
        with_steps(SetLineStep(key="line", line=Line.SALES), trigger=Trigger.CONVERSATION_CLOSED),
        {(K.STEP_AFTER_CLOSING, "line")},
    ),
    (
        with_steps(CloseStep(key="close", summary="For {{customer.name}}.")),
        {(K.VARIABLE_UNKNOWN, "close")},
    ),
    (assigning(team_id=None), {(K.TARGET_MISSING, "give")}),
    (assigning(agent_id=HERE), {(K.TARGET_MISSING, "give")}),
    (assigning(team_id=GONE), {(K.TARGET_MISSING, "give")}),
    (assigning(team_id=OTHER), {(K.TARGET_INACTIVE, "give")}),
    (assigning(team_id=IDLE), {(K.TEAM_WITHOUT_MEMBERS, "give")}),
    (to_agent(GONE), {(K.TARGET_MISSING, "give")}),
    (to_agent(OTHER), {(K.TARGET_INACTIVE, "give")}),
    (to_agent(IDLE), {(K.AGENT_CANNOT_HOLD, "give")}),
    (to_agent(distribution=Distribution.LEAST_OPEN), {(K.SETTINGS_WITHOUT_TEAM, "give")}),
    (to_agent(online_only=False), {(K.SETTINGS_WITHOUT_TEAM, "give")}),
    (to_agent(max_open=1), {(K.SETTINGS_WITHOUT_TEAM, "give")}),
    (to_agent(waiting_minutes=5), {(K.SETTINGS_WITHOUT_TEAM, "give")}),
    (
        with_steps(AssignStep(key="give", agent_id=HERE, on_timeout="tell"), TELL),
        {(K.TIMEOUT_WITHOUT_TEAM, "give")},
    ),
    (assigning(distribution=Distribution.MANUAL), {(K.DISTRIBUTION_MANUAL, "give")}),
    (assigning(waiting_minutes=0), {(K.WAITING_LIMIT_OUT_OF_RANGE, "give")}),
    (
        assigning(waiting_minutes=WAITING_MINUTES_MAX + 1),
        {(K.WAITING_LIMIT_OUT_OF_RANGE, "give")},
    ),
    (assigning(max_open=0), {(K.MAX_OPEN_OUT_OF_RANGE, "give")}),
    (assigning(max_open=10_001), {(K.MAX_OPEN_OUT_OF_RANGE, "give")}),
    (on_web(SetLineStep(key="set", line=Line.SUPPORT)), {(K.LINE_NOT_SUPPORTED, "set")}),
    (
        on_web(AssignStep(key="give", team_id=OTHER)),
        {(K.LINE_NOT_SUPPORTED, "give"), (K.TARGET_INACTIVE, "give")},
    ),
    (saying(" \n"), {(K.TEXT_EMPTY, "say")}),
    (saying("é" * 32_769), {(K.TEXT_TOO_LONG, "say")}),
    (saying("{{customer.name}}"), {(K.VARIABLE_UNKNOWN, "say")}),
    (with_steps(TagStep(key="mark", tags=())), {(K.TAGS_EMPTY, "mark")}),
    (with_steps(TagStep(key="mark", tags=("VIP", " "))), {(K.TAGS_EMPTY, "mark")}),
    (with_steps(TagStep(key="mark", tags=("v" * 51,))), {(K.TAG_TOO_LONG, "mark")}),
    (with_steps(TagStep(key="mark", tags=("v",) * 21)), {(K.TOO_MANY_NAMED, "mark")}),
    (with_steps(CloseStep(key="end", reason_id=GONE)), {(K.REASON_MISSING, "end")}),
    (with_steps(CloseStep(key="end", reason_id=OTHER)), {(K.REASON_INACTIVE, "end")}),
    (with_steps(CloseStep(key="end", summary="s" * 10_001)), {(K.TEXT_TOO_LONG, "end")}),
    (asking(ChannelCondition(channel_ids=())), {(K.CONDITION_EMPTY, None)}),
    (asking(ContactTagCondition(tag_ids=())), {(K.CONDITION_EMPTY, None)}),
    (asking(TextCondition(contains=())), {(K.CONDITION_EMPTY, None)}),
    (asking(TextCondition(contains=(" ",))), {(K.CONDITION_EMPTY, None)}),
    (asking(SourceCondition(sources=())), {(K.CONDITION_EMPTY, None)}),
    (asking(ChannelCondition(channel_ids=(GONE,))), {(K.CHANNEL_MISSING, None)}),
    (asking(ContactTagCondition(tag_ids=(GONE,))), {(K.TAG_MISSING, None)}),
    (
        asking(ContactTagCondition(tag_ids=many(NAMED_MAX + 1))),
        {(K.TOO_MANY_NAMED, None), (K.TAG_MISSING, None)},
    ),
    (asking(TextCondition(contains=("x",) * (WORDS_MAX + 1))), {(K.TOO_MANY_WORDS, None)}),
    (asking(TextCondition(contains=("x" * 201,))), {(K.TEXT_TOO_LONG, None)}),
    (asking(HoursCondition(are_open=True, team_id=GONE)), {(K.TEAM_MISSING, None)}),
    (field(Operator.EQUALS, "S", GONE), {(K.FIELD_MISSING, None)}),
    (field(Operator.EQUALS, "XL"), {(K.FIELD_VALUE_INVALID, None)}),
    (field(Operator.EQUALS, None), {(K.FIELD_VALUE_INVALID, None)}),
    (field(Operator.IS_SET, "S"), {(K.FIELD_VALUE_INVALID, None)}),
    (field(Operator.AT_LEAST, "S"), {(K.FIELD_VALUE_INVALID, None)}),
    (
        asking(SourceCondition(sources=(Source.AGENT,))),
        {(K.CONDITION_NEVER_MET, None)},
    ),
    (
        asking(SourceCondition(sources=tuple(Source)), trigger=Trigger.IDLE_REMINDER),
        {(K.CONDITION_NEVER_MET, None)},
    ),
    (
        asking(LineCondition(line=Line.SALES), LineCondition(line=Line.SUPPORT)),
        {(K.CONDITION_NEVER_MET, None)},
    ),
    (
        asking(FirstContactCondition(is_first=True), FirstContactCondition(is_first=False)),
        {(K.CONDITION_NEVER_MET, None)},
    ),
    (
        with_steps(UnassignStep(key="free"), trigger=Trigger.CONTACT_TAGGED),
        {(K.STEP_WITHOUT_CONVERSATION, "free")},
    ),
    (
        with_steps(
            BranchStep(key="fork", cases=(Case(conditions=(TAGGED,), next="mark"),)),
            TagStep(key="mark", tags=("VIP",)),
            trigger=Trigger.CONTACT_TAGGED,
        ),
        {(K.STEP_WITHOUT_CONVERSATION, "mark")},
    ),
]


@pytest.mark.parametrize(("definition", "expected"), DEFECTS)
def test_a_defect_is_named_with_its_step(
    definition: Definition, expected: set[tuple[DefectKind, str | None]]
) -> None:
    found = lint(definition, FACTS)

    assert {(defect.kind, defect.step_key) for defect in found} == expected
    assert all(defect.message.endswith(".") for defect in found)


def test_every_kind_of_defect_is_tried() -> None:
    assert {kind for _, expected in DEFECTS for kind, _ in expected} == set(DefectKind)


RIGHT: list[Definition] = [
    to_agent(),
    assigning(distribution=Distribution.ROUND_ROBIN, max_open=10_000, waiting_minutes=1),
    saying("Hello {{contact.name|there}}, your plan is {{contact.field.Plan}}."),
    field(Operator.EQUALS, "S"),
    field(Operator.IS_EMPTY, None),
    field(Operator.AT_MOST, "18", OTHER),
    with_steps(
        TagStep(key="mark", tags=("VIP",), on=Marked.CONTACT), trigger=Trigger.CONTACT_TAGGED
    ),
    asking(HoursCondition(are_open=True), HoursCondition(are_open=False, team_id=HERE)),
    # One that it can begin on serves the line.
    replace(
        with_steps(SetLineStep(key="set", line=Line.SUPPORT)),
        conditions=(ChannelCondition(channel_ids=(HERE, OTHER)),),
    ),
    # Only what has a conversation gets to the steps that need one.
    replace(
        with_steps(UnassignStep(key="free"), trigger=Trigger.CONTACT_TAGGED),
        conditions=(LineCondition(line=Line.SALES),),
    ),
    with_steps(
        BranchStep(
            key="fork",
            cases=(Case(conditions=(LineCondition(line=Line.SALES),), next="free"),),
            next="tell",
        ),
        UnassignStep(key="free", next="tell"),
        TELL,
        trigger=Trigger.CONTACT_TAGGED,
    ),
    # Two ways that meet are no cycle.
    with_steps(
        AssignStep(key="give", team_id=HERE, next="tell", on_timeout="off"),
        BotOffStep(key="off", next="on"),
        BotOnStep(key="on", next="tell"),
        TELL,
    ),
    with_steps(CloseStep(key="end", reason_id=HERE, summary="Done.")),
]


@pytest.mark.parametrize("definition", RIGHT)
def test_what_can_run_has_no_defect(definition: Definition) -> None:
    assert lint(definition, FACTS) == []


FILLING = Filling(team_id=HERE, agent_id=HERE, tag_id=HERE, text="Hello.")


def only(blanks: Iterable[Blank]) -> Filling:
    names = {
        Blank.TEAM: "team_id",
        Blank.AGENT: "agent_id",
        Blank.TAG: "tag_id",
        Blank.TEXT: "text",
    }
    return Filling(**{names[blank]: getattr(FILLING, names[blank]) for blank in blanks})


@pytest.mark.parametrize("template", Template)
def test_a_template_has_no_defect_once_it_is_filled_in(template: Template) -> None:
    assert lint(filled(template, only(BLANKS[template])), FACTS) == []


@pytest.mark.parametrize("template", Template)
def test_a_blank_that_is_left_is_a_defect_unless_it_has_words_of_ours(template: Template) -> None:
    found = {defect.kind for defect in lint(filled(template, Filling()), FACTS)}

    of_blank = {
        Blank.TEAM: {K.TARGET_MISSING},
        Blank.AGENT: {K.TARGET_MISSING},
        Blank.TAG: {K.CONDITION_EMPTY},
        Blank.TEXT: set[DefectKind](),
    }
    assert found == set().union(*(of_blank[blank] for blank in BLANKS[template]))


def test_no_more_than_a_hundred_defects_are_named() -> None:
    steps = [AssignStep(key=f"{number}") for number in range(200)]

    assert len(lint(with_steps(*steps), FACTS)) == DEFECTS_MAX


keys = st.text(max_size=3)
ways = st.none() | keys
words = st.lists(st.text(max_size=5), max_size=3).map(tuple)
ids = st.sampled_from([GONE, HERE, OTHER])
some_ids = st.lists(ids, max_size=3).map(tuple)
conditions = st.lists(
    st.builds(ChannelCondition, channel_ids=some_ids)
    | st.builds(LineCondition, line=st.sampled_from(Line))
    | st.builds(ContactTagCondition, tag_ids=some_ids)
    | st.builds(ContactFieldCondition, field_id=ids, value=st.none() | st.text(max_size=5))
    | st.builds(TextCondition, contains=words)
    | st.builds(HoursCondition, team_id=st.none() | ids)
    | st.builds(FirstContactCondition)
    | st.builds(SourceCondition, sources=st.lists(st.sampled_from(Source)).map(tuple)),
    max_size=3,
).map(tuple)
steps = st.lists(
    st.builds(
        AssignStep,
        key=keys,
        next=ways,
        agent_id=st.none() | ids,
        team_id=st.none() | ids,
        distribution=st.none() | st.sampled_from(Distribution),
        online_only=st.none() | st.booleans(),
        max_open=st.none() | st.integers(-1, 20_000),
        waiting_minutes=st.integers(-1, 20_000),
        on_timeout=ways,
        reassign=st.booleans(),
    )
    | st.builds(UnassignStep, key=keys, next=ways)
    | st.builds(SendMessageStep, key=keys, next=ways)
    | st.builds(TagStep, key=keys, next=ways, tags=words, on=st.sampled_from(Marked))
    | st.builds(SetLineStep, key=keys, next=ways)
    | st.builds(CloseStep, key=keys, next=ways, reason_id=st.none() | ids)
    | st.builds(BotOnStep, key=keys, next=ways)
    | st.builds(BotOffStep, key=keys, next=ways)
    | st.builds(
        BranchStep,
        key=keys,
        next=ways,
        cases=st.lists(st.builds(Case, conditions=conditions, next=ways), max_size=2).map(tuple),
    )
    | st.builds(WebhookStep, key=keys, next=ways),
    max_size=4,
).map(tuple)
definitions = st.builds(Definition, conditions=conditions, steps=steps)


@given(definitions)
def test_a_definition_is_recalled_as_it_was_stored(definition: Definition) -> None:
    assert Definition.recall(definition.stored) == definition


@given(definitions)
def test_whatever_is_written_can_be_linted(definition: Definition) -> None:
    found = lint(definition, FACTS)

    assert len(found) <= DEFECTS_MAX
