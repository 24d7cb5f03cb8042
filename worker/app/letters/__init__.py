"""Dead letters as operators work on them: what the `dead` commands and the status page share."""
