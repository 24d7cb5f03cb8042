"""The echo guard: what our own writes left, and which changes are only that."""
