"""What follows from failures: waits, and after a week of many the end."""

from collections.abc import Iterator

import pytest

from models import Webhook, Workspace
from models.webhook import target
from models.webhook.client import Outcome
from models.webhook.failing import FAILING_ATTEMPTS_MIN, wait_seconds
from models.webhook.record import Failure, WebhookStatus
from tests.conftest import Clock
from tests.delivering import (
    deliver,
    failing_at,
    happen,
    told,
)
from tests.factories import (
    a_webhook,
    by_system,
)
from tests.receiver import a_receiver


@pytest.fixture(autouse=True)
def loopback_allowed() -> Iterator[None]:
    target.allow(["127.0.0.0/8"])
    yield
    target.allow([])


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
        for _ in range(FAILING_ATTEMPTS_MIN):
            await deliver()
            await clock.travel(hours=1)
        await clock.travel(days=7, hours=-FAILING_ATTEMPTS_MIN, seconds=-1)
        await deliver()
        assert (await Webhook.get(id=webhook.id)).status is WebhookStatus.ACTIVE
        for _ in range(2):
            await clock.travel(hours=1)
            await deliver()
        tried = len(receiver.deliveries)

    kept = await Webhook.get(id=webhook.id)
    attempts = FAILING_ATTEMPTS_MIN + 2
    assert (kept.status, kept.attempts, tried) == (WebhookStatus.DISABLED, attempts, attempts)
    assert await told("WEBHOOK_DISABLED") == [
        {
            "webhook": str(webhook.id),
            "failure": "NOT_ACCEPTED",
            "status_code": 500,
            "attempts": attempts,
            "from_seq": 1,
        }
    ]


async def test_seven_days_without_a_worker_disable_nobody(
    workspace: Workspace, clock: Clock
) -> None:
    await clock.stop()
    async with a_receiver(lambda _: 500) as receiver:
        webhook = await a_webhook(workspace, receiver.url)
        await deliver()
        await clock.travel(days=8)
        for attempts in range(2, FAILING_ATTEMPTS_MIN):
            await deliver()
            kept = await Webhook.get(id=webhook.id)
            assert (kept.status, kept.attempts) == (WebhookStatus.ACTIVE, attempts)
            await clock.travel(hours=1)
        await deliver()

    assert (await Webhook.get(id=webhook.id)).status is WebhookStatus.DISABLED


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


async def test_what_was_accepted_in_a_turn_that_failed_later_counts(
    workspace: Workspace, clock: Clock
) -> None:
    async with a_receiver(failing_at(1, times=1)) as receiver:
        webhook = await a_webhook(workspace, receiver.url)
        await happen(workspace, 2)
        await deliver()
        await clock.travel(days=6, hours=23)
        receiver.answer = failing_at(3, times=2)
        await deliver()
        await clock.travel(hours=2)
        await deliver()

    kept = await Webhook.get(id=webhook.id)
    assert (kept.status, kept.attempts) == (WebhookStatus.ACTIVE, 2)
    assert receiver.seqs == [1, 2]


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
