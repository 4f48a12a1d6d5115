"""Bearer tokens: opaque, stored as a hash, scoped, expiring, revocable; and signing in."""

import asyncio
import hashlib
import secrets
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from enum import StrEnum
from uuid import UUID

import orjson
from tortoise import fields

from models import event
from models.access import SCOPES, Actor, ActorKind, Right, Role
from models.agent import EMAIL_LENGTH_MAX, Agent
from models.base import NAME_LENGTH_MAX, Record, reference, require_name
from models.database import Read, Row, Transaction, fetch, fetchrow, fetchval, tx
from models.errors import BadUserInput, Forbidden, InvalidCredentials, NotFound, Unauthenticated

SESSION_DAYS = 14
TOKEN_DAYS_MAX = 3_650
TOKEN_BYTES = 32
PREFIX = "rlv_"


class TokenKind(StrEnum):
    """What a token stands for: a person's session, a script, or the choice of a password."""

    SESSION = "SESSION"
    INTEGRATION = "INTEGRATION"
    INVITATION = "INVITATION"


class Token(Record):
    """A bearer token, known by its SHA-256 only: whoever reads the table cannot sign in."""

    kind = fields.CharEnumField(TokenKind, max_length=16)
    agent = reference("models.Agent", null=True)
    agent_id: UUID | None
    name = fields.CharField(max_length=NAME_LENGTH_MAX)
    scopes: list[str] = fields.JSONField(default=list)
    digest = fields.BinaryField()
    expires_at: datetime | None = fields.DatetimeField(null=True)
    revoked_at: datetime | None = fields.DatetimeField(null=True)

    class Meta:
        table = "tokens"

    @classmethod
    async def issue(
        cls, *, by: Actor, name: str, scopes: tuple[str, ...], expires_days: int | None = None
    ) -> tuple["Token", str]:
        """A token for an integration, and its secret, which nobody can read again."""
        by.require(Right.CONFIGURE)
        require_name(name)
        if expires_days is not None and not 0 <= expires_days <= TOKEN_DAYS_MAX:
            raise BadUserInput(
                f"A token lasts 0 to {TOKEN_DAYS_MAX} days, or for ever.",
                path="input.expiresInDays",
            )
        unknown = sorted(set(scopes) - set(SCOPES))
        if unknown:
            raise BadUserInput(f"Unknown scopes: {', '.join(unknown)}.", path="input.scopes")
        if by.kind is ActorKind.INTEGRATION and not by.scopes.issuperset(scopes):
            raise Forbidden("give scopes that you do not have")
        return await cls._issue(
            by=by,
            kind=TokenKind.INTEGRATION,
            name=name,
            scopes=list(scopes),
            lifetime=None if expires_days is None else timedelta(days=expires_days),
        )

    @classmethod
    async def open_session(cls, agent: Agent) -> tuple["Token", str]:
        """A token for a person who proved who it is, and its secret."""
        return await cls._issue(
            by=Actor(ActorKind.AGENT, agent.workspace_id, agent.id, agent.role),
            kind=TokenKind.SESSION,
            name="Session",
            scopes=[],
            lifetime=timedelta(days=SESSION_DAYS),
            agent_id=agent.id,
        )

    @classmethod
    async def invite(cls, agent_id: UUID, *, by: Actor, lifetime: timedelta) -> tuple["Token", str]:
        """A token that only chooses a password, and its secret."""
        return await cls._issue(
            by=by,
            kind=TokenKind.INVITATION,
            name="Invitation",
            scopes=[],
            lifetime=lifetime,
            agent_id=agent_id,
        )

    @classmethod
    async def _issue(
        cls,
        *,
        by: Actor,
        kind: TokenKind,
        name: str,
        scopes: list[str],
        lifetime: timedelta | None,
        agent_id: UUID | None = None,
    ) -> tuple["Token", str]:
        secret = PREFIX + secrets.token_urlsafe(TOKEN_BYTES)
        async with tx():
            now: datetime = await fetchval("SELECT relevo_now()")
            token = await cls.create(
                workspace_id=by.workspace_id,
                kind=kind,
                agent_id=agent_id,
                name=name,
                scopes=scopes,
                digest=digest(secret),
                expires_at=None if lifetime is None else now + lifetime,
            )
            event.record(
                event.Kind.TOKEN_CREATED, by=by, to_agent_id=agent_id, token=token.id, of=kind
            )
        return token, secret

    @classmethod
    async def revoke_own(cls, *, by: Actor) -> None:
        """End the token that the actor came with."""
        if by.token_id is not None:
            await cls.revoke(by.token_id, by=by)

    @classmethod
    async def revoke(cls, id: UUID, *, by: Actor) -> None:
        """End a token at once; one's own always, others' with the right to configure."""
        if id != by.token_id:
            by.require(Right.CONFIGURE)
        async with tx() as transaction:
            revoked = await transaction.fetchrow(
                """
                UPDATE tokens SET revoked_at = relevo_now()
                WHERE id = $1 AND workspace_id = $2 AND revoked_at IS NULL RETURNING agent_id
                """,
                id,
                by.workspace_id,
            )
            if revoked:
                event.record(
                    event.Kind.TOKEN_REVOKED, by=by, to_agent_id=revoked["agent_id"], token=id
                )
            elif not await cls.exists(id=id, workspace_id=by.workspace_id):
                raise NotFound("token", path="input.tokenId")


async def sign_in(email: str, password: str) -> tuple[Agent, str, datetime | None]:
    """A session for an agent: the agent, the bearer token, when it ends.

    Raises InvalidCredentials, the same and after the same work for a wrong password, an unknown
    address and an agent that is not active.
    """
    email = email.strip().lower()
    # The column's own validator would speak before we can.
    fits_column = len(email) <= EMAIL_LENGTH_MAX
    agent = await Agent.filter(email=email).first() if fits_column else None
    known = agent or Agent.nobody()
    fits = await asyncio.to_thread(known.accepts_password, password)
    if agent is None or not fits or not agent.is_active:
        raise InvalidCredentials
    async with tx():
        # A password that was set, or an account that ended, meanwhile ends this session too.
        now = await Agent.fetch_one("id = $1", agent.id, lock=True)
        if now is None or not now.is_active or now.password_hash != agent.password_hash:
            raise InvalidCredentials
        token, secret = await Token.open_session(agent)
    return agent, secret, token.expires_at


async def revoke_all_of(
    transaction: Transaction, agent_id: UUID, *, by: Actor, kinds: Sequence[TokenKind] = ()
) -> None:
    """End every session and invitation of an agent whom the caller has locked, or those kinds."""
    revoked = await transaction.fetch(
        """
        UPDATE tokens SET revoked_at = relevo_now()
        WHERE agent_id = $1 AND revoked_at IS NULL AND kind = ANY($2) RETURNING id
        """,
        agent_id,
        [kind.value for kind in kinds or TokenKind],
    )
    for row in revoked:
        event.record(event.Kind.TOKEN_REVOKED, by=by, to_agent_id=agent_id, token=row["id"])


async def actor_of(secret: str) -> tuple[Actor, float | None]:
    """Who a bearer token stands for, and for how many seconds yet; raises Unauthenticated."""
    row = await fetchrow(f"{_LIVE} AND t.digest = $1", digest(secret))
    if row is None:
        raise Unauthenticated
    return _actor(row), row["seconds"]


async def actor_of_token(id: UUID) -> Actor:
    """Who a token stands for, with the rights of this moment; raises Unauthenticated."""
    row = await fetchrow(f"{_LIVE} AND t.id = $1", id)
    if row is None:
        raise Unauthenticated
    return _actor(row)


async def actors_of_tokens(
    ids: Iterable[UUID], *, read: Read = fetch
) -> dict[UUID, tuple[Actor, float | None]]:
    """Who these tokens stand for now, and for how many seconds more; without those that ended."""
    rows = await read(f"{_LIVE} AND t.id = ANY($1)", list(ids))
    return {row["id"]: (_actor(row), row["seconds"]) for row in rows}


_LIVE = """
    SELECT t.id, t.workspace_id, t.kind, t.agent_id, t.scopes, t.expires_at, a.role,
           extract(epoch FROM t.expires_at - relevo_now())::float8 AS seconds
    FROM tokens t LEFT JOIN agents a ON a.id = t.agent_id
    WHERE t.revoked_at IS NULL AND (t.expires_at IS NULL OR t.expires_at > relevo_now())
      AND (t.agent_id IS NULL OR a.is_active) AND t.kind <> 'INVITATION'
"""


def _actor(row: Row) -> Actor:
    if row["kind"] == TokenKind.SESSION:
        role = Role(row["role"])
        return Actor(
            ActorKind.AGENT, row["workspace_id"], row["agent_id"], role, token_id=row["id"]
        )
    return Actor(
        ActorKind.INTEGRATION,
        row["workspace_id"],
        row["id"],
        Role.INTEGRATION,
        scopes=frozenset(orjson.loads(row["scopes"])),
        token_id=row["id"],
    )


async def issue_by_name(
    workspace: str, *, name: str, scopes: tuple[str, ...], expires_days: int | None = None
) -> str:
    """An integration's secret for the operator of the installation; raises NotFound."""
    workspace_id = await fetchval(
        "SELECT id FROM workspaces WHERE name = $1 ORDER BY created_at LIMIT 1", workspace
    )
    if workspace_id is None:
        raise NotFound(f"workspace as {workspace!r}")
    _, secret = await Token.issue(
        by=Actor.system(workspace_id), name=name, scopes=scopes or SCOPES, expires_days=expires_days
    )
    return secret


def digest(secret: str) -> bytes:
    # A fast hash is enough: the secret has 256 random bits.
    return hashlib.sha256(secret.encode()).digest()
