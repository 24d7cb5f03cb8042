"""The status page: what the admin port shows to people."""
