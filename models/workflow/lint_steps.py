"""What is wrong with the single steps of a workflow."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from models import variable
from models.base import Line
from models.closure import SUMMARY_LENGTH_MAX
from models.decision import Distribution
from models.message import TEXT_BYTES_MAX
from models.tag import TAG_LENGTH_MAX, TAGS_MAX
from models.team import MAX_OPEN_MAX
from models.workflow.defect import Defect, DefectKind
from models.workflow.definition import (
    CASES_MAX,
    CONDITIONS_MAX,
    WAITING_MINUTES_MAX,
    AssignStep,
    BotOffStep,
    BotOnStep,
    BranchStep,
    Case,
    ChannelCondition,
    CloseStep,
    Condition,
    Definition,
    LineCondition,
    Marked,
    SendMessageStep,
    SetLineStep,
    Step,
    TagStep,
    Trigger,
    UnassignStep,
    WebhookStep,
    ways_on,
)
from models.workflow.facts import Facts
from models.workflow.lint_conditions import of_conditions

WAITING_MINUTES_MIN = 1
# Of what somebody wrote, in a sentence about it.
_TOLD_LENGTH_MAX = 100
Found = Iterator[tuple[DefectKind, str]]

# Whoever is tagged has perhaps no conversation that is open.
_PERHAPS_WITHOUT_CONVERSATION = frozenset({Trigger.CONTACT_TAGGED})
# These are met by conversations only.
_OF_CONVERSATIONS = (ChannelCondition, LineCondition)
# These fail once the conversation is closed.
_OF_WHAT_IS_OPEN = AssignStep | SetLineStep | CloseStep | BotOffStep


def of_step(step: Step, definition: Definition, facts: Facts) -> Iterator[Defect]:
    """The defects of one step, whatever comes before and after it."""
    for kind, message in _RULES[type(step)](step, definition, facts):
        yield Defect(kind, step.key, message)
    if isinstance(step, BranchStep):
        for case in step.cases[:CASES_MAX]:
            yield from _of_case(step.key, case, definition, facts)


def without_conversation(definition: Definition) -> Iterator[Defect]:
    """The steps that need a conversation where the run may have none.

    A condition on the channel or the line, to begin with or on the way, says that it has one.
    """
    may_lack = definition.trigger in _PERHAPS_WITHOUT_CONVERSATION
    if not may_lack or _says_conversation(definition.conditions) or not definition.steps:
        return
    seen: set[str] = set()
    ahead = [definition.steps[0].key]
    by_key = definition.by_key
    while ahead:
        step = by_key.get(ahead.pop())
        if step is None or step.key in seen:
            continue
        seen.add(step.key)
        if _needs_conversation(step):
            message = "There may be no conversation: ask for its channel or its line before."
            yield Defect(DefectKind.STEP_WITHOUT_CONVERSATION, step.key, message)
        ahead.extend(_ways_without(step))


def after_closing(definition: Definition) -> Iterator[Defect]:
    """The steps that would move or close what is closed by then: they would always fail."""
    if not definition.steps:
        return
    by_key = definition.by_key
    seen: set[tuple[str, bool]] = set()
    ahead = [(definition.steps[0].key, definition.trigger is Trigger.CONVERSATION_CLOSED)]
    while ahead:
        key, is_closed = ahead.pop()
        step = by_key.get(key)
        if step is None or (key, is_closed) in seen:
            continue
        seen.add((key, is_closed))
        if is_closed and isinstance(step, _OF_WHAT_IS_OPEN):
            message = "The conversation is closed by then."
            yield Defect(DefectKind.STEP_AFTER_CLOSING, key, message)
        is_closed = is_closed or isinstance(step, CloseStep)
        ahead.extend((following, is_closed) for following in ways_on(step))


def _ways_without(step: Step) -> list[str]:
    """The ways on that a run without a conversation may take."""
    if not isinstance(step, BranchStep):
        return list(ways_on(step))
    ways = [case.next for case in step.cases if not _says_conversation(case.conditions)]
    return [key for key in (*ways, step.next) if key is not None]


def _says_conversation(conditions: tuple[Condition, ...]) -> bool:
    return any(isinstance(condition, _OF_CONVERSATIONS) for condition in conditions)


def _needs_conversation(step: Step) -> bool:
    if isinstance(step, TagStep):
        return step.on is Marked.CONVERSATION
    return not isinstance(step, BranchStep | WebhookStep)


def _assign(step: AssignStep, definition: Definition, facts: Facts) -> Found:
    if (step.agent_id is None) == (step.team_id is None):
        yield DefectKind.TARGET_MISSING, "Say which agent or which team gets it, one of both."
        return
    yield from _to_agent(step, facts) if step.agent_id else _to_team(step, definition, facts)


def _to_agent(step: AssignStep, facts: Facts) -> Found:
    agent = facts.agents.get(step.agent_id) if step.agent_id else None
    if agent is None:
        yield DefectKind.TARGET_MISSING, "The agent is gone."
    elif not agent.is_active:
        yield DefectKind.TARGET_INACTIVE, "The agent is not active."
    elif not agent.can_hold:
        yield DefectKind.AGENT_CANNOT_HOLD, "The agent's role holds no conversations."
    settings = (step.distribution, step.online_only, step.max_open)
    if settings != (None, None, None) or step.waiting_minutes != WAITING_MINUTES_MAX:
        yield DefectKind.SETTINGS_WITHOUT_TEAM, "Only a team gives conversations out."
    if step.on_timeout is not None:
        yield DefectKind.TIMEOUT_WITHOUT_TEAM, "Only in the queue of a team does it wait."


def _to_team(step: AssignStep, definition: Definition, facts: Facts) -> Found:
    team = facts.teams.get(step.team_id) if step.team_id else None
    if team is None:
        yield DefectKind.TARGET_MISSING, "The team is gone."
    elif not team.is_active:
        yield DefectKind.TARGET_INACTIVE, "The team is not active."
    elif not team.has_members:
        yield DefectKind.TEAM_WITHOUT_MEMBERS, "Nobody in the team could get it."
    if team is not None:
        yield from _line(team.line, definition, facts)
    yield from _waiting(step)


def _waiting(step: AssignStep) -> Found:
    if step.distribution is Distribution.MANUAL:
        yield DefectKind.DISTRIBUTION_MANUAL, "A step gives it out, or says nothing of how."
    if not WAITING_MINUTES_MIN <= step.waiting_minutes <= WAITING_MINUTES_MAX:
        message = f"The waiting limit is {WAITING_MINUTES_MIN} to {WAITING_MINUTES_MAX} minutes."
        yield DefectKind.WAITING_LIMIT_OUT_OF_RANGE, message
    if step.max_open is not None and not 1 <= step.max_open <= MAX_OPEN_MAX:
        yield DefectKind.MAX_OPEN_OUT_OF_RANGE, f"maxOpen is 1 to {MAX_OPEN_MAX}, or none."


def _line(line: Line, definition: Definition, facts: Facts) -> Found:
    """Only where it is certain: it begins on named channels, and none of them has the line."""
    for condition in definition.conditions:
        if isinstance(condition, ChannelCondition) and line is Line.SUPPORT:
            known = [facts.channels[id] for id in condition.channel_ids if id in facts.channels]
            if known and not any(known):
                message = "None of the channels that it begins on serves SUPPORT."
                yield DefectKind.LINE_NOT_SUPPORTED, message


def _send(step: SendMessageStep, _definition: Definition, _facts: Facts) -> Found:
    if not step.text.strip():
        yield DefectKind.TEXT_EMPTY, "The message says nothing."
    if len(step.text.encode()) > TEXT_BYTES_MAX:
        message = f"A message has at most {TEXT_BYTES_MAX} bytes of UTF-8."
        yield DefectKind.TEXT_TOO_LONG, message
    yield from _variables(step.text)


def _variables(text: str) -> Found:
    for name in variable.unknown_in(text):
        yield DefectKind.VARIABLE_UNKNOWN, f"There is no variable {name[:_TOLD_LENGTH_MAX]}."


def _tag(step: TagStep, _definition: Definition, _facts: Facts) -> Found:
    if not step.tags or not all(tag.strip() for tag in step.tags):
        yield DefectKind.TAGS_EMPTY, "It marks with words, and none is empty."
    if len(step.tags) > TAGS_MAX:
        yield DefectKind.TOO_MANY_NAMED, f"It marks with at most {TAGS_MAX}."
    if any(len(tag) > TAG_LENGTH_MAX for tag in step.tags):
        yield DefectKind.TAG_TOO_LONG, f"A tag has at most {TAG_LENGTH_MAX} characters."


def _set_line(step: SetLineStep, definition: Definition, facts: Facts) -> Found:
    return _line(step.line, definition, facts)


def _close(step: CloseStep, _definition: Definition, facts: Facts) -> Found:
    if step.reason_id is not None:
        is_offered = facts.reasons.get(step.reason_id)
        if is_offered is None:
            yield DefectKind.REASON_MISSING, "The closing reason is gone."
        elif not is_offered:
            yield DefectKind.REASON_INACTIVE, "The closing reason is no longer offered."
    summary = step.summary or ""
    if len(summary) > SUMMARY_LENGTH_MAX:
        message = f"A summary has at most {SUMMARY_LENGTH_MAX} characters."
        yield DefectKind.TEXT_TOO_LONG, message
    yield from _variables(summary)


def _branch(step: BranchStep, _definition: Definition, _facts: Facts) -> Found:
    if not step.cases:
        yield DefectKind.NO_CASES, "The branch goes nowhere: add a case."
    if len(step.cases) > CASES_MAX:
        yield DefectKind.TOO_MANY_CASES, f"A branch has at most {CASES_MAX} cases."


def _of_case(key: str, case: Case, definition: Definition, facts: Facts) -> Iterator[Defect]:
    if not case.conditions:
        message = "A case without conditions is always taken: say what it asks for."
        yield Defect(DefectKind.CONDITION_EMPTY, key, message)
    if len(case.conditions) > CONDITIONS_MAX:
        message = f"A case has at most {CONDITIONS_MAX} conditions."
        yield Defect(DefectKind.TOO_MANY_CONDITIONS, key, message)
    yield from of_conditions(key, case.conditions, definition.trigger, facts)


def _nothing(_step: Any, _definition: Definition, _facts: Facts) -> Found:
    return iter(())


_RULES: Mapping[type, Callable[[Any, Definition, Facts], Found]] = {
    AssignStep: _assign,
    UnassignStep: _nothing,
    SendMessageStep: _send,
    TagStep: _tag,
    SetLineStep: _set_line,
    CloseStep: _close,
    BotOnStep: _nothing,
    BotOffStep: _nothing,
    BranchStep: _branch,
    WebhookStep: _nothing,
}
