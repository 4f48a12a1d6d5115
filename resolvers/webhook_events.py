"""What happens to webhooks, as the API shows it: one type a kind."""

from typing import Any
from uuid import UUID

import strawberry

from models.event import Kind
from models.webhook.record import Failure, Interruption
from resolvers.context import Info
from resolvers.ids import encode
from resolvers.logged_event import LoggedEvent, fact
from resolvers.webhook import Webhook, webhook_of


@strawberry.interface(description="A fact about a webhook.")
class WebhookEvent(LoggedEvent):
    @strawberry.field(description="The webhook as it is now; null when gone or not visible to you.")
    async def webhook(self, info: Info) -> Webhook | None:
        return await webhook_of(info, self._id)

    @property
    def _id(self) -> UUID:
        return UUID(self.event.data["webhook"])


WebhookCreated = fact("WebhookCreated", WebhookEvent, "A webhook was added.")
WebhookTested = fact(
    "WebhookTested", WebhookEvent, "Somebody tries a webhook, which gets this whatever its filter."
)


@strawberry.type(description="A webhook changed, or did not get what was logged in between.")
class WebhookUpdated(WebhookEvent):
    @strawberry.field(
        description="What somebody changed: `name`, `url`, `filter`, `status` or `secret`."
    )
    def changed(self) -> list[str]:
        return list(self.event.data.get("changed", ()))

    @strawberry.field(description="What came between, if something did; the webhook is told too.")
    def interruption(self) -> Interruption | None:
        interruption = self.event.data.get("interruption")
        return None if interruption is None else Interruption(interruption)

    @strawberry.field(description="The first `seq` that it did not get, where some are FORGOTTEN.")
    def missed_from_seq(self) -> int | None:
        return _number(self.event.data.get("missed_from"))

    @strawberry.field(description="The last `seq` that it did not get, where some are FORGOTTEN.")
    def missed_to_seq(self) -> int | None:
        return _number(self.event.data.get("missed_to"))

    @strawberry.field(description="The `seq` from which on it gets OTHER_HISTORY.")
    def goes_on_from_seq(self) -> int | None:
        return _number(self.event.data.get("from_seq"))


@strawberry.type(description="A webhook was deleted.")
class WebhookDeleted(WebhookEvent):
    @strawberry.field(description="The id that is gone.")
    def deleted_id(self) -> strawberry.ID:
        return encode("Webhook", self._id)


@strawberry.type(description="A webhook is sent again what it was sent before.")
class WebhookRedelivered(WebhookEvent):
    @strawberry.field(description="The `seq` from which on.")
    def from_seq(self) -> int:
        return int(self.event.data["from_seq"])


@strawberry.type(description="A webhook failed for so long that nothing is sent to it any more.")
class WebhookDisabled(WebhookEvent):
    @strawberry.field(description="Why it failed last.")
    def last_failure(self) -> Failure:
        return Failure(self.event.data["failure"])

    @strawberry.field(description="The HTTP status of its last answer; null when it gave none.")
    def status_code(self) -> int | None:
        return _number(self.event.data["status_code"])

    @strawberry.field(description="How often the event that comes next was tried in vain.")
    def attempts(self) -> int:
        return int(self.event.data["attempts"])

    @strawberry.field(description="The `seq` from which on it got nothing.")
    def from_seq(self) -> int:
        return int(self.event.data["from_seq"])


def _number(value: object) -> int | None:
    return None if value is None else int(str(value))


WEBHOOK_TYPES: dict[Kind, Any] = {
    Kind.WEBHOOK_CREATED: WebhookCreated,
    Kind.WEBHOOK_UPDATED: WebhookUpdated,
    Kind.WEBHOOK_DELETED: WebhookDeleted,
    Kind.WEBHOOK_TESTED: WebhookTested,
    Kind.WEBHOOK_REDELIVERED: WebhookRedelivered,
    Kind.WEBHOOK_DISABLED: WebhookDisabled,
}
