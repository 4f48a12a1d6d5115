"""What is told of workers: who lives, what they did, and how late the timers are."""

from uuid import uuid4

import pytest

from models import Workspace, worker
from models.base import IdlePeriod
from models.database import fetchval
from models.idle import close_idle
from models.timer import Timer
from tests.conftest import Clock
from tests.factories import a_conversation

ON_TIME = dict.fromkeys(Timer, 0.0)


@pytest.fixture
async def at_work(database: str) -> None:
    await worker.beat(uuid4(), "here:1", swept={Timer.WOKEN: 3, "let_go": 0}, failing=["let_go"])


async def test_a_worker_tells_what_it_did_and_what_fails(at_work: None) -> None:
    found = await worker.health()

    [one] = found.workers
    assert (one.name, one.is_alive, one.failing) == ("here:1", True, ["let_go"])
    assert one.swept == {"woken": 3, "let_go": 0}
    assert (found.late_seconds, found.is_well) == (ON_TIME, True)


async def test_a_worker_that_is_silent_no_longer_lives_and_is_forgotten_later(
    at_work: None, clock: Clock
) -> None:
    await clock.stop()
    await clock.travel(seconds=worker.SILENT_AFTER_SECONDS)
    silent = await worker.health()
    await worker.beat(uuid4(), "there:2", swept={}, failing=[])
    beside = await worker.health()
    await clock.travel(seconds=worker.KEPT_SECONDS)
    another = uuid4()
    await worker.beat(another, "there:3", swept={}, failing=[])
    later = await worker.health()
    await worker.leave(another)

    assert [(one.name, one.is_alive) for one in silent.workers] == [("here:1", False)]
    assert (silent.alive, silent.is_well) == (0, False)
    assert [one.name for one in beside.workers] == ["there:2", "here:1"]
    # The second one was silent for an hour to the instant: not yet for longer.
    assert [one.name for one in later.workers] == ["there:3", "there:2"]
    assert await fetchval("SELECT count(*) FROM workers") == 1


async def test_a_beat_is_of_the_same_worker_and_counts_from_its_start(
    database: str, clock: Clock
) -> None:
    id = uuid4()
    await worker.beat(id, "here:1", swept={}, failing=["woken"])
    await clock.travel(hours=-1)
    await worker.beat(id, "here:1", swept={"woken": 9}, failing=[])

    [one] = (await worker.health()).workers
    assert (one.swept, one.failing) == ({"woken": 9}, [])
    assert one.beat_at == one.started_at


@pytest.mark.parametrize(("late", "is_well"), [(30, True), (31, False)])
async def test_it_is_told_how_late_the_oldest_timer_of_a_kind_is(
    workspace: Workspace, at_work: None, clock: Clock, late: int, is_well: bool
) -> None:
    await Workspace.filter(id=workspace.id).update(idle_period_days=IdlePeriod.ONE_DAY)
    await clock.stop()
    await a_conversation(workspace)
    await clock.travel(days=1, seconds=late)
    await worker.beat(uuid4(), "here:2", swept={}, failing=[])

    before = await worker.health()
    await close_idle(10)
    after = await worker.health()

    assert before.late_seconds == {**ON_TIME, Timer.IDLE_CLOSED: late}
    assert before.is_well is is_well
    assert (after.late_seconds, after.is_well) == (ON_TIME, True)
