"""Webhooks: who has them, what they are sent, and how their place in the log moves."""

import asyncio
from uuid import UUID

import pytest

from models import Webhook, Workspace
from models.access import Role
from models.database import fetch, fetchval, tx
from models.errors import BadUserInput, Forbidden, LimitReached, NotFound
from models.event import AUDIT, Kind
from models.log import Filter
from models.webhook import record
from models.webhook.errors import (
    RedeliveryOutOfRange,
    WebhookChanged,
    WebhookNotActive,
    WebhookTargetNotAllowed,
)
from models.webhook.record import WebhookStatus
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

URL = "https://example.com/in?key=1"
# As a row is left when an endpoint was given up.
GIVEN_UP = (
    "UPDATE webhooks SET status = 'DISABLED', disabled_at = relevo_now(), attempts = 30,"
    " failing_since = relevo_now(), failure = 'TIMED_OUT', next_attempt_at = relevo_now()"
)


async def told(webhook_id: UUID) -> list[str]:
    rows = await fetch(
        "SELECT kind FROM events WHERE data ->> 'webhook' = $1 ORDER BY seq", str(webhook_id)
    )
    return [row["kind"] for row in rows]


async def test_a_webhook_is_made_changed_and_deleted(workspace: Workspace) -> None:
    by = by_system(workspace)
    filter = Filter(kinds=[Kind.NOTE_ADDED])
    webhook, secret = await Webhook.create("Shop", URL, filter, by=by)

    await Webhook.change(webhook.id, {"name": "Shop"}, by=by)
    await Webhook.change(webhook.id, {"name": "Store", "filter": None}, by=by, expected_version=1)
    changed = await Webhook.get(id=webhook.id)
    await Webhook.delete(webhook.id, by=by)

    assert webhook.log_filter == filter
    assert (changed.name, changed.log_filter, changed.version) == ("Store", Filter(), 2)
    assert (changed.url, changed.secret) == (URL, secret)
    assert await Webhook.all().count() == 0
    assert await told(webhook.id) == ["WEBHOOK_CREATED", "WEBHOOK_UPDATED", "WEBHOOK_DELETED"]


async def test_the_log_tells_no_address_and_no_secret(workspace: Workspace) -> None:
    by = by_system(workspace)
    webhook, secret = await Webhook.create("Shop", URL, by=by)

    new = await Webhook.rotate_secret(webhook.id, by=by)
    await Webhook.change(webhook.id, {"url": f"{URL}2", "name": "Store"}, by=by)
    await Webhook.test(webhook.id, by=by)
    await Webhook.delete(webhook.id, by=by)

    rows = await fetch("SELECT coalesce(data::text, '') AS data FROM events")
    said = " ".join(row["data"] for row in rows)
    assert not any(text in said for text in ("example.com", "key=1", "Store", secret, new))


async def test_a_webhook_begins_with_its_own_creation(workspace: Workspace) -> None:
    await a_snippet(workspace)

    webhook = await a_webhook(workspace)

    rows = await fetch("SELECT kind FROM events WHERE seq > $1", webhook.delivered_seq)
    assert [row["kind"] for row in rows] == ["WEBHOOK_CREATED"]


async def test_there_are_only_so_many_webhooks_even_at_once(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(record, "WEBHOOKS_MAX", 2)

    outcomes = await asyncio.gather(
        *[a_webhook(workspace) for _ in range(5)], return_exceptions=True
    )

    refused = [outcome for outcome in outcomes if isinstance(outcome, LimitReached)]
    assert [error.facts for error in refused] == [{"limit": 2}] * 3
    assert await Webhook.all().count() == 2


@pytest.mark.parametrize("expected_version", [0, 2])
async def test_a_change_to_another_version_is_refused(
    workspace: Workspace, expected_version: int
) -> None:
    webhook = await a_webhook(workspace)

    with pytest.raises(WebhookChanged) as refused:
        await Webhook.change(
            webhook.id,
            {"name": "Store"},
            by=by_system(workspace),
            expected_version=expected_version,
        )

    assert refused.value.facts == {"currentVersion": 1}


async def test_only_failures_disable_a_webhook(workspace: Workspace) -> None:
    webhook = await a_webhook(workspace)

    with pytest.raises(BadUserInput) as refused:
        await Webhook.change(
            webhook.id, {"status": WebhookStatus.DISABLED}, by=by_system(workspace)
        )

    assert refused.value.path == "input.status"


async def test_a_new_secret_ends_the_one_before_a_day_later(
    workspace: Workspace, clock: Clock
) -> None:
    await clock.stop()
    webhook = await a_webhook(workspace)

    first = webhook.secret
    second = await Webhook.rotate_secret(webhook.id, by=by_system(workspace))

    kept = await Webhook.get(id=webhook.id)
    assert (kept.previous_secret, kept.secret) == (first, second)
    left = await fetchval("SELECT previous_secret_until - relevo_now() FROM webhooks")
    assert left.total_seconds() == 24 * 3_600


async def test_a_test_says_the_number_that_its_event_gets(workspace: Workspace) -> None:
    webhook = await a_webhook(workspace)

    async with tx():
        await a_snippet(workspace)
        number = await Webhook.test(webhook.id, by=by_system(workspace))

    kinds = await fetch("SELECT kind FROM events WHERE seq = $1", number)
    assert [row["kind"] for row in kinds] == ["WEBHOOK_TESTED"]


async def test_tests_at_once_each_say_their_own_number(workspace: Workspace) -> None:
    webhook = await a_webhook(workspace)

    numbers = await asyncio.gather(
        *[Webhook.test(webhook.id, by=by_system(workspace)) for _ in range(5)]
    )

    rows = await fetch("SELECT seq FROM events WHERE kind = 'WEBHOOK_TESTED' ORDER BY seq")
    assert sorted(numbers) == [row["seq"] for row in rows]


async def test_what_gets_nothing_cannot_be_tested(workspace: Workspace) -> None:
    webhook = await a_webhook(workspace)
    await Webhook.change(webhook.id, {"status": WebhookStatus.PAUSED}, by=by_system(workspace))

    with pytest.raises(WebhookNotActive) as refused:
        await Webhook.test(webhook.id, by=by_system(workspace))

    assert refused.value.facts == {"status": "PAUSED"}


@pytest.mark.parametrize("from_seq", [-1, 0, 3, 7, 2**62])
async def test_only_what_was_delivered_and_is_kept_is_delivered_again(
    workspace: Workspace, from_seq: int
) -> None:
    webhook = await a_webhook(workspace)
    for _ in range(5):
        await a_snippet(workspace)
    await fetch("UPDATE webhooks SET delivered_seq = 5")
    await _forget(workspace, 3)

    with pytest.raises(RedeliveryOutOfRange) as refused:
        await Webhook.redeliver(webhook.id, by=by_system(workspace), from_seq=from_seq)

    assert refused.value.facts == {"floorSeq": 3, "deliveredSeq": 5}
    await Webhook.redeliver(webhook.id, by=by_system(workspace), from_seq=4)
    assert (await Webhook.get(id=webhook.id)).delivered_seq == 3


@pytest.mark.parametrize(
    ("left", "status"),
    [
        ("UPDATE webhooks SET status = 'PAUSED'", WebhookStatus.PAUSED),
        (GIVEN_UP, WebhookStatus.ACTIVE),
    ],
)
async def test_a_redelivery_brings_back_what_failed_but_nothing_that_was_paused(
    workspace: Workspace, left: str, status: WebhookStatus
) -> None:
    webhook = await a_webhook(workspace)
    await fetch(left)

    await Webhook.redeliver(webhook.id, by=by_system(workspace), from_seq=1)

    kept = await Webhook.get(id=webhook.id)
    assert (kept.status, kept.attempts, kept.failure) == (status, 0, None)
    assert await told(webhook.id) == ["WEBHOOK_CREATED", "WEBHOOK_REDELIVERED"]


async def test_what_was_given_up_is_resumed_where_it_was(workspace: Workspace) -> None:
    webhook = await a_webhook(workspace)
    await fetch(GIVEN_UP)
    by = by_system(workspace)

    await Webhook.change(webhook.id, {"url": "https://example.org/"}, by=by)
    assert (await Webhook.get(id=webhook.id)).status is WebhookStatus.DISABLED
    await Webhook.change(webhook.id, {"status": WebhookStatus.ACTIVE}, by=by)

    kept = await Webhook.get(id=webhook.id)
    assert (kept.status, kept.attempts, kept.disabled_at) == (WebhookStatus.ACTIVE, 0, None)
    assert kept.delivered_seq == webhook.delivered_seq


@pytest.mark.parametrize("role", [role for role in Role if role not in ("ADMIN", "INTEGRATION")])
async def test_whoever_configures_nothing_has_no_webhooks(workspace: Workspace, role: Role) -> None:
    by = as_agent(await an_agent(workspace, role=role, connected=False))
    webhook = await a_webhook(workspace)

    for command in (
        Webhook.create("Mine", URL, by=by),
        Webhook.change(webhook.id, {"name": "Mine"}, by=by),
        Webhook.rotate_secret(webhook.id, by=by),
        Webhook.test(webhook.id, by=by),
        Webhook.redeliver(webhook.id, by=by, from_seq=1),
        Webhook.delete(webhook.id, by=by),
    ):
        with pytest.raises(Forbidden):
            await command
    assert await Webhook.visible_to(by).count() == 0


@pytest.mark.parametrize(
    ("scopes", "may"),
    [
        (("settings:write",), False),
        (("conversations:read",), False),
        (("settings:write", "conversations:read"), True),
    ],
)
async def test_a_webhook_is_for_who_configures_and_reads_the_log(
    workspace: Workspace, scopes: tuple[str, ...], *, may: bool
) -> None:
    by = as_integration(workspace, *scopes)

    if may:
        await Webhook.create("Mine", URL, by=by)
    else:
        with pytest.raises(Forbidden):
            await Webhook.create("Mine", URL, by=by)

    assert await Webhook.visible_to(by).count() == may


async def test_a_webhook_of_another_company_is_not_there(workspace: Workspace) -> None:
    foreign = await a_webhook(await a_workspace("Another"))
    by = by_system(workspace)

    for command in (
        Webhook.change(foreign.id, {"name": "Mine"}, by=by),
        Webhook.rotate_secret(foreign.id, by=by),
        Webhook.test(foreign.id, by=by),
        Webhook.redeliver(foreign.id, by=by, from_seq=1),
        Webhook.delete(foreign.id, by=by),
    ):
        with pytest.raises(NotFound) as refused:
            await command
        assert refused.value.path == "input.webhookId"
    assert await Webhook.visible_to(by).count() == 0


@pytest.mark.parametrize(
    ("name", "url", "error"),
    [
        ("", URL, BadUserInput),
        ("a\0", URL, BadUserInput),
        ("Shop", f"https://example.com/{'x' * 2_000}", BadUserInput),
        ("Shop", "https://example.com/#top", BadUserInput),
        ("Shop", "http://example.com/", WebhookTargetNotAllowed),
    ],
)
async def test_what_cannot_be_sent_to_is_refused(
    workspace: Workspace, name: str, url: str, error: type[Exception]
) -> None:
    webhook = await a_webhook(workspace)
    by = by_system(workspace)

    for command in (
        Webhook.create(name, url, by=by),
        Webhook.change(webhook.id, {"name": name, "url": url}, by=by),
    ):
        with pytest.raises(error):
            await command


async def _forget(workspace: Workspace, floor_seq: int) -> None:
    """As retention leaves a log."""
    await fetch("UPDATE logs SET floor_seq = $2 WHERE workspace_id = $1", workspace.id, floor_seq)
    await fetch(
        "DELETE FROM events WHERE workspace_id = $1 AND seq <= $2 AND kind <> ALL($3)",
        workspace.id,
        floor_seq,
        [kind.value for kind in AUDIT],
    )
