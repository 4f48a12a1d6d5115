"""After how long without activity conversations close: whose period applies, and shortening it.

The agent's goes over the team's, the team's over the workspace's. Whoever shortens one shows, with
the token of a preview, that it was seen how many conversations would close at once.
"""

import hashlib
import hmac
from base64 import urlsafe_b64decode, urlsafe_b64encode
from binascii import Error as NotBase64
from dataclasses import asdict, dataclass, field
from datetime import datetime
from uuid import UUID

import orjson

from models.access import Actor, Right
from models.base import IdlePeriod
from models.database import Row, encode, fetch, fetchrow, fetchval
from models.errors import BadUserInput, PreviewRequired, PreviewStale

PREVIEW_MINUTES = 10
TOKEN_LENGTH_MAX = 1_000
# The period of a conversation; 0 days is never.
PERIOD = """coalesce(a.idle_period_days, t.idle_period_days, w.idle_period_days)"""
# Of a conversation `c`: a snooze in force keeps it open.
CLOSES = "c.status IN ('BOT', 'QUEUED', 'ASSIGNED')"
POLICIES = """
    JOIN workspaces w ON w.id = c.workspace_id
    LEFT JOIN teams t ON t.id = c.team_id
    LEFT JOIN agents a ON a.id = c.assignee_id
"""


@dataclass(frozen=True, slots=True)
class Whose:
    """Whose period it is: an agent's, a team's, or with neither the workspace's."""

    workspace_id: UUID
    team_id: UUID | None = None
    agent_id: UUID | None = None


@dataclass(frozen=True, slots=True)
class Preview:
    """What another period would do at once; the token confirms that it was seen."""

    closes_at_once: int
    is_shorter: bool
    expires_at: datetime
    token: str


@dataclass(frozen=True, slots=True)
class _Seen:
    """What a token says; `changes` is how often the setting had been changed then."""

    whose: Whose
    changes: int
    to: int | None
    closes: int
    at: datetime = field(compare=False)

    @property
    def terms(self) -> tuple[str, int, int | None]:
        return encode(self.whose), self.changes, self.to


async def preview(
    period: IdlePeriod | None,
    *,
    by: Actor,
    team_id: UUID | None = None,
    agent_id: UUID | None = None,
) -> Preview | None:
    """How many conversations would close at once by another period; null for what is not visible.

    Without a period the agent would go by its teams', the team by the workspace's. Raises
    BadUserInput, Forbidden.
    """
    by.require(Right.CONFIGURE)
    if team_id is not None and agent_id is not None:
        raise BadUserInput("It is an agent's or a team's, not of both.", path="input.agentId")
    if period is None and team_id is None and agent_id is None:
        raise BadUserInput("A workspace has a period, or NEVER.", path="input.idlePeriod")
    whose = Whose(by.workspace_id, team_id, agent_id)
    stored = await _stored(whose)
    if stored is None:
        return None
    closes = await _closes(whose, period)
    seen = _Seen(whose, stored["changes"], period, closes, stored["now"])
    return Preview(
        closes_at_once=seen.closes,
        is_shorter=await _shortens(whose, stored["days"], period),
        expires_at=stored["expires_at"],
        token=_token(seen, stored["key"]),
    )


async def require_seen(whose: Whose, period: IdlePeriod | None, token: str | None) -> None:
    """Refuse to shorten a period unless it was seen, lately, what that closes at once.

    The caller has locked whose it is and not changed it. What others' periods come to is read
    after theirs are changed, or not before ours is. Raises PreviewRequired, PreviewStale.
    """
    await fetch(
        "SELECT pg_advisory_xact_lock(hashtextextended($1::text, 9))", str(whose.workspace_id)
    )
    stored = await _stored(whose)
    if stored is None or not await _shortens(whose, stored["days"], period):
        return
    closes = await _closes(whose, period)
    if token is None:
        raise PreviewRequired(closes_at_once=closes)
    seen = _read(token, stored["key"])
    is_fresh = seen is not None and await _is_fresh(seen.at)
    present = _Seen(whose, stored["changes"], period, closes, stored["now"])
    if seen is None or not is_fresh or seen.terms != present.terms or closes > seen.closes:
        raise PreviewStale(closes_at_once=closes)


async def _stored(whose: Whose) -> Row | None:
    """The period as it is set, and what a token takes; nothing where there is no such record."""
    return await fetchrow(
        """
        SELECT CASE WHEN $3::uuid IS NOT NULL THEN a.idle_period_days
                    WHEN $2::uuid IS NOT NULL THEN t.idle_period_days
                    ELSE w.idle_period_days END AS days,
               CASE WHEN $3::uuid IS NOT NULL THEN a.idle_period_changes
                    WHEN $2::uuid IS NOT NULL THEN t.idle_period_changes
                    ELSE w.idle_period_changes END AS changes,
               w.preview_key AS key, clock.now,
               clock.now + make_interval(mins => $4) AS expires_at
        FROM (SELECT relevo_now() AS now) clock
        CROSS JOIN workspaces w
        LEFT JOIN teams t ON t.id = $2 AND t.workspace_id = w.id AND t.is_active
        LEFT JOIN agents a ON a.id = $3 AND a.workspace_id = w.id
        WHERE w.id = $1 AND ($2::uuid IS NULL OR t.id IS NOT NULL)
          AND ($3::uuid IS NULL OR a.id IS NOT NULL)
        """,
        whose.workspace_id,
        whose.team_id,
        whose.agent_id,
        PREVIEW_MINUTES,
    )


async def _closes(whose: Whose, period: IdlePeriod | None) -> int:
    """How many conversations that go by it would be due now by another period."""
    count: int = await fetchval(
        f"""
        SELECT count(*) FROM conversations c {POLICIES}
        CROSS JOIN LATERAL (SELECT CASE
            WHEN $3::uuid IS NOT NULL THEN coalesce($4, t.idle_period_days, w.idle_period_days)
            ELSE coalesce($4, w.idle_period_days) END AS days) p
        WHERE c.workspace_id = $1 AND {CLOSES}
          AND CASE WHEN $3::uuid IS NOT NULL THEN c.assignee_id = $3
                   WHEN a.idle_period_days IS NOT NULL THEN false
                   WHEN $2::uuid IS NOT NULL THEN c.team_id = $2
                   ELSE t.idle_period_days IS NULL END
          AND c.last_activity_at <= (SELECT relevo_now() - interval '1 day') AND p.days > 0
          AND c.last_activity_at + make_interval(days => p.days) <= relevo_now()
        """,  # noqa: S608 - constants
        whose.workspace_id,
        whose.team_id,
        whose.agent_id,
        None if period is None else int(period),
    )
    return count


async def _shortens(whose: Whose, was: int | None, to: int | None) -> bool:
    """Whether anything could close earlier; what an agent goes by otherwise may be several."""
    if was == to:
        return False
    inherited = await fetch(_INHERITED, whose.workspace_id, whose.team_id, whose.agent_id)
    return any(
        _lasts(row["days"] if to is None else to) < _lasts(row["days"] if was is None else was)
        for row in inherited
    )


_INHERITED = """
    SELECT w.idle_period_days AS days FROM workspaces w WHERE w.id = $1
    UNION
    SELECT coalesce(t.idle_period_days, w.idle_period_days)
    FROM teams t JOIN workspaces w ON w.id = t.workspace_id
    WHERE $3::uuid IS NOT NULL AND t.workspace_id = $1 AND (
        EXISTS (SELECT FROM memberships m WHERE m.team_id = t.id AND m.agent_id = $3)
        OR EXISTS (SELECT FROM conversations c WHERE c.assignee_id = $3 AND c.team_id = t.id))
      AND $2::uuid IS NULL
"""


def _lasts(days: int) -> float:
    return days or float("inf")


async def _is_fresh(at: datetime) -> bool:
    return bool(
        await fetchval(
            "SELECT relevo_now() < $1::timestamptz + make_interval(mins => $2)",
            at,
            PREVIEW_MINUTES,
        )
    )


def _token(seen: _Seen, key: UUID) -> str:
    said = encode(asdict(seen)).encode()
    return urlsafe_b64encode(_signature(said, key) + said).decode()


def _read(token: str, key: UUID) -> _Seen | None:
    """What a token of ours says; nothing for any other text."""
    if len(token) > TOKEN_LENGTH_MAX:
        return None
    try:
        raw = urlsafe_b64decode(token.encode())
    except (NotBase64, ValueError):
        return None
    signature, said = raw[: hashlib.sha256().digest_size], raw[hashlib.sha256().digest_size :]
    if not hmac.compare_digest(signature, _signature(said, key)):
        return None
    told = orjson.loads(said)
    whose = Whose(*(UUID(id) if id else None for id in told.pop("whose").values()))  # type: ignore[arg-type]  # the first is never empty
    return _Seen(whose, at=datetime.fromisoformat(told.pop("at")), **told)


def _signature(said: bytes, key: UUID) -> bytes:
    return hmac.digest(key.bytes, said, "sha256")
