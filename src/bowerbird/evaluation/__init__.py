"""Metrics, statistics, protocols and the gate."""
