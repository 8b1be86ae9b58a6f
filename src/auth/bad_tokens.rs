//! How many tokens that turned out to be worth nothing a core has looked at: of each client, and of all together.
//!
//! A signature takes 50 to 200 µs, and everybody may show a token. Who shows bad ones over and over is not looked at any more
//! for a moment. What is refused without a look at the signature costs nothing and is not counted, nor is what was verified
//! before: whoever shares an address with somebody bad goes on with the token that they have.

use crate::clients::{CallRates, Client, Millis, RetryAfter, TokenBucket};
use crate::limits::BAD_TOKENS_PER_SECOND_MAX;

/// One core's.
#[derive(Debug)]
pub(super) struct BadTokens {
    /// None: all are looked at.
    rates: Option<BadTokenRates>,
}

#[derive(Debug)]
struct BadTokenRates {
    of_client: CallRates,
    of_all: TokenBucket,
}

/// Why a token is not looked at now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NotNow {
    /// Its client has shown too many bad ones.
    OfClient,
    /// All clients together have.
    OfAll,
}

impl BadTokens {
    /// 0: as many as come.
    pub(super) fn new(per_second_of_client: u32) -> BadTokens {
        let all = BAD_TOKENS_PER_SECOND_MAX.max(per_second_of_client.saturating_mul(2));
        let rates = || BadTokenRates {
            of_client: CallRates::new(per_second_of_client),
            of_all: TokenBucket::new(all, all),
        };
        BadTokens {
            rates: (per_second_of_client > 0).then(rates),
        }
    }

    /// Whether a token of this client is looked at, good or bad.
    pub(super) fn check(&self, client: Option<Client>, now: Millis) -> Result<(), NotNow> {
        let Some(rates) = &self.rates else {
            return Ok(());
        };
        let of_client = rates.of_client.check(client, now, 1);
        of_client.map_err(|RetryAfter { .. }| NotNow::OfClient)?;
        // Half of it is for those who have shown none: a few bad clients do not take all.
        let left = match rates.of_client.has_used(client, now) {
            true => rates.of_all.burst() / 2,
            false => 1,
        };
        let of_all = rates.of_all.check(now, left);
        of_all.map_err(|RetryAfter { .. }| NotNow::OfAll)
    }

    /// It was bad.
    pub(super) fn count(&mut self, client: Option<Client>, now: Millis) {
        if let Some(rates) = &mut self.rates {
            // What several requests waited for at once may be more than there is left.
            let _ = rates.of_client.take(client, now, 1);
            let _ = rates.of_all.take(now, 1);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(number: u32) -> Option<Client> {
        Some(Client::of(std::net::Ipv4Addr::from_bits(number).into()))
    }

    /// How many of so many bad tokens of a client are looked at.
    fn looked_at(bad: &mut BadTokens, who: Option<Client>, now: Millis, shown: u32) -> u32 {
        let mut looked_at = 0;
        for _ in 0..shown {
            if bad.check(who, now).is_ok() {
                bad.count(who, now);
                looked_at += 1;
            }
        }
        looked_at
    }

    #[test]
    fn a_client_with_more_bad_tokens_than_are_looked_at() {
        let mut bad = BadTokens::new(10);
        assert_eq!(looked_at(&mut bad, client(1), 0, 1_000), 10);
        assert_eq!(bad.check(client(1), 0), Err(NotNow::OfClient));
        assert_eq!(looked_at(&mut bad, client(2), 0, 1_000), 10);
        assert_eq!(looked_at(&mut bad, client(1), 500, 1_000), 5);
        let mut off = BadTokens::new(0);
        assert_eq!(looked_at(&mut off, client(1), 0, 5_000), 5_000);
    }

    /// A few that take all they may leave half of the core's to those who have shown none.
    #[test]
    fn a_dozen_bad_clients_that_have_a_good_one_refused() {
        let mut bad = BadTokens::new(64);
        let together: u32 = (1..=200)
            .map(|number| looked_at(&mut bad, client(number), 0, 1_000))
            .sum();
        assert!(together < BAD_TOKENS_PER_SECOND_MAX, "{together}");
        assert_eq!(bad.check(client(999), 0), Ok(()));
        assert_eq!(bad.check(client(1), 0), Err(NotNow::OfClient));
    }

    #[test]
    fn a_crowd_of_bad_clients_that_takes_a_whole_core() {
        let mut bad = BadTokens::new(64);
        let all = (1..=50_000).map(|number| looked_at(&mut bad, client(number), 0, 1));
        assert_eq!(all.sum::<u32>(), BAD_TOKENS_PER_SECOND_MAX);
        assert_eq!(bad.check(client(60_000), 0), Err(NotNow::OfAll));
        assert_eq!(bad.check(None, 0), Err(NotNow::OfAll));
        assert_eq!(bad.check(client(60_000), 1_000), Ok(()));
    }
}
