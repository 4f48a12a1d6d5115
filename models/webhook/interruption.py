"""What an endpoint does not get in a row is told: in the log, and to itself, unfiltered.

A place is beside its log in every backup, so after a restore an endpoint goes on from its place.
"""

from typing import Any
from uuid import UUID

from models import event, log
from models.access import Actor
from models.database import tx
from models.event import Kind
from models.log import Position
from models.webhook.record import Interruption, Webhook


async def tell(webhook_id: UUID) -> None:
    """Put an endpoint back into the log that there is, and say in the log what it did not get.

    In another history it goes on from its place, or from the log's end if that is before it; what
    the log forgot meanwhile is passed over, and counted.
    """
    async with tx() as transaction:
        webhook = await Webhook.fetch_one("id = $1", webhook_id, lock=True)
        if webhook is None:
            return
        head = await log.head(webhook.workspace_id, transaction)
        if head.holds(Position(webhook.epoch, webhook.delivered_seq, head.at)):
            return
        place = min(webhook.delivered_seq, head.seq)
        if webhook.epoch != head.epoch or place < webhook.delivered_seq:
            webhook.epoch = head.epoch
            _record(webhook, Interruption.OTHER_HISTORY, from_seq=place + 1)
        if place < head.floor_seq:
            _record(
                webhook, Interruption.FORGOTTEN, missed_from=place + 1, missed_to=head.floor_seq
            )
            webhook.missed_count += head.floor_seq - place
        webhook.delivered_seq = max(place, head.floor_seq)
        await webhook.keep()


def _record(webhook: Webhook, interruption: Interruption, **numbers: Any) -> None:
    event.record(
        Kind.WEBHOOK_UPDATED,
        by=Actor.system(webhook.workspace_id),
        webhook=webhook.id,
        interruption=interruption,
        **numbers,
    )
