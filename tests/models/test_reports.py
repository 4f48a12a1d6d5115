"""Reports against the same numbers counted one by one from the log and the records of the desk."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4
from zoneinfo import ZoneInfo

import asyncpg
import pytest

from models import Agent, Channel, ClosingReason, Conversation, Team, Workspace
from models.access import Actor, Role
from models.agent import LEASE_SECONDS, lapse_presence
from models.base import Line
from models.closing import close
from models.database import credentials, fetch, fetchval, tx
from models.decision import Availability
from models.errors import BadUserInput, Forbidden
from models.merge import merge
from models.reopening import reopen
from models.report.catalogue import QUEUE_DEPTH, REPORTS, require_readable
from models.report.scope import FILTER_IDS_MAX, REPORT_DAYS_MAX, Asked, Grouping, Scope
from models.report.summary import KEYS
from models.transfer import transfer
from tests.conftest import POOL_MAX, Clock
from tests.factories import (
    a_channel,
    a_conversation,
    a_message,
    a_team,
    a_workspace,
    an_agent,
    as_agent,
    as_integration,
    by_system,
    working,
)
from tests.meeting import behind
from tests.recount import COUNTED, History, by_key, percentile

COUNTING = tuple(COUNTED)
HOUR = 3600.0
# Than everything that happens here.
LATER = datetime(2028, 1, 1, tzinfo=UTC)
# Evenings before days that are odd: none, one of 23 hours, and one whose first hour comes twice.
EVENINGS = {
    "America/Sao_Paulo": "2026-11-20T20:15",
    "America/New_York": "2027-03-13T20:15",
    "America/Havana": "2026-10-31T20:15",
}


@dataclass(frozen=True)
class Desk:
    workspace: Workspace
    zone: str
    began_at: datetime
    ada: Agent
    bea: Agent
    team: Team
    other: Team
    channel: Channel
    second: Channel

    @property
    def days(self) -> Asked:
        """The evening and the day after it."""
        first = self.began_at.astimezone(ZoneInfo(self.zone)).date()
        return Asked(from_day=first, to_day=first + timedelta(days=2))

    async def scope(self, asked: Asked | None = None, *, by: Actor | None = None) -> Scope:
        return await Scope.of(asked or self.days, by=by or by_system(self.workspace))


async def at(instant: datetime) -> None:
    await fetch("UPDATE test_clock SET stopped_at = $1, shift = '0'", instant)


async def a_desk(zone: str) -> Desk:
    evening = datetime.fromisoformat(EVENINGS[zone]).replace(tzinfo=ZoneInfo(zone))
    began_at = evening.astimezone(UTC)
    await at(began_at)
    workspace = await a_workspace()
    by = by_system(workspace)
    await Workspace.change(by=by, time_zone=zone, transfers_to_unavailable=True)
    ada, bea = await an_agent(workspace), await an_agent(workspace)
    team = await a_team(workspace, members=[ada, bea])
    other = await a_team(workspace, line=Line.SUPPORT, members=[bea])
    channel = await a_channel(workspace, team=team)
    second = await a_channel(workspace, team=other)
    # They are there whatever time it is, but where a test says otherwise.
    await fetch("UPDATE presence_leases SET expires_at = $1", LATER)
    return Desk(workspace, zone, began_at, ada, bea, team, other, channel, second)


async def a_night(desk: Desk, clock: Clock) -> None:
    """Conversations of every fate, one every two hours, for a day and a half."""
    reason = await ClosingReason.add(by=by_system(desk.workspace), name="Solved")
    ada = as_agent(desk.ada)
    for round_ in range(17):
        fate = FATES[round_ % len(FATES)]
        id = (await a_conversation(desk.workspace, channel=desk.channel)).id
        await clock.travel(minutes=7 + round_)
        await picks(id, ada)
        await clock.travel(minutes=round_)
        await says(id, ada)
        by = await fate(desk, clock, id)
        if by is not None:
            await closes(id, by, reason.id if round_ % 3 else None)
        await a_message(desk.second)
        await clock.travel(minutes=80)


async def is_handed_over(desk: Desk, clock: Clock, id: UUID) -> Actor:
    await transfer(id, by=as_agent(desk.ada), to_agent=desk.bea.id)
    await says(id, as_agent(desk.bea))
    return as_agent(desk.bea)


async def is_given_back(desk: Desk, clock: Clock, id: UUID) -> Actor:
    async with working(id, by=as_agent(desk.ada)) as held:
        await held.unassign(by=as_agent(desk.ada))
    await clock.travel(minutes=2)
    await picks(id, as_agent(desk.bea))
    return as_agent(desk.bea)


async def is_taken_away(desk: Desk, clock: Clock, id: UUID) -> Actor:
    by = by_system(desk.workspace)
    async with working(id, by=by) as held:
        await held.assign(desk.bea.id, by=by)
    return as_agent(desk.bea)


async def is_reopened(desk: Desk, clock: Clock, id: UUID) -> Actor:
    await closes(id, as_agent(desk.ada), None)
    await clock.travel(minutes=30)
    await reopen(id, by=by_system(desk.workspace))
    await says(id, as_agent(desk.ada))
    return as_agent(desk.ada)


async def stays_open(desk: Desk, clock: Clock, id: UUID) -> None:
    return None


FATES: tuple[Callable[[Desk, Clock, UUID], Awaitable[Actor | None]], ...] = (
    *(is_handed_over, is_given_back, is_taken_away, is_reopened),
    stays_open,
)


async def picks(id: UUID, by: Actor) -> None:
    async with working(id, by=by) as held:
        await held.pick(by=by)


async def says(id: UUID, by: Actor) -> None:
    async with working(id, by=by) as held:
        await held.send("Hello.", by=by)
        await held.note("Hm.", by=by)


async def closes(id: UUID, by: Actor, reason_id: UUID | None) -> None:
    async with working(id, by=by) as held:
        await close(held, by=by, reason_id=reason_id)


async def shown(name: str, scope: Scope) -> dict[Any, dict[str, Any]]:
    """The rows of a report that have anything in them, by what they are of."""
    report = REPORTS[name]
    keys = [key for key in report.header(scope) if key in (*KEYS.values(), "cause", "reason_id")]
    rows = [dict(row) for row in await report.rows(scope, limit=1_000)]
    found = {tuple(row.pop(key) for key in keys): row for row in rows}
    assert len(found) == len(rows)
    return {key: row for key, row in found.items() if any(row.values())}


@pytest.mark.timeout(60)
@pytest.mark.parametrize("zone", EVENINGS)
async def test_a_report_says_what_was_counted_one_by_one(
    database: str, clock: Clock, zone: str
) -> None:
    desk = await a_desk(zone)
    await a_night(desk, clock)
    history = await History.of(desk.workspace.id)
    days = await desk.scope()
    first = desk.days.from_day
    assert first is not None
    # Not as the reports find it: by the days that clocks on the wall show.
    inside = [
        fact
        for fact in history.facts
        if first <= fact.at.astimezone(ZoneInfo(zone)).date() < first + timedelta(days=2)
    ]
    assert len(inside) < len(history.facts)
    filters: list[tuple[dict[str, Any], Any]] = [
        ({}, lambda fact: True),
        ({"team_ids": (desk.other.id,)}, lambda fact: fact.team_id == desk.other.id),
        ({"agent_ids": (desk.bea.id,)}, lambda fact: fact.agent_id == desk.bea.id),
        (
            {"channel_ids": (desk.channel.id,), "agent_ids": (desk.ada.id, desk.bea.id)},
            lambda fact: (
                fact.channel_id == desk.channel.id and fact.agent_id in (desk.ada.id, desk.bea.id)
            ),
        ),
    ]

    for asked, is_meant in filters:
        facts = [fact for fact in inside if is_meant(fact)]
        for name in COUNTING:
            scope = replace(days, **asked)
            total = dict(await REPORTS[name].total(scope))
            assert total == COUNTED[name](facts), (name, asked)
            for grouping, key in KEYS.items():
                found = await shown(name, replace(scope, group_by=grouping))
                assert found == by_key(facts, name, key, zone), (name, asked, grouping)


@pytest.mark.timeout(60)
@pytest.mark.parametrize("grouping", [None, Grouping.DAY, Grouping.TEAM])
@pytest.mark.parametrize("zone", EVENINGS)
async def test_a_queues_depth_is_exact_at_the_beginning_of_every_row(
    database: str, clock: Clock, zone: str, grouping: Grouping | None
) -> None:
    desk = await a_desk(zone)
    await a_night(desk, clock)
    stays = (await History.of(desk.workspace.id)).stays
    scope = await desk.scope(replace(desk.days, group_by=grouping))

    rows = await QUEUE_DEPTH.rows(scope, limit=1_000)

    begins = [row.get("begins_at", scope.begins_at) for row in rows]
    ends = [*begins[1:], min(scope.ends_at, scope.now + timedelta(hours=1))]
    assert len(rows) > 1
    if grouping is Grouping.TEAM:
        ends = [scope.ends_at] * len(rows)
    for row, begin, end in zip(rows, begins, ends, strict=True):
        own = [stay for stay in stays if row.get("team_id") in (None, stay.team_id)]
        left = [stay for stay in own if stay.left_at and begin <= stay.left_at < end]
        waited = [(stay.left_at - stay.entered_at).total_seconds() for stay in left if stay.left_at]
        assert row["depth"] == sum(
            stay.entered_at < begin and (stay.left_at is None or stay.left_at >= begin)
            for stay in own
        )
        assert row["entered"] == sum(begin <= stay.entered_at < end for stay in own)
        assert row["departed"] == len(left)
        assert row["longest_seconds"] == max(waited, default=None)
        assert row["median_seconds"] == percentile(0.5, waited)
        assert row["percentile90_seconds"] == percentile(0.9, waited)
    live = await QUEUE_DEPTH.live(scope)
    waiting = [stay for stay in stays if stay.left_at is None]
    longest = max((scope.now - stay.entered_at).total_seconds() for stay in waiting)
    assert (live.waiting, live.longest_seconds) == (len(waiting), longest)


async def test_availability_is_clipped_to_the_range_and_to_now(database: str, clock: Clock) -> None:
    desk = await a_desk("America/Sao_Paulo")
    by = by_system(desk.workspace)
    await clock.travel(hours=2)
    await Agent.set_availability(desk.ada.id, by=by, accepts_new=False)
    await clock.travel(hours=1)
    await Agent.set_availability(desk.ada.id, by=by, availability=Availability.AWAY)
    await clock.travel(hours=4)

    async def told(asked: Asked) -> dict[Any, tuple[float, ...]]:
        scope = await desk.scope(replace(asked, agent_ids=(desk.ada.id,)))
        header = REPORTS["availability"].header(scope)
        rows = await REPORTS["availability"].rows(scope, limit=10)
        return {row[header[0]]: tuple(row)[1:] for row in rows}

    assert await told(replace(desk.days, group_by=Grouping.AGENT)) == {
        desk.ada.id: (3 * HOUR, 2 * HOUR, 4 * HOUR, 0.0)
    }
    # Midnight is 3.75 hours after the evening began.
    by_day = await told(replace(desk.days, group_by=Grouping.DAY))
    assert list(by_day.values()) == [
        (3 * HOUR, 2 * HOUR, 0.75 * HOUR, 0.0),
        (0.0, 0.0, 3.25 * HOUR, 0.0),
    ]
    within = Asked(
        from_at=desk.began_at + timedelta(hours=1),
        to_at=desk.began_at + timedelta(hours=4),
        group_by=Grouping.AGENT,
    )
    before = await told(within)
    assert before == {desk.ada.id: (2 * HOUR, HOUR, HOUR, 0.0)}
    await Agent.set_availability(desk.ada.id, by=by, availability=Availability.OFFLINE)
    await clock.travel(days=2)
    assert await told(within) == before
    later = Asked(from_at=desk.began_at + timedelta(days=9), to_at=within.from_at)
    with pytest.raises(BadUserInput):
        await told(later)
    future = replace(later, to_at=desk.began_at + timedelta(days=10), group_by=Grouping.AGENT)
    assert await told(future) == {}


async def test_who_is_silent_is_away_since_its_last_lease_ran_out(
    workspace: Workspace, clock: Clock
) -> None:
    """Whether nobody has noticed yet, its own return did, or whoever looks for the silent."""
    await clock.stop()
    by = by_system(workspace)
    began_at = await fetchval("SELECT relevo_now()")
    agent = await an_agent(workspace)
    asked = Asked(from_at=began_at, to_at=began_at + timedelta(hours=1), group_by=Grouping.AGENT)

    async def told() -> list[Any]:
        rows = await REPORTS["availability"].rows(await Scope.of(asked, by=by), limit=10)
        return [tuple(row) for row in rows]

    silent = [(agent.id, LEASE_SECONDS, LEASE_SECONDS, 0.0, HOUR - LEASE_SECONDS)]
    await clock.travel(hours=2)
    assert await told() == silent
    await Agent.set_availability(agent.id, by=by, availability=Availability.AWAY)
    assert await told() == silent
    await Agent.beat(agent.id, by=by, device="phone")
    assert await told() == silent
    asked = replace(asked, to_at=began_at + timedelta(hours=3))
    await clock.travel(hours=2)
    away = (LEASE_SECONDS, LEASE_SECONDS, LEASE_SECONDS, 3 * HOUR - 2 * LEASE_SECONDS)
    assert await told() == [(agent.id, *away)]
    await lapse_presence(10)
    assert await told() == [(agent.id, *away)]


async def test_a_lease_that_is_kept_at_this_moment_is_waited_for(
    workspace: Workspace, clock: Clock
) -> None:
    await clock.stop()
    by = by_system(workspace)
    began_at = await fetchval("SELECT relevo_now()")
    agent = await an_agent(workspace)
    await clock.travel(seconds=LEASE_SECONDS - 1)

    async def beats() -> None:
        await Agent.beat(agent.id, by=by, device="browser")

    async def read() -> float:
        asked = Asked(from_at=began_at, to_at=began_at + timedelta(seconds=LEASE_SECONDS + 5))
        scope = replace(await Scope.of(asked, by=by), now=began_at + timedelta(minutes=2))
        return float((await REPORTS["availability"].total(scope))["offline_seconds"])

    assert await behind(beats, read) == 0


async def test_reports_leave_the_pool_to_others(workspace: Workspace, database: str) -> None:
    by = by_system(workspace)
    scope = await Scope.of(_days(1), by=by)
    blocker = await asyncpg.connect(**credentials(database))
    async with blocker.transaction():
        await blocker.execute("LOCK figures")
        reports = [
            asyncio.create_task(REPORTS["messages"].total(scope)) for _ in range(2 * POOL_MAX)
        ]
        await asyncio.sleep(0)
        # Whoever asked for a connection before has it by now, or would be served first.
        async with asyncio.timeout(1):
            assert await fetchval("SELECT 1") == 1
    await blocker.close()

    assert len(await asyncio.gather(*reports)) == 2 * POOL_MAX


@pytest.mark.leaves_violations  # what is counted here is there by its row alone
async def test_what_was_logged_before_a_range_ended_is_waited_for(
    database: str, workspace: Workspace
) -> None:
    by = by_system(workspace)
    began_at = await fetchval("SELECT relevo_now()")

    async def logged() -> None:
        async with tx() as transaction:
            await transaction.execute(
                "SELECT pg_advisory_xact_lock(hashtextextended($1::uuid::text, 7))", workspace.id
            )
            await transaction.execute(
                """
                INSERT INTO figures (workspace_id, measure, at)
                VALUES ($1, 'MESSAGE_RECEIVED', relevo_now())
                """,
                workspace.id,
            )

    async def read() -> int:
        ended_at = await fetchval("SELECT relevo_now()")
        scope = await Scope.of(Asked(from_at=began_at, to_at=ended_at), by=by)
        return int((await REPORTS["messages"].total(scope))["received"])

    assert await behind(logged, read) == 1


async def test_a_range_that_is_over_never_changes(database: str, clock: Clock) -> None:
    desk = await a_desk("America/Sao_Paulo")
    system = by_system(desk.workspace)
    for _ in range(3):
        await a_conversation(desk.workspace, channel=desk.channel, holder=desk.ada)
    done, moved, still = await Conversation.all().order_by("opened_at", "id")
    await says(done.id, as_agent(desk.ada))
    await closes(done.id, as_agent(desk.ada), None)
    ended = Asked(from_at=desk.began_at, to_at=desk.began_at + timedelta(hours=1))
    await clock.travel(hours=2)

    async def everything() -> dict[Any, Any]:
        found: dict[Any, Any] = {}
        for name, report in REPORTS.items():
            for grouping in (None, Grouping.DAY):
                scope = await desk.scope(replace(ended, group_by=grouping))
                found[name, grouping] = (
                    dict(await report.total(scope)),
                    [dict(row) for row in await report.rows(scope, limit=100)],
                )
        return found

    before = await everything()
    await reopen(done.id, by=system)
    await transfer(moved.id, by=system, to_team=desk.other.id)
    await says(still.id, as_agent(desk.ada))
    await closes(still.id, as_agent(desk.ada), None)
    await merge(survivor_id=done.contact_id, merged_id=still.contact_id, by=system)
    await Agent.set_availability(desk.ada.id, by=system, availability=Availability.AWAY)
    await clock.travel(hours=2)

    assert await everything() == before
    assert before["conversations", None][0] == {"opened": 3, "reopened": 0, "closed": 1}


async def test_an_agent_reads_of_its_own_work_only(database: str, clock: Clock) -> None:
    desk = await a_desk("America/Sao_Paulo")
    await a_night(desk, clock)
    by = as_agent(desk.ada)

    for grouping in (None, *Grouping):
        asked = replace(desk.days, group_by=grouping)
        own = await desk.scope(asked, by=by)
        forced = await desk.scope(replace(asked, agent_ids=(desk.ada.id,)))
        others = await desk.scope(replace(asked, agent_ids=(desk.bea.id,)), by=by)
        for name in COUNTING:
            assert await REPORTS[name].total(own) == await REPORTS[name].total(forced)
            assert await shown(name, own) == await shown(name, forced)
            assert not any((await REPORTS[name].total(others)).values())
            assert await shown(name, others) == {}
    with pytest.raises(Forbidden):
        require_readable(QUEUE_DEPTH, own)


@pytest.mark.parametrize("role", [role for role in Role if role is not Role.INTEGRATION])
async def test_every_role_reads_reports_and_most_read_all(workspace: Workspace, role: Role) -> None:
    agent = await an_agent(workspace, role=role)

    scope = await Scope.of(_days(1), by=as_agent(agent))

    assert scope.is_own == (role is Role.AGENT)


@pytest.mark.parametrize(
    ("scopes", "may"), [(("reports:read",), True), (("conversations:read",), False), ((), False)]
)
async def test_an_integration_reads_reports_by_its_scope(
    workspace: Workspace, scopes: tuple[str, ...], may: bool
) -> None:
    by = as_integration(workspace, *scopes)

    if may:
        assert not (await Scope.of(_days(1), by=by)).is_own
    else:
        with pytest.raises(Forbidden):
            await Scope.of(_days(1), by=by)


async def test_a_company_sees_nothing_of_another(database: str, clock: Clock) -> None:
    desk = await a_desk("America/Sao_Paulo")
    await a_night(desk, clock)
    other = await a_workspace()
    foreign = replace(
        desk.days, team_ids=(desk.team.id,), channel_ids=(desk.channel.id,), group_by=Grouping.TEAM
    )

    for asked in (desk.days, foreign):
        scope = await Scope.of(asked, by=by_system(other))
        for name in (*COUNTING, "queueDepth"):
            assert not any((await REPORTS[name].total(scope)).values()), name
        for name in COUNTING:
            assert await shown(name, scope) == {}


def _days(number: int) -> Asked:
    return Asked(from_day=date(2026, 1, 1), to_day=date(2026, 1, 1) + timedelta(days=number))


NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    "asked",
    [
        Asked(),
        Asked(from_day=date(2026, 1, 1)),
        Asked(to_at=NOON),
        Asked(from_day=date(2026, 1, 1), to_at=NOON),
        Asked(from_day=date(2026, 1, 1), to_day=date(2026, 1, 2), from_at=NOON, to_at=NOON),
        _days(0),
        _days(-1),
        _days(REPORT_DAYS_MAX + 1),
        Asked(from_at=NOON, to_at=NOON),
        Asked(from_at=NOON, to_at=NOON + timedelta(days=REPORT_DAYS_MAX + 1)),
        Asked(from_at=NOON.replace(tzinfo=None), to_at=NOON),
        Asked(from_day=date(1, 1, 1), to_day=date(1, 1, 2)),
        Asked(from_day=date(9999, 12, 30), to_day=date(9999, 12, 31)),
        replace(_days(1), team_ids=tuple(uuid4() for _ in range(FILTER_IDS_MAX + 1))),
        replace(_days(1), agent_ids=tuple(uuid4() for _ in range(FILTER_IDS_MAX + 1))),
        replace(_days(1), channel_ids=tuple(uuid4() for _ in range(FILTER_IDS_MAX + 1))),
    ],
)
async def test_a_scope_has_bounds(workspace: Workspace, asked: Asked) -> None:
    with pytest.raises(BadUserInput):
        await Scope.of(asked, by=by_system(workspace))


async def test_a_scope_takes_as_much_as_its_bounds(workspace: Workspace) -> None:
    ids = tuple(uuid4() for _ in range(FILTER_IDS_MAX))
    asked = replace(_days(REPORT_DAYS_MAX), team_ids=ids, group_by=Grouping.DAY)

    scope = await Scope.of(asked, by=by_system(workspace))

    assert scope.lasts == timedelta(days=REPORT_DAYS_MAX)
    assert len(await REPORTS["conversations"].rows(scope, limit=1_000)) == REPORT_DAYS_MAX


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("availability", {"group_by": Grouping.TEAM}),
        ("availability", {"group_by": Grouping.CHANNEL}),
        ("availability", {"team_ids": ()}),
        ("availability", {"channel_ids": ()}),
        ("queueDepth", {"group_by": Grouping.AGENT}),
        ("queueDepth", {"agent_ids": ()}),
    ],
)
async def test_a_report_refuses_what_it_is_not_of(
    workspace: Workspace, name: str, change: Mapping[str, Any]
) -> None:
    scope = replace(await Scope.of(_days(1), by=by_system(workspace)), **change)

    with pytest.raises(BadUserInput):
        require_readable(REPORTS[name], scope)
