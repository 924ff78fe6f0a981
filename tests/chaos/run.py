"""Rounds of faults against real processes: run.py [--bin BINARY] [--store URL] [--rounds N] [--seed S] [--dir DIR]

Servers and workers run two flows by their schedules. Every round breaks something: kill -9 of a worker or a server,
SIGSTOP for longer than the lease, a server's polite end and, with `--pg-restart COMMAND`, a restart of PostgreSQL. At
the end all is mended, and everything that was due must have happened: a run for each logical time, each succeeded, a row
for each in the published tables, nothing found by `fsck`. Ends with 1 and the folder's name if not.

Needs Python's standard library; a `--store` on PostgreSQL gets two servers, SQLite (the default) one.
"""

import argparse
import json
import os
import pathlib
import random
import signal
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request

TICK = '''name = "tick"
[schedule]
cron = "* * * * * *"
catchup = "all"
[defaults]
retry = { attempts = 3, delay = "200ms" }
[tasks.first]
sql = "select $logical_time as at, $interval_start as since"
output = { mode = "append" }
[tasks.program]
command = ["sh", "-c", "echo $FLOWCTL_LOGICAL_TIME >> ../effects.txt; sleep 0.2"]
after = ["first"]
[tasks.last]
sql = "select at from first where at = $logical_time"
after = ["program"]
output = { mode = "append" }
'''
SLOW = '''name = "slow"
[schedule]
cron = "*/5 * * * * *"
catchup = "all"
[tasks.wait]
command = ["sleep", "2"]
requires = { zone = "a" }
[tasks.t]
sql = "select $logical_time as at"
after = ["wait"]
output = { mode = "append" }
'''
LEASE_S = 10


class Chaos:
    def __init__(self, options):
        self.options = options
        self.dice = random.Random(options.seed)
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="flowctl-chaos-", dir=options.dir))
        (self.folder / "flows").mkdir()
        (self.folder / "flows/tick.toml").write_text(TICK)
        (self.folder / "flows/slow.toml").write_text(SLOW)
        self.env = {k: v for k, v in os.environ.items() if not k.startswith("FLOWCTL_")} | {"NO_COLOR": "1"}
        if options.store:
            self.env["FLOWCTL_STORE"] = options.store
        self.ports = [options.port, options.port + 1] if options.store else [options.port]
        self.servers, self.workers, self.recoveries = {}, {}, []
        self.faults = {}

    def spawn(self, *args):
        log = open(self.folder / "processes.log", "ab")
        return subprocess.Popen([self.options.bin, *args], cwd=self.folder, env=self.env, stdout=log, stderr=log)

    def serve(self, port):
        self.servers[port] = self.spawn("serve", "flows", "--listen", f"127.0.0.1:{port}", "--slots", "2", "--grace", "5s")

    def work(self, name):
        port = self.ports[int(name) % len(self.ports)]
        labels = ["--labels", "zone=a"]
        self.workers[name] = self.spawn("worker", "--server", f"http://127.0.0.1:{port}", "--slots", "2", "--name", name, *labels)

    def read(self, *args):
        output = subprocess.run([self.options.bin, *args], cwd=self.folder, env=self.env, capture_output=True, text=True)
        return output.returncode, output.stdout + output.stderr

    def runs(self):
        for _ in range(100):
            code, text = self.read("runs", "-n", "100000", "--json")
            if code == 0:
                return json.loads(text)
            time.sleep(0.2)
        sys.exit(f"the store stays away: {text}")

    def done(self):
        return sum(run["state"] == "succeeded" for run in self.runs())

    def recover(self, since):
        """Waits until two more runs have succeeded, and notes how long that took."""
        before = self.done()
        while self.done() < before + 2:
            if time.monotonic() - since > 60:
                sys.exit(f"nothing succeeds any more; see {self.folder}")
            time.sleep(0.2)
        self.recoveries.append(time.monotonic() - since)

    def fault(self):
        kinds = ["kill worker", "kill server", "stop worker", "end server", "end worker"]
        kinds += ["restart postgres"] if self.options.pg_restart else []
        kind = self.dice.choice(kinds)
        self.faults[kind] = self.faults.get(kind, 0) + 1
        name, port = self.dice.choice(list(self.workers)), self.dice.choice(self.ports)
        began = time.monotonic()
        if kind == "kill worker":
            self.workers[name].kill()
            self.workers[name].wait()
            self.work(name)
        elif kind == "kill server":
            self.servers[port].kill()
            self.servers[port].wait()
            self.serve(port)
        elif kind == "stop worker":
            self.workers[name].send_signal(signal.SIGSTOP)
            time.sleep(LEASE_S + 2)
            self.workers[name].send_signal(signal.SIGCONT)
        elif kind == "end server":
            self.servers[port].terminate()
            self.servers[port].wait()
            self.serve(port)
        elif kind == "end worker":
            self.workers[name].terminate()
            self.workers[name].wait()
            self.work(name)
        else:
            subprocess.run(self.options.pg_restart, shell=True, check=True, stdout=subprocess.DEVNULL)
        return began

    def go(self):
        for port in self.ports:
            self.serve(port)
        for name in ("1", "2"):
            self.work(name)
        for number in range(self.options.rounds):
            time.sleep(self.dice.random() * 2)
            self.recover(self.fault())
            if number % 10 == 9:
                print(f"{number + 1} rounds, {self.done()} runs", flush=True)
        (self.folder / "flows/tick.toml").unlink()
        (self.folder / "flows/slow.toml").unlink()
        self.settle()
        for process in [*self.servers.values(), *self.workers.values()]:
            process.terminate()
        for process in [*self.servers.values(), *self.workers.values()]:
            process.wait()
        self.judge()

    def flows(self, port):
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/v1/flows", timeout=5) as answer:
                return json.load(answer)["flows"]
        except OSError as error:
            return [error]

    def settle(self):
        deadline = time.monotonic() + 120
        while any(self.flows(port) for port in self.ports):
            if time.monotonic() > deadline:
                sys.exit(f"flows stay in force without their files; see {self.folder}")
            time.sleep(0.2)
        while any(run["state"] in ("queued", "running") for run in self.runs()):
            if time.monotonic() > deadline:
                sys.exit(f"runs stay open with nothing broken; see {self.folder}")
            time.sleep(0.5)

    def judge(self):
        problems, runs = [], self.runs()
        for flow, step in (("tick", 1), ("slow", 5)):
            times = sorted(run["logical_time"] for run in runs if run["flow"] == flow)
            seconds = [round(time.mktime(time.strptime(text[:19], "%Y-%m-%dT%H:%M:%S"))) for text in times]
            if len(set(times)) != len(times):
                problems.append(f"{flow}: a logical time has two runs")
            if any(after - before != step for before, after in zip(seconds, seconds[1:])):
                problems.append(f"{flow}: a logical time has no run")
        problems += [f"{run['run_id']} {run['state']}: {run['error']}" for run in runs if run["state"] != "succeeded"]
        for dataset, flow in (("tick.first", "tick"), ("tick.last", "tick"), ("slow.t", "slow")):
            wanted = sum(run["flow"] == flow for run in runs)
            _, text = self.read("query", f"select count(*), count(distinct at) from {dataset}", "--format", "csv")
            if text.splitlines()[1:] != [f"{wanted},{wanted}"]:
                problems.append(f"{dataset}: {wanted} rows expected, one for each time: {text}")
        effects = (self.folder / "effects.txt").read_text().split()
        ticks = sum(run["flow"] == "tick" for run in runs)
        if len(set(effects)) != ticks:
            problems.append(f"the program ran for {len(set(effects))} of {ticks} times")
        # Files of attempts that were killed while they wrote are litter, not damage: a repair removes them.
        _, text = self.read("fsck", "--repair")
        litter = text.count("orphan lake")
        code, text = self.read("fsck")
        if code != 0:
            problems.append(f"fsck: {text}")
        slow = sorted(self.recoveries)
        print(f"{self.options.rounds} rounds (seed {self.options.seed}): {', '.join(f'{n} x {k}' for k, n in sorted(self.faults.items()))}")
        print(f"{len(runs)} runs, {len(effects) - ticks} program runs repeated, {litter} files of killed attempts removed")
        print(f"from a fault to two more finished runs: median {statistics.median(slow):.1f} s, 99 % {slow[int(len(slow) * 0.99) - 1]:.1f} s, most {slow[-1]:.1f} s")
        if problems:
            sys.exit("\n".join(problems[:20]) + f"\nsee {self.folder}")
        print("nothing lost, nothing doubled")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--bin", default="target/release/flowctl")
    parser.add_argument("--store", help="a PostgreSQL URL instead of an SQLite file")
    parser.add_argument("--pg-restart", help="a shell command that restarts that PostgreSQL")
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--port", type=int, default=7480)
    parser.add_argument("--dir", default=tempfile.gettempdir())
    options = parser.parse_args()
    options.bin = str(pathlib.Path(options.bin).resolve())
    chaos = Chaos(options)
    try:
        chaos.go()
    finally:
        for process in [*chaos.servers.values(), *chaos.workers.values()]:
            process.kill()


if __name__ == "__main__":
    main()
