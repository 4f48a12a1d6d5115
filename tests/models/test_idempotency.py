"""A repeated command has one effect and one answer."""

import asyncio

import pytest

from models import Workspace
from models.database import fetch, fetchval, tx
from models.errors import IdempotencyKeyReused
from models.idempotency import RETENTION_HOURS, claim, fingerprint, forget_old, keep
from tests.conftest import Clock
from tests.factories import a_workspace, an_agent, as_agent, by_system


class Undone(Exception):
    """Rolls a transaction back."""


async def command(
    workspace: Workspace, answer: str, *, key: str = "k", input: str = "same", fail: bool = False
) -> str:
    """Answer what was answered first."""
    by, digest = by_system(workspace), fingerprint(input)
    async with tx() as transaction:
        first = await claim(
            transaction, by=by, mutation="conversationClose", key=key, input_hash=digest
        )
        if first is not None:
            return str(first["answer"])
        if fail:
            raise Undone
        await keep(transaction, {"answer": answer}, by=by, mutation="conversationClose", key=key)
    return answer


async def test_the_second_gets_the_answer_of_the_first(workspace: Workspace) -> None:
    assert await command(workspace, "first") == "first"
    assert await command(workspace, "second") == "first"


async def test_twins_at_once_get_one_answer(workspace: Workspace) -> None:
    answers = await asyncio.gather(*[command(workspace, str(n)) for n in range(8)])

    assert len(set(answers)) == 1
    assert await fetchval("SELECT count(*) FROM idempotency_keys") == 1


async def test_a_key_of_a_command_that_failed_is_free(workspace: Workspace) -> None:
    with pytest.raises(Undone):
        await command(workspace, "lost", fail=True)

    assert await command(workspace, "second") == "second"


async def test_another_input_under_the_same_key_is_refused(workspace: Workspace) -> None:
    await command(workspace, "first")

    with pytest.raises(IdempotencyKeyReused):
        await command(workspace, "second", input="other")


async def test_keys_of_different_owners_do_not_meet(workspace: Workspace) -> None:
    rival, agent = await a_workspace("Rival"), await an_agent(workspace)
    await command(workspace, "first")

    assert await command(rival, "theirs") == "theirs"
    for by, mutation in ((as_agent(agent), "conversationClose"), (by_system(workspace), "other")):
        async with tx() as transaction:
            digest = fingerprint("same")
            assert not await claim(
                transaction, by=by, mutation=mutation, key="k", input_hash=digest
            )
            await keep(transaction, {}, by=by, mutation=mutation, key="k")


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ({"a": 1, "b": 2}, {"b": 2, "a": 1}, True),
        ({"a": 1}, {"a": 2}, False),
        ({"a": None}, {}, False),
        (["a", "b"], ["b", "a"], False),
    ],
)
def test_the_order_of_fields_does_not_matter(one: object, other: object, same: bool) -> None:
    assert (fingerprint(one) == fingerprint(other)) == same


async def test_old_keys_are_forgotten_in_batches(workspace: Workspace, clock: Clock) -> None:
    for number in range(5):
        await command(workspace, "old", key=f"old-{number}")
    await clock.travel(hours=RETENTION_HOURS)
    await command(workspace, "new", key="new")

    left = []
    for _ in range(3):
        async with tx() as transaction:
            await forget_old(transaction, 3)
        left.append(await fetchval("SELECT count(*) FROM idempotency_keys"))

    assert left == [3, 1, 1]
    assert (await fetch("SELECT key FROM idempotency_keys"))[0]["key"] == "new"
