"""The status page of the admin port, for people."""
