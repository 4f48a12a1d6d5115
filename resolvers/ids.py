"""Global ids as the schema's `ID`."""

from uuid import UUID

import strawberry

from models import global_id
from models.global_id import decode, decode_maybe, split

__all__ = ["decode", "decode_maybe", "encode", "split"]


def encode(type_name: str, id: UUID) -> strawberry.ID:
    return strawberry.ID(global_id.encode(type_name, id))
