"""How far a walk through a workflow's steps comes, without a run and without a trace."""

from uuid import UUID

import pytest

from models.base import Line
from models.workflow.condition import Facts
from models.workflow.definition import (
    AssignStep,
    BotOffStep,
    BotOnStep,
    BranchStep,
    Case,
    CloseStep,
    Condition,
    ContactTagCondition,
    Definition,
    FirstContactCondition,
    LineCondition,
    Marked,
    SendMessageStep,
    SetLineStep,
    Step,
    TagStep,
    Trigger,
    UnassignStep,
    WebhookStep,
)
from models.workflow.walk import walk

ANN, GOLD = UUID(int=1), UUID(int=2)
GIVE = AssignStep(key="give", agent_id=ANN)
OTHER = AssignStep(key="other", agent_id=ANN)
SUPPORT = LineCondition(line=Line.SUPPORT)
IS_GOLD = ContactTagCondition(tag_ids=(GOLD,))
FIRST = FirstContactCondition(is_first=True)
FACTS = Facts(line=Line.SALES, tags_named=(("gold", GOLD),), is_first=True)


def fork(*conditions: Condition, otherwise: str | None = "other") -> BranchStep:
    return BranchStep(key="fork", cases=(Case(conditions=conditions, next="give"),), next=otherwise)


WALKS: dict[str, tuple[tuple[Step, ...], AssignStep | None]] = {
    "nothing": ((), None),
    "straight to it": ((GIVE,), GIVE),
    "to the first of two": ((AssignStep(key="give", agent_id=ANN, next="other"), OTHER), GIVE),
    "past what places nobody": (
        (
            SendMessageStep(key="hi", text="Hi", next="tell"),
            WebhookStep(key="tell", next="free"),
            UnassignStep(key="free", next="people"),
            BotOffStep(key="people", next="mark"),
            TagStep(key="mark", tags=("new",), next="give"),
            GIVE,
        ),
        GIVE,
    ),
    "to the end without one": ((SendMessageStep(key="hi", text="Hi"),), None),
    "to a step that is not there": ((SendMessageStep(key="hi", text="Hi", next="gone"),), None),
    "not past a closing": ((CloseStep(key="end", next="give"), GIVE), None),
    "not past the bot": ((BotOnStep(key="bot", next="give"), GIVE), None),
    "by the case that is met": ((fork(FIRST), GIVE, OTHER), GIVE),
    "by no case": ((fork(SUPPORT), GIVE, OTHER), OTHER),
    "by no case to the end": ((fork(SUPPORT, otherwise=None), GIVE), None),
    "by a line that a step set": (
        (SetLineStep(key="line", line=Line.SUPPORT, next="fork"), fork(SUPPORT), GIVE, OTHER),
        GIVE,
    ),
    "by a tag that a step gave the contact": (
        (
            TagStep(key="mark", tags=(" gold",), on=Marked.CONTACT, next="fork"),
            fork(IS_GOLD),
            GIVE,
            OTHER,
        ),
        GIVE,
    ),
    "not by a tag of the conversation": (
        (TagStep(key="mark", tags=("gold",), next="fork"), fork(IS_GOLD), GIVE, OTHER),
        OTHER,
    ),
    "round and round for ever": (
        (WebhookStep(key="a", next="b"), WebhookStep(key="b", next="a"), GIVE),
        None,
    ),
}


def a_definition(*steps: Step, conditions: tuple[Condition, ...] = ()) -> Definition:
    return Definition(trigger=Trigger.CONVERSATION_OPENED, steps=steps, conditions=conditions)


def without_way(step: AssignStep | None) -> str | None:
    return step.key if step else None


@pytest.mark.parametrize(("steps", "expected"), WALKS.values(), ids=list(WALKS))
def test_a_walk_comes_to_the_first_assign(
    steps: tuple[Step, ...], expected: AssignStep | None
) -> None:
    walked = walk(a_definition(*steps), FACTS)

    assert without_way(walked.step) == without_way(expected)


def test_only_whose_conditions_are_met_is_walked() -> None:
    assert walk(a_definition(GIVE, conditions=(FIRST,)), FACTS).step == GIVE
    assert walk(a_definition(GIVE, conditions=(FIRST, SUPPORT)), FACTS).step is None


def test_what_the_steps_change_is_known_to_who_comes_next() -> None:
    line = SetLineStep(key="line", line=Line.SUPPORT, next="mark")
    mark = TagStep(key="mark", tags=("gold",), on=Marked.CONTACT)

    walked = walk(a_definition(line, mark), FACTS)

    assert (walked.facts.line, walked.facts.tag_ids) == (Line.SUPPORT, {GOLD})
    assert walk(a_definition(GIVE, conditions=(SUPPORT, IS_GOLD)), walked.facts).step == GIVE


def test_a_line_that_the_channel_lacks_ends_the_walk() -> None:
    line = SetLineStep(key="line", line=Line.SUPPORT, next="give")

    walked = walk(a_definition(line, GIVE), FACTS, frozenset([Line.SALES]))

    assert (walked.step, walked.facts) == (None, FACTS)
