"""Routing places ahead of the runs of an opening: they come to where it looked, or let it go."""

import asyncio
import contextvars
from typing import Any

import pytest

from models import Agent, Conversation, Team, Workflow, Workspace, bot, database, routing
from models.base import Line
from models.database import fetchval
from models.decision import Distribution, Rule
from models.workflow import advance, assigning
from models.workflow.definition import (
    AssignStep,
    BranchStep,
    Case,
    LineCondition,
    SendMessageStep,
    SetLineStep,
    Step,
    TextCondition,
    UnassignStep,
)
from models.workflow.run import RunStatus
from tests.conftest import Clock
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
from tests.published import came_to, published, runs_of, the_run

SALES = LineCondition(line=Line.SALES)
SORRY = SendMessageStep(key="sorry", text="Sorry.")


async def _nobody_there(workspace: Workspace, line: Line = Line.SALES) -> Team:
    return await a_team(workspace, line=line, members=[await an_agent(workspace, connected=False)])


def _give(team: Team, **settings: Any) -> AssignStep:
    return AssignStep(
        key="give",
        team_id=team.id,
        distribution=Distribution.ROUND_ROBIN,
        waiting_minutes=60,
        **settings,
    )


async def _written(workspace: Workspace) -> Conversation:
    received = await a_message(await a_channel(workspace))
    return await Conversation.get(id=received.conversation_id)


async def _let_go(conversation: Conversation) -> bool:
    """Whether it waits by the rules of its team, which the log was told."""
    now = await Conversation.get(id=conversation.id)
    return now.distribution is None and (now.decision or {})["rule"] == Rule.WORKFLOW_TIMEOUT


# -- A run comes to where routing looked


async def test_conditions_are_those_that_routing_asked_before_it_changed_the_line(
    workspace: Workspace,
) -> None:
    desk = await _nobody_there(workspace, Line.SUPPORT)
    workflow = await published(workspace, _give(desk), conditions=(SALES,))

    conversation = await _written(workspace)

    assert conversation.line is Line.SUPPORT
    assert await came_to(await the_run(workflow)) == [("give", "WAITING")]


async def test_a_run_takes_the_branch_that_routing_took(workspace: Workspace) -> None:
    desk = await _nobody_there(workspace, Line.SUPPORT)
    which = BranchStep(key="which", cases=(Case(conditions=(SALES,), next="give"),), next="sorry")
    workflow = await published(workspace, which, _give(desk), SORRY)

    await _written(workspace)

    assert await came_to(await the_run(workflow)) == [("which", "DONE"), ("give", "WAITING")]


async def test_what_a_customer_adds_before_the_run_begins_changes_nothing(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    team, channel = await _nobody_there(workspace), await a_channel(workspace)
    urgent = TextCondition(contains=("urgent",))
    workflow = await published(workspace, _give(team), conditions=(urgent,))
    with monkeypatch.context() as interrupted:
        interrupted.setattr(database, "_go_on", None)
        await a_message(channel, sender="ada", text="urgent")
        await a_message(channel, sender="ada", text="hello?")

    await advance.go_on_due(100)

    assert await came_to(await the_run(workflow)) == [("give", "WAITING")]


async def test_a_workflow_before_the_placing_one_asks_about_the_line_that_routing_asked_with(
    workspace: Workspace,
) -> None:
    greeting = await published(workspace, SORRY, conditions=(SALES,))
    await published(workspace, _give(await _nobody_there(workspace, Line.SUPPORT)))

    await _written(workspace)

    assert await came_to(await the_run(greeting)) == [("sorry", "DONE")]


async def test_a_workflow_before_the_placing_one_sees_the_lines_set_so_far(
    workspace: Workspace,
) -> None:
    support = LineCondition(line=Line.SUPPORT)
    await published(workspace, SetLineStep(key="line", line=Line.SUPPORT))
    between = await published(workspace, SORRY, conditions=(support,))
    await published(workspace, _give(await _nobody_there(workspace)), conditions=(support,))

    await _written(workspace)

    assert await came_to(await the_run(between)) == [("sorry", "DONE")]


async def test_a_line_that_comes_before_the_placing_step_is_not_set_again(
    workspace: Workspace,
) -> None:
    agent = await an_agent(workspace)
    team = await a_team(workspace, distribution=Distribution.ROUND_ROBIN, members=[agent])
    first = await published(workspace, SetLineStep(key="line", line=Line.SUPPORT))
    await published(workspace, AssignStep(key="give", team_id=team.id))

    conversation = await _written(workspace)

    assert (conversation.line, conversation.team_id) == (Line.SALES, team.id)
    assert conversation.assignee_id == agent.id
    assert await came_to(await the_run(first)) == [("line", "DONE")]


@pytest.mark.parametrize("to_agent", [True, False])
async def test_an_unassigning_before_the_placing_step_takes_it_from_nobody(
    workspace: Workspace, to_agent: bool
) -> None:
    agent = await an_agent(workspace)
    team = await a_team(workspace, distribution=Distribution.ROUND_ROBIN, members=[agent])
    give: Step = AssignStep(key="give", agent_id=agent.id)
    if not to_agent:
        give = AssignStep(key="give", team_id=team.id)
    workflow = await published(workspace, UnassignStep(key="free", next="give"), give)

    conversation = await _written(workspace)

    assert conversation.assignee_id == agent.id
    assert await fetchval("SELECT count(*) FROM assignments") == 1
    assert await came_to(await the_run(workflow)) == [("free", "SKIPPED"), ("give", "DONE")]


async def test_a_wait_is_limited_from_the_moment_of_routing(
    workspace: Workspace, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    workflow = await published(workspace, _give(await a_team(workspace), on_timeout="sorry"), SORRY)
    with monkeypatch.context() as interrupted:
        interrupted.setattr(database, "_go_on", None)
        conversation = await _written(workspace)

    await clock.travel(minutes=60)
    await advance.go_on_due(100)

    assert (await the_run(workflow)).status is RunStatus.ENDED
    assert await _let_go(conversation)


# -- A run that does not come there


async def test_a_run_that_fails_before_its_placing_step_lets_go(workspace: Workspace) -> None:
    hello = SendMessageStep(key="hello", text="{{contact.phone}}", next="give")
    workflow = await published(workspace, hello, _give(await _nobody_there(workspace)))

    conversation = await _written(workspace)

    assert (await the_run(workflow)).status is RunStatus.FAILED
    assert await _let_go(conversation)


async def test_a_run_that_fails_lets_go_to_whoever_the_team_gives_it_to(
    workspace: Workspace,
) -> None:
    away = await an_agent(workspace, connected=False)
    team = await a_team(
        workspace, distribution=Distribution.ROUND_ROBIN, online_only=False, members=[away]
    )
    hello = SendMessageStep(key="hello", text="{{contact.phone}}", next="give")
    await published(workspace, hello, _give(team, online_only=True))

    conversation = await _written(workspace)

    assert (await Conversation.get(id=conversation.id)).assignee_id == away.id


async def test_a_run_that_never_was_lets_go(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, two = await a_channel(workspace), await a_channel(workspace)
    await a_contact(one, two)
    workflow = await published(workspace, _give(await _nobody_there(workspace)), is_once=True)
    with monkeypatch.context() as interrupted:
        interrupted.setattr(database, "_go_on", None)
        first = await a_message(one, sender="ada")
        second = await a_message(two, sender="ada")

    await advance.go_on_due(100)

    conversations = [await Conversation.get(id=it.conversation_id) for it in (first, second)]
    assert [await _let_go(it) for it in conversations].count(True) == 1
    assert len(await runs_of(workflow)) == 1


async def test_after_a_time_out_with_a_branch_the_team_gives_it_out(
    workspace: Workspace, clock: Clock
) -> None:
    away = await an_agent(workspace, connected=False)
    team = await a_team(
        workspace, distribution=Distribution.ROUND_ROBIN, online_only=False, members=[away]
    )
    await published(workspace, _give(team, online_only=True, on_timeout="sorry"), SORRY)
    conversation = await _written(workspace)

    await clock.travel(hours=1)
    await advance.go_on_due(100)

    assert (await Conversation.get(id=conversation.id)).assignee_id == away.id


async def test_a_workflow_that_ran_in_this_opening_places_no_more_after_the_bot(
    workspace: Workspace,
) -> None:
    agent = await an_agent(workspace)
    workflow = await published(
        workspace, _give(await a_team(workspace, members=[agent]), on_timeout="sorry"), SORRY
    )
    conversation = await _written(workspace)
    async with working(conversation.id, by=as_agent(agent)) as held:
        await bot.resume(held, by=as_agent(agent))
    await Agent.set_availability(agent.id, by=by_system(workspace), accepts_new=False)

    await routing.hand_off(conversation.id, by=by_system(workspace))

    now = await Conversation.get(id=conversation.id)
    assert (now.distribution, (now.decision or {})["rule"]) == (None, Rule.TODOS)
    assert len(await runs_of(workflow)) == 1


async def test_what_a_workflow_archived_while_it_routed_left_is_let_go_by_a_sweep(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    workflow = await published(workspace, _give(await _nobody_there(workspace)))
    direct = routing._direct

    async def then_archived(*asked: Any) -> Any:
        assert direct is not None
        found = await direct(*asked)
        archiving = Workflow.archive(workflow, by=by_system(workspace))
        await asyncio.create_task(archiving, context=contextvars.Context())
        return found

    with monkeypatch.context() as raced:
        raced.setattr(routing, "_direct", then_archived)
        conversation = await _written(workspace)

    assert await assigning.let_go_of_lost(100) == 1
    assert await _let_go(conversation)
    assert await assigning.let_go_of_lost(100) == 0
