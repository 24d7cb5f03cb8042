"""The shape of route files as pydantic models: which members there are, of which type, and what they mean."""
