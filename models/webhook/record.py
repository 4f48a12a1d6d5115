"""A webhook: an endpoint that is sent the log of its workspace, and how far it got.

Its place in the log is a row beside it, so a restore brings both back to the same instant: in
another history (another epoch) an endpoint goes on from its place, with new message ids, and is
told. Only a place beyond the end of the log, which nothing but rows restored apart can leave, is
taken back to that end: what came before it cannot be told from what came to the endpoint already.
"""

from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from tortoise import fields
from tortoise.queryset import QuerySet

from models import event, log
from models.access import Actor, Right
from models.base import NAME_LENGTH_MAX, Record, require_name
from models.database import Transaction, tx
from models.errors import BadUserInput, LimitReached
from models.event import Kind
from models.log import Filter
from models.webhook import signature, target
from models.webhook.errors import RedeliveryOutOfRange, WebhookChanged, WebhookNotActive
from models.webhook.signature import SECRET_LENGTH_MAX
from models.webhook.target import URL_LENGTH_MAX
from models.webhook.wanted import require_known
from models.workspace import Workspace

# For each workspace.
WEBHOOKS_MAX = 100
# While both secrets sign, receivers change over without losing anything.
ROTATION_HOURS = 24


class WebhookStatus(StrEnum):
    """Whether a webhook is sent anything."""

    ACTIVE = "ACTIVE"
    PAUSED = "PAUSED"
    DISABLED = "DISABLED"


class Failure(StrEnum):
    """Why a webhook did not take what comes next."""

    NOT_WRITTEN = "NOT_WRITTEN"
    TIMED_OUT = "TIMED_OUT"
    UNREACHABLE = "UNREACHABLE"
    BROKEN_OFF = "BROKEN_OFF"
    TLS_FAILED = "TLS_FAILED"
    REFUSED_TARGET = "REFUSED_TARGET"
    NOT_ACCEPTED = "NOT_ACCEPTED"
    GONE = "GONE"


class Interruption(StrEnum):
    """Why an endpoint does not get everything in a row; it is told, whatever its filter says."""

    # The log forgot events before they could be delivered.
    FORGOTTEN = "FORGOTTEN"
    # The log was restored: events have other message ids, and numbers may come again.
    OTHER_HISTORY = "OTHER_HISTORY"


class Webhook(Record):
    """An endpoint that is sent the log, in order and at least once."""

    name = fields.CharField(max_length=NAME_LENGTH_MAX)
    # May have secrets in it: no event and no line of the process's own log has it.
    url = fields.CharField(max_length=URL_LENGTH_MAX)
    # The conditions that are set, as `stored` has them; none for everything.
    wanted: dict[str, Any] = fields.JSONField(source_field="filter", default=dict)
    secret = fields.CharField(max_length=SECRET_LENGTH_MAX)
    previous_secret = fields.CharField(max_length=SECRET_LENGTH_MAX, null=True)
    previous_secret_until: datetime | None = fields.DatetimeField(null=True)
    status = fields.CharEnumField(WebhookStatus, max_length=16, default=WebhookStatus.ACTIVE)
    # Which history of the log its place is in.
    epoch: UUID = fields.UUIDField()
    # Everything up to and including it is delivered, did not match, or is told as missed.
    delivered_seq = fields.BigIntField()
    missed_count = fields.BigIntField(default=0)
    # Of the event that comes next; 0 after a success.
    attempts = fields.IntField(default=0)
    failing_since: datetime | None = fields.DatetimeField(null=True)
    # Empty for at once.
    next_attempt_at: datetime | None = fields.DatetimeField(null=True)
    failure = fields.CharEnumField(Failure, max_length=32, null=True)
    # Of the last answer, if there was one.
    status_code: int | None = fields.IntField(null=True)
    delivered_at: datetime | None = fields.DatetimeField(null=True)
    # Whoever holds it sends; without one, `leased_until` is when the last one ended.
    lease: UUID | None = fields.UUIDField(null=True)
    leased_until: datetime | None = fields.DatetimeField(null=True)
    disabled_at: datetime | None = fields.DatetimeField(null=True)
    # Whoever sends moves the place only of the version that it read.
    version = fields.IntField(default=1)

    class Meta:
        table = "webhooks"

    @classmethod
    async def create(  # type: ignore[override]  # as the other verbs; Tortoise's own makes any row
        cls, name: str, url: str, filter: Filter | None = None, *, by: Actor
    ) -> tuple["Webhook", str]:
        """Send an endpoint everything from now on that meets a filter; its own creation is the
        first of it. Returns it with the secret, which is not told again.

        Raises LimitReached, NotFound, WebhookTargetNotAllowed, BadUserInput, Forbidden.
        """
        _require_rights(by)
        require_name(name)
        target.require_url(url)
        await require_known(filter, by=by)
        async with tx() as transaction:
            # Counted under a lock: two at once cannot both be the last.
            await Workspace.filter(id=by.workspace_id).select_for_update(no_key=True).get()
            if await cls.filter(workspace_id=by.workspace_id).count() >= WEBHOOKS_MAX:
                raise LimitReached("webhooks", limit=WEBHOOKS_MAX)
            head = await log.head(by.workspace_id, transaction)
            webhook = cls(
                workspace_id=by.workspace_id,
                name=name,
                url=url,
                wanted=stored(filter),
                secret=signature.new_secret(),
                epoch=head.epoch,
                delivered_seq=head.seq,
            )
            await webhook.save(force_create=True)
            event.record(Kind.WEBHOOK_CREATED, by=by, webhook=webhook.id)
        return webhook, webhook.secret

    @classmethod
    async def change(
        cls,
        id: UUID,
        changes: Mapping[str, Any],
        *,
        by: Actor,
        expected_version: int | None = None,
    ) -> None:
        """Change name, url, filter (None for everything) or status (ACTIVE or PAUSED).

        Whatever is resumed goes on where it was, and a new URL is tried at once. What was under
        way meanwhile may be sent again. Raises NotFound, WebhookChanged, WebhookTargetNotAllowed,
        BadUserInput, Forbidden.
        """
        _require_rights(by)
        _require_changes(changes)
        await require_known(changes.get("filter"), by=by)
        wanted = dict(changes)
        if "filter" in wanted:
            wanted["wanted"] = stored(wanted.pop("filter"))
        async with tx():
            webhook = await cls._locked(id, by=by, expected_version=expected_version)
            changed = {name: to for name, to in wanted.items() if to != getattr(webhook, name)}
            if not changed:
                return
            webhook.update_from_dict(changed)
            if webhook.status is not WebhookStatus.DISABLED and changed.keys() & {"url", "status"}:
                webhook.begin_anew()
            await webhook.keep()
            event.record(
                Kind.WEBHOOK_UPDATED,
                by=by,
                webhook=id,
                changed=["filter" if name == "wanted" else name for name in changed],
                status=webhook.status,
            )

    @classmethod
    async def rotate_secret(cls, id: UUID, *, by: Actor) -> str:
        """Sign with a new secret, which is not told again; for 24 hours the one before it signs
        too. What failed is tried again at once. Raises NotFound, Forbidden.
        """
        _require_rights(by)
        async with tx() as transaction:
            webhook = await cls._locked(id, by=by)
            webhook.previous_secret, webhook.secret = webhook.secret, signature.new_secret()
            webhook.previous_secret_until = await transaction.fetchval(
                "SELECT relevo_now() + make_interval(hours => $1)", ROTATION_HOURS
            )
            webhook.next_attempt_at = None
            await webhook.keep()
            event.record(Kind.WEBHOOK_UPDATED, by=by, webhook=id, changed=["secret"])
        return webhook.secret

    @classmethod
    async def delete(cls, id: UUID, *, by: Actor) -> None:  # type: ignore[override]  # as the others
        """Send nothing more, but for what is under way. Raises NotFound, Forbidden."""
        _require_rights(by)
        async with tx():
            webhook = await cls._locked(id, by=by)
            await cls.filter(id=webhook.id).delete()
            event.record(Kind.WEBHOOK_DELETED, by=by, webhook=id)

    @classmethod
    async def test(cls, id: UUID, *, by: Actor) -> int:
        """Record an event that this endpoint gets in its turn, whatever its filter says; returns
        its number. What failed is tried again at once. Raises NotFound, WebhookNotActive,
        Forbidden.
        """
        _require_rights(by)
        async with tx() as transaction:
            webhook = await cls._locked(id, by=by)
            if webhook.status is not WebhookStatus.ACTIVE:
                raise WebhookNotActive(status=webhook.status)
            webhook.next_attempt_at = None
            await webhook.save(update_fields=["next_attempt_at"])
            event.record(Kind.WEBHOOK_TESTED, by=by, webhook=id)
            return await _number_of_last(transaction, by.workspace_id)

    @classmethod
    async def redeliver(cls, id: UUID, *, by: Actor, from_seq: int) -> None:
        """Deliver again what was delivered, from a number on; one that was disabled is ACTIVE
        again, one that is paused stays so.

        Raises NotFound, RedeliveryOutOfRange, Forbidden.
        """
        _require_rights(by)
        async with tx() as transaction:
            webhook = await cls._locked(id, by=by)
            floor_seq = (await log.head(by.workspace_id, transaction)).floor_seq
            if not floor_seq < from_seq <= webhook.delivered_seq + 1:
                raise RedeliveryOutOfRange(floor_seq=floor_seq, delivered_seq=webhook.delivered_seq)
            webhook.delivered_seq = from_seq - 1
            if webhook.status is WebhookStatus.DISABLED:
                webhook.status = WebhookStatus.ACTIVE
            webhook.begin_anew()
            await webhook.keep()
            event.record(Kind.WEBHOOK_REDELIVERED, by=by, webhook=id, from_seq=from_seq)

    @classmethod
    def visible_to(cls, actor: Actor) -> QuerySet["Webhook"]:
        within = cls.filter(workspace_id=actor.workspace_id)
        return within if cls.are_visible_to(actor) else cls.filter(id__in=[])

    @classmethod
    def are_visible_to(cls, actor: Actor) -> bool:
        """Whoever may change them: a URL may have secrets in it."""
        return actor.may(Right.CONFIGURE) and actor.may(Right.READ_LOG)

    @property
    def log_filter(self) -> Filter:
        """Which events it is sent, besides those about its own place."""
        return recall(self.wanted)

    @classmethod
    async def _locked(
        cls, id: UUID, *, by: Actor, expected_version: int | None = None
    ) -> "Webhook":
        path = "input.webhookId"
        webhook = await cls.lock_own(id, by.workspace_id, what="webhook", path=path)
        if expected_version not in (None, webhook.version):
            raise WebhookChanged(version=webhook.version)
        return webhook

    async def keep(self) -> None:
        """Store what the verbs change, as another version: whoever sends reads it anew."""
        self.version += 1
        await self.save(update_fields=_CHANGEABLE)

    def begin_anew(self) -> None:
        """Forget the failures: they were of another address, or of another time."""
        nothing = ("failing_since", "next_attempt_at", "failure", "disabled_at")
        self.update_from_dict({"attempts": 0, **dict.fromkeys(nothing)})


# Neither lease nor, while a lease is held, place: but for a redelivery, which takes it back.
_CHANGEABLE = [
    "name",
    "url",
    "wanted",
    "epoch",
    "missed_count",
    "secret",
    "previous_secret",
    "previous_secret_until",
    "status",
    "delivered_seq",
    "attempts",
    "failing_since",
    "next_attempt_at",
    "failure",
    "disabled_at",
    "version",
]
_IDS = ("conversation_id", "queue_id", "agent_id", "ticket_id")


def stored(filter: Filter | None) -> dict[str, Any]:
    """A filter as JSON: the conditions that are set."""
    if filter is None:
        return {}
    ids = {name: getattr(filter, name) for name in _IDS}
    conditions: dict[str, Any] = {name: str(id) for name, id in ids.items() if id is not None}
    if filter.kinds:
        conditions["kinds"] = sorted({kind.value for kind in filter.kinds})
    return conditions


def recall(conditions: Mapping[str, Any]) -> Filter:
    """What `stored` stored."""
    ids = {name: UUID(conditions[name]) for name in _IDS if name in conditions}
    known = Kind.__members__
    kinds = [Kind(each) if each in known else Kind.OTHER for each in conditions.get("kinds", ())]
    return Filter(kinds=kinds or None, **ids)


def _require_rights(by: Actor) -> None:
    """What is sent to an endpoint is the log: whoever adds one reads it."""
    by.require(Right.CONFIGURE)
    by.require(Right.READ_LOG)


def _require_changes(changes: Mapping[str, Any]) -> None:
    require_name(changes.get("name", "unchanged"))
    if "url" in changes:
        target.require_url(changes["url"])
    if changes.get("status") is WebhookStatus.DISABLED:
        raise BadUserInput("Pause it: only failures disable a webhook.", path="input.status")


async def _number_of_last(transaction: Transaction, workspace_id: UUID) -> int:
    """The number that the last event recorded so far will have.

    Takes the lock of numbering, the last of all locks, before the commit does.
    """
    await transaction.execute(
        "SELECT pg_advisory_xact_lock(hashtextextended($1::text, 7))", str(workspace_id)
    )
    buffered = [it for it in transaction.events if it["workspace_id"] == workspace_id]
    return (await log.head(workspace_id, transaction)).seq + len(buffered)
