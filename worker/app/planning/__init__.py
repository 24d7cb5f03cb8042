"""What inputs would cause: runs the flows themselves, with a transport that holds back what they send."""
