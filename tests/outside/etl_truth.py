"""Compares the tables that flows/etl.toml published with what DuckDB computes from the raw files.

    etl_truth.py LAKE DATA MONTH [PUBLISHED_MONTH…]

LAKE holds the Delta tables, DATA the raw files; MONTH is that of the last run, the others those that ran before it.
Each table is read twice, by DuckDB's Delta reader and by the `deltalake` package. Exits 1 and prints up to five rows
on each side where they differ. The expectations are written from the flow's description, not from its SQL.
"""

import pathlib
import sys

import deltalake
from duck import connect
from leave import leave

SOURCES = """
create view raw as
    select *, strftime(make_date(year, month, day), '%Y-%m') as ym
    from read_csv('{data}/flights/*.csv.gz', nullstr = 'NA', types = {{'tailnum': 'VARCHAR'}});
create view w as from read_csv('{data}/weather.csv.gz', nullstr = 'NA');
create view p as from read_csv('{data}/planes.csv', nullstr = 'NA');
create view air as from read_csv('{data}/airports.csv', nullstr = 'NA');
create view line as from read_csv('{data}/airlines.csv');
create table left_ground as
    select ym as month, (ym || '-' || lpad(day::varchar, 2, '0'))::date as day, time_hour::timestamp as time_hour,
           carrier, flight, tailnum, origin, dest, dep_delay, arr_delay, air_time, distance
    from raw where dep_time is not null;
create table hours as
    select origin, time_hour::timestamp as time_hour, temp, wind_speed, precip, visib,
           ((wind_speed >= 25 and wind_speed <= 200) or precip > 0.1 or visib < 2) as rough
    from w;
create table fleet as
    select tailnum, year as built,
           regexp_replace(regexp_replace(manufacturer, '^AIRBUS.*', 'AIRBUS'),
                          '^MCDONNELL DOUGLAS.*', 'MCDONNELL DOUGLAS') as manufacturer,
           model, seats
    from p;
create table joined as
    select l.*, h.temp, h.precip, h.visib, if(h.wind_speed > 200, null, h.wind_speed) as wind_speed, h.rough,
           f.manufacturer, f.built, f.seats
    from left_ground l
    left join hours h using (origin, time_hour)
    left join fleet f using (tailnum);
create table days as
    select raw.ym as month, make_date(raw.year, raw.month, raw.day) as day, raw.carrier, any_value(line.name) as airline,
           count(*) as scheduled, count(dep_time) as departed, count(*) - count(dep_time) as cancelled,
           count(*) filter (dep_delay > 14) as delayed,
           count(*) filter (dep_time is not null and h.rough) as in_rough_weather,
           coalesce(sum(dep_delay), 0)::bigint as delay_minutes,
           round(sum(dep_delay) / count(dep_time), 2) as mean_delay
    from raw
    left join line on line.carrier = raw.carrier
    left join hours h on h.origin = raw.origin and h.time_hour = raw.time_hour::timestamp
    group by all;
create table arrived as select month, dest, carrier, arr_delay from left_ground where arr_delay is not null;
create table places as
    with big as (
        select month, dest, count(*) as arrivals, round(avg(arr_delay), 2) as mean_delay,
               sum(if(arr_delay > 0, arr_delay, 0))::bigint as late_minutes
        from arrived group by all having arrivals > 29
    ), means as (select month, dest, carrier, avg(arr_delay) as mean from arrived group by all)
    select month,
           (select 1 + count(*) from big b where b.month = big.month and b.mean_delay > big.mean_delay) as place,
           dest, (select name from air where faa = dest) as airport, arrivals, mean_delay,
           round(mean_delay - (select avg(mean_delay) from big b where b.month = big.month), 2) as above_average,
           late_minutes,
           round((select sum(late_minutes) from big b
                  where b.month = big.month and (b.mean_delay, big.dest) >= (big.mean_delay, b.dest))::double
                 / (select sum(late_minutes) from big b where b.month = big.month), 4) as share_so_far,
           (select carrier from means m where m.month = big.month and m.dest = big.dest
            order by mean desc, carrier limit 1) as slowest_carrier
    from big;
"""

LAST_RUN = "where month = '{month}'"
ALL_RUNS = "where month in ({months})"
EXPECTED = {
    "flights": f"from left_ground {LAST_RUN}",
    "weather": "from hours",
    "planes": "from fleet",
    "departures": f"from joined {LAST_RUN}",
    "daily": f"from days {ALL_RUNS}",
    "ranking": f"from places {ALL_RUNS}",
}


def differences(duck, ours: str, theirs: str) -> list:
    """Rows that one side has more often than the other, columns matched by name."""
    names = [name for name, *_ in duck.execute(f"describe {theirs}").fetchall()]
    published = [name for name, *_ in duck.execute(f"describe {ours}").fetchall()]
    if sorted(names) != sorted(published):
        return [("columns", sorted(published), "expected", sorted(names))]
    # Rounded means may end on either side of a half: equal within the last digit that is shown.
    kinds = {name: kind for name, kind, *_ in duck.execute(f"describe {theirs}").fetchall()}
    shown = ", ".join(f"round({n}, 1) as {n}" if n == "above_average" else n for n in names)
    sides = [f"(select {shown} from ({query}))" for query in (ours, theirs)]
    found = []
    for label, (a, b) in (("published only", sides), ("expected only", reversed(sides))):
        rows = duck.execute(f"select * from {a} except all select * from {b} limit 5").fetchall()
        found += [(label, dict(zip(kinds, row))) for row in rows]
    return found


def main() -> int:
    lake, data, month, *before = sys.argv[1:]
    duck = connect("delta")
    duck.execute(SOURCES.format(data=data))
    months = ", ".join(f"'{m}'" for m in {month, *before})
    wrong = 0
    for table, query in EXPECTED.items():
        expected = query.format(month=month, months=months)
        path = pathlib.Path(lake) / "etl" / table
        arrow = deltalake.DeltaTable(path).to_pyarrow_table()
        duck.register("arrow", arrow)
        naive = "replace(time_hour::timestamp as time_hour)" if "time_hour" in arrow.column_names else ""
        readers = {"duckdb": f"from delta_scan('{path}')", "deltalake": "from arrow"}
        for reader, ours in readers.items():
            found = differences(duck, f"select * {naive} {ours}", f"select * {expected}")
            count = duck.execute(f"select count(*) {ours}").fetchone()[0]
            print(f"{'DIFFERS' if found else 'equal'}: {table}, {count} rows read by {reader}")
            wrong += bool(found)
            for row in found:
                print("   ", *row)
    return 1 if wrong else 0


if __name__ == "__main__":
    leave(main())
