"""Tickets: numbered cases with a requester and actions, and the conversations linked to them."""
