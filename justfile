# One-word recipes. `just` lists them.

_default:
    @just --list --unsorted

# Exactly what continuous integration runs.
ci:
    .ci/run

# The tests, those that match if a filter is given: `just test 'test(store)'`.
test filter='all()':
    tests/with-postgres cargo nextest run --workspace -E '{{ filter }}'

# The store's suite on both databases.
store:
    tests/with-postgres cargo nextest run -p tests --test store_conformance

# Rounds of faults against servers and workers: `just chaos 100`, `just chaos 100 --postgres`. Needs a release build.
chaos rounds='10' *args='':
    python3 tests/chaos/run.py --rounds {{ rounds }} {{ args }}

# The dashboards of deploy/grafana, out of their sources.
dashboards:
    python3 deploy/grafana/make.py

# The rules of the house.
tidy:
    cargo nextest run -p tests --test tidy

# Formatting and lints.
lint:
    cargo fmt --all
    cargo clippy --workspace --all-targets -- -D warnings

# Licences, bans and advisories; needs cargo-deny.
deny:
    cargo deny check
