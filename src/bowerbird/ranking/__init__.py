"""From scores to what a person is shown: why each item is in a list."""
