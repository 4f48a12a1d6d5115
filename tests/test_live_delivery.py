"""No event is lost, repeated or reordered, whatever happens to servers, engines and connections.

Subscribers, two web processes, a worker and engines of their own are real processes; the same at
any size: `python -m tests.live --help`.
"""

import asyncio
import random
from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID

import pytest

from tests.live.cluster import Cluster, a_cluster
from tests.live.judgement import Difference, difference
from tests.live.listener import Subscriber
from tests.live.slow_peers import Trial
from tests.live.storm import Following, Plan, grown, logged_for, storm
from tests.live.topics import TOPICS, Topic
from tests.live.traffic import Traffic, flowing

pytestmark = pytest.mark.timeout(180)

COMPANIES = 2
SUBSCRIBERS = 16  # of each company
WATCHERS = 3
LEAVE_SECONDS_MAX = 20
EVENTS_BEFORE = 3
# When an agent left a team.
REMOVALS = Topic("", "agents", "kind = 'MEMBER_REMOVED' AND from_agent_id = $2")
DROP_SECONDS_MAX = 14
END_SECONDS_MAX = 10
RSS_GROWTH_BYTES_MAX = 40 * 2**20


@pytest.fixture(scope="module")
async def founded() -> AsyncIterator[tuple[Cluster, list[dict[str, Any]]]]:
    """One cluster for the module, with two companies of the same names in it."""
    async with a_cluster(companies=COMPANIES, watchers=WATCHERS) as running:
        yield running


async def test_no_subscriber_loses_repeats_or_reorders_an_event_whatever_is_killed(
    founded: tuple[Cluster, list[dict[str, Any]]],
) -> None:
    cluster, companies = founded

    report = await storm(cluster, companies, Plan(subscribers=SUBSCRIBERS))

    assert report.is_clean, [report.line(), *report.wrong]
    assert report.counts["StreamResumed"] > report.subscribers
    assert report.deliveries > report.subscribers


@pytest.mark.parametrize(
    ("got", "told"),
    [
        ([3, 5, 8, 9], Difference()),
        ([3, 8, 9], Difference(lost=1)),
        ([3, 5, 8], Difference(lost=1)),
        ([], Difference(lost=4)),
        ([3, 5, 5, 8, 9], Difference(repeated=1)),
        ([3, 5, 8, 9, 5], Difference(repeated=1)),
        ([3, 8, 5, 9], Difference(reordered=1)),
        ([3, 5, 7, 8, 9], Difference(foreign=1)),
    ],
)
def test_what_was_got_is_compared_number_by_number(got: list[int], told: Difference) -> None:
    def entries(seqs: list[int]) -> list[tuple[int, str]]:
        return [(seq, f"2026-01-01T00:00:{seq:02}Z") for seq in seqs]

    assert difference(entries([3, 5, 8, 9]), entries(got)) == told


async def test_whoever_leaves_a_team_gets_nothing_of_its_queue_from_that_event_on(
    founded: tuple[Cluster, list[dict[str, Any]]],
) -> None:
    cluster, (company, *_) = founded
    here, elsewhere = cluster.ports
    agent = company["agents"][-1]
    queue = TOPICS[0].subscription(company, 0) | {"token": agent["token"]}
    leaver = Subscriber(name="leaver", ports=[elsewhere], **queue)
    membership = {"teamId": company["teams"][0]["id"], "agentId": agent["id"]}

    following = asyncio.create_task(leaver.connected(elsewhere))
    async with (
        asyncio.timeout(LEAVE_SECONDS_MAX),
        Traffic(company, [here], random.Random(1)) as administration,
        flowing([administration]),
    ):
        await leaver.reaches(None)
        for _ in range(EVENTS_BEFORE):
            await leaver.reaches(leaver.last + 1)
        await administration.insist("teamMemberRemove", membership)
        await following
        await grown(cluster)

    removed = Following("removed", UUID(company["workspace"]), REMOVALS, UUID(agent["uuid"]))
    stayed = Following("stayed", removed.workspace, TOPICS[0], TOPICS[0].uuid(company, 0))
    logged = await logged_for(cluster, [removed, stayed])
    ((left_at, _),) = logged[removed]
    assert leaver.start is not None
    assert logged[stayed][-1][0] > left_at, "nothing was left to get"
    assert leaver.events == [it for it in logged[stayed] if leaver.start < it[0] < left_at]
    assert leaver.wrong == [f"completed after {leaver.last}"]


async def test_peers_that_read_nothing_are_dropped_and_nobody_feels_them(
    founded: tuple[Cluster, list[dict[str, Any]]],
) -> None:
    cluster, (_, company) = founded
    trial = Trial(cluster, company)

    await trial.run(turns=1, per_second=30, good=20)
    seconds = await trial.end_with_some()
    await cluster.come_back("web0")

    assert len(trial.drop_seconds) == trial.peers
    assert max(trial.drop_seconds) < DROP_SECONDS_MAX, trial.line()
    assert trial.rss_max - trial.rss_before < RSS_GROWTH_BYTES_MAX, trial.line()
    assert trial.lost == 0
    assert seconds < END_SECONDS_MAX
