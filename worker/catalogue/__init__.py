"""The published Halo API as data: every path, method and parameter, with the keys of its lists and records."""
