"""Global ids: opaque to callers, `Type:uuid` in base64 to us."""

import base64
import binascii
from uuid import UUID

from models.errors import BadUserInput


def encode(type_name: str, id: UUID) -> str:
    return base64.b64encode(f"{type_name}:{id}".encode()).decode()


def split(id: str) -> tuple[str, UUID]:
    """The type and the uuid of a global id; raises BadUserInput when it is not one."""
    try:
        type_name, _, uuid = base64.b64decode(id.encode(), validate=True).decode().partition(":")
        return type_name, UUID(uuid)
    except (ValueError, binascii.Error) as error:
        raise BadUserInput("This is not an id of ours.") from error


def decode(type_name: str, id: str) -> UUID:
    """The uuid behind an id of one type; raises BadUserInput for an id of another."""
    found, uuid = split(id)
    if found != type_name:
        raise BadUserInput(f"This is an id of a {found}, not of a {type_name}.")
    return uuid


def decode_maybe(type_name: str, id: str | None) -> UUID | None:
    return None if id is None else decode(type_name, id)
