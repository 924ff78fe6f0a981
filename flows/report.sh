#!/bin/sh
# Writes report-MONTH.html and carriers-MONTH.csv from the published tables. Needs a POSIX shell and nothing else:
# the figures are asked for with `flowctl query`, which also reads plain Parquet folders.
set -eu
month=$1
out=$FLOWCTL_OUTPUT_DIR

quoted() { printf "'%s/'" "$(printf '%s' "${1%/}" | sed "s/'/''/g")"; }
daily=$(quoted "$FLOWCTL_INPUT_DAILY")
ranking=$(quoted "$FLOWCTL_INPUT_RANKING")

query() { "$FLOWCTL_BIN" query "$1" --format csv; }

# The rows of a query with one column of text, without the header and CSV's quotes.
lines() { query "$1" | sed -e 1d -e 's/^"\(.*\)"$/\1/' -e 's/""/"/g'; }

query "
select carrier, airline, sum(scheduled) as scheduled, sum(departed) as departed, sum(cancelled) as cancelled,
       sum(delayed) as delayed, round(cast(sum(delay_minutes) as double) / nullif(sum(departed), 0), 2) as mean_delay
from $daily
where month = '$month'
group by carrier, airline
order by scheduled desc, carrier" >"$out/carriers-$month.csv"

carriers="
with carriers as (
    select airline, sum(scheduled) as scheduled, sum(cancelled) as cancelled,
           coalesce(cast(100 * sum(delayed) as double) / nullif(sum(departed), 0), 0) as late
    from $daily
    where month = '$month'
    group by airline
)
select '<tr><td>' || replace(airline, '&', '&amp;') || '</td><td>' || scheduled || '</td><td>' || cancelled
       || '</td><td><meter max=50 value=' || round(late, 1) || '></meter> ' || round(late, 1) || ' %</td></tr>'
from carriers
order by scheduled desc, airline"

airports="
select '<tr><td>' || place || '</td><td>' || replace(coalesce(airport, dest), '&', '&amp;') || '</td><td>' || arrivals
       || '</td><td>' || mean_delay || '</td><td>' || round(100 * share_so_far, 1) || ' %</td></tr>'
from $ranking
where month = '$month'
order by place, dest
limit 15"

{
    cat <<HTML
<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Departures from New York, $month</title>
<style>
body { font: 16px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 46rem; padding: 0 1rem; }
table { border-collapse: collapse; width: 100%; }
th, td { border-bottom: 1px solid #8884; padding: .25rem .5rem; text-align: right; }
th { font-weight: 600; }
.carriers :is(th, td):first-child, .airports :is(th, td):nth-child(2) { text-align: left; }
meter { width: 6rem; }
</style>
<h1>Departures from New York, $month</h1>
<h2>Carriers</h2>
<table class="carriers">
<tr><th>airline<th>scheduled<th>cancelled<th>15 minutes late or more</tr>
HTML
    lines "$carriers"
    cat <<HTML
</table>
<h2>Where arrivals were latest</h2>
<table class="airports">
<tr><th>#<th>airport<th>arrivals<th>mean delay, minutes<th>of all late minutes, so far</tr>
HTML
    lines "$airports"
    echo "</table></html>"
} >"$out/report-$month.html"
