"""Says when a cron schedule fires, slowly and plainly, to compare our schedules with.

    schedule_oracle.py < CASES        one JSON list of UTC times for each JSON line
    schedule_oracle.py --cases SEED COUNT    prints COUNT random lines to give to it

A line has cron, timezone, skipped ("run-after", "skip"), doubled ("once", "twice"), from and n; the answer is the first
n times after `from`. Written from the rules alone, not from our code. The zones are the system's, or `tzdata`'s where
the system has none (or where PYTHONTZPATH is empty).

Inside, an instant is a count of UTC seconds since 1970, a wall time is what the clock shows counted in the same way
(instant + offset), and a day is a count of days since 1970.
"""

import collections.abc
import dataclasses
import datetime
import functools
import itertools
import json
import random
import sys
import zoneinfo

DAY = 86400
EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)
STAMP = "%Y-%m-%dT%H:%M:%SZ"
WORDS = {
    "@hourly": "0 * * * *",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@weekly": "0 0 * * 0",
    "@monthly": "0 0 1 * *",
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
}
MONTHS = "jan feb mar apr may jun jul aug sep oct nov dec".split()
WEEKDAYS = "sun mon tue wed thu fri sat".split()
ZONES = """
Africa/Cairo Africa/Casablanca Africa/El_Aaiun Africa/Johannesburg Africa/Juba Africa/Khartoum Africa/Sao_Tome
Africa/Tripoli Africa/Windhoek America/Araguaina America/Asuncion America/Bogota America/Caracas America/Godthab
America/Havana America/Los_Angeles America/Mexico_City America/New_York America/Santiago America/Sao_Paulo
America/Scoresbysund America/St_Johns Antarctica/Casey Antarctica/Troll Asia/Amman Asia/Baku Asia/Beirut Asia/Damascus
Asia/Dhaka Asia/Gaza Asia/Hovd Asia/Jerusalem Asia/Kathmandu Asia/Kolkata Asia/Pyongyang Asia/Tehran Asia/Tokyo
Atlantic/Azores Australia/Adelaide Australia/Eucla Australia/Lord_Howe Europe/Berlin Europe/Chisinau Europe/Dublin
Europe/Istanbul Europe/Lisbon Europe/London Europe/Moscow Europe/Volgograd Pacific/Apia Pacific/Auckland
Pacific/Chatham Pacific/Easter Pacific/Fakaofo Pacific/Fiji Pacific/Norfolk Pacific/Tongatapu UTC
""".split()


def instant(text: str) -> int:
    return int(datetime.datetime.strptime(text, STAMP).replace(tzinfo=datetime.UTC).timestamp())


def at(seconds: int) -> datetime.datetime:
    return EPOCH + datetime.timedelta(seconds=seconds)


def date(day: int) -> datetime.date:
    return datetime.date(1970, 1, 1) + datetime.timedelta(days=day)


# Zones


def offset(zone: str, instant: int) -> int:
    return int(at(instant).astimezone(zoneinfo.ZoneInfo(zone)).utcoffset().total_seconds())


@functools.cache
def changes(zone: str, day: int) -> list[int]:
    """The instants of this UTC day at which the offset is another than a second before."""
    found = []
    for low in range(day * DAY - 1, (day + 1) * DAY - 1, 3600):
        high = low + 3600
        before = offset(zone, low)
        if offset(zone, high) == before:
            continue
        while high - low > 1:
            middle = (low + high) // 2
            if offset(zone, middle) == before:
                low = middle
            else:
                high = middle
        found.append(high)
    return found


# Schedules


def values(field: str, low: int, high: int, names: list[str]) -> list[int]:
    def number(text: str) -> int:
        # The names of the months count from 1, those of the days from 0.
        return names.index(text.lower()) + low if text.lower() in names else int(text)

    found = set()
    for item in field.split(","):
        span, slash, step = item.partition("/")
        first, dash, last = span.partition("-")
        if span == "*":
            start, end = low, high
        else:
            start = number(first)
            end = number(last) if dash else start
            if names is WEEKDAYS and last.lower() == "sun" and start > 0:
                end = 7
        if not low <= start <= end <= high or (slash and not (dash or span == "*")) or (slash and int(step) < 1):
            raise ValueError(f"bad item {item!r}")
        found.update(range(start, end + 1, int(step) if slash else 1))
    return sorted(found)


@dataclasses.dataclass
class Cron:
    times: list[int]  # in seconds since midnight
    days: set[int]
    months: set[int]
    weekdays: set[int]
    either_day: bool
    real_hours: bool

    def day_matches(self, day: int) -> bool:
        it = date(day)
        if it.month not in self.months:
            return False
        matches = it.day in self.days, it.isoweekday() % 7 in self.weekdays
        return any(matches) if self.either_day else all(matches)

    def walls(self, low: int, high: int) -> collections.abc.Iterator[int]:
        """The wall times that match, low <= wall < high, in order."""
        for day in range(low // DAY, high // DAY + 1):
            if self.day_matches(day):
                yield from (day * DAY + time for time in self.times if low <= day * DAY + time < high)


def parse(text: str) -> Cron:
    fields = WORDS.get(text, text).split()
    if len(fields) == 5:
        fields.insert(0, "0")
    second, minute, hour, day, month, weekday = fields
    clock = itertools.product(values(hour, 0, 23, []), values(minute, 0, 59, []), values(second, 0, 59, []))
    return Cron(
        times=[h * 3600 + m * 60 + s for h, m, s in clock],
        days=set(values(day, 1, 31, [])),
        months=set(values(month, 1, 12, MONTHS)),
        weekdays={value % 7 for value in values(weekday, 0, 7, WEEKDAYS)},
        either_day=not day.startswith("*") and not weekday.startswith("*"),
        real_hours=hour.startswith("*"),
    )


def fires(cron: Cron, zone: str, skipped: str, doubled: str, after: int) -> collections.abc.Iterator[int]:
    """The instants after `after`, in order; one may come twice in a row."""
    # Starting days before, so that a change shortly before `after` is seen. The calendar repeats after 400 years.
    first = after // DAY - 3
    shown = -sys.maxsize  # every wall time before this one has been shown by the clock, or has been skipped
    for day in range(first, first + 146100):
        # What the clock shows, or skips, during a UTC day is at most two days away from it.
        if not any(map(cron.day_matches, range(day - 2, day + 3))):
            continue
        bounds = sorted({day * DAY, *changes(zone, day), (day + 1) * DAY})
        for start, end in itertools.pairwise(bounds):
            before, now = offset(zone, start - 1), offset(zone, start)
            shown = max(shown, start + before)
            if not cron.real_hours and skipped == "run-after" and start > after:
                # A gap, if the clock went forward; else this is empty.
                if any(True for wall in cron.walls(start + before, start + now)):
                    yield start
            for wall in cron.walls(max(start, after + 1) + now, end + now):
                if cron.real_hours or doubled == "twice" or wall >= shown:
                    yield wall - now


def answer(case: dict) -> list[str]:
    if case["skipped"] not in ("run-after", "skip") or case["doubled"] not in ("once", "twice"):
        raise ValueError(f"bad setting in {case}")
    every = fires(parse(case["cron"]), case["timezone"], case["skipped"], case["doubled"], instant(case["from"]))
    unique = (time for time, _ in itertools.groupby(every))
    return [at(time).strftime(STAMP) for time in itertools.islice(unique, case["n"])]


# Random cases


@functools.cache
def known_changes(zone: str) -> dict[int, list[int]]:
    """The changes from 2005 to 2030 by how far the clock moved, so that the rare kinds can be chosen as often."""
    kinds: dict[int, list[int]] = {}
    for day in range(instant("2005-01-01T00:00:00Z") // DAY, instant("2031-01-01T00:00:00Z") // DAY):
        if offset(zone, day * DAY - 1) != offset(zone, (day + 1) * DAY - 1):
            for change in changes(zone, day):
                kinds.setdefault(offset(zone, change) - offset(zone, change - 1), []).append(change)
    return kinds


def random_cron(rng: random.Random, aim: datetime.datetime) -> str:
    """A cron that often fires around the wall time `aim`."""

    def hour() -> int:
        return rng.choice([aim.hour] * 6 + [0, 1, 2, 3, rng.choice([22, 23]), rng.randrange(24)])

    def minute() -> int:
        return rng.choice([0, 0, 15, 30, 45, 5, rng.randrange(60)])

    def several(one, most: int = 4) -> str:
        return ",".join(map(str, sorted({one() for _ in range(rng.randint(2, most))})))

    def span(low: int, high: int) -> str:
        start = rng.randint(low, high - 1)
        step = rng.choice(["", "", "/2", "/3"])
        return f"{start}-{rng.randint(start + 1, high)}{step}"

    def mixed(name: str) -> str:
        return rng.choice([name, name.upper(), name.title()])

    def hours() -> str:
        early = rng.choice(["0-4/2", "0-3", "1-5/2", "2-4", "0-23/3", "0-23", "20-23", "0-4/2,22-23"])
        return rng.choice([str(hour())] * 3 + [several(hour), several(hour), early, early, span(0, 23)])

    def minutes() -> str:
        some = rng.choice(["*/15", "*/20", "*", "0-30/10", span(0, 59)])
        return rng.choice([str(minute()), str(minute()), str(minute()), several(minute), some])

    def real_hours() -> str:
        return rng.choice(["*", "*", "*/2", "*/3", "*/6", "*/12", f"*/5,{hour()}"])

    def day_of_month() -> str:
        def one() -> int:
            return rng.choice([aim.day, aim.day, 1, 15, 31, rng.randint(1, 31)])

        return rng.choice([str(one()), several(one), span(1, 31), "*/2", "*/5", "1-7", "*/10,3"])

    def weekday() -> str:
        def one() -> str:
            number = rng.choice([aim.isoweekday(), aim.isoweekday() % 7, rng.randint(0, 7)])
            return rng.choice([str(number), mixed(WEEKDAYS[number % 7])])

        low, high = rng.choice([("mon", "fri"), ("fri", "sun"), ("sun", "tue"), ("sat", "sun"), ("tue", "thu")])
        names = f"{mixed(low)}-{mixed(high)}"
        return rng.choice([one(), one(), f"{one()},{one()}", names, names + "/2", "5-7", "0-2", "*/2", "*/3"])

    def months() -> str:
        one, other = rng.choice([aim.month, rng.randint(1, 12)]), rng.randint(1, 12)
        name, low, high = MONTHS[one - 1], MONTHS[min(one, other) - 1], MONTHS[max(one, other) - 1]
        span = f"{mixed(low)}-{mixed(high)}"
        return rng.choice([str(one), mixed(name), f"{mixed(name)},{other}", span, span + "/2", "*/3", "*/2"])

    kind = rng.choices(["word", "fixed", "real", "seconds", "days", "month"], [5, 40, 15, 10, 25, 5])[0]
    if kind == "word":
        return rng.choice(list(WORDS))
    if kind == "fixed":
        return f"{minutes()} {hours()} * * *"
    if kind == "real":
        return f"{minutes()} {real_hours()} * * *"
    if kind == "seconds":
        second = rng.choice(["0", "30", "59", "0,30", "*/20", "5-50/15", "*", str(rng.randrange(60))])
        return f"{second} {minutes()} {rng.choice([hours(), hours(), real_hours()])} * * *"
    clock = f"{minutes()} {rng.choice([hours(), hours(), hours(), real_hours()])}"
    if kind == "days":
        return clock + rng.choice([f" {day_of_month()} * *", f" * * {weekday()}", f" {day_of_month()} * {weekday()}"])
    # A day that every month has.
    day = rng.choice(["*", "*/2", str(min(aim.day, 28)), str(rng.randint(1, 28))])
    return f"{clock} {day} {months()} {rng.choice(['*', '*', weekday()])}"


def random_case(rng: random.Random) -> dict:
    zone = rng.choice(ZONES)
    kinds = known_changes(zone)
    if kinds and rng.randrange(3):
        change = rng.choice(kinds[rng.choice(sorted(kinds))])
        # The first wall time that was skipped, or shown again.
        aim = change + min(offset(zone, change - 1), offset(zone, change))
        # Mostly up to four days before, but a dense schedule gets to the change only from close by.
        far, near, around = rng.randint(-4 * DAY, 0), rng.randint(-DAY // 2, 0), rng.randint(-7200, 7200)
        start = change + rng.choice([far, far, far, far, near, near, around, around, -1, 0])
    else:
        start = rng.randint(instant("2005-01-01T00:00:00Z"), instant("2030-12-31T23:59:59Z"))
        aim = start + offset(zone, start) + DAY
    return {
        "cron": random_cron(rng, at(aim)),
        "timezone": zone,
        "skipped": rng.choice(["run-after", "skip"]),
        "doubled": rng.choice(["once", "twice"]),
        "from": at(start).strftime(STAMP),
        "n": rng.randint(1, 12),
    }


def main() -> None:
    if sys.argv[1:2] == ["--cases"]:
        seed, count = map(int, sys.argv[2:])
        rng = random.Random(seed)
        for _ in range(count):
            print(json.dumps(random_case(rng)))
        return
    for line in sys.stdin:
        print(json.dumps(answer(json.loads(line))), flush=True)


if __name__ == "__main__":
    main()
