"""Halo's own runbook and integration documents, and the route files that say the same: the way there and back."""
