import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from api.child import Child, Unusable
from api.engines import embedded
from api.supervision import Signals, supervise
from api.up import listen
from models import Workspace, log
from models.access import SCOPES

# Stands for `relevo up`: supervises the Python programs given as arguments, ready at once.
SUPERVISOR = """
import os, sys
from api import child
from api.supervision import Signals, supervise

child.STOP_SECONDS_MAX = float(os.environ.get("STOP_SECONDS_MAX", "10"))

def say(line):
    os.write(2, f"{line}\\n".encode())

children = [
    child.Child(f"child {number}", (sys.executable, "-c", program))
    for number, program in enumerate(sys.argv[1:])
]
with Signals() as signals:
    supervise(
        children, signals, is_ready=lambda: True, on_ready=lambda: say("ready"), report=say
    )
say("over")
"""
# One write for each line: several processes share the pipe.
SAYS = "import os, signal, sys\ndef say(line): os.write(2, f'{line}\\n'.encode())\n"
WAITS = SAYS + "say('runs')\nsignal.pause()\n"
IGNORES = SAYS + "signal.signal(signal.SIGTERM, signal.SIG_IGN)\nsay('runs')\nsignal.pause()\n"
FINISHES_ITS_WORK = (
    SAYS
    + """
def finish(*_):
    say('asked')
    open(os.environ['DOOR']).read()
    say('finished')
    os._exit(0)
signal.signal(signal.SIGTERM, finish)
say('runs')
while True:
    signal.pause()
"""
)


@contextmanager
def supervisor(*programs: str, **environment: str) -> Iterator[subprocess.Popen[str]]:
    command = (sys.executable, "-c", SUPERVISOR, *programs)
    with subprocess.Popen(
        command, stderr=subprocess.PIPE, text=True, env={**os.environ, **environment}
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def read_until(process: subprocess.Popen[str], *wanted: str) -> list[str]:
    """The lines up to the one by which all that is wanted has been said."""
    assert process.stderr is not None
    lines: list[str] = []
    while not set(wanted) <= set(lines):
        line = process.stderr.readline()
        assert line, f"ended after {lines} without {wanted}"
        lines.append(line.strip())
    return lines


def rest(process: subprocess.Popen[str]) -> list[str]:
    """What is said until every process that holds the output has ended."""
    assert process.stderr is not None
    return process.stderr.read().splitlines()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_the_children_and_then_the_supervisor_without_a_trace(
    number: signal.Signals,
) -> None:
    with supervisor(WAITS, WAITS) as process:
        read_until(process, "ready", "runs")
        process.send_signal(number)

        assert [line for line in rest(process) if line != "runs"] == ["stopping", "over"]
        assert process.wait() == 0


def test_a_second_signal_does_not_cut_the_orderly_end_short(tmp_path: Path) -> None:
    door = tmp_path / "door"
    os.mkfifo(door)
    with supervisor(FINISHES_ITS_WORK, DOOR=str(door)) as process:
        read_until(process, "ready", "runs")
        process.send_signal(signal.SIGINT)
        read_until(process, "asked")
        process.send_signal(signal.SIGINT)
        process.send_signal(signal.SIGTERM)
        door.write_text("")

        assert rest(process) == ["finished", "over"]
        assert process.wait() == 0


def test_a_child_that_ignores_the_request_is_killed() -> None:
    with supervisor(IGNORES, STOP_SECONDS_MAX="0.1") as process:
        read_until(process, "ready", "runs")
        process.send_signal(signal.SIGTERM)

        assert rest(process) == ["stopping", "over"]


def test_the_terminal_reaches_the_supervisor_only() -> None:
    says_its_session = SAYS + "say(os.getsid(0) == os.getpid())\nsignal.pause()\n"
    with supervisor(says_its_session) as process:
        read_until(process, "True")


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a child of its parent's end")
def test_children_end_with_a_supervisor_that_is_killed() -> None:
    with supervisor(IGNORES, WAITS) as process:
        read_until(process, "ready", "runs")
        process.kill()

        assert set(rest(process)) <= {"runs"}


def test_a_child_that_ends_is_started_again(tmp_path: Path) -> None:
    ends_once = (
        SAYS
        + f"""
if not os.path.exists({str(tmp_path / "seen")!r}):
    os.mkdir({str(tmp_path / "seen")!r})
    sys.exit(3)
say('runs again')
signal.pause()
"""
    )
    with supervisor(ends_once) as process:
        lines = read_until(process, "runs again")

    assert any("child 0 ended (exit code 3), starting it again in" in line for line in lines)


def test_a_child_that_was_killed_is_started_again() -> None:
    with supervisor(SAYS + "say(os.getpid())\nsignal.pause()\n") as process:
        first = read_number(process)
        os.kill(first, signal.SIGKILL)

        assert read_number(process) != first


def read_number(process: subprocess.Popen[str]) -> int:
    assert process.stderr is not None
    return next(int(line) for line in process.stderr if line.strip().isdigit())


def test_a_child_hears_a_signal_that_its_parent_ignores() -> None:
    waits = Child("child", (sys.executable, "-c", "import signal; signal.pause()"))
    before = signal.signal(signal.SIGQUIT, signal.SIG_IGN)
    try:
        waits.start()
    finally:
        signal.signal(signal.SIGQUIT, before)

    assert waits.process is not None
    waits.process.send_signal(signal.SIGQUIT)
    waits.wait()
    assert waits.ended() == -signal.SIGQUIT


def test_the_last_words_are_those_of_the_last_start(tmp_path: Path) -> None:
    once = "import os; os.path.exists('seen') or (os.mkdir('seen'), print('the first time'))"
    program = f"import os; os.chdir({str(tmp_path)!r}); {once}"
    child = Child("child", (sys.executable, "-c", program), tmp_path / "child.log")
    said = []
    for _ in range(2):
        child.start()
        child.wait()
        said.append(child.last_words())

    log = tmp_path / "child.log"
    assert said == [f"the first time ({log})", f"it said nothing ({log})"]


def test_children_that_cannot_start_end_everything_with_the_reason(tmp_path: Path) -> None:
    fails = Child("web", (sys.executable, "-c", "exit('no such colour')"), tmp_path / "web.log")
    lives = Child("worker", (sys.executable, "-c", WAITS), tmp_path / "worker.log")
    told: list[str] = []

    with Signals() as signals, pytest.raises(Unusable, match=r"web ended 3 .* no such colour"):
        supervise(
            [fails, lives],
            signals,
            is_ready=lambda: False,
            on_ready=lambda: pytest.fail("was never ready"),
            report=told.append,
        )

    assert lives.ended() == -signal.SIGTERM
    assert len(told) == 3


def test_a_server_of_its_own_is_started_again_but_not_ended(tmp_path: Path) -> None:
    server = Child("Valkey", (sys.executable, "-c", WAITS), tmp_path / "valkey.log")
    server.start()
    assert server.process is not None
    first = server.process
    first.kill()
    with Signals() as signals:

        def report(line: str) -> None:
            if line == "stopping":
                return
            assert line.startswith("Valkey ended (exit code -9)")

        def stop_when_restarted() -> bool:
            if server.process is not first:
                os.kill(os.getpid(), signal.SIGTERM)
            return False

        supervise(
            [],
            signals,
            is_ready=stop_when_restarted,
            on_ready=lambda: None,
            report=report,
            watched=[server],
        )

    assert server.ended() is None
    server.ask_to_stop()
    server.wait()


def test_signals_are_as_they_were_afterwards() -> None:
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]

    with Signals():
        pass

    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] == before


def test_a_host_that_is_not_known_is_named() -> None:
    with pytest.raises(Unusable, match=r"the host nowhere\.invalid is not known"):
        listen("nowhere.invalid", 8000)


def relevo(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    command = (sys.executable, "-m", "api.cli", *arguments)
    return subprocess.run(
        command,
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
        env={**os.environ, **environment},
    )


def assert_refused_in_one_line(run: subprocess.CompletedProcess[str], reason: str) -> None:
    *progress, last = run.stderr.splitlines()
    assert run.returncode == 2, run.stderr
    assert last.startswith("relevo: ")
    assert reason in last
    assert all(line.startswith("relevo: ") for line in progress)
    assert run.stdout == ""


def free_port() -> str:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        return str(listening.getsockname()[1])


def test_up_says_that_the_port_is_in_use(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
        run = relevo("up", "--port", str(port), RELEVO_HOME=str(tmp_path))

    assert_refused_in_one_line(run, f"port {port} on 127.0.0.1 is already in use")
    assert list(tmp_path.iterdir()) == []


def test_up_says_that_the_data_folder_cannot_be_used(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")

    run = relevo("up", "--port", free_port(), RELEVO_HOME=str(tmp_path / "file"))

    assert_refused_in_one_line(run, "set RELEVO_HOME to another")


def test_up_says_that_another_one_is_running(tmp_path: Path) -> None:
    with embedded(tmp_path, durable=False):
        run = relevo("up", "--port", free_port(), RELEVO_HOME=str(tmp_path))

    assert_refused_in_one_line(run, "another `relevo up` is already running")


def test_a_setting_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    run = relevo("up", RELEVO_HOME=str(tmp_path), RELEVO_PORT="many")

    assert_refused_in_one_line(run, "the setting RELEVO_PORT cannot be used")


@pytest.mark.parametrize(
    ("options", "reason"),
    [((), "a token needs at least one --scope"), (("--scope", "all"), "unknown scope all")],
)
def test_a_token_without_a_known_scope_is_refused_with_those_there_are(
    tmp_path: Path, options: tuple[str, ...], reason: str
) -> None:
    run = relevo("token", "Demo", "--name", "Reports", *options, RELEVO_HOME=str(tmp_path))

    assert_refused_in_one_line(run, f"{reason}: the known scopes are {', '.join(SCOPES)}")


def test_help_names_every_scope() -> None:
    run = relevo("token", "--help", COLUMNS="80")

    assert run.returncode == 0
    assert all(scope in run.stdout for scope in SCOPES)


async def test_bumping_the_epoch_lets_cursors_start_afresh(
    workspace: Workspace, empty_database: str
) -> None:
    before = await log.head(workspace.id)

    run = relevo("epoch", "bump", workspace.name, DATABASE_URL=empty_database)

    assert run.stdout == "Cursors of 1 workspace(s) start afresh.\n", run.stderr
    assert not (await log.head(workspace.id)).holds(before.position)


@pytest.mark.parametrize("whose", [(), ("Acme", "--all")])
def test_an_epoch_is_bumped_of_one_workspace_or_of_all(whose: tuple[str, ...]) -> None:
    run = relevo("epoch", "bump", *whose)

    assert_refused_in_one_line(run, "epoch bump needs the name of one workspace, or --all")


def test_a_command_that_finds_no_database_says_how_to_name_one(tmp_path: Path) -> None:
    run = relevo("work", RELEVO_HOME=str(tmp_path), DATABASE_URL="")

    assert_refused_in_one_line(run, "set DATABASE_URL, or keep `relevo up` running")


def test_help_is_shown_without_loading_the_program() -> None:
    heavy = "{'pydantic', 'strawberry', 'tortoise', 'uvicorn', 'starlette', 'httpx', 'arq'}"
    code = f"import sys, api.cli; sys.exit(str({heavy} & set(sys.modules) or ''))"

    run = subprocess.run((sys.executable, "-c", code), capture_output=True, text=True, check=False)

    assert run.stderr.strip() == ""
