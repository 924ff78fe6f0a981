"""What is broken in a round. Each fault ends before it answers, but for what stays dead; `later` mends that."""

import errno
import signal
import time

LEASE_S = 10
SERVER_LEASE_S = 3


def name(kind):
    return kind.__name__.replace("_", " ")


class Faults:
    def __init__(self, world):
        self.world, self.dice = world, world.dice
        self.kinds = [self.kill_worker, self.kill_server, self.stop_worker, self.stop_server, self.end_worker, self.end_server,
                      self.cut_workers, self.cut_reports, self.slow_network, self.swallow_requests, self.fill_disk, self.set_clock]
        for kind, is_possible, why in [(self.fill_disk, world.is_small, "only root mounts a small one"),
                                       (self.set_clock, world.faked_time(0), "faketime is not installed")]:
            if not is_possible:
                self.kinds.remove(kind)
                print(f"left out: {name(kind)}; {why}", flush=True)
        if world.postgres:
            self.kinds += [self.crash_postgres, self.cut_store, self.cut_commits, self.slow_store, self.swallow_store]
        if world.options.only:
            self.kinds = [kind for kind in self.kinds if name(kind) in world.options.only.split(",")]
        if not self.kinds:
            raise SystemExit("no such fault can be made here")
        self.bag = []

    def next(self):
        """Every kind comes up before one comes again."""
        if not self.bag:
            self.bag = self.dice.sample(self.kinds, len(self.kinds))
        return self.bag.pop()

    def some(self, things):
        return self.dice.choice(sorted(things))

    def kill_worker(self):
        worker = self.some(self.world.workers)
        self.world.workers[worker].kill()
        self.world.workers.pop(worker).wait()
        if self.dice.random() < 0.3:
            return self.world.work(worker)
        # Others have to find out by themselves.
        return lambda: self.world.work(worker)

    def kill_server(self):
        number = self.some(self.world.servers)
        self.world.servers[number].kill()
        self.world.servers[number].wait()
        if self.world.postgres and self.dice.random() < 0.5:
            return lambda: self.world.serve(number)
        return self.world.serve(number)

    def stop_worker(self):
        self.stop(self.world.workers[self.some(self.world.workers)], LEASE_S + 2)

    def stop_server(self):
        self.stop(self.world.servers[self.some(self.world.servers)], SERVER_LEASE_S + 2)

    def stop(self, process, seconds):
        process.send_signal(signal.SIGSTOP)
        time.sleep(seconds)
        process.send_signal(signal.SIGCONT)

    def end_worker(self):
        worker = self.some(self.world.workers)
        self.world.workers[worker].terminate()
        self.world.workers[worker].wait()
        self.world.work(worker)

    def end_server(self):
        number = self.some(self.world.servers)
        self.world.servers[number].terminate()
        self.world.servers[number].wait()
        self.world.serve(number)

    def cut_workers(self):
        for _ in range(5):
            self.world.http[self.some(self.world.http)].cut()
            time.sleep(self.dice.random() / 2)

    def cut_reports(self):
        self.cut_after_marker(self.world.http)

    def slow_network(self):
        self.slow(self.world.http)

    def swallow_requests(self):
        self.swallow(self.world.http, self.dice.choice([4, LEASE_S + 2]))

    def cut_store(self):
        for _ in range(5):
            self.world.store[self.some(self.world.store)].cut()
            time.sleep(self.dice.random() / 2)

    def cut_commits(self):
        self.cut_after_marker(self.world.store)

    def slow_store(self):
        self.slow(self.world.store)

    def swallow_store(self):
        self.swallow(self.world.store, SERVER_LEASE_S + 2)

    def cut_after_marker(self, proxies):
        proxy = proxies[self.some(proxies)]
        proxy.cuts_after_marker = True
        time.sleep(3)
        proxy.cuts_after_marker = False

    def slow(self, proxies):
        for proxy in proxies.values():
            proxy.delay_s = 0.1 + 0.3 * self.dice.random()
        time.sleep(4)
        for proxy in proxies.values():
            proxy.delay_s = 0.0

    def swallow(self, proxies, seconds):
        proxy = proxies[self.some(proxies)]
        proxy.hole = True
        time.sleep(seconds)
        if self.dice.random() < 0.5:
            proxy.cut()
        proxy.hole = False

    def crash_postgres(self):
        self.world.postgres.crash()
        time.sleep(2 * self.dice.random())
        self.world.postgres.start()

    def fill_disk(self):
        filler = self.world.disk / "filler"
        over = time.monotonic() + 4
        with open(filler, "wb", buffering=0) as file:
            while time.monotonic() < over:
                try:
                    file.write(bytes(1 << 20))
                except OSError as error:
                    if error.errno != errno.ENOSPC:
                        raise
                    time.sleep(0.05)
        filler.unlink()

    def set_clock(self):
        number = self.some(self.world.servers)
        self.world.set_clock(number, self.dice.choice([-3.0, -1.5, 0.0, 1.5, 3.0]))
        # It is looked at once a second.
        time.sleep(1.5)
