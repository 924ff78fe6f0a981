"""Flows of any size, as text: flows.py SHAPE COUNT prints one."""

import sys


def _flow(tasks) -> str:
    return 'name = "bench"\n\n' + "\n".join(tasks)


def _noop(name: str, after: list[str]) -> str:
    return f'[tasks.{name}]\nkind = "noop"\nafter = [{", ".join(repr(a) for a in after)}]\n'


def _sql(name: str, query: str) -> str:
    return f"[tasks.{name}]\nsql = '''{query}'''\n"


def noops_in_a_chain(count: int) -> str:
    return _flow(_noop(f"t{n}", [f"t{n - 1}"] if n else []) for n in range(count))


def noops_in_a_fan(count: int) -> str:
    """One task, `count` that follow it, and one that follows them all."""
    middle = [f"t{n}" for n in range(count)]
    tasks = [_noop("first", []), *(_noop(name, ["first"]) for name in middle), _noop("last", middle)]
    return _flow(tasks)


def tables_in_a_chain(count: int) -> str:
    first = _sql("t0", "select 1 as n")
    return _flow([first, *(_sql(f"t{n}", f"select n + 1 as n from t{n - 1}") for n in range(1, count))])


def tables(count: int) -> str:
    """Independent tasks that each publish one row."""
    return _flow(_sql(f"t{n}", f"select {n} as n") for n in range(count))


def queries_in_layers(count: int) -> str:
    """Tasks that each join two of an earlier layer of 50, filter and aggregate: what `check` has to type."""
    layer = 50
    tasks = [_sql(f"t{n}", f"select {n} as id, 'x' as word, 1.5 as price") for n in range(min(layer, count))]
    for n in range(layer, count):
        start = n // layer * layer - layer
        left, right = start + n % layer, start + (n + 1) % layer
        query = (
            f"select a.id, max(b.word) as word, sum(a.price * b.price) as price "
            f"from t{left} a left join t{right} b on b.id = a.id where a.price > 0 group by a.id"
        )
        tasks.append(_sql(f"t{n}", query))
    return _flow(tasks)


if __name__ == "__main__":
    shapes = [noops_in_a_chain, noops_in_a_fan, tables_in_a_chain, tables, queries_in_layers]
    print({shape.__name__: shape for shape in shapes}[sys.argv[1]](int(sys.argv[2])), end="")
