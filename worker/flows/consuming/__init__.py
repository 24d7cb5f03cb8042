"""Consuming a queue: the one loop, the messages in flight, and their settlement."""
