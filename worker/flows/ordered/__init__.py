"""Routes with `order_by`: one key's messages in order, across retries, crashes and replicas."""
