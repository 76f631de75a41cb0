"""DuckDB: connections, row rules, features as SQL files."""
