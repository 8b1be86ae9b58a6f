//! Keys that another process had fetched, in the one that goes on in its place.

use super::*;
use crate::credentials::travel::RulesState;

const NAME: &str = "https://login.example";

fn rig(jwks: &str) -> Rig {
    let mut settings = IssuerSettings::new(NAME);
    settings.jwks = Some(jwks.into());
    Rig::new(jwt(settings))
}

#[test]
fn keys_that_are_believed_although_the_configuration_has_others() {
    let (web, old, new) = (Web::new(), Issuer::ed25519("old"), Issuer::ed25519("new"));
    web.put("/keys", &Issuer::key_set(&[&old]));
    let mut before = rig(&web.url("/keys"));
    assert!(before.identify(&token(&old, NAME)).is_ok());
    let state = rmp_serde::to_vec_named(&before.store.state()).unwrap();
    let state = || rmp_serde::from_slice::<RulesState>(&state).unwrap();
    web.put_raw("/keys", b"HTTP/1.1 500 Oops\r\n\r\n".to_vec());

    let mut same = rig(&web.url("/keys"));
    same.store.resume(state());
    assert!(same.identify(&token(&old, NAME)).is_ok(), "it is away");

    let mut elsewhere = rig(&web.url("/moved"));
    elsewhere.store.resume(state());
    let told = elsewhere.identify(&token(&old, NAME));
    assert_eq!(told.unwrap_err(), Reason::Unavailable);

    let file = scratch::file("other_keys", Issuer::key_set(&[&new]).as_bytes());
    let mut filed = rig(file.to_str().unwrap());
    filed.store.resume(state());
    assert!(filed.identify(&token(&new, NAME)).is_ok());
    let told = filed.identify(&token(&old, NAME));
    assert_eq!(told.unwrap_err(), Reason::UnknownKey);
}
