//! `GET /.pinfold/sessions?…`: what an operator asked of one node, and that node asks another one.
//!
//! `Pinfold-Question: {node}.{incarnation}.{number}.{proof}` says which node asks, and which of its questions it is. The
//! proof is an HMAC-SHA-256 of that, of the process that is asked, and of the request's method and target, under a key that
//! only nodes of this cluster have. It is worth nothing for another question or at another node, nor there after a restart. That none
//! is asked twice the number is for: whoever answers remembers them. No body belongs to it.

use std::fmt::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;

use super::HeadView;
use super::forwarded::PeerSecret;
use super::head::{Framing, Method};
use super::session_id::{NodeName, Process};

/// The field's name, in lower case.
const QUESTION: &str = "pinfold-question";

/// What leads the target, where operators have theirs at the root.
const AT: &str = "/.pinfold";

/// What a node asks that does not reach Redis: that nothing is taken over from it. Of whichever process is there under the name of
/// the node that is asked, which is called 0: it may be another one by now.
pub const PLEDGE: &str = "/pledge";

/// What one node asks of another one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PeerQuestion {
    pub from: NodeName,
    /// Of the process that asks.
    pub incarnation: u64,
    /// No other question of that process has the same.
    pub number: u64,
    pub method: Method,
    /// As at the admin listener: `/sessions?limit=100`.
    pub target: Box<str>,
}

impl PeerQuestion {
    /// Whether it is for the cluster itself, and not for operators.
    #[must_use]
    pub fn is_for_pledge(&self) -> bool {
        let path = self.target.split('?').next();
        self.method == Method::Post && path == Some(PLEDGE)
    }
}

/// By which nodes prove that they ask.
#[derive(Clone)]
pub struct QuestionKey {
    keyed: Hmac<Sha256>,
}

impl QuestionKey {
    #[must_use]
    pub fn of(secret: &PeerSecret) -> QuestionKey {
        let key = secret.key_for("questions of operators");
        let keyed = Hmac::new_from_slice(&key).expect("a key of any length will do");
        QuestionKey { keyed }
    }

    /// The whole request to that process. None: nothing is asked by such a method.
    #[must_use]
    pub fn request(&self, question: &PeerQuestion, to: Process, host: &str) -> Option<String> {
        let method = method_text(question.method)?;
        let proof = self.proof(question, method, to).finalize().into_bytes();
        let PeerQuestion {
            from,
            incarnation,
            number,
            target,
            ..
        } = question;
        let proof = URL_SAFE_NO_PAD.encode(proof);
        Some(format!(
            "{method} {AT}{target} HTTP/1.1\r\nHost: {host}\r\nPinfold-Question: {from}.{incarnation}.{number}.{proof}\r\n\
             Connection: close\r\n\r\n"
        ))
    }

    /// The question of a node of this cluster to this process. None: it is none, and a request like any other.
    #[must_use]
    pub fn read(&self, head: &HeadView<'_>, own: Process) -> Option<PeerQuestion> {
        let target = head.target().strip_prefix(AT)?;
        let method = head.head().method;
        if !target.starts_with('/') || head.head().framing != Framing::None {
            return None;
        }
        let mut words = head.single(QUESTION).ok()??.split('.');
        let question = PeerQuestion {
            from: NodeName::new(words.next()?)?,
            incarnation: decimal(words.next()?)?,
            number: decimal(words.next()?)?,
            method,
            target: target.into(),
        };
        let proof = URL_SAFE_NO_PAD.decode(words.next()?).ok()?;
        let to = match question.is_for_pledge() {
            true => (own.0, 0),
            false => own,
        };
        let right = self.proof(&question, method_text(method)?, to);
        let is_proven = right.verify_slice(&proof).is_ok() && words.next().is_none();
        is_proven.then_some(question)
    }

    /// Of words without spaces, so that no two questions have the same.
    fn proof(&self, question: &PeerQuestion, method: &str, to: Process) -> Hmac<Sha256> {
        let PeerQuestion {
            from,
            incarnation,
            number,
            target,
            ..
        } = question;
        let (node, process) = to;
        let mut text = String::new();
        let _ = write!(
            text,
            "{from} {incarnation} {number} {node} {process} {method} {target}"
        );
        let mut proof = self.keyed.clone();
        proof.update(text.as_bytes());
        proof
    }
}

const fn method_text(method: Method) -> Option<&'static str> {
    match method {
        Method::Get => Some("GET"),
        Method::Post => Some("POST"),
        Method::Delete => Some("DELETE"),
        Method::Options | Method::Head | Method::Other => None,
    }
}

/// In one spelling.
fn decimal(text: &str) -> Option<u64> {
    let number: u64 = text.parse().ok()?;
    (number.to_string() == text).then_some(number)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::http1::{HeadLimits, parse_head};

    const OWN: &str = "n2";

    fn node(name: &str) -> NodeName {
        NodeName::new(name).expect("a name")
    }

    fn key(secret: &[u8]) -> QuestionKey {
        QuestionKey::of(&PeerSecret::new(secret))
    }

    fn question() -> PeerQuestion {
        PeerQuestion {
            from: node("n1"),
            incarnation: 7,
            number: 3,
            method: Method::Delete,
            target: "/sessions?principal=00&x=%20".into(),
        }
    }

    fn asked(secret: &[u8]) -> String {
        let request = key(secret).request(&question(), (node(OWN), 9), "10.0.0.2:8080");
        request.expect("a method")
    }

    fn read(request: &str, secret: &[u8], own: Process) -> Option<PeerQuestion> {
        let limits = HeadLimits {
            head_bytes_max: 16 * 1024,
            target_bytes_max: 8 * 1024,
        };
        let head = parse_head(request.as_bytes(), 0, &limits).expect("a head");
        let head = head.expect("a whole one");
        key(secret).read(&head.view(request.as_bytes()), own)
    }

    #[test]
    fn what_a_node_asks_is_understood() {
        let request = asked(b"one secret");
        let own = (node(OWN), 9);
        assert_eq!(read(&request, b"one secret", own), Some(question()));
    }

    #[test]
    fn a_question_that_nobody_asked_here() {
        let (request, own) = (asked(b"one secret"), (node(OWN), 9));
        assert_eq!(read(&request, b"another", own), None);
        for other in [(node("n3"), 9), (node(OWN), 10)] {
            assert_eq!(read(&request, b"one secret", other), None, "{other:?}");
        }
        for (from, to) in [
            ("DELETE", "GET"),
            ("principal=00", "principal=01"),
            ("n1.7.3.", "n1.7.4."),
            ("n1.7.3.", "n1.8.3."),
            ("n1.7.3.", "n3.7.3."),
            ("n1.7.3.", "n1.7.03."),
            ("n1.7.3.", "n1.7.+3."),
            ("/.pinfold/", "/.pinfold//"),
            ("/.pinfold/", "/"),
            ("Pinfold-Question", "Pinfold-Quest"),
            ("Connection: close", "Content-Length: 1"),
            ("Connection: close", "Pinfold-Question: n1.7.3.AAAA"),
        ] {
            let forged = request.replacen(from, to, 1);
            assert_ne!(forged, request, "{from}");
            assert_eq!(read(&forged, b"one secret", own), None, "{forged}");
        }
    }

    /// A pledge may be given by whichever process is there, and nothing else may be asked of it so.
    #[test]
    fn a_question_for_any_process_that_is_not_for_a_pledge() {
        let asked = |target: &str, method, process| {
            let question = PeerQuestion {
                method,
                target: target.into(),
                ..question()
            };
            let request = key(b"one secret").request(&question, (node(OWN), process), "10.0.0.2");
            let read = read(&request.expect("a method"), b"one secret", (node(OWN), 9));
            assert!(read.is_none() || read == Some(question));
            read.is_some()
        };
        let pledge = "/pledge?beat_ms=1&lapsed=0";
        assert!(asked(pledge, Method::Post, 0));
        assert!(!asked(pledge, Method::Post, 9), "of one process alone");
        assert!(!asked(pledge, Method::Delete, 0));
        for target in ["/sessions", "/pledges", "/pledge/", "/sessions?x=/pledge"] {
            assert!(!asked(target, Method::Post, 0), "{target}");
            assert!(asked(target, Method::Post, 9), "{target}");
        }
    }

    #[test]
    fn a_key_that_another_proof_could_be_made_with() {
        let secret = PeerSecret::new(b"one secret");
        let forwarded = secret.sign(node("n1"), "session");
        let request = asked(b"one secret");
        let proof = forwarded.trim_start_matches("n1.");
        let at = request.find("n1.7.3.").expect("a question") + "n1.7.3.".len();
        let end = at + request[at..].find('\r').expect("an end");
        let mixed = format!("{}{proof}{}", &request[..at], &request[end..]);
        assert_eq!(read(&mixed, b"one secret", (node(OWN), 9)), None);
    }
}
