"""The step ASSIGN: whom it gives a conversation to, whom it leaves alone, and how it waits."""

from dataclasses import replace
from typing import Any
from uuid import UUID

import pytest

from models import Agent, Conversation, Workspace, closing
from models.conversation import Status
from models.database import fetchval
from models.decision import Distribution, Rule
from models.transfer import transfer
from models.workflow import advance
from models.workflow.definition import (
    WAITING_MINUTES_MAX,
    AssignStep,
    SendMessageStep,
    Trigger,
)
from models.workflow.run import RunStatus, WorkflowRun, start_by_hand
from tests.conftest import Clock
from tests.factories import (
    a_channel,
    a_contact,
    a_conversation,
    a_message,
    a_team,
    an_agent,
    as_agent,
    by_system,
    working,
)
from tests.published import came_to, published, runs_of, the_run

GREET = SendMessageStep(key="greet", text="Somebody is with you.")
SORRY = SendMessageStep(key="sorry", text="All are busy.")


async def _now(conversation_id: UUID) -> Conversation:
    return await Conversation.get(id=conversation_id)


async def _a_wait(workspace: Workspace, **settings: Any) -> tuple[Agent, Conversation, WorkflowRun]:
    """A conversation that a workflow put into a queue that nobody takes from yet."""
    agent = await an_agent(workspace)
    team = await a_team(workspace, members=[agent])
    step = AssignStep(key="give", team_id=team.id, next="greet", **settings)
    workflow = await published(workspace, step, GREET, SORRY)
    received = await a_message(await a_channel(workspace))
    return agent, await _now(received.conversation_id), await the_run(workflow)


async def test_an_agent_gets_what_nobody_has(workspace: Workspace) -> None:
    agent = await an_agent(workspace)
    workflow = await published(workspace, AssignStep(key="give", agent_id=agent.id))

    received = await a_message(await a_channel(workspace))

    conversation = await _now(received.conversation_id)
    assert conversation.assignee_id == agent.id
    assert await came_to(await the_run(workflow)) == [("give", "DONE")]
    assert await fetchval("SELECT rule FROM assignments") == Rule.WORKFLOW


async def test_a_team_that_distributes_has_it_given_out_at_once(workspace: Workspace) -> None:
    agent = await an_agent(workspace)
    team = await a_team(workspace, distribution=Distribution.ROUND_ROBIN, members=[agent])
    give = AssignStep(key="give", team_id=team.id, next="greet")
    workflow = await published(workspace, give, GREET)

    received = await a_message(await a_channel(workspace))

    assert (await _now(received.conversation_id)).assignee_id == agent.id
    run = await the_run(workflow)
    assert run.status is RunStatus.ENDED
    assert (await came_to(run))[-2:] == [("give", "DONE"), ("greet", "DONE")]


@pytest.mark.parametrize("reassign", [False, True])
async def test_who_has_it_keeps_it_unless_the_step_reassigns(
    workspace: Workspace, reassign: bool
) -> None:
    holder, other = await an_agent(workspace), await an_agent(workspace)
    give = AssignStep(key="give", agent_id=other.id, reassign=reassign)
    workflow = await published(workspace, give, trigger=Trigger.MESSAGE_RECEIVED)
    channel = await a_channel(workspace, agent=holder)

    received = await a_message(channel)

    expected = other if reassign else holder
    assert (await _now(received.conversation_id)).assignee_id == expected.id
    outcome = "DONE" if reassign else "SKIPPED"
    assert await came_to(await the_run(workflow)) == [("give", outcome)]


async def test_what_waits_for_its_owner_or_was_handed_over_is_left_there(
    workspace: Workspace,
) -> None:
    agent, away = await an_agent(workspace), await an_agent(workspace, connected=False)
    team = await a_team(workspace)
    workflow = await published(
        workspace, AssignStep(key="give", agent_id=agent.id), trigger=Trigger.MANUAL
    )
    channel = await a_channel(workspace)
    await a_contact(channel, sender="owned", owner_agent=away)
    reserved = await a_message(channel, sender="owned")
    moved = await a_message(channel)
    await transfer(moved.conversation_id, by=by_system(workspace), to_team=team.id)

    for conversation_id in (reserved.conversation_id, moved.conversation_id):
        await start_by_hand(workflow, conversation_id, by=by_system(workspace))

        assert (await _now(conversation_id)).status is Status.QUEUED
    assert [await came_to(run) for run in await runs_of(workflow)] == [[("give", "SKIPPED")]] * 2


async def test_the_first_workflow_that_assigns_ends_routing(workspace: Workspace) -> None:
    first, second = await a_team(workspace), await a_team(workspace)
    for team in (first, second):
        await published(workspace, AssignStep(key="give", team_id=team.id))

    received = await a_message(await a_channel(workspace))

    assert (await _now(received.conversation_id)).team_id == first.id
    runs = await WorkflowRun.all().order_by("position")
    assert [run.status for run in runs] == [RunStatus.WAITING, RunStatus.ENDED]
    assert await came_to(runs[1]) == [("give", "SKIPPED")]


async def test_a_run_waits_until_somebody_takes_it_from_the_queue(workspace: Workspace) -> None:
    agent, conversation, run = await _a_wait(workspace)
    assert (run.status, await came_to(run)) == (RunStatus.WAITING, [("give", "WAITING")])

    async with working(conversation.id, by=as_agent(agent)) as waiting:
        await waiting.pick(by=as_agent(agent))

    await run.refresh_from_db()
    assert run.status is RunStatus.ENDED
    assert await came_to(run) == [("give", "WAITING"), ("give", "DONE"), ("greet", "DONE")]


@pytest.mark.parametrize("on_timeout", [None, "sorry"])
async def test_past_its_limit_a_wait_goes_another_way_or_ends(
    workspace: Workspace, clock: Clock, on_timeout: str | None
) -> None:
    await clock.stop()
    _, conversation, run = await _a_wait(workspace, waiting_minutes=10, on_timeout=on_timeout)

    await clock.travel(minutes=9, seconds=59)
    assert await advance.go_on_due(10) == 0
    await clock.travel(seconds=1)
    await advance.go_on_due(10)

    await run.refresh_from_db()
    after = [("sorry", "DONE")] if on_timeout else []
    assert run.status is RunStatus.ENDED
    assert await came_to(run) == [("give", "WAITING"), ("give", "TIMED_OUT"), *after]
    conversation = await _now(conversation.id)
    assert conversation.status is Status.QUEUED
    assert conversation.distribution is None
    assert (conversation.decision or {})["rule"] == Rule.WORKFLOW_TIMEOUT


async def test_a_step_has_it_given_out_its_own_way_until_its_limit(
    workspace: Workspace, clock: Clock
) -> None:
    await clock.stop()
    away = await an_agent(workspace, connected=False)
    team = await a_team(workspace, members=[away])
    patient = AssignStep(
        key="give", team_id=team.id, distribution=Distribution.LEAST_OPEN, waiting_minutes=10
    )
    generous = replace(patient, online_only=False)
    workflows = [
        await published(workspace, step, trigger=Trigger.MANUAL) for step in (patient, generous)
    ]
    waiting, given = [await a_conversation(workspace) for _ in range(2)]

    await start_by_hand(workflows[0], waiting.id, by=by_system(workspace))
    await start_by_hand(workflows[1], given.id, by=by_system(workspace))
    before = await _now(waiting.id)
    await clock.travel(minutes=10)
    await advance.go_on_due(10)

    assert (await _now(given.id)).assignee_id == away.id
    assert (before.status, before.distribution is not None) == (Status.QUEUED, True)
    after = await _now(waiting.id)
    assert (after.status, after.distribution) == (Status.QUEUED, None)


async def test_a_wait_is_limited_to_a_week(workspace: Workspace, clock: Clock) -> None:
    _, _, run = await _a_wait(workspace)

    await clock.travel(minutes=WAITING_MINUTES_MAX - 1)
    assert await advance.go_on_due(10) == 0
    await clock.travel(minutes=1)
    await advance.go_on_due(10)

    await run.refresh_from_db()
    assert run.status is RunStatus.ENDED


async def test_a_time_out_can_send_it_to_another_team(workspace: Workspace, clock: Clock) -> None:
    first, second = await a_team(workspace), await a_team(workspace)
    workflow = await published(
        workspace,
        AssignStep(key="first", team_id=first.id, waiting_minutes=1, on_timeout="second"),
        AssignStep(key="second", team_id=second.id, waiting_minutes=1),
    )
    received = await a_message(await a_channel(workspace))

    await clock.travel(minutes=1)
    await advance.go_on_due(10)

    assert (await _now(received.conversation_id)).team_id == second.id
    assert await came_to(await the_run(workflow)) == [
        ("first", "WAITING"),
        ("first", "TIMED_OUT"),
        ("second", "WAITING"),
    ]


async def test_a_wait_ends_with_the_conversation_closed(workspace: Workspace) -> None:
    _, conversation, run = await _a_wait(workspace)

    async with working(conversation.id, by=by_system(workspace)) as waiting:
        await closing.close(waiting, by=by_system(workspace))

    await run.refresh_from_db()
    assert run.status is RunStatus.ENDED
    assert await came_to(run) == [("give", "WAITING"), ("give", "SKIPPED")]


async def test_a_wait_ends_with_the_conversation_moved_elsewhere(workspace: Workspace) -> None:
    agent, conversation, run = await _a_wait(workspace)
    elsewhere = await a_team(workspace, distribution=Distribution.LEAST_OPEN, members=[agent])

    await transfer(conversation.id, by=by_system(workspace), to_team=elsewhere.id)

    await run.refresh_from_db()
    assert run.status is RunStatus.ENDED
    assert await came_to(run) == [("give", "WAITING"), ("give", "SKIPPED")]


async def test_a_wait_ends_when_another_workflow_places_the_conversation(
    workspace: Workspace,
) -> None:
    _, conversation, run = await _a_wait(workspace)
    other = await a_team(workspace)
    workflow = await published(
        workspace,
        AssignStep(key="move", team_id=other.id, reassign=True),
        trigger=Trigger.MANUAL,
    )

    await start_by_hand(workflow, conversation.id, by=by_system(workspace))

    await run.refresh_from_db()
    assert run.status is RunStatus.ENDED
    assert (await the_run(workflow)).status is RunStatus.WAITING
    assert (await _now(conversation.id)).team_id == other.id


async def test_the_waiting_time_survives_a_workflow(workspace: Workspace, clock: Clock) -> None:
    await clock.stop()
    team = await a_team(workspace)
    workflow = await published(
        workspace, AssignStep(key="give", team_id=team.id), trigger=Trigger.MANUAL
    )
    conversation = await a_conversation(workspace)
    await clock.travel(hours=1)

    await start_by_hand(workflow, conversation.id, by=by_system(workspace))

    assert (await _now(conversation.id)).queued_at == conversation.queued_at


@pytest.mark.leaves_violations  # an agent goes by its verb only with a replacement
async def test_an_agent_who_left_fails_the_step(workspace: Workspace) -> None:
    agent = await an_agent(workspace)
    workflow = await published(
        workspace, AssignStep(key="give", agent_id=agent.id), trigger=Trigger.MANUAL
    )
    conversation = await a_conversation(workspace)
    await Agent.filter(id=agent.id).update(is_active=False)

    await start_by_hand(workflow, conversation.id, by=by_system(workspace))

    assert await came_to(await the_run(workflow)) == [("give", "FAILED", "AGENT_INACTIVE")]
