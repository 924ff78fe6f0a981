//! Where queries compute: each on threads of its own, so that one that never yields holds up nobody but itself.

use std::io;
use std::panic;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use flow::wire::Failure;
use tokio::runtime::{Handle, Runtime};
use tokio::task::JoinSet;
use tracing::{Instrument as _, Span};

/// More runtimes than that are not kept for later.
const KEPT_MAX: usize = 64;

/// Makes a runtime with threads enough for one query.
pub type Make = dyn Fn() -> io::Result<Runtime> + Send + Sync;

/// Runtimes, lent to one query at a time. Cheap to clone.
#[derive(Clone)]
pub struct Lanes(Arc<Pool>);

struct Pool {
    make: Box<Make>,
    /// Those that are not lent. What was given up may still be computing on some of them.
    kept: Mutex<Vec<Runtime>>,
}

/// A runtime that is given back when this is dropped.
struct Lane {
    handle: Handle,
    runtime: Option<Runtime>,
    pool: Arc<Pool>,
}

impl Lanes {
    /// Lanes that `make` makes when they are needed.
    pub fn new(make: impl Fn() -> io::Result<Runtime> + Send + Sync + 'static) -> Self {
        Lanes(Arc::new(Pool { make: Box::new(make), kept: Mutex::default() }))
    }

    /// Computes on a lane. Dropping this gives the work up: nobody waits for what does not yield.
    ///
    /// Boxed, so that who waits for it need not know what it is made of. For the same reason no body under
    /// `async_trait` calls it: there `Send` is proven anew for every type of every query, which took the compiler longer
    /// than all else in this crate.
    ///
    /// # Errors
    /// There are no more threads to be had.
    pub fn run<T: Send + 'static>(
        &self,
        work: impl Future<Output = T> + Send + 'static,
    ) -> Pin<Box<dyn Future<Output = Result<T, Failure>> + Send>> {
        let pool = self.0.clone();
        Box::pin(async move {
            let lane = pool.lend().map_err(|error| {
                Failure::external(format!("failed to start threads for the query: {error}; fewer --slots need fewer"))
            })?;
            let mut one = JoinSet::new();
            one.spawn_on(work.instrument(Span::current()), &lane.handle);
            match one.join_next().await {
                Some(Ok(done)) => Ok(done),
                Some(Err(error)) if error.is_panic() => panic::resume_unwind(error.into_panic()),
                Some(Err(_)) | None => Err(Failure::internal("the query was broken off")),
            }
        })
    }
}

impl Pool {
    fn kept(&self) -> MutexGuard<'_, Vec<Runtime>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn lend(self: &Arc<Self>) -> io::Result<Lane> {
        let free = {
            let mut kept = self.kept();
            let at = kept.iter().rposition(|runtime| runtime.metrics().num_alive_tasks() == 0);
            at.map(|at| kept.swap_remove(at))
        };
        let runtime = free.map_or_else(|| (self.make)(), Ok)?;
        Ok(Lane { handle: runtime.handle().clone(), runtime: Some(runtime), pool: self.clone() })
    }
}

impl Drop for Lane {
    fn drop(&mut self) {
        let Some(runtime) = self.runtime.take() else { return };
        let mut kept = self.pool.kept();
        kept.push(runtime);
        if kept.len() > KEPT_MAX {
            kept.swap_remove(0).shutdown_background();
        }
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        // To wait for them could take as long as their queries.
        self.kept().drain(..).for_each(Runtime::shutdown_background);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use tokio::runtime::Builder;

    use super::*;

    fn lanes() -> Lanes {
        Lanes::new(|| Builder::new_multi_thread().worker_threads(1).enable_all().build())
    }

    #[tokio::test]
    async fn what_never_yields_holds_up_nobody_even_when_it_is_given_up() {
        let lanes = lanes();
        let (release, stuck) = mpsc::channel::<()>();
        let (entered, entry) = tokio::sync::oneshot::channel();
        let blocking = lanes.run(async move {
            let _ = entered.send(());
            let _ = stuck.recv();
        });
        tokio::select! {
            _ = blocking => panic!("it never ends"),
            _ = entry => {}
        }
        for _ in 0..50 {
            assert_eq!(lanes.run(async { 7 }).await, Ok(7));
        }
        let kept = lanes.0.kept().len();
        assert!((2..10).contains(&kept), "one is stuck, the others are used again: {kept}");
        drop(release);
    }

    #[tokio::test]
    #[should_panic(expected = "a bug")]
    async fn a_panic_is_passed_on() {
        let _ = lanes().run(async { panic!("a bug") }).await;
    }
}
