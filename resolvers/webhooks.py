"""Finding webhooks, and adding, changing, trying and repeating them."""

from typing import Any

import strawberry

from models.access import Actor
from models.webhook.record import ROTATION_HOURS, WEBHOOKS_MAX, WebhookStatus
from models.webhook.record import Webhook as WebhookRecord
from resolvers.commands import Answer, Payload, mutation
from resolvers.context import Info
from resolvers.history import EventFilter
from resolvers.ids import decode, encode
from resolvers.inputs import CommandInput, given
from resolvers.pagination import Connection, Edge
from resolvers.settings import Id, listing
from resolvers.webhook import Webhook, webhook_of


@strawberry.type(description="A webhook of a page.")
class WebhookEdge(Edge[Webhook]):
    pass


@strawberry.type(description="A page of webhooks.")
class WebhookConnection(Connection[Webhook]):
    pass


async def _webhooks(by: Actor) -> Any:
    return WebhookRecord.visible_to(by)


@strawberry.type
class WebhookQuery:
    webhooks = listing(
        f"The webhooks, the oldest first; a workspace has {WEBHOOKS_MAX} at most.",
        noun=Webhook,
        loader="webhooks",
        connection=WebhookConnection,
        edge=WebhookEdge,
        visible=_webhooks,
    )

    @strawberry.field(description="One webhook; null when missing or not visible to you.")
    async def webhook(self, info: Info, id: Id) -> Webhook | None:
        return await webhook_of(info, decode("Webhook", id))


NAME = "What it is for."
URL = (
    "Where it is: `https://`, and not inside of the server's own network unless whoever runs it "
    "allows that. It may have a user and a password in it, and is shown to nobody but those who "
    "may change webhooks."
)


@strawberry.input(description="An endpoint that is sent what happens from now on.")
class WebhookCreateInput(CommandInput):
    name: str = strawberry.field(description=NAME)
    url: str = strawberry.field(description=URL)
    filter: EventFilter | None = strawberry.field(
        default=None, description="Which events; every one unless given."
    )


@strawberry.input(description="A command on one webhook.")
class WebhookInput(CommandInput):
    webhook_id: strawberry.ID = strawberry.field(description="Which webhook.")


@strawberry.input(
    description="Changes of a webhook; what is left out stays. Whatever failed is tried again at "
    "once when its URL, its status or its secret changes."
)
class WebhookUpdateInput(WebhookInput):
    expected_version: int | None = strawberry.field(
        default=None,
        description="The `version` you saw; the command is refused if it has changed since.",
    )
    name: str | None = strawberry.field(default=None, description=NAME)
    url: str | None = strawberry.field(default=None, description=URL)
    filter: strawberry.Maybe[EventFilter | None] = strawberry.field(
        default=None, description="Which events, as a whole; null for every one."
    )
    status: WebhookStatus | None = strawberry.field(
        default=None, description="ACTIVE resumes it where it was, PAUSED pauses it."
    )
    rotate_secret: bool = strawberry.field(
        default=False,
        description=f"Whether it gets another secret; both sign for {ROTATION_HOURS} hours.",
    )


@strawberry.input(description="A webhook to forget.")
class WebhookDeleteInput(WebhookInput):
    pass


@strawberry.input(description="A webhook to try.")
class WebhookTestInput(WebhookInput):
    pass


@strawberry.input(description="A webhook to send again what it was sent before.")
class WebhookRedeliverInput(WebhookInput):
    from_seq: int = strawberry.field(
        description="The `seq` from which on; what follows comes again too, in order."
    )


@strawberry.type(description="The webhook after a command.")
class WebhookPayload(Payload):
    @strawberry.field(description="The webhook; null when refused.")
    async def webhook(self, info: Info) -> Webhook | None:
        return await webhook_of(info, self.id_of("webhook"))


@strawberry.type(description="The webhook after a command that may have made a secret.")
class WebhookSecretPayload(WebhookPayload):
    @strawberry.field(
        description="The secret that signs, `whsec_` and base64; shown this once, and null in a "
        "repeated answer or where none was made."
    )
    def secret(self) -> str | None:
        secret: str | None = self.answer.get("secret")
        return secret


@strawberry.type(description="What adding a webhook came to.")
class WebhookCreatePayload(WebhookSecretPayload):
    pass


@strawberry.type(description="What changing a webhook came to.")
class WebhookUpdatePayload(WebhookSecretPayload):
    pass


@strawberry.type(description="What deleting a webhook came to.")
class WebhookDeletePayload(Payload):
    @strawberry.field(description="The id that is gone; null when refused.")
    def deleted_id(self) -> strawberry.ID | None:
        id = self.id_of("webhook")
        return encode("Webhook", id) if id else None


@strawberry.type(description="What trying a webhook came to.")
class WebhookTestPayload(WebhookPayload):
    @strawberry.field(
        description="The number of the WEBHOOK_TESTED event, which it gets in its turn: it has it "
        "when its `deliveredSeq` is as large. Null when refused."
    )
    def seq(self) -> int | None:
        seq: int | None = self.answer.get("seq")
        return seq


@strawberry.type(description="What sending again came to.")
class WebhookRedeliverPayload(WebhookPayload):
    pass


@strawberry.type
class WebhookMutation:
    @mutation(WebhookCreatePayload, "Send an endpoint what happens from now on.")
    async def webhook_create(self, info: Info, input: WebhookCreateInput) -> Answer:
        webhook, secret = await WebhookRecord.create(
            input.name,
            input.url,
            input.filter.parts() if input.filter else None,
            by=info.context.by,
        )
        return {"webhook": webhook.id, "secret": secret}

    @mutation(WebhookUpdatePayload, "Change, pause or resume a webhook, or rotate its secret.")
    async def webhook_update(self, info: Info, input: WebhookUpdateInput) -> Answer:
        id = decode("Webhook", input.webhook_id)
        changes = given(name=input.name, url=input.url, status=input.status)
        if input.filter is not None:
            changes["filter"] = input.filter.value.parts() if input.filter.value else None
        await WebhookRecord.change(
            id, changes, by=info.context.by, expected_version=input.expected_version
        )
        if not input.rotate_secret:
            return {"webhook": id}
        return {
            "webhook": id,
            "secret": await WebhookRecord.rotate_secret(id, by=info.context.by),
        }

    @mutation(WebhookDeletePayload, "Send an endpoint nothing more.")
    async def webhook_delete(self, info: Info, input: WebhookDeleteInput) -> Answer:
        id = decode("Webhook", input.webhook_id)
        await WebhookRecord.delete(id, by=info.context.by)
        return {"webhook": id}

    @mutation(WebhookTestPayload, "Record an event that only this webhook is sent in any case.")
    async def webhook_test(self, info: Info, input: WebhookTestInput) -> Answer:
        id = decode("Webhook", input.webhook_id)
        return {"webhook": id, "seq": await WebhookRecord.test(id, by=info.context.by)}

    @mutation(
        WebhookRedeliverPayload,
        "Send a webhook again what it was sent; one that was disabled is resumed.",
    )
    async def webhook_redeliver(self, info: Info, input: WebhookRedeliverInput) -> Answer:
        id = decode("Webhook", input.webhook_id)
        await WebhookRecord.redeliver(id, by=info.context.by, from_seq=input.from_seq)
        return {"webhook": id}
