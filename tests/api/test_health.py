"""What a process answers when it is asked whether the timers are kept."""

from typing import Any
from uuid import uuid4

import httpx
import pytest
from starlette.applications import Starlette
from starlette.routing import Route

from api import health
from models import Workspace, worker
from models.base import IdlePeriod
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


async def asked() -> tuple[int, Any]:
    app = Starlette(routes=[Route("/health/workers", health.workers)])
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://here") as web:
        answer = await web.get("/health/workers")
    return answer.status_code, answer.json()
