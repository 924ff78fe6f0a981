"""Rounds of faults against real processes: run.py [--bin BINARY] [--postgres] [--rounds N] [--seed S] [--only KINDS] [--lake URL]

One server and three workers on SQLite, or two servers and three workers on a PostgreSQL of their own, run two flows by
their schedules, one of them every second. Every round breaks something (see faults.py), waits until all has recovered, holds
the schedules, and looks whether everything that was due has happened once: a run for each logical time, each succeeded, a
row for each in the published tables, nothing found by `fsck`. Ends with 1 and the folder's name if not.

Needs Python's standard library. For PostgreSQL: Debian's postgresql and postgresql-client. Clocks are set with Debian's
faketime, full disks need root; without them the rounds go on without these faults.
"""

import argparse
import pathlib
import signal
import statistics
import sys
import tempfile
import time

import faults
import judge
from world import Broken, World


def go(world, rounds):
    """Answers (kind, seconds that the fault lasted, seconds to recover) of each round, and the litter."""
    bag, seen, litter = faults.Faults(world), [], 0
    for number in range(rounds):
        time.sleep(2 * world.dice.random())
        kind = bag.next()
        began = time.monotonic()
        later = kind()
        ended = time.monotonic()
        name = faults.name(kind)
        try:
            recovered = judge.recover(world, ended)
            if later:
                later()
            judge.quiesce(world)
            litter += judge.judge(world)
        except Broken as broken:
            raise SystemExit(f"round {number + 1}, {name}, seed {world.options.seed}: {broken}\nsee {world.folder}") from None
        judge.resume(world)
        seen.append((name, ended - began, recovered))
        print(f"{time.strftime('%H:%M:%S')} {number + 1:4} {name:18} lasted {ended - began:5.1f} s, recovered in {recovered:5.1f} s", flush=True)
    return seen, litter


def share(sorted_values, part):
    return sorted_values[min(len(sorted_values) - 1, int(len(sorted_values) * part))]


def report(world, seen, litter):
    store = "PostgreSQL, two servers" if world.postgres else "SQLite, one server"
    print(f"\n{len(seen)} rounds on {store}, three workers, seed {world.options.seed}")
    print("A round that loses or doubles anything would have ended this with 1. Seconds that faults lasted, and to recover:")
    print(f"{'fault':18} {'rounds':>6} {'lasted':>7} {'median':>7} {'99 %':>6} {'most':>6}")
    kinds = sorted({name for name, _, _ in seen})
    for kind in [*kinds, "all"]:
        lasted = [seconds for name, seconds, _ in seen if kind in (name, "all")]
        slow = sorted(seconds for name, _, seconds in seen if kind in (name, "all"))
        print(f"{kind:18} {len(slow):6} {statistics.median(lasted):7.1f} {statistics.median(slow):7.1f} {share(slow, 0.99):6.1f} {slow[-1]:6.1f}")
    runs = len(judge.succeeded(world))
    repeated = len((world.folder / "effects.txt").read_text().split()) - int(world.rows("select count(*) from runs where flow = 'tick'")[0][0])
    print(f"{runs} runs, each time once; {repeated} program runs repeated, {litter} files of killed attempts removed; fsck found nothing else")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--bin", default="target/release/flowctl")
    parser.add_argument("--postgres", action="store_true", help="two servers on a PostgreSQL of their own, instead of SQLite")
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", help="these kinds of faults, with commas: \"kill server,fill disk\"")
    parser.add_argument("--port", type=int, help="the first of a hundred ports; free ones are found otherwise")
    parser.add_argument("--keep", action="store_true", help="leave the folder with the logs, however it ends")
    parser.add_argument("--lake", help="the URL of a lake in an object store that AWS_ENDPOINT_URL and so on lead to, instead of a folder")
    parser.add_argument("--dir", default=tempfile.gettempdir())
    options = parser.parse_args()
    # Whoever ends this ends what it has started.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    options.bin = str(pathlib.Path(options.bin).resolve())
    world = World(options)
    try:
        world.start()
        judge.recover(world, time.monotonic())
        report(world, *go(world, options.rounds))
    except BaseException:
        world.close()
        world.keep()
        raise
    world.close()
    if options.keep:
        world.keep()
        print(f"see {world.folder}")
    else:
        world.forget()


if __name__ == "__main__":
    main()
