"""The types that every package uses: messages, outcomes, settlements, topology and the ports. Pure: no input or output."""
