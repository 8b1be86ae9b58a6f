//! The rules in force, and who changes them: threads of issuers, and an operator who has files read again.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::thread;

use futures_channel::oneshot;

use super::files::{complain_of_secret, complain_of_tokens, read_token_file};
use super::hook::Authenticate;
use super::issuer::{Errand, IssuerThread, Then, read_keys};
use crate::auth::{
    JwtSettings, KeySet, KeySource, Policy, PrincipalId, Proxy, ProxySettings, PublicUrl, Rules,
    Searched, StaticTokens, UnixSeconds, Verifier, Who,
};
use crate::limits::KEY_QUESTIONS_MAX;

/// How it is found out who asks, as it is configured.
#[derive(Clone, Default)]
pub enum Authenticator {
    /// Nobody is asked. For a loopback address, or where somebody else asks.
    #[default]
    None,
    /// By a file of tokens, a line for each as `pinfold token new` prints it: name, `sha256:` and the token's digest in
    /// hexadecimal, scopes, and `until=YYYY-MM-DD` if it ends.
    Token(PathBuf),
    /// By tokens that issuers sign.
    Jwt(JwtSettings),
    /// By the word of a proxy.
    Proxy(ProxySettings),
    /// By what the program says that this library is in.
    Hook(Arc<dyn Authenticate>),
}

impl Authenticator {
    /// [`Authenticate`] has an example.
    pub fn hook(hook: impl Authenticate + 'static) -> Authenticator {
        Authenticator::Hook(Arc::new(hook))
    }

    /// The issuers whose keys are needed.
    pub(super) fn issuers(&self) -> &[crate::auth::IssuerSettings] {
        match self {
            Authenticator::Jwt(settings) => &settings.issuers,
            Authenticator::Proxy(proxy) if proxy.signed_field.is_some() => &proxy.signed.issuers,
            _ => &[],
        }
    }
}

impl fmt::Debug for Authenticator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Authenticator::None => "None",
            Authenticator::Token(_) => "Token(…)",
            Authenticator::Jwt(_) => "Jwt(…)",
            Authenticator::Proxy(_) => "Proxy(…)",
            Authenticator::Hook(_) => "Hook(…)",
        })
    }
}

/// Holds the rules in force. Its threads end with it.
pub struct CredentialStore {
    pub(super) authenticator: Authenticator,
    pub(super) shared: Arc<Shared>,
    issuers: Vec<SyncSender<Errand>>,
    tell_others: OnceLock<TellRevoked>,
}

/// Posts a revocation for other nodes, and gives what resolves when they can hear of it.
pub(crate) type TellRevoked =
    Box<dyn Fn(PrincipalId, UnixSeconds) -> oneshot::Receiver<()> + Send + Sync>;

type TellRules = Box<dyn Fn(&Arc<Rules>) + Send + Sync>;

pub(super) struct Shared {
    /// Held while they are told, so that all hear of them in one order. Never taken for a request.
    rules: Mutex<Arc<Rules>>,
    tell: TellRules,
    /// Never taken for a request, and before `rules`.
    pub(super) fetched: Mutex<FetchedKeys>,
}

/// Keys that issuers answered with, for the process that goes on in this one's place.
#[derive(Default)]
pub(super) struct FetchedKeys {
    /// As they came, by the issuer's name.
    pub(super) bodies: BTreeMap<String, Vec<u8>>,
    /// Those of another process, by the issuer's number, until newer ones are there.
    pub(super) inherited: BTreeMap<usize, Arc<KeySet>>,
}

impl Shared {
    pub(super) fn change(&self, next: impl FnOnce(&Rules) -> Rules) {
        let mut rules = self.rules.lock().unwrap_or_else(PoisonError::into_inner);
        *rules = Arc::new(next(&rules));
        (self.tell)(&rules);
    }

    fn current(&self) -> Arc<Rules> {
        self.rules
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}

impl CredentialStore {
    /// Reads the files, and begins to ask issuers. From now on `tell` is called with every change, by some thread, and must
    /// neither wait nor ask the store: it posts a message to each core. What [`rules`](CredentialStore::rules) says afterwards it need not be told.
    ///
    /// # Errors
    /// A sentence on an option or a file that cannot be used. An issuer that does not answer is none.
    pub fn start(
        authenticator: Authenticator,
        policy: Policy,
        public: Option<&PublicUrl>,
        tell: impl Fn(&Arc<Rules>) + Send + Sync + 'static,
    ) -> Result<CredentialStore, String> {
        let who = match &authenticator {
            Authenticator::None => Who::Anybody,
            Authenticator::Token(path) => Who::Tokens(tokens_of(path)?),
            Authenticator::Jwt(settings) => Who::Jwt(Verifier::new(settings, public)?),
            Authenticator::Proxy(settings) => Who::Proxy(Proxy::new(settings.clone(), public)?),
            Authenticator::Hook(_) => Who::Hook,
        };
        let mut rules = Rules::new(who, policy, public);
        let mut known = Vec::new();
        for (index, issuer) in authenticator.issuers().iter().enumerate() {
            let source = issuer.source()?;
            let keys = Arc::new(read_keys(&source)?);
            if let KeySource::Secret(path) = &source {
                complain_of_secret(path);
            }
            rules = rules.with_keys(index, &keys, keys.clone());
            known.push((issuer.issuer.clone(), source, keys));
        }
        let shared = Arc::new(Shared {
            rules: Mutex::new(Arc::new(rules)),
            tell: Box::new(tell),
            fetched: Mutex::default(),
        });
        let mut store = CredentialStore {
            authenticator,
            shared,
            issuers: Vec::new(),
            tell_others: OnceLock::new(),
        };
        for (index, (name, source, known)) in known.into_iter().enumerate() {
            let (shared, noting) = (store.shared.clone(), store.shared.clone());
            let issuer = IssuerThread {
                name,
                source,
                known,
                tell: Box::new(move |before, keys| {
                    let fetched = shared.fetched.lock();
                    let mut fetched = fetched.unwrap_or_else(PoisonError::into_inner);
                    let inherited = fetched.inherited.remove(&index);
                    drop(fetched);
                    let before = inherited.as_deref().unwrap_or(before);
                    shared.change(|rules| rules.with_keys(index, before, keys));
                }),
                note: Box::new(move |issuer, body| {
                    let fetched = noting.fetched.lock();
                    let mut fetched = fetched.unwrap_or_else(PoisonError::into_inner);
                    fetched.bodies.insert(issuer.to_owned(), body);
                }),
            };
            store.issuers.push(started(index, issuer)?);
        }
        Ok(store)
    }

    /// Those in force.
    #[must_use]
    pub fn rules(&self) -> Arc<Rules> {
        self.shared.current()
    }

    /// The hook, if who asks is found out by one.
    #[must_use]
    pub fn hook(&self) -> Option<&Arc<dyn Authenticate>> {
        match &self.authenticator {
            Authenticator::Hook(hook) => Some(hook),
            _ => None,
        }
    }

    /// Answers [`AuthQuestion::Key`](crate::auth::AuthQuestion::Key): `then` is called by some thread, at once or within
    /// [`ISSUER_ANSWER_MS`](crate::limits::ISSUER_ANSWER_MS) twice over, after everybody was told of new keys. It posts a
    /// message to the core that asked.
    pub fn search(&self, issuer: usize, then: impl FnOnce(Searched) + Send + 'static) {
        let then: Then = Box::new(then);
        let Some(thread) = self.issuers.get(issuer) else {
            return then(Searched::Done);
        };
        match thread.try_send(Errand::Search(then)) {
            Ok(()) => {}
            Err(TrySendError::Full(errand) | TrySendError::Disconnected(errand)) => {
                if let Errand::Search(then) = errand {
                    then(Searched::CannotTell);
                }
            }
        }
    }

    /// Reads the token file again (SIGHUP), or has issuers asked for their keys.
    ///
    /// # Errors
    /// A sentence on what is wrong with the file; what was read before stays in force.
    pub fn reload(&self) -> Result<String, String> {
        if let Authenticator::Token(path) = &self.authenticator {
            let tokens = tokens_of(path)?;
            let told = format!("{} tokens are in {}", tokens.len(), path.display());
            self.shared.change(|rules| rules.with_tokens(tokens));
            return Ok(told);
        }
        for thread in &self.issuers {
            // It is full of others who want the same.
            let _ = thread.try_send(Errand::Refresh);
        }
        Ok(format!(
            "{} issuers are asked for their keys",
            self.issuers.len()
        ))
    }

    /// Another policy holds from now on.
    pub fn set_policy(&self, policy: Policy) {
        self.shared.change(|rules| rules.with_policy(policy));
    }

    /// What this principal was given up to this second is worth nothing any more, here and on all nodes. Some: resolves when the
    /// others can hear of it; cancelled, nobody knows when. None: there are no others.
    pub fn revoke(
        &self,
        principal: PrincipalId,
        until: UnixSeconds,
    ) -> Option<oneshot::Receiver<()>> {
        self.shared
            .change(|rules| rules.with_revoked(principal, until));
        self.tell_others.get().map(|tell| tell(principal, until))
    }

    /// From now on other nodes are told so of what is taken back here.
    pub(crate) fn tell_others_by(&self, tell: TellRevoked) {
        // Once, when the node starts.
        let _ = self.tell_others.set(tell);
    }

    /// The same of many, as other nodes tell; those that are known are nothing new.
    pub fn revoke_all(&self, all: &[(PrincipalId, UnixSeconds)]) {
        let rules = self.rules();
        let is_news = |it: &&(PrincipalId, UnixSeconds)| !rules.is_taken_back(it.0, Some(it.1));
        let news: Vec<_> = all.iter().filter(is_news).copied().collect();
        if !news.is_empty() {
            self.shared.change(|rules| rules.with_all_revoked(&news));
        }
    }

    /// Every identity that any core remembers is looked at anew.
    pub fn look_anew(&self) {
        self.shared.change(Rules::with_next_epoch);
    }
}

fn tokens_of(path: &Path) -> Result<StaticTokens, String> {
    let tokens = read_token_file(path)?;
    complain_of_tokens(path);
    Ok(tokens)
}

/// The thread's name is cut by the kernel after 15 bytes.
fn started(index: usize, issuer: IssuerThread) -> Result<SyncSender<Errand>, String> {
    let (sender, errands) = sync_channel(KEY_QUESTIONS_MAX);
    let thread = thread::Builder::new().name(format!("keys-{index}"));
    let spawned = thread.spawn(move || issuer.run(&errands));
    match spawned {
        // It ends by itself, once nobody can send it anything.
        Ok(_) => Ok(sender),
        Err(error) => Err(format!("no thread for an issuer's keys: {error}")),
    }
}

impl Drop for CredentialStore {
    /// A thread that waits for an issuer ends when that has answered, and tells nobody.
    fn drop(&mut self) {
        for thread in &self.issuers {
            let _ = thread.try_send(Errand::Stop);
        }
    }
}

impl fmt::Debug for CredentialStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CredentialStore")
            .field("authenticator", &self.authenticator)
            .finish_non_exhaustive()
    }
}
