"""The back end of the status page: shared reads of the broker, the history of a day, and an operator's actions."""
