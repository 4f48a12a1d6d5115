"""Workers killed in the middle of workflow runs: no step is repeated, and none is lost."""

import asyncio
from functools import partial
from uuid import UUID

import pytest

from models import Workspace, database
from models.database import fetch, fetchval
from models.workflow.definition import AssignStep, SendMessageStep, Step, TagStep
from models.workflow.run import RunStatus
from tests.conftest import Clock
from tests.factories import a_channel, a_message, a_team
from tests.published import published, runs_of, the_run
from tests.workers.test_worker_process import a_worker, eventually, locking

MESSAGES = 8


async def test_a_worker_killed_again_and_again_takes_each_step_once(
    workspace: Workspace, database: str, redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    workflow = await _left_behind(workspace, monkeypatch, conversations=6)

    for _ in range(2):
        before = await _steps()
        async with (
            # What the step does is done; its record cannot be written.
            locking(database, "LOCK TABLE workflow_run_steps IN SHARE MODE"),
            a_worker(database, redis_url) as victim,
        ):
            await eventually(_is_a_record_kept_waiting)
            victim.process.kill()
            await victim.process.wait()
        assert await _steps() == before == await _said() + await _marked()
        async with a_worker(database, redis_url) as victim:
            await eventually(partial(_has_passed, before))
            victim.process.kill()
    async with a_worker(database, redis_url):
        await eventually(lambda: _have_ended(workflow))

    assert await _steps() == 6 * (MESSAGES + 1)
    assert (await _said(), await _marked()) == (6 * MESSAGES, 6)
    twice = (
        "SELECT count(*) FROM messages WHERE direction = 'OUTBOUND' GROUP BY conversation_id, text"
    )
    assert {row["count"] for row in await fetch(twice)} == {1}
    assert await fetchval("SELECT count(*) FROM events WHERE kind = 'WORKFLOW_RUN_ENDED'") == 6


async def test_a_limit_that_passed_while_no_worker_ran_is_made_up_for_once(
    workspace: Workspace, database: str, redis_url: str, clock: Clock
) -> None:
    team = await a_team(workspace)
    give = AssignStep(key="give", team_id=team.id, waiting_minutes=60, on_timeout="sorry")
    workflow = await published(workspace, give, SendMessageStep(key="sorry", text="Sorry."))
    await a_message(await a_channel(workspace))
    await clock.travel(hours=2)

    async with a_worker(database, redis_url), a_worker(database, redis_url):
        await eventually(lambda: _have_ended(workflow))

    assert await _said() == 1
    assert (await the_run(workflow)).status is RunStatus.ENDED


async def _left_behind(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch, *, conversations: int
) -> UUID:
    """Runs that began, with which nobody went on, as after a crash."""
    steps: list[Step] = [
        SendMessageStep(key=f"{n}", text=f"Number {n}.", next=f"{n + 1}") for n in range(MESSAGES)
    ]
    workflow = await published(workspace, *steps, TagStep(key=f"{MESSAGES}", tags=("Told",)))
    channel = await a_channel(workspace)
    with monkeypatch.context() as patched:
        patched.setattr(database, "_go_on", None)
        await asyncio.gather(*(a_message(channel) for _ in range(conversations)))
    return workflow


async def _steps() -> int:
    count: int = await fetchval("SELECT count(*) FROM workflow_run_steps")
    return count


async def _said() -> int:
    count: int = await fetchval("SELECT count(*) FROM messages WHERE direction = 'OUTBOUND'")
    return count


async def _marked() -> int:
    count: int = await fetchval("SELECT count(*) FROM conversation_tags")
    return count


async def _has_passed(steps: int) -> bool:
    return await _steps() > steps


async def _have_ended(workflow: UUID) -> bool:
    return not any(run.is_going for run in await runs_of(workflow))


async def _is_a_record_kept_waiting() -> bool:
    return bool(
        await fetchval(
            "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
            " AND query LIKE '%INTO workflow_run_steps%' AND datname = current_database()"
        )
    )
