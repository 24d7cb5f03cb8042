"""Translates Halo's runbook and integration documents to route files, and back."""
