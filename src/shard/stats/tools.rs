//! The names of tools, as a label that clients cannot make long: a tool has a number of its own once a call of it had a
//! result, and no more have one than [`TOOLS_MAX`]. Until then its name waits with its calls.
//!
//! Invariant: a name that waits has as many users as there are calls with its number.

use std::sync::Arc;

use memchr::memchr2;

/// Tools of one core with a label of their own: dashboards of more are read by nobody.
pub(super) const TOOLS_MAX: usize = 64;
/// Names of which nobody knows yet whether they are a tool's. Further calls meanwhile count for no tool.
const WAITING_MAX: usize = 16;
/// Of a name that may become a label.
const NAME_BYTES_MAX: usize = 128;
/// Places for numbers, so many that most names are found at the first look.
const SLOTS: usize = 256;

/// The call is of no tool.
pub(super) const NO_TOOL: u8 = u8::MAX;
/// It is of one without a number.
pub(super) const OTHER_TOOL: u8 = u8::MAX - 1;

const _: () = assert!(TOOLS_MAX + WAITING_MAX < OTHER_TOOL as usize);

pub(super) struct ToolNames {
    known: Vec<Arc<str>>,
    /// Where a name is in `known`, plus one: by its hash, or the next free place after it.
    slots: Box<[u8; SLOTS]>,
    waiting: [Option<UnknownTool>; WAITING_MAX],
}

struct UnknownTool {
    name: Arc<str>,
    users: u32,
}

impl Default for ToolNames {
    fn default() -> Self {
        ToolNames {
            known: Vec::new(),
            slots: Box::new([0; SLOTS]),
            waiting: Default::default(),
        }
    }
}

impl ToolNames {
    pub(super) fn known(&self) -> &[Arc<str>] {
        &self.known
    }

    /// A call of this tool begins: the number to [`end`](ToolNames::end) it with.
    pub(super) fn begin(&mut self, name: Option<&str>) -> u8 {
        let Some(name) = name.filter(|name| name.len() <= NAME_BYTES_MAX) else {
            return OTHER_TOOL;
        };
        match self.find(name) {
            Ok(number) => number,
            Err(_) if self.known.len() == TOOLS_MAX => OTHER_TOOL,
            Err(_) => self.wait(name),
        }
    }

    /// The call is over; `exists` if there is such a tool. The number to count it by.
    pub(super) fn end(&mut self, number: u8, exists: bool) -> u8 {
        let place = usize::from(number).wrapping_sub(TOOLS_MAX);
        let Some(Some(waiting)) = self.waiting.get_mut(place) else {
            return number;
        };
        waiting.users -= 1;
        let name = waiting.name.clone();
        if waiting.users == 0 {
            self.waiting[place] = None;
        }
        match self.find(&name) {
            Ok(number) => number,
            Err(slot) if exists && self.known.len() < TOOLS_MAX => {
                self.known.push(name);
                self.slots[slot] = self.known.len() as u8;
                self.slots[slot] - 1
            }
            Err(_) => OTHER_TOOL,
        }
    }

    fn wait(&mut self, name: &str) -> u8 {
        let same = |it: &Option<UnknownTool>| it.as_ref().is_some_and(|it| *it.name == *name);
        let known = self.waiting.iter().position(same);
        let place = known.or_else(|| self.waiting.iter().position(Option::is_none));
        let Some(place) = place else {
            return OTHER_TOOL;
        };
        let waiting = self.waiting[place].get_or_insert_with(|| UnknownTool {
            name: name.into(),
            users: 0,
        });
        waiting.users += 1;
        (TOOLS_MAX + place) as u8
    }

    /// The number of a name, or the slot where it would be. There is always a free one: names are fewer.
    fn find(&self, name: &str) -> Result<u8, usize> {
        let mut slot = usize::from(hash(name.as_bytes()));
        loop {
            match self.slots[slot] {
                0 => return Err(slot),
                at if *self.known[usize::from(at) - 1] == *name => return Ok(at - 1),
                _ => slot = (slot + 1) % SLOTS,
            }
        }
    }
}

/// FNV-1a. Whoever makes names that meet makes a look through all of them: some hundred instructions.
fn hash(name: &[u8]) -> u8 {
    let step = |hash: u32, byte: &u8| (hash ^ u32::from(*byte)).wrapping_mul(0x0100_0193);
    let hash = name.iter().fold(0x811c_9dc5, step);
    (hash >> 24) as u8 ^ hash as u8
}

/// As most clients write it.
const FIRST: &str = r#"{"name":""#;

/// The member `name` of an object, if it is a string without escapes. The text is JSON, of which so little is read as that takes.
pub(in crate::shard) fn name_in(object: &str) -> Option<&str> {
    match object.strip_prefix(FIRST) {
        Some(rest) => plain(rest),
        None => text_in(object, "name"),
    }
}

/// The same of another member.
pub(in crate::shard) fn text_in<'a>(object: &'a str, name: &str) -> Option<&'a str> {
    let text = object.as_bytes();
    let mut at = 1;
    loop {
        at = first(text, at, |byte| !is_between(byte))?;
        let (key, end) = string(text, at)?;
        at = first(text, end, |byte| !is_between(byte))?;
        if key == name.as_bytes() {
            return plain(object.get(at..)?.strip_prefix('"')?);
        }
        at = value_end(text, at)?;
    }
}

/// What a string says that has begun, if there are no escapes in it. Names are short: a loop finds the end of one sooner than
/// what is made for long texts.
fn plain(rest: &str) -> Option<&str> {
    let mut bytes = rest.bytes();
    let end = bytes.position(|byte| matches!(byte, b'"' | b'\\'))?;
    let name = rest.get(..end)?;
    rest[end..].starts_with('"').then_some(name)
}

fn first(text: &[u8], from: usize, is: impl Fn(u8) -> bool) -> Option<usize> {
    let found = text.get(from..)?.iter().position(|&byte| is(byte))?;
    Some(from + found)
}

/// Space, or what stands between a key, its value and the next key.
fn is_between(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\n' | b'\r' | b',' | b':')
}

/// What is in the string that begins here, and where it is over. None: no string does.
fn string(text: &[u8], at: usize) -> Option<(&[u8], usize)> {
    let rest = text.get(at..)?.strip_prefix(b"\"")?;
    let mut end = 0;
    loop {
        end += memchr2(b'"', b'\\', rest.get(end..)?)?;
        match rest[end] {
            b'"' => return Some((&rest[..end], at + end + 2)),
            _ => end += 2,
        }
    }
}

fn value_end(text: &[u8], mut at: usize) -> Option<usize> {
    let mut depth = 0;
    loop {
        match text.get(at)? {
            b'"' => at = string(text, at)?.1,
            b'{' | b'[' => {
                depth += 1;
                at += 1;
            }
            b'}' | b']' => {
                // That of the object itself ends it without a name.
                depth = usize::checked_sub(depth, 1)?;
                at += 1;
            }
            b',' if depth == 0 => return Some(at),
            _ => {
                at += 1;
                continue;
            }
        }
        if depth == 0 {
            return Some(at);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_wherever_it_stands() {
        for (object, name) in [
            (r#"{"name":"hello"}"#, Some("hello")),
            (
                r#"{ "arguments" : {"name":"no","a":[{"x":"}"}]}, "name" : "hello" }"#,
                Some("hello"),
            ),
            (
                r#"{"_meta":{"progressToken":1},"x":"a\"b,","y":[],"z":-1.5e3,"t":true,"name":"é"}"#,
                Some("é"),
            ),
            (r#"{"name":"a\u0062"}"#, None),
            (r#"{"name":7}"#, None),
            (r#"{"name":null,"x":"y"}"#, None),
            (r#"{"x":1}"#, None),
            ("{}", None),
            ("[]", None),
            ("", None),
        ] {
            assert_eq!(name_in(object), name, "{object}");
            for cut in 0..object.len() {
                let _ = object.get(..cut).map(name_in);
            }
        }
    }

    #[test]
    fn a_name_that_is_no_tools_gets_no_number() {
        let mut names = ToolNames::default();
        let wrong = names.begin(Some("nope"));
        assert_eq!(names.end(wrong, false), OTHER_TOOL);
        let [first, second] = [(); 2].map(|()| names.begin(Some("hello")));
        assert_eq!(names.end(first, true), 0);
        assert_eq!(names.end(second, false), 0, "it is known by now");
        assert_eq!(names.begin(Some("hello")), 0);
        assert_eq!(names.end(0, false), 0);
        assert_eq!(names.known(), ["hello".into()]);
        assert!(names.waiting.iter().all(Option::is_none));
        assert_eq!(names.begin(None), OTHER_TOOL);
        assert_eq!(names.begin(Some(&"n".repeat(129))), OTHER_TOOL);
        assert_eq!(names.end(NO_TOOL, true), NO_TOOL);
    }

    #[test]
    fn more_tools_than_have_a_label() {
        let mut names = ToolNames::default();
        for number in 0..200 {
            let name = format!("tool-{number}");
            let begun = names.begin(Some(&name));
            let right = if number < 64 {
                number as u8
            } else {
                OTHER_TOOL
            };
            assert_eq!(names.end(begun, true), right);
        }
        assert_eq!(names.begin(Some("tool-63")), 63);
        let mut names = ToolNames::default();
        let waiting = (0..20).map(|number| names.begin(Some(&format!("tool-{number}"))));
        let others = waiting.filter(|&it| it == OTHER_TOOL).count();
        assert_eq!(others, 4);
    }
}
