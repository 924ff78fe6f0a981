//! The ETL of `tests/bench/etl/flow.toml` on DataFusion alone: `bare_etl DATA OUT`. The same queries and the same ten
//! checks, each table written as Parquet files and read back; no catalogue, no history, no commit, no lineage.

use std::error::Error;
use std::path::Path;

use datafusion::config::TableParquetOptions;
use datafusion::dataframe::DataFrameWriteOptions;
use datafusion::prelude::{ParquetReadOptions, SessionContext};

/// A table: its query, and conditions of rows that should not be there (or a whole query, if it starts with `select`).
const TABLES: [(&str, &str, &[&str]); 5] = [
    (
        "lineitem",
        include_str!("../../../tests/bench/etl/lineitem.sql"),
        &[
            "l_orderkey is null or l_linenumber is null or net is null",
            "not l_quantity between 1 and 50",
            "l_returnflag not in ('A', 'N', 'R')",
        ],
    ),
    (
        "orders",
        include_str!("../../../tests/bench/etl/orders.sql"),
        &[
            "select 1 from orders group by o_orderkey having count(*) > 1",
            "o_custkey is null or o_orderdate is null",
            "o_orderstatus not in ('F', 'O', 'P')",
        ],
    ),
    (
        "customer",
        include_str!("../../../tests/bench/etl/customer.sql"),
        &["select 1 from customer group by c_custkey having count(*) > 1", "not c_acctbal between -1000 and 10000"],
    ),
    ("sales", include_str!("../../../tests/bench/etl/sales.sql"), &["c_mktsegment is null"]),
    (
        "revenue",
        include_str!("../../../tests/bench/etl/revenue.sql"),
        &["select 1 from revenue having count(*) not between 30 and 200"],
    ),
];

/// As in flowctl, so that only what flowctl does besides is compared.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let (Some(data), Some(out)) = (arguments.next(), arguments.next()) else {
        return Err("usage: bare_etl DATA OUT".into());
    };
    let cx = SessionContext::new();
    for table in ["lineitem", "orders", "customer"] {
        let file = format!("{data}/{table}.parquet");
        cx.register_parquet(format!("raw_{table}"), file, ParquetReadOptions::default()).await?;
    }
    for (table, query, checks) in TABLES {
        publish(&cx, table, query, Path::new(&out)).await?;
        for check in checks {
            assert_none(&cx, table, check).await?;
        }
    }
    Ok(())
}

async fn publish(cx: &SessionContext, table: &str, query: &str, out: &Path) -> Result<(), Box<dyn Error>> {
    let folder = format!("{}/", out.join(table).display());
    let mut options = TableParquetOptions::default();
    options.global.compression = Some("snappy".into());
    cx.sql(query).await?.write_parquet(&folder, DataFrameWriteOptions::new(), Some(options)).await?;
    cx.register_parquet(table, folder, ParquetReadOptions::default()).await?;
    Ok(())
}

async fn assert_none(cx: &SessionContext, table: &str, check: &str) -> Result<(), Box<dyn Error>> {
    let rows = match check.starts_with("select") {
        true => cx.sql(check).await?,
        false => cx.sql(&format!("select 1 from {table} where {check}")).await?,
    };
    match rows.count().await? {
        0 => Ok(()),
        bad => Err(format!("{table}: {check}: {bad} rows").into()),
    }
}
