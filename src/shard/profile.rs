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
    /// By the JSON texts, capabilities first.
    known: HashMap<(Box<str>, Box<str>), Arc<Profile>>,
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
        let key = (
            Box::from(capabilities.get()),
            Box::from(info.map_or("", RawValue::get)),
        );
        if let Some(profile) = self.known.get(&key) {
            return Ok(profile.clone());
        }
        let capabilities = object(capabilities).ok_or("capabilities")?;
        let info = info
            .map(|info| object(info).ok_or("clientInfo"))
            .transpose()?;
        let profile = Arc::new(Profile { capabilities, info });
        if self.known.len() >= self.forget_at {
            self.known
                .retain(|_, profile| Arc::strong_count(profile) > 1);
            self.forget_at = UNUSED_MAX.max(2 * self.known.len());
        }
        self.known.insert(key, profile.clone());
        Ok(profile)
    }
}

fn object(raw: &RawValue) -> Option<Arc<Value>> {
    let value: Value = serde_json::from_str(raw.get()).ok()?;
    value.is_object().then(|| Arc::new(value))
}
