"""The whole schema: queries, mutations and subscriptions of every noun."""

import dataclasses
from datetime import date, datetime

import strawberry
from strawberry.schema.config import StrawberryConfig
from strawberry.schema.types.scalar import DEFAULT_SCALAR_REGISTRY

from resolvers.agents import AgentMutation
from resolvers.bot import BotMutation
from resolvers.bulk import BulkMutation
from resolvers.channels import ChannelMutation
from resolvers.closing import ClosingMutation, ClosingQuery
from resolvers.closing_reasons import ClosingReasonMutation
from resolvers.contact_fields import ContactFieldMutation, ContactFieldQuery
from resolvers.contacts import ContactMutation, ContactQuery
from resolvers.conversations import ConversationMutation, ConversationQuery
from resolvers.events import MEMBERS
from resolvers.explanations import ExplanationQuery
from resolvers.guard import SCHEMA_EXTENSIONS
from resolvers.history import EventQuery
from resolvers.idle_policies import IdlePolicyQuery
from resolvers.masking import MaskedSchema
from resolvers.members import MemberMutation
from resolvers.merging import MergeMutation
from resolvers.messages import MessageMutation
from resolvers.opening import OpeningMutation
from resolvers.owners import OwnerMutation
from resolvers.presence import PresenceMutation
from resolvers.reports import ReportQuery
from resolvers.segments import SegmentMutation, SegmentQuery
from resolvers.sessions import SessionMutation, SessionQuery
from resolvers.settings import SettingsQuery
from resolvers.sharing import SharingExecutor
from resolvers.snippets import SnippetMutation, SnippetQuery
from resolvers.snoozing import SnoozeMutation
from resolvers.streams import Subscription
from resolvers.tags import TagMutation, TagQuery
from resolvers.teams import TeamMutation
from resolvers.tickets import TicketMutation, TicketQuery
from resolvers.types import Workspace
from resolvers.webhooks import WebhookMutation, WebhookQuery
from resolvers.workflow_runs import WorkflowRunMutation, WorkflowRunQuery
from resolvers.workflows import WorkflowMutation, WorkflowQuery
from resolvers.workspaces import WorkspaceMutation


@strawberry.type(description="Reading.")
class Query(
    ConversationQuery,
    ContactQuery,
    ContactFieldQuery,
    SegmentQuery,
    TagQuery,
    SettingsQuery,
    SessionQuery,
    EventQuery,
    ClosingQuery,
    ExplanationQuery,
    IdlePolicyQuery,
    SnippetQuery,
    WorkflowQuery,
    ReportQuery,
    TicketQuery,
    WorkflowRunQuery,
    WebhookQuery,
):
    pass


@strawberry.type(description="Commands; each is one transaction.")
class Mutation(
    ConversationMutation,
    MessageMutation,
    PresenceMutation,
    SessionMutation,
    WorkspaceMutation,
    TeamMutation,
    MemberMutation,
    AgentMutation,
    ChannelMutation,
    ClosingMutation,
    ClosingReasonMutation,
    BotMutation,
    SnoozeMutation,
    OpeningMutation,
    BulkMutation,
    OwnerMutation,
    TagMutation,
    MergeMutation,
    ContactMutation,
    ContactFieldMutation,
    SegmentMutation,
    SnippetMutation,
    WorkflowMutation,
    TicketMutation,
    WorkflowRunMutation,
    WebhookMutation,
):
    pass


# Written as Strawberry writes it: in RFC 3339, and our times are all of the time zone UTC.
_INSTANT = dataclasses.replace(
    DEFAULT_SCALAR_REGISTRY[datetime],
    description="An instant in UTC, as RFC 3339 writes it.",
    specified_by_url="https://www.rfc-editor.org/rfc/rfc3339",
)

_DAY = dataclasses.replace(DEFAULT_SCALAR_REGISTRY[date], description="A day, as `2026-12-31`.")

schema = MaskedSchema(
    Query,
    Mutation,
    Subscription,
    types=(*MEMBERS, Workspace),
    extensions=list(SCHEMA_EXTENSIONS),
    execution_context_class=SharingExecutor,
    config=StrawberryConfig(
        disable_field_suggestions=False, scalar_map={datetime: _INSTANT, date: _DAY}
    ),
)
