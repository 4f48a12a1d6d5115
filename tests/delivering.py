"""What tests of webhooks do: let things happen, have them delivered, and look at what came."""

import asyncio
import base64
import hashlib
import hmac
import os
import sys
from asyncio.subprocess import DEVNULL, Process
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from models import Webhook, Workspace, event, log
from models.database import fetch, tx
from models.event import AUDIT, Kind
from models.webhook import lease
from tests.factories import (
    a_snippet,
    by_system,
)
from tests.receiver import Answer, Delivery
from workers.webhooks import Deliverer


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
    taken, _ = await lease.take(10, failing_max=10, workspace_max=10, further_max=10, held={})
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
    await fetch(
        "DELETE FROM events WHERE seq <= $1 AND kind <> ALL($2)",
        floor_seq,
        [kind.value for kind in AUDIT],
    )


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
