//! The memory bill: what each kind of thing costs, and how many of it the limits allow.
//!
//! Lines are ceilings. Memory is taken when a thing exists, and few servers reach one limit, none all of them. The sum
//! holds whatever clients do. It is user memory only: a connection costs the kernel some kilobytes more, and what an
//! application keeps for itself is its own.

use crate::limits::{Limits, PROFILES_BYTES_MAX, VERIFIED_BYTES_MAX};

/// Bytes of user memory that one of each takes while nothing happens on it, as the engine measures its own types.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sizes {
    /// A connection with its socket and its place in the arena.
    pub connection: usize,
    pub session: usize,
    /// An open stream with nothing waiting.
    pub stream: usize,
    /// What a core holds whatever happens: ring, scratch buffers, mailboxes, log.
    pub core: usize,
}

/// One consumer of memory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BillLine {
    pub consumer: &'static str,
    pub each_bytes: u64,
    /// On the whole node.
    pub count_max: u64,
}

impl BillLine {
    #[must_use]
    pub fn total_bytes(&self) -> u64 {
        self.each_bytes.saturating_mul(self.count_max)
    }
}

/// A line per consumer, for the whole node.
#[must_use]
pub fn memory_bill(limits: &Limits, cores: usize, sizes: &Sizes) -> Vec<BillLine> {
    let cores = cores as u64;
    let connections = limits.connections_max as u64;
    let sessions = limits.sessions_max as u64;
    let line = |consumer, each_bytes: usize, count_max| BillLine {
        consumer,
        each_bytes: each_bytes as u64,
        count_max,
    };
    vec![
        line("core", sizes.core, cores),
        line("connection", sizes.connection, connections),
        line("session", sizes.session, sessions),
        // An open stream holds a connection.
        line("stream, open", sizes.stream, connections),
        line("subscriptions, all", limits.subscription_bytes_max, 1),
        line("kinds of clients, all", PROFILES_BYTES_MAX, cores),
        line("requests and answers, all", limits.memory_bytes_max, 1),
    ]
}

/// What whoever hears keeps of who they are: an allocated block.
const PRINCIPAL_BYTES: u64 = 48;

/// Further lines where somebody is asked who they are.
#[must_use]
pub fn bill_of_principals(limits: &Limits, cores: usize) -> [BillLine; 2] {
    [
        BillLine {
            consumer: "known tokens, all",
            each_bytes: VERIFIED_BYTES_MAX as u64,
            count_max: cores as u64,
        },
        BillLine {
            consumer: "principal of who hears",
            each_bytes: PRINCIPAL_BYTES,
            count_max: (limits.sessions_max + limits.connections_max) as u64,
        },
    ]
}

/// All lines together.
#[must_use]
pub fn sum_bytes(estimate: &[BillLine]) -> u64 {
    estimate
        .iter()
        .map(BillLine::total_bytes)
        .fold(0, u64::saturating_add)
}

/// A number of bytes as people read it: three digits or more, in the unit that fits.
#[must_use]
pub fn human_bytes(bytes: u64) -> String {
    let units = [
        ("PiB", 50),
        ("TiB", 40),
        ("GiB", 30),
        ("MiB", 20),
        ("KiB", 10),
    ];
    units
        .iter()
        .find(|(_, shift)| bytes >> shift > 0)
        .map_or_else(
            || format!("{bytes} B"),
            |(unit, shift)| {
                let tenths = (u128::from(bytes) * 10) >> shift;
                format!("{}.{} {unit}", tenths / 10, tenths % 10)
            },
        )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bill_is_the_nodes_whatever_its_cores() {
        let sizes = Sizes {
            connection: 300,
            session: 200,
            stream: 100,
            core: 1000,
        };
        let limits = Limits::tiny();
        let totals: Vec<(&str, u64)> = memory_bill(&limits, 2, &sizes)
            .iter()
            .map(|line| (line.consumer, line.total_bytes()))
            .collect();
        assert_eq!(
            totals,
            [
                ("core", 2 * 1000),
                ("connection", 8 * 300),
                ("session", 4 * 200),
                ("stream, open", 8 * 100),
                ("subscriptions, all", 64 * 1024),
                ("kinds of clients, all", 2 * 8 * 1024 * 1024),
                ("requests and answers, all", 64 * 1024),
            ]
        );
        let sum = 2 * 1000 + 8 * 300 + 4 * 200 + 8 * 100 + 2 * 64 * 1024 + (16 << 20);
        assert_eq!(sum_bytes(&memory_bill(&limits, 2, &sizes)), sum);
    }

    #[test]
    fn principals_that_are_on_no_bill() {
        let lines = bill_of_principals(&Limits::tiny(), 2);
        let totals = lines.map(|line| line.total_bytes());
        assert_eq!(totals, [2 * 32 * 1024 * 1024, (4 + 8) * 48]);
    }

    #[test]
    fn limits_without_end_do_not_overflow_the_bill() {
        let limits = Limits {
            connections_max: 100_000_000,
            memory_bytes_max: usize::MAX,
            ..Limits::default()
        };
        let estimate = memory_bill(&limits, 512, &Sizes::default());
        assert_eq!(estimate.last().unwrap().total_bytes(), u64::MAX);
    }

    #[test]
    fn bytes_in_the_unit_that_fits() {
        assert_eq!(human_bytes(1023), "1023 B");
        assert_eq!(human_bytes(1536), "1.5 KiB");
        assert_eq!(human_bytes(400 << 20), "400.0 MiB");
        assert_eq!(human_bytes(u64::MAX), "16383.9 PiB");
    }
}
