"""Measures the pages of the service by hand: pages.py [--bin BINARY] [--fill BINARY] [--flows N] [--runs N] [sqlite] [postgres]

Fills a store with 1,000 flows and 10,000 runs, starts `flowctl serve` on it, and asks for every kind of page 20 times. Needs
Python's standard library, and PostgreSQL's programs for `postgres`. README.md says how to build and how to read the table.
"""

import argparse
import http.client
import json
import os
import pathlib
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.parse

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent
sys.dont_write_bytecode = True
sys.path.insert(0, str(ROOT / "tests/chaos"))
from postgres import Postgres  # noqa: E402

TIMES = 20
BAR_MS = 300
# Of the PostgreSQL that is started.
PORT = 54329

# A flow as the history has it, but for its SQL, which runs.
FLOW = """name = "{name}"
[schedule]
cron = "{minute} 6 1 1 *"
[sources.raw]
path = "raw.csv"
strict = true
columns = {{ {columns} }}
[tasks.clean]
sql = "select * from raw where c0 > 0"
[tasks.joined]
sql = "select * from clean"
[tasks.daily]
sql = "select * from joined"
[tasks.report]
command = ["true"]
after = ["daily"]
[tasks.done]
kind = "noop"
after = ["report"]
"""
SLOW = 'name = "slow"\n[tasks.t]\ncommand = ["sleep", "600"]\n'


class Served:
    """A server on a store that has been filled."""

    def __init__(self, options, store: str, folder: pathlib.Path):
        env = {k: v for k, v in os.environ.items() if not k.startswith("FLOWCTL_")} | {"NO_COLOR": "1", "FLOWCTL_STORE": store}
        began = time.perf_counter()
        subprocess.run([options.fill, store, str(options.flows), str(options.runs)], check=True, env=env, cwd=folder)
        print(f"{options.flows * options.runs:,} runs of {options.flows:,} flows made in {time.perf_counter() - began:.0f} s", flush=True)
        self.log = open(folder / "serve.log", "wb")
        self.child = subprocess.Popen(
            [options.bin, "serve", "flows", "--listen", "127.0.0.1:0", "--slots", "4", "--grace", "1s"], cwd=folder, env=env, stderr=self.log
        )
        while not (found := re.search(r"listening on http://(\S+)", (folder / "serve.log").read_text())):
            if self.child.poll() is not None:
                raise SystemExit((folder / "serve.log").read_text())
            time.sleep(0.1)
        self.address = found.group(1)
        while len(self.json("/v1/flows")["flows"]) <= options.flows:
            time.sleep(1)
        print(f"its flows compiled {time.perf_counter() - began:.0f} s after the beginning", flush=True)

    def ask(self, path: str, method="GET", body=None) -> tuple[float, int, bytes]:
        """Seconds from the connection to the last byte, the status, and the body."""
        connection = http.client.HTTPConnection(self.address, timeout=60)
        began = time.perf_counter()
        connection.request(method, path, body, {"Content-Type": "application/json", "Accept": "text/html"})
        answer = connection.getresponse()
        text = answer.read()
        took = time.perf_counter() - began
        connection.close()
        return took, answer.status, text

    def json(self, path: str, method="GET", body=None):
        _, status, text = self.ask(path, method, body and json.dumps(body))
        assert status < 300, f"{path}: {status} {text[:500]}"
        return json.loads(text)

    def close(self):
        self.child.terminate()
        self.child.wait()
        self.log.close()


def pages(served: Served) -> list[tuple[str, str]]:
    """Every kind of page, by what it shows."""
    one = lambda query: served.json(f"/v1/runs?limit=1&{query}")["runs"][0]
    good, bad, wide = one("flow=flow_0500&state=succeeded"), one("state=failed"), one("flow=wide")
    page = served.json("/v1/runs?limit=100")
    cursor = urllib.parse.quote(served.json(f"/v1/runs?limit=1000&cursor={page['next']}")["next"])
    return [
        ("first page", "/"),
        ("flows", "/flows"),
        ("flow", "/flows/flow_0500"),
        ("runs", "/runs"),
        ("runs, far back", f"/runs?cursor={cursor}"),
        ("runs of a flow", "/runs?flow=flow_0500"),
        ("runs that failed", "/runs?state=failed"),
        ("runs that were cancelled (none)", "/runs?state=cancelled"),
        ("run", f"/runs/{good['run_id']}"),
        ("run that failed", f"/runs/{bad['run_id']}"),
        ("run of 1,000 tasks", f"/runs/{wide['run_id']}"),
        ("journal of a run", f"/runs/{wide['run_id']}/events"),
        ("task", f"/runs/{good['run_id']}/tasks/daily"),
        ("task with 5,000 lines", f"/runs/{wide['run_id']}/tasks/t999"),
        ("log, searched", f"/runs/{wide['run_id']}/tasks/t999?search=4999"),
        ("datasets", "/datasets"),
        ("datasets, searched", "/datasets?search=0777"),
        ("dataset", "/datasets/flow_0500.daily"),
        ("lineage of a dataset", "/lineage/flow_0505.daily"),
        ("lineage of a column", "/lineage/flow_0505.daily?column=c1"),
        ("lineage of a source", "/lineage/raw"),
        ("workers", "/workers"),
        ("limits", "/limits"),
        ("events", "/events"),
        ("nothing", "/runs/nope"),
    ]


def measure(name: str, options, store: str, folder: pathlib.Path) -> None:
    (folder / "flows").mkdir()
    columns = ", ".join(f'c{n} = "int"' for n in range(12))
    for n in range(options.flows):
        text = FLOW.format(name=f"flow_{n:04}", minute=n % 60, columns=columns)
        (folder / f"flows/flow_{n:04}.toml").write_text(text)
    (folder / "flows/slow.toml").write_text(SLOW)
    served = Served(options, store, folder)
    try:
        for _ in range(20):
            served.json("/v1/runs", "POST", {"flow": "slow"})
        print(f"{name:32} {'median ms':>9} {'worst ms':>9} {'KiB':>6}", flush=True)
        over = 0
        for what, path in pages(served):
            asked = [served.ask(path) for _ in range(TIMES)]
            _, status, text = asked[-1]
            median, worst = statistics.median(it[0] for it in asked) * 1e3, max(it[0] for it in asked) * 1e3
            over += median > BAR_MS
            verdict = f"OVER {BAR_MS}" if median > BAR_MS else "" if status in (200, 404) else f"status {status}"
            print(f"{what:32} {median:9.0f} {worst:9.0f} {len(text) / 1024:6.0f}   {verdict}", flush=True)
        print(f"{over} kinds of pages over {BAR_MS} ms", flush=True)
    finally:
        served.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--bin", default=str(ROOT / "target/release/flowctl"), help="the flowctl to measure")
    parser.add_argument("--fill", help="the example `fill`; beside the flowctl if not given")
    parser.add_argument("--flows", type=int, default=1_000)
    parser.add_argument("--runs", type=int, default=10, help="of each flow")
    parser.add_argument("stores", nargs="*", help="which databases; both if none")
    options = parser.parse_args()
    options.bin = shutil.which(options.bin) or parser.error(f"{options.bin} is not a program")
    options.fill = options.fill or str(pathlib.Path(options.bin).parent / "examples/fill")
    print(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}")
    for store in options.stores or ["sqlite", "postgres"]:
        with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as place:
            folder = pathlib.Path(place)
            if store == "sqlite":
                measure("SQLite", options, str(folder / "state.db"), folder)
                continue
            postgres = Postgres(PORT)
            try:
                measure("PostgreSQL", options, postgres.url(PORT), folder)
            finally:
                postgres.close()
    print(f"load {os.getloadavg()[0]:.1f} at the end")


if __name__ == "__main__":
    main()
