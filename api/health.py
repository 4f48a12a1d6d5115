"""Whether a process lives, and whether it can serve."""

import structlog
from starlette.requests import Request
from starlette.responses import JSONResponse

from models.database import fetchval

log = structlog.get_logger(__name__)


async def live(_request: Request) -> JSONResponse:
    return JSONResponse({"status": "live"})


async def ready(_request: Request) -> JSONResponse:
    """Valkey is not asked: without it everything works, only later by a second."""
    try:
        await fetchval("SELECT 1")
    except Exception as error:  # noqa: BLE001 - whatever it is, the process cannot serve now
        log.warning("not ready", error=type(error).__name__)
        return JSONResponse({"status": "no database"}, status_code=503)
    return JSONResponse({"status": "ready"})
