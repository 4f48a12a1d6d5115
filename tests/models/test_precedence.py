"""Where a customer's message goes: every branch by hand, and whatever hypothesis thinks of."""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.base import Line
from models.database import encode
from models.decision import Distribution, Rule
from models.precedence import (
    Directed,
    Facts,
    Owner,
    Place,
    Reason,
    Sticky,
    leaves_it_to_workflows,
    place,
    recall,
)

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
ANN, BEN, CLEO = (UUID(int=number) for number in (1, 2, 3))
TODOS, TARGET, OWNING, NAMED, LAST = (UUID(int=number) for number in (11, 12, 13, 14, 15))
WORKFLOW, ROUTED = UUID(int=21), UUID(int=22)

OWNED = Owner(is_active=True, agent_id=ANN, is_connected=True)
AWAY = replace(OWNED, is_connected=False)
TEAM_OWNED = Owner(is_active=True, team_id=OWNING, line=Line.SALES)
STICKY = Sticky(BEN, is_active=True, is_present=True, closed_at=NOON - timedelta(days=400))
DAY = timedelta(hours=24)
TO_ROUTED = Directed(
    workflow_id=WORKFLOW,
    key="give",
    line=Line.SUPPORT,
    team_id=ROUTED,
    distribution=Distribution.LEAST_OPEN,
    max_open=2,
    waiting_minutes=30,
)
TO_DORA = Directed(workflow_id=WORKFLOW, key="give", line=Line.SALES, agent_id=UUID(int=4))
GONE = replace(TO_DORA, obstacle=Reason.WORKFLOW_TARGET_INACTIVE)
NOT_SERVED = replace(TO_ROUTED, obstacle=Reason.WORKFLOW_LINE_NOT_SERVED)


def facts(**known: Any) -> Facts:
    """Nothing known but the Todos, unless told otherwise."""
    return Facts(**{"now": NOON, "line": Line.SALES, "todos_id": TODOS, **known})


def to_agent(rule: Rule, agent_id: UUID, *passed: Reason, reopens: UUID | None = None) -> Place:
    return Place(rule, agent_id=agent_id, reopens=reopens, passed=passed)


def to_team(rule: Rule, team_id: UUID, *passed: Reason) -> Place:
    return Place(rule, team_id=team_id, passed=passed)


def reserved(team_id: UUID, *passed: Reason, until: datetime | None = None) -> Place:
    return Place(Rule.OWNER, team_id=team_id, reserved_for=ANN, reserved_until=until, passed=passed)


def by_step(step: Directed, *passed: Reason) -> Place:
    return Place(
        Rule.WORKFLOW, agent_id=step.agent_id, team_id=step.team_id, step=step, passed=passed
    )


BY_TARGET = to_team(Rule.CHANNEL_TARGET, TARGET)
WITH_BOT = to_team(Rule.BOT, TODOS)
BY_TODOS = to_team(Rule.TODOS, TODOS)

BRANCHES: dict[str, tuple[dict[str, Any], Place]] = {
    "nothing known": ({}, BY_TODOS),
    # The owner, an agent.
    "a connected owner": ({"owner": OWNED}, to_agent(Rule.OWNER, ANN)),
    "an owner before all others": (
        {"owner": OWNED, "sticky": STICKY, "target_team_id": TARGET},
        to_agent(Rule.OWNER, ANN),
    ),
    "an absent owner without a target": (
        {"owner": AWAY},
        reserved(TODOS, Reason.OWNER_ABSENT),
    ),
    "an absent owner before the sticky agent": (
        {"owner": AWAY, "sticky": STICKY, "target_team_id": TARGET},
        reserved(TARGET, Reason.OWNER_ABSENT),
    ),
    "an absent owner and an agent as target": (
        {"owner": AWAY, "target_agent_id": CLEO},
        reserved(TODOS, Reason.OWNER_ABSENT),
    ),
    "an absent owner and an inactive target": (
        {"owner": AWAY, "target_team_id": TARGET, "target_is_active": False},
        reserved(TODOS, Reason.OWNER_ABSENT, Reason.TARGET_INACTIVE),
    ),
    "an absent owner who is waited for": (
        {"owner": AWAY, "owner_wait_minutes": 90},
        reserved(TODOS, Reason.OWNER_ABSENT, until=NOON + timedelta(minutes=90)),
    ),
    "an inactive owner": (
        {"owner": replace(OWNED, is_active=False), "target_team_id": TARGET},
        replace(BY_TARGET, passed=(Reason.OWNER_INACTIVE,)),
    ),
    # The owner, a team.
    "an owner team of the line": (
        {"owner": TEAM_OWNED, "sticky": STICKY, "target_team_id": TARGET},
        to_team(Rule.OWNER, OWNING),
    ),
    "an owner team of the other line": (
        {"owner": TEAM_OWNED, "line": Line.SUPPORT},
        replace(BY_TODOS, passed=(Reason.OWNER_OF_OTHER_LINE,)),
    ),
    "an owner team of the other line and a sticky agent": (
        {"owner": TEAM_OWNED, "line": Line.SUPPORT, "sticky": STICKY},
        to_agent(Rule.STICKY, BEN, Reason.OWNER_OF_OTHER_LINE),
    ),
    "an inactive owner team": (
        {"owner": replace(TEAM_OWNED, is_active=False)},
        replace(BY_TODOS, passed=(Reason.OWNER_INACTIVE,)),
    ),
    # The owner and the bot.
    "an owner after the bot": (
        {"owner": OWNED, "bot_is_on": True},
        replace(WITH_BOT, passed=(Reason.BOT_FIRST,)),
    ),
    "an owner after the bot, which a sticky agent does not skip": (
        {"owner": OWNED, "bot_is_on": True, "sticky": STICKY},
        replace(WITH_BOT, passed=(Reason.BOT_FIRST,)),
    ),
    "an owner team after the bot": (
        {"owner": TEAM_OWNED, "bot_is_on": True},
        replace(WITH_BOT, passed=(Reason.BOT_FIRST,)),
    ),
    "an absent owner after the bot": (
        {"owner": AWAY, "bot_is_on": True},
        replace(WITH_BOT, passed=(Reason.OWNER_ABSENT, Reason.BOT_FIRST)),
    ),
    "an owner who skips the bot": (
        {"owner": OWNED, "bot_is_on": True, "owned_skips_bot": True},
        to_agent(Rule.OWNER, ANN),
    ),
    "an absent owner who skips the bot": (
        {"owner": AWAY, "bot_is_on": True, "owned_skips_bot": True},
        reserved(TODOS, Reason.OWNER_ABSENT),
    ),
    "an owner to whom the bot hands over": (
        {"owner": OWNED, "bot_is_on": True, "after_bot": True},
        to_agent(Rule.OWNER, ANN),
    ),
    "an inactive owner who would skip the bot": (
        {
            "owner": replace(OWNED, is_active=False),
            "bot_is_on": True,
            "owned_skips_bot": True,
        },
        replace(WITH_BOT, passed=(Reason.OWNER_INACTIVE,)),
    ),
    # The sticky agent.
    "a sticky agent": ({"sticky": STICKY}, to_agent(Rule.STICKY, BEN)),
    "a sticky agent before the bot and the target": (
        {"sticky": STICKY, "bot_is_on": True, "target_team_id": TARGET},
        to_agent(Rule.STICKY, BEN),
    ),
    "a sticky agent on the same channel": (
        {"sticky": replace(STICKY, reopens=LAST)},
        to_agent(Rule.STICKY, BEN, reopens=LAST),
    ),
    "a sticky agent who is away": (
        {"sticky": replace(STICKY, is_present=False)},
        to_agent(Rule.STICKY, BEN),
    ),
    "a sticky agent who is away where such fall through": (
        {"sticky": replace(STICKY, is_present=False), "sticky_falls_through": True},
        replace(BY_TODOS, passed=(Reason.STICKY_ABSENT,)),
    ),
    "a sticky agent who is there where absent ones fall through": (
        {"sticky": STICKY, "sticky_falls_through": True},
        to_agent(Rule.STICKY, BEN),
    ),
    "an inactive sticky agent": (
        {"sticky": replace(STICKY, is_active=False), "bot_is_on": True},
        replace(WITH_BOT, passed=(Reason.STICKY_INACTIVE,)),
    ),
    "an expired sticky agent": (
        {"sticky": replace(STICKY, window_hours=24), "target_team_id": TARGET},
        replace(BY_TARGET, passed=(Reason.STICKY_EXPIRED,)),
    ),
    "an inactive owner and an expired sticky agent": (
        {
            "owner": replace(OWNED, is_active=False),
            "sticky": replace(STICKY, window_hours=24),
        },
        replace(BY_TODOS, passed=(Reason.OWNER_INACTIVE, Reason.STICKY_EXPIRED)),
    ),
    "a sticky agent after the bot": (
        {"sticky": STICKY, "bot_is_on": True, "after_bot": True},
        BY_TODOS,
    ),
    # The bot.
    "the bot": ({"bot_is_on": True}, WITH_BOT),
    "the bot before the target": (
        {"bot_is_on": True, "target_team_id": TARGET},
        to_team(Rule.BOT, TARGET),
    ),
    "the bot and an agent as target": (
        {"bot_is_on": True, "target_agent_id": CLEO},
        WITH_BOT,
    ),
    "the bot and an inactive target": (
        {"bot_is_on": True, "target_team_id": TARGET, "target_is_active": False},
        WITH_BOT,
    ),
    # The hand-off to a named team.
    "a team that the bot names": (
        {"bot_is_on": True, "after_bot": True, "named_team_id": NAMED, "owner": OWNED},
        to_team(Rule.HANDED_OFF, NAMED),
    ),
    # The workflows.
    "a workflow before the target": (
        {"workflows": (TO_ROUTED,), "target_team_id": TARGET},
        by_step(TO_ROUTED),
    ),
    "a workflow without a target": ({"workflows": (TO_DORA,)}, by_step(TO_DORA)),
    "a workflow after the bot": (
        {"workflows": (TO_DORA,), "bot_is_on": True, "after_bot": True},
        by_step(TO_DORA),
    ),
    "a workflow and an inactive target, which is not asked": (
        {"workflows": (TO_DORA,), "target_team_id": TARGET, "target_is_active": False},
        by_step(TO_DORA),
    ),
    "workflows that cannot be obeyed, and one that can": (
        {"workflows": (GONE, NOT_SERVED, TO_ROUTED)},
        by_step(TO_ROUTED, Reason.WORKFLOW_TARGET_INACTIVE, Reason.WORKFLOW_LINE_NOT_SERVED),
    ),
    "workflows that cannot be obeyed": (
        {"workflows": (GONE,), "target_team_id": TARGET},
        replace(BY_TARGET, passed=(Reason.WORKFLOW_TARGET_INACTIVE,)),
    ),
    "an inactive owner and a workflow": (
        {"owner": replace(OWNED, is_active=False), "workflows": (TO_DORA,)},
        by_step(TO_DORA, Reason.OWNER_INACTIVE),
    ),
    "an owner before a workflow": (
        {"owner": OWNED, "workflows": (TO_DORA,)},
        to_agent(Rule.OWNER, ANN),
    ),
    "an absent owner waits where the target says, and not a workflow": (
        {"owner": AWAY, "workflows": (TO_ROUTED,), "target_team_id": TARGET},
        reserved(TARGET, Reason.OWNER_ABSENT),
    ),
    "a sticky agent before a workflow": (
        {"sticky": STICKY, "workflows": (TO_DORA,)},
        to_agent(Rule.STICKY, BEN),
    ),
    "the bot before a workflow": (
        {"bot_is_on": True, "workflows": (TO_ROUTED,), "target_team_id": TARGET},
        to_team(Rule.BOT, TARGET),
    ),
    "a team that the bot names before a workflow": (
        {"after_bot": True, "named_team_id": NAMED, "workflows": (TO_DORA,)},
        to_team(Rule.HANDED_OFF, NAMED),
    ),
    # The target and the Todos.
    "a team as target": ({"target_team_id": TARGET}, BY_TARGET),
    "an agent as target": (
        {"target_agent_id": CLEO},
        to_agent(Rule.CHANNEL_TARGET, CLEO),
    ),
    "an inactive team as target": (
        {"target_team_id": TARGET, "target_is_active": False},
        replace(BY_TODOS, passed=(Reason.TARGET_INACTIVE,)),
    ),
    "an inactive agent as target": (
        {"target_agent_id": CLEO, "target_is_active": False},
        replace(BY_TODOS, passed=(Reason.TARGET_INACTIVE,)),
    ),
    "a target after the bot": (
        {"bot_is_on": True, "after_bot": True, "target_team_id": TARGET},
        BY_TARGET,
    ),
    "nothing known after the bot": ({"bot_is_on": True, "after_bot": True}, BY_TODOS),
}


@pytest.mark.parametrize(("known", "expected"), BRANCHES.values(), ids=list(BRANCHES))
def test_the_first_rule_that_applies_decides(known: dict[str, Any], expected: Place) -> None:
    assert place(facts(**known)) == expected


def test_every_reason_and_every_rule_of_the_precedence_is_tried() -> None:
    places = [expected for _, expected in BRANCHES.values()]

    assert {reason for expected in places for reason in expected.passed} == set(Reason)
    assert {expected.rule for expected in places} == {
        Rule.OWNER,
        Rule.STICKY,
        Rule.BOT,
        Rule.HANDED_OFF,
        Rule.WORKFLOW,
        Rule.CHANNEL_TARGET,
        Rule.TODOS,
    }


@pytest.mark.parametrize(("known", "expected"), BRANCHES.values(), ids=list(BRANCHES))
def test_workflows_are_read_only_where_they_could_decide(
    known: dict[str, Any], expected: Place
) -> None:
    state = facts(**known)

    could = place(replace(state, workflows=(TO_DORA,))).rule is Rule.WORKFLOW

    assert leaves_it_to_workflows(replace(state, workflows=())) is could


@pytest.mark.parametrize(
    ("step", "has_settings"),
    [
        (TO_ROUTED, True),
        (TO_DORA, False),
        (replace(TO_ROUTED, distribution=None, max_open=None), False),
        (replace(TO_ROUTED, distribution=None, max_open=None, online_only=False), True),
    ],
)
def test_a_step_has_settings_where_it_sets_any_of_a_team(
    step: Directed, has_settings: bool
) -> None:
    chosen = place(facts(workflows=(step,)))

    assert (chosen.settings is not None) is has_settings


@pytest.mark.parametrize(
    ("passed", "hours", "is_the_same"),
    [
        (timedelta(0), 24, True),
        (DAY - timedelta(microseconds=1), 24, True),
        (DAY, 24, True),
        (DAY + timedelta(microseconds=1), 24, False),
        (timedelta(hours=1), 1, True),
        (timedelta(hours=1, microseconds=1), 1, False),
        (timedelta(days=90), 90 * 24, True),
        (timedelta(days=90, microseconds=1), 90 * 24, False),
        (timedelta(days=10_000), None, True),
        # The database's clock may be put back.
        (timedelta(hours=-1), 24, True),
    ],
)
def test_the_window_lasts_to_the_instant(
    passed: timedelta, hours: int | None, is_the_same: bool
) -> None:
    sticky = replace(STICKY, closed_at=NOON - passed, window_hours=hours)

    chosen = place(facts(sticky=sticky))

    assert (chosen.agent_id == BEN) == is_the_same
    assert chosen.passed == (() if is_the_same else (Reason.STICKY_EXPIRED,))


IDS = st.uuids()
MOMENTS = st.integers(-(10**13), 10**13).map(lambda micros: NOON + timedelta(microseconds=micros))
OWNERS = st.one_of(
    st.none(),
    st.builds(Owner, is_active=st.booleans(), agent_id=IDS, is_connected=st.booleans()),
    st.builds(Owner, is_active=st.booleans(), team_id=IDS, line=st.sampled_from(Line)),
)
STICKIES = st.none() | st.builds(
    Sticky,
    agent_id=IDS,
    is_active=st.booleans(),
    is_present=st.booleans(),
    closed_at=MOMENTS,
    window_hours=st.none() | st.integers(1, 90 * 24),
    reopens=st.none() | IDS,
)
DIRECTIONS = st.builds(
    Directed,
    workflow_id=IDS,
    key=st.text(max_size=5),
    line=st.sampled_from(Line),
    agent_id=st.none() | IDS,
    distribution=st.none() | st.sampled_from([Distribution.ROUND_ROBIN, Distribution.LEAST_OPEN]),
    online_only=st.none() | st.booleans(),
    max_open=st.none() | st.integers(1, 100),
    waiting_minutes=st.none() | st.integers(1, 10_080),
    obstacle=st.none() | st.sampled_from(Reason),
).map(lambda step: step if step.agent_id else replace(step, team_id=step.workflow_id))
TARGETS = st.tuples(st.none() | IDS, st.none() | IDS).filter(lambda both: None in both)


@st.composite
def a_state(draw: st.DrawFn) -> Facts:
    team, agent = draw(TARGETS)
    after_bot = draw(st.booleans())
    return Facts(
        now=draw(MOMENTS),
        line=draw(st.sampled_from(Line)),
        todos_id=draw(IDS),
        bot_is_on=draw(st.booleans()),
        after_bot=after_bot,
        owned_skips_bot=draw(st.booleans()),
        owner_wait_minutes=draw(st.none() | st.integers(1, 100_000)),
        sticky_falls_through=draw(st.booleans()),
        owner=draw(OWNERS),
        sticky=draw(STICKIES),
        named_team_id=draw(st.none() | IDS) if after_bot else None,
        target_team_id=team,
        target_agent_id=agent,
        target_is_active=draw(st.booleans()),
        workflows=tuple(draw(st.lists(DIRECTIONS, max_size=3))),
    )


def goes_to_one_place(state: Facts, chosen: Place) -> bool:
    """An agent, or a queue, or the bot, whose conversations are seen by those of a queue."""
    if chosen.is_with_bot:
        return chosen.agent_id is None and chosen.team_id is not None
    return (chosen.agent_id is None) != (chosen.team_id is None)


def is_the_same_again(state: Facts, chosen: Place) -> bool:
    return place(state) == chosen


def obeys_no_owner_of_the_other_line(state: Facts, chosen: Place) -> bool:
    owner = state.owner
    if owner is None or owner.team_id is None or owner.line is state.line:
        return True
    return chosen.rule is not Rule.OWNER and Reason.BOT_FIRST not in chosen.passed


def obeys_only_an_active_owner(state: Facts, chosen: Place) -> bool:
    return chosen.rule is not Rule.OWNER or (state.owner is not None and state.owner.is_active)


def leaves_the_bot_and_stickiness_behind(state: Facts, chosen: Place) -> bool:
    return not state.after_bot or chosen.rule not in (Rule.BOT, Rule.STICKY)


def asks_the_bot_only_while_it_is_on(state: Facts, chosen: Place) -> bool:
    return state.bot_is_on or not chosen.is_with_bot


def reserves_only_a_queue_for_an_absent_owner(state: Facts, chosen: Place) -> bool:
    if chosen.reserved_for is None:
        return chosen.reserved_until is None
    absent = state.owner is not None and not state.owner.is_connected
    return absent and chosen.rule is Rule.OWNER and chosen.team_id is not None


def obeys_only_a_workflow_that_can_be(state: Facts, chosen: Place) -> bool:
    if chosen.rule is not Rule.WORKFLOW:
        return chosen.step is None and chosen.settings is None
    return chosen.step in state.workflows and chosen.step.obstacle is None


def reopens_only_for_the_sticky_agent(state: Facts, chosen: Place) -> bool:
    return chosen.reopens is None or chosen.rule is Rule.STICKY


@pytest.mark.parametrize(
    "promise",
    [
        goes_to_one_place,
        is_the_same_again,
        obeys_no_owner_of_the_other_line,
        obeys_only_an_active_owner,
        leaves_the_bot_and_stickiness_behind,
        asks_the_bot_only_while_it_is_on,
        reserves_only_a_queue_for_an_absent_owner,
        obeys_only_a_workflow_that_can_be,
        reopens_only_for_the_sticky_agent,
    ],
)
@given(state=a_state())
@settings(deadline=None, max_examples=200)
def test_every_place_keeps_its_promises(
    promise: Callable[[Facts, Place], bool], state: Facts
) -> None:
    assert promise(state, place(state))


@given(state=a_state())
@settings(deadline=None, max_examples=300)
def test_stored_facts_come_to_the_same_place_again(state: Facts) -> None:
    kept = orjson.loads(encode({"facts": state}))

    assert recall(kept["facts"]) == state
    assert place(recall(kept["facts"])) == place(state)
