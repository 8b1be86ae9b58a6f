//! How many a publication reaches: each core counts its own.

use futures_util::future::try_join_all;

use super::NodeBackend;
use crate::admin::{NotViewed, Target};
use crate::app::call::Topic;
use crate::shard::view::{ViewAnswer, ViewQuestion};

impl NodeBackend {
    pub(super) async fn count_subscribers(&self, topic: Topic) -> Result<usize, NotViewed> {
        // They are found by the application's spelling, as when it is published.
        let Ok(Target::Topic(topic)) = self.in_own_words(Target::Topic(topic)) else {
            return Ok(0);
        };
        let cores = self.cores();
        let counts =
            cores.map(|core| self.ask_core(core, ViewQuestion::Subscribers(topic.clone())));
        let counts = try_join_all(counts).await?.into_iter();
        let counts = counts.map(|it| match it {
            ViewAnswer::Subscribers(count) => count,
            _ => 0,
        });
        Ok(counts.sum())
    }
}
