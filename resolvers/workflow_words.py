"""The words of workflows that the schema shows as enums, and how it shows their parts."""

from typing import Any

import strawberry

from models.workflow.defect import DefectKind
from models.workflow.definition import Marked, Match, Operator, Source, Trigger
from models.workflow.record import WorkflowStatus
from models.workflow.template import Blank, Template
from resolvers.enums import described

__all__ = [
    "Blank",
    "DefectKind",
    "Marked",
    "Match",
    "Operator",
    "Source",
    "Template",
    "Trigger",
    "WorkflowStatus",
    "told",
]

described(
    Trigger,
    "WorkflowTrigger",
    CONVERSATION_OPENED="A conversation was opened or reopened; after the bot, if it came first.",
    CONVERSATION_CLOSED="A conversation was closed.",
    MESSAGE_RECEIVED="The customer wrote.",
    CONTACT_TAGGED="A contact was marked; it has perhaps no open conversation.",
    AGENT_ASSIGNED="An agent got a conversation.",
    NOBODY_ELIGIBLE="A conversation waits because nobody can be given it.",
    IDLE_REMINDER="A conversation is about to close because nothing happens in it.",
    MANUAL="Somebody runs it.",
)
described(
    Source,
    "WorkflowSource",
    CONTACT="The customer.",
    AGENT="An agent, or a script.",
    WORKFLOW="A workflow.",
)
described(
    Match,
    "WorkflowMatch",
    ANY="At least one of them.",
    ALL="Every one of them.",
    NONE="None of them.",
)
described(
    Operator,
    "WorkflowOperator",
    EQUALS="It is the value.",
    DIFFERS="It is another, or none.",
    AT_LEAST="It is the value or more; of numbers and dates.",
    AT_MOST="It is the value or less; of numbers and dates.",
    IS_SET="There is a value.",
    IS_EMPTY="There is none.",
)
described(
    Marked,
    "WorkflowMarked",
    CONTACT="The contact.",
    CONVERSATION="The conversation.",
)
described(
    WorkflowStatus,
    "WorkflowStatus",
    DRAFT="Never published.",
    ACTIVE="Runs as it was published.",
    ARCHIVED="Starts no more.",
)
described(
    DefectKind,
    "WorkflowDefectKind",
    NO_STEPS="It has no steps.",
    TOO_MANY_STEPS="It has too many steps.",
    TOO_MANY_CONDITIONS="It, or a case, has too many conditions.",
    TOO_MANY_CASES="A branch has too many cases.",
    TOO_MANY_NAMED="A condition names too many, or a step marks with too many tags.",
    TOO_MANY_WORDS="A condition looks for too many words.",
    KEY_INVALID="A key is empty or too long.",
    KEY_REPEATED="Several steps have one key.",
    UNKNOWN_NEXT="A step leads to one that is not there.",
    UNREACHABLE_STEP="No step leads to it.",
    CYCLE="Its steps go round.",
    NO_CASES="A branch has no cases.",
    STEP_WITHOUT_CONVERSATION="A step needs a conversation, and there may be none.",
    STEP_AFTER_CLOSING="A step moves or closes what is closed by then.",
    TARGET_MISSING="A step assigns to nobody, to both an agent and a team, or to one that is gone.",
    TARGET_INACTIVE="A step assigns to an agent or a team that is not active.",
    TEAM_WITHOUT_MEMBERS="A step assigns to a team in which nobody can get anything.",
    AGENT_CANNOT_HOLD="A step assigns to an agent whose role holds no conversations.",
    LINE_NOT_SUPPORTED="None of the channels that it begins on serves the line.",
    DISTRIBUTION_MANUAL="A step gives out by hand, which is no way to.",
    SETTINGS_WITHOUT_TEAM="A step to an agent says how a team gives out.",
    TIMEOUT_WITHOUT_TEAM="A step to an agent says what comes after waiting.",
    WAITING_LIMIT_OUT_OF_RANGE="A waiting limit is too short or too long.",
    MAX_OPEN_OUT_OF_RANGE="A limit of open conversations is too small or too large.",
    TEXT_EMPTY="A message says nothing.",
    TEXT_TOO_LONG="A text is too long.",
    VARIABLE_UNKNOWN="A message has a variable that is none.",
    TAGS_EMPTY="A step marks with no tags, or with an empty one.",
    TAG_TOO_LONG="A step marks with a tag that is too long.",
    REASON_MISSING="A step closes with a reason that is gone.",
    REASON_INACTIVE="A step closes with a reason that is no longer offered.",
    CONDITION_EMPTY="A condition, or a case, asks for nothing.",
    CONDITION_NEVER_MET="A condition is never met, or never together with another.",
    CHANNEL_MISSING="A condition names a channel that is gone.",
    TAG_MISSING="A condition names a tag that is gone.",
    FIELD_MISSING="A condition names a field that is gone.",
    FIELD_VALUE_INVALID="A condition compares a field with what it cannot be.",
    TEAM_MISSING="A condition asks for the hours of a team that is gone.",
)
described(
    Template,
    "WorkflowTemplateName",
    ROUND_ROBIN_ONLINE="A team's members in turn, of those who are online: at low cost.",
    LEAST_OPEN="Whoever of a team holds the fewest, online or not: of high quality.",
    DEDICATED_AGENT="Contacts with a tag go to an agent of their own.",
    TEAM_FIRST="Contacts with a tag go to a team, and to its members in turn.",
    WELCOME_MESSAGE="Greets whoever writes.",
    OUT_OF_HOURS_MESSAGE="Tells whoever writes outside of the business hours.",
    ALL_BUSY_MESSAGE="Tells the customer when nobody can be given the conversation.",
    AGENT_ASSIGNED_MESSAGE="Tells the customer who has the conversation now.",
    UNASSIGN_ON_CLOSE="Lets the agent go when a conversation closes.",
    CLOSE_AND_BOT_ON="Closes, and lets the bot answer next time.",
)
described(
    Blank,
    "WorkflowBlank",
    TEAM="A team.",
    AGENT="An agent.",
    TAG="A tag.",
    TEXT="A text; it has words to begin with.",
)


def told(type_: Any, name: str, description: str) -> Any:
    """A field that shows an attribute of the part of a definition that an object is about."""

    def read(self: Any) -> Any:
        return getattr(self.part, name)

    read.__annotations__ = {"return": type_}
    return strawberry.field(read, description=description)
