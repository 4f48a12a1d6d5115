"""What a workflow says: its trigger, its conditions and its steps, each a type of its own.

Kept as JSON with the `kind` of every part; pydantic reads it back into these types and refuses
anything else.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import Discriminator, TypeAdapter

from models.base import Line
from models.decision import Distribution

STEPS_MAX = 50
CONDITIONS_MAX = 20
CASES_MAX = 10
NAMED_MAX = 20
WORDS_MAX = 50
KEY_LENGTH_MAX = 50
WAITING_MINUTES_MAX = 7 * 24 * 60


class Trigger(StrEnum):
    """What starts a workflow."""

    CONVERSATION_OPENED = "CONVERSATION_OPENED"
    CONVERSATION_CLOSED = "CONVERSATION_CLOSED"
    MESSAGE_RECEIVED = "MESSAGE_RECEIVED"
    CONTACT_TAGGED = "CONTACT_TAGGED"
    AGENT_ASSIGNED = "AGENT_ASSIGNED"
    NOBODY_ELIGIBLE = "NOBODY_ELIGIBLE"
    IDLE_REMINDER = "IDLE_REMINDER"
    MANUAL = "MANUAL"


class Source(StrEnum):
    """Who opened a conversation, or did whatever else started a workflow."""

    CONTACT = "CONTACT"
    AGENT = "AGENT"
    WORKFLOW = "WORKFLOW"


class Match(StrEnum):
    """How many of those named must be there."""

    ANY = "ANY"
    ALL = "ALL"
    NONE = "NONE"


class Operator(StrEnum):
    """How the value of a contact's field compares."""

    EQUALS = "EQUALS"
    DIFFERS = "DIFFERS"
    AT_LEAST = "AT_LEAST"
    AT_MOST = "AT_MOST"
    IS_SET = "IS_SET"
    IS_EMPTY = "IS_EMPTY"


class Marked(StrEnum):
    """What a step's tags are put on."""

    CONTACT = "CONTACT"
    CONVERSATION = "CONVERSATION"


@dataclass(frozen=True, slots=True, kw_only=True)
class ChannelCondition:
    """The conversation is on one of these channels."""

    channel_ids: tuple[UUID, ...]
    kind: Literal["CHANNEL"] = "CHANNEL"


@dataclass(frozen=True, slots=True, kw_only=True)
class LineCondition:
    """The conversation is of this line."""

    line: Line
    kind: Literal["LINE"] = "LINE"


@dataclass(frozen=True, slots=True, kw_only=True)
class ContactTagCondition:
    """The contact has any, all or none of these tags."""

    tag_ids: tuple[UUID, ...]
    match: Match = Match.ANY
    kind: Literal["CONTACT_TAG"] = "CONTACT_TAG"


@dataclass(frozen=True, slots=True, kw_only=True)
class ContactFieldCondition:
    """A field of the contact compares like this; `value` is empty for IS_SET and IS_EMPTY."""

    field_id: UUID
    operator: Operator
    value: str | None = None
    kind: Literal["CONTACT_FIELD"] = "CONTACT_FIELD"


@dataclass(frozen=True, slots=True, kw_only=True)
class TextCondition:
    """The customer's last message has any of these words or phrases, whatever their case."""

    contains: tuple[str, ...]
    kind: Literal["TEXT"] = "TEXT"


@dataclass(frozen=True, slots=True, kw_only=True)
class HoursCondition:
    """The business hours are open, or not: of a team, or else of the workspace."""

    are_open: bool
    team_id: UUID | None = None
    kind: Literal["HOURS"] = "HOURS"


@dataclass(frozen=True, slots=True, kw_only=True)
class FirstContactCondition:
    """It is the contact's first conversation, or not."""

    is_first: bool
    kind: Literal["FIRST_CONTACT"] = "FIRST_CONTACT"


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceCondition:
    """The trigger came from one of these."""

    sources: tuple[Source, ...]
    kind: Literal["SOURCE"] = "SOURCE"


Condition = Annotated[
    ChannelCondition
    | LineCondition
    | ContactTagCondition
    | ContactFieldCondition
    | TextCondition
    | HoursCondition
    | FirstContactCondition
    | SourceCondition,
    Discriminator("kind"),
]


@dataclass(frozen=True, slots=True, kw_only=True)
class AssignStep:
    """Give the conversation to an agent, or put it into a team's queue and distribution.

    What is set here counts instead of the team's own settings, for this conversation and while it
    waits in that queue, until `waiting_minutes` have passed: then `on_timeout` comes next, or
    without one the team's own settings count again. `next` comes once an agent has it. Without
    `reassign` it acts only while nobody has the conversation.
    """

    key: str
    next: str | None = None
    agent_id: UUID | None = None
    team_id: UUID | None = None
    distribution: Distribution | None = None
    online_only: bool | None = None
    max_open: int | None = None
    waiting_minutes: int = WAITING_MINUTES_MAX
    on_timeout: str | None = None
    reassign: bool = False
    kind: Literal["ASSIGN"] = "ASSIGN"


@dataclass(frozen=True, slots=True, kw_only=True)
class UnassignStep:
    """Give it back to its queue; of a closed one, let the sticky agent go."""

    key: str
    next: str | None = None
    kind: Literal["UNASSIGN"] = "UNASSIGN"


@dataclass(frozen=True, slots=True, kw_only=True)
class SendMessageStep:
    """Send the customer a text, with variables in it."""

    key: str
    text: str
    next: str | None = None
    kind: Literal["SEND_MESSAGE"] = "SEND_MESSAGE"


@dataclass(frozen=True, slots=True, kw_only=True)
class TagStep:
    """Mark the contact or the conversation."""

    key: str
    tags: tuple[str, ...]
    on: Marked = Marked.CONVERSATION
    next: str | None = None
    kind: Literal["TAG"] = "TAG"


@dataclass(frozen=True, slots=True, kw_only=True)
class SetLineStep:
    """Make the conversation one of this line."""

    key: str
    line: Line
    next: str | None = None
    kind: Literal["SET_LINE"] = "SET_LINE"


@dataclass(frozen=True, slots=True, kw_only=True)
class CloseStep:
    """Close the conversation, with a reason and a summary if wanted."""

    key: str
    reason_id: UUID | None = None
    summary: str | None = None
    next: str | None = None
    kind: Literal["CLOSE"] = "CLOSE"


@dataclass(frozen=True, slots=True, kw_only=True)
class BotOnStep:
    """Let the bot go on with it; of a closed one, let the sticky agent go."""

    key: str
    next: str | None = None
    kind: Literal["BOT_ON"] = "BOT_ON"


@dataclass(frozen=True, slots=True, kw_only=True)
class BotOffStep:
    """Let the bot hand it to people."""

    key: str
    next: str | None = None
    kind: Literal["BOT_OFF"] = "BOT_OFF"


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """A way out of a branch, taken when all its conditions are met."""

    conditions: tuple[Condition, ...]
    next: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class BranchStep:
    """Go on with the first case whose conditions are met, else with `next`."""

    key: str
    cases: tuple[Case, ...]
    next: str | None = None
    kind: Literal["BRANCH"] = "BRANCH"


@dataclass(frozen=True, slots=True, kw_only=True)
class WebhookStep:
    """Tell integrators through the log that a run came here."""

    key: str
    next: str | None = None
    kind: Literal["WEBHOOK"] = "WEBHOOK"


Step = Annotated[
    AssignStep
    | UnassignStep
    | SendMessageStep
    | TagStep
    | SetLineStep
    | CloseStep
    | BotOnStep
    | BotOffStep
    | BranchStep
    | WebhookStep,
    Discriminator("kind"),
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Definition:
    """A workflow's trigger, the conditions to begin, and its steps; the first begins.

    `is_once`: only once for each contact, ever.
    """

    trigger: Trigger
    conditions: tuple[Condition, ...] = ()
    steps: tuple[Step, ...] = ()
    is_once: bool = False

    @property
    def stored(self) -> dict[str, Any]:
        kept: dict[str, Any] = _adapter.dump_python(self, mode="json")
        return kept

    @classmethod
    def recall(cls, stored: object) -> "Definition":
        """Raises pydantic.ValidationError for anything that `stored` did not make."""
        return _adapter.validate_python(stored)

    @property
    def by_key(self) -> dict[str, Step]:
        return {step.key: step for step in self.steps}

    @property
    def all_conditions(self) -> tuple[Condition, ...]:
        """Those to begin with, and those of every branch."""
        branches = [step for step in self.steps if isinstance(step, BranchStep)]
        cases = [case for branch in branches for case in branch.cases]
        return (*self.conditions, *(one for case in cases for one in case.conditions))


def ways_on(step: Step) -> Iterator[str]:
    """The keys of every step that can come next."""
    ways = [step.next]
    if isinstance(step, BranchStep):
        ways += [case.next for case in step.cases]
    if isinstance(step, AssignStep):
        ways.append(step.on_timeout)
    return (key for key in ways if key is not None)


_adapter = TypeAdapter(Definition)
