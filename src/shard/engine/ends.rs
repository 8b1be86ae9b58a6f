//! Which ends of what somebody hears by are on the wheel. The feature `auth`.

use super::fanout::ListenerKey;
use super::timers::TimerKey;
use super::{Engine, Millis};

/// Ends that are farther off are on no wheel, whose entries take 16 bytes: all listeners are gone over meanwhile, some at each
/// look at the timers, and those whose end has come near are armed.
const ARMED_WITHIN_MS: Millis = 60_000;
const GONE_OVER_WITHIN_MS: Millis = ARMED_WITHIN_MS / 3;
/// Whoever looks at the timers when something is due comes as often.
const GO_OVER_EVERY_MS: Millis = 1_000;

impl Engine {
    pub(super) fn arm_grant(&mut self, key: ListenerKey) {
        let (Some(rights), Some(grant)) = (&self.rights, self.fanout.grant_mut(key)) else {
            return;
        };
        let deadline = rights.deadline(grant, self.limits.auth_grace_ms);
        if let Some(deadline) = deadline.filter(|it| *it <= self.now + ARMED_WITHIN_MS) {
            self.wheel
                .arm(&mut grant.timer, TimerKey::Listener(key), deadline);
        }
    }

    /// Arms those whose end has come near: of all listeners the next ones each time, as many as the time asks for.
    pub(super) fn arm_some(&mut self) {
        let slots = self.fanout.slot_count();
        let Some(rights) = &mut self.rights else {
            return;
        };
        // However many come meanwhile, a pass takes no longer.
        let since = self.now.saturating_sub(rights.gone_over_from);
        let share = (slots as u64 * since).div_ceil(GONE_OVER_WITHIN_MS);
        let to = usize::try_from(share).unwrap_or(slots).min(slots);
        // Who was away for long begins anew.
        let from = match since {
            ..ARMED_WITHIN_MS => rights.gone_over_to.min(to),
            _ => 0,
        };
        (rights.gone_over_at, rights.gone_over_to) = (self.now, to);
        if since >= GONE_OVER_WITHIN_MS {
            (rights.gone_over_from, rights.gone_over_to) = (self.now, 0);
        }
        let keys: Vec<ListenerKey> = self.fanout.granted_in(from, to - from).collect();
        keys.into_iter().for_each(|key| self.arm_grant(key));
    }

    /// When that is to be done again.
    pub(super) fn arming_deadline(&self) -> Option<Millis> {
        let rights = self.rights.as_ref()?;
        let is_needed = self.fanout.listener_count() > 0;
        is_needed.then(|| rights.gone_over_at + GO_OVER_EVERY_MS)
    }
}
