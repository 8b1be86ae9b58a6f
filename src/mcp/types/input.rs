//! What a server may ask while it serves a request: a request to the client in the legacy revisions, an entry of
//! `inputRequests` in 2026-07-28.

use std::collections::BTreeMap;

use serde::ser::SerializeStruct;
use serde::{Deserialize, Serialize, Serializer};
use serde_json::{Value, json};

use crate::mcp::RpcMethod;
use crate::mcp::objects::Objects;
use crate::mcp::read::read;

use super::{
    CreateMessageRequest, CreateMessageResult, ElicitRequest, ElicitResult, ListRootsRequest,
    ListRootsResult,
};

/// One thing that a server asks of the client while it serves a request of it.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum InputRequest {
    /// A question to the user.
    Elicit(ElicitRequest),
    /// A question to the client's model.
    CreateMessage(CreateMessageRequest),
    /// Which folders the server may work in.
    ListRoots(ListRootsRequest),
}

impl InputRequest {
    /// The method that asks it of a legacy client, which also names its kind in 2026-07-28.
    #[must_use]
    pub const fn method(&self) -> &'static str {
        match self {
            InputRequest::Elicit(_) => RpcMethod::ElicitationCreate.name(),
            InputRequest::CreateMessage(_) => RpcMethod::SamplingCreateMessage.name(),
            InputRequest::ListRoots(_) => RpcMethod::RootsList.name(),
        }
    }

    /// Reads an answer; `None` if it has not the shape, or a form not the fields, that were asked for.
    #[must_use]
    pub fn parse_answer(&self, answer: &Value) -> Option<InputResponse> {
        match self {
            InputRequest::Elicit(request) => {
                let answer = ElicitResult::deserialize(Objects(answer)).ok()?;
                request
                    .is_answered_by(&answer)
                    .then_some(InputResponse::Elicit(answer))
            }
            InputRequest::CreateMessage(_) => CreateMessageResult::deserialize(Objects(answer))
                .ok()
                .map(InputResponse::CreateMessage),
            InputRequest::ListRoots(_) => ListRootsResult::deserialize(Objects(answer))
                .ok()
                .map(InputResponse::ListRoots),
        }
    }

    /// `params` of a request to a legacy client. `elicitation_id` is called for the id that 2025-11-25 requires
    /// of URL mode, if the request has none.
    pub(crate) fn legacy_params(&self, elicitation_id: impl FnOnce() -> String) -> String {
        let json = match self {
            InputRequest::Elicit(ElicitRequest::Url(request)) => {
                let mut request = request.clone();
                request.elicitation_id.get_or_insert_with(elicitation_id);
                serde_json::to_string(&request)
            }
            InputRequest::Elicit(request) => serde_json::to_string(request),
            InputRequest::CreateMessage(request) => serde_json::to_string(request),
            InputRequest::ListRoots(request) => serde_json::to_string(request),
        };
        json.expect("keys are strings, values are JSON")
    }

    /// A legacy client is not asked twice, so its answer is taken if it has the right shape.
    ///
    /// # Errors
    /// What is wrong where.
    pub(crate) fn parse_legacy_answer(&self, json: &str) -> Result<InputResponse, String> {
        Ok(match self {
            InputRequest::Elicit(_) => InputResponse::Elicit(read(json)?),
            InputRequest::CreateMessage(_) => InputResponse::CreateMessage(read(json)?),
            InputRequest::ListRoots(_) => InputResponse::ListRoots(read(json)?),
        })
    }

    /// The capabilities that a client must have declared to be asked this.
    #[must_use]
    pub fn required_capabilities(&self) -> Value {
        match self {
            InputRequest::Elicit(ElicitRequest::Form(_)) => json!({ "elicitation": {} }),
            InputRequest::Elicit(ElicitRequest::Url(_)) => json!({ "elicitation": { "url": {} } }),
            InputRequest::CreateMessage(request) if !request.tools.is_empty() => {
                json!({ "sampling": { "tools": {} } })
            }
            InputRequest::CreateMessage(_) => json!({ "sampling": {} }),
            InputRequest::ListRoots(_) => json!({ "roots": {} }),
        }
    }
}

/// As an entry of `inputRequests`.
impl Serialize for InputRequest {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut entry = serializer.serialize_struct("InputRequest", 2)?;
        entry.serialize_field("method", self.method())?;
        match self {
            InputRequest::Elicit(params) => entry.serialize_field("params", params)?,
            InputRequest::CreateMessage(params) => entry.serialize_field("params", params)?,
            InputRequest::ListRoots(params) => entry.serialize_field("params", params)?,
        }
        entry.end()
    }
}

impl From<ElicitRequest> for InputRequest {
    fn from(request: ElicitRequest) -> Self {
        InputRequest::Elicit(request)
    }
}

impl From<CreateMessageRequest> for InputRequest {
    fn from(request: CreateMessageRequest) -> Self {
        InputRequest::CreateMessage(request)
    }
}

impl From<ListRootsRequest> for InputRequest {
    fn from(request: ListRootsRequest) -> Self {
        InputRequest::ListRoots(request)
    }
}

/// Several questions, each under a key of the server's choosing, in the order they were added.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct InputRequests(Vec<(String, InputRequest)>);

impl InputRequests {
    /// Without a question yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a question, or replaces the one under this key.
    #[must_use]
    pub fn and(mut self, key: impl Into<String>, request: impl Into<InputRequest>) -> Self {
        self.insert(key.into(), request.into());
        self
    }

    /// Adds the question for the client's roots.
    #[must_use]
    pub fn list_roots(self, key: impl Into<String>) -> Self {
        self.and(key, ListRootsRequest {})
    }

    /// Replaces what stands under the key.
    pub fn insert(&mut self, key: String, request: InputRequest) {
        self.0.retain(|(other, _)| *other != key);
        self.0.push((key, request));
    }

    /// Each question with its key.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &InputRequest)> {
        self.0.iter().map(|(key, request)| (key.as_str(), request))
    }

    /// There is nothing to ask.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl Serialize for InputRequests {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.iter())
    }
}

/// What a client answered to one [`InputRequest`].
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum InputResponse {
    /// What the user answered.
    Elicit(ElicitResult),
    /// What the model answered.
    CreateMessage(CreateMessageResult),
    /// The folders.
    ListRoots(ListRootsResult),
}

/// The answers to [`InputRequests`], under the same keys. Each getter takes the answer out; `None` if the
/// key was not asked, or asked for something else.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct InputResponses(BTreeMap<String, InputResponse>);

impl InputResponses {
    /// Takes out what the user answered to the question of this key. None: there is no answer of this kind.
    pub fn elicit(&mut self, key: &str) -> Option<ElicitResult> {
        match self.0.remove(key) {
            Some(InputResponse::Elicit(answer)) => Some(answer),
            _ => None,
        }
    }

    /// Takes out what the model answered to the question of this key. None: there is no answer of this kind.
    pub fn sample(&mut self, key: &str) -> Option<CreateMessageResult> {
        match self.0.remove(key) {
            Some(InputResponse::CreateMessage(answer)) => Some(answer),
            _ => None,
        }
    }

    /// Takes out the folders that were asked for under this key. None: there is no answer of this kind.
    pub fn list_roots(&mut self, key: &str) -> Option<ListRootsResult> {
        match self.0.remove(key) {
            Some(InputResponse::ListRoots(answer)) => Some(answer),
            _ => None,
        }
    }
}

impl InputResponses {
    pub(crate) fn into_only(self) -> InputResponse {
        debug_assert_eq!(self.0.len(), 1);
        let (_, answer) = self.0.into_iter().next().expect("one question was asked");
        answer
    }
}

impl FromIterator<(String, InputResponse)> for InputResponses {
    fn from_iter<I: IntoIterator<Item = (String, InputResponse)>>(answers: I) -> Self {
        InputResponses(answers.into_iter().collect())
    }
}

/// The interim result of 2026-07-28: the client answers `inputRequests` and sends its request again.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct InputRequiredResult {
    /// Always `input_required`.
    pub result_type: &'static str,
    /// The questions, by keys of the server's choosing; the answers come back under the same ones.
    pub input_requests: InputRequests,
    /// What the client is to bring back with the answers, sealed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub request_state: Option<String>,
}
