"""`python -m workers`: one worker process, configured by its environment."""

import argparse
import logging
import signal
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from models.settings import Settings

EXIT_UNUSABLE = 2


def main() -> None:
    """What a person can repair is told in one line, with exit code 2."""
    for number in (signal.SIGTERM, signal.SIGINT):
        # Until the worker takes them over: whoever is stopped while it starts has done nothing.
        signal.signal(number, lambda *_: sys.exit(0))
    parser = argparse.ArgumentParser("python -m workers", description="Run a Relevo worker.")
    parser.add_argument("--burst", action="store_true", help="do what is due, then exit")
    arguments = parser.parse_args()

    import uvloop

    from workers.app import Unusable, run

    try:
        settings = _settings()
        _log_to_stderr(settings.log_level)
        uvloop.run(run(settings, burst=arguments.burst))
    except Unusable as reason:
        sys.stderr.write(f"relevo: {reason}\n")
        sys.exit(EXIT_UNUSABLE)


def _settings() -> "Settings":
    from pydantic import ValidationError
    from pydantic_settings import SettingsError

    from models.settings import Settings
    from workers.app import Unusable

    try:
        return Settings()
    except ValidationError as error:
        first = error.errors()[0]
        name = str(first["loc"][0])
        name = name if name.isupper() else f"RELEVO_{name.upper()}"
        raise Unusable(f"the setting {name} cannot be used ({first['msg']})") from error
    except SettingsError as error:
        raise Unusable(f"a setting cannot be read ({error})") from error


def _log_to_stderr(level_name: str) -> None:
    """One line of JSON each, also for what libraries say; arq counts every job at INFO."""
    import structlog
    from structlog.typing import Processor

    from workers.app import Unusable

    level = logging.getLevelNamesMapping().get(level_name.upper())
    if level is None:
        raise Unusable(f"the setting RELEVO_LOG_LEVEL cannot be used ({level_name} is no level)")
    shared: list[Processor] = [
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
    ]
    renderer = structlog.processors.JSONRenderer()
    structlog.configure(
        processors=[*shared, renderer],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, renderer],
        )
    )
    logging.basicConfig(level=max(level, logging.WARNING), handlers=[handler])
    # An outage is told by the sweep that it stops, not by a traceback a second.
    logging.getLogger("asyncpg").setLevel(logging.ERROR)


if __name__ == "__main__":
    main()
