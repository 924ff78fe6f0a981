"""Measures flowctl by hand: run.py [--bin BINARY] [--bare BINARY] [--store URL] [--repeat N] [NAME…]

Needs Python's standard library; `etl` needs the environment of tests/outside as its Python. Nothing here is run by CI:
the machine decides too much. README.md says how to build and how to read the figures.
"""

import argparse
import os
import pathlib
import shutil
import statistics
import sys
import tempfile
import time

import flows

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent


class Ended(RuntimeError):
    pass


def measure(command: list[str], folder: pathlib.Path, env: dict[str, str]) -> tuple[float, float, float]:
    """Wall seconds, CPU seconds and peak memory in MiB of a process and what it waited for."""
    with open(folder / "out.txt", "wb") as out:
        before = time.perf_counter()
        child = os.posix_spawn(
            command[0], command, env,
            file_actions=[(os.POSIX_SPAWN_DUP2, out.fileno(), 1), (os.POSIX_SPAWN_DUP2, out.fileno(), 2)],
        )
        _, status, used = os.wait4(child, 0)
        wall = time.perf_counter() - before
    if status != 0:
        raise Ended(f"{' '.join(command)} ended with {status}:\n{(folder / 'out.txt').read_text()[-2000:]}")
    return wall, used.ru_utime + used.ru_stime, used.ru_maxrss / 1024


class Bench:
    def __init__(self, options):
        self.options = options
        self.env = {k: v for k, v in os.environ.items() if not k.startswith("FLOWCTL_")} | {"NO_COLOR": "1"}

    def flowctl(self, name: str, flow: str, limit_s: float, verb="run", limit_mib=None, repeat=None) -> None:
        """Runs a flow in a fresh project each time, and prints the median beside the limit."""
        results = []
        for _ in range(repeat or self.options.repeat):
            with tempfile.TemporaryDirectory(dir=self.options.dir, ignore_cleanup_errors=True) as place:
                folder = pathlib.Path(place)
                (folder / "flow.toml").write_text(flow)
                os.chdir(folder)
                env = dict(self.env)
                if self.options.store:
                    env["FLOWCTL_STORE"] = self.options.store
                results.append(measure([self.options.bin, verb, "flow.toml"], folder, env))
                os.chdir(ROOT)
        self.line(name, results, limit_s, limit_mib)

    def line(self, name, results, limit_s=None, limit_mib=None) -> None:
        wall, cpu, peak = (statistics.median(column) for column in zip(*results))
        over = limit_s is not None and wall > limit_s or limit_mib is not None and peak > limit_mib
        known = ((limit_s, "s"), (limit_mib, "MiB"))
        limits = " and ".join(f"{limit:g} {unit}" for limit, unit in known if limit is not None)
        verdict = f"{'OVER' if over else 'within'} {limits}" if limits else ""
        spread = f"{min(r[0] for r in results):.3f}–{max(r[0] for r in results):.3f}"
        print(f"{name:28} {wall:9.3f} {spread:>17} {cpu:8.2f} {peak:8.0f}   {verdict}", flush=True)


def fdatasync_rate(folder: str) -> float:
    """Syncs a second of 4 KiB appended to one file: what a durable journal cannot beat."""
    with tempfile.NamedTemporaryFile(dir=folder) as file:
        began, count = time.perf_counter(), 0
        while time.perf_counter() - began < 1:
            os.write(file.fileno(), b"x" * 4096)
            os.fdatasync(file.fileno())
            count += 1
        return count / (time.perf_counter() - began)


def etl(bench: Bench) -> None:
    """The same ETL over TPC-H at scale factor 1 by flowctl, by bare DataFusion and by DuckDB, in turns."""
    data = pathlib.Path(bench.options.data)
    if not (data / "lineitem.parquet").exists():
        os.environ["PYTHONPATH"] = str(ROOT / "tests/outside")
        measure([sys.executable, str(ROOT / "tests/outside/tpch_data.py"), "1", str(data)], pathlib.Path("/tmp"), dict(os.environ))
    commands = {
        "etl flowctl": [bench.options.bin, "run", str(HERE / "etl/flow.toml"), "-p", f"data={data}"],
        "etl bare DataFusion": [bench.options.bare, str(data), "out"] if bench.options.bare else None,
        "etl DuckDB": [sys.executable, str(HERE / "etl/duck_etl.py"), str(data), "out"],
    }
    results = {name: [] for name, command in commands.items() if command}
    for _ in range(bench.options.repeat):
        for name in results:
            with tempfile.TemporaryDirectory(dir=bench.options.dir, ignore_cleanup_errors=True) as place:
                os.chdir(place)
                results[name].append(measure(commands[name], pathlib.Path(place), bench.env))
                os.chdir(ROOT)
    for name, measured in results.items():
        bench.line(name, measured)
    ours = [statistics.median(column) for column in zip(*results["etl flowctl"])]
    for name, measured in list(results.items())[1:]:
        theirs = [statistics.median(column) for column in zip(*measured)]
        print(f"  flowctl / {name[4:]}: wall {ours[0] / theirs[0]:.2f}, CPU {ours[1] / theirs[1]:.2f}", flush=True)


def cached(bench: Bench) -> None:
    """flows/etl.toml: the first run, and the second, which has nothing to do."""
    first, second = [], []
    for _ in range(bench.options.repeat):
        with tempfile.TemporaryDirectory(dir=bench.options.dir, ignore_cleanup_errors=True) as place:
            os.chdir(place)
            for results in (first, second):
                results.append(measure([bench.options.bin, "run", str(ROOT / "flows/etl.toml")], pathlib.Path(place), bench.env))
            os.chdir(ROOT)
    bench.line("flights, first run", first)
    bench.line("flights, second run", second, 1)


BENCHES = {
    "start-noop": lambda b: b.flowctl("start: one noop", flows.noops_in_a_chain(1), 0.03),
    "start-sql": lambda b: b.flowctl("start: one SQL task", flows.tables_in_a_chain(1), 0.05),
    "noop-40": lambda b: b.flowctl("noop: chain of 40", flows.noops_in_a_chain(40), 0.08),
    "noop-1000": lambda b: b.flowctl("noop: fan of 1,000", flows.noops_in_a_fan(1_000), 0.2),
    "noop-10000": lambda b: b.flowctl("noop: fan of 10,000", flows.noops_in_a_fan(10_000), 1.2, limit_mib=200, repeat=3),
    "noop-100000": lambda b: b.flowctl("noop: fan of 100,000", flows.noops_in_a_fan(100_000), 15, limit_mib=1024, repeat=1),
    "sql-40": lambda b: b.flowctl("SQL: chain of 40", flows.tables_in_a_chain(40), 0.5),
    "sql-1000": lambda b: b.flowctl("SQL: 1,000 tables", flows.tables(1_000), 2.5, repeat=3),
    "sql-10000": lambda b: b.flowctl("SQL: 10,000 tables", flows.tables(10_000), 25, repeat=1),
    "check-2000": lambda b: b.flowctl("check: 2,000 SQL tasks", flows.queries_in_layers(2_000), 1, verb="check"),
    "cached": cached,
    "etl": etl,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--bin", default=str(ROOT / "target/release/flowctl"), help="the flowctl to measure")
    parser.add_argument("--bare", help="the bare DataFusion program (bare_etl) to compare with")
    parser.add_argument("--store", help="a PostgreSQL URL instead of a fresh SQLite file")
    parser.add_argument("--data", default="/tmp/flowctl-bench-tpch-1", help="TPC-H at scale factor 1, made if missing")
    parser.add_argument("--dir", default=tempfile.gettempdir(), help="where projects are made: on the disk to measure")
    parser.add_argument("--repeat", type=int, default=7)
    parser.add_argument("names", nargs="*", help=f"all of {' '.join(BENCHES)}")
    options = parser.parse_args()
    options.bin = shutil.which(options.bin) or parser.error(f"{options.bin} is not a program")
    load = os.getloadavg()[0]
    print(f"{os.cpu_count()} cores, load {load:.1f}, {fdatasync_rate(options.dir):.0f} fdatasync/s in {options.dir}")
    print(f"{'':28} {'wall s':>9} {'least–most':>17} {'CPU s':>8} {'peak MiB':>8}", flush=True)
    bench = Bench(options)
    for name in options.names or BENCHES:
        try:
            BENCHES[name](bench)
        except Ended as problem:
            print(f"{name}: {problem}", flush=True)
    print(f"{fdatasync_rate(options.dir):.0f} fdatasync/s at the end, load {os.getloadavg()[0]:.1f}")


if __name__ == "__main__":
    main()
