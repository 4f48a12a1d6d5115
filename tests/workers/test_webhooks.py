"""Deliveries: at least once, in order for each endpoint, signed, and nobody waits for another."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from email.utils import format_datetime
from datetime import UTC, datetime, timedelta

import pytest

from models import Webhook, Workspace
from models.database import fetch, fetchval
from models.log import Filter
from models.webhook import target
from tests.factories import a_snippet, a_webhook, a_workspace, by_system
from tests.receiver import Manner, Receiver, a_receiver
from workers.webhooks import Deliverer


@pytest.fixture(autouse=True)
def loopback_allowed() -> Iterator[None]:
    target.allow(["127.0.0.0/8"])
    yield
    target.allow([])


async def deliver() -> None:
    """What one look of a worker owes to anybody who takes it now."""
    await Deliverer().burst()


async def happen(workspace: Workspace, count: int) -> None:
    for _ in range(count):
        await a_snippet(workspace)


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
