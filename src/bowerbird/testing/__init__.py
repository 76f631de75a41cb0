"""Tests that any model can be put through."""
