"""Consuming a queue: the one loop, what is in hand, and how messages are settled."""
