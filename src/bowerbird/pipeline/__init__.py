"""The steps of a run as plain functions: prepare, prove, release, tell. What the tasks call."""
