"""DuckDB with extensions from wheels, so that no test downloads anything."""

import importlib
import pathlib

import duckdb


def connect(*extensions: str) -> duckdb.DuckDBPyConnection:
    connection = duckdb.connect(config={"allow_unsigned_extensions": False})
    connection.execute("set timezone = 'UTC'")
    for name in extensions:
        package = importlib.import_module(f"duckdb_extension_{name}")
        folder = pathlib.Path(package.__file__).parent
        (file,) = folder.rglob(f"{name}.duckdb_extension")
        connection.execute(f"load '{file}'")
    return connection
