"""Dead letters: looking through them without changing anything, having them tried anew, and discarding them."""
