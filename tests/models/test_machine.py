"""Everything a desk does, in whatever order hypothesis thinks of, beside a desk in plain Python.

After every step the rows are what the plain desk says, and every promise of `verify` holds.
`RELEVO_MACHINE_SEED`, `RELEVO_MACHINE_EXAMPLES` and `RELEVO_MACHINE_STEPS` make a long hunt of it.
"""

import asyncio
import os
from collections.abc import Callable
from functools import partial

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import seed as seeded
from hypothesis.internal.conjecture.engine import ConjectureRunner
from hypothesis.stateful import run_state_machine_as_test

from tests.conftest import ConnectedTo, CopyOfDatabase
from tests.desk import office
from tests.desk.arranging import Arranging
from tests.desk.passing import Passing

EXAMPLES = int(os.environ.get("RELEVO_MACHINE_EXAMPLES", "60"))
SEED = os.environ.get("RELEVO_MACHINE_SEED")
STEPS = int(os.environ.get("RELEVO_MACHINE_STEPS", "40"))
STEPS_MIN = 2_000


class DeskMachine(Arranging, Passing):
    """All of it; another part of the desk is another class of actions."""


@pytest.mark.timeout(24 * 3_600 if SEED else 600)
async def test_the_desk_does_what_its_page_says(
    copy_of_database: CopyOfDatabase,
    connected_to: ConnectedTo,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # Else five examples of six are near copies of the one before.
    monkeypatch.setattr(ConjectureRunner, "generate_mutations_from", lambda *_: None)
    steps: list[str] = []
    async with copy_of_database("machine") as url, connected_to(url):
        found = await office.founded()
        put_back = await office.putting_back()
        loop = asyncio.get_running_loop()
        machine = partial(DeskMachine, loop, found, put_back, steps)
        await asyncio.to_thread(_hunt, machine)

    assert len(steps) >= STEPS_MIN


def _hunt(machine: Callable[[], DeskMachine]) -> None:
    """In a thread of its own: hypothesis calls rules, and rules wait for the loop."""
    profile = settings(
        max_examples=EXAMPLES,
        stateful_step_count=STEPS,
        derandomize=SEED is None,
        deadline=None,
        database=None,
        phases=(Phase.generate, Phase.shrink),
        suppress_health_check=list(HealthCheck),
        print_blob=False,
    )
    if SEED is not None:
        machine = seeded(int(SEED))(machine)
    run_state_machine_as_test(machine, settings=profile)
