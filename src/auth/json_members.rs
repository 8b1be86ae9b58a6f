//! The members of a JSON object, each as it stands. A name that comes twice is noticed: RFC 7515, 4 and RFC 7519, 4 leave
//! it to the reader which one counts, and two readers differ.

use std::collections::BTreeMap;
use std::fmt;

use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

use super::Reason;

pub(super) struct Members<'a> {
    by_name: BTreeMap<String, &'a RawValue>,
    is_doubled: bool,
}

impl<'a> Members<'a> {
    pub(super) fn parse(json: &'a str) -> Result<Members<'a>, Reason> {
        let members: Members<'a> = serde_json::from_str(json).map_err(|_| Reason::Malformed)?;
        match members.is_doubled {
            true => Err(Reason::DoubledMember),
            false => Ok(members),
        }
    }

    pub(super) fn has(&self, name: &str) -> bool {
        self.by_name.contains_key(name)
    }

    /// The value of this name, if there is one; `wrong` if it is of another type.
    pub(super) fn read<T: Deserialize<'a>>(
        &self,
        name: &str,
        wrong: Reason,
    ) -> Result<Option<T>, Reason> {
        let value = self.by_name.get(name);
        let read = value.map(|value| serde_json::from_str(value.get()));
        read.transpose().map_err(|_| wrong)
    }
}

impl<'de> Deserialize<'de> for Members<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(Collect)
    }
}

struct Collect;

impl<'de> Visitor<'de> for Collect {
    type Value = Members<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Members<'de>, A::Error> {
        let mut members = Members {
            by_name: BTreeMap::new(),
            is_doubled: false,
        };
        while let Some((name, value)) = map.next_entry::<String, &RawValue>()? {
            members.is_doubled |= members.by_name.insert(name, value).is_some();
        }
        Ok(members)
    }
}
