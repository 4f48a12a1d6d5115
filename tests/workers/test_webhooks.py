"""Deliveries: at least once, in order for each endpoint, signed, and nobody waits for another."""

import asyncio
import base64
import hashlib
import hmac
import os
import signal
import sys
from asyncio.subprocess import DEVNULL, Process
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any
from uuid import uuid4

import pytest

from models import Webhook, Workspace, event, log
from models.database import fetch, fetchrow, fetchval, tx
from models.event import Kind
from models.log import Filter
from models.webhook import lease, record, target
from models.webhook.client import Outcome
from models.webhook.lease import TurnLost, wait_seconds
from models.webhook.record import Failure, WebhookStatus
from tests.conftest import Clock
from tests.factories import (
    a_channel,
    a_message,
    a_snippet,
    a_team,
    a_webhook,
    a_workspace,
    an_agent,
    by_system,
)
from tests.receiver import Answer, Delivery, Manner, a_receiver
from workers import webhooks
from workers.webhooks import Deliverer

ONLY_TESTS = Filter(kinds=[Kind.NOTE_ADDED])


@pytest.fixture(autouse=True)
def loopback_allowed(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(webhooks, "STOP_SECONDS", 0.2)
    target.allow(["127.0.0.0/8"])
    yield
    target.allow([])


async def test_everything_is_delivered_once_and_in_order(workspace: Workspace) -> None:
    async with a_receiver() as receiver:
        webhook = await a_webhook(workspace, receiver.url)
        await happen(workspace, 5)

        await deliver()
        await deliver()

    assert receiver.seqs == [1, 2, 3, 4, 5, 6]
    assert receiver.connections == 1
    kept = await Webhook.get(id=webhook.id)
    assert (kept.delivered_seq, kept.status_code, kept.lease) == (6, 200, None)


async def test_more_than_a_batch_and_more_than_a_turn_is_delivered_in_order(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lease, "BATCH_SIZE", 7)
    monkeypatch.setattr("models.webhook.turn.STORE_EVENTS", 3)
    monkeypatch.setattr("models.webhook.turn.TURN_SECONDS_MAX", 0.05)
    async with a_receiver() as receiver:
        await a_webhook(workspace, receiver.url)
        await happen_at_once(workspace, 200)

        await deliver()

    assert receiver.seqs == list(range(1, 202))


async def test_a_delivery_is_signed_and_says_what_happened(
    workspace: Workspace, clock: Clock
) -> None:
    await clock.travel(days=1)
    async with a_receiver() as receiver:
        webhook = await a_webhook(workspace, receiver.url)
        await deliver()

    delivery = receiver.deliveries[0]
    assert delivery.path == "/in?key=secret"
    assert delivery.headers["content-type"] == "application/json"
    assert delivery.kind == "WEBHOOK_CREATED"
    assert is_signed(delivery, webhook.secret)
    now = (await fetchval("SELECT relevo_now()")).timestamp()
    assert 0 <= now - int(delivery.headers["webhook-timestamp"]) < 20


@pytest.mark.parametrize(
    ("answer", "failure", "status_code"),
    [
        (500, Failure.NOT_ACCEPTED, 500),
        ((302, {"location": "/"}), Failure.NOT_ACCEPTED, 302),
        ((429, {"retry-after": "3"}), Failure.NOT_ACCEPTED, 429),
        (Manner.RESET, Failure.BROKEN_OFF, None),
        (Manner.CLOSE, Failure.BROKEN_OFF, None),
        (Manner.CUT_OFF, Failure.BROKEN_OFF, None),
        (Manner.SAY_NOTHING, Failure.TIMED_OUT, None),
    ],
)
async def test_what_fails_comes_again_before_anything_else(
    workspace: Workspace,
    clock: Clock,
    monkeypatch: pytest.MonkeyPatch,
    answer: Answer,
    failure: Failure,
    status_code: int | None,
) -> None:
    monkeypatch.setattr("models.webhook.client.REQUEST_SECONDS_MAX", 0.5)
    async with a_receiver(failing_at(3, times=2, answer=answer)) as receiver:
        webhook = await a_webhook(workspace, receiver.url)
        await happen(workspace, 4)

        for _ in range(2):
            await deliver()
            await deliver()
            kept = await Webhook.get(id=webhook.id)
            assert (kept.failure, kept.status_code) == (failure, status_code)
            assert kept.delivered_seq == 2
            await clock.travel(minutes=1)
        await deliver()

    assert receiver.seqs == [1, 2, 3, 4, 5]
    assert [each.seq for each in receiver.deliveries] == [1, 2, 3, 3, 3, 4, 5]
    ids = [each.id for each in receiver.deliveries if each.seq == 3]
    assert len(set(ids)) == 1
    kept = await Webhook.get(id=webhook.id)
    assert (kept.attempts, kept.failure, kept.failing_since, kept.next_attempt_at) == (
        *(0, None),
        *(None, None),
    )


async def test_whoever_dies_gets_everything_when_it_comes_back(
    workspace: Workspace, clock: Clock
) -> None:
    async with a_receiver() as receiver:
        webhook = await a_webhook(workspace, receiver.url)
        await happen(workspace, 2)
        await deliver()
        await receiver.stop()
        await happen(workspace, 2)
        await deliver()
        assert (await Webhook.get(id=webhook.id)).failure is Failure.UNREACHABLE

        await receiver.start()
        await clock.travel(seconds=1)
        await deliver()

    assert receiver.seqs == [1, 2, 3, 4, 5]


@pytest.mark.parametrize(
    ("attempts", "outcome", "least", "most"),
    [
        (1, Outcome(Failure.TIMED_OUT), 0.75, 1),
        (2, Outcome(Failure.TIMED_OUT), 1.5, 2),
        (11, Outcome(Failure.TIMED_OUT), 768, 1_024),
        (13, Outcome(Failure.TIMED_OUT), 2_700, 3_600),
        (10_000, Outcome(Failure.TIMED_OUT), 2_700, 3_600),
        (1, Outcome(Failure.NOT_ACCEPTED, 429, 120), 120, 120),
        (8, Outcome(Failure.NOT_ACCEPTED, 429, 2), 96, 128),
        (1, Outcome(Failure.NOT_ACCEPTED, 503, 1e9), 3_600, 3_600),
    ],
)
def test_waits_double_to_an_hour_or_are_what_the_receiver_asks_for(
    attempts: int, outcome: Outcome, least: float, most: float
) -> None:
    assert all(least <= wait_seconds(attempts, outcome) <= most for _ in range(50))


async def test_nothing_is_tried_before_its_wait_is_over(workspace: Workspace, clock: Clock) -> None:
    await clock.stop()
    async with a_receiver(lambda _: (503, {"retry-after": "600"})) as receiver:
        await a_webhook(workspace, receiver.url)
        for seconds, tried in ((0, 1), (599, 1), (1, 2)):
            await clock.travel(seconds=seconds)
            await deliver()
            assert len(receiver.deliveries) == tried


async def test_seven_days_of_failure_disable_an_endpoint(
    workspace: Workspace, clock: Clock
) -> None:
    await clock.stop()
    async with a_receiver(lambda _: 500) as receiver:
        webhook = await a_webhook(workspace, receiver.url)
        await deliver()
        await clock.travel(days=7, seconds=-1)
        await deliver()
        assert (await Webhook.get(id=webhook.id)).status is WebhookStatus.ACTIVE
        await clock.travel(hours=1)
        await deliver()
        await clock.travel(days=1)
        await deliver()
        tried = len(receiver.deliveries)

    kept = await Webhook.get(id=webhook.id)
    assert (kept.status, kept.attempts, tried) == (WebhookStatus.DISABLED, 3, 3)
    assert await told("WEBHOOK_DISABLED") == [
        {
            "webhook": str(webhook.id),
            "failure": "NOT_ACCEPTED",
            "status_code": 500,
            "attempts": 3,
            "from_seq": 1,
        }
    ]


async def test_a_success_begins_the_seven_days_anew(workspace: Workspace, clock: Clock) -> None:
    async with a_receiver(failing_at(2, times=1)) as receiver:
        webhook = await a_webhook(workspace, receiver.url)
        await happen(workspace, 1)
        await deliver()
        await clock.travel(days=8)
        await deliver()
        receiver.answer = lambda _: 500
        await happen(workspace, 1)
        await deliver()

    kept = await Webhook.get(id=webhook.id)
    assert (kept.status, kept.attempts) == (WebhookStatus.ACTIVE, 1)


async def test_whoever_is_gone_is_disabled_at_once_and_goes_on_when_brought_back(
    workspace: Workspace,
) -> None:
    async with a_receiver(failing_at(2, times=1, answer=410)) as receiver:
        webhook = await a_webhook(workspace, receiver.url)
        await happen(workspace, 2)
        await deliver()
        kept = await Webhook.get(id=webhook.id)
        assert (kept.status, kept.failure) == (WebhookStatus.DISABLED, Failure.GONE)
        assert len(await told("WEBHOOK_DISABLED")) == 1
        await deliver()
        assert len(receiver.deliveries) == 2

        await Webhook.redeliver(webhook.id, by=by_system(workspace), from_seq=2)
        await deliver()

    assert [each.kind for each in receiver.accepted] == [
        "WEBHOOK_CREATED",
        "SNIPPET_CREATED",
        "SNIPPET_CREATED",
        "WEBHOOK_DISABLED",
        "WEBHOOK_REDELIVERED",
    ]


async def test_both_secrets_sign_for_a_day(workspace: Workspace, clock: Clock) -> None:
    async with a_receiver() as receiver:
        webhook = await a_webhook(workspace, receiver.url)
        old = webhook.secret
        new = await Webhook.rotate_secret(webhook.id, by=by_system(workspace))
        for hours in (0, 23, 2):
            await clock.travel(hours=hours)
            await happen(workspace, 1)
            await deliver()

    early, late = receiver.deliveries[:-1], receiver.deliveries[-1]
    assert all(is_signed(each, old) and is_signed(each, new) for each in early)
    assert is_signed(late, new)
    assert not is_signed(late, old)


async def test_whoever_knows_another_secret_is_served_after_the_rotation(
    workspace: Workspace,
) -> None:
    known = ["whsec_AAAA"]
    async with a_receiver(
        lambda it: 200 if any(is_signed(it, each) for each in known) else 401
    ) as receiver:
        webhook = await a_webhook(workspace, receiver.url)
        await happen(workspace, 1)
        await deliver()
        await deliver()
        assert receiver.seqs == []

        known.append(await Webhook.rotate_secret(webhook.id, by=by_system(workspace)))
        await deliver()

    assert receiver.seqs == [1, 2, 3]


async def test_what_does_not_match_is_passed_over_without_a_request(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lease, "SCAN_SIZE", 10)
    async with a_receiver() as receiver:
        webhook = await a_webhook(workspace, receiver.url, ONLY_TESTS)
        await happen_at_once(workspace, 25)

        await deliver()
        assert (receiver.deliveries, await place_of(webhook)) == ([], 26)
        number = await Webhook.test(webhook.id, by=by_system(workspace))
        await deliver()

    assert receiver.seqs == [number]


async def test_a_test_is_for_its_own_endpoint_and_whoever_asks_for_all(
    workspace: Workspace,
) -> None:
    async with a_receiver() as own, a_receiver() as narrow, a_receiver() as all_:
        webhook = await a_webhook(workspace, own.url, ONLY_TESTS)
        await a_webhook(workspace, narrow.url, ONLY_TESTS)
        await a_webhook(workspace, all_.url)

        number = await Webhook.test(webhook.id, by=by_system(workspace))
        await deliver()

    assert (own.seqs, narrow.seqs) == ([number], [])
    assert all_.seqs[-1] == number


async def test_a_filter_is_that_of_the_log(workspace: Workspace) -> None:
    agents = [await an_agent(workspace) for _ in range(2)]
    team = await a_team(workspace, members=agents)
    channel = await a_channel(workspace, team=team)
    async with AsyncExitStack() as stack:
        conversation_id, other, former = uuid4(), uuid4(), uuid4()
        filters = [
            Filter(kinds=[Kind.CONVERSATION_OPENED, Kind.MESSAGE_RECEIVED]),
            Filter(queue_id=team.id),
            Filter(agent_id=agents[0].id),
            Filter(ticket_id=other),
            Filter(ticket_id=former),
            Filter(conversation_id=conversation_id),
            Filter(kinds=[Kind.IDLE_REMINDED], conversation_id=conversation_id),
        ]
        receivers = [await stack.enter_async_context(a_receiver()) for _ in filters]
        for filter, receiver in zip(filters, receivers, strict=True):
            webhook = await a_webhook(workspace, receiver.url)
            # By the row: nothing there is named by these ids.
            await Webhook.filter(id=webhook.id).update(wanted=record.stored(filter))
        since = (await log.head(workspace.id)).seq
        await a_message(channel)
        async with tx():
            for kind in (Kind.IDLE_REMINDED, Kind.CONVERSATION_TAGGED):
                event.record(
                    kind,
                    by=by_system(workspace),
                    conversation_id=conversation_id,
                    from_agent_id=agents[0].id,
                    ticket_id=other,
                    from_ticket=former,
                )

        await deliver()

        happened = await log.read(workspace.id, after=since)
        for filter, receiver in zip(filters, receivers, strict=True):
            expected = [each.seq for each in happened if filter.holds(each)]
            assert expected == receiver.seqs
            assert expected


async def test_whoever_is_paused_goes_on_where_it_was(workspace: Workspace) -> None:
    by = by_system(workspace)
    async with a_receiver() as receiver:
        webhook = await a_webhook(workspace, receiver.url)
        await Webhook.change(webhook.id, {"status": WebhookStatus.PAUSED}, by=by)
        await happen(workspace, 2)
        await deliver()
        assert receiver.deliveries == []

        await Webhook.change(webhook.id, {"status": WebhookStatus.ACTIVE}, by=by)
        await deliver()

    assert receiver.seqs == [1, 2, 3, 4, 5]


async def test_a_redelivery_has_the_ids_of_the_first_time(workspace: Workspace) -> None:
    async with a_receiver() as receiver:
        webhook = await a_webhook(workspace, receiver.url)
        await happen(workspace, 2)
        await deliver()

        await Webhook.redeliver(webhook.id, by=by_system(workspace), from_seq=2)
        await deliver()

    assert receiver.seqs == [1, 2, 3, 2, 3, 4]
    assert len({each.id for each in receiver.deliveries}) == 4


async def test_a_delivery_under_way_takes_no_redelivery_back(workspace: Workspace) -> None:
    async with a_receiver() as receiver:
        webhook = await a_webhook(workspace, receiver.url)
        await happen(workspace, 3)
        receiver.open.clear()
        delivering = asyncio.create_task(deliver())
        await receiver.has(lambda it: len(it.deliveries) == 1)
        await fetch("UPDATE webhooks SET delivered_seq = 4")

        await Webhook.redeliver(webhook.id, by=by_system(workspace), from_seq=1)
        receiver.open.set()
        await delivering

    assert receiver.together_max == 1
    assert receiver.seqs[-5:] == [1, 2, 3, 4, 5]
    assert await place_of(webhook) == 5


async def test_a_failure_under_way_takes_no_redelivery_back(workspace: Workspace) -> None:
    async with a_receiver(failing_at(5, times=1)) as receiver:
        webhook = await a_webhook(workspace, receiver.url)
        await happen(workspace, 3)
        await deliver()
        await happen(workspace, 1)
        receiver.open.clear()
        delivering = asyncio.create_task(deliver())
        await receiver.has(lambda it: len(it.deliveries) == 5)

        await Webhook.redeliver(webhook.id, by=by_system(workspace), from_seq=2)
        receiver.open.set()
        await delivering

    assert receiver.seqs == [1, 2, 3, 4, 2, 3, 4, 5, 6]


async def test_what_is_deleted_under_way_is_gone(workspace: Workspace) -> None:
    async with a_receiver() as receiver:
        webhook = await a_webhook(workspace, receiver.url)
        await happen(workspace, 3)
        receiver.open.clear()
        delivering = asyncio.create_task(deliver())
        await receiver.has(lambda it: len(it.deliveries) == 1)

        await Webhook.delete(webhook.id, by=by_system(workspace))
        receiver.open.set()
        await delivering

    assert await Webhook.all().count() == 0


async def test_what_the_log_forgot_before_it_was_delivered_is_told(workspace: Workspace) -> None:
    by = by_system(workspace)
    async with a_receiver() as receiver:
        webhook = await a_webhook(workspace, receiver.url, ONLY_TESTS)
        await Webhook.change(webhook.id, {"status": WebhookStatus.PAUSED}, by=by)
        await happen(workspace, 4)
        await forget(workspace, 5)

        await Webhook.change(webhook.id, {"status": WebhookStatus.ACTIVE}, by=by)
        await deliver()

    kept = await Webhook.get(id=webhook.id)
    assert (kept.missed_count, kept.delivered_seq) == (5, 8)
    interruption = {"interruption": "FORGOTTEN", "missed_from": 1, "missed_to": 5}
    assert {"webhook": str(webhook.id), **interruption} in await told("WEBHOOK_UPDATED")
    assert receiver.seqs == [8]


async def test_an_endpoint_goes_on_in_a_restored_log_and_is_told(workspace: Workspace) -> None:
    async with a_receiver() as receiver:
        webhook = await a_webhook(workspace, receiver.url)
        await happen(workspace, 1)
        await deliver()
        await fetch("UPDATE logs SET epoch = gen_random_uuid()")
        await happen(workspace, 1)

        await deliver()

    assert receiver.seqs == [1, 2, 3, 4]
    histories = {each.id.partition("-")[0] for each in receiver.deliveries}
    assert len(histories) == 2
    interruption = {"interruption": "OTHER_HISTORY", "from_seq": 3}
    assert {"webhook": str(webhook.id), **interruption} in await told("WEBHOOK_UPDATED")


async def test_a_place_beyond_the_log_silences_nobody(workspace: Workspace) -> None:
    async with a_receiver() as receiver:
        webhook = await a_webhook(workspace, receiver.url)
        await happen(workspace, 1)
        await fetch("UPDATE webhooks SET delivered_seq = 1000")

        await deliver()
        await happen(workspace, 1)
        await deliver()

    assert receiver.seqs == [3, 4]
    assert (await Webhook.get(id=webhook.id)).delivered_seq == 4


async def test_nobody_takes_a_turn_that_another_has_until_it_lapses(
    workspace: Workspace, clock: Clock
) -> None:
    await clock.stop()
    webhook = await a_webhook(workspace)
    [frozen] = await turns()

    assert await turns() == []
    await clock.travel(seconds=lease.LEASE_SECONDS)
    [other] = await turns()

    frozen.place = 1
    for command in (
        lease.store(frozen, status_code=200),
        lease.fail(frozen, Outcome(Failure.TIMED_OUT)),
    ):
        with pytest.raises(TurnLost):
            await command
    await lease.release(frozen)
    kept = await Webhook.get(id=webhook.id)
    assert (kept.lease, kept.delivered_seq, kept.attempts) == (other.lease, 0, 0)


async def test_who_froze_sends_nothing_any_more(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with a_receiver() as receiver:
        await a_webhook(workspace, receiver.url)
        monkeypatch.setattr("models.webhook.turn.TURN_SECONDS_MAX", 0)
        monkeypatch.setattr(webhooks, "BURST_ROUNDS_MAX", 3)
        await deliver()

    assert receiver.deliveries == []


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


async def test_without_a_wake_up_it_shows_within_a_look(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(webhooks, "LOOK_SECONDS", 0.05)
    async with a_receiver() as receiver, working():
        await a_webhook(workspace, receiver.url)
        await receiver.has(lambda it: it.seqs == [1])


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


async def test_those_that_failed_leave_room_for_those_that_did_not(
    workspace: Workspace, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(webhooks, "FAILING_SENDS_MAX", 2)
    async with a_receiver(lambda _: 500) as failing, a_receiver() as well:
        for _ in range(5):
            await a_webhook(workspace, failing.url)
        await deliver()
        await clock.travel(hours=1)
        await a_webhook(workspace, well.url)
        failing.open.clear()
        failing.together_max = 0
        async with working(sends_max=3):
            await well.has(lambda it: len(it.seqs) == 1)
            await failing.has(lambda it: it.together == 2)

            assert failing.together_max == 2


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


async def test_a_killed_worker_loses_nothing_and_reorders_nothing(
    workspace: Workspace, database: str, redis_url: str, clock: Clock
) -> None:
    async with a_receiver() as receiver:
        await a_webhook(workspace, receiver.url)
        await happen_at_once(workspace, 600)
        for _ in range(2):
            process = await a_process(database, redis_url)
            came = len(receiver.deliveries)
            await receiver.has(lambda it, came=came: len(it.deliveries) > came + 70)
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


async def deliver() -> None:
    """Whatever is owed to anybody who takes it now."""
    await Deliverer().burst()


@asynccontextmanager
async def working(**settings: Any) -> AsyncIterator[Deliverer]:
    """A deliverer that runs meanwhile, and does not wait long for what hangs in the end."""
    deliverer = Deliverer(**settings)
    running = asyncio.create_task(deliverer.run())
    try:
        yield deliverer
    finally:
        deliverer.stop()
        await running


async def turns() -> list[lease.Turn]:
    taken, _ = await lease.take(10, failing_max=10, workspace_max=10, held={})
    return taken


async def happen(workspace: Workspace, count: int) -> None:
    for _ in range(count):
        await a_snippet(workspace)


async def happen_at_once(workspace: Workspace, count: int) -> None:
    async with tx():
        for _ in range(count):
            event.record(Kind.SNIPPET_UPDATED, by=by_system(workspace), snippet=workspace.id)


async def forget(workspace: Workspace, floor_seq: int) -> None:
    """As retention leaves a log."""
    await fetch("UPDATE logs SET floor_seq = $1", floor_seq)
    await fetch("DELETE FROM events WHERE seq <= $1", floor_seq)


async def place_of(webhook: Webhook) -> int:
    return (await Webhook.get(id=webhook.id)).delivered_seq


async def told(kind: str) -> list[dict[str, Any]]:
    rows = await fetch("SELECT * FROM events WHERE kind = $1 ORDER BY seq", kind)
    return [log.Event.of(row).data for row in rows]


def failing_at(seq: int, *, times: int, answer: Answer = 500) -> Callable[[Delivery], Answer]:
    """Accepts everything but one event, so many times."""
    left = [answer] * times
    return lambda it: left.pop() if it.seq == seq and left else 200


def is_signed(delivery: Delivery, secret: str) -> bool:
    """As a receiver checks it, by the specification alone."""
    key = base64.b64decode(secret.removeprefix("whsec_"))
    id, timestamp = delivery.headers["webhook-id"], delivery.headers["webhook-timestamp"]
    signed = b".".join([id.encode(), timestamp.encode(), delivery.body])
    expected = base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()
    return f"v1,{expected}" in delivery.headers["webhook-signature"].split(" ")


async def a_process(database_url: str, redis_url: str, *arguments: str) -> Process:
    """A worker process that may send to loopback."""
    environment = {
        **os.environ,
        "DATABASE_URL": database_url,
        "REDIS_URL": redis_url,
        "RELEVO_WEBHOOK_TARGETS_ALLOWED": '["127.0.0.0/8"]',
    }
    return await asyncio.create_subprocess_exec(
        sys.executable, "-m", "workers", *arguments, env=environment, stderr=DEVNULL
    )
