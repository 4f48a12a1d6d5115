"""Webhooks as the API shows them, to whoever may add one: a URL may have secrets in it."""

from datetime import datetime
from uuid import UUID

import orjson
import strawberry

from models.log import Filter
from models.webhook.record import ROTATION_HOURS, Failure, Interruption, WebhookStatus, recall
from models.webhook.record import Webhook as WebhookRecord
from resolvers.context import Info
from resolvers.enums import described
from resolvers.event_kinds import Kind
from resolvers.ids import encode
from resolvers.types import Node, column

described(
    WebhookStatus,
    "WebhookStatus",
    ACTIVE="It is sent what happens; what fails is tried again.",
    PAUSED="Somebody paused it; it keeps its place in the log.",
    DISABLED="It failed for days, or said that it is gone; `webhookUpdate` or `webhookRedeliver` "
    "resumes it.",
)
described(
    Failure,
    "WebhookFailure",
    NOT_WRITTEN="The server could not write the event that comes next, so that nothing was sent.",
    TIMED_OUT="It did not answer in time.",
    UNREACHABLE="Its name has no address, or nobody listens there.",
    BROKEN_OFF="The connection ended before it answered.",
    TLS_FAILED="Its certificate is not valid for its name, or it speaks no TLS.",
    REFUSED_TARGET="Its name stands for an address that webhooks may not reach.",
    NOT_ACCEPTED="It answered with another status than 2xx.",
    GONE="It answered 410: it wants nothing more.",
)
described(
    Interruption,
    "WebhookInterruption",
    FORGOTTEN="The log forgot events before they could be delivered.",
    OTHER_HISTORY="The log was restored: its messages have other ids, and numbers may come again.",
)


@strawberry.type(
    description="Which events a webhook is sent, in the words of `EventFilter`; what is null does "
    "not matter."
)
class WebhookFilter:
    part: strawberry.Private[Filter]

    @strawberry.field(description="Any of these kinds.")
    def kinds(self) -> list[Kind] | None:
        return None if self.part.kinds is None else list(self.part.kinds)

    @strawberry.field(description="About this conversation.")
    def conversation_id(self) -> strawberry.ID | None:
        return _named("Conversation", self.part.conversation_id)

    @strawberry.field(description="Into, in or out of this queue.")
    def queue_id(self) -> strawberry.ID | None:
        return _named("Queue", self.part.queue_id)

    @strawberry.field(description="About what this agent held before or afterwards.")
    def agent_id(self) -> strawberry.ID | None:
        return _named("Agent", self.part.agent_id)

    @strawberry.field(description="About this ticket.")
    def ticket_id(self) -> strawberry.ID | None:
        return _named("Ticket", self.part.ticket_id)


def _named(type_name: str, id: UUID | None) -> strawberry.ID | None:
    return None if id is None else encode(type_name, id)


@strawberry.type(
    description="An endpoint that is sent the log: every event that its filter lets through, in "
    "order and at least once, signed as Standard Webhooks has it. A body is "
    '`{"type", "timestamp", "data"}`: the event\'s kind, when it was logged, and what GraphQL '
    "answers for it, with every scalar of its type and records by their `id` alone."
)
class Webhook(Node):
    name = column(str, "name", "Name.")
    url = column(str, "url", "Where it is.")
    status = column(WebhookStatus, "status", "Whether it is sent anything.")
    delivered_seq = column(
        int,
        "delivered_seq",
        "Its place in the log: the `seq` up to which everything is delivered, or did not match.",
    )
    missed_count = column(
        int, "missed_count", "How many events the log forgot before they could be delivered."
    )
    attempts = column(
        int,
        "attempts",
        "How often the event that comes next was tried in vain; 0 when all is well.",
    )
    failing_since = column(datetime | None, "failing_since", "When the first of these failed.")
    next_attempt_at = column(
        datetime | None,
        "next_attempt_at",
        "When the next one comes, if it is ACTIVE; null for at once.",
    )
    failure = column(Failure | None, "failure", "Why the last one failed.")
    status_code = column(
        int | None,
        "status_code",
        "The HTTP status of its last answer; null when it never gave one.",
    )
    delivered_at = column(
        datetime | None, "delivered_at", "When it last took an event; null for never."
    )
    disabled_at = column(datetime | None, "disabled_at", "When it was disabled, if it is.")
    previous_secret_until = column(
        datetime | None,
        "previous_secret_until",
        f"Until when the secret before the last rotation signs too, for {ROTATION_HOURS} hours; "
        "null when it does not.",
    )
    version = column(
        int, "version", "Grows with each change that somebody makes, and when it is disabled."
    )
    created_at = column(datetime, "created_at", "When it was added.")

    @strawberry.field(description="Which events it is sent, besides tests of itself.")
    def filter(self) -> WebhookFilter:
        return WebhookFilter(part=recall(orjson.loads(self.row["filter"])))

    @strawberry.field(description="How many numbers of the log it has not passed yet.")
    async def events_behind(self, info: Info) -> int:
        head = await info.context.loaders.log_heads.load(info.context.by.workspace_id)
        return max(0, head.seq - int(self.row["delivered_seq"]))


async def webhook_of(info: Info, id: UUID | None) -> Webhook | None:
    """The webhook, if the asker may change it."""
    seen = id is not None and WebhookRecord.are_visible_to(info.context.by)
    return Webhook.of(await info.context.loaders.webhooks.load(id) if id and seen else None)
