"""What is wrong with the conditions of a workflow, or of a case of a branch."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any
from uuid import UUID

from models.contact_field import VALUE_LENGTH_MAX, FieldKind
from models.workflow.defect import Defect, DefectKind
from models.workflow.definition import (
    CONDITIONS_MAX,
    NAMED_MAX,
    WORDS_MAX,
    ChannelCondition,
    Condition,
    ContactFieldCondition,
    ContactTagCondition,
    FirstContactCondition,
    HoursCondition,
    LineCondition,
    Operator,
    Source,
    SourceCondition,
    TextCondition,
    Trigger,
)
from models.workflow.facts import Facts

WORD_LENGTH_MAX = 200
Found = Iterator[tuple[DefectKind, str]]

# Who can be behind a trigger; the others can come from anybody.
_SOURCES: Mapping[Trigger, frozenset[Source]] = {
    Trigger.CONVERSATION_CLOSED: frozenset({Source.AGENT, Source.WORKFLOW}),
    Trigger.MESSAGE_RECEIVED: frozenset({Source.CONTACT}),
    Trigger.CONTACT_TAGGED: frozenset({Source.AGENT, Source.WORKFLOW}),
    Trigger.IDLE_REMINDER: frozenset(),
    Trigger.MANUAL: frozenset({Source.AGENT}),
}
_WITHOUT_VALUE = (Operator.IS_SET, Operator.IS_EMPTY)
_COMPARING = (Operator.AT_LEAST, Operator.AT_MOST)
_COMPARED = (FieldKind.NUMBER, FieldKind.DATE)


def of_conditions(
    key: str | None, conditions: tuple[Condition, ...], trigger: Trigger, facts: Facts
) -> Iterator[Defect]:
    """The defects of conditions that must all be met, with the key of the step that has them."""
    for condition in conditions[:CONDITIONS_MAX]:
        for kind, message in _RULES[type(condition)](condition, trigger, facts):
            yield Defect(kind, key, message)
    if _contradicts(conditions):
        message = "These conditions are never met together."
        yield Defect(DefectKind.CONDITION_NEVER_MET, key, message)


def _contradicts(conditions: Iterable[Condition]) -> bool:
    """Whether two of them say the opposite of one thing."""
    said: dict[object, object] = {}
    for condition in conditions:
        for subject, value in _SAYS.get(type(condition), _nothing)(condition):
            if said.setdefault(subject, value) != value:
                return True
    return False


def _nothing(_condition: Any) -> list[tuple[object, object]]:
    return []


_SAYS: Mapping[type, Callable[[Any], list[tuple[object, object]]]] = {
    LineCondition: lambda it: [("line", it.line)],
    FirstContactCondition: lambda it: [("first", it.is_first)],
    HoursCondition: lambda it: [(("hours", it.team_id), it.are_open)],
}


def _named(ids: Iterable[UUID], known: Iterable[UUID], kind: DefectKind, what: str) -> Found:
    """Of a list of ids: whether there are any, not too many, and none that is gone."""
    named = set(ids)
    if not named:
        yield DefectKind.CONDITION_EMPTY, f"The condition names no {what}."
    if len(named) > NAMED_MAX:
        yield DefectKind.TOO_MANY_NAMED, f"A condition names at most {NAMED_MAX}."
    if named - set(known):
        yield kind, f"A {what} that the condition names is gone."


def _channels(condition: ChannelCondition, _trigger: Trigger, facts: Facts) -> Found:
    return _named(condition.channel_ids, facts.channels, DefectKind.CHANNEL_MISSING, "channel")


def _tags(condition: ContactTagCondition, _trigger: Trigger, facts: Facts) -> Found:
    return _named(condition.tag_ids, facts.tags, DefectKind.TAG_MISSING, "tag")


def _field(condition: ContactFieldCondition, _trigger: Trigger, facts: Facts) -> Found:
    field = facts.fields.get(condition.field_id)
    if field is None:
        yield DefectKind.FIELD_MISSING, "The field that the condition names is gone."
        return
    value = condition.value
    if condition.operator in _WITHOUT_VALUE:
        if value is not None:
            yield DefectKind.FIELD_VALUE_INVALID, "Being set or empty compares with no value."
        return
    if value is None or len(value) > VALUE_LENGTH_MAX or field.canonical(value) is None:
        yield DefectKind.FIELD_VALUE_INVALID, f"The field takes a {field.kind}."
    elif condition.operator in _COMPARING and field.kind not in _COMPARED:
        yield DefectKind.FIELD_VALUE_INVALID, f"A {field.kind} is not more or less than another."


def _text(condition: TextCondition, _trigger: Trigger, _facts: Facts) -> Found:
    if not condition.contains or not all(word.strip() for word in condition.contains):
        yield DefectKind.CONDITION_EMPTY, "The condition looks for words, and none is empty."
    if len(condition.contains) > WORDS_MAX:
        yield DefectKind.TOO_MANY_WORDS, f"A condition looks for at most {WORDS_MAX}."
    if any(len(word) > WORD_LENGTH_MAX for word in condition.contains):
        yield DefectKind.TEXT_TOO_LONG, f"A word has at most {WORD_LENGTH_MAX} characters."


def _hours(condition: HoursCondition, _trigger: Trigger, facts: Facts) -> Found:
    team = facts.teams.get(condition.team_id) if condition.team_id else None
    if condition.team_id is not None and (team is None or not team.is_active):
        yield DefectKind.TEAM_MISSING, "The team whose hours count is gone."


def _source(condition: SourceCondition, trigger: Trigger, _facts: Facts) -> Found:
    if not condition.sources:
        yield DefectKind.CONDITION_EMPTY, "The condition names no source."
    elif not _SOURCES.get(trigger, frozenset(Source)) & set(condition.sources):
        yield DefectKind.CONDITION_NEVER_MET, f"{trigger} never comes from there."


def _always_right(_condition: Any, _trigger: Trigger, _facts: Facts) -> Found:
    return iter(())


_RULES: Mapping[type, Callable[[Any, Trigger, Facts], Found]] = {
    ChannelCondition: _channels,
    LineCondition: _always_right,
    ContactTagCondition: _tags,
    ContactFieldCondition: _field,
    TextCondition: _text,
    HoursCondition: _hours,
    FirstContactCondition: _always_right,
    SourceCondition: _source,
}
