"""Deliveries: at least once, in order for each endpoint, signed, and whatever is missed is told."""

import asyncio
from collections.abc import Iterator, Sequence
from contextlib import AsyncExitStack
from uuid import uuid4

import pytest

from models import Agent, Webhook, Workspace, event, log
from models.database import fetch, fetchval, tx
from models.decision import Availability
from models.event import Kind
from models.log import Filter
from models.webhook import failing, lease, record, target
from models.webhook.client import Outcome
from models.webhook.lease import TurnLost
from models.webhook.record import Failure, WebhookStatus
from tests.conftest import Clock
from tests.delivering import (
    deliver,
    failing_at,
    happen,
    happen_at_once,
    is_signed,
    place_of,
    turns,
)
from tests.factories import (
    a_channel,
    a_message,
    a_team,
    a_webhook,
    a_workspace,
    an_agent,
    by_system,
)
from tests.receiver import Answer, Manner, a_receiver
from workers import webhooks

ONLY_TESTS = Filter(kinds=[Kind.NOTE_ADDED])


@pytest.fixture(autouse=True)
def loopback_allowed() -> Iterator[None]:
    target.allow(["127.0.0.0/8"])
    yield
    target.allow([])


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


async def test_more_than_a_batch_and_more_than_a_turn_is_delivered_in_order(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lease, "BATCH_SIZE", 7)
    monkeypatch.setattr("models.webhook.turn.STORE_EVENTS", 3)
    monkeypatch.setattr("models.webhook.turn.TURN_SECONDS_MAX", 0.05)
    async with a_receiver() as receiver:
        await a_webhook(workspace, receiver.url)
        await happen_at_once(workspace, 200)

        await deliver()

    assert receiver.seqs == list(range(1, 202))


async def test_a_delivery_is_signed_and_says_what_happened(
    workspace: Workspace, clock: Clock
) -> None:
    await clock.travel(days=1)
    async with a_receiver() as receiver:
        webhook = await a_webhook(workspace, receiver.url)
        await deliver()

    delivery = receiver.deliveries[0]
    assert delivery.path == "/in?key=secret"
    assert delivery.headers["content-type"] == "application/json"
    assert delivery.kind == "WEBHOOK_CREATED"
    assert is_signed(delivery, webhook.secret)
    now = (await fetchval("SELECT relevo_now()")).timestamp()
    assert 0 <= now - int(delivery.headers["webhook-timestamp"]) < 20


@pytest.mark.parametrize(
    ("answer", "failure", "status_code"),
    [
        (500, Failure.NOT_ACCEPTED, 500),
        ((302, {"location": "/"}), Failure.NOT_ACCEPTED, 302),
        ((429, {"retry-after": "3"}), Failure.NOT_ACCEPTED, 429),
        (Manner.RESET, Failure.BROKEN_OFF, None),
        (Manner.CLOSE, Failure.BROKEN_OFF, None),
        (Manner.SAY_NOTHING, Failure.TIMED_OUT, None),
    ],
)
async def test_what_fails_comes_again_before_anything_else(
    workspace: Workspace,
    clock: Clock,
    monkeypatch: pytest.MonkeyPatch,
    answer: Answer,
    failure: Failure,
    status_code: int | None,
) -> None:
    monkeypatch.setattr("models.webhook.client.REQUEST_SECONDS_MAX", 0.5)
    async with a_receiver(failing_at(3, times=2, answer=answer)) as receiver:
        webhook = await a_webhook(workspace, receiver.url)
        await happen(workspace, 4)

        for _ in range(2):
            await deliver()
            await deliver()
            kept = await Webhook.get(id=webhook.id)
            assert (kept.failure, kept.status_code) == (failure, status_code)
            assert kept.delivered_seq == 2
            await clock.travel(minutes=1)
        await deliver()

    assert receiver.seqs == [1, 2, 3, 4, 5]
    assert [each.seq for each in receiver.deliveries] == [1, 2, 3, 3, 3, 4, 5]
    ids = [each.id for each in receiver.deliveries if each.seq == 3]
    assert len(set(ids)) == 1
    kept = await Webhook.get(id=webhook.id)
    assert (kept.attempts, kept.failure, kept.failing_since, kept.next_attempt_at) == (
        *(0, None),
        *(None, None),
    )


async def test_whoever_dies_gets_everything_when_it_comes_back(
    workspace: Workspace, clock: Clock
) -> None:
    async with a_receiver() as receiver:
        webhook = await a_webhook(workspace, receiver.url)
        await happen(workspace, 2)
        await deliver()
        await receiver.stop()
        await happen(workspace, 2)
        await deliver()
        assert (await Webhook.get(id=webhook.id)).failure is Failure.UNREACHABLE

        await receiver.start()
        await clock.travel(seconds=1)
        await deliver()

    assert receiver.seqs == [1, 2, 3, 4, 5]


async def test_both_secrets_sign_for_a_day(workspace: Workspace, clock: Clock) -> None:
    async with a_receiver() as receiver:
        webhook = await a_webhook(workspace, receiver.url)
        old = webhook.secret
        new = await Webhook.rotate_secret(webhook.id, by=by_system(workspace))
        for hours in (0, 23, 2):
            await clock.travel(hours=hours)
            await happen(workspace, 1)
            await deliver()

    early, late = receiver.deliveries[:-1], receiver.deliveries[-1]
    assert all(is_signed(each, old) and is_signed(each, new) for each in early)
    assert is_signed(late, new)
    assert not is_signed(late, old)


async def test_whoever_knows_another_secret_is_served_after_the_rotation(
    workspace: Workspace,
) -> None:
    known = ["whsec_AAAA"]
    async with a_receiver(
        lambda it: 200 if any(is_signed(it, each) for each in known) else 401
    ) as receiver:
        webhook = await a_webhook(workspace, receiver.url)
        await happen(workspace, 1)
        await deliver()
        await deliver()
        assert receiver.seqs == []

        known.append(await Webhook.rotate_secret(webhook.id, by=by_system(workspace)))
        await deliver()

    assert receiver.seqs == [1, 2, 3]


async def test_what_does_not_match_is_passed_over_without_a_request(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lease, "SCAN_SIZE", 10)
    async with a_receiver() as receiver:
        webhook = await a_webhook(workspace, receiver.url, ONLY_TESTS)
        await happen_at_once(workspace, 25)

        await deliver()
        assert (receiver.deliveries, await place_of(webhook)) == ([], 26)
        number = await Webhook.test(webhook.id, by=by_system(workspace))
        await deliver()

    assert receiver.seqs == [number]


async def test_a_test_is_for_its_own_endpoint_and_whoever_asks_for_all(
    workspace: Workspace,
) -> None:
    async with a_receiver() as own, a_receiver() as narrow, a_receiver() as all_:
        webhook = await a_webhook(workspace, own.url, ONLY_TESTS)
        await a_webhook(workspace, narrow.url, ONLY_TESTS)
        await a_webhook(workspace, all_.url)

        number = await Webhook.test(webhook.id, by=by_system(workspace))
        await deliver()

    assert (own.seqs, narrow.seqs) == ([number], [])
    assert all_.seqs[-1] == number


async def test_a_test_is_tried_at_once_whatever_failed_before(workspace: Workspace) -> None:
    async with a_receiver(failing_at(1, times=1)) as receiver:
        webhook = await a_webhook(workspace, receiver.url)
        await deliver()
        await deliver()
        assert len(receiver.deliveries) == 1

        number = await Webhook.test(webhook.id, by=by_system(workspace))
        await deliver()

    assert receiver.seqs == [1, number]


async def test_a_filter_is_that_of_the_log(workspace: Workspace) -> None:
    agents = [await an_agent(workspace) for _ in range(2)]
    team = await a_team(workspace, members=agents)
    channel = await a_channel(workspace, team=team)
    async with AsyncExitStack() as stack:
        conversation_id, other, former = uuid4(), uuid4(), uuid4()
        filters = [
            Filter(kinds=[Kind.CONVERSATION_OPENED, Kind.MESSAGE_RECEIVED]),
            Filter(queue_id=team.id),
            Filter(agent_id=agents[0].id),
            Filter(ticket_id=other),
            Filter(ticket_id=former),
            Filter(conversation_id=conversation_id),
            Filter(kinds=[Kind.IDLE_REMINDED], conversation_id=conversation_id),
        ]
        receivers = [await stack.enter_async_context(a_receiver()) for _ in filters]
        for filter, receiver in zip(filters, receivers, strict=True):
            webhook = await a_webhook(workspace, receiver.url)
            # By the row: nothing there is named by these ids.
            await Webhook.filter(id=webhook.id).update(wanted=record.stored(filter))
        since = (await log.head(workspace.id)).seq
        await a_message(channel)
        await Agent.set_availability(
            agents[0].id,
            by=by_system(workspace),
            availability=Availability.AWAY,
            accepts_new=True,
        )
        async with tx():
            for kind in (Kind.IDLE_REMINDED, Kind.CONVERSATION_TAGGED):
                event.record(
                    kind,
                    by=by_system(workspace),
                    conversation_id=conversation_id,
                    ticket_id=other,
                    from_ticket=former,
                )

        await deliver()

        happened = await log.read(workspace.id, after=since)
        for filter, receiver in zip(filters, receivers, strict=True):
            expected = [each.seq for each in happened if filter.holds(each)]
            assert expected == receiver.seqs
            assert expected


async def test_whoever_is_paused_goes_on_where_it_was(workspace: Workspace) -> None:
    by = by_system(workspace)
    async with a_receiver() as receiver:
        webhook = await a_webhook(workspace, receiver.url)
        await Webhook.change(webhook.id, {"status": WebhookStatus.PAUSED}, by=by)
        await happen(workspace, 2)
        await deliver()
        assert receiver.deliveries == []

        await Webhook.change(webhook.id, {"status": WebhookStatus.ACTIVE}, by=by)
        await deliver()

    assert receiver.seqs == [1, 2, 3, 4, 5]


async def test_a_redelivery_has_the_ids_of_the_first_time(workspace: Workspace) -> None:
    async with a_receiver() as receiver:
        webhook = await a_webhook(workspace, receiver.url)
        await happen(workspace, 2)
        await deliver()

        await Webhook.redeliver(webhook.id, by=by_system(workspace), from_seq=2)
        await deliver()

    assert receiver.seqs == [1, 2, 3, 2, 3, 4]
    assert len({each.id for each in receiver.deliveries}) == 4


@pytest.mark.parametrize("stored_every", [1, 50])
async def test_a_delivery_under_way_takes_no_redelivery_back(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch, stored_every: int
) -> None:
    monkeypatch.setattr("models.webhook.turn.STORE_EVENTS", stored_every)
    async with a_receiver() as receiver:
        webhook = await a_webhook(workspace, receiver.url)
        await happen(workspace, 2)
        await deliver()
        await happen(workspace, 1)
        receiver.open.clear()
        delivering = asyncio.create_task(deliver())
        await receiver.has(lambda it: len(it.deliveries) == 4)

        await Webhook.redeliver(webhook.id, by=by_system(workspace), from_seq=2)
        receiver.open.set()
        await delivering

    assert receiver.together_max == 1
    assert receiver.seqs[-4:] == [2, 3, 4, 5]
    assert receiver.first_seqs == [1, 2, 3, 4, 5]
    assert await place_of(webhook) == 5


async def test_a_failure_under_way_takes_no_redelivery_back(workspace: Workspace) -> None:
    async with a_receiver(failing_at(5, times=1)) as receiver:
        webhook = await a_webhook(workspace, receiver.url)
        await happen(workspace, 3)
        await deliver()
        await happen(workspace, 1)
        receiver.open.clear()
        delivering = asyncio.create_task(deliver())
        await receiver.has(lambda it: len(it.deliveries) == 5)

        await Webhook.redeliver(webhook.id, by=by_system(workspace), from_seq=2)
        receiver.open.set()
        await delivering

    assert receiver.seqs == [1, 2, 3, 4, 2, 3, 4, 5, 6]


async def test_what_is_deleted_under_way_is_gone(workspace: Workspace) -> None:
    async with a_receiver() as receiver:
        webhook = await a_webhook(workspace, receiver.url)
        await happen(workspace, 3)
        receiver.open.clear()
        delivering = asyncio.create_task(deliver())
        await receiver.has(lambda it: len(it.deliveries) == 1)

        await Webhook.delete(webhook.id, by=by_system(workspace))
        receiver.open.set()
        await delivering

    assert await Webhook.all().count() == 0


async def test_an_address_that_changed_gets_nothing_of_another_filter(workspace: Workspace) -> None:
    webhook = await a_webhook(workspace, "https://old.example/")
    turn = (await turns())[0]
    changes = {"url": "https://new.example/", "filter": ONLY_TESTS}
    await Webhook.change(webhook.id, changes, by=by_system(workspace))

    with pytest.raises(TurnLost):
        await lease.read_on(turn)


async def test_whoever_is_being_changed_holds_up_nobody_else(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    quiet = await a_webhook(workspace, filter=ONLY_TESTS)
    busy = await a_webhook(workspace)
    locked, over = asyncio.Event(), asyncio.Event()
    read = lease._read

    async def change() -> None:
        async with tx():
            await Webhook.fetch_one("id = $1", quiet.id, lock=True)
            locked.set()
            await over.wait()

    async def read_and_change(taken: Sequence[lease.Turn]) -> list[lease.Turn]:
        changing.append(asyncio.create_task(change()))
        await locked.wait()
        return await read(taken)

    changing: list[asyncio.Task[None]] = []
    monkeypatch.setattr(lease, "_read", read_and_change)
    async with asyncio.timeout(2):
        taken = await turns()
    over.set()
    await changing[0]

    assert {turn.webhook_id: len(turn.events) for turn in taken} == {quiet.id: 0, busy.id: 1}


async def test_what_could_not_be_read_is_free_again(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    await a_webhook(workspace)

    async def unreadable(_: Sequence[lease.Turn]) -> list[lease.Turn]:
        raise ConnectionError("away")

    with monkeypatch.context() as away:
        away.setattr(lease, "_read", unreadable)
        with pytest.raises(ConnectionError, match="away"):
            await turns()

    assert len(await turns()) == 1


async def test_what_cannot_be_written_is_a_failure_of_who_gets_it_alone(
    workspace: Workspace, clock: Clock
) -> None:
    await clock.stop()
    async with a_receiver() as receiver, a_receiver() as other:
        stopped = await a_webhook(workspace, receiver.url)
        await a_webhook(await a_workspace("Other"), other.url)
        await happen(workspace, 1)
        await fetch("UPDATE events SET actor_kind = 'ROBOT' WHERE seq = 2")
        for attempts in (1, 2):
            await deliver()
            await deliver()
            kept = await Webhook.get(id=stopped.id)
            assert (kept.failure, kept.attempts) == (Failure.NOT_WRITTEN, attempts)
            await clock.travel(minutes=1)
        assert (receiver.seqs, other.seqs) == ([1], [1])

        await fetch("UPDATE events SET actor_kind = 'SYSTEM' WHERE seq = 2")
        await deliver()

    kept = await Webhook.get(id=stopped.id)
    assert (kept.delivered_seq, kept.failure) == (2, None)


async def test_nobody_takes_a_turn_that_another_has_until_it_lapses(
    workspace: Workspace, clock: Clock
) -> None:
    await clock.stop()
    webhook = await a_webhook(workspace)
    [frozen] = await turns()

    assert await turns() == []
    await clock.travel(seconds=lease.LEASE_SECONDS)
    [other] = await turns()

    frozen.place = 1
    for command in (
        lease.store(frozen, status_code=200),
        failing.fail(frozen, Outcome(Failure.TIMED_OUT)),
    ):
        with pytest.raises(TurnLost):
            await command
    await lease.release(frozen)
    kept = await Webhook.get(id=webhook.id)
    assert (kept.lease, kept.delivered_seq, kept.attempts) == (other.lease, 0, 0)


async def test_who_froze_sends_nothing_any_more(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with a_receiver() as receiver:
        await a_webhook(workspace, receiver.url)
        monkeypatch.setattr("models.webhook.turn.TURN_SECONDS_MAX", 0)
        monkeypatch.setattr(webhooks, "BURST_SECONDS_MAX", 0.1)
        await deliver()

    assert receiver.deliveries == []
