"""Delivering workers: shared endpoints, nobody waits for another, and none is needed for long."""

import asyncio
import signal
from collections.abc import Iterator
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from typing import Any

import pytest
from structlog.testing import capture_logs

from models import Webhook, Workspace
from models.database import fetchrow, fetchval
from models.webhook import lease, signature, target
from tests.conftest import Clock
from tests.delivering import (
    a_process,
    deliver,
    failing_at,
    happen,
    happen_at_once,
    working,
)
from tests.factories import (
    a_webhook,
    a_workspace,
)
from tests.receiver import Manner, a_receiver
from workers import webhooks


@pytest.fixture(autouse=True)
def loopback_allowed(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(webhooks, "STOP_SECONDS", 0.2)
    target.allow(["127.0.0.0/8"])
    yield
    target.allow([])


async def test_a_burst_ends_in_time_and_says_what_is_left(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(webhooks, "BURST_SECONDS_MAX", 0.3)
    async with a_receiver() as receiver, a_receiver(lambda _: 500) as failing:
        webhook = await a_webhook(workspace, receiver.url)
        other = await a_workspace("Another")
        await a_webhook(other, failing.url)
        await happen_at_once(workspace, 20_000)
        with capture_logs() as told:
            async with asyncio.timeout(5):
                await deliver()

    kept = await Webhook.get(id=webhook.id)
    behind = 20_001 - kept.delivered_seq + 1
    assert 0 < kept.delivered_seq == len(receiver.seqs) < 20_001
    [left] = [each for each in told if each["event"] == "webhooks left"]
    assert (left["webhooks"], left["events_behind"]) == (2, behind)


async def test_a_burst_that_is_done_leaves_nothing_to_say(workspace: Workspace) -> None:
    async with a_receiver() as receiver:
        await a_webhook(workspace, receiver.url)
        with capture_logs() as told:
            await deliver()

    assert [each["event"] for each in told] == ["webhooks sent"]


async def test_two_workers_never_send_to_one_endpoint_at_the_same_time(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("models.webhook.turn.TURN_SECONDS_MAX", 0.02)
    monkeypatch.setattr(webhooks, "LOOK_SECONDS", 0.1)
    async with AsyncExitStack() as stack:
        receivers = [await stack.enter_async_context(a_receiver()) for _ in range(4)]
        for receiver in receivers:
            await a_webhook(workspace, receiver.url)
        workers = [await stack.enter_async_context(working()) for _ in range(2)]
        for _ in range(15):
            await happen_at_once(workspace, 4)
            for worker in workers:
                worker.wake(workspace.id)
        last = await fetchval("SELECT max(seq) FROM events")
        for receiver in receivers:
            await receiver.has(lambda it: it.seqs[-1:] == [last])

    for number, receiver in enumerate(receivers, start=1):
        assert receiver.together_max == 1
        assert receiver.seqs == list(range(number, last + 1))


async def test_a_wake_up_is_followed_at_once(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(webhooks, "LOOK_SECONDS", 60)
    async with a_receiver() as receiver, working() as worker:
        await a_webhook(workspace, receiver.url)
        worker.wake(workspace.id)
        await receiver.has(lambda it: it.seqs == [1])
        await happen(workspace, 1)
        worker.wake(None)
        await receiver.has(lambda it: it.seqs == [1, 2])


async def test_whoever_had_its_turn_and_is_owed_more_gets_another_at_once(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(webhooks, "LOOK_SECONDS", 60)
    monkeypatch.setattr("models.webhook.turn.TURN_SECONDS_MAX", 0.02)
    async with a_receiver() as receiver:
        await a_webhook(workspace, receiver.url)
        await happen_at_once(workspace, 100)
        async with working() as worker:
            worker.wake(workspace.id)
            await receiver.has(lambda it: len(it.seqs) == 101)

    assert receiver.seqs == list(range(1, 102))


async def test_without_a_wake_up_it_shows_within_a_look(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(webhooks, "LOOK_SECONDS", 0.05)
    async with a_receiver() as receiver, working():
        await a_webhook(workspace, receiver.url)
        await receiver.has(lambda it: it.seqs == [1])


async def test_a_busy_log_puts_off_no_look_at_the_others(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(webhooks, "LOOK_SECONDS", 0.2)
    busy = await a_workspace("Busy")
    async with a_receiver(failing_at(1, times=1)) as receiver, working() as worker:
        await a_webhook(workspace, receiver.url)
        worker.wake(workspace.id)
        async with asyncio.timeout(10):
            while receiver.seqs != [1]:
                worker.wake(busy.id)
                await asyncio.sleep(0.05)


async def test_fifty_dead_endpoints_hold_up_nobody_else(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(webhooks, "WORKSPACE_SENDS_MAX", 5)
    async with a_receiver() as dead, a_receiver() as slow, a_receiver() as well:
        dead.open.clear()
        slow.open.clear()
        for _ in range(50):
            await a_webhook(workspace, dead.url)
        other = await a_workspace("Another")
        await a_webhook(other, slow.url)
        await a_webhook(other, well.url)
        async with working(sends_max=8):
            await dead.has(lambda it: len(it.deliveries) >= 5)
            await happen(other, 3)
            await well.has(lambda it: len(it.seqs) == 4)

            assert dead.together_max == 5


async def test_workspaces_that_answer_slowly_leave_room_for_another(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(webhooks, "WORKSPACE_SENDS_MAX", 2)
    monkeypatch.setattr(webhooks, "FURTHER_SENDS_MAX", 3)
    async with a_receiver() as slow, a_receiver() as well:
        slow.open.clear()
        for name in "ABCD":
            busy = await a_workspace(name)
            for _ in range(3):
                await a_webhook(busy, slow.url)
        async with working(sends_max=8) as worker:
            await slow.has(lambda it: it.together == 7)
            await a_webhook(workspace, well.url)
            worker.wake(workspace.id)
            await well.has(lambda it: it.seqs == [1])

            assert slow.together_max == 7


async def test_room_that_workspaces_share_is_taken_again_at_once(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(webhooks, "LOOK_SECONDS", 60)
    monkeypatch.setattr(webhooks, "FURTHER_SENDS_MAX", 1)
    other = await a_workspace("Another")
    async with a_receiver() as quick, a_receiver() as slow:
        for each, receiver in ((workspace, quick), (other, slow)):
            receiver.open.clear()
            for _ in range(2):
                await a_webhook(each, receiver.url)
        await Webhook.filter(workspace_id=other.id).update(leased_until=datetime.now(UTC))
        async with working():
            await quick.has(lambda it: it.together == 2)
            await slow.has(lambda it: it.together == 1)
            quick.open.set()
            async with asyncio.timeout(5):
                await slow.has(lambda it: it.together == 2)


async def test_those_that_failed_leave_room_for_those_that_did_not(
    workspace: Workspace, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(webhooks, "FAILING_SENDS_MAX", 2)
    async with a_receiver(lambda _: 500) as failing, a_receiver() as well:
        for _ in range(5):
            await a_webhook(workspace, failing.url)
        await deliver()
        await clock.travel(hours=1)
        failing.open.clear()
        async with working(sends_max=3) as worker:
            await failing.has(lambda it: it.together >= 2)
            await a_webhook(workspace, well.url)
            worker.wake(workspace.id)
            await well.has(lambda it: len(it.seqs) == 1)

            assert failing.together == 2


async def test_whoever_failed_has_its_turn_among_many_that_are_never_done(
    workspace: Workspace, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(webhooks, "WORKSPACE_SENDS_MAX", 1)
    monkeypatch.setattr("models.webhook.turn.TURN_SECONDS_MAX", 0.01)
    async with a_receiver(failing_at(1, times=1)) as failed, a_receiver() as busy:
        await a_webhook(workspace, failed.url)
        await deliver()
        for _ in range(3):
            await a_webhook(workspace, busy.url)
        await happen_at_once(workspace, 10_000)
        await clock.travel(hours=1)
        async with working() as worker:
            worker.wake(None)
            await failed.has(lambda it: bool(it.seqs))

            assert len(busy.seqs) < 3 * 10_000


async def test_whoever_is_stopped_keeps_what_was_accepted(workspace: Workspace) -> None:
    async with a_receiver() as receiver:
        webhook = await a_webhook(workspace, receiver.url)
        await happen(workspace, 2)
        receiver.answer = lambda it: 200 if it.seq < 3 else Manner.SAY_NOTHING
        async with working():
            await receiver.has(lambda it: len(it.deliveries) == 3)

        kept = await Webhook.get(id=webhook.id)
        assert (kept.delivered_seq, kept.lease, kept.attempts) == (2, None, 0)


async def test_an_outage_ends_and_the_worker_does_not(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(webhooks, "RETRY_SECONDS", 0.01)
    outages = iter([ConnectionError("away"), OSError("away")])
    take = lease.take

    async def flaky(*arguments: Any, **named: Any) -> Any:
        for outage in outages:
            raise outage
        return await take(*arguments, **named)

    monkeypatch.setattr(lease, "take", flaky)
    async with a_receiver() as receiver, working():
        await a_webhook(workspace, receiver.url)
        await receiver.has(lambda it: it.seqs == [1])


async def test_a_turn_that_breaks_is_taken_again_but_not_at_once(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken: list[float] = []
    headers = signature.headers

    def break_twice(*arguments: Any) -> dict[str, str]:
        broken.append(asyncio.get_running_loop().time())
        if len(broken) <= 2:
            raise KeyError("seq")
        return headers(*arguments)

    monkeypatch.setattr(webhooks, "LOOK_SECONDS", 0.3)
    monkeypatch.setattr(signature, "headers", break_twice)
    async with a_receiver() as receiver, working():
        await a_webhook(workspace, receiver.url)
        await receiver.has(lambda it: it.seqs == [1])

    assert broken[1] - broken[0] > 0.2


async def test_a_killed_worker_loses_nothing_and_reorders_nothing(
    workspace: Workspace, database: str, redis_url: str, clock: Clock
) -> None:
    async with a_receiver() as receiver:
        await a_webhook(workspace, receiver.url)
        await happen_at_once(workspace, 600)
        process = await a_process(database, redis_url)
        await receiver.has(lambda it: len(it.deliveries) > 120)
        process.kill()
        await process.wait()
        await clock.travel(seconds=lease.LEASE_SECONDS)
        ended = await a_process(database, redis_url, "--burst")
        assert await ended.wait() == 0

    assert receiver.first_seqs == list(range(1, 602))
    assert receiver.together_max == 1


async def test_a_worker_that_is_told_to_stop_does_so_in_time(
    workspace: Workspace, database: str, redis_url: str
) -> None:
    async with a_receiver(lambda _: Manner.SAY_NOTHING) as receiver:
        await a_webhook(workspace, receiver.url)
        process = await a_process(database, redis_url)
        await receiver.has(lambda it: len(it.deliveries) == 1)

        process.send_signal(signal.SIGTERM)
        async with asyncio.timeout(10):
            assert await process.wait() == 0

    row = await fetchrow("SELECT lease, attempts FROM webhooks")
    assert row is not None
    assert tuple(row) == (None, 0)
