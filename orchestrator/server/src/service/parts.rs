//! What a service does at the same time, each part for as long as the service lives.

use tokio::task::{Id, JoinSet};

use crate::Error;

/// Parts that begin and end together. Dropping them ends them.
#[derive(Default)]
pub(super) struct Parts {
    tasks: JoinSet<()>,
    names: Vec<(Id, &'static str)>,
}

impl Parts {
    pub fn spawn(&mut self, name: &'static str, part: impl Future<Output = ()> + Send + 'static) {
        let task = self.tasks.spawn(part);
        self.names.push((task.id(), name));
    }

    /// Waits until a part ends by itself, which none should: a service without it would look alive and do nothing.
    pub async fn death(&mut self) -> Error {
        let Some(ended) = self.tasks.join_next_with_id().await else { return std::future::pending().await };
        let (id, why) = match ended {
            Ok((id, ())) => (id, "it has ended".to_owned()),
            Err(error) => (error.id(), error.to_string()),
        };
        let name = self.names.iter().find(|(known, _)| *known == id).map_or("a part", |(_, name)| name);
        Error::PartDied { part: name, why }
    }

    pub async fn shutdown(&mut self) {
        self.tasks.shutdown().await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_part_that_dies_is_named() {
        let mut parts = Parts::default();
        parts.spawn("waiting", std::future::pending());
        parts.spawn("doing nothing", async {});
        assert_eq!(parts.death().await, Error::PartDied { part: "doing nothing", why: "it has ended".to_owned() });
        parts.spawn("falling over", async { panic!("on purpose") });
        let told = parts.death().await.to_string();
        assert!(told.starts_with("go on serving: falling over: ") && told.contains("panic"), "{told}");
        parts.shutdown().await;
    }
}
