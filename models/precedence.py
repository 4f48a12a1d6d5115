"""Where a conversation goes when a customer writes: the rules in their order, on one page.

Pure: the facts are read by `routing` and stored with the decision, so that anyone can ask again.
What comes first decides:

    0  the team that the bot names, when it hands over
    1  the explicit owner of the contact       (after the bot, unless owned contacts skip it)
    2  the sticky agent, while in force
    3  the bot
    4  the workflows for "conversation opened", in their order: the first ASSIGN that applies
    5  the channel's target for the line
    6  the Todos of the line
"""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any
from uuid import UUID

from models.base import Line
from models.decision import Distribution, Rule, Settings


class Reason(StrEnum):
    """Why a rule that could have decided was passed over."""

    OWNER_INACTIVE = "OWNER_INACTIVE"
    OWNER_OF_OTHER_LINE = "OWNER_OF_OTHER_LINE"
    OWNER_ABSENT = "OWNER_ABSENT"
    BOT_FIRST = "BOT_FIRST"
    STICKY_INACTIVE = "STICKY_INACTIVE"
    STICKY_EXPIRED = "STICKY_EXPIRED"
    STICKY_ABSENT = "STICKY_ABSENT"
    WORKFLOW_TARGET_INACTIVE = "WORKFLOW_TARGET_INACTIVE"
    WORKFLOW_LINE_NOT_SERVED = "WORKFLOW_LINE_NOT_SERVED"
    TARGET_INACTIVE = "TARGET_INACTIVE"


@dataclass(frozen=True, slots=True)
class Owner:
    """Whom a contact belongs to: an agent, or a team of a line."""

    is_active: bool
    agent_id: UUID | None = None
    is_connected: bool = False
    team_id: UUID | None = None
    line: Line | None = None


@dataclass(frozen=True, slots=True)
class Sticky:
    """Who held the contact's last conversation when it closed.

    `reopens` is that conversation, if it was on the same channel. `window_hours` is set when the
    closing started a reassignment window: by a person, with a reason.
    """

    agent_id: UUID
    is_active: bool
    is_present: bool
    closed_at: datetime
    window_hours: int | None = None
    reopens: UUID | None = None

    def has_expired(self, now: datetime) -> bool:
        """A window of 24 h is 24 h, to the instant: at the end of it still the same agent."""
        if self.window_hours is None:
            return False
        return now - self.closed_at > timedelta(hours=self.window_hours)


@dataclass(frozen=True, slots=True, kw_only=True)
class Directed:
    """Where a workflow's ASSIGN sends a conversation, and on which terms; or why it cannot.

    `line` is the one that the steps before it, or its team, make the conversation's; `way` names
    the branches before it, each with the step that it led to.
    """

    workflow_id: UUID
    key: str
    line: Line
    agent_id: UUID | None = None
    team_id: UUID | None = None
    distribution: Distribution | None = None
    online_only: bool | None = None
    max_open: int | None = None
    waiting_minutes: int | None = None
    obstacle: Reason | None = None
    way: tuple[tuple[str, str | None], ...] = ()

    @property
    def settings(self) -> Settings | None:
        """What counts instead of the team's settings while it waits there, if anything does."""
        if self.team_id is None:
            return None
        return Settings.of(
            self.workflow_id,
            self.key,
            distribution=self.distribution,
            online_only=self.online_only,
            max_open=self.max_open,
        )


@dataclass(frozen=True, slots=True)
class Facts:
    """What is known when a customer writes, or when the bot hands over (`after_bot`)."""

    now: datetime
    line: Line
    todos_id: UUID
    bot_is_on: bool = False
    after_bot: bool = False
    owned_skips_bot: bool = False
    owner_wait_minutes: int | None = None
    sticky_falls_through: bool = False
    owner: Owner | None = None
    sticky: Sticky | None = None
    named_team_id: UUID | None = None
    target_team_id: UUID | None = None
    target_agent_id: UUID | None = None
    target_is_active: bool = True
    # In the order of the workflows, as far as the first that can be obeyed.
    workflows: tuple[Directed, ...] = ()


@dataclass(frozen=True, slots=True)
class Place:
    """Where it goes: an agent, a team's queue or the bot; by which step; what was passed over."""

    rule: Rule
    agent_id: UUID | None = None
    team_id: UUID | None = None
    reopens: UUID | None = None
    reserved_for: UUID | None = None
    reserved_until: datetime | None = None
    passed: tuple[Reason, ...] = ()
    step: Directed | None = None

    @property
    def settings(self) -> Settings | None:
        return self.step.settings if self.step else None

    @property
    def is_with_bot(self) -> bool:
        return self.rule is Rule.BOT


def place(facts: Facts) -> Place:
    """The first rule that applies, with the reasons why earlier ones did not."""
    if facts.named_team_id is not None:
        return Place(Rule.HANDED_OFF, team_id=facts.named_team_id)
    passed: list[Reason] = []
    owner = _owner(facts, passed)
    if owner and not _bot_comes_first(facts):
        return replace(owner, passed=tuple(passed))
    if owner:
        passed.append(Reason.BOT_FIRST)
        return replace(_with_bot(facts), passed=tuple(passed))
    chosen = _sticky(facts, passed) or _bot(facts) or _workflow(facts, passed)
    chosen = chosen or _target(facts, passed) or _todos(facts)
    return replace(chosen, passed=tuple(passed))


def leaves_it_to_workflows(facts: Facts) -> bool:
    """Whether nothing that comes before the workflows decides: then they are worth reading."""
    return place(facts).rule in (Rule.CHANNEL_TARGET, Rule.TODOS)


def _bot_comes_first(facts: Facts) -> bool:
    return facts.bot_is_on and not facts.after_bot and not facts.owned_skips_bot


def _owner(facts: Facts, passed: list[Reason]) -> Place | None:
    owner = facts.owner
    if owner is None:
        return None
    if not owner.is_active:
        passed.append(Reason.OWNER_INACTIVE)
        return None
    if owner.agent_id is not None:
        return _owner_agent(facts, owner, passed)
    if owner.line is not facts.line:
        passed.append(Reason.OWNER_OF_OTHER_LINE)
        return None
    return Place(Rule.OWNER, team_id=owner.team_id)


def _owner_agent(facts: Facts, owner: Owner, passed: list[Reason]) -> Place:
    """Directly if connected; else it waits, reserved, where it would have gone without an owner."""
    if owner.is_connected:
        return Place(Rule.OWNER, agent_id=owner.agent_id)
    passed.append(Reason.OWNER_ABSENT)
    waits = facts.owner_wait_minutes
    return Place(
        Rule.OWNER,
        team_id=_usable_team(facts, passed) or facts.todos_id,
        reserved_for=owner.agent_id,
        reserved_until=None if waits is None else facts.now + timedelta(minutes=waits),
    )


def _sticky(facts: Facts, passed: list[Reason]) -> Place | None:
    sticky = facts.sticky
    if sticky is None or facts.after_bot:
        return None
    if not sticky.is_active:
        passed.append(Reason.STICKY_INACTIVE)
    elif sticky.has_expired(facts.now):
        passed.append(Reason.STICKY_EXPIRED)
    elif facts.sticky_falls_through and not sticky.is_present:
        passed.append(Reason.STICKY_ABSENT)
    else:
        return Place(Rule.STICKY, agent_id=sticky.agent_id, reopens=sticky.reopens)
    return None


def _bot(facts: Facts) -> Place | None:
    return _with_bot(facts) if facts.bot_is_on and not facts.after_bot else None


def _with_bot(facts: Facts) -> Place:
    """With the bot it waits for nobody, but those see it to whose queue it would have gone."""
    usable = facts.target_team_id if facts.target_is_active else None
    return Place(Rule.BOT, team_id=usable or facts.todos_id)


def _workflow(facts: Facts, passed: list[Reason]) -> Place | None:
    for step in facts.workflows:
        if step.obstacle is None:
            return Place(Rule.WORKFLOW, agent_id=step.agent_id, team_id=step.team_id, step=step)
        passed.append(step.obstacle)
    return None


def _target(facts: Facts, passed: list[Reason]) -> Place | None:
    team_id = _usable_team(facts, passed)
    if team_id is not None:
        return Place(Rule.CHANNEL_TARGET, team_id=team_id)
    if facts.target_agent_id is not None and facts.target_is_active:
        return Place(Rule.CHANNEL_TARGET, agent_id=facts.target_agent_id)
    return None


def _usable_team(facts: Facts, passed: list[Reason]) -> UUID | None:
    if not facts.target_is_active:
        passed.append(Reason.TARGET_INACTIVE)
        return None
    return facts.target_team_id


def _todos(facts: Facts) -> Place:
    return Place(Rule.TODOS, team_id=facts.todos_id)


def recall(stored: dict[str, Any]) -> Facts:
    """The facts of a stored decision, to ask again where the conversation goes."""
    owner, sticky = stored["owner"], stored["sticky"]
    return Facts(
        **{
            **stored,
            **_ids(stored, "todos_id", "named_team_id", "target_team_id", "target_agent_id"),
            "now": datetime.fromisoformat(stored["now"]),
            "line": Line(stored["line"]),
            "owner": _recall_owner(owner) if owner else None,
            "sticky": _recall_sticky(sticky) if sticky else None,
            "workflows": tuple(map(_recall_directed, stored.get("workflows", ()))),
        }
    )


def _recall_owner(stored: dict[str, Any]) -> Owner:
    line = stored["line"]
    ids = _ids(stored, "agent_id", "team_id")
    return Owner(**{**stored, **ids, "line": Line(line) if line else None})


def _recall_sticky(stored: dict[str, Any]) -> Sticky:
    closed_at = datetime.fromisoformat(stored["closed_at"])
    return Sticky(**{**stored, **_ids(stored, "agent_id", "reopens"), "closed_at": closed_at})


def _recall_directed(stored: dict[str, Any]) -> Directed:
    distribution, obstacle = stored["distribution"], stored["obstacle"]
    return Directed(
        **{
            **stored,
            **_ids(stored, "workflow_id", "agent_id", "team_id"),
            "line": Line(stored["line"]),
            "distribution": Distribution(distribution) if distribution else None,
            "obstacle": Reason(obstacle) if obstacle else None,
            "way": tuple((key, next_key) for key, next_key in stored.get("way", ())),
        }
    )


def _ids(stored: dict[str, Any], *names: str) -> dict[str, UUID | None]:
    return {name: UUID(stored[name]) if stored.get(name) else None for name in names}
