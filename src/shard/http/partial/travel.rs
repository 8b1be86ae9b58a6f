//! A request whose body is still arriving as a value that can travel.
//!
//! What can be found out again from its bytes is: its head is read anew, and the body so far is looked through anew. So is who
//! asks, where the credentials say so by themselves: whoever takes the request in may know more of those than who let it in. If
//! somebody would have to be asked, what was found out at first holds, if the rules were still the same when it left: those of
//! the next process are taken for the same, and what was taken back meanwhile is looked at when the body is there.

use std::rc::Rc;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::super::{Http, RequestFields, UpperLayer};
use super::{HeadVerdict, Partial, Remaining, Sender};
use crate::clients::Client;
use crate::mcp::RpcError;
use crate::principal::{Identity, Scopes, UnixSeconds};
use crate::shard::refused::{METHODS, Refused};
use crate::shard::stays::NotTaken;
use crate::wire::HeadView;
use crate::wire::chunked::ChunkedDecoder;
use crate::wire::http1::{HeadLimits, parse_head};
use crate::wire::json_scan::JsonScan;

/// By which no rules go that anybody has: what was let in by it has to be sent again.
const OF_OTHER_RULES: u64 = u64::MAX;

#[derive(Clone, Serialize, Deserialize)]
pub(in crate::shard::http) struct PackedPartial {
    head: Box<[u8]>,
    /// Decoded.
    body: Vec<u8>,
    remaining: PackedRemaining,
    verdict: PackedVerdict,
}

#[derive(Clone, Serialize, Deserialize)]
enum PackedRemaining {
    Length(usize),
    Chunked(ChunkedDecoder),
}

/// A document, a question and a probe are known by the head.
#[derive(Clone, Serialize, Deserialize)]
enum PackedVerdict {
    Admitted {
        identity: Option<Box<PackedIdentity>>,
        from: Option<Client>,
        /// By the rules that held when it left.
        is_of_these_rules: bool,
    },
    Refused(Box<PackedRefusal>),
    Ambiguous,
    Probe,
    Question,
    Document,
}

#[derive(Clone, Serialize, Deserialize)]
struct PackedIdentity {
    issuer: Box<str>,
    subject: Box<str>,
    name: Option<Box<str>>,
    tenant: Option<Box<str>>,
    scopes: Vec<Box<str>>,
    valid_until: Option<UnixSeconds>,
    issued_at: Option<UnixSeconds>,
    /// JSON.
    claims: Option<String>,
}

#[derive(Clone, Serialize, Deserialize)]
struct PackedRefusal {
    status: u16,
    code: i32,
    message: String,
    /// JSON.
    data: Option<String>,
    allow: Option<String>,
    retry_after_s: Option<u32>,
    accept_encoding: bool,
    challenge: Option<Box<str>>,
}

impl Partial {
    /// `epoch` is that of the rules that hold.
    pub(in crate::shard::http) fn pack(self, epoch: u64) -> PackedPartial {
        let Partial {
            // In its bytes.
            head: _,
            head_bytes,
            body,
            // In the body.
            scan: _,
            remaining,
            verdict,
        } = self;
        PackedPartial {
            head: head_bytes,
            body,
            remaining: match remaining {
                Remaining::Length(missing) => PackedRemaining::Length(missing),
                Remaining::Chunked(decoder) => PackedRemaining::Chunked(decoder),
            },
            verdict: verdict.pack(epoch),
        }
    }
}

impl HeadVerdict {
    fn pack(self, rules_epoch: u64) -> PackedVerdict {
        match self {
            HeadVerdict::Admitted(sender) => {
                let Sender {
                    identity,
                    from,
                    epoch,
                } = sender;
                PackedVerdict::Admitted {
                    identity: identity.map(|it| Box::new(PackedIdentity::of(&it))),
                    from,
                    is_of_these_rules: epoch == rules_epoch,
                }
            }
            HeadVerdict::Refused(refused) => {
                PackedVerdict::Refused(Box::new(PackedRefusal::of(*refused)))
            }
            HeadVerdict::Ambiguous => PackedVerdict::Ambiguous,
            HeadVerdict::Probe => PackedVerdict::Probe,
            HeadVerdict::Question(_) => PackedVerdict::Question,
            HeadVerdict::Document(_) => PackedVerdict::Document,
        }
    }
}

impl<U: UpperLayer> Http<U> {
    /// Its bytes are taken if it is. `names_principals`: whoever sent it may name who asks.
    pub(in crate::shard::http) fn read_partial_again(
        &mut self,
        packed: &mut PackedPartial,
        names_principals: bool,
    ) -> Result<Box<Partial>, NotTaken> {
        let PackedPartial {
            head: head_bytes,
            body,
            remaining,
            verdict,
        } = packed;
        // It was not too long where it was read.
        let any_length = HeadLimits {
            head_bytes_max: head_bytes.len(),
            target_bytes_max: head_bytes.len(),
        };
        let head = parse_head(head_bytes, 0, &any_length);
        let head = head.ok().flatten();
        let head = head.filter(|it| it.len as usize == head_bytes.len());
        let head = head.ok_or(NotTaken::Malformed)?;
        let remaining = remaining.clone().unpack(body.len())?;
        let fields = self.fields_of(&head, head_bytes);
        let view = head.view(head_bytes);
        let verdict = self.verdict_again(verdict.clone(), names_principals, &view, &fields)?;
        Ok(Box::new(Partial {
            remaining,
            scan: JsonScan::of(body),
            head,
            head_bytes: std::mem::take(head_bytes),
            body: std::mem::take(body),
            verdict,
        }))
    }

    fn verdict_again(
        &mut self,
        verdict: PackedVerdict,
        names_principals: bool,
        head: &HeadView<'_>,
        fields: &RequestFields<'_>,
    ) -> Result<HeadVerdict, NotTaken> {
        Ok(match verdict {
            PackedVerdict::Admitted {
                identity,
                from,
                is_of_these_rules,
            } => {
                let identity = identity.map(|it| it.unpack()).transpose()?;
                let whose = (from, identity.as_ref());
                match self.identify_again(names_principals, whose, head, fields) {
                    Some(Err(refused)) => HeadVerdict::Refused(refused),
                    Some(Ok(now)) => HeadVerdict::Admitted(Sender {
                        identity: Some(now),
                        from,
                        epoch: self.rules_epoch(),
                    }),
                    None => HeadVerdict::Admitted(Sender {
                        identity: identity.map(Rc::new),
                        from,
                        epoch: match is_of_these_rules {
                            true => self.rules_epoch(),
                            false => OF_OTHER_RULES,
                        },
                    }),
                }
            }
            PackedVerdict::Refused(refusal) => HeadVerdict::Refused(Box::new(refusal.unpack())),
            PackedVerdict::Ambiguous => HeadVerdict::Ambiguous,
            PackedVerdict::Probe => HeadVerdict::Probe,
            PackedVerdict::Question => match self.peer_question(head, fields) {
                Some(question) => HeadVerdict::Question(question),
                None => self.nothing_here(),
            },
            PackedVerdict::Document => match self.find_document(head, fields) {
                Some(Ok(document)) => HeadVerdict::Document(document),
                Some(Err(refused)) => HeadVerdict::Refused(Box::new(refused)),
                None => self.nothing_here(),
            },
        })
    }

    /// Its answer is not to be had here any more.
    fn nothing_here(&self) -> HeadVerdict {
        HeadVerdict::Refused(Box::new(self.gate.nothing_here()))
    }
}

impl PackedRemaining {
    fn unpack(self, decoded: usize) -> Result<Remaining, NotTaken> {
        match self {
            PackedRemaining::Length(missing) => Ok(Remaining::Length(missing)),
            PackedRemaining::Chunked(decoder) if decoder.has_decoded(decoded) => {
                Ok(Remaining::Chunked(decoder))
            }
            PackedRemaining::Chunked(_) => Err(NotTaken::Malformed),
        }
    }
}

impl PackedIdentity {
    fn of(identity: &Identity) -> PackedIdentity {
        PackedIdentity {
            issuer: identity.issuer().into(),
            subject: identity.subject().into(),
            name: identity.name().map(Box::from),
            tenant: identity.tenant().map(Box::from),
            scopes: identity.scopes().iter().map(Box::from).collect(),
            valid_until: identity.valid_until(),
            issued_at: identity.issued_at(),
            claims: identity.claims().map(|it| it.get().to_owned()),
        }
    }

    fn unpack(self) -> Result<Identity, NotTaken> {
        let PackedIdentity {
            issuer,
            subject,
            name,
            tenant,
            scopes,
            valid_until,
            issued_at,
            claims,
        } = self;
        let scopes = Scopes::of(scopes.iter().map(|it| &**it));
        let mut identity = Identity::new(&issuer, &subject).with_scope_set(scopes);
        if let Some(name) = name {
            identity = identity.with_name(&name);
        }
        if let Some(tenant) = tenant {
            identity = identity.with_tenant(&tenant);
        }
        if let Some(until) = valid_until {
            identity = identity.with_valid_until(until);
        }
        if let Some(at) = issued_at {
            identity = identity.with_issued_at(at);
        }
        let claims = claims.map(RawValue::from_string).transpose();
        let claims = claims.map_err(|_| NotTaken::Malformed)?;
        Ok(match claims {
            Some(claims) => identity.with_claims(claims),
            None => identity,
        })
    }
}

impl PackedRefusal {
    fn of(refused: Refused) -> PackedRefusal {
        let Refused {
            status,
            error,
            allow,
            retry_after_s,
            accept_encoding,
            challenge,
        } = refused;
        let RpcError {
            code,
            message,
            data,
        } = error;
        PackedRefusal {
            status,
            code,
            message: message.into_owned(),
            data: data.map(|it| it.to_string()),
            allow: allow.map(str::to_owned),
            retry_after_s,
            accept_encoding,
            challenge,
        }
    }

    fn unpack(self) -> Refused {
        let PackedRefusal {
            status,
            code,
            message,
            data,
            allow,
            retry_after_s,
            accept_encoding,
            challenge,
        } = self;
        let data = data.and_then(|it| serde_json::from_str(&it).ok());
        Refused {
            status,
            error: RpcError {
                code,
                message: message.into(),
                data: data.map(Box::new),
            },
            allow: allow.filter(|it| it == METHODS).map(|_| METHODS),
            retry_after_s,
            accept_encoding,
            challenge,
        }
    }
}
