"""Great Expectations, imported in one place: without analytics, and without the warnings of its own imports.

Importing this module takes seconds, so import it where it is needed.
"""

from __future__ import annotations

import atexit
import os
import warnings

import duckdb_engine

os.environ["GX_ANALYTICS_ENABLED"] = "False"  # before the import, which reads it

with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)
    import great_expectations as gx
    import great_expectations.expectations as gxe
    from great_expectations.data_context.types.base import ProgressBarsConfig
    from great_expectations.datasource.fluent import SQLDatasource
    from great_expectations.execution_engine import SqlAlchemyExecutionEngine
    from great_expectations.expectations import Expectation
    from great_expectations.expectations.row_conditions import Column

# With Great Expectations loaded, DuckDB's driver for SQLAlchemy outlives the end of the process, and DuckDB then prints a page
# about leaks on standard error.
atexit.register(vars(duckdb_engine).clear)

__all__ = ["Column", "Expectation", "ProgressBarsConfig", "SQLDatasource", "SqlAlchemyExecutionEngine", "gx", "gxe"]
