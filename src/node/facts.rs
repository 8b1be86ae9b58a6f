//! What the old process says of its configuration, and what of the new one's a hand-over cannot put into force: that wants a
//! restart, and the new process says so before anything stands still.
//!
//! | what | |
//! |---|---|
//! | cores, name, addresses, driver, application, how it is found out who asks, the key that seals `requestState` | as they were |
//! | Redis, its prefix, the secret that nodes share | as they were: for other nodes it is the same node |
//! | limits on what is held | any that are not below what is held now. Contents are compared as they are copied |
//! | everything else | holds from the hand-over on |
//!
//! Both sides write down what they have by name. A name that only one of them knows is not compared: it is of another version.

use std::collections::BTreeMap;

use super::{NodeError, Options};
use crate::clients::Commons;
use crate::handover::NodeConfiguration;
use crate::runtime::Driver;

impl NodeConfiguration {
    /// As it is in force.
    pub(super) fn of(options: &Options, driver: Driver, application: &str) -> NodeConfiguration {
        let mut fixed = BTreeMap::new();
        let mut note = |name: &str, value: String| fixed.insert(name.to_owned(), value);
        note("driver", driver.name().to_owned());
        note("app", application.to_owned());
        #[cfg(feature = "auth")]
        note("auth", format!("{:?}", options.auth.authenticator));
        note("redis", options.redis_shown());
        let mut secrets = BTreeMap::new();
        let secret = options.peer_secret();
        let digest = secret.map(|it| it.key_for("hand-over").to_vec());
        secrets.insert("peer-secret-file".to_owned(), digest.unwrap_or_default());
        NodeConfiguration {
            fixed,
            secrets,
            held: BTreeMap::new(),
        }
    }

    /// And how much is held of what is limited.
    pub(super) fn with_held(mut self, commons: &Commons) -> NodeConfiguration {
        let Commons {
            connections,
            sessions,
            subscription_bytes,
            memory,
            // Each goes along with what it is of.
            clients: _,
            ended: _,
            proxies: _,
        } = commons;
        let pools = [
            ("connections-max", connections),
            ("sessions-max", sessions),
            ("subscription-bytes-max", subscription_bytes),
            ("memory-max", memory),
        ];
        let held = |pool: &crate::budget::Pool| (pool.total() - pool.free()) as u64;
        let each = pools.map(|(name, pool)| (name.to_owned(), held(pool)));
        self.held = each.into_iter().collect();
        self
    }

    /// `self` is the old process's, `now` this one's.
    ///
    /// # Errors
    /// What wants a restart, in a sentence.
    pub(super) fn check(
        &self,
        now: &NodeConfiguration,
        options: &Options,
    ) -> Result<(), NodeError> {
        for (name, was) in &self.fixed {
            if let Some(is) = now.fixed.get(name).filter(|is| *is != was) {
                return Err(wants_restart(name, was, is));
            }
        }
        for (name, was) in &self.secrets {
            if now.secrets.get(name).is_some_and(|is| is != was) {
                return Err(NodeError::Option(format!(
                    "{name} has another secret than before: that wants a restart, a hand-over cannot change it"
                )));
            }
        }
        let limits = &options.limits;
        let limits = [
            ("connections-max", limits.connections_max),
            ("sessions-max", limits.sessions_max),
            ("subscription-bytes-max", limits.subscription_bytes_max),
            ("memory-max", limits.memory_bytes_max),
        ];
        for (name, limit) in limits {
            let held = self.held.get(name).copied().unwrap_or_default();
            if held > limit as u64 {
                return Err(NodeError::Option(format!(
                    "{name} is {limit} now, and the node holds {held}: a hand-over ends nothing of that. Leave the limit, or \
                     restart"
                )));
            }
        }
        Ok(())
    }
}

/// Whatever cannot change while nobody notices.
pub(super) fn wants_restart(
    what: &str,
    was: &dyn std::fmt::Display,
    is: &dyn std::fmt::Display,
) -> NodeError {
    NodeError::Option(format!(
        "{what} was {was} and is {is} now: that wants a restart, a hand-over cannot change it"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clients::Networks;
    use crate::limits::Limits;

    fn of(options: &Options) -> NodeConfiguration {
        NodeConfiguration::of(options, Driver::Epoll, "board")
    }

    fn refusal(was: &NodeConfiguration, options: &Options) -> String {
        let refused = was.check(&of(options), options).expect_err("it changed");
        refused.to_string()
    }

    #[test]
    fn a_change_that_wants_a_restart_and_is_taken_over() {
        let options = Options::default();
        let was = of(&options);
        assert!(was.check(&of(&options), &options).is_ok());
        let ring = NodeConfiguration::of(&options, Driver::Uring, "board");
        let refused = was.check(&ring, &options).expect_err("another driver");
        assert!(refused.to_string().contains("driver was"), "{refused}");
        let other = NodeConfiguration::of(&options, Driver::Epoll, "conformance");
        assert!(was.check(&other, &options).is_err());
        let bytes = rmp_serde::to_vec_named(&was).expect("it is written");
        let read: NodeConfiguration = rmp_serde::from_slice(&bytes).expect("it is read");
        assert!(read.check(&of(&options), &options).is_ok());
        let older: NodeConfiguration = rmp_serde::from_slice(&[0x80]).expect("an empty map");
        assert!(
            older.check(&ring, &options).is_ok(),
            "it said nothing of it"
        );
    }

    #[test]
    fn a_limit_below_what_is_held() {
        let mut options = Options::default();
        let commons = Commons::new(&Limits::default(), Networks::default());
        commons.sessions.take(11).expect("there is room");
        let was = of(&options).with_held(&commons);
        options.limits.sessions_max = 11;
        assert!(was.check(&of(&options), &options).is_ok());
        options.limits.sessions_max = 10;
        let refused = refusal(&was, &options);
        assert!(refused.contains("sessions-max is 10"), "{refused}");
    }

    #[cfg(feature = "redis")]
    #[test]
    fn another_secret_that_is_shown() {
        use crate::node::ClusterConfig;
        use crate::wire::forwarded::PeerSecret;
        let with = |secret: &[u8], redis: &str| {
            let redis = redis.parse().expect("a URL");
            let secret = Some(PeerSecret::new(secret));
            Options {
                cluster: Some(ClusterConfig::new(redis, secret)),
                ..Options::default()
            }
        };
        let url = "redis://:one@127.0.0.1";
        let was = of(&with(b"one secret of two", url));
        let refused = refusal(&was, &with(b"another secret of two", url));
        assert!(refused.contains("peer-secret-file"), "{refused}");
        assert!(!format!("{was:?}").contains("one secret"));
        let refused = refusal(&was, &with(b"one secret of two", "redis://127.0.0.2"));
        assert!(refused.contains("redis was"), "{refused}");
        assert!(!refused.contains(":one@"), "{refused}");
        let renewed = with(b"one secret of two", "redis://:two@127.0.0.1");
        assert!(was.check(&of(&renewed), &renewed).is_ok(), "a new password");
        assert!(
            was.check(&of(&Options::default()), &Options::default())
                .is_err()
        );
    }
}
