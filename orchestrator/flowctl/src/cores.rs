//! The threads that read tables and compile flows, apart from those that decide and answer.

use std::pin::Pin;

use tokio::runtime::Handle;
use tokio::task::JoinSet;

/// Does `work` on `cores`, as long as somebody waits for it.
///
/// Boxed, so that who waits for it need not know what it is made of. For the same reason no body under `async_trait`
/// calls it: there `Send` is proven anew for every type of every query, which took the compiler longer than all else in
/// this crate.
pub fn on<T: Send + 'static>(
    cores: &Handle,
    work: impl Future<Output = T> + Send + 'static,
) -> Pin<Box<dyn Future<Output = Result<T, String>> + Send>> {
    let mut one = JoinSet::new();
    one.spawn_on(work, cores);
    Box::pin(async move {
        match one.join_next().await {
            Some(Ok(done)) => Ok(done),
            Some(Err(error)) => Err(format!("it ended badly: {error}")),
            None => Err("it was broken off".to_owned()),
        }
    })
}
