//! Identities that a proxy in front knows: it says who asks in a header field. Its word counts if it comes from where the
//! proxy is, or if it is signed; else anybody could say so.

use std::net::IpAddr;
use std::sync::Arc;

use serde::{Deserialize, Deserializer, de};

use super::shown::ShownField;
use super::{Identity, JwtSettings, PublicUrl, Reason, Verifier};
use crate::clients::Networks;

/// The issuer of all that a proxy names without a signature.
pub const PROXY_ISSUER: &str = "pinfold:proxy";

/// Bytes of what a proxy says in one field. A subject has 255 by OpenID Connect Core, 2; lists of groups are longer.
const FIELD_BYTES_MAX: usize = 4 * 1024;

/// What a proxy says, and whose word counts.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ProxySettings {
    /// Where the proxy is: addresses and networks. Needed unless its word is signed; then it is asked for in addition, if
    /// it is given.
    #[serde(deserialize_with = "networks")]
    pub from: Networks,
    /// Who asks. `x-forwarded-user` unless it is given.
    pub subject_field: String,
    /// What people call them.
    pub name_field: Option<String>,
    /// Scopes, or groups, with spaces or commas between them.
    pub scopes_field: Option<String>,
    /// Scopes of everybody whom the proxy names.
    pub scopes: Vec<String>,
    /// A field with a JWT in place of all that, such as `x-forwarded-access-token`.
    pub signed_field: Option<String>,
    /// Whose signature counts there.
    pub signed: JwtSettings,
}

impl Default for ProxySettings {
    fn default() -> Self {
        ProxySettings {
            from: Networks::default(),
            subject_field: "x-forwarded-user".to_owned(),
            name_field: None,
            scopes_field: None,
            scopes: Vec::new(),
            signed_field: None,
            signed: JwtSettings::default(),
        }
    }
}

/// The same, checked.
#[derive(Clone, Debug)]
pub struct Proxy {
    settings: Arc<ProxySettings>,
    verifier: Option<Verifier>,
}

/// What a proxy says of one request.
pub(super) enum ProxyStatement<'a> {
    /// A token, still to be verified.
    Token(&'a str),
    Plain {
        subject: &'a str,
        name: &'a str,
        scopes: &'a str,
    },
}

impl Proxy {
    /// # Errors
    /// A sentence on what cannot be.
    pub fn new(settings: ProxySettings, public: Option<&PublicUrl>) -> Result<Proxy, String> {
        let is_signed = settings.signed_field.is_some();
        if !is_signed && settings.from == Networks::default() {
            return Err(
                "nobody says from where the proxy comes (from), and its word is not signed (signed_field): anybody could say who \
                 they are"
                    .to_owned(),
            );
        }
        let fields = [
            &settings.name_field,
            &settings.scopes_field,
            &settings.signed_field,
        ];
        let named = fields
            .into_iter()
            .flatten()
            .chain([&settings.subject_field]);
        for field in named {
            let is_named = crate::wire::is_field_name(field);
            if !is_named || field.eq_ignore_ascii_case("authorization") {
                return Err(format!(
                    "\"{field}\" is no name of a field that a proxy could say this in"
                ));
            }
        }
        let verifier = match is_signed {
            true => Some(Verifier::new(&settings.signed, public)?),
            false => None,
        };
        Ok(Proxy {
            settings: Arc::new(settings),
            verifier,
        })
    }

    /// Whether this is an address of the proxy.
    pub(super) fn is_at(&self, peer: IpAddr) -> bool {
        self.settings.from.contains(peer)
    }

    pub(super) fn verifier(&self) -> Option<&Verifier> {
        self.verifier.as_ref()
    }

    pub(super) fn with_verifier(&self, verifier: Verifier) -> Proxy {
        Proxy {
            settings: self.settings.clone(),
            verifier: Some(verifier),
        }
    }

    /// A field that somebody else could have sent says nothing.
    pub(super) fn said<'a>(
        &self,
        is_proxy: bool,
        field: impl Fn(&str) -> ShownField<'a>,
    ) -> Result<ProxyStatement<'a>, Reason> {
        let is_anywhere = self.settings.from == Networks::default();
        let once = |name: &str| match field(name) {
            ShownField::Absent => Ok(""),
            ShownField::Once(value) if value.len() <= FIELD_BYTES_MAX => Ok(value),
            ShownField::Once(_) => Err(Reason::TooLong),
            ShownField::Twice => Err(Reason::Doubled),
        };
        if let Some(name) = &self.settings.signed_field {
            return match (is_proxy || is_anywhere, field(name)) {
                (false, _) | (true, ShownField::Absent) => Err(Reason::Missing),
                (true, ShownField::Once(token)) => Ok(ProxyStatement::Token(token)),
                (true, ShownField::Twice) => Err(Reason::Doubled),
            };
        }
        if !is_proxy {
            return Err(Reason::Missing);
        }
        let optional = |name: &Option<String>| name.as_deref().map_or(Ok(""), once);
        match once(&self.settings.subject_field)? {
            "" => Err(Reason::Missing),
            subject => Ok(ProxyStatement::Plain {
                subject,
                name: optional(&self.settings.name_field)?,
                scopes: optional(&self.settings.scopes_field)?,
            }),
        }
    }

    /// All that the proxy says of who asks, as one text: for a node that proves to another one what it heard. None: one of the fields came
    /// twice.
    pub(super) fn words<'a>(&self, field: impl Fn(&str) -> ShownField<'a>) -> Option<String> {
        let settings = &*self.settings;
        let plain = [
            Some(&settings.subject_field),
            settings.name_field.as_ref(),
            settings.scopes_field.as_ref(),
        ];
        let signed = [settings.signed_field.as_ref(), None, None];
        let named = match settings.signed_field {
            Some(_) => signed,
            None => plain,
        };
        let mut words = String::new();
        for name in named.into_iter().flatten() {
            match field(name) {
                ShownField::Absent => {}
                ShownField::Once(value) => words.push_str(value),
                ShownField::Twice => return None,
            }
            // No field has a line end in it.
            words.push('\n');
        }
        Some(words)
    }

    pub(super) fn identity(&self, subject: &str, name: &str, scopes: &str) -> Identity {
        let said = scopes.split([' ', ',']);
        let given = self.settings.scopes.iter().map(String::as_str);
        let scopes = super::Scopes::of(said.chain(given));
        let identity = Identity::new(PROXY_ISSUER, subject).with_scope_set(scopes);
        match name {
            "" => identity,
            name => identity.with_name(name),
        }
    }
}

/// A text with commas, or a list of texts.
fn networks<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Networks, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Written {
        Text(String),
        List(Vec<String>),
    }
    let texts = match Written::deserialize(deserializer)? {
        Written::Text(text) => vec![text],
        Written::List(list) => list,
    };
    let parsed = texts.iter().map(|text| text.parse::<Networks>());
    parsed
        .collect::<Result<Networks, _>>()
        .map_err(de::Error::custom)
}
