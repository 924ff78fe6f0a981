//! Random queries whose columns are integers called `c0`, `c1`, … and whose results depend on the data only,
//! never on the order in which rows happen to come.

use crate::world::Dice;

pub fn query(dice: &mut Dice) -> String {
    relation(dice, 3).0
}

/// A query and how many columns it has.
fn relation(dice: &mut Dice, depth: usize) -> (String, usize) {
    if depth == 0 {
        let table = *dice.of(&[
            ("select a as c0, b as c1 from t", 2),
            ("select k as c0, v as c1, w as c2 from u", 3),
            ("select a as c0, p as c1 from x", 2),
        ]);
        return (table.0.to_owned(), table.1);
    }
    let (inner, width) = relation(dice, depth - 1);
    match dice.below(10) {
        0 | 1 => projected(dice, &inner, width),
        2 => (format!("select * from ({inner}) q where {}", condition(dice, width)), width),
        3 => joined(dice, &inner, width, depth),
        4 => grouped(dice, &inner, width),
        5 => windowed(dice, &inner, width),
        6 => combined(dice, &inner, depth),
        7 => (format!("select distinct c0, {} as c1 from ({inner}) q", value(dice, width)), 2),
        8 => limited(dice, &inner, width),
        _ => {
            let column = dice.below(width);
            let order: String =
                (0..width).filter(|&other| other != column).map(|other| format!(", q.c{other}")).collect();
            (format!("select distinct on (c{column}) * from ({inner}) q order by c{column}{order}"), width)
        }
    }
}

fn all(alias: &str, width: usize) -> String {
    (0..width).map(|column| format!("{alias}.c{column}")).collect::<Vec<_>>().join(", ")
}

fn projected(dice: &mut Dice, inner: &str, width: usize) -> (String, usize) {
    let wanted = 2 + dice.below(2);
    let values: Vec<String> = (0..wanted).map(|column| format!("{} as c{column}", value(dice, width))).collect();
    (format!("select {} from ({inner}) q", values.join(", ")), wanted)
}

fn value(dice: &mut Dice, width: usize) -> String {
    let (one, two, three) = (dice.below(width), dice.below(width), dice.below(width));
    match dice.below(10) {
        0..3 => format!("q.c{one}"),
        3 => format!("q.c{one} + q.c{two}"),
        4 => format!("case when q.c{one} > q.c{two} then q.c{three} else 1 end"),
        5 => format!("coalesce(q.c{one}, q.c{two})"),
        6 => format!("nullif(q.c{one}, q.c{two})"),
        7 => format!("(select max(v) from u where u.k = q.c{one})"),
        8 => format!("cast(q.c{one} in (select p from x where x.a > 1) as bigint)"),
        _ => "7".to_owned(),
    }
}

fn condition(dice: &mut Dice, width: usize) -> String {
    let (one, two, number) = (dice.below(width), dice.below(width), dice.below(4));
    match dice.below(6) {
        0 => format!("q.c{one} > {number}"),
        1 => format!("q.c{one} <= q.c{two}"),
        2 => format!("q.c{one} is null or q.c{two} = {number}"),
        3 => format!("exists (select 1 from u where u.k = q.c{one} and u.w > 1)"),
        4 => format!("q.c{one} in (select b from t)"),
        _ => format!("not exists (select 1 from x where x.p = q.c{one})"),
    }
}

fn joined(dice: &mut Dice, inner: &str, width: usize, depth: usize) -> (String, usize) {
    let (other, other_width) = relation(dice, depth - 1);
    let kind = *dice.of(&["", "left", "right", "full"]);
    let on = format!("q.c{} = r.c{}", dice.below(width), dice.below(other_width));
    let extra = if dice.below(3) == 0 { format!(" and q.c{} > r.c0", dice.below(width)) } else { String::new() };
    let columns = format!("q.c{} as c0, r.c{} as c1", dice.below(width), dice.below(other_width));
    (format!("select {columns} from ({inner}) q {kind} join ({other}) r on {on}{extra}"), 2)
}

fn grouped(dice: &mut Dice, inner: &str, width: usize) -> (String, usize) {
    let (key, one, two) = (dice.below(width), dice.below(width), dice.below(width));
    let aggregate = *dice.of(&["sum", "min", "max", "count"]);
    let having = if dice.below(3) == 0 { format!(" having max(q.c{two}) > 1") } else { String::new() };
    let filter = if dice.below(3) == 0 { format!(" filter (where q.c{two} > 1)") } else { String::new() };
    let group = *dice.of(&["", "rollup ", "cube "]);
    let values = format!("q.c{key} as c0, {aggregate}(q.c{one}){filter} as c1, count(*) as c2");
    (format!("select {values} from ({inner}) q group by {group}(q.c{key}){having}"), 3)
}

fn windowed(dice: &mut Dice, inner: &str, width: usize) -> (String, usize) {
    let (one, two, three) = (dice.below(width), dice.below(width), dice.below(width));
    let window = *dice.of(&["partition by", "order by"]);
    let function = *dice.of(&["sum", "min", "count"]);
    let ranked = format!("cast(rank() over (order by q.c{three}) as bigint) as c2");
    let values = format!("q.c{one} as c0, {function}(q.c{two}) over ({window} q.c{three}) as c1, {ranked}");
    (format!("select {values} from ({inner}) q"), 3)
}

fn combined(dice: &mut Dice, inner: &str, depth: usize) -> (String, usize) {
    let (other, _) = relation(dice, depth - 1);
    let operation = *dice.of(&["union", "union all", "intersect", "except"]);
    (format!("select q.c0, q.c1 from ({inner}) q {operation} select r.c1, r.c0 from ({other}) r"), 2)
}

fn limited(dice: &mut Dice, inner: &str, width: usize) -> (String, usize) {
    let (order, limit) = (all("q", width), 1 + dice.below(6));
    (format!("select * from (select * from ({inner}) q order by {order} limit {limit}) q"), width)
}
