//! An issuer of access tokens, for tests: it signs what no honest one would, too.
//!
//! Keys of P-256 and Ed25519 are made as they are needed; `ring` makes none for RSA, so that one of those stands here.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use ring::rand::SystemRandom;
use ring::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _, RSA_PKCS1_SHA256,
    RSA_PSS_SHA256, RsaEncoding, RsaKeyPair, RsaPublicKeyComponents,
};
use ring::{hmac, rand};
use serde_json::{Value, json};

/// A key, and how it signs.
pub(crate) enum Signer {
    Rsa(Box<RsaKeyPair>),
    P256(EcdsaKeyPair),
    Ed25519(Ed25519KeyPair),
    Secret(Vec<u8>),
    /// `alg: none`, or whatever else is said: the signature is what stands here.
    Nothing(Vec<u8>),
}

/// A key and its name, as they stand in a key set.
pub(crate) struct Issuer {
    pub(crate) key_id: String,
    pub(crate) signer: Signer,
}

impl Issuer {
    /// One with an RSA key, which is the same each time.
    pub(crate) fn rsa(key_id: &str) -> Issuer {
        let key = STANDARD.decode(RSA_KEY).expect("base64");
        let key = RsaKeyPair::from_pkcs8(&key).expect("a key");
        Issuer::with(key_id, Signer::Rsa(Box::new(key)))
    }

    pub(crate) fn p256(key_id: &str) -> Issuer {
        let (way, random) = (&ECDSA_P256_SHA256_FIXED_SIGNING, SystemRandom::new());
        let key = EcdsaKeyPair::generate_pkcs8(way, &random).expect("a key");
        let key = EcdsaKeyPair::from_pkcs8(way, key.as_ref(), &random).expect("a key");
        Issuer::with(key_id, Signer::P256(key))
    }

    pub(crate) fn ed25519(key_id: &str) -> Issuer {
        let key = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).expect("a key");
        let key = Ed25519KeyPair::from_pkcs8(key.as_ref()).expect("a key");
        Issuer::with(key_id, Signer::Ed25519(key))
    }

    pub(crate) fn secret(secret: &[u8]) -> Issuer {
        Issuer::with("secret", Signer::Secret(secret.to_vec()))
    }

    fn with(key_id: &str, signer: Signer) -> Issuer {
        let key_id = key_id.to_owned();
        Issuer { key_id, signer }
    }

    /// The public key, as a JWK.
    pub(crate) fn jwk(&self) -> Value {
        let encode = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
        let mut jwk = match &self.signer {
            Signer::Rsa(key) => {
                let public = RsaPublicKeyComponents::<Vec<u8>>::from(key.public());
                let (n, e) = (&public.n, &public.e);
                json!({"kty": "RSA", "n": encode(n), "e": encode(e)})
            }
            Signer::P256(key) => {
                let (x, y) = key.public_key().as_ref()[1..].split_at(32);
                json!({"kty": "EC", "crv": "P-256", "x": encode(x), "y": encode(y)})
            }
            Signer::Ed25519(key) => {
                json!({"kty": "OKP", "crv": "Ed25519", "x": encode(key.public_key().as_ref())})
            }
            Signer::Secret(secret) => json!({"kty": "oct", "k": encode(secret)}),
            Signer::Nothing(_) => json!({"kty": "none"}),
        };
        jwk["kid"] = json!(self.key_id);
        jwk["use"] = json!("sig");
        jwk
    }

    pub(crate) fn key_set(issuers: &[&Issuer]) -> String {
        let keys: Vec<Value> = issuers.iter().map(|issuer| issuer.jwk()).collect();
        json!({"keys": keys}).to_string()
    }

    pub(crate) fn algorithm(&self) -> &'static str {
        match &self.signer {
            Signer::Rsa(_) => "RS256",
            Signer::P256(_) => "ES256",
            Signer::Ed25519(_) => "EdDSA",
            Signer::Secret(_) => "HS256",
            Signer::Nothing(_) => "none",
        }
    }

    pub(crate) fn header(&self) -> Value {
        json!({"alg": self.algorithm(), "typ": "at+jwt", "kid": self.key_id})
    }

    /// An honest token with these claims.
    pub(crate) fn token(&self, claims: &Value) -> String {
        self.sign(&self.header().to_string(), &claims.to_string())
    }

    /// Whatever stands in header and payload.
    pub(crate) fn sign(&self, header: &str, payload: &str) -> String {
        let text = |part: &str| URL_SAFE_NO_PAD.encode(part);
        let signed = format!("{}.{}", text(header), text(payload));
        let is_pss = header.contains("PS256");
        let signature = self.signature(signed.as_bytes(), is_pss);
        format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature))
    }

    fn signature(&self, signed: &[u8], is_pss: bool) -> Vec<u8> {
        let random = rand::SystemRandom::new();
        match &self.signer {
            Signer::Rsa(key) => {
                let way: &'static dyn RsaEncoding = if is_pss {
                    &RSA_PSS_SHA256
                } else {
                    &RSA_PKCS1_SHA256
                };
                let mut signature = vec![0; key.public().modulus_len()];
                key.sign(way, &random, signed, &mut signature)
                    .expect("a signature");
                signature
            }
            Signer::P256(key) => key
                .sign(&random, signed)
                .expect("a signature")
                .as_ref()
                .to_vec(),
            Signer::Ed25519(key) => key.sign(signed).as_ref().to_vec(),
            Signer::Secret(secret) => {
                let key = hmac::Key::new(hmac::HMAC_SHA256, secret);
                hmac::sign(&key, signed).as_ref().to_vec()
            }
            Signer::Nothing(signature) => signature.clone(),
        }
    }
}

/// PKCS #8, of nobody: it is in this repository.
const RSA_KEY: &str = "\
MIIEvQIBADANBgkqhkiG9w0BAQEFAASCBKcwggSjAgEAAoIBAQC94DsWlO2GKlQpTp1+2btT/1a1RLM/4awv/Akiw3Xn40rinh49\
2wr5+CeiJByrPKTs5pw1T+ENNe/UbYTi+OGHCY7MiTiyvfFleTJpG6d/FcU+iVoaetgGvNeyfXCiz4yM+fm+v04Ihr6lJZB1WihY\
OtoPLk01TQlpwql6/nuVUZINkX6BVjOn9SAl7mg3aKVST/wSnp0DIBavG74Y0USaP7CqRDKMT8hJmwOdPfFCCqSDE+DRl94gZrMy\
gKd5CQi+IIGs7Zulfuxb9rLwaz0qc7g2vPipf76gcZu3E89jxNkv3Bvo/4mnsQJkPy4do0kgFyxTKnmsN81qTU94Ue3xAgMBAAEC\
ggEACyISqjL2ml9GVVsJW7QN39Gg6+VTUp47fQocya+xl3R5oj/91fKkpMjVdL8D+fuxpT0AURVAmjMHaj/hrXfvq/32JC1c6F4V\
bAsR1vKK0lDHIpuQb5e0WEYfqj+LUysy5TE4YOQmrH6kvwTXgN9Vw5aad+QRyDD0KaytnfXomSCin1ioyGRUKr2vsj8b7Ui0qFpc\
8H1C+wiqKvnng+FC4KXgQitJW44283P8Cc9nTsCykYuXicn40WcZjtWpA3njHY6IjE9NjHSDvO72HLJRt4AkWNiUluuihgWZ1ggX\
+WU/OpwJdVsNbNqPTtcGWa3A5AApRiJgitHyJxaGBo6YYQKBgQD0Tamnr/9p3RIUDcJtUM53oOIy0Ece9d3kWbj2/EDMyuZ9d4ep\
x3iKVVLn3t8vCwNpqntn7Esa1MBp++CK2chzEY9B4lOY0PrZbaGR+l9N5LXRL4pzpLq0o7XNpkJhgbQI3a4l5gauzCMdYl1OtcDP\
ZjIvuXM/frFfZ8EqAuhRtwKBgQDG93hw86QemHy7zJITTVVMAF9mHZkrxzKSYTHvOz8vYJ6aPBf4DsYFK96dlAlo+kUkquIga68C\
fklaZ+NGeQp+cDuRgCyhOaQ3bmtPcMbuy78+uTvtsLllMPSp8ABJAmgAHp6tnQ2iA7SGC/EpFePnONjo/o7PaqZueVpq8DgdlwKB\
gCFUWxn6g+EAfQ/pVKYvSQu/Ej0Wdy19I5mcuARSI9EMuWdSoFqEUSimPVpO6Kn1WbDXxmBGN3Tgo6OR7m9jCNrSAXZel0MY97Ak\
Kc/NlaT91+RDFSNzzNkKIKp+zT2aQWKYQ8L939mHFh9TJSGw4C4rZhtmtJdsBGzcrdi6btF/AoGACNc2Is6wnCtqX23Xj8P/5kCd\
/IuUIr3XIWnwLhET3acNZQ0Gg58kbVZlrdrGEEQOjnKJWadvP00dNUcochkuvi9+dhib4w4MnenqGr2IGVQ0SzUv1H/lvPlP5b0k\
Rho1RMwXgN9Zm7lObCZbsNeoKL395VxqPA0hGAeMXPQPikECgYEAyuYnRRVDtf3tTWfHxU82j16uXDuWsWoxmi2T+tvOoaJArR8k\
OMIAn3uv2hQCijTWEIfnIGmZm0t/3qS21zjY60ckAN+gY2DkPDMD9Teqf6gg2n7ia/Q2XMjFgmC8JqPp+Xb/JflMp/o7fe1hniYb\
C8UNmEa8ueuKQbhptxvWhFU=";
