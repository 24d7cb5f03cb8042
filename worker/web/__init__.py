"""The HTTP servers: the admin port and the public port."""
