"""What an endpoint does not get in a row: told in the log, and to itself."""

from collections.abc import Iterator

import pytest

from models import Webhook, Workspace
from models.database import fetch
from models.event import Kind
from models.log import Filter
from models.webhook import target
from models.webhook.record import WebhookStatus
from tests.delivering import (
    deliver,
    forget,
    happen,
    told,
)
from tests.factories import (
    a_webhook,
    by_system,
)
from tests.receiver import a_receiver

ONLY_TESTS = Filter(kinds=[Kind.NOTE_ADDED])


@pytest.fixture(autouse=True)
def loopback_allowed() -> Iterator[None]:
    target.allow(["127.0.0.0/8"])
    yield
    target.allow([])


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
