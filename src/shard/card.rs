//! What is told of the server to anybody who asks, before a session and before anybody is known: its card beside the endpoint
//! (SEP-2127, `experimental-ext-server-card`), and the catalog of its host, which says where the card is.
//!
//! A card has what is needed to connect: who this is, where, by which revisions. What a server can do is not in it, since that
//! may depend on who asks: `server/discover` and the lists tell. Why, and when there is one: `docs/decisions/0012-the-server-card.md`.

use serde::Serialize;
use serde_json::Value;

use crate::app::call::ServerInfoJson;
use crate::mcp::ProtocolVersion;
use crate::wire::public_url::PublicUrl;

pub(super) const CARD_TYPE: &str = "application/mcp-server-card+json";
pub(super) const CATALOG_TYPE: &str = "application/ai-catalog+json";

/// AI Catalog, "Well-Known URI": of all servers of a host there is one.
pub(super) const CATALOG_PATH: &str = "/.well-known/ai-catalog.json";

const SCHEMA: &str = "https://static.modelcontextprotocol.io/schemas/v1/server-card.schema.json";

/// Of the AI Catalog specification: the release candidate of 1.0.
const CATALOG_VERSION: &str = "0.9";

/// `description` and `title` of the card's schema.
const TEXT_CHARS_MAX: usize = 100;
/// `version` of the card's schema.
const VERSION_CHARS_MAX: usize = 255;
/// Each half of `name`, which has 200 of them with its slash.
const NAME_PART_CHARS_MAX: usize = 99;

/// How the server is made known.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CardSettings {
    /// None: it is known by the loopback names of its machine, and by no other.
    pub public_url: Option<PublicUrl>,
    /// Clients have to bring a token that the operator gave them. One that they get from an authorization server does not count:
    /// the endpoint itself says where that is.
    pub asks_for_token: bool,
}

/// All that is known of a card before the URL is.
#[derive(Clone, Debug)]
pub(super) struct ServerCard {
    implementation: Value,
    asks_for_token: bool,
}

/// Both, as JSON.
pub(super) struct CardTexts {
    pub(super) card: String,
    pub(super) catalog: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Card<'a> {
    #[serde(rename = "$schema")]
    schema: &'static str,
    name: &'a str,
    version: &'a str,
    description: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    title: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    website_url: Option<&'a Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    icons: Option<&'a Value>,
    remotes: [Remote<'a>; 1],
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Remote<'a> {
    r#type: &'static str,
    url: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    headers: Option<[TokenField; 1]>,
    supported_protocol_versions: [&'static str; ProtocolVersion::STREAMABLE.len()],
}

/// The field that a user is asked for.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct TokenField {
    name: &'static str,
    description: &'static str,
    is_required: bool,
    is_secret: bool,
    placeholder: &'static str,
}

const AUTHORIZATION: TokenField = TokenField {
    name: "Authorization",
    description: "Bearer, a space, and the token that the operator of this server gave you",
    is_required: true,
    is_secret: true,
    placeholder: "Bearer …",
};

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Catalog<'a> {
    spec_version: &'static str,
    entries: [CatalogEntry<'a>; 1],
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct CatalogEntry<'a> {
    identifier: &'a str,
    display_name: &'a str,
    r#type: &'static str,
    url: &'a str,
}

impl ServerCard {
    pub(super) fn new(server_info: &ServerInfoJson, settings: &CardSettings) -> Self {
        ServerCard {
            implementation: server_info.implementation.clone(),
            asks_for_token: settings.asks_for_token,
        }
    }

    /// Where the card of an endpoint is: it is reserved for that.
    pub(super) fn path_at(endpoint: &str) -> String {
        format!("{}/server-card", endpoint.trim_end_matches('/'))
    }

    /// Of the server at this URL.
    pub(super) fn texts(&self, url: &PublicUrl) -> CardTexts {
        let own = self.text("name").unwrap_or("server");
        let shown = first_chars(self.text("title").unwrap_or(own), TEXT_CHARS_MAX);
        let described = match self.text("description") {
            Some(text) => first_chars(text, TEXT_CHARS_MAX),
            None => first_chars(&format!("{shown}, an MCP server"), TEXT_CHARS_MAX),
        };
        let version = self.text("version").unwrap_or("0");
        let name = card_name(own, url.host());
        let remote = Remote {
            r#type: "streamable-http",
            url: &url.to_string(),
            headers: self.asks_for_token.then_some([AUTHORIZATION]),
            supported_protocol_versions: ProtocolVersion::STREAMABLE,
        };
        let card = Card {
            schema: SCHEMA,
            name: &name,
            version: &first_chars(version, VERSION_CHARS_MAX),
            description: &described,
            title: self.text("title").map(|_| shown.as_str()),
            website_url: self.implementation.get("websiteUrl"),
            icons: self.implementation.get("icons"),
            remotes: [remote],
        };
        let (_, short) = name.split_once('/').unwrap_or(("", &name));
        let entry = CatalogEntry {
            identifier: &format!("urn:air:{}:{short}:mcp", publisher(url.host())),
            display_name: &shown,
            r#type: CARD_TYPE,
            url: &Self::path_at(&url.to_string()),
        };
        let catalog = Catalog {
            spec_version: CATALOG_VERSION,
            entries: [entry],
        };
        CardTexts {
            card: to_json(&card),
            catalog: to_json(&catalog),
        }
    }

    fn text(&self, member: &str) -> Option<&str> {
        let text = self.implementation.get(member)?.as_str()?;
        (!text.trim().is_empty()).then_some(text)
    }
}

fn to_json(value: &impl Serialize) -> String {
    serde_json::to_string(value).expect("members are strings and JSON")
}

/// The server's own name if it is one of a card already (`com.example/weather`); else with the host in front, as names begin
/// with a domain of whoever gives them.
fn card_name(own: &str, host: &str) -> String {
    if own.split_once('/').is_some_and(|(domain, name)| {
        let fits = |part: &str, more: &str| {
            let fits = |it: char| it.is_ascii_alphanumeric() || more.contains(it);
            (1..=NAME_PART_CHARS_MAX).contains(&part.len()) && part.chars().all(fits)
        };
        fits(domain, ".-") && fits(name, "._-")
    }) {
        return own.to_owned();
    }
    let host = publisher(host);
    let domain = match host.parse::<std::net::Ipv4Addr>() {
        Ok(_) => host,
        Err(_) => host.rsplit('.').collect::<Vec<_>>().join("."),
    };
    format!("{}/{}", part_of_name(&domain), part_of_name(own))
}

/// A host as it may stand in names: with `-` for what may not, the colons of an address among them.
fn publisher(host: &str) -> String {
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    bare.trim_end_matches('.').replace(
        |it: char| !(it.is_ascii_alphanumeric() || matches!(it, '.' | '-')),
        "-",
    )
}

fn part_of_name(text: &str) -> String {
    let clean = |it: char| match it {
        'a'..='z' | 'A'..='Z' | '0'..='9' | '.' | '_' | '-' => it,
        _ => '-',
    };
    text.chars().map(clean).take(NAME_PART_CHARS_MAX).collect()
}

/// With `…` for what is left out.
fn first_chars(text: &str, count: usize) -> String {
    match text.chars().nth(count) {
        None => text.to_owned(),
        Some(_) => text.chars().take(count - 1).chain(['…']).collect(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn texts(implementation: Value, url: &str, asks_for_token: bool) -> (Value, Value) {
        let card = ServerCard {
            implementation,
            asks_for_token,
        };
        let texts = card.texts(&url.parse().expect("a public URL"));
        let read = |text: &str| serde_json::from_str(text).expect("JSON");
        (read(&texts.card), read(&texts.catalog))
    }

    #[test]
    fn a_card_that_its_schema_does_not_know() {
        let own = json!({
            "name": "weather", "version": "1.2.3", "title": "The Weather", "description": "Rain or not.",
            "websiteUrl": "https://example.com", "icons": [{"src": "https://example.com/i.png"}],
        });
        let (card, catalog) = texts(own, "https://mcp.example.com/mcp", false);
        assert_eq!(
            card,
            json!({
                "$schema": "https://static.modelcontextprotocol.io/schemas/v1/server-card.schema.json",
                "name": "com.example.mcp/weather",
                "version": "1.2.3",
                "title": "The Weather",
                "description": "Rain or not.",
                "websiteUrl": "https://example.com",
                "icons": [{"src": "https://example.com/i.png"}],
                "remotes": [{
                    "type": "streamable-http",
                    "url": "https://mcp.example.com/mcp",
                    "supportedProtocolVersions": ["2026-07-28", "2025-11-25", "2025-06-18", "2025-03-26"],
                }],
            })
        );
        assert_eq!(
            catalog,
            json!({
                "specVersion": "0.9",
                "entries": [{
                    "identifier": "urn:air:mcp.example.com:weather:mcp",
                    "displayName": "The Weather",
                    "type": "application/mcp-server-card+json",
                    "url": "https://mcp.example.com/mcp/server-card",
                }],
            })
        );
    }

    #[test]
    fn a_server_that_says_little_of_itself_or_too_much() {
        let little = json!({"name": "", "version": ""});
        let (card, _) = texts(little, "http://127.0.0.1:8080", false);
        assert_eq!(card["name"], "127.0.0.1/server");
        assert_eq!(card["description"], "server, an MCP server");
        assert_eq!(card.get("title"), None);
        let long = "ä".repeat(400);
        let much = json!({"name": long, "version": long, "title": long, "description": long});
        let (card, _) = texts(
            much,
            &format!("https://{}.example", "a.".repeat(110)),
            false,
        );
        let chars = |member: &str| card[member].as_str().map(|it| it.chars().count());
        assert_eq!(chars("version"), Some(255));
        assert_eq!(
            (chars("title"), chars("description")),
            (Some(100), Some(100))
        );
        assert_eq!(chars("name"), Some(199));
    }

    #[test]
    fn a_name_that_no_registry_takes() {
        let name = |own: &str, url: &str| {
            let (card, catalog) = texts(json!({"name": own, "version": "1"}), url, false);
            let identifier = catalog["entries"][0]["identifier"].clone();
            (card["name"].clone(), identifier)
        };
        let of = |name: &str, identifier: &str| (name.into(), identifier.into());
        assert_eq!(
            name("my server/2", "https://example.com:8443/a/mcp"),
            of(
                "com.example/my-server-2",
                "urn:air:example.com:my-server-2:mcp"
            )
        );
        assert_eq!(
            name("org.acme/weather", "https://example.com"),
            of("org.acme/weather", "urn:air:example.com:weather:mcp"),
            "a name that is one is nobody else's to change"
        );
        assert_eq!(
            name("s", "http://[::1]:8080/mcp"),
            of("--1/s", "urn:air:--1:s:mcp")
        );
    }

    #[test]
    fn a_token_that_nobody_is_asked_for() {
        let own = json!({"name": "s", "version": "1"});
        let (card, _) = texts(own, "https://example.com/mcp", true);
        let field = &card["remotes"][0]["headers"][0];
        assert_eq!(field["name"], "Authorization");
        assert_eq!(field["isRequired"], true);
        assert_eq!(field["isSecret"], true);
        assert_eq!(field.get("value"), None, "a card has no secret in it");
    }
}
