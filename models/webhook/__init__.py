"""Webhooks: addresses that are told what happens, each event once it is in the log, in order."""
