"""Interactions and what is cut from them."""
