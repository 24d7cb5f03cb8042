"""The operator's work on dead letters, shared by the `dead` commands and the status page."""
