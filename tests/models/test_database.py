"""The one kind of transaction: what is cancelled, refused or deadlocked leaves nothing behind."""

import asyncio
from contextlib import nullcontext, suppress
from random import Random
from typing import Any
from uuid import uuid4

import asyncpg
import pytest

from models import Agent, Workspace, database, event, log
from models.database import current, fetch, fetchrow, fetchval, on_commit, retrying, snapshot, tx
from models.errors import OutcomeUnknown
from models.event import Kind
from tests.conftest import POOL_MAX
from tests.factories import a_workspace, an_agent, by_system


class Undone(Exception):
    """Rolls a transaction back."""


async def rename(workspace: Workspace, name: str) -> None:
    await fetch("UPDATE workspaces SET name = $2 WHERE id = $1", workspace.id, name)


async def name_of(workspace: Workspace) -> str:
    return (await Workspace.get(id=workspace.id)).name


async def test_tasks_cancelled_anywhere_leave_every_connection_in_the_pool(
    workspace: Workspace,
) -> None:
    chance, loop = Random(11), asyncio.get_running_loop()

    async def command() -> None:
        async with tx():
            await Workspace.filter(id=workspace.id).update(name="Half")
            event.record(Kind.WORKSPACE_UPDATED, by=by_system(workspace))
            await fetch("SELECT 1")
        await fetch("SELECT 2")
        async with snapshot() as transaction:
            await transaction.fetchval("SELECT 3")

    for _ in range(3):
        tasks = [asyncio.create_task(command()) for _ in range(100)]
        for task in tasks:
            loop.call_later(chance.random() * 0.15, task.cancel)
        await asyncio.gather(*tasks, return_exceptions=True)

    everyone = asyncio.Barrier(POOL_MAX)

    async def hold() -> object:
        async with tx() as transaction:
            await everyone.wait()
            return await transaction.fetchval("SELECT pg_backend_pid()")

    assert len(set(await asyncio.gather(*[hold() for _ in range(POOL_MAX)]))) == POOL_MAX


async def test_a_statement_broken_off_leaves_no_transaction_to_whoever_is_next(
    database: str,
) -> None:
    """Cancelled between being parsed and being run, it has begun one that the pool cannot see."""
    chance, loop = Random(11), asyncio.get_running_loop()
    for number in range(100):
        task = asyncio.create_task(fetch(f"SELECT count(*) + {number} FROM workspaces"))
        loop.call_later(chance.random() * 0.002, task.cancel)
        await asyncio.gather(task, return_exceptions=True)

        everyone = asyncio.Barrier(POOL_MAX)
        await asyncio.gather(*[_see(everyone) for _ in range(POOL_MAX)])


async def _see(everyone: asyncio.Barrier) -> None:
    async with snapshot():
        await everyone.wait()


async def test_a_command_cancelled_before_its_commit_changes_nothing(workspace: Workspace) -> None:
    reached = asyncio.Event()

    async def command() -> None:
        async with tx():
            await rename(workspace, "Half")
            reached.set()
            await asyncio.Event().wait()

    task = asyncio.create_task(command())
    await reached.wait()
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)

    assert await name_of(workspace) == "Acme"


async def test_models_and_statements_share_the_running_transaction(workspace: Workspace) -> None:
    async def command() -> None:
        async with tx() as transaction:
            await Workspace.filter(id=workspace.id).update(name="Changed")
            assert await fetchval("SELECT name FROM workspaces") == "Changed"
            assert current() is transaction
            raise Undone

    with pytest.raises(Undone):
        await command()

    assert await name_of(workspace) == "Acme"
    assert current() is None


async def test_an_inner_transaction_is_the_outer_one(workspace: Workspace) -> None:
    async def command() -> None:
        async with tx() as outer:
            async with tx() as inner:
                await rename(workspace, "Inner")
            assert inner is outer
            raise Undone

    with pytest.raises(Undone):
        await command()

    assert await name_of(workspace) == "Acme"


@pytest.mark.parametrize("with_events", [True, False])
async def test_going_on_after_a_failed_statement_is_no_success(
    workspace: Workspace, with_events: bool
) -> None:
    async def command() -> None:
        async with tx():
            await rename(workspace, "Lost")
            if with_events:
                event.record(Kind.WORKSPACE_UPDATED, by=by_system(workspace))
            with suppress(asyncpg.DivisionByZeroError):
                await fetch("SELECT 1 / 0")

    with pytest.raises(asyncpg.InFailedSQLTransactionError):
        await command()

    assert await name_of(workspace) == "Acme"


async def test_two_that_deadlock_both_finish(workspace: Workspace) -> None:
    agents = [await an_agent(workspace) for _ in range(2)]
    both = asyncio.Barrier(2)
    tries = 0

    async def lock(first: Agent, second: Agent) -> None:
        nonlocal tries
        tries += 1
        async with tx():
            await Agent.select_for_update().get(id=first.id)
            if tries <= 2:
                await both.wait()
            await Agent.select_for_update().get(id=second.id)

    await asyncio.gather(retrying(lambda: lock(*agents)), retrying(lambda: lock(*agents[::-1])))

    assert tries == 3


async def test_what_is_not_worth_repeating_is_told_at_once(workspace: Workspace) -> None:
    tries = 0

    async def fail() -> None:
        nonlocal tries
        tries += 1
        raise Undone

    with pytest.raises(Undone):
        await retrying(fail)

    assert tries == 1


async def test_a_lost_connection_is_repeated_and_replaced(workspace: Workspace) -> None:
    pids = []

    async def command() -> None:
        async with tx() as transaction:
            pids.append(await transaction.fetchval("SELECT pg_backend_pid()"))
            if len(pids) == 1:
                await transaction.execute("SELECT pg_terminate_backend(pg_backend_pid())")

    await retrying(command)

    assert len(set(pids)) == 2


@pytest.mark.parametrize(("repeatable", "effects"), [(False, 1), (True, 2)])
async def test_a_commit_that_nobody_heard_of_is_repeated_only_where_that_does_no_harm(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch, repeatable: bool, effects: int
) -> None:
    heard = asyncpg.Connection.execute
    losses = iter([True])

    async def lossy(connection: Any, statement: str, *arguments: Any, **options: Any) -> Any:
        status = await heard(connection, statement, *arguments, **options)
        if statement.endswith("COMMIT") and next(losses, False):
            raise asyncpg.ConnectionDoesNotExistError("gone")
        return status

    async def command() -> None:
        async with tx():
            event.record(Kind.WORKSPACE_UPDATED, by=by_system(workspace))

    before = (await log.head(workspace.id)).seq
    monkeypatch.setattr(asyncpg.Connection, "execute", lossy)

    with nullcontext() if repeatable else pytest.raises(OutcomeUnknown):
        await retrying(command, repeatable=repeatable)

    assert (await log.head(workspace.id)).seq == before + effects


async def test_a_connection_lost_after_the_commit_repeats_nothing(
    workspace: Workspace, pool: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    followed: list[str] = []

    async def follow() -> None:
        followed.append("once")

    async def command() -> None:
        async with tx() as transaction:
            event.record(Kind.WORKSPACE_UPDATED, by=by_system(workspace))
            transaction.followers["test"] = follow
            pid = await transaction.fetchval("SELECT pg_backend_pid()")
            commit = transaction.commit

            async def commit_and_die() -> None:
                await commit()
                await killer.execute("SELECT pg_terminate_backend($1, 5000)", pid)

            monkeypatch.setattr(transaction, "commit", commit_and_die)

    before = (await log.head(workspace.id)).seq
    killer = await asyncpg.connect(**database.credentials(pool))
    await retrying(command)
    await killer.close()

    assert (await log.head(workspace.id)).seq == before + 1
    assert followed == ["once"]


async def test_a_task_that_outlives_its_transaction_has_none(workspace: Workspace) -> None:
    over = asyncio.Event()

    async def linger() -> bool:
        await over.wait()
        async with tx() as own:
            event.record(Kind.WORKSPACE_UPDATED, by=by_system(workspace))
            return own is not parent

    async with tx() as parent:
        task = asyncio.create_task(linger())
    over.set()

    assert current() is None
    assert await task


async def test_repeating_ends_with_the_last_error(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database, "BACKOFF_SECONDS", 0)
    tries = 0

    async def fail() -> None:
        nonlocal tries
        tries += 1
        raise asyncpg.DeadlockDetectedError("again")

    with pytest.raises(asyncpg.DeadlockDetectedError):
        await retrying(fail)

    assert tries == database.TRIES_MAX


async def test_followers_run_once_after_the_commit(workspace: Workspace) -> None:
    seen: list[tuple[str, bool]] = []

    async def follower() -> None:
        seen.append((await name_of(workspace), current() is None))

    async with tx() as outer:
        async with tx() as inner:
            inner.followers["test"] = follower
        await rename(workspace, "Changed")
        outer.followers["test"] = follower
        assert seen == []

    assert seen == [("Changed", True)]


async def test_followers_do_not_run_after_a_rollback(workspace: Workspace) -> None:
    ran = []

    async def follower() -> None:
        ran.append(1)

    async def command() -> None:
        async with tx() as transaction:
            transaction.followers["test"] = follower
            raise Undone

    with pytest.raises(Undone):
        await command()

    assert ran == []


async def test_a_failing_follower_undoes_nothing_and_stops_nobody(workspace: Workspace) -> None:
    ran = []

    async def fail() -> None:
        raise Undone

    async def follower() -> None:
        ran.append(1)

    async with tx() as transaction:
        await rename(workspace, "Changed")
        transaction.followers.update({"fail": fail, "test": follower})

    assert ran == [1]
    assert await name_of(workspace) == "Changed"


async def test_hooks_hear_of_commits_that_numbered_something(workspace: Workspace) -> None:
    heard: list[int] = []

    async def hook(transaction: database.Transaction) -> None:
        heard.append(len(transaction.events))

    end = on_commit(hook)
    try:
        async with tx():
            await fetch("SELECT 1")
        async with tx():
            event.record(Kind.WORKSPACE_UPDATED, by=by_system(workspace))
    finally:
        end()
    await a_workspace("Unheard")

    assert heard == [1]


async def test_a_snapshot_stands_still_and_writes_nothing(workspace: Workspace) -> None:
    async with snapshot() as transaction:
        before = await Workspace.all().count()
        await database._pool().execute(
            "INSERT INTO workspaces (id, name, idle_period_days, closing_reason_required,"
            " transfers_to_unavailable) VALUES ($1, 'Late', 0, false, false)",
            uuid4(),
        )
        assert await Workspace.all().count() == before
        with pytest.raises(asyncpg.ReadOnlySQLTransactionError):
            await transaction.execute("DELETE FROM workspaces WHERE name = 'Late'")

    await fetch("DELETE FROM workspaces WHERE name = 'Late'")


async def test_nothing_found_is_none(workspace: Workspace) -> None:
    assert await fetchrow("SELECT 1 WHERE false") is None
    assert await fetchval("SELECT 1 WHERE false") is None


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("postgresql://ann:p%40ss@db.example:5433/relevo", ("db.example", 5433, "ann", "p@ss")),
        ("postgresql://ann@/relevo?host=%2Ftmp%2Fsockets", ("/tmp/sockets", 5432, "ann", None)),  # noqa: S108 - parsed, never opened
        ("postgresql:///relevo", ("127.0.0.1", 5432, "postgres", None)),
    ],
)
def test_a_url_names_the_server(url: str, expected: tuple[object, ...]) -> None:
    found = database.credentials(url)

    assert tuple(found[name] for name in ("host", "port", "user", "password")) == expected
    assert found["database"] == "relevo"


def test_a_url_may_ask_for_encryption() -> None:
    assert database.credentials("postgresql://db/relevo?sslmode=require")["ssl"] == "require"


async def test_a_commands_statements_have_one_plan_and_queries_their_own(database: str) -> None:
    async with tx() as transaction:
        in_command = await transaction.fetchval("SHOW plan_cache_mode")
    async with snapshot() as transaction:
        in_snapshot = await transaction.fetchval("SHOW plan_cache_mode")

    found = [in_command, in_snapshot, await fetchval("SHOW plan_cache_mode")]
    assert found == ["force_generic_plan", "auto", "auto"]
