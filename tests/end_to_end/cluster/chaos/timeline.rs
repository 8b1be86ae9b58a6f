//! What was done to the cluster, and when: for whoever reads a failure, and to judge by what clients were told.
//!
//! What ends a process is noted before it is done, and what begins one too: so whatever a client saw of it is later.

use std::fmt;

/// By the wall clock, as a process's number in a session id is.
pub(super) type Millis = u64;
pub(super) type Name = &'static str;

/// What Redis does not have any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Loss {
    Everything,
    /// The log, or some of it.
    Log,
    Board,
    /// Nothing that was published.
    Keys,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Event {
    Round(usize),
    Starts(Name),
    Ready(Name),
    Killed(Name),
    Leaves(Name),
    Left(Name),
    Hangs(Name),
    GoesOn(Name),
    CutOff(Name),
    RedisHangs,
    RedisGoesOn,
    RedisDies,
    RedisBack,
    Forgets(Loss, String),
    ProxyDies,
    ProxyLeaves,
    ProxyServes,
    PublishersRest,
    Healed,
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Event::Round(number) => write!(f, "round {number}"),
            Event::Starts(name) => write!(f, "{name} is started"),
            Event::Ready(name) => write!(f, "{name} is ready"),
            Event::Killed(name) => write!(f, "{name} is killed (-9)"),
            Event::Leaves(name) => write!(f, "{name} gets SIGTERM"),
            Event::Left(name) => write!(f, "{name} has ended"),
            Event::Hangs(name) => write!(f, "{name} hangs (SIGSTOP)"),
            Event::GoesOn(name) => write!(f, "{name} goes on"),
            Event::CutOff(name) => write!(f, "{name}'s connections to Redis are killed"),
            Event::RedisHangs => f.write_str("Redis hangs (SIGSTOP)"),
            Event::RedisGoesOn => f.write_str("Redis goes on"),
            Event::RedisDies => f.write_str("Redis is killed (-9)"),
            Event::RedisBack => f.write_str("Redis is back"),
            Event::Forgets(_, what) => write!(f, "Redis forgets {what}"),
            Event::ProxyDies => f.write_str("Traefik is killed (-9)"),
            Event::ProxyLeaves => f.write_str("Traefik gets SIGTERM"),
            Event::ProxyServes => f.write_str("Traefik serves again"),
            Event::PublishersRest => f.write_str("publishers rest"),
            Event::Healed => f.write_str("all is undone"),
        }
    }
}

#[derive(Debug, Default)]
pub(super) struct Timeline {
    events: Vec<(Millis, Event)>,
}

/// Of one process of a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Life {
    /// When it was killed, or told to leave.
    pub(super) ended: Option<Millis>,
    /// When the next process of the node was started.
    pub(super) followed: Option<Millis>,
}

impl Timeline {
    pub(super) fn note(&mut self, at: Millis, event: Event) {
        self.events.push((at, event));
    }

    /// From the round before the last on.
    pub(super) fn recent(&self, begun: Millis) -> String {
        let rounds = self.events.iter().enumerate().rev();
        let mut rounds = rounds.filter(|(_, (_, event))| matches!(event, Event::Round(_)));
        let from = rounds.nth(1).map_or(0, |(index, _)| index);
        let line = |(at, event): &(Millis, Event)| {
            let seconds = at.saturating_sub(begun) as f64 / 1000.0;
            format!("  {seconds:9.3} s  {event}\n")
        };
        self.events[from..].iter().map(line).collect()
    }

    /// Of the process with this number.
    pub(super) fn life(&self, node: &str, incarnation: Millis) -> Life {
        let mut life = Life {
            ended: None,
            followed: None,
        };
        for (at, event) in self.events.iter().filter(|(at, _)| *at > incarnation) {
            match event {
                Event::Killed(name) | Event::Leaves(name) if *name == node => {
                    life.ended = life.ended.or(Some(*at));
                }
                Event::Starts(name) if *name == node && life.ended.is_some() => {
                    life.followed = life.followed.or(Some(*at));
                }
                _ => {}
            }
        }
        life
    }

    /// The longest time that a node had hung by the end of this span, and when it went on if that was in it.
    pub(super) fn hung_ms(&self, node: &str, (from, to): (Millis, Millis)) -> Millis {
        let mut longest = 0;
        let mut since = None;
        for (at, event) in self.events.iter().filter(|(at, _)| *at <= to) {
            match event {
                Event::Hangs(name) if *name == node => since = Some(*at),
                Event::GoesOn(name) if *name == node => {
                    let hung = since.take().map_or(0, |since| *at - since);
                    longest = if *at >= from {
                        longest.max(hung)
                    } else {
                        longest
                    };
                }
                _ => {}
            }
        }
        longest.max(since.map_or(0, |since| to - since))
    }

    /// Whether the proxy was not all there at some time of this span.
    pub(super) fn proxy_was_away(&self, (from, to): (Millis, Millis)) -> bool {
        let mut away = false;
        for (at, event) in self.events.iter().filter(|(at, _)| *at <= to) {
            match event {
                Event::ProxyDies | Event::ProxyLeaves => away = true,
                Event::ProxyServes => away = *at >= from,
                _ => {}
            }
        }
        away
    }

    /// What Redis lost in this span.
    pub(super) fn losses(&self, (from, to): (Millis, Millis)) -> impl Iterator<Item = Loss> {
        let events = self.events.iter();
        let events = events.filter(move |(at, _)| (from..=to).contains(at));
        events.filter_map(|(_, event)| match event {
            Event::Forgets(loss, _) => Some(*loss),
            _ => None,
        })
    }

    /// Whether Redis may not have had some record that was written since then.
    pub(super) fn records_may_be_gone(&self, since: Millis) -> bool {
        let mut events = self.since(since);
        let lost = events.any(|event| {
            matches!(
                event,
                Event::Forgets(..) | Event::RedisHangs | Event::RedisDies | Event::CutOff(_)
            )
        });
        let mut before = self.events.iter().rev().filter(|(at, _)| *at < since);
        let was_away = before.find_map(|(_, event)| match event {
            Event::RedisHangs | Event::RedisDies => Some(true),
            Event::RedisGoesOn | Event::RedisBack => Some(false),
            _ => None,
        });
        lost || was_away == Some(true)
    }

    pub(super) fn was_killed(&self, node: &str, since: Millis) -> bool {
        let mut events = self.since(since);
        events.any(|event| matches!(event, Event::Killed(name) if *name == node))
    }

    fn since(&self, since: Millis) -> impl Iterator<Item = &Event> {
        let events = self.events.iter().filter(move |(at, _)| *at >= since);
        events.map(|(_, event)| event)
    }
}
