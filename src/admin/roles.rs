//! What whoever shows a token may do at the admin listener: each role may do what the one before it may, and more.

use std::fmt;
use std::time::Duration;

use http::header::AUTHORIZATION;
use http::{HeaderMap, HeaderValue};
use monoio::time::sleep;

use super::Token;
use super::response::AdminResponse;

/// So long a stream goes on at most after its token was replaced.
const LOOKED_AT_AGAIN_AFTER: Duration = Duration::from_secs(1);

/// From least to most.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum AdminRole {
    /// Sees what there is, and changes nothing.
    Read,
    /// Tells subscribers that something changed.
    Publish,
    /// Ends sessions, takes tokens back, drains the node: everything.
    Operate,
}

impl AdminRole {
    pub const ALL: [AdminRole; 3] = [AdminRole::Read, AdminRole::Publish, AdminRole::Operate];

    const fn name(self) -> &'static str {
        match self {
            AdminRole::Read => "read",
            AdminRole::Publish => "publish",
            AdminRole::Operate => "operate",
        }
    }

    /// The option with the token of this role.
    #[must_use]
    pub const fn option(self) -> &'static str {
        match self {
            AdminRole::Read => "--admin-read-token-file",
            AdminRole::Publish => "--admin-publish-token-file",
            AdminRole::Operate => "--admin-token-file",
        }
    }

    /// For a program that was refused: as OAuth names what a token lacks.
    const fn challenge(self) -> &'static str {
        match self {
            AdminRole::Read => {
                "Bearer realm=\"pinfold\", error=\"insufficient_scope\", scope=\"read\""
            }
            AdminRole::Publish => {
                "Bearer realm=\"pinfold\", error=\"insufficient_scope\", scope=\"publish\""
            }
            AdminRole::Operate => {
                "Bearer realm=\"pinfold\", error=\"insufficient_scope\", scope=\"operate\""
            }
        }
    }
}

impl fmt::Display for AdminRole {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The tokens of a listener. Without that of `operate` there are no others: either nobody could operate, or whoever shows
/// none could do more than whoever shows one.
#[derive(Clone, Debug, Default)]
pub struct AdminTokens {
    /// For whoever may do everything. None: no token is asked for, which loopback addresses alone allow.
    pub operate: Option<Token>,
    /// For whoever may publish and see what there is.
    pub publish: Option<Token>,
    /// For whoever may only see what there is.
    pub read: Option<Token>,
}

impl AdminTokens {
    /// # Errors
    /// The role whose token cannot be as it is, and what it must be.
    pub fn check(&self) -> Result<(), (AdminRole, &'static str)> {
        const ALONE: &str = "must have the token of operators beside it (--admin-token-file), who may do everything";
        const SAME: &str =
            "must not hold the token of another role: whoever has it could do more than it is for";
        let less = [
            (AdminRole::Publish, &self.publish, &[&self.operate][..]),
            (AdminRole::Read, &self.read, &[&self.operate, &self.publish]),
        ];
        for (role, token, others) in less {
            let Some(token) = token else { continue };
            if self.operate.is_none() {
                return Err((role, ALONE));
            }
            let mut others = others.iter().filter_map(|it| it.as_ref());
            if others.any(|other| other.is(token)) {
                return Err((role, SAME));
            }
        }
        Ok(())
    }

    #[must_use]
    pub fn of(&self, role: AdminRole) -> Option<&Token> {
        let token = match role {
            AdminRole::Read => &self.read,
            AdminRole::Publish => &self.publish,
            AdminRole::Operate => &self.operate,
        };
        token.as_ref()
    }

    /// What whoever sent these headers may do, if that is enough.
    ///
    /// # Errors
    /// What whoever may not is told: 401 without a token of ours, 403 with one that may less.
    pub(super) fn admit(
        &self,
        headers: &HeaderMap,
        needed: AdminRole,
    ) -> Result<AdminRole, AdminResponse> {
        if self.operate.is_none() {
            return Ok(AdminRole::Operate);
        }
        let offered = headers.get(AUTHORIZATION).map(HeaderValue::as_bytes);
        match self.role_of(offered) {
            None => Err(self.unknown(needed)),
            Some(role) if role < needed => Err(not_enough(role, needed)),
            Some(role) => Ok(role),
        }
    }

    /// Waits until whoever sent these headers may do that no longer: their token was replaced. What goes on for long is looked at
    /// again in this way; a request that is answered at once is not.
    pub(super) async fn lost(&self, headers: &HeaderMap, needed: AdminRole) {
        while self.admit(headers, needed).is_ok() {
            sleep(LOOKED_AT_AGAIN_AFTER).await;
        }
    }

    /// Every token is looked at, whichever it is: how long that takes does not tell.
    fn role_of(&self, offered: Option<&[u8]>) -> Option<AdminRole> {
        AdminRole::ALL.into_iter().fold(None, |found, role| {
            let is_it = self.of(role).is_some_and(|token| token.admits(offered));
            if is_it { Some(role) } else { found }
        })
    }

    /// The options are named that this listener was started with, and no others.
    fn unknown(&self, needed: AdminRole) -> AdminResponse {
        let there = |role: &AdminRole| *role >= needed && self.of(*role).is_some();
        let options = AdminRole::ALL.into_iter().rev().filter(there);
        let options: Vec<&str> = options.map(AdminRole::option).collect();
        let sentence = format!("This needs the bearer token of {}.", options.join(" or "));
        AdminResponse::error(401, sentence).with("WWW-Authenticate", "Bearer realm=\"pinfold\"")
    }
}

fn not_enough(role: AdminRole, needed: AdminRole) -> AdminResponse {
    let sentence = format!(
        "This token has the role {role}, and this needs {needed}: the token of {}.",
        needed.option()
    );
    AdminResponse::error(403, sentence).with("WWW-Authenticate", needed.challenge())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tokens(operate: &str, publish: &str, read: &str) -> AdminTokens {
        let token = |text: &str| Token::parse(text).ok();
        AdminTokens {
            operate: token(operate),
            publish: token(publish),
            read: token(read),
        }
    }

    fn asks(tokens: &AdminTokens, offered: &str, needed: AdminRole) -> (u16, String) {
        let mut headers = HeaderMap::new();
        if !offered.is_empty() {
            let value = format!("Bearer {offered}").parse().expect("it is a value");
            headers.insert(AUTHORIZATION, value);
        }
        match tokens.admit(&headers, needed) {
            Ok(_) => (200, String::new()),
            Err(refused) => (refused.status, refused.body),
        }
    }

    #[test]
    fn a_token_that_may_less() {
        let all = tokens("all", "some", "look");
        for (offered, may) in [("look", 1), ("some", 2), ("all", 3)] {
            for (index, needed) in AdminRole::ALL.into_iter().enumerate() {
                let (status, said) = asks(&all, offered, needed);
                assert_eq!(
                    status,
                    if index < may { 200 } else { 403 },
                    "{offered} {needed}"
                );
                assert!(status == 200 || said.contains(needed.option()), "{said}");
            }
        }
    }

    #[test]
    fn a_token_of_nobody() {
        let all = tokens("all", "", "look");
        for offered in ["", "loo", "lookk", "LOOK", "al", "some"] {
            let (status, said) = asks(&all, offered, AdminRole::Read);
            assert_eq!(status, 401, "{offered}");
            assert!(
                said.contains("--admin-token-file or --admin-read-token-file."),
                "{said}"
            );
            let (_, said) = asks(&all, offered, AdminRole::Operate);
            assert!(said.contains("--admin-token-file."), "{said}");
        }
        // Where there are none, none is asked for.
        assert_eq!(asks(&tokens("", "", ""), "x", AdminRole::Operate).0, 200);
    }

    #[test]
    fn tokens_that_would_say_more_than_they_are_for() {
        for wrong in [
            tokens("", "some", ""),
            tokens("", "", "look"),
            tokens("same", "same", ""),
            tokens("same", "", "same"),
            tokens("all", "same", "same"),
        ] {
            assert!(wrong.check().is_err(), "{wrong:?}");
        }
        for sound in [
            tokens("", "", ""),
            tokens("all", "", ""),
            tokens("a", "b", "c"),
        ] {
            assert_eq!(sound.check(), Ok(()));
        }
    }
}
