"""What must hold after every round."""

import time

from world import FLOWS, Broken

DATASETS = {"tick.first": "tick", "tick.last": "tick", "slow.t": "slow"}
STEP_MS = {"tick": 1_000, "slow": 5_000}


def open_runs(world):
    return dict(world.rows("select run_id, seq from runs where state in ('queued', 'running')"))


def succeeded(world):
    return {row[0] for row in world.rows("select run_id from runs where state = 'succeeded'")}


def recover(world, since, patience_s=60):
    """Waits until every run that was open has moved on and two more have succeeded. Answers how long after `since` that was."""
    before, waiting = succeeded(world), open_runs(world)
    while True:
        now = open_runs(world)
        waiting = {run: seq for run, seq in waiting.items() if now.get(run) == seq}
        if not waiting and len(succeeded(world) - before) >= 2:
            return time.monotonic() - since
        if time.monotonic() - since > patience_s:
            raise Broken(f"nothing moves any more; waiting: {waiting}")
        time.sleep(0.05)


def quiesce(world):
    """Holds the schedules until nothing runs."""
    for flow in FLOWS:
        world.post(f"/v1/flows/{flow}/pause")
    deadline, quiet_since = time.monotonic() + 60, None
    while not quiet_since or time.monotonic() - quiet_since < 0.7:
        quiet_since = None if open_runs(world) else quiet_since or time.monotonic()
        if time.monotonic() > deadline:
            raise Broken(f"runs stay open with nothing broken: {open_runs(world)}")
        time.sleep(0.1)


def resume(world):
    for flow in FLOWS:
        world.post(f"/v1/flows/{flow}/resume")


def judge(world):
    """Answers how many files of killed attempts were removed."""
    runs = world.rows("select flow, logical_time, state, run_id from runs order by flow, logical_time")
    problems = [f"run {run} of {flow} is {state}" for flow, _, state, run in runs if state != "succeeded"]
    for flow, step in STEP_MS.items():
        times = [int(row[1]) for row in runs if row[0] == flow]
        gaps = {after - before for before, after in zip(times, times[1:])}
        if gaps - {step}:
            problems.append(f"{flow}: between logical times lie {sorted(gaps)} ms instead of {step}")
    problems += rows_once(world, runs)
    effects = set((world.folder / "effects.txt").read_text().split())
    ticks = sum(row[0] == "tick" for row in runs)
    if len(effects) != ticks:
        problems.append(f"the program ran for {len(effects)} of {ticks} times")
    found, litter = fsck(world)
    if problems + found:
        raise Broken("\n".join((problems + found)[:20]))
    return litter


def rows_once(world, runs):
    """Every published table has a row for each run."""
    parts = [f"select '{name}' as name, count(*) as n, count(distinct at) as d from {name}" for name in DATASETS]
    code, text = world.command("query", " union all ".join(parts), "--format", "csv")
    if code != 0:
        return [f"query: {text}"]
    counts = {name: (int(n), int(d)) for name, n, d in (line.split(",") for line in text.splitlines()[1:])}
    wanted = {name: sum(row[0] == flow for row in runs) for name, flow in DATASETS.items()}
    return [f"{name}: {counts.get(name)} rows and times, {n} runs" for name, n in wanted.items() if counts.get(name) != (n, n)]


def fsck(world):
    code, text = world.command("fsck")
    # Files of attempts that were killed while they wrote are litter, not damage: a repair removes them.
    litter = text.count("orphan lake")
    if code != 0 and litter:
        world.command("fsck", "--repair")
        code, text = world.command("fsck")
    return ([f"fsck: {text}"] if code != 0 else []), litter
