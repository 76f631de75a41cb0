"""The report of a run, one page without a network."""
