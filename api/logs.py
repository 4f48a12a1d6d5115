"""What the web process says of itself."""

import logging
import sys

import structlog


def log_to_stderr(level_name: str) -> None:
    """One line of JSON each. Tracebacks come without local variables, which hold secrets."""
    level = logging.getLevelNamesMapping().get(level_name.upper(), logging.INFO)
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            structlog.processors.JSONRenderer(),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )
