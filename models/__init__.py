"""The domain: tables, rules and events. Tortoise and aerich find every record here."""

from models.agent import Agent
from models.assignment import Assignment
from models.channel import Channel
from models.closure import ClosingReason, Closure
from models.contact import Contact
from models.contact_field import ContactField
from models.conversation import Conversation
from models.identity import ContactIdentity
from models.membership import Membership
from models.merge import ContactMerge
from models.message import Message
from models.report.figure import Measure
from models.segment import Segment
from models.snippet import Snippet
from models.tag import Tag
from models.team import Team
from models.ticket.action import TicketAction
from models.ticket.record import Ticket
from models.token import Token
from models.webhook.record import Webhook
from models.workflow import advance as advance
from models.workflow import walk as walk
from models.workflow.record import Workflow, WorkflowRevision
from models.workflow.run import WorkflowRun
from models.workspace import Workspace

__all__ = [
    "Agent",
    "Assignment",
    "Channel",
    "ClosingReason",
    "Closure",
    "Contact",
    "ContactField",
    "ContactIdentity",
    "ContactMerge",
    "Conversation",
    "Measure",
    "Membership",
    "Message",
    "Segment",
    "Snippet",
    "Tag",
    "Team",
    "Ticket",
    "TicketAction",
    "Token",
    "Webhook",
    "Workflow",
    "WorkflowRevision",
    "WorkflowRun",
    "Workspace",
]
