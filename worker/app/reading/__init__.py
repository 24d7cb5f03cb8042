"""Reading changed route files in a process of its own, so that the worker's event loop goes on meanwhile."""
