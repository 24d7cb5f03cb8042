"""The echo guard: finds the changes that come only from the worker's own writes."""
