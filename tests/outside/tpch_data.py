"""Writes the eight tables of TPC-H as Parquet files, one per table: tpch_data.py SCALE FOLDER."""

import pathlib
import sys

from duck import connect

TABLES = "customer lineitem nation orders part partsupp region supplier".split()


def generate(scale: float, folder: pathlib.Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    duck = connect("tpch")
    duck.execute("call dbgen(sf = ?)", [scale])
    for table in TABLES:
        duck.execute(f"copy {table} to '{folder}/{table}.parquet' (format parquet)")


if __name__ == "__main__":
    generate(float(sys.argv[1]), pathlib.Path(sys.argv[2]))
