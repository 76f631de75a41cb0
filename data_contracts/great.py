"""Great Expectations, imported in one place: without analytics, and without the warnings of its own imports.

Importing this module takes seconds, so import it where it is needed.
"""

from __future__ import annotations

import atexit
import gc
import os
import sys
import warnings

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

__all__ = ["Column", "Expectation", "ProgressBarsConfig", "SQLDatasource", "SqlAlchemyExecutionEngine", "gx", "gxe"]


@atexit.register
def _let_go() -> None:
    """Empty the modules when the process ends: else they outlive it, and DuckDB prints a page on types that are left."""
    for name, module in list(sys.modules.items()):
        if name.split(".")[0] in ("great_expectations", "duckdb_engine"):
            vars(module).clear()
    gc.collect()
