"""Webhooks: who has them, what they are sent, and how their place in the log moves."""

import asyncio

import pytest

from models import Webhook, Workspace
from models.access import Role
from models.database import fetch, fetchrow, fetchval
from models.errors import BadUserInput, Forbidden, LimitReached, NotFound
from models.event import Kind
from models.log import Filter
from models.webhook import record
from models.webhook.errors import (
    RedeliveryOutOfRange,
    WebhookChanged,
    WebhookNotActive,
    WebhookTargetNotAllowed,
)
from models.webhook.record import WEBHOOKS_MAX, WebhookStatus
from tests.conftest import Clock
from tests.factories import (
    a_snippet,
    a_webhook,
    a_workspace,
    an_agent,
    as_agent,
    as_integration,
    by_system,
)


async def test_a_webhook_is_made_changed_and_deleted(workspace: Workspace) -> None:
    by = by_system(workspace)
    webhook, secret = await Webhook.create(
        "Shop", "https://example.com/in?key=1", Filter(kinds=[Kind.NOTE_ADDED]), by=by
    )

    await Webhook.change(webhook.id, {"name": "Shop"}, by=by)
    await Webhook.change(webhook.id, {"name": "Store", "filter": None}, by=by, expected_version=1)
    changed = await Webhook.get(id=webhook.id)
    await Webhook.delete(webhook.id, by=by)

    assert secret.startswith("whsec_")
    assert webhook.log_filter == Filter(kinds=[Kind.NOTE_ADDED])
    assert (changed.name, changed.log_filter, changed.version) == ("Store", Filter(), 2)
    assert await Webhook.all().count() == 0
    rows = await fetch(
        "SELECT kind, data FROM events WHERE data ->> 'webhook' = $1", str(webhook.id)
    )
    assert [row["kind"] for row in rows] == [
        "WEBHOOK_CREATED",
        "WEBHOOK_UPDATED",
        "WEBHOOK_DELETED",
    ]
    assert not any(secret in row["data"] or "example.com" in row["data"] for row in rows)
