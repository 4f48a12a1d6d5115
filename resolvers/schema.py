"""The whole schema: queries, mutations and subscriptions of every noun."""

import dataclasses
from datetime import datetime

import strawberry
from strawberry.schema.config import StrawberryConfig
from strawberry.schema.types.scalar import DEFAULT_SCALAR_REGISTRY

from resolvers.bot import BotMutation
from resolvers.contact_fields import ContactFieldMutation, ContactFieldQuery
from resolvers.contacts import ContactMutation, ContactQuery
from resolvers.conversations import ConversationMutation, ConversationQuery
from resolvers.events import MEMBERS, EventQuery
from resolvers.guard import SCHEMA_EXTENSIONS
from resolvers.masking import MaskedSchema
from resolvers.messages import MessageMutation
from resolvers.owners import OwnerMutation
from resolvers.presence import PresenceMutation
from resolvers.segments import SegmentMutation, SegmentQuery
from resolvers.sessions import SessionMutation, SessionQuery
from resolvers.settings import SettingsQuery
from resolvers.streams import Subscription
from resolvers.teams import TeamMutation
from resolvers.types import Workspace


@strawberry.type(description="Reading.")
class Query(
    ConversationQuery,
    ContactQuery,
    ContactFieldQuery,
    SegmentQuery,
    SettingsQuery,
    SessionQuery,
    EventQuery,
):
    pass


@strawberry.type(description="Commands; each is one transaction.")
class Mutation(
    ConversationMutation,
    MessageMutation,
    PresenceMutation,
    SessionMutation,
    TeamMutation,
    BotMutation,
    OwnerMutation,
    ContactMutation,
    ContactFieldMutation,
    SegmentMutation,
):
    pass


# Written as Strawberry writes it: in RFC 3339, and our times are all of the time zone UTC.
_INSTANT = dataclasses.replace(
    DEFAULT_SCALAR_REGISTRY[datetime],
    description="An instant in UTC, as RFC 3339 writes it.",
    specified_by_url="https://www.rfc-editor.org/rfc/rfc3339",
)

schema = MaskedSchema(
    Query,
    Mutation,
    Subscription,
    types=(*MEMBERS, Workspace),
    extensions=list(SCHEMA_EXTENSIONS),
    config=StrawberryConfig(disable_field_suggestions=False, scalar_map={datetime: _INSTANT}),
)
