"""The published Halo API as data: every path, method and parameter, and what is known of its lists and ids."""
