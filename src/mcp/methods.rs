//! The methods of MCP that pinfold speaks, one row each: its name, who knows it, who answers it. Everything else asks
//! this table; no other file has a method's name in it (`tests/tidy/tables.rs`).

use serde_json::Value;

use super::{Era, ProtocolVersion};
use crate::principal::ListKind;

/// The revisions that know a method, from the first to the last.
type Revisions = (ProtocolVersion, ProtocolVersion);

const EVERY: Revisions = (ProtocolVersion::V2024_11_05, ProtocolVersion::V2026_07_28);
const SINCE_2025_06_18: Revisions = (ProtocolVersion::V2025_06_18, ProtocolVersion::V2026_07_28);
const LEGACY: Revisions = (ProtocolVersion::V2024_11_05, ProtocolVersion::V2025_11_25);
const MODERN: Revisions = (ProtocolVersion::V2026_07_28, ProtocolVersion::V2026_07_28);

/// Who sends a message of a method, and who answers it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MethodRole {
    /// A client's request, answered by pinfold itself.
    Engine,
    /// A client's request, answered by the application.
    Application,
    /// A request to the client; in 2026-07-28 an entry of `inputRequests`.
    Client,
    /// A notification, of which nobody expects an answer.
    Notification,
}

/// The member of a request's params that `Mcp-Name` repeats (2026-07-28, streamable HTTP, "Standard Request Headers").
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mirrored {
    /// `name`
    Name,
    /// `uri`
    Uri,
    /// `taskId`, which the tasks extension lets a client leave out of the header.
    TaskId,
}

/// What a policy is asked about before a method is served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PolicyQuestion {
    /// Whether there is anything to see; what the result has is looked at one by one.
    List(ListKind),
    /// Calling the tool of this `name`.
    Tool,
    /// Getting the prompt of this `name`.
    Prompt,
    /// Reading the resource at this `uri`.
    Resource,
    /// Subscribing to the resource at this `uri`, or to each of several.
    Subscription,
    /// Completions, and the prompt or the template that they are of: `ref`.
    Completion,
}

/// What is in the result of a list: the member that has the entries, and what each of them is called by.
#[must_use]
pub const fn members_of(list: ListKind) -> (&'static str, &'static str) {
    match list {
        ListKind::Tools => ("tools", "name"),
        ListKind::Prompts => ("prompts", "name"),
        ListKind::Resources => ("resources", "uri"),
        ListKind::Templates => ("resourceTemplates", "uriTemplate"),
    }
}

/// What a server declares, and thereby that it has the methods below that name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Capability {
    /// `tools`
    Tools,
    /// `resources`
    Resources,
    /// `prompts`
    Prompts,
    /// `completions`
    Completions,
}

/// What stands before the slash of the methods that need a capability. Those that nobody knows as well: `tools/x` is no
/// method of a server without tools.
const CAPABILITIES: [(&str, Capability); 4] = [
    ("tools", Capability::Tools),
    ("resources", Capability::Resources),
    ("prompts", Capability::Prompts),
    ("completion", Capability::Completions),
];

impl Capability {
    /// What a server must declare for this method; none: nothing.
    #[must_use]
    pub fn of(method: &str) -> Option<Capability> {
        let (namespace, _) = method.split_once('/')?;
        let mut all = CAPABILITIES.into_iter();
        all.find(|(name, _)| *name == namespace).map(|(_, it)| it)
    }

    /// Whether these capabilities, an object, have what a method needs.
    #[must_use]
    pub fn is_declared_for(method: &str, capabilities: &Value) -> bool {
        let Some(needed) = Capability::of(method) else {
            return true;
        };
        let member = match needed {
            // The one whose methods are called otherwise.
            Capability::Completions => "completions",
            _ => method.split('/').next().unwrap_or(method),
        };
        capabilities.get(member).is_some()
    }
}

struct Row {
    role: MethodRole,
    revisions: Revisions,
    mirrored: Option<Mirrored>,
    question: Option<PolicyQuestion>,
    may_ask: bool,
}

const fn row(role: MethodRole, revisions: Revisions) -> Row {
    Row {
        role,
        revisions,
        mirrored: None,
        question: None,
        may_ask: false,
    }
}

impl Row {
    const fn mirrors(self, mirrored: Mirrored) -> Row {
        Row {
            mirrored: Some(mirrored),
            ..self
        }
    }

    /// Who may have it served is a matter of policy.
    const fn asks_for(self, question: PolicyQuestion) -> Row {
        Row {
            question: Some(question),
            ..self
        }
    }

    /// Whoever serves it may ask the client for more (2026-07-28, multi round-trip requests, "Supported Requests").
    const fn asks(self) -> Row {
        Row {
            may_ask: true,
            ..self
        }
    }
}

macro_rules! methods {
    ($($method:ident $name:literal $row:expr;)*) => {
        /// A method that pinfold speaks.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum RpcMethod {
            $(#[doc = concat!("`", $name, "`")] $method,)*
        }

        impl RpcMethod {
            /// All of them.
            pub const ALL: &[RpcMethod] = &[$(RpcMethod::$method,)*];

            /// As it stands on the wire.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self {
                    $(RpcMethod::$method => $name,)*
                }
            }

            /// None: pinfold does not know it, but an extension of the application may.
            #[must_use]
            pub fn of(name: &str) -> Option<RpcMethod> {
                match name {
                    $($name => Some(RpcMethod::$method),)*
                    _ => None,
                }
            }

            const fn row(self) -> Row {
                match self {
                    $(RpcMethod::$method => $row,)*
                }
            }
        }
    };
}

methods! {
    Initialize "initialize" row(MethodRole::Engine, LEGACY);
    Ping "ping" row(MethodRole::Engine, LEGACY);
    LoggingSetLevel "logging/setLevel" row(MethodRole::Engine, LEGACY);
    ResourcesSubscribe "resources/subscribe" row(MethodRole::Engine, LEGACY).asks_for(PolicyQuestion::Subscription);
    ResourcesUnsubscribe "resources/unsubscribe" row(MethodRole::Engine, LEGACY);
    ServerDiscover "server/discover" row(MethodRole::Engine, MODERN);
    SubscriptionsListen "subscriptions/listen" row(MethodRole::Engine, MODERN).asks_for(PolicyQuestion::Subscription);

    ToolsList "tools/list" row(MethodRole::Application, EVERY).asks_for(PolicyQuestion::List(ListKind::Tools));
    ToolsCall "tools/call" row(MethodRole::Application, EVERY).mirrors(Mirrored::Name).asks_for(PolicyQuestion::Tool).asks();
    ResourcesList "resources/list" row(MethodRole::Application, EVERY).asks_for(PolicyQuestion::List(ListKind::Resources));
    ResourcesTemplatesList "resources/templates/list" row(MethodRole::Application, EVERY).asks_for(PolicyQuestion::List(ListKind::Templates));
    ResourcesRead "resources/read" row(MethodRole::Application, EVERY).mirrors(Mirrored::Uri).asks_for(PolicyQuestion::Resource).asks();
    PromptsList "prompts/list" row(MethodRole::Application, EVERY).asks_for(PolicyQuestion::List(ListKind::Prompts));
    PromptsGet "prompts/get" row(MethodRole::Application, EVERY).mirrors(Mirrored::Name).asks_for(PolicyQuestion::Prompt).asks();
    CompletionComplete "completion/complete" row(MethodRole::Application, EVERY).asks_for(PolicyQuestion::Completion);

    // Of the tasks extension: an application that has it says itself in which revisions.
    TasksGet "tasks/get" row(MethodRole::Application, EVERY).mirrors(Mirrored::TaskId);
    TasksUpdate "tasks/update" row(MethodRole::Application, EVERY).mirrors(Mirrored::TaskId);
    TasksCancel "tasks/cancel" row(MethodRole::Application, EVERY).mirrors(Mirrored::TaskId);

    SamplingCreateMessage "sampling/createMessage" row(MethodRole::Client, EVERY);
    RootsList "roots/list" row(MethodRole::Client, EVERY);
    ElicitationCreate "elicitation/create" row(MethodRole::Client, SINCE_2025_06_18);

    Initialized "notifications/initialized" row(MethodRole::Notification, LEGACY);
    Cancelled "notifications/cancelled" row(MethodRole::Notification, EVERY);
    Progress "notifications/progress" row(MethodRole::Notification, EVERY);
    LogMessage "notifications/message" row(MethodRole::Notification, EVERY);
    ToolsListChanged "notifications/tools/list_changed" row(MethodRole::Notification, EVERY);
    PromptsListChanged "notifications/prompts/list_changed" row(MethodRole::Notification, EVERY);
    ResourcesListChanged "notifications/resources/list_changed" row(MethodRole::Notification, EVERY);
    ResourceUpdated "notifications/resources/updated" row(MethodRole::Notification, EVERY);
    SubscriptionAcknowledged "notifications/subscriptions/acknowledged" row(MethodRole::Notification, MODERN);
}

impl RpcMethod {
    /// Who sends it, and who answers.
    #[must_use]
    pub const fn role(self) -> MethodRole {
        self.row().role
    }

    /// Whether this revision has it.
    #[must_use]
    pub fn is_of(self, version: ProtocolVersion) -> bool {
        let (first, last) = self.row().revisions;
        (first..=last).contains(&version)
    }

    /// Whether any revision of this era has it.
    #[must_use]
    pub fn is_of_era(self, era: Era) -> bool {
        let mut all = ProtocolVersion::ALL.into_iter();
        all.any(|version| version.era() == era && self.is_of(version))
    }

    /// What of its params a header repeats.
    #[must_use]
    pub const fn mirrored(self) -> Option<Mirrored> {
        self.row().mirrored
    }

    /// What a policy is asked before it is served.
    #[must_use]
    pub const fn question(self) -> Option<PolicyQuestion> {
        self.row().question
    }

    /// Whether its answer may be a question to the client first.
    #[must_use]
    pub const fn may_ask(self) -> bool {
        self.row().may_ask
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_that_contradicts_itself() {
        for &method in RpcMethod::ALL {
            let name = method.name();
            assert_eq!(RpcMethod::of(name), Some(method));
            let is_notification = method.role() == MethodRole::Notification;
            assert_eq!(
                name.starts_with("notifications/"),
                is_notification,
                "{name}"
            );
            let is_application = method.role() == MethodRole::Application;
            assert!(is_application || method.mirrored().is_none(), "{name}");
            assert!(is_application || !method.may_ask(), "{name}");
            let (first, last) = method.row().revisions;
            assert!(first <= last, "{name}");
        }
        assert_eq!(RpcMethod::of("tools/unheard-of"), None);
        assert_eq!(Capability::of("tools/unheard-of"), Some(Capability::Tools));
        assert_eq!(Capability::of("ping"), None);
    }
}
