"""Which events a webhook wants: the conditions that are set, as JSON and checked."""

from models.access import Actor
from models.database import fetchrow
from models.errors import BadUserInput, NotFound
from models.log import Filter

_RECORDS = {
    "conversation": "conversations",
    "queue": "teams",
    "agent": "agents",
    "ticket": "tickets",
}
_KNOWN = ", ".join(
    f"""${place}::uuid IS NULL OR EXISTS (
        SELECT FROM {table} WHERE id = ${place} AND workspace_id = $1) AS {noun}"""
    for place, (noun, table) in enumerate(_RECORDS.items(), start=2)
)


async def require_known(wanted: Filter | None, *, by: Actor) -> None:
    """Raise NotFound unless what a filter names is in the workspace, BadUserInput where it would
    let nothing through.
    """
    if wanted is None:
        return
    if wanted.kinds is not None and not wanted.kinds:
        raise BadUserInput("Name a kind, or leave the kinds out.", path="input.filter.kinds")
    named = [getattr(wanted, f"{noun}_id") for noun in _RECORDS]
    row = await fetchrow(f"SELECT {_KNOWN}", by.workspace_id, *named)
    for noun in _RECORDS:
        if row is not None and not row[noun]:
            raise NotFound(noun, path=f"input.filter.{noun}Id")
