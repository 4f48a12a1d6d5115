"""Workflows to begin with: copied with their blanks filled in, and then edited like any other."""

from dataclasses import dataclass
from enum import StrEnum
from uuid import UUID

from models.decision import Distribution
from models.errors import BadUserInput
from models.workflow.definition import (
    AssignStep,
    BotOnStep,
    BranchStep,
    Case,
    CloseStep,
    ContactTagCondition,
    Definition,
    HoursCondition,
    SendMessageStep,
    Source,
    SourceCondition,
    Trigger,
    UnassignStep,
)


class Template(StrEnum):
    """A workflow to copy."""

    ROUND_ROBIN_ONLINE = "ROUND_ROBIN_ONLINE"
    LEAST_OPEN = "LEAST_OPEN"
    DEDICATED_AGENT = "DEDICATED_AGENT"
    TEAM_FIRST = "TEAM_FIRST"
    WELCOME_MESSAGE = "WELCOME_MESSAGE"
    OUT_OF_HOURS_MESSAGE = "OUT_OF_HOURS_MESSAGE"
    ALL_BUSY_MESSAGE = "ALL_BUSY_MESSAGE"
    AGENT_ASSIGNED_MESSAGE = "AGENT_ASSIGNED_MESSAGE"
    UNASSIGN_ON_CLOSE = "UNASSIGN_ON_CLOSE"
    CLOSE_AND_BOT_ON = "CLOSE_AND_BOT_ON"


class Blank(StrEnum):
    """What is filled in when a template is copied; a text has words of ours until then."""

    TEAM = "TEAM"
    AGENT = "AGENT"
    TAG = "TAG"
    TEXT = "TEXT"


BLANKS: dict[Template, tuple[Blank, ...]] = {
    Template.ROUND_ROBIN_ONLINE: (Blank.TEAM,),
    Template.LEAST_OPEN: (Blank.TEAM,),
    Template.DEDICATED_AGENT: (Blank.AGENT, Blank.TAG),
    Template.TEAM_FIRST: (Blank.TEAM, Blank.TAG),
    Template.WELCOME_MESSAGE: (Blank.TEXT,),
    Template.OUT_OF_HOURS_MESSAGE: (Blank.TEXT,),
    Template.ALL_BUSY_MESSAGE: (Blank.TEXT,),
    Template.AGENT_ASSIGNED_MESSAGE: (Blank.TEXT,),
    Template.UNASSIGN_ON_CLOSE: (),
    Template.CLOSE_AND_BOT_ON: (),
}
_TEXTS = {
    Template.WELCOME_MESSAGE: "Hello {{contact.name|there}}, thank you for writing to "
    "{{workspace.name}}. Somebody will answer you shortly.",
    Template.OUT_OF_HOURS_MESSAGE: "Thank you for your message. We are closed at the moment, and "
    "will answer you once we are open again.",
    Template.ALL_BUSY_MESSAGE: "Everybody is helping somebody else at the moment. You keep your "
    "place, and it is your turn soon.",
    Template.AGENT_ASSIGNED_MESSAGE: "You are talking to {{agent.name|our team}} now.",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Filling:
    """What the blanks of a template are filled in with; what is left out stays blank."""

    team_id: UUID | None = None
    agent_id: UUID | None = None
    tag_id: UUID | None = None
    text: str | None = None

    @property
    def by_blank(self) -> dict[Blank, UUID | str]:
        given = {
            Blank.TEAM: self.team_id,
            Blank.AGENT: self.agent_id,
            Blank.TAG: self.tag_id,
            Blank.TEXT: self.text,
        }
        return {blank: value for blank, value in given.items() if value is not None}


def filled(template: Template, filling: Filling) -> Definition:
    """The template's definition with its blanks filled in; one that is left is a defect.

    Raises BadUserInput for what the template has no blank for.
    """
    for blank in filling.by_blank:
        if blank not in BLANKS[template]:
            path = "input.text" if blank is Blank.TEXT else f"input.{blank.lower()}Id"
            raise BadUserInput(f"{template} has no {blank.lower()} to fill in.", path=path)
    return _DEFINITIONS[template](template, filling)


def _round_robin(_template: Template, filling: Filling) -> Definition:
    return Definition(trigger=Trigger.CONVERSATION_OPENED, steps=(_in_turn(filling),))


def _least_open(_template: Template, filling: Filling) -> Definition:
    assign = AssignStep(
        key="assign",
        team_id=filling.team_id,
        distribution=Distribution.LEAST_OPEN,
        online_only=False,
    )
    return Definition(trigger=Trigger.CONVERSATION_OPENED, steps=(assign,))


def _dedicated(_template: Template, filling: Filling) -> Definition:
    return Definition(
        trigger=Trigger.CONVERSATION_OPENED,
        conditions=(_tagged(filling),),
        steps=(AssignStep(key="assign", agent_id=filling.agent_id),),
    )


def _team_first(_template: Template, filling: Filling) -> Definition:
    route = BranchStep(key="route", cases=(Case(conditions=(_tagged(filling),), next="assign"),))
    return Definition(trigger=Trigger.CONVERSATION_OPENED, steps=(route, _in_turn(filling)))


def _welcome(template: Template, filling: Filling) -> Definition:
    return Definition(
        trigger=Trigger.CONVERSATION_OPENED,
        conditions=(SourceCondition(sources=(Source.CONTACT,)), HoursCondition(are_open=True)),
        steps=(_message(template, filling),),
    )


def _out_of_hours(template: Template, filling: Filling) -> Definition:
    return Definition(
        trigger=Trigger.CONVERSATION_OPENED,
        conditions=(SourceCondition(sources=(Source.CONTACT,)), HoursCondition(are_open=False)),
        steps=(_message(template, filling),),
    )


def _all_busy(template: Template, filling: Filling) -> Definition:
    return Definition(
        trigger=Trigger.NOBODY_ELIGIBLE,
        conditions=(HoursCondition(are_open=True),),
        steps=(_message(template, filling),),
    )


def _agent_assigned(template: Template, filling: Filling) -> Definition:
    return Definition(trigger=Trigger.AGENT_ASSIGNED, steps=(_message(template, filling),))


def _unassign(_template: Template, _filling: Filling) -> Definition:
    return Definition(trigger=Trigger.CONVERSATION_CLOSED, steps=(UnassignStep(key="unassign"),))


def _close(_template: Template, _filling: Filling) -> Definition:
    steps = (CloseStep(key="close", next="bot"), BotOnStep(key="bot"))
    return Definition(trigger=Trigger.MANUAL, steps=steps)


def _in_turn(filling: Filling) -> AssignStep:
    return AssignStep(
        key="assign",
        team_id=filling.team_id,
        distribution=Distribution.ROUND_ROBIN,
        online_only=True,
    )


def _tagged(filling: Filling) -> ContactTagCondition:
    return ContactTagCondition(tag_ids=(filling.tag_id,) if filling.tag_id else ())


def _message(template: Template, filling: Filling) -> SendMessageStep:
    text = _TEXTS[template] if filling.text is None else filling.text
    return SendMessageStep(key="message", text=text)


_DEFINITIONS = {
    Template.ROUND_ROBIN_ONLINE: _round_robin,
    Template.LEAST_OPEN: _least_open,
    Template.DEDICATED_AGENT: _dedicated,
    Template.TEAM_FIRST: _team_first,
    Template.WELCOME_MESSAGE: _welcome,
    Template.OUT_OF_HOURS_MESSAGE: _out_of_hours,
    Template.ALL_BUSY_MESSAGE: _all_busy,
    Template.AGENT_ASSIGNED_MESSAGE: _agent_assigned,
    Template.UNASSIGN_ON_CLOSE: _unassign,
    Template.CLOSE_AND_BOT_ON: _close,
}
