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
