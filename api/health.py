"""Whether a process lives, whether it can serve, and whether somebody keeps the timers."""

import asyncio

import structlog
from starlette.requests import Request
from starlette.responses import JSONResponse

from models.database import fetchval
from models.worker import Health, health

# Anybody may ask, as often as they like: the database is asked once in so long.
KEPT_SECONDS = 1.0

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


async def workers(request: Request) -> JSONResponse:
    """How many workers live, and by how many seconds the oldest timer of each kind is late."""
    try:
        found = await _health(request)
    except Exception as error:  # noqa: BLE001 - as above
        log.warning("not ready", error=type(error).__name__)
        return JSONResponse({"status": "no database"}, status_code=503)
    status = "working" if found.is_well else "late" if found.alive else "no worker"
    answer = {
        "status": status,
        "workers": found.alive,
        "lateSeconds": {timer: round(late, 3) for timer, late in found.late_seconds.items()},
    }
    return JSONResponse(answer, status_code=200 if found.is_well else 503)


async def _health(request: Request) -> Health:
    """The latest answer of this process, or one that is being made, or a new one."""
    state, now = request.app.state, asyncio.get_running_loop().time()
    if now >= getattr(state, "workers_kept_until", now):
        state.workers_kept_until = now + KEPT_SECONDS
        state.workers_health = asyncio.create_task(health())
    found: Health = await asyncio.shield(state.workers_health)
    return found
