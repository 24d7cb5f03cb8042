"""Plans what inputs would cause: it runs the real flows, with a transport that holds back what they send."""
