"""The same facts give the same decisions: a day with owners, bots and a window, played twice."""

from io import StringIO
from itertools import chain
from pathlib import Path

import pytest
from rich.console import Console

from api import demo
from api.app import graphql_app
from api.replay import Replay
from api.replay_report import Tally
from api.replay_setup import Setup
from models.stream import Reader
from models.verify import violations
from tests.conftest import Clock, ConnectedTo, CopyOfDatabase
from tests.determinism import Decided, compared, decided
from tests.recordings import record
from tests.serving import serving

CONTACTS = 10
SETUP = Setup(owners_every=6, window_hours=1, bots=("whatsapp-soporte", "webchat-tienda"))
# Everybody comes back at once, within the window, and once more when it is over.
VISITS = (range(2), range(2, 3))
MINUTES_BETWEEN = 70
# What a run must have met to prove anything.
MET = ("OWNER", "STICKY", "CHANNEL_TARGET", "TODOS", "STICKY_EXPIRED", "NEXT_IN_ORDER")
SHARED_MIN = 10


async def play(folder: Path) -> list[Tally]:
    """Let the demo's agents work in the database that the models are connected to."""
    made = await demo.ensure(folder)
    tallies = []
    async with serving(graphql_app(Reader())) as url:
        for visits in VISITS:
            file = folder / "day.jsonl"
            day = record(file, contacts=CONTACTS, visits=visits, questions_max=1)
            console = Console(file=StringIO())
            replay = Replay(day.file, url, made.token, 0, 4, console, SETUP)
            await replay.run()
            tallies.append(replay.tally)
            await Clock().travel(minutes=MINUTES_BETWEEN)
    return tallies


@pytest.mark.timeout(60)
async def test_equal_facts_are_decided_equally_within_a_workspace_and_in_another(
    database: str,
    copy_of_database: CopyOfDatabase,
    connected_to: ConnectedTo,
    tmp_path: Path,
) -> None:
    runs: list[list[Decided]] = []
    for name in ("first", "second"):
        async with copy_of_database(name) as url, connected_to(url):
            folder = tmp_path / name
            folder.mkdir()
            assert not any(tally.went_wrong for tally in await play(folder))
            assert await violations() == []
            runs.append(await decided())

    both = compared(chain.from_iterable(runs))

    assert both.changed == []
    assert both.contradictions == []
    assert both.shared > SHARED_MIN
    for run in runs:
        outcomes = " ".join(made.outcome for made in run)
        assert [word for word in MET if f'"{word}"' not in outcomes] == []


def test_a_contradiction_is_found() -> None:
    one, other = a_decision("assignment 1"), a_decision("assignment 2", outcome="Bruno")

    found = compared([one, other, a_decision("assignment 3", facts="else")])

    assert found.contradictions == [[one, other]]
    assert (found.decisions, found.facts, found.shared) == (3, 2, 1)
    assert found.changed == [other]


def a_decision(what: str, *, facts: str = "equal", outcome: str = "Ana") -> Decided:
    return Decided(what, question="WHO", facts=facts, outcome=outcome, again="Ana")
