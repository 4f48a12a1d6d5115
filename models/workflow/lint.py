"""Whether a workflow can run: every defect of a definition, by pure functions over its facts."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from graphlib import CycleError, TopologicalSorter
from uuid import UUID

from models.workflow.defect import Defect, DefectKind
from models.workflow.definition import (
    CONDITIONS_MAX,
    KEY_LENGTH_MAX,
    STEPS_MAX,
    Definition,
    Step,
    ways_on,
)
from models.workflow.facts import Facts, facts_of
from models.workflow.lint_conditions import of_conditions
from models.workflow.lint_steps import after_closing, of_step, without_conversation

# More say nothing that these do not.
DEFECTS_MAX = 100


async def defects_of(definition: Definition, *, workspace_id: UUID) -> list[Defect]:
    """The defects that it has in this workspace now."""
    return lint(definition, await facts_of([definition], workspace_id=workspace_id))


def lint(definition: Definition, facts: Facts) -> list[Defect]:
    """Everything that stands against publishing it, the first hundred; none when it can run."""
    found = [
        *_of_size(definition),
        *of_conditions(None, definition.conditions, definition.trigger, facts),
        *_of_keys(definition.steps),
        *_of_ways(definition.steps),
        *(defect for step in definition.steps for defect in of_step(step, definition, facts)),
        *without_conversation(definition),
        *after_closing(definition),
    ]
    return found[:DEFECTS_MAX]


def _of_size(definition: Definition) -> Iterator[Defect]:
    if not definition.steps:
        yield Defect(DefectKind.NO_STEPS, None, "It does nothing: add a step.")
    if len(definition.steps) > STEPS_MAX:
        message = f"There are at most {STEPS_MAX} steps."
        yield Defect(DefectKind.TOO_MANY_STEPS, None, message)
    if len(definition.conditions) > CONDITIONS_MAX:
        message = f"There are at most {CONDITIONS_MAX} conditions."
        yield Defect(DefectKind.TOO_MANY_CONDITIONS, None, message)


def _of_keys(steps: Iterable[Step]) -> Iterator[Defect]:
    for key, count in Counter(step.key for step in steps).items():
        if not key.strip() or len(key) > KEY_LENGTH_MAX:
            message = f"A key has 1 to {KEY_LENGTH_MAX} characters."
            yield Defect(DefectKind.KEY_INVALID, key, message)
        if count > 1:
            yield Defect(DefectKind.KEY_REPEATED, key, "Another step has this key.")


def _of_ways(steps: tuple[Step, ...]) -> Iterator[Defect]:
    """What is wrong with the ways from step to step."""
    ways: dict[str, list[str]] = {}
    for step in steps:
        ways.setdefault(step.key, []).extend(ways_on(step))
    for key, leads_to in ways.items():
        for unknown in sorted(set(leads_to) - set(ways)):
            message = f"There is no step {unknown[:KEY_LENGTH_MAX]}."
            yield Defect(DefectKind.UNKNOWN_NEXT, key, message)
    reached = _reached(steps[0].key, ways) if steps else set()
    for key in ways:
        if key not in reached:
            yield Defect(DefectKind.UNREACHABLE_STEP, key, "No step leads here.")
    yield from _of_cycles(ways)


def _reached(first: str, ways: Mapping[str, list[str]]) -> set[str]:
    reached: set[str] = set()
    ahead = [first]
    while ahead:
        key = ahead.pop()
        if key not in reached:
            reached.add(key)
            ahead.extend(ways.get(key, ()))
    return reached


def _of_cycles(ways: Mapping[str, list[str]]) -> Iterator[Defect]:
    try:
        TopologicalSorter(ways).prepare()
    except CycleError as error:
        around: list[str] = error.args[1][::-1]
        told = " > ".join(key[:KEY_LENGTH_MAX] for key in around[: STEPS_MAX + 1])
        yield Defect(DefectKind.CYCLE, around[0], f"The steps go round: {told}.")
