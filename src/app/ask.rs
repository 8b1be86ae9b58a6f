//! Asking the client in the middle of a call: a request to it in the legacy revisions, an interruption of the
//! call in 2026-07-28. The handler's source is the same: it asks, and goes on with the answer.
//!
//! In 2026-07-28 the handler runs anew in every round. A question that was answered in this round or an earlier
//! one is answered at once; the first that was not ends the round. So what a handler does before its last
//! question happens once per round, and should change nothing, or be done by [`Context::once`].

use std::collections::BTreeMap;

use futures_util::future::try_join_all;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use serde_json::value::RawValue;

use super::call::Link;
use super::error::Interruption;
use super::state::RequestState;
use super::{Context, Error};
use crate::limits::LOOK_ON_CORE_BYTES_MAX;
use crate::mcp::types::{
    CreateMessageRequest, CreateMessageResult, ElicitRequest, ElicitResult, InputRequest,
    InputRequests, InputRequiredResult, InputResponse, InputResponses, JsonObject,
    ListRootsRequest, ListRootsResult,
};
use crate::mcp::{Era, RpcError, RpcMethod};

/// What the rounds of a call have brought so far, and what is still missing.
#[derive(Default)]
pub(super) struct Rounds {
    /// `inputResponses` of this request, unchecked.
    responses: JsonObject,
    pub(super) memory: RequestState,
    /// What this round asked in vain.
    missing: InputRequests,
    /// How often this round asked under a key.
    asked: BTreeMap<String, usize>,
}

impl Rounds {
    pub(super) fn new(responses: JsonObject, memory: RequestState) -> Self {
        Rounds {
            responses,
            memory,
            ..Self::default()
        }
    }

    /// The answer to a question, from an earlier round or from this one; else the question is noted.
    ///
    /// A handler that asks under a key again has a new question (the first answer did not please it), so it is
    /// known to the client by another key: the answer it has would come back forever.
    fn answer(&mut self, key: &str, request: &InputRequest) -> Option<InputResponse> {
        let times = self.asked.entry(key.to_owned()).or_default();
        *times += 1;
        let key = match *times {
            1 => key.to_owned(),
            times => format!("{key}#{times}"),
        };
        let told = [self.memory.answers.get(&key), self.responses.get(&key)];
        let answer = told
            .into_iter()
            .flatten()
            .find_map(|json| Some((json.clone(), request.parse_answer(json)?)));
        let Some((json, answer)) = answer else {
            self.missing.insert(key, request.clone());
            return None;
        };
        self.memory.answers.insert(key, json);
        Some(answer)
    }

    /// The interim result that asks the client for what is missing.
    /// `digest` is that of the request, if there is something to be carried on.
    pub(super) fn interim_result(
        &self,
        digest: Option<String>,
        link: &dyn Link,
    ) -> InputRequiredResult {
        InputRequiredResult {
            result_type: "input_required",
            input_requests: self.missing.clone(),
            request_state: digest.map(|digest| self.memory.seal(digest, link)),
        }
    }

    /// Whether there is something to be carried on into the next round.
    pub(super) fn has_memory(&self) -> bool {
        !self.memory.is_empty()
    }
}

/// # Asking the client
/// The source is the same for both eras, what happens is not. A client with a session is asked while the handler waits.
/// A client of 2026-07-28 gets the question as its answer, and calls again with what the user said: **the handler then runs
/// anew from its beginning, once in every round**, and finds the questions that were answered before answered at once. So a
/// handler that acts before it asks acts twice. Ask first, and act when you know; what must come before a question goes
/// into [`once`](Context::once).
///
/// ```
/// # use pinfold::app::{Context, Error};
/// # use pinfold::mcp::types::{ElicitRequest, ElicitSchema};
/// # async fn reserve() -> Result<String, Error> { Ok("seat 7".into()) }
/// # async fn charge(_: &str) -> Result<(), Error> { Ok(()) }
/// async fn book(context: Context) -> Result<String, Error> {
///     // Not `reserve().await?`, which would reserve a second seat when the user has answered.
///     let seat: String = context.once("seat", || reserve()).await?;
///     let form = ElicitSchema::new().boolean("agreed");
///     let question = ElicitRequest::form(format!("{seat} it is. Shall it be charged?"), form);
///     let answer = context.elicit("agreed", question).await?;
///     if !answer.is_accepted() {
///         return Ok("Nothing was charged".to_owned());
///     }
///     charge(&seat).await?; // behind the last question: runs once
///     Ok(format!("{seat} is yours"))
/// }
/// ```
impl Context {
    /// Asks the user to fill in a form, or to visit a URL. `key` names the question within this call; asking
    /// again under the same key is a new question.
    ///
    /// In 2026-07-28 the handler runs anew when the answer is there: do nothing before this that must not be done twice,
    /// or do it by [`once`](Context::once).
    ///
    /// # Errors
    /// See [`ask`](Context::ask).
    pub async fn elicit(&self, key: &str, request: ElicitRequest) -> Result<ElicitResult, Error> {
        match self.ask_one(key, request.into()).await? {
            InputResponse::Elicit(answer) => Ok(answer),
            _ => unreachable!("an answer has its question's type"),
        }
    }

    /// Asks the user to visit a URL, for what must not pass through the client.
    ///
    /// # Errors
    /// See [`ask`](Context::ask).
    pub async fn elicit_url(
        &self,
        key: &str,
        message: impl Into<String>,
        url: impl Into<String>,
    ) -> Result<ElicitResult, Error> {
        self.elicit(key, ElicitRequest::url(message, url)).await
    }

    /// Asks the client's model. In 2026-07-28 the handler runs anew when the answer is there, as with
    /// [`elicit`](Context::elicit).
    ///
    /// # Errors
    /// See [`ask`](Context::ask).
    pub async fn sample(
        &self,
        key: &str,
        request: CreateMessageRequest,
    ) -> Result<CreateMessageResult, Error> {
        match self.ask_one(key, request.into()).await? {
            InputResponse::CreateMessage(answer) => Ok(answer),
            _ => unreachable!("an answer has its question's type"),
        }
    }

    /// Asks which directories the client works in. In 2026-07-28 the handler runs anew when the answer is there, as with
    /// [`elicit`](Context::elicit).
    ///
    /// # Errors
    /// See [`ask`](Context::ask).
    pub async fn list_roots(&self, key: &str) -> Result<ListRootsResult, Error> {
        match self.ask_one(key, ListRootsRequest {}.into()).await? {
            InputResponse::ListRoots(answer) => Ok(answer),
            _ => unreachable!("an answer has its question's type"),
        }
    }

    /// Asks several questions at once, which takes a client of 2026-07-28 one round and not several.
    ///
    /// # Errors
    /// [`Error::InputRequired`] when the client has to bring the answers first: pass it on. An error if the
    /// client did not declare what is needed, or if this method may not ask. [`Error::Unanswered`] if a legacy
    /// client refused or kept silent.
    pub async fn ask(&self, requests: InputRequests) -> Result<InputResponses, Error> {
        self.check_may_ask()?;
        for (_, request) in requests.iter() {
            self.check_supported(request)?;
        }
        match self.era() {
            Era::Legacy => self.ask_now(&requests).await,
            Era::Modern => self.ask_by_rounds(&requests),
        }
    }

    /// Does a thing once in a call, however many rounds that takes: in the later ones its value is the one of the first.
    /// `key` names it within this call. What failed is done again.
    ///
    /// The value travels in the client's hands, sealed, so keep it small. A client that sends an earlier round again has
    /// the thing done again, as it has with a second call: what must never happen twice needs a key of its own where it
    /// happens (a payment's idempotency key, a unique index).
    ///
    /// # Errors
    /// The work's own, or the value is not what was remembered under this key.
    ///
    /// # Panics
    /// If the value has no JSON (a map whose keys are no strings).
    pub async fn once<T, F>(&self, key: &str, work: impl FnOnce() -> F) -> Result<T, Error>
    where
        T: Serialize + DeserializeOwned,
        F: Future<Output = Result<T, Error>>,
    {
        if let Some(value) = self.recall(key) {
            return Ok(serde_json::from_value(value)?);
        }
        let value = work().await?;
        self.remember(key, &value);
        Ok(value)
    }

    /// Keeps a value for the later rounds of this call, sealed in the client's hands.
    ///
    /// # Panics
    /// If the value has no JSON (a map whose keys are no strings).
    pub fn remember(&self, key: &str, value: impl Serialize) {
        let value = serde_json::to_value(value).expect("the value has a JSON form");
        let memory = &mut self.rounds().borrow_mut().memory;
        memory.kept.insert(key.to_owned(), value);
    }

    /// What was [remembered](Context::remember) in this round or an earlier one.
    #[must_use]
    pub fn recall(&self, key: &str) -> Option<Value> {
        self.rounds().borrow().memory.kept.get(key).cloned()
    }

    async fn ask_one(&self, key: &str, request: InputRequest) -> Result<InputResponse, Error> {
        let answers = self.ask(InputRequests::new().and(key, request)).await?;
        Ok(answers.into_only())
    }

    fn ask_by_rounds(&self, requests: &InputRequests) -> Result<InputResponses, Error> {
        let mut rounds = self.rounds().borrow_mut();
        let answers: Vec<_> = requests
            .iter()
            .map(|(key, request)| Some((key.to_owned(), rounds.answer(key, request)?)))
            .collect();
        let answers: Option<InputResponses> = answers.into_iter().collect();
        answers.ok_or(Error::InputRequired(Interruption(())))
    }

    async fn ask_now(&self, requests: &InputRequests) -> Result<InputResponses, Error> {
        let asked = requests.iter().map(|(key, request)| async move {
            let params = request.legacy_params(|| format!("{key}-{:x}", self.unix_ms()));
            let answer = self.link().ask(request.method(), &params).await;
            let answer = answer.map_err(Error::Unanswered)?;
            let answer = self
                .read_answer(request, answer)
                .await?
                .map_err(|error| Error::failed(format!("The client's answer is wrong: {error}")))?;
            Ok::<_, Error>((key.to_owned(), answer))
        });
        Ok(try_join_all(asked).await?.into_iter().collect())
    }

    async fn read_answer(
        &self,
        request: &InputRequest,
        answer: Box<RawValue>,
    ) -> Result<Result<InputResponse, String>, Error> {
        if answer.get().len() <= LOOK_ON_CORE_BYTES_MAX {
            return Ok(request.parse_legacy_answer(answer.get()));
        }
        let request = request.clone();
        self.blocking(move || request.parse_legacy_answer(answer.get()))
            .await
    }

    /// 2026-07-28, multi round-trip requests, "Supported Requests".
    fn check_may_ask(&self) -> Result<(), Error> {
        let method = self.method();
        match RpcMethod::of(method).is_some_and(RpcMethod::may_ask) {
            true => Ok(()),
            false => Err(RpcError::internal(format!("{method} may not ask the client")).into()),
        }
    }

    fn check_supported(&self, request: &InputRequest) -> Result<(), Error> {
        if self.supports(request) {
            return Ok(());
        }
        let required = request.required_capabilities();
        Err(match self.era() {
            Era::Modern => RpcError::missing_client_capability(required).into(),
            Era::Legacy => Error::failed(format!(
                "The client did not declare a capability that this needs: {required}"
            )),
        })
    }
}
