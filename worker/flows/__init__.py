"""What the worker does: subscribers, publishers, and the one loop that consumes."""
