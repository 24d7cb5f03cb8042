"""Routes with `order_by` or `fair_by`: one key's messages in order, customers in turns, across retries, crashes and replicas."""
