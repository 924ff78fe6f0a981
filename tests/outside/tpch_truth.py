"""Compares the 22 published tables of tests/tpch/flow.toml with the answers that come with DuckDB's TPC-H extension.

    tpch_truth.py LAKE

The data must have been made at scale factor 0.01. Rows are compared as sets, because a table has no order;
numbers to the sixth digit, because DuckDB averages decimals in floating point and we do not.
"""

import math
import pathlib
import sys

from duck import connect


def number(text):
    try:
        return float(text)
    except (TypeError, ValueError):
        return None


def same(ours, answer: str) -> bool:
    a, b = number(ours), number(answer)
    if a is None or b is None:
        return ("" if ours is None else str(ours)) == answer
    # Our averages of decimals are decimals, cut after the sixth digit.
    return math.isclose(a, b, rel_tol=1e-9, abs_tol=1e-6)


def key(row) -> tuple:
    return tuple(f"{number(v):.3f}" if number(v) is not None else str(v) for v in row)


def main() -> int:
    (lake,) = sys.argv[1:]
    duck = connect("delta", "tpch")
    answers = duck.execute("select query_nr, answer from tpch_answers() where scale_factor = 0.01").fetchall()
    wrong = 22 - len(answers)
    for query, answer in answers:
        header, *expected = (line.split("|") for line in answer.splitlines())
        table = pathlib.Path(lake) / "tpch" / f"q{query:02}"
        rows = duck.execute(f"from delta_scan('{table}')").fetchall()
        pairs = zip(sorted(rows, key=key), sorted(expected, key=key))
        good = len(rows) == len(expected) and all(
            len(ours) == len(header) == len(theirs) and all(map(same, ours, theirs)) for ours, theirs in pairs
        )
        print(f"{'equal' if good else 'DIFFERS'}: query {query}, {len(rows)} rows of {len(expected)}")
        wrong += not good
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
