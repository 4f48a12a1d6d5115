"""The command `relevo`. Commands import what they need when they run, so that help is instant."""

import asyncio
import os
import re
import sys
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from api.child import Unusable
from api.engines import recorded

if TYPE_CHECKING:
    from models.settings import Settings

Result = TypeVar("Result")

EXIT_UNUSABLE = 2
EXIT_NOT_STARTED = 3
# Those of models.access, which help must not load.
SCOPES = (
    *("conversations:read", "conversations:write", "conversations:assign"),
    *("messages:receive", "contacts:read", "contacts:write", "contacts:own"),
    *("presence:write", "settings:read", "settings:write", "reports:read"),
    *("tickets:read", "tickets:write"),
)
GRACE_SECONDS = 8  # less than the 10 s after which `relevo up` and most platforms kill

app = typer.Typer(
    help="Relevo gives every customer conversation to the right person at once.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

epoch = typer.Typer(help="Which history the logs are, for cursors.", no_args_is_help=True)
app.add_typer(epoch, name="epoch")

Host = Annotated[str | None, typer.Option(help="Address to listen on (RELEVO_HOST)")]
Port = Annotated[int | None, typer.Option(min=1, max=65535, help="RELEVO_PORT, or 8000")]


def main() -> None:
    """What a person can repair is told in one line, with exit code 2."""
    try:
        app()
    except Unusable as reason:
        typer.echo(f"relevo: {reason}", err=True)
        sys.exit(EXIT_UNUSABLE)


@app.command()
def up(
    *,
    host: Host = None,
    port: Port = None,
    json: Annotated[
        bool, typer.Option("--json", help="Print one line of JSON to standard output when ready")
    ] = False,
    verbose: Annotated[
        bool, typer.Option("--verbose", help="Show the output of the processes, log nothing")
    ] = False,
) -> None:
    """Run everything: PostgreSQL, Valkey, a web process, a worker and a demo workspace."""
    from api.up import up as run

    run(_settings(host=host, port=port), as_json=json, verbose=verbose)


@app.command()
def serve(*, host: Host = None, port: Port = None) -> None:
    """Run a web process on the servers of DATABASE_URL and REDIS_URL."""
    import uvicorn

    from api.app import create_app
    from api.http_protocol import HTTP_OPTIONS
    from api.logs import log_to_stderr
    from api.socket_protocol import SOCKET_OPTIONS
    from api.up import listen, one_line
    from models.migration import require_current

    settings = _with_servers(_settings(host=host, port=port))
    with one_line(_database_url(settings)):
        asyncio.run(require_current(_database_url(settings)))
    listening = listen(settings.host, settings.port)
    log_to_stderr(settings.log_level)
    config = uvicorn.Config(
        create_app(settings),
        loop="uvloop",
        **HTTP_OPTIONS,
        **SOCKET_OPTIONS,
        timeout_graceful_shutdown=GRACE_SECONDS,
        access_log=False,
        lifespan="on",
        log_level=settings.log_level.lower(),
    )
    server = uvicorn.Server(config)
    with suppress(KeyboardInterrupt):  # uvicorn raises it after its orderly end
        server.run(sockets=[listening])
    if not server.started:
        raise typer.Exit(EXIT_NOT_STARTED)


@app.command()
def work(
    *,
    burst: Annotated[bool, typer.Option("--burst", help="Do what is due, then exit")] = False,
) -> None:
    """Run a worker on the servers of DATABASE_URL and REDIS_URL."""
    settings = _with_servers(_settings())
    os.environ["DATABASE_URL"] = _database_url(settings)
    os.environ["REDIS_URL"] = settings.redis_url or ""
    # A process of its own: workers and api never import each other.
    command = (sys.executable, "-P", "-m", "workers", *(["--burst"] if burst else []))
    os.execv(sys.executable, command)  # noqa: S606 - no shell is wanted


@app.command()
def migrate() -> None:
    """Bring the database to the newest schema; safe to run from several machines at once."""
    from api.up import one_line
    from models.migration import upgrade

    url = _database_url(_with_servers(_settings()))
    with one_line(url):
        applied = asyncio.run(upgrade(url))
    for name in applied:
        typer.echo(name)
    typer.echo("The schema is current.", err=True)


@app.command()
def status() -> None:
    """Say how late the timers are and which workers live; exit code 1 when nobody keeps them."""
    from models.worker import health

    found = _in_database(health)
    for timer, late in found.late_seconds.items():
        typer.echo(f"{timer}\t{late:.3f} s late")
    for worker in found.workers:
        state = "alive" if worker.is_alive else "silent"
        swept = " ".join(f"{name}={count}" for name, count in worker.swept.items() if count)
        failing = "".join(f" {name}!" for name in worker.failing)
        typer.echo(f"{worker.name}\t{state}\tsince {worker.started_at:%FT%TZ}\t{swept}{failing}")
    if not found.is_well:
        raise typer.Exit(1)


@app.command()
def verify() -> None:
    """Check every promise against the stored data; exit code 1 when one is broken."""
    from models.verify import violations

    found = _in_database(violations)
    for violation in found:
        typer.echo(f"{violation.invariant}: {violation.detail}")
    if found:
        raise typer.Exit(1)
    typer.echo("Every invariant holds.")


@app.command()
def schema(
    *,
    output: Annotated[Path | None, typer.Option(help="File to write, instead of printing")] = None,
) -> None:
    """Print the GraphQL schema."""
    from resolvers.schema import schema as graphql_schema

    text = graphql_schema.as_str().rstrip() + "\n"
    if output is None:
        typer.echo(text, nl=False)
        return
    try:
        output.write_text(text)
    except OSError as error:
        raise Unusable(f"cannot write {output} ({error.strerror})") from error


@app.command()
def token(
    workspace: Annotated[str, typer.Argument(help="Name of the workspace")],
    *,
    name: Annotated[str, typer.Option(help="What the token is for")],
    scope: Annotated[
        list[str] | None,
        typer.Option(help=f"What it may do; repeatable, at least one of {', '.join(SCOPES)}"),
    ] = None,
    expires_days: Annotated[int | None, typer.Option(min=1, help="Never, if left out")] = None,
) -> None:
    """Issue an integration token; it is printed once and stored only as a hash."""
    from models.token import issue_by_name

    scopes = _known_scopes(scope or [])

    async def issue() -> str:
        return await issue_by_name(workspace, name=name, scopes=scopes, expires_days=expires_days)

    typer.echo(_in_database(issue))


@app.command()
def group(
    workspace: Annotated[str, typer.Argument(help="Name of the workspace")],
    name: Annotated[str, typer.Argument(help="Name of the new group")],
    *,
    parent: Annotated[str | None, typer.Option(help="Name of the group above")] = None,
) -> None:
    """Create a sales group, also where RELEVO_GROUPS_RESERVED keeps that from administrators."""
    from models.team import add_group_by_name

    typer.echo(_in_database(lambda: add_group_by_name(workspace, name=name, parent=parent)))


@epoch.command()
def bump(
    workspace: Annotated[str | None, typer.Argument(help="Name of the workspace")] = None,
    *,
    every: Annotated[bool, typer.Option("--all", help="Of every workspace")] = False,
) -> None:
    """Let every cursor start afresh, after a restore that the database itself does not show.

    Such is one by pg_dump, or by a disk's snapshot: numbers are given a second time, and whoever
    follows would take them for those that it has.
    """
    from models.log import begin_other_history

    if every is (workspace is not None):
        raise Unusable("epoch bump needs the name of one workspace, or --all")
    count = _in_database(lambda: begin_other_history(workspace))
    typer.echo(f"Cursors of {count} workspace(s) start afresh.")


@app.command()
def demo() -> None:
    """Create the demo workspace, or show the sign-ins of the one that exists."""
    from api.demo import ensure

    home = _settings().home
    made = _in_database(lambda: ensure(home))
    for email, password, role in made.agents:
        typer.echo(f"{email}\t{password}\t{role}")
    typer.echo(f"token\t{made.token}")


@app.command()
def replay(
    file: Annotated[Path, typer.Argument(help="Recorded inbound messages (.jsonl, .jsonl.gz)")],
    *,
    url: Annotated[str, typer.Option(envvar="RELEVO_URL")] = "http://127.0.0.1:8000",
    token: Annotated[str, typer.Option(envvar="RELEVO_TOKEN", help="Integration token")] = "",
    speed: Annotated[
        float, typer.Option(min=0, help="Times faster than recorded; 0: as fast as it goes")
    ] = 1.0,
    senders: Annotated[int, typer.Option(min=1, help="Senders at a time")] = 8,
    owners: Annotated[
        int | None,
        typer.Option(
            min=1,
            metavar="N",
            help="Give every Nth contact an owner: in turn an agent and a team"
            " (scope contacts:own)",
        ),
    ] = None,
    window: Annotated[
        int | None,
        typer.Option(
            min=1,
            metavar="HOURS",
            help="First set the workspace's reassignment window (scope settings:write)",
        ),
    ] = None,
    bot: Annotated[
        list[str] | None,
        typer.Option(
            metavar="CHANNEL",
            help="First let the bot answer first on this channel, and play its part: it hands off"
            " before the first recorded answer; repeatable (scope settings:write)",
        ),
    ] = None,
) -> None:
    """Play recorded inbound messages against a running server."""
    from rich.console import Console

    from api.replay import replay as play
    from api.replay_setup import Setup

    if not token:
        raise Unusable("replay needs --token or RELEVO_TOKEN: the one that `relevo up` printed")
    code = play(
        file,
        url=url,
        token=token,
        speed=speed,
        senders=senders,
        console=Console(),
        setup=Setup(owners, window, tuple(bot or ())),
    )
    raise typer.Exit(code)


def _known_scopes(given: list[str]) -> tuple[str, ...]:
    unknown = [scope for scope in given if scope not in SCOPES]
    if given and not unknown:
        return tuple(dict.fromkeys(given))
    known = f"the known scopes are {', '.join(SCOPES)}"
    if unknown:
        raise Unusable(f"unknown scope {', '.join(unknown)}: {known}")
    raise Unusable(f"a token needs at least one --scope: {known}")


def _settings(**options: str | int | None) -> "Settings":
    """The environment's, with the options that were given on top."""
    from pydantic import ValidationError
    from pydantic_settings import SettingsError

    from models.settings import Settings

    try:
        settings = Settings()
    except ValidationError as error:
        first = error.errors()[0]
        field = str(first["loc"][0])
        # Where a field has names of its own, the error has the one that was used.
        name = f"RELEVO_{field}" if field in Settings.model_fields else field
        raise Unusable(f"the setting {name.upper()} cannot be used ({first['msg']})") from error
    except SettingsError as error:
        # It tells the field only in its words; what is read so is written as JSON.
        name = "".join(re.findall(r'for field "(\w+)"', str(error)))
        raise Unusable(
            f"the setting RELEVO_{name.upper()} cannot be read: it is a list in JSON, such as "
            '["one", "two"]'
        ) from error
    given = {name: value for name, value in options.items() if value is not None}
    return settings.model_copy(update=given)


def _with_servers(settings: "Settings") -> "Settings":
    """Servers that the environment does not name are those of the `relevo up` that runs."""
    if settings.database_url and settings.redis_url:
        return settings
    running = recorded(settings.home)
    missing: dict[str, Any] = {}
    if running and not settings.database_url:
        missing["database_url"] = running.database_url
    if running and not settings.redis_url:
        missing["redis_url"] = running.redis_url
    return settings.model_copy(update=missing)


def _database_url(settings: "Settings") -> str:
    if not settings.database_url:
        raise Unusable("no database is named: set DATABASE_URL, or keep `relevo up` running")
    return settings.database_url


def _in_database(work: Callable[[], Awaitable[Result]]) -> Result:
    from api.up import one_line
    from models import database

    url = _database_url(_with_servers(_settings()))

    async def run() -> Result:
        await database.connect(url, pool_max=2)
        try:
            return await work()
        finally:
            await database.close()

    with one_line(url):
        return asyncio.run(run())


if __name__ == "__main__":
    main()
