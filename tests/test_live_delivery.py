"""No event is lost, repeated or reordered, whatever happens to servers, engines and connections.

Subscribers, two web processes, a worker and engines of their own are real processes; the same at
any size: `python -m tests.live --help`.
"""

from collections.abc import AsyncIterator
from typing import Any

import pytest

from tests.live.cluster import Cluster, a_cluster
from tests.live.judgement import Difference, difference
from tests.live.storm import Plan, storm

pytestmark = pytest.mark.timeout(120)

COMPANIES = 2
SUBSCRIBERS = 12  # of each company
WATCHERS = 3


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
    assert report.counts["StreamResumed"] >= report.counts["cuts"] > 0
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
