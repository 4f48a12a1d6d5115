"""What follows from a failure: a wait, and after a week of many the end of the trying."""

import random
from datetime import datetime, timedelta

from models import event
from models.access import Actor
from models.database import fetchval, tx
from models.event import Kind
from models.webhook.client import Outcome
from models.webhook.lease import Turn, TurnLost
from models.webhook.record import Failure, Webhook, WebhookStatus

RETRY_SECONDS = 1.0
RETRY_SECONDS_MAX = 3_600.0
# Of a wait at most: endpoints that failed together do not come back together.
JITTER = 0.25
# Until an endpoint is given up: both, since workers that were away for a week tried nothing.
FAILING_DAYS_MAX = 7
FAILING_ATTEMPTS_MIN = 20


async def fail(turn: Turn, outcome: Outcome) -> WebhookStatus:
    """Keep the place, count the failure and wait, or give the endpoint up; raises TurnLost."""
    assert outcome.failure is not None  # noqa: S101 - the caller's
    async with tx():
        webhook = await Webhook.fetch_one(
            "id = $1 AND lease = $2 AND version = $3",
            turn.webhook_id,
            turn.lease,
            turn.version,
            lock=True,
        )
        if webhook is None:
            raise TurnLost
        _count_failure(webhook, turn, outcome, now=await fetchval("SELECT relevo_now()"))
        await webhook.save(update_fields=_FAILED)
    return webhook.status


def _count_failure(webhook: Webhook, turn: Turn, outcome: Outcome, *, now: datetime) -> None:
    webhook.attempts += 1
    webhook.failing_since = webhook.failing_since or now
    webhook.update_from_dict({"failure": outcome.failure, "status_code": outcome.status_code})
    webhook.next_attempt_at = now + timedelta(seconds=wait_seconds(webhook.attempts, outcome))
    webhook.delivered_seq = turn.place
    webhook.lease, webhook.leased_until = None, now
    is_long = now - webhook.failing_since >= timedelta(days=FAILING_DAYS_MAX)
    is_given_up = is_long and webhook.attempts >= FAILING_ATTEMPTS_MIN
    if is_given_up or outcome.failure is Failure.GONE:
        webhook.status, webhook.disabled_at = WebhookStatus.DISABLED, now
        webhook.version += 1
        event.record(
            Kind.WEBHOOK_DISABLED,
            by=Actor.system(webhook.workspace_id),
            webhook=webhook.id,
            failure=outcome.failure,
            status_code=outcome.status_code,
            attempts=webhook.attempts,
            from_seq=turn.place + 1,
        )


_FAILED = [
    "attempts",
    "failing_since",
    "failure",
    "status_code",
    "next_attempt_at",
    "delivered_seq",
    "lease",
    "leased_until",
    "status",
    "disabled_at",
    "version",
]


def wait_seconds(attempts: int, outcome: Outcome) -> float:
    """From 1 s, doubling to an hour, and as long as the receiver asks for up to that."""
    doubled = min(RETRY_SECONDS * 2.0 ** min(attempts - 1, 12), RETRY_SECONDS_MAX)
    jittered = doubled * (1 - JITTER * random.random())  # noqa: S311 - jitter
    return max(jittered, min(outcome.retry_after or 0.0, RETRY_SECONDS_MAX))
