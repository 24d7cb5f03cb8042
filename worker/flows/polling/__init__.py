"""Subscribers: when they are due, what a turn does, and how changes become events."""
