"""Repeated commands: one effect and one answer per key."""

import hashlib
from typing import Any
from uuid import UUID

import orjson

from models.access import Actor
from models.database import Transaction, encode
from models.errors import IdempotencyKeyReused

KEY_LENGTH_MAX = 200
RETENTION_HOURS = 72
# Stands for whoever has no id, so that the key stays a primary key.
NOBODY = UUID(int=0)


def fingerprint(input: Any) -> bytes:
    """A digest of an input that does not depend on the order of its fields."""
    return hashlib.sha256(orjson.dumps(input, default=str, option=orjson.OPT_SORT_KEYS)).digest()


async def claim(
    transaction: Transaction, *, by: Actor, mutation: str, key: str, input_hash: bytes
) -> dict[str, Any] | None:
    """Claim a key for this transaction, or the answer of the command that had it first.

    A twin in flight is waited for; if it rolls back, the key is ours. Raises IdempotencyKeyReused
    when the key came with another input.
    """
    claimed = await transaction.fetchval(
        """
        INSERT INTO idempotency_keys (workspace_id, actor_id, mutation, key, input_hash)
        VALUES ($1, $2, $3, $4, $5) ON CONFLICT DO NOTHING RETURNING true
        """,
        by.workspace_id,
        by.id or NOBODY,
        mutation,
        key,
        input_hash,
    )
    if claimed:
        return None
    first = await transaction.fetchrow(
        """
        SELECT input_hash, answer FROM idempotency_keys
        WHERE workspace_id = $1 AND actor_id = $2 AND mutation = $3 AND key = $4
        """,
        by.workspace_id,
        by.id or NOBODY,
        mutation,
        key,
    )
    if first is None or first["input_hash"] != input_hash:
        raise IdempotencyKeyReused
    answer: dict[str, Any] = orjson.loads(first["answer"])
    return answer


async def keep(
    transaction: Transaction, answer: dict[str, Any], *, by: Actor, mutation: str, key: str
) -> None:
    """Store the answer with the claimed key, in the command's own transaction."""
    await transaction.execute(
        """
        UPDATE idempotency_keys SET answer = $5::text::jsonb
        WHERE workspace_id = $1 AND actor_id = $2 AND mutation = $3 AND key = $4
        """,
        by.workspace_id,
        by.id or NOBODY,
        mutation,
        key,
        encode(answer),
    )


async def forget_old(transaction: Transaction, batch_size: int) -> None:
    """Drop keys past their retention, a batch at a time."""
    await transaction.execute(
        """
        DELETE FROM idempotency_keys WHERE ctid = ANY(ARRAY(
            SELECT ctid FROM idempotency_keys
            WHERE created_at < relevo_now() - make_interval(hours => $1)
            LIMIT $2 FOR UPDATE SKIP LOCKED))
        """,
        RETENTION_HOURS,
        batch_size,
    )
