"""One turn at an endpoint: its events one after the other, each until it is accepted."""

import time
from collections.abc import Callable
from uuid import UUID

import orjson
import structlog

from models.database import Row
from models.log import Event, Position
from models.webhook import failing, lease, signature
from models.webhook.body import body_of
from models.webhook.client import Client, Outcome
from models.webhook.lease import TURN_SECONDS_MAX, Turn, TurnLost
from models.webhook.record import Failure

# The place is kept after so many events, or so much time, or at the end: what was accepted since
# is sent again after a crash.
STORE_EVENTS = 50
STORE_SECONDS = 0.5

log = structlog.get_logger(__name__)


class Sending:
    """What a turn has done so far."""

    def __init__(self, turn: Turn, client: Client) -> None:
        self._turn = turn
        self._client = client
        self._stored = time.monotonic()
        self._accepted = 0
        self._status_code: int | None = None
        self.sent = 0

    async def run(self, is_stopping: Callable[[], bool]) -> Outcome | None:
        """Send until nothing is left, the time is over, something fails or all stops; returns the
        failure if there is one. However it ends, what was accepted is kept.
        """
        is_kept = False
        try:
            failure = await self._send_all(is_stopping)
            if failure is not None:
                await self._store()  # what was accepted ends the failures before it
                await failing.fail(self._turn, failure)
                is_kept = True
            return failure
        except TurnLost:
            return None
        finally:
            if not is_kept:
                await self._end()

    async def _send_all(self, is_stopping: Callable[[], bool]) -> Outcome | None:
        turn = self._turn
        while turn.events:
            for row in turn.events:
                if is_stopping() or turn.age_seconds > TURN_SECONDS_MAX:
                    return None
                outcome = await self._send(row)
                if outcome.failure is not None:
                    # What comes before it did not match, or was accepted.
                    turn.place = row["seq"] - 1
                    return outcome
                await self._count(row["seq"], outcome)
            turn.place = turn.read_to
            await lease.read_on(turn)
        turn.place = turn.read_to
        return None

    async def _send(self, row: Row) -> Outcome:
        turn = self._turn
        try:
            body = _written(Event.of(row), turn.epoch)
        except Exception as error:  # noqa: BLE001 - whatever it is, the others have their events
            log.warning(
                "webhook event not written",
                webhook=str(turn.webhook_id),
                seq=row["seq"],
                error=repr(error),
            )
            return Outcome(Failure.NOT_WRITTEN)
        id = signature.message_id(turn.epoch, row["seq"])
        # The database's clock, without asking it for every request.
        timestamp = int(turn.began_at.timestamp() + turn.age_seconds)
        headers = signature.headers(id, timestamp, body, turn.secrets)
        self.sent += 1
        return await self._client.send(turn.url, body, headers, timestamp=timestamp)

    async def _count(self, seq: int, outcome: Outcome) -> None:
        self._turn.place = seq
        self._status_code = outcome.status_code
        self._accepted += 1
        if self._accepted >= STORE_EVENTS or time.monotonic() - self._stored > STORE_SECONDS:
            await self._store()

    async def _store(self) -> None:
        if self._accepted:
            await lease.store(self._turn, status_code=self._status_code)
        self._accepted, self._stored = 0, time.monotonic()

    async def _end(self) -> None:
        try:
            accepted = self._status_code if self._accepted else None
            await lease.store(self._turn, status_code=accepted)
        except TurnLost:
            pass
        finally:
            await lease.release(self._turn)


def _written(event: Event, epoch: UUID) -> bytes:
    return orjson.dumps(body_of(event, Position(epoch, event.seq, event.logged_at)))
