"""Prefect tasks: retries, caching and artifacts around one call into the library."""
