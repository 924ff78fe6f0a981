"""Servers and workers as processes, on a store of their own, with a proxy on every line between them."""

import contextlib
import ctypes
import os
import pathlib
import random
import shutil
import socket
import sqlite3
import subprocess
import tempfile
import time
import urllib.request

from postgres import Postgres
from proxy import Proxy

TICK = '''name = "tick"
[schedule]
cron = "* * * * * *"
catchup = "all"
[defaults]
retry = { attempts = 50, delay = "200ms", max_delay = "1s" }
[tasks.first]
sql = "select $logical_time as at, $interval_start as since"
output = { mode = "append" }
[tasks.program]
command = ["sh", "-c", "echo $FLOWCTL_LOGICAL_TIME >> ../effects.txt; sleep 0.1"]
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
[defaults]
retry = { attempts = 50, delay = "200ms", max_delay = "1s" }
[tasks.wait]
command = ["sleep", "1"]
requires = { zone = "a" }
[tasks.t]
sql = "select $logical_time as at"
after = ["wait"]
output = { mode = "append" }
'''
FLOWS = {"tick": TICK, "slow": SLOW}
FAKETIME = next(pathlib.Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"), None)
SMALL_DISK_MIB = 256


class Broken(Exception):
    """A promise was not kept."""


class World:
    def __init__(self, options):
        self.options, self.dice = options, random.Random(options.seed)
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="flowctl-chaos-", dir=options.dir))
        (self.folder / "flows").mkdir()
        for name, text in FLOWS.items():
            (self.folder / f"flows/{name}.toml").write_text(text)
        self.disk = self.folder / ".flowctl"
        self.disk.mkdir()
        self.is_small = mount_small(self.disk)
        self.env = {k: v for k, v in os.environ.items() if not k.startswith("FLOWCTL_")} | {"NO_COLOR": "1", "RUST_BACKTRACE": "1"}
        if options.lake:
            self.env["FLOWCTL_LAKE"] = options.lake
        base = self.base = options.port or free_ports()
        self.postgres = Postgres(base + 90) if options.postgres else None
        self.servers, self.workers = {}, {}
        self.numbers = [0, 1] if self.postgres else [0]
        self.http = {n: Proxy(base + 10 + n, base + n, b"/report ") for n in self.numbers}
        self.store = {n: Proxy(base + 20 + n, base + 90, b"COMMIT") for n in self.numbers} if self.postgres else {}
        self.clocks = {n: 0.0 for n in self.numbers}

    def start(self):
        for number in self.numbers:
            self.serve(number)
        for name in ("1", "2", "3"):
            self.work(name)

    def spawn(self, args, env):
        log = open(self.folder / "processes.log", "ab")
        return subprocess.Popen([self.options.bin, *args], cwd=self.folder, env=self.env | {"FLOWCTL_LOG": "info"} | env, stdout=log, stderr=log)

    def serve(self, number):
        env = self.faked_time(number)
        if self.postgres:
            env["FLOWCTL_STORE"] = self.postgres.url(self.store[number].port)
        address = f"127.0.0.1:{self.base + number}"
        self.servers[number] = self.spawn(["serve", "flows", "--listen", address, "--slots", "2", "--grace", "5s"], env)

    def work(self, name):
        number = self.numbers[int(name.split("-")[0]) % len(self.numbers)]
        url = f"http://127.0.0.1:{self.http[number].port}"
        args = ["worker", "--server", url, "--slots", "2", "--name", name, "--labels", "zone=a", "--grace", "5s"]
        self.workers[name] = self.spawn(args, {})

    def faked_time(self, number):
        """Each server has a clock of its own, which can be set while it runs."""
        if not FAKETIME:
            return {}
        self.set_clock(number, self.clocks[number])
        return {"LD_PRELOAD": str(FAKETIME), "FAKETIME_TIMESTAMP_FILE": str(self.clock_file(number)),
                "FAKETIME_CACHE_DURATION": "1", "FAKETIME_DONT_FAKE_MONOTONIC": "1"}

    def clock_file(self, number):
        return self.folder / f"clock-{number}"

    def set_clock(self, number, ahead_s):
        self.clocks[number] = ahead_s
        self.clock_file(number).write_text(f"{ahead_s:+.1f}\n")

    def command(self, *args):
        env = {"FLOWCTL_STORE": self.postgres.url(self.postgres.port)} if self.postgres else {}
        output = subprocess.run([self.options.bin, *args], cwd=self.folder, env=self.env | env, capture_output=True, text=True)
        return output.returncode, output.stdout + output.stderr

    def rows(self, sql):
        """What the store holds, read beside flowctl."""
        for _ in range(100):
            try:
                return self.psql(sql) if self.postgres else self.sqlite(sql)
            except (sqlite3.OperationalError, subprocess.CalledProcessError) as error:
                last = error
                time.sleep(0.1)
        raise Broken(f"the store stays away: {last}")

    def sqlite(self, sql):
        with contextlib.closing(sqlite3.connect(f"file:{self.disk}/state.db?mode=ro", uri=True, timeout=5)) as store:
            return [[str(cell) for cell in row] for row in store.execute(sql)]

    def psql(self, sql):
        command = ["psql", "-XqAt", "-F", "\t", "-d", self.postgres.url(self.postgres.port), "-c", sql]
        output = subprocess.run(command, check=True, capture_output=True, text=True)
        return [line.split("\t") for line in output.stdout.splitlines()]

    def post(self, path):
        """Asks any server until one says yes."""
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            for number in self.numbers:
                request = urllib.request.Request(f"http://127.0.0.1:{self.base + number}{path}", data=b"", method="POST")
                try:
                    with urllib.request.urlopen(request, timeout=5):
                        return
                except OSError as error:
                    last = error
            time.sleep(0.1)
        raise Broken(f"POST {path}: {last}")

    def close(self):
        for process in [*self.servers.values(), *self.workers.values()]:
            process.kill()
        for process in [*self.servers.values(), *self.workers.values()]:
            process.wait()
        if self.postgres:
            self.postgres.close()

    def keep(self):
        """The small disk is gone with this process: what is on it goes beside it."""
        if self.is_small:
            shutil.copytree(self.disk, self.folder / "flowctl", dirs_exist_ok=True, ignore_dangling_symlinks=True)

    def forget(self):
        if self.is_small:
            subprocess.run(["umount", self.disk], check=False)
        shutil.rmtree(self.folder, ignore_errors=True)


def free_ports():
    """The first of a hundred ports of which none seems to be in use, below those that systems give away by themselves."""
    for base in random.SystemRandom().sample(range(12_000, 32_000, 100), 50):
        try:
            for port in (base, base + 1, base + 10, base + 11, base + 20, base + 21, base + 90):
                socket.create_server(("127.0.0.1", port)).close()
            return base
        except OSError:
            continue
    raise SystemExit("no hundred ports are free")


def mount_small(folder):
    """Puts a small disk there, in a mount namespace that ends with this process. False where that is not allowed."""
    if os.getuid() != 0 or ctypes.CDLL(None, use_errno=True).unshare(0x00020000) != 0:
        return False
    private = subprocess.run(["mount", "--make-rprivate", "/"], capture_output=True)
    small = ["mount", "-t", "tmpfs", "-o", f"size={SMALL_DISK_MIB}m", "small", folder]
    return private.returncode == 0 and subprocess.run(small, capture_output=True).returncode == 0
