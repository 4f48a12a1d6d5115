"""What a process answers when it is asked whether the timers are kept, and what `relevo` says."""

import asyncio
import os
import sys
from asyncio.subprocess import PIPE
from typing import Any
from uuid import uuid4

import httpx
import pytest

from api import health
from api.app import create_app
from models import Workspace, worker
from models.base import IdlePeriod
from models.settings import Settings
from models.timer import Timer
from tests.conftest import Clock
from tests.factories import a_conversation

ON_TIME = {
    "idle_closed": 0.0,
    "reminded": 0.0,
    "woken": 0.0,
    "answers_lapsed": 0.0,
    "presence_lapsed": 0.0,
    "steps_taken": 0.0,
    "drained": 0.0,
}


async def test_a_living_worker_and_nothing_late_is_working(workspace: Workspace) -> None:
    await worker.beat(uuid4(), "here:1", swept={}, failing=[])

    assert await asked() == (200, {"status": "working", "workers": 1, "lateSeconds": ON_TIME})


async def test_nobody_at_work_is_told(workspace: Workspace) -> None:
    assert await asked() == (503, {"status": "no worker", "workers": 0, "lateSeconds": ON_TIME})


async def test_what_waits_for_long_is_told(workspace: Workspace, clock: Clock) -> None:
    await Workspace.filter(id=workspace.id).update(idle_period_days=IdlePeriod.ONE_DAY)
    await clock.stop()
    await a_conversation(workspace)
    await clock.travel(days=1, minutes=2)
    await worker.beat(uuid4(), "here:1", swept={}, failing=[])

    late = {**ON_TIME, "idle_closed": 120.0}
    assert await asked() == (503, {"status": "late", "workers": 1, "lateSeconds": late})


async def test_without_a_database_nobody_knows(monkeypatch: pytest.MonkeyPatch) -> None:
    async def away() -> Any:
        raise ConnectionError("away")

    monkeypatch.setattr(health, "health", away)

    assert await asked() == (503, {"status": "no database"})


async def test_whoever_asks_again_and_again_asks_the_database_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked_for = 0

    async def counted() -> worker.Health:
        nonlocal asked_for
        asked_for += 1
        return worker.Health([], dict.fromkeys(Timer, 0.0))

    monkeypatch.setattr(health, "health", counted)
    transport = httpx.ASGITransport(create_app(Settings(database_url=None)))
    async with httpx.AsyncClient(transport=transport, base_url="http://relevo") as client:
        answers = await asyncio.gather(*(client.get("/health/workers") for _ in range(20)))

    assert {answer.status_code for answer in answers} == {503}
    assert asked_for == 1


async def test_the_status_names_who_lives_and_what_is_late(
    workspace: Workspace, database: str, clock: Clock
) -> None:
    await Workspace.filter(id=workspace.id).update(idle_period_days=IdlePeriod.ONE_DAY)
    await clock.stop()
    await a_conversation(workspace)
    await worker.beat(uuid4(), "there:2", swept={}, failing=[])
    await clock.travel(days=1, seconds=-1)
    await worker.beat(uuid4(), "here:1", swept={"woken": 3, "let_go": 0}, failing=["let_go"])
    kept, on_time = await status(database)
    await clock.travel(minutes=1)
    left, late = await status(database)

    assert (kept, left) == (0, 1)
    assert on_time[: len(ON_TIME)] == [[timer, "0.000 s late"] for timer in ON_TIME]
    assert late[0] == ["idle_closed", "59.000 s late"]
    [[name, state, since, done]] = on_time[len(ON_TIME) :]
    assert (name, state, done) == ("here:1", "alive", "woken=3 let_go!")
    assert since.startswith("since 2")
    assert late[len(ON_TIME)][:2] == ["here:1", "silent"]


async def status(database_url: str) -> tuple[int | None, list[list[str]]]:
    """The exit code of the command, and its lines in their columns."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "api.cli", "status"),
        env={**os.environ, "DATABASE_URL": database_url},
        stdout=PIPE,
    )
    async with asyncio.timeout(20):
        told, _ = await process.communicate()
    return process.returncode, [line.split("\t") for line in told.decode().splitlines()]


async def asked() -> tuple[int, Any]:
    app = create_app(Settings())
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://here") as web:
        answer = await web.get("/health/workers")
    return answer.status_code, answer.json()
