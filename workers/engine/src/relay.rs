//! Writers whose streams have ended help those whose streams have not.

use std::future::poll_fn;
use std::sync::Arc;
use std::task::Poll;

use datafusion::arrow::array::RecordBatch;
use flow::wire::Failure;
use futures::StreamExt;
use futures::stream::{self, BoxStream};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::sync::{Mutex, Semaphore};

/// What a helper is given while it still writes, so that it seldom waits for the next.
const AHEAD: usize = 1;

/// The end of one writer of an exchange of batches. Each has a clone.
#[derive(Clone)]
pub(crate) struct Relay {
    exchange: Arc<Exchange>,
    gives: UnboundedSender<RecordBatch>,
}

struct Exchange {
    /// A permit for each batch that a helper would take.
    wanted: Semaphore,
    given: Mutex<UnboundedReceiver<RecordBatch>>,
}

impl Relay {
    pub(crate) fn new() -> Relay {
        let (gives, given) = unbounded_channel();
        Relay { exchange: Arc::new(Exchange { wanted: Semaphore::new(0), given: Mutex::new(given) }), gives }
    }

    /// The batches of `own` that no helper takes, and after its end those that are left of other streams, until all
    /// have ended.
    pub(crate) fn share<'a>(
        self,
        own: BoxStream<'a, Result<RecordBatch, Failure>>,
    ) -> BoxStream<'a, Result<RecordBatch, Failure>> {
        let exchange = self.exchange.clone();
        let kept = own.filter_map(move |batch| {
            let kept = batch.map(|batch| self.offer(batch)).transpose();
            async {
                if kept.is_none() {
                    step_aside().await;
                }
                kept
            }
        });
        let others = stream::unfold((exchange, AHEAD + 1), async |(exchange, wanted)| {
            exchange.wanted.add_permits(wanted);
            let batch = exchange.given.lock().await.recv().await?;
            Some((Ok(batch), (exchange, 1)))
        });
        kept.chain(others).boxed()
    }

    /// Gives a batch to a helper, or back if none wants it.
    fn offer(&self, batch: RecordBatch) -> Option<RecordBatch> {
        let Ok(wanted) = self.exchange.wanted.try_acquire() else { return Some(batch) };
        wanted.forget();
        self.gives.send(batch).err().map(|refused| refused.0)
    }
}

/// Lets the helper have this thread, which it was woken on and only this one may run it, and another go on here. Tokio's
/// own `yield_now` would only go on when the helper waits again.
async fn step_aside() {
    let mut aside = false;
    poll_fn(|context| {
        if std::mem::replace(&mut aside, true) {
            return Poll::Ready(());
        }
        context.waker().wake_by_ref();
        Poll::Pending
    })
    .await
}

#[cfg(test)]
mod tests {
    use datafusion::arrow::array::{AsArray, Int64Array};
    use datafusion::arrow::datatypes::Int64Type;

    use super::*;

    type Batches = Vec<Result<RecordBatch, Failure>>;

    fn batches(ids: std::ops::Range<i64>) -> Batches {
        let batch = |id| RecordBatch::try_from_iter([("id", Arc::new(Int64Array::from(vec![id])) as _)]).unwrap();
        ids.map(|id| Ok(batch(id))).collect()
    }

    fn ids(batches: &Batches) -> Vec<i64> {
        let id = |batch: &RecordBatch| batch.column(0).as_primitive::<Int64Type>().value(0);
        batches.iter().flatten().map(id).collect()
    }

    async fn shared(relay: Relay, own: Batches) -> Batches {
        relay.share(stream::iter(own).boxed()).collect().await
    }

    #[tokio::test]
    async fn who_has_ended_takes_from_who_has_not() {
        let relay = Relay::new();
        let early = shared(relay.clone(), batches(0..1));
        let late = shared(relay, batches(1..100));
        let (early, late) = futures::join!(early, late);
        assert!(early.len() > 1, "{} and {}", early.len(), late.len());
        let mut all = [ids(&early), ids(&late)].concat();
        all.sort_unstable();
        assert_eq!(all, (0..100).collect::<Vec<_>>());
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
    async fn every_batch_is_taken_once_by_whomever() {
        let relay = Relay::new();
        let lengths = [1, 10, 500, 20_000];
        let starts = lengths.iter().scan(0, |next, length| Some(std::mem::replace(next, *next + length)));
        let writers = starts
            .zip(lengths)
            .map(|(start, length)| tokio::spawn(shared(relay.clone(), batches(start..start + length))));
        let writers: Vec<_> = writers.collect();
        drop(relay);
        let taken = futures::future::try_join_all(writers).await.unwrap();
        let mut all: Vec<i64> = taken.iter().flat_map(ids).collect();
        all.sort_unstable();
        assert_eq!(all, (0..lengths.iter().sum()).collect::<Vec<_>>());
    }

    #[tokio::test]
    async fn who_gives_up_keeps_nobody_waiting() {
        let relay = Relay::new();
        let failing = vec![Err(Failure::user("no")), batches(1..2).remove(0)];
        let mut failing = relay.clone().share(stream::iter(failing).boxed());
        let helper = tokio::spawn(shared(relay, batches(0..1)));
        assert!(failing.next().await.unwrap().is_err());
        drop(failing);
        assert_eq!(ids(&helper.await.unwrap()), [0]);
    }
}
