"""`python -m tests.live`: the storm in any size; prints one line, and fails unless it is clean."""

import argparse
import asyncio
import sys
from dataclasses import replace

from tests.live.cluster import a_cluster
from tests.live.storm import Plan, storm

WRONG_SHOWN_MAX = 20


def main() -> int:
    parser = argparse.ArgumentParser("python -m tests.live", description=__doc__)
    parser.add_argument("--subscribers", type=int, default=200)
    parser.add_argument("--minutes", type=float, default=3)
    parser.add_argument("--companies", type=int, default=1)
    parser.add_argument("--listeners", type=int, default=2, help="processes of subscribers")
    parser.add_argument("--per-second", type=float, default=20, help="commands, of all companies")
    parser.add_argument("--cut-seconds-max", type=float, default=20, help="life of a connection")
    parser.add_argument("--calm", action="store_true", help="no cuts and no kills")
    parser.add_argument("--without-valkey", action="store_true", help="no kills but that one")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--broken", help="a defect of the servers: see sabotage.py")
    given = parser.parse_args()
    plan = Plan(
        subscribers=given.subscribers,
        listeners=given.listeners,
        per_second=given.per_second,
        seconds=given.minutes * 60,
        cut_seconds_max=None if given.calm or given.without_valkey else given.cut_seconds_max,
        seed=given.seed,
    )
    if given.calm or given.without_valkey:
        plan = replace(plan, calamities=())
    return asyncio.run(run(plan, given))


async def run(plan: Plan, given: argparse.Namespace) -> int:
    async with a_cluster(
        companies=given.companies, watchers=plan.watchers, broken=given.broken
    ) as (cluster, founded):
        if given.without_valkey:
            await cluster.kill("Valkey")
        report = await storm(cluster, founded, plan)
    for wrong in report.wrong[:WRONG_SHOWN_MAX]:
        sys.stderr.write(f"{wrong}\n")
    sys.stderr.write(f"{dict(report.counts)}\n")
    sys.stdout.write(f"{report.line()}\n")
    return 0 if report.is_clean else 1


if __name__ == "__main__":
    sys.exit(main())
