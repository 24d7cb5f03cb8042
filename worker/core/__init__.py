"""The words that every room uses: messages, outcomes, settlements, topology and the ports. Pure: no input or output."""
