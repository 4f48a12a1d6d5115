"""Where workflows send what customers write, and how it is given out there by a step's settings."""

import asyncio
import sys
from asyncio.subprocess import PIPE
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from models import (
    Agent,
    Assignment,
    Channel,
    Conversation,
    Membership,
    Team,
    Workspace,
    closing,
    distribution,
    placement,
    queue,
    routing,
    team_removal,
)
from models.access import Role
from models.base import Line
from models.channel import ChannelKind
from models.conversation import Status
from models.database import fetch
from models.decision import Availability, Distribution, Outcome, Rule, Verdict, decide, recall
from models.errors import Forbidden, TeamDistributesAutomatically
from models.explanation import why_not
from models.line_change import set_line
from models.precedence import Reason, place
from models.precedence import recall as recall_route
from models.preview import preview
from models.transfer import transfer
from models.workflow.definition import (
    AssignStep,
    Condition,
    FirstContactCondition,
    LineCondition,
    SetLineStep,
    Step,
    TextCondition,
)
from tests.factories import (
    a_channel,
    a_contact,
    a_message,
    a_team,
    an_agent,
    as_agent,
    by_system,
    working,
)
from tests.published import came_to, published, the_run

WRITER = Path(__file__).parent.parent / "writer.py"
BILLING = TextCondition(contains=("invoice",))


def to(team: Team, *, key: str = "give", **settings: Any) -> AssignStep:
    return AssignStep(key=key, team_id=team.id, **settings)


async def written(channel: Channel, text: str = "Hello?", **known: Any) -> Conversation:
    received = await a_message(channel, text=text, **known)
    return await Conversation.get(id=received.conversation_id)


async def routed(conversation: Conversation) -> dict[str, Any]:
    """What the precedence went by, and what it passed over."""
    decision = conversation.decision
    if decision is None:
        decision = (await Assignment.get(conversation_id=conversation.id)).decision
    found: dict[str, Any] = decision["routed"]
    return found


# -- Which workflow decides


@pytest.mark.parametrize("target", ["an agent", "a team", "a team that gives it out"])
async def test_a_workflow_decides_before_the_target_and_the_preview_says_so(
    workspace: Workspace, target: str
) -> None:
    channel = await a_channel(workspace, team=await a_team(workspace))
    agent = await an_agent(workspace, connected=target != "a team")
    team = await a_team(workspace, members=[agent])
    steps = {
        "an agent": AssignStep(key="give", agent_id=agent.id),
        "a team": to(team, distribution=Distribution.ROUND_ROBIN),
        "a team that gives it out": to(team, distribution=Distribution.ROUND_ROBIN),
    }
    await published(workspace, steps[target])

    told = await preview(by=by_system(workspace), channel_id=channel.id)
    conversation = await written(channel)

    assert told.place is not None
    assert told.decision is not None
    assert told.place.rule is Rule.WORKFLOW
    assert told.agent_id == conversation.assignee_id
    assert told.place.team_id == conversation.team_id
    given = target != "a team"
    assert conversation.status is (Status.ASSIGNED if given else Status.QUEUED)
    assert told.decision["outcome"] == (Outcome.ASSIGNED if given else Outcome.NOBODY_ELIGIBLE)
    again = place(recall_route((await routed(conversation))["facts"]))
    assert (again.rule, again.agent_id, again.team_id) == (
        Rule.WORKFLOW,
        told.place.agent_id,
        told.place.team_id,
    )


@pytest.mark.parametrize(
    ("text", "expected"), [("My INVOICE, please", 1), ("Hello", 2), ("invoiced", 2)]
)
async def test_the_first_whose_conditions_are_met_decides(
    workspace: Workspace, text: str, expected: int
) -> None:
    channel = await a_channel(workspace)
    agents = [await an_agent(workspace) for _ in range(4)]
    conditions: list[tuple[Condition, ...]] = [
        (LineCondition(line=Line.SUPPORT),),
        (BILLING, FirstContactCondition(is_first=True)),
        (),
        (),
    ]
    for agent, asked in zip(agents, conditions, strict=True):
        await published(workspace, AssignStep(key="give", agent_id=agent.id), conditions=asked)

    told = await preview(by=by_system(workspace), channel_id=channel.id, text=text)
    conversation = await written(channel, text)

    assert conversation.assignee_id == told.agent_id == agents[expected].id


async def test_what_a_step_changes_counts_for_the_workflows_after_it(workspace: Workspace) -> None:
    channel = await a_channel(workspace)
    department = await a_team(workspace, line=Line.SUPPORT)
    await published(workspace, SetLineStep(key="line", line=Line.SUPPORT), conditions=(BILLING,))
    await published(workspace, to(department), conditions=(LineCondition(line=Line.SUPPORT),))

    found = [await written(channel, text) for text in ("Invoice", "Hello")]

    todos = await Team.todos(workspace.id, Line.SALES)
    assert [(it.team_id, it.line) for it in found] == [
        (department.id, Line.SUPPORT),
        (todos.id, Line.SALES),
    ]


async def test_a_team_of_the_other_line_takes_the_conversation_along(workspace: Workspace) -> None:
    department = await a_team(workspace, line=Line.SUPPORT)
    agent = await an_agent(workspace, teams=[department])
    await published(workspace, to(department, distribution=Distribution.LEAST_OPEN))

    conversation = await written(await a_channel(workspace))

    assert (conversation.line, conversation.assignee_id) == (Line.SUPPORT, agent.id)
    assert (await Assignment.get()).line is Line.SUPPORT


async def _of_a_line_not_served(workspace: Workspace) -> tuple[Step, ...]:
    return (to(await a_team(workspace, line=Line.SUPPORT)),)


async def _after_a_line_not_served(workspace: Workspace) -> tuple[Step, ...]:
    agent = await an_agent(workspace)
    line = SetLineStep(key="line", line=Line.SUPPORT, next="give")
    return line, AssignStep(key="give", agent_id=agent.id)


async def _to_an_agent_who_left(workspace: Workspace) -> tuple[Step, ...]:
    agent = await an_agent(workspace)
    await Agent.filter(id=agent.id).update(is_active=False)
    return (AssignStep(key="give", agent_id=agent.id),)


async def _to_an_agent_who_holds_nothing(workspace: Workspace) -> tuple[Step, ...]:
    agent = await an_agent(workspace, role=Role.AUDITOR)
    return (AssignStep(key="give", agent_id=agent.id),)


async def _to_a_team_that_is_gone(workspace: Workspace) -> tuple[Step, ...]:
    team = await a_team(workspace)
    await Team.filter(id=team.id).update(is_active=False)
    return (to(team),)


@pytest.mark.leaves_violations  # such targets go by their verbs only with a replacement
@pytest.mark.parametrize(
    ("arranged", "passed"),
    [
        (_of_a_line_not_served, [Reason.WORKFLOW_LINE_NOT_SERVED]),
        (_after_a_line_not_served, []),
        (_to_an_agent_who_left, [Reason.WORKFLOW_TARGET_INACTIVE]),
        (_to_an_agent_who_holds_nothing, [Reason.WORKFLOW_TARGET_INACTIVE]),
        (_to_a_team_that_is_gone, [Reason.WORKFLOW_TARGET_INACTIVE]),
    ],
)
async def test_what_cannot_be_obeyed_is_passed_over(
    workspace: Workspace,
    arranged: Callable[[Workspace], Awaitable[tuple[Step, ...]]],
    passed: list[Reason],
) -> None:
    await published(workspace, *await arranged(workspace))
    agent = await an_agent(workspace)
    await published(workspace, AssignStep(key="give", agent_id=agent.id))

    conversation = await written(await a_channel(workspace, kind=ChannelKind.WEBCHAT))

    assert conversation.assignee_id == agent.id
    assert (await routed(conversation))["passed"] == passed


async def test_only_active_workflows_of_this_workspace_and_trigger_count(
    workspace: Workspace,
) -> None:
    agent = await an_agent(workspace)
    give = AssignStep(key="give", agent_id=agent.id)
    await published(workspace, give, status="DRAFT")
    await published(workspace, give, status="ARCHIVED")

    conversation = await written(await a_channel(workspace))

    assert conversation.status is Status.QUEUED


async def test_what_runs_once_for_a_contact_decides_once(workspace: Workspace) -> None:
    agent, by = await an_agent(workspace), by_system(workspace)
    channels = [await a_channel(workspace) for _ in range(2)]
    await a_contact(*channels)
    await Workspace.change(by=by, sticky_falls_through=True)
    await published(workspace, AssignStep(key="give", agent_id=agent.id), is_once=True)

    found = [await written(channel, sender="ada") for channel in channels]

    assert [it.assignee_id for it in found] == [agent.id, None]


@pytest.mark.parametrize("named", [False, True])
async def test_the_bot_hands_over_to_whom_a_workflow_says(
    workspace: Workspace, named: bool
) -> None:
    agent, other = await an_agent(workspace), await a_team(workspace)
    department = await a_team(workspace, line=Line.SUPPORT, members=[agent])
    step = to(department, distribution=Distribution.LEAST_OPEN)
    workflow = await published(workspace, step, conditions=(BILLING,))
    conversation = await written(await a_channel(workspace, bot=True), "An invoice")
    was_with_bot = conversation.status

    await routing.hand_off(
        conversation.id, by=by_system(workspace), team_id=other.id if named else None
    )

    await conversation.refresh_from_db()
    assert was_with_bot is Status.BOT
    assert conversation.team_id == (other.id if named else department.id)
    assert conversation.assignee_id == (None if named else agent.id)
    outcome = "SKIPPED" if named else "DONE"
    assert await came_to(await the_run(workflow)) == [("give", outcome)]


async def test_the_run_takes_what_routing_did_for_done(workspace: Workspace) -> None:
    team = await a_team(workspace, members=[await an_agent(workspace)])
    workflow = await published(workspace, to(team, distribution=Distribution.LEAST_OPEN))

    await written(await a_channel(workspace))

    assert await came_to(await the_run(workflow)) == [("give", "DONE")]
    assert [it.rule for it in await Assignment.all()] == [Rule.WORKFLOW]


# -- Given out by the settings of a step


async def a_manual_team(
    workspace: Workspace, *agents: Agent, **settings: Any
) -> tuple[Team, Channel]:
    """A team whose agents pick, but for what a workflow has given out: by load, if not told."""
    team = await a_team(workspace, members=agents)
    step = to(team, **{"distribution": Distribution.LEAST_OPEN, **settings})
    await published(workspace, step, conditions=(BILLING,))
    return team, await a_channel(workspace, team=team)


async def test_it_is_given_out_where_the_others_are_picked(workspace: Workspace) -> None:
    agents = [await an_agent(workspace) for _ in range(2)]
    _, channel = await a_manual_team(workspace, *agents, max_open=1)

    found = [await written(channel, text) for text in ("Hello", "invoice", "invoice", "invoice")]

    assert [it.status for it in found] == [
        Status.QUEUED,
        Status.ASSIGNED,
        Status.ASSIGNED,
        Status.QUEUED,
    ]
    assert {it.assignee_id for it in found[1:3]} == {agent.id for agent in agents}
    assert found[3].distribution is not None
    assert (found[3].distribution["distribution"], found[3].distribution["max_open"]) == (
        "LEAST_OPEN",
        1,
    )
    for assignment in await Assignment.all():
        facts = recall(assignment.decision)
        made = decide(facts)
        assert (facts.distribution, facts.max_open) == (Distribution.LEAST_OPEN, 1)
        assert made.winner is not None
        assert made.winner.agent_id == assignment.agent_id


async def test_whoever_is_freed_gets_what_waits_by_settings(workspace: Workspace) -> None:
    agent, by = await an_agent(workspace), by_system(workspace)
    _, channel = await a_manual_team(workspace, agent, max_open=1)
    plain, held, waiting = [
        await written(channel, text) for text in ("Hello", "invoice", "invoice")
    ]

    async with working(held.id, by=by) as conversation:
        await closing.close(conversation, by=by)

    for it in (plain, waiting):
        await it.refresh_from_db()
    assert (plain.status, waiting.assignee_id) == (Status.QUEUED, agent.id)


async def test_whom_the_team_would_pass_over_a_step_may_ask(workspace: Workspace) -> None:
    away = await an_agent(workspace, availability=Availability.AWAY)
    team = await a_team(workspace, distribution=Distribution.LEAST_OPEN, members=[away])
    await published(workspace, to(team, online_only=False), conditions=(BILLING,))
    channel = await a_channel(workspace, team=team)

    found = [await written(channel, text) for text in ("Hello", "invoice")]

    assert [it.assignee_id for it in found] == [None, away.id]


async def test_the_turns_are_the_teams_whoever_gives_out(workspace: Workspace) -> None:
    agents = [await an_agent(workspace) for _ in range(3)]
    team = await a_team(workspace, distribution=Distribution.ROUND_ROBIN, members=agents)
    await published(workspace, to(team, max_open=10), conditions=(BILLING,))
    channel = await a_channel(workspace, team=team)

    found = [await written(channel, text) for text in ("Hello", "invoice") * 3]

    assert [it.assignee_id for it in found] == [agent.id for agent in agents] * 2


@pytest.mark.parametrize("step_first", [True, False])
async def test_of_those_who_wait_the_longest_is_first_whoever_gives_out(
    workspace: Workspace, step_first: bool
) -> None:
    agent = await an_agent(workspace, accepts_new=False, capacity=1)
    team = await a_team(workspace, distribution=Distribution.LEAST_OPEN, members=[agent])
    await published(workspace, to(team, max_open=1), conditions=(BILLING,))
    channel = await a_channel(workspace, team=team)
    texts = ["invoice", "Hello"] if step_first else ["Hello", "invoice"]
    first, second = [await written(channel, text) for text in texts]

    await Agent.set_availability(agent.id, by=as_agent(agent), accepts_new=True)

    for it in (first, second):
        await it.refresh_from_db()
    assert (first.assignee_id, second.status) == (agent.id, Status.QUEUED)


async def test_those_who_have_to_stay_hold_up_nobody(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(distribution, "BATCH_SIZE_MAX", 2)
    agent = await an_agent(workspace, accepts_new=False)
    team = await a_team(workspace, distribution=Distribution.LEAST_OPEN, max_open=1)
    await published(workspace, to(team, max_open=2), conditions=(BILLING,))
    channel = await a_channel(workspace, team=team)
    plain = [await written(channel) for _ in range(4)]
    bills = [await written(channel, "invoice") for _ in range(2)]
    await Membership.add(by=by_system(workspace), team=team, agent_id=agent.id)

    await Agent.set_availability(agent.id, by=as_agent(agent), accepts_new=True)

    held = {it.id for it in await Conversation.filter(assignee_id=agent.id)}
    assert held == {plain[0].id, bills[0].id}


async def test_what_a_crash_left_undone_is_given_out_later(workspace: Workspace) -> None:
    agent = await an_agent(workspace, capacity=0)
    await a_manual_team(workspace, agent)
    _, channel = await a_manual_team(workspace, agent)
    waiting = await written(channel, "invoice")
    await Agent.filter(id=agent.id).update(capacity=1)

    given = await queue.drain_all(10)

    await waiting.refresh_from_db()
    assert (given, waiting.assignee_id) == (1, agent.id)


async def test_it_is_not_picked_and_not_worked_but_by_supervisors(workspace: Workspace) -> None:
    agent = await an_agent(workspace, accepts_new=False)
    boss = await an_agent(workspace, role=Role.OPERATOR)
    _, channel = await a_manual_team(workspace, agent)
    plain, waiting = [await written(channel, text) for text in ("Hello", "invoice")]
    by = as_agent(agent)

    async with working(plain.id, by=by) as conversation:
        await conversation.pick(by=by)
    with pytest.raises(TeamDistributesAutomatically):
        async with working(waiting.id, by=by) as conversation:
            await conversation.pick(by=by)
    with pytest.raises(Forbidden):
        async with working(waiting.id, by=by) as conversation:
            await conversation.send("Hello", by=by)
    async with working(waiting.id, by=as_agent(boss)) as conversation:
        await conversation.pick(by=as_agent(boss))

    await waiting.refresh_from_db()
    assert waiting.assignee_id == boss.id


@pytest.mark.parametrize(
    ("text", "expected"), [("Hello", Verdict.MAY_PICK), ("invoice", Verdict.AWAY)]
)
async def test_why_not_goes_by_the_settings_that_count(
    workspace: Workspace, text: str, expected: Verdict
) -> None:
    away = await an_agent(workspace, availability=Availability.AWAY)
    _, channel = await a_manual_team(workspace, away)
    conversation = await written(channel, text)

    found = await why_not(conversation.id, away.id, by=by_system(workspace))

    assert found is not None
    assert found.verdict is expected


# -- Only while it waits there


Leave = Callable[[Workspace, Conversation], Awaitable[object]]


async def _assigned(workspace: Workspace, conversation: Conversation) -> None:
    agent, by = await an_agent(workspace), by_system(workspace)
    async with working(conversation.id, by=by) as held:
        await held.assign(agent.id, by=by)


async def _transferred(workspace: Workspace, conversation: Conversation) -> None:
    team = await a_team(workspace)
    await transfer(conversation.id, by=by_system(workspace), to_team=team.id)


async def _line_set(workspace: Workspace, conversation: Conversation) -> None:
    await set_line(conversation.id, Line.SUPPORT, by=by_system(workspace))


async def _closed(workspace: Workspace, conversation: Conversation) -> None:
    async with working(conversation.id, by=by_system(workspace)) as held:
        await closing.close(held, by=by_system(workspace))


async def _with_bot(workspace: Workspace, conversation: Conversation) -> None:
    async with working(conversation.id, by=by_system(workspace)) as held:
        assert held.team_id is not None
        await placement.give_to_bot(held, held.team_id, by=by_system(workspace))


async def _team_deleted(workspace: Workspace, conversation: Conversation) -> None:
    assert conversation.team_id is not None
    other = await a_team(workspace)
    await fetch("UPDATE workflows SET status = 'ARCHIVED'")
    await team_removal.delete(
        conversation.team_id, by=by_system(workspace), replacement_id=other.id
    )


@pytest.mark.parametrize(
    "leave", [_assigned, _transferred, _line_set, _closed, _with_bot, _team_deleted]
)
async def test_the_settings_end_where_the_wait_does(workspace: Workspace, leave: Leave) -> None:
    _, channel = await a_manual_team(workspace, await an_agent(workspace, accepts_new=False))
    waiting = await written(channel, "invoice")
    before = waiting.distribution

    await leave(workspace, waiting)

    await waiting.refresh_from_db()
    assert (before is not None, waiting.distribution) == (True, None)


# -- Several at once


async def test_nobody_is_over_the_limit_of_a_step_whoever_writes_at_once(
    workspace: Workspace, pool: str
) -> None:
    agents = [await an_agent(workspace) for _ in range(3)]
    team, channel = await a_manual_team(workspace, *agents, max_open=2)
    await fetch("UPDATE workflows SET status = 'ARCHIVED'")
    await published(workspace, to(team, distribution=Distribution.LEAST_OPEN, max_open=2))
    writers = [
        await asyncio.create_subprocess_exec(
            *(sys.executable, "-P", WRITER, pool, str(channel.id), name, "8"),
            stdin=PIPE,
            stdout=PIPE,
            cwd=WRITER.parent.parent,
            env={"PYTHONPATH": str(WRITER.parent.parent)},
        )
        for name in ("ada", "bob")
    ]
    for writer in writers:
        assert writer.stdout is not None
        assert await writer.stdout.readline() == b"ready\n"

    await asyncio.gather(*(writer.communicate(b"go\n") for writer in writers))

    assert [writer.returncode for writer in writers] == [0, 0]
    assert [agent.load for agent in await Agent.all()] == [2, 2, 2]
    assert await Conversation.filter(status=Status.QUEUED).count() == 10
    for assignment in await Assignment.all():
        made = decide(recall(assignment.decision))
        assert made.winner is not None
        assert made.winner.agent_id == assignment.agent_id
