"""Measures a server with workers by hand: service.py [--bin BINARY] [--fleet BINARY] [--sqlite] [NAME…]

One `flowctl serve` on a PostgreSQL of its own (or on SQLite), and four `flowctl worker` of eight slots over HTTP, all on
this machine; for `dispatch` and `scale` workers that do nothing (the example `fleet`). Needs Python's standard library
and Debian's `postgresql`. README.md says how to read the figures.
"""

import argparse
import contextlib
import datetime
import json
import os
import pathlib
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent
sys.path.append(str(ROOT / "tests/chaos"))
from postgres import Postgres  # noqa: E402

WORKERS, SLOTS, FLEET = 4, 8, 2_000
TICKS_S = os.sysconf("SC_CLK_TCK")
# Not for the slot of the server itself.
THERE = 'requires = { zone = "a" }'
# What `fleet` takes for done without looking at it; a task of kind `noop` would not leave the server.
NOTHINGS = '\n'.join(f'[tasks.t{n}]\ncommand = ["true"]\n{THERE}' for n in range(10_000))
SLEEPS = '\n'.join(f'[tasks.t{n}]\ncommand = ["sleep", "600"]\n{THERE}' for n in range(10_000))
NAPS = '\n'.join(f'[tasks.t{n}]\ncommand = ["sleep", "2"]\n{THERE}' for n in range(1_000))
CLOCK = f'[tasks.t]\ncommand = ["bash", "-c", "echo $EPOCHREALTIME"]\n{THERE}'
MINUTE = f'[schedule]\ncron = "* * * * * *"\n[tasks.a]\nkind = "noop"\n{THERE}\n[tasks.b]\nsql = "select 1 as n"\n{THERE}\n'
FLOWS = {"nothings": NOTHINGS, "sleeps": SLEEPS, "naps": NAPS, "clock": CLOCK}


class Process:
    def __init__(self, args, folder, env):
        self.log = folder / f"{pathlib.Path(args[0]).name}-{time.monotonic_ns()}.log"
        with open(self.log, "wb") as log:
            self.child = subprocess.Popen(args, cwd=folder, env=env, stdout=log, stderr=log)

    def cpu_s(self):
        fields = pathlib.Path(f"/proc/{self.child.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / TICKS_S

    def rss_mib(self):
        return int(pathlib.Path(f"/proc/{self.child.pid}/statm").read_text().split()[1]) * 4 / 1024


class World:
    """A server and its workers."""

    def __init__(self, options, idlers=None):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="flowctl-bench-", dir=options.dir))
        (self.folder / "flows").mkdir()
        for name, body in FLOWS.items():
            self.add(name, body)
        env = {k: v for k, v in os.environ.items() if not k.startswith("FLOWCTL_")} | {"NO_COLOR": "1", "FLOWCTL_LOG": "info"}
        self.postgres = None if options.sqlite else Postgres(free_port())
        if self.postgres:
            env["FLOWCTL_STORE"] = self.postgres.url(self.postgres.port)
        self.url = f"http://127.0.0.1:{free_port()}"
        serve = ["serve", "flows", "--listen", self.url.removeprefix("http://"), "--slots", "1"]
        self.server = Process([options.bin, *serve], self.folder, env)
        wait_for(self.is_there, 60)
        if idlers:
            # A slot that waits for work keeps a connection; thousands of workers have one slot each.
            slots = SLOTS if idlers == WORKERS else 1
            works = [[options.fleet, self.url, f"w{n}", str(idlers // WORKERS), str(slots)] for n in range(WORKERS)]
        else:
            there = ["--server", self.url, "--slots", str(SLOTS), "--labels", "zone=a", "--name"]
            works = [[options.bin, "worker", *there, f"w{n}"] for n in range(WORKERS)]
        self.workers = [Process(work, self.folder, env) for work in works]
        wait_for(lambda: self.server.log.read_bytes().count(b" has come with ") >= (idlers or WORKERS), 120)

    def is_there(self):
        with contextlib.suppress(OSError):
            return self.ask("/health") is not None

    def ask(self, path, body=None):
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.url + path, data, {"content-type": "application/json"})
        with urllib.request.urlopen(request, timeout=60) as response:
            return json.load(response)

    def add(self, flow, body):
        (self.folder / f"flows/{flow}.toml").write_text(f'name = "{flow}"\n{body}')

    def remove(self, flow):
        (self.folder / f"flows/{flow}.toml").unlink()

    def psql(self, sql):
        command = ["psql", "-XqAt", "-d", self.postgres.url(self.postgres.port), "-c", sql]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()

    def make(self, flow):
        return self.ask("/v1/runs", {"flow": flow})["run_id"]

    def run(self, flow):
        """Makes a run and waits for its end."""
        run = self.make(flow)
        with urllib.request.urlopen(f"{self.url}/v1/runs/{run}/live", timeout=600) as stream:
            for _ in stream:
                pass
        shown = self.ask(f"/v1/runs/{run}")
        assert shown["state"] == "succeeded", shown
        return shown

    def cpu_s(self):
        return [process.cpu_s() for process in (self.server, *self.workers)]

    def close(self):
        for process in (*self.workers, self.server):
            process.child.kill()
            process.child.wait()
        if self.postgres:
            self.postgres.close()
        shutil.rmtree(self.folder, ignore_errors=True)


def free_port():
    with contextlib.closing(socket.create_server(("127.0.0.1", 0))) as taken:
        return taken.getsockname()[1]


def wait_for(is_so, timeout_s):
    until = time.monotonic() + timeout_s
    while not is_so():
        if time.monotonic() > until:
            raise SystemExit(f"nothing came of it in {timeout_s} s")
        time.sleep(0.01)


def instant_s(text):
    return datetime.datetime.fromisoformat(text).timestamp()


def dispatch(world, options):
    """Tasks a second of a run of 10,000 that do nothing, and what each costs."""
    for _ in range(options.repeat):
        before = world.cpu_s()
        shown = world.run("nothings")
        server, *workers = [after - then for after, then in zip(world.cpu_s(), before)]
        ends = [instant_s(task["finished_at"]) for task in shown["tasks"]]
        wall = max(ends) - min(instant_s(task["started_at"]) for task in shown["tasks"])
        print(f"dispatch: {len(ends) / wall:.0f} tasks/s ({wall:.2f} s); CPU ms a task: server {server / len(ends) * 1e3:.2f}, "
              f"workers {sum(workers) / len(ends) * 1e3:.2f}", flush=True)


def latency(world, options):
    """From the fact that an attempt has a slot to the first breath of its program, with nothing else to do."""
    waits = []
    for _ in range(200):
        shown = world.run("clock")
        lines = world.ask(f"/v1/runs/{shown['run_id']}/logs")["lines"]
        began = next(float(line["text"]) for line in lines if line["stream"] == "stdout")
        # The record's time is cut to the millisecond, by half of one on average.
        waits.append((began - instant_s(shown["tasks"][0]["started_at"])) * 1e3 - 0.5)
    cuts = statistics.quantiles(waits, n=100)
    print(f"claim to start of a program, 200 runs: p50 {cuts[49]:.1f} ms, p99 {cuts[98]:.1f} ms", flush=True)


def cancel(world, options):
    """From the request to the end of a run of 10,000 tasks, 32 of which are programs that run."""
    run = world.make("sleeps")
    wait_for(lambda: sum(task["state"] == "running" for task in world.ask(f"/v1/runs/{run}")["tasks"]) == WORKERS * SLOTS, 60)
    began = time.perf_counter()
    world.ask(f"/v1/runs/{run}/cancel", {})
    with urllib.request.urlopen(f"{world.url}/v1/runs/{run}/live", timeout=600) as stream:
        for _ in stream:
            pass
    took = time.perf_counter() - began
    print(f"cancel of 10,000 tasks: {took:.2f} s, then {world.ask(f'/v1/runs/{run}')['state']}", flush=True)


def live(world, options):
    """What it costs, in per cent of a core, when somebody watches a run of 1,000 tasks in a browser, 16 of which end each second."""
    for page in (None, "about:blank", "{}/runs/{}"):
        run = world.make("naps")
        browser = page and Browser(page.format(world.url, run), world.folder)
        time.sleep(5)
        watched = [world.server, *([browser] if browser else [])]
        before, began = [process.cpu_s() for process in watched], time.monotonic()
        time.sleep(40)
        shares = [(process.cpu_s() - then) / (time.monotonic() - began) * 100 for process, then in zip(watched, before)]
        shown = f", browser {shares[1]:.1f} %" if browser else ""
        print(f"live, {page and page.format('', 'RUN') or 'no browser'}: server {shares[0]:.1f} %{shown}", flush=True)
        if browser:
            browser.close()
        world.ask(f"/v1/runs/{run}/cancel", {})
        wait_for(lambda: world.ask(f"/v1/runs/{run}")["state"] == "cancelled", 60)


class Browser:
    """A Chromium that shows a page, with all its processes."""

    def __init__(self, page, folder):
        profile = f"--user-data-dir={folder / f'browser-{time.monotonic_ns()}'}"
        command = ["chromium", "--headless", "--no-sandbox", "--disable-gpu", "--remote-debugging-port=0", profile, page]
        self.child = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)

    def cpu_s(self):
        total = 0
        for process in pathlib.Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                fields = (process / "stat").read_text().rpartition(")")[2].split()
                if int(fields[3]) == self.child.pid:
                    total += int(fields[11]) + int(fields[12])
        return total / TICKS_S

    def close(self):
        os.killpg(self.child.pid, signal.SIGKILL)
        self.child.wait()


def memory(world, options):
    """Resident memory at 60 runs a minute: MiB each minute, and the slope of a straight line through the second half."""
    world.add("minute", MINUTE)
    seen = []
    for minute in range(options.minutes + 1):
        seen.append([process.rss_mib() for process in (world.server, *world.workers)])
        print(f"memory after {minute} min: server {seen[-1][0]:.1f} MiB, workers {sum(seen[-1][1:]):.1f} MiB", flush=True)
        if minute < options.minutes:
            time.sleep(60)
    half = seen[len(seen) // 2:]
    for name, values in (("server", [one[0] for one in half]), ("workers", [sum(one[1:]) for one in half])):
        slope = statistics.linear_regression(range(len(values)), values).slope
        print(f"memory of {name}: {slope:+.3f} MiB/min over the last {len(values) - 1} min", flush=True)
    world.remove("minute")
    runs = world.ask("/v1/runs?flow=minute&limit=1000")["runs"]
    bad = sum(run["state"] not in ("succeeded", "running", "queued") for run in runs)
    print(f"of the last {len(runs)} runs {bad} did not succeed", flush=True)


def cost(world, options):
    """What a task of a scheduled flow leaves in the store: rows and bytes, indexes included."""
    tables = "".join(f'[tasks.t{n}]\nsql = "select $logical_time as at"\n{THERE}\n' for n in range(20))
    world.add("every", '[schedule]\ncron = "* * * * * *"\n' + tables)
    time.sleep(60)
    world.remove("every")
    tasks = int(world.psql("select count(*) from tasks"))
    total = 0
    for table in world.psql("select tablename from pg_tables where schemaname = 'public' order by 1").split():
        rows, size = map(int, world.psql(f"select count(*), pg_total_relation_size('{table}') from {table}").split("|"))
        total += size
        if rows > tasks / 100:
            print(f"a task leaves {rows / tasks:6.2f} rows and {size / tasks:6.0f} bytes in {table}", flush=True)
    print(f"{tasks} tasks in {world.psql('select count(*) from runs')} runs, {total / tasks:.0f} bytes each", flush=True)


def flows(world, options):
    """What 5,000 flows cost that wait for their times."""
    for n in range(5_000):
        world.add(f"f{n}", f'[schedule]\ncron = "{n % 60} {n % 24} 1 1 *"\n[tasks.t]\nsql = "select {n} as n"\n')
    wait_for(lambda: int(world.psql("select count(*) from schedules")) == 5_000, 300)
    waiting(world, "5,000 flows")


def fleet(world, options):
    """What thousands of workers cost that wait for work."""
    waiting(world, f"{FLEET:,} workers")


def idle(world, options):
    """What a server and four workers cost that wait."""
    waiting(world, "nothing to do")


def waiting(world, what, seconds=60):
    time.sleep(5)
    before = world.cpu_s()
    time.sleep(seconds)
    server, *workers = [(after - then) / seconds * 100 for after, then in zip(world.cpu_s(), before)]
    print(f"{what}: server {server:.2f} % of a core, workers {sum(workers):.2f} %; server {world.server.rss_mib():.0f} MiB", flush=True)


# Beside each the workers that it takes: true ones, or so many that do nothing.
BENCHES = {
    "dispatch": (dispatch, WORKERS), "latency": (latency, None), "idle": (idle, None), "cancel": (cancel, None),
    "live": (live, None), "memory": (memory, None), "cost": (cost, None), "flows": (flows, None), "fleet": (fleet, FLEET),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--bin", default=str(ROOT / "target/release/flowctl"), help="the flowctl to measure")
    parser.add_argument("--fleet", default=str(ROOT / "target/release/examples/fleet"), help="workers that do nothing")
    parser.add_argument("--sqlite", action="store_true", help="a fresh SQLite file instead of a PostgreSQL of its own")
    parser.add_argument("--dir", default=tempfile.gettempdir(), help="where the project is made: on the disk to measure")
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--minutes", type=int, default=15, help="of `memory`")
    parser.add_argument("names", nargs="*", help=f"all of {' '.join(BENCHES)}")
    options = parser.parse_args()
    print(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}")
    for name in options.names or BENCHES:
        bench, idlers = BENCHES[name]
        world = World(options, idlers)
        try:
            bench(world, options)
        finally:
            world.close()


if __name__ == "__main__":
    main()
