"""The work of the worker: subscribers, publishers, and the one loop that consumes queues."""
