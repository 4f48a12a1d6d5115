"""Secrets and signatures of webhooks, as https://www.standardwebhooks.com has them (version 1.0.0).

Signed is `id.timestamp.body` by HMAC-SHA256; neither id nor timestamp has a full stop in it.
"""

import base64
import hashlib
import hmac
import secrets
from collections.abc import Iterable
from uuid import UUID

PREFIX = "whsec_"
SECRET_BYTES = 32
SECRET_LENGTH_MAX = 64


def new_secret() -> str:
    return PREFIX + base64.b64encode(secrets.token_bytes(SECRET_BYTES)).decode()


def message_id(epoch: UUID, seq: int) -> str:
    """The same whenever, however often and to whomever this event of this history is sent."""
    return f"{epoch.hex}-{seq}"


def headers(id: str, timestamp: int, body: bytes, secrets: Iterable[str]) -> dict[str, str]:
    """What a receiver verifies a message by; any one of the secrets is enough for it.

    `timestamp` is in whole seconds since 1970.
    """
    return {
        "webhook-id": id,
        "webhook-timestamp": str(timestamp),
        "webhook-signature": " ".join(_signature(id, timestamp, body, each) for each in secrets),
    }


def _signature(id: str, timestamp: int, body: bytes, secret: str) -> str:
    key = base64.b64decode(secret.removeprefix(PREFIX))
    digest = hmac.digest(key, f"{id}.{timestamp}.".encode() + body, hashlib.sha256)
    return f"v1,{base64.b64encode(digest).decode()}"
