"""The ETL of flow.toml as a DuckDB script: the same queries and checks, tables published as Parquet files."""

import pathlib
import sys

import duckdb

CHECKS = {
    "lineitem": [
        "l_orderkey is null or l_linenumber is null or net is null",
        "not l_quantity between 1 and 50",
        "l_returnflag not in ('A', 'N', 'R')",
    ],
    "orders": ["unique o_orderkey", "o_custkey is null or o_orderdate is null", "o_orderstatus not in ('F', 'O', 'P')"],
    "customer": ["unique c_custkey", "not c_acctbal between -1000 and 10000"],
    "sales": ["c_mktsegment is null"],
    "revenue": ["rows 30 200"],
}


def failing(duck, table: str, check: str) -> int:
    kind, *words = check.split()
    if kind == "unique":
        groups = f"select count(*) as n from {table} group by {words[0]} having count(*) > 1"
        return duck.execute(f"select coalesce(sum(n), 0) from ({groups})").fetchone()[0]
    if kind == "rows":
        count = duck.execute(f"select count(*) from {table}").fetchone()[0]
        return not int(words[0]) <= count <= int(words[1])
    return duck.execute(f"select count(*) from {table} where {check}").fetchone()[0]


def main() -> None:
    data, out = map(pathlib.Path, sys.argv[1:])
    out.mkdir(exist_ok=True)
    duck = duckdb.connect()
    for table in ("lineitem", "orders", "customer"):
        duck.execute(f"create view raw_{table} as from '{data}/{table}.parquet'")
    for table, checks in CHECKS.items():
        query = (pathlib.Path(__file__).parent / f"{table}.sql").read_text()
        duck.execute(f"copy ({query}) to '{out}/{table}.parquet' (format parquet, compression snappy)")
        duck.execute(f"create view {table} as from '{out}/{table}.parquet'")
        for check in checks:
            if bad := failing(duck, table, check):
                sys.exit(f"{table}: {check}: {bad}")


if __name__ == "__main__":
    main()
