//! The keys of an issuer, from its JWKS: RFC 7517. What is no public key for signatures is left out, and a set that is
//! too large is refused as a whole: the one before stays in force.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::algorithm::{Algorithm, Material};
use crate::limits::{ISSUER_KEYS_MAX, KEY_SET_BYTES_MAX, KEYS_TRIED_MAX};

/// Bytes of an RSA modulus: 2048 bits, below which RFC 7518, 3.3 allows none, and 8192, above which a signature takes
/// milliseconds.
const RSA_BYTES_MIN: usize = 256;
const RSA_BYTES_MAX: usize = 1024;

/// Bytes of a secret for HS256 and its kin: RFC 7518, 3.2 asks for no less than the hash has.
const SECRET_BYTES_MIN: usize = 32;

/// Keys of one issuer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KeySet {
    keys: Vec<IssuerKey>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct IssuerKey {
    id: Option<Box<str>>,
    /// The only one that it is for, if its issuer says so.
    algorithm: Option<Algorithm>,
    pub(super) material: Material,
}

/// Why a document is no set of keys that can be used. The end of a sentence that begins with where it is from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BadKeySet {
    TooLong,
    NotAKeySet,
    TooMany(usize),
    NoneUsable,
    ShortSecret,
}

/// Each member may be anything: a key with one that is of the wrong type is left out, and no other.
#[derive(Deserialize)]
struct Jwk {
    kty: String,
    kid: Option<String>,
    alg: Option<String>,
    #[serde(rename = "use")]
    usage: Option<String>,
    key_ops: Option<Vec<String>>,
    crv: Option<String>,
    n: Option<String>,
    e: Option<String>,
    x: Option<String>,
    y: Option<String>,
}

#[derive(Deserialize)]
struct JwkSetDocument<'a> {
    #[serde(borrow)]
    keys: Vec<&'a RawValue>,
}

impl KeySet {
    /// # Errors
    /// [`BadKeySet`]. Keys of other kinds, and for other uses, are no error.
    pub fn parse(json: &[u8]) -> Result<KeySet, BadKeySet> {
        if json.len() > KEY_SET_BYTES_MAX {
            return Err(BadKeySet::TooLong);
        }
        let document: JwkSetDocument<'_> =
            serde_json::from_slice(json).map_err(|_| BadKeySet::NotAKeySet)?;
        if document.keys.len() > ISSUER_KEYS_MAX {
            return Err(BadKeySet::TooMany(document.keys.len()));
        }
        let usable = document
            .keys
            .iter()
            .filter_map(|key| IssuerKey::parse(key.get()));
        let keys: Vec<IssuerKey> = usable.collect();
        match keys.is_empty() {
            true => Err(BadKeySet::NoneUsable),
            false => Ok(KeySet { keys }),
        }
    }

    /// A secret that issuer and server share.
    ///
    /// # Errors
    /// [`BadKeySet::ShortSecret`]
    pub fn of_secret(secret: &[u8]) -> Result<KeySet, BadKeySet> {
        if secret.len() < SECRET_BYTES_MIN {
            return Err(BadKeySet::ShortSecret);
        }
        let key = IssuerKey {
            id: None,
            algorithm: None,
            material: Material::Secret(secret.into()),
        };
        Ok(KeySet { keys: vec![key] })
    }

    #[must_use]
    pub fn len(&self) -> usize {
        self.keys.len()
    }

    /// No key is known yet.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// Nothing that was signed by one of the other's keys is worth less by this set.
    #[must_use]
    pub fn has_all_of(&self, other: &KeySet) -> bool {
        other.keys.iter().all(|key| self.keys.contains(key))
    }

    /// The keys that can have made a signature, few of them: of this name if it has one, or else of its kind. A secret
    /// has no name.
    pub(super) fn select(
        &self,
        id: Option<&str>,
        algorithm: Algorithm,
    ) -> impl Iterator<Item = &Material> {
        let is_named = move |key: &&IssuerKey| match id {
            Some(id) => key.id.as_deref() == Some(id) || key.is_secret(),
            None => true,
        };
        let is_meant = move |key: &&IssuerKey| key.algorithm.is_none_or(|own| own == algorithm);
        let named = self.keys.iter().filter(is_named).filter(is_meant);
        let materials = named.map(|key| &key.material);
        materials
            .filter(move |it| it.is_for(algorithm))
            .take(KEYS_TRIED_MAX)
    }
}

impl IssuerKey {
    fn is_secret(&self) -> bool {
        matches!(self.material, Material::Secret(_))
    }

    /// None: it is of no use here.
    fn parse(json: &str) -> Option<IssuerKey> {
        let jwk: Jwk = serde_json::from_str(json).ok()?;
        let is_for_signing = jwk.usage.as_deref().is_none_or(|usage| usage == "sig");
        let verifies = |operations: &Vec<String>| operations.iter().any(|it| it == "verify");
        if !is_for_signing || !jwk.key_ops.as_ref().is_none_or(verifies) {
            return None;
        }
        let algorithm = match jwk.alg.as_deref() {
            Some(name) => Some(Algorithm::parse(name)?),
            None => None,
        };
        let material = jwk.material()?;
        let is_meant = |algorithm| material.is_for(algorithm);
        algorithm.is_none_or(is_meant).then_some(IssuerKey {
            id: jwk.kid.map(String::into_boxed_str),
            algorithm,
            material,
        })
    }
}

impl Jwk {
    /// A secret in a document that everybody can read is none: `oct` is of no use.
    fn material(&self) -> Option<Material> {
        match (self.kty.as_str(), self.crv.as_deref()) {
            ("RSA", _) => {
                let modulus = number(self.n.as_deref()?)?;
                let exponent = number(self.e.as_deref()?)?;
                let fits = (RSA_BYTES_MIN..=RSA_BYTES_MAX).contains(&modulus.len());
                // What `ring` takes: at most 33 bits.
                let is_exponent = (1..=5).contains(&exponent.len());
                (fits && is_exponent).then_some(Material::Rsa { modulus, exponent })
            }
            ("EC", Some("P-256")) => self.point(32).map(Material::P256),
            ("EC", Some("P-384")) => self.point(48).map(Material::P384),
            ("OKP", Some("Ed25519")) => {
                let x = decode(self.x.as_deref()?)?;
                (x.len() == 32).then(|| Material::Ed25519(x.into()))
            }
            _ => None,
        }
    }

    fn point(&self, bytes: usize) -> Option<Box<[u8]>> {
        let x = decode(self.x.as_deref()?)?;
        let y = decode(self.y.as_deref()?)?;
        let fits = x.len() == bytes && y.len() == bytes;
        fits.then(|| [&[4], x.as_slice(), y.as_slice()].concat().into())
    }
}

fn decode(text: &str) -> Option<Vec<u8>> {
    URL_SAFE_NO_PAD.decode(text).ok()
}

/// Some issuers write a zero in front, as for a signed number.
fn number(text: &str) -> Option<Box<[u8]>> {
    let bytes = decode(text)?;
    let zeros = bytes.iter().take_while(|byte| **byte == 0).count();
    Some(bytes.get(zeros..)?.into())
}

impl fmt::Display for BadKeySet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            BadKeySet::TooLong => write!(f, "is longer than {KEY_SET_BYTES_MAX} bytes"),
            BadKeySet::NotAKeySet => f.write_str("is not a JSON Web Key Set: {\"keys\": […]}"),
            BadKeySet::TooMany(keys) => {
                write!(f, "has {keys} keys, and at most {ISSUER_KEYS_MAX} are taken")
            }
            BadKeySet::NoneUsable => f.write_str(
                "has no key for signatures that can be used: RSA of 2048 bits or more, P-256, P-384, Ed25519",
            ),
            BadKeySet::ShortSecret => {
                write!(f, "is shorter than {SECRET_BYTES_MIN} bytes")
            }
        }
    }
}

impl std::error::Error for BadKeySet {}
