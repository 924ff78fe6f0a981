"""Prints what DuckDB and the Python package `deltalake` see of a table whose old versions are gone: now, and as of the
oldest version that is left."""

import sys

import deltalake
from duck import connect
from leave import leave

location, oldest = sys.argv[1], int(sys.argv[2])
theirs = [row[0] for row in connect("delta").execute(f"select n from delta_scan('{location}') order by n").fetchall()]
now = deltalake.DeltaTable(location).to_pyarrow_table().to_pydict()["n"]
past = deltalake.DeltaTable(location, version=oldest).to_pyarrow_table().to_pydict()["n"]
print(theirs, sorted(now), sorted(past))
leave(0)
