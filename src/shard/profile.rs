//! What clients say of themselves, parsed once. Thousands of clients are the same program and send the same words.

use std::collections::HashMap;
use std::sync::Arc;

use serde_json::Value;
use serde_json::value::RawValue;

/// `clientInfo` and `capabilities` of one kind of client.
pub(super) struct Profile {
    pub(super) capabilities: Arc<Value>,
    pub(super) info: Option<Arc<Value>>,
}

pub(super) struct Profiles {
    /// By the JSON texts, capabilities first: one map in another, so that looking makes no key.
    known: HashMap<Box<str>, HashMap<Box<str>, Arc<Profile>>>,
    count: usize,
    /// Who is gone is forgotten when there are so many; doubles with those who are here, so that forgetting
    /// costs a constant per client.
    forget_at: usize,
}

/// Kinds of clients that may be remembered though nobody of them is here.
const UNUSED_MAX: usize = 256;

impl Default for Profiles {
    fn default() -> Self {
        Profiles {
            known: HashMap::new(),
            count: 0,
            forget_at: UNUSED_MAX,
        }
    }
}

impl Profiles {
    /// # Errors
    /// The name of what is not an object.
    pub(super) fn intern(
        &mut self,
        capabilities: &RawValue,
        info: Option<&RawValue>,
    ) -> Result<Arc<Profile>, &'static str> {
        let texts = [capabilities.get(), info.map_or("", RawValue::get)];
        let with_capabilities = self.known.get(texts[0]);
        if let Some(profile) = with_capabilities.and_then(|it| it.get(texts[1])) {
            return Ok(profile.clone());
        }
        let capabilities = object(capabilities).ok_or("capabilities")?;
        let info = info
            .map(|info| object(info).ok_or("clientInfo"))
            .transpose()?;
        let profile = Arc::new(Profile { capabilities, info });
        if self.count >= self.forget_at {
            self.forget_unused();
            self.forget_at = UNUSED_MAX.max(2 * self.count);
        }
        let with_capabilities = self.known.entry(texts[0].into()).or_default();
        with_capabilities.insert(texts[1].into(), profile.clone());
        self.count += 1;
        Ok(profile)
    }

    fn forget_unused(&mut self) {
        self.count = 0;
        self.known.retain(|_, profiles| {
            profiles.retain(|_, profile| Arc::strong_count(profile) > 1);
            self.count += profiles.len();
            !profiles.is_empty()
        });
    }
}

fn object(raw: &RawValue) -> Option<Arc<Value>> {
    let value: Value = serde_json::from_str(raw.get()).ok()?;
    value.is_object().then(|| Arc::new(value))
}
