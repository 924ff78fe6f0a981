//! One suite for the store, on SQLite and on PostgreSQL. `tests/with-postgres` starts the latter.

mod datasets;
mod fsck;
mod journal;
mod keys;
mod killed;
mod late;
mod limits;
mod opening;
mod same_history;
mod tokens;
mod world;

/// Makes every test twice: once per database.
#[macro_export]
macro_rules! on_both {
    ($($name:ident),* $(,)?) => {
        mod sqlite {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() {
                super::$name($crate::world::World::sqlite()).await;
            })*
        }
        mod postgres {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() {
                if let Some(world) = $crate::world::World::postgres() {
                    super::$name(world).await;
                }
            })*
        }
    };
}
