//! How many calls each client has under way and how fast it asks, and what it may.

use std::collections::HashMap;

use super::call::CallState;
use super::{Engine, Refused, Request, SessionKey};
use crate::clients::{Client, RetryAfter};

fn too_often(retry: RetryAfter) -> Refused {
    let sentence = "This client asks more often than it may (--calls-per-second-per-client-max): wait before the next request.";
    Refused::too_many("too_many_requests", sentence, retry.seconds())
}

impl Engine {
    /// Whose call it is. Of a request that another node passed on without a word on that, it is the session's client.
    pub(super) fn caller(&self, request: &Request<'_>, session: SessionKey) -> Option<Client> {
        request
            .client
            .or_else(|| self.sessions.get(session)?.client)
    }

    /// Whether there may be so many calls of this client more.
    pub(super) fn check_calls(&self, client: Option<Client>, more: usize) -> Result<(), Refused> {
        let open = client.and_then(|client| self.calls_of_client.get(&client));
        let open = open.map_or(0, |&count| count as usize);
        if open + more <= self.limits.calls_per_client_max {
            return Ok(());
        }
        let sentence = "This client has as many calls under way as it may have (--calls-per-client-max): wait for their answers.";
        Err(Refused::too_many("too_many_calls", sentence, 1))
    }

    /// So many more messages of this client, whatever they ask for.
    pub(super) fn take_rate(
        &mut self,
        client: Option<Client>,
        count: usize,
    ) -> Result<(), Refused> {
        let count = u32::try_from(count).unwrap_or(u32::MAX);
        self.call_rates
            .take(client, self.now, count)
            .map_err(too_often)
    }

    /// Whether there may be one more.
    pub(super) fn check_rate(&self, client: Option<Client>) -> Result<(), Refused> {
        self.call_rates
            .check(client, self.now, 1)
            .map_err(too_often)
    }

    pub(super) fn count_call(&mut self, client: Option<Client>) {
        if let Some(client) = client {
            *self.calls_of_client.entry(client).or_insert(0) += 1;
        }
    }

    pub(super) fn uncount_call(&mut self, call: &CallState) {
        if let Some(client) = call.client
            && let Some(count) = self.calls_of_client.get_mut(&client)
        {
            *count -= 1;
            if *count == 0 {
                self.calls_of_client.remove(&client);
            }
        }
    }

    /// Panics if what is counted of a client is not what it has.
    pub(super) fn call_invariants(&self) {
        let mut calls = HashMap::new();
        for (_, call) in self.calls.iter() {
            if let Some(client) = call.client {
                *calls.entry(client).or_insert(0) += 1;
            }
        }
        assert_eq!(calls, self.calls_of_client);
        let [inspected, under_way] = self.inspected_counts();
        assert_eq!(inspected, under_way, "calls whose results are looked at");
    }
}
