"""A replayed day, whose reports say what is counted again from its log and its records."""

from datetime import timedelta
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from api import demo
from api.app import graphql_app
from api.replay import Replay
from api.replay_setup import Setup
from models import Workspace
from models.access import Actor
from models.report.catalogue import REPORTS
from models.report.scope import Asked, Grouping, Scope
from models.stream import Reader
from tests.recordings import record
from tests.recount import COUNTED, History, by_key
from tests.serving import serving

CONTACTS = 12
# A time is whole seconds, from an instant that is reckoned a moment before the fact is logged.
SECONDS_OFF = 1.0


def alike(found: dict[str, Any], expected: dict[str, Any]) -> bool:
    return found.keys() == expected.keys() and all(
        abs((found[name] or 0) - (expected[name] or 0))
        <= (SECONDS_OFF if name.endswith("_seconds") else 0)
        for name in found
    )


@pytest.mark.timeout(60)
async def test_the_reports_of_a_replayed_day_are_what_happened(
    database: str, tmp_path: Path
) -> None:
    made = await demo.ensure(tmp_path)
    day = record(tmp_path / "day.jsonl", contacts=CONTACTS, questions_max=2)
    async with serving(graphql_app(Reader())) as url:
        await Replay(day.file, url, made.token, 0, 4, Console(file=StringIO()), Setup()).run()
    workspace = await Workspace.get()
    await differences(workspace)


async def differences(workspace: Workspace) -> None:
    """Compare every report of the workspace's last two days."""
    history = await History.of(workspace.id)
    last = max(fact.at for fact in history.facts) + timedelta(seconds=1)
    asked = Asked(from_at=last - timedelta(days=2), to_at=last, group_by=Grouping.AGENT)
    scope = await Scope.of(asked, by=Actor.system(workspace.id))
    for name, count in COUNTED.items():
        total = dict(await REPORTS[name].total(scope))
        assert alike(total, count(history.facts)), (name, total, count(history.facts))
        keys = [key for key in REPORTS[name].header(scope) if key not in total]
        rows = [dict(row) for row in await REPORTS[name].rows(scope, limit=1_000)]
        found = {tuple(row.pop(key) for key in keys): row for row in rows}
        expected = by_key(history.facts, name, "agent_id", "UTC")
        assert found.keys() == expected.keys(), name
        assert [key for key in found if not alike(found[key], expected[key])] == [], name
