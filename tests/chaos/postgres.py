"""A private PostgreSQL on a port of this machine, which can be crashed."""

import os
import pathlib
import pwd
import shutil
import subprocess
import tempfile


class Postgres:
    def __init__(self, port):
        found = sorted(pathlib.Path("/usr/lib/postgresql").glob("*/bin/pg_ctl"))
        if not found:
            raise SystemExit("no PostgreSQL server programs in /usr/lib/postgresql; hint: apt-get install postgresql")
        self.bin, self.port = found[-1].parent, port
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="flowctl-chaos-pg-"))
        # PostgreSQL refuses to run as root.
        self.user = "postgres" if os.getuid() == 0 else None
        if self.user:
            os.chown(self.folder, pwd.getpwnam(self.user).pw_uid, -1)
        self.run("initdb", "-U", "flowctl", "-A", "trust", "-E", "UTF8", "--locale=C.UTF-8", "--no-sync")
        self.start()

    def run(self, program, *args):
        command = [self.bin / program, "-D", self.folder / "data", *args]
        log = open(self.folder / "out", "ab")
        subprocess.run(command, check=True, cwd=self.folder, user=self.user, group=self.user, extra_groups=[] if self.user else None,
                       stdin=subprocess.DEVNULL, stdout=log, stderr=log)

    def start(self):
        options = f"-k {self.folder} -p {self.port} -c listen_addresses=127.0.0.1 -c max_connections=200"
        self.run("pg_ctl", "-w", "-t", "60", "-l", self.folder / "log", "-o", options, "start")

    def crash(self):
        self.run("pg_ctl", "-w", "-m", "immediate", "stop")

    def url(self, port):
        return f"postgres://flowctl@127.0.0.1:{port}/postgres"

    def close(self):
        try:
            self.crash()
        except (subprocess.CalledProcessError, OSError):
            pass
        shutil.rmtree(self.folder, ignore_errors=True)
