//! Which sessions, in which order: the options, and what they are in the address that is asked.

use clap::{Args, ValueEnum};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

use crate::principal::PrincipalId;

/// Of `GET /sessions`.
#[derive(Args, Clone, Debug, Default)]
pub(in crate::cli) struct SessionsAsked {
    /// Only those of this principal, in the 32 digits of the list
    #[arg(long, value_name = "HEX")]
    pub(in crate::cli) principal: Option<PrincipalId>,

    /// Only those of clients in whose name this is, in capitals or not
    #[arg(long, value_name = "NAME")]
    pub(in crate::cli) client: Option<String>,

    /// Only those of clients of this version
    #[arg(long, value_name = "VERSION")]
    pub(in crate::cli) client_version: Option<String>,

    /// Only sessions (legacy), or only listen streams of clients that have none (modern)
    #[arg(long, value_name = "ERA")]
    pub(in crate::cli) era: Option<EraChoice>,

    /// Only those on this core
    #[arg(long, value_name = "NUMBER")]
    pub(in crate::cli) core: Option<u32>,

    /// Only those that have a stream open, have none, or do not read what waits for them
    #[arg(long, value_name = "STATE")]
    pub(in crate::cli) state: Option<StateChoice>,

    /// By the time since they began, by the bytes that wait for them, or by the time of their last request
    #[arg(long, value_name = "KEY")]
    pub(in crate::cli) sort: Option<SortChoice>,

    /// From the smallest, or from the largest
    #[arg(long, value_name = "ORDER")]
    pub(in crate::cli) order: Option<OrderChoice>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(in crate::cli) enum EraChoice {
    Legacy,
    Modern,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(in crate::cli) enum StateChoice {
    Open,
    Idle,
    Slow,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(in crate::cli) enum SortChoice {
    Age,
    Pending,
    Activity,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(in crate::cli) enum OrderChoice {
    Asc,
    Desc,
}

impl SessionsAsked {
    /// The path with its query, for so many of them, from where the last answer ended.
    pub(in crate::cli) fn path(&self, limit: u32, after: Option<&str>) -> String {
        let pairs = [
            ("principal", self.principal.map(|it| it.to_string())),
            ("client", self.client.clone()),
            ("clientVersion", self.client_version.clone()),
            ("era", named(self.era)),
            ("core", self.core.map(|it| it.to_string())),
            ("state", named(self.state)),
            ("sort", named(self.sort)),
            ("order", named(self.order)),
            ("limit", Some(limit.to_string())),
            ("after", after.map(str::to_owned)),
        ];
        let said = pairs.iter().filter_map(|(name, value)| {
            let value = value.as_deref()?;
            Some(format!("{name}={}", encoded(value)))
        });
        format!("/sessions?{}", said.collect::<Vec<_>>().join("&"))
    }
}

/// As the command line has it.
fn named<T: ValueEnum>(choice: Option<T>) -> Option<String> {
    Some(choice?.to_possible_value()?.get_name().to_owned())
}

/// The same path of all nodes, if they are asked.
pub(in crate::cli) fn of_all(path: String, is_of_all: bool) -> String {
    let joint = if path.contains('?') { '&' } else { '?' };
    match is_of_all {
        true => format!("{path}{joint}cluster"),
        false => path,
    }
}

/// For an address.
pub(in crate::cli) fn encoded(text: &str) -> String {
    utf8_percent_encode(text, NON_ALPHANUMERIC).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_of_which_half_the_name_is_known() {
        let command = SessionsAsked::augment_args(clap::Command::new("list"));
        let client = command.get_arguments().find(|it| it.get_id() == "client");
        let help = client.and_then(|it| it.get_help()).expect("help");
        assert!(help.to_string().contains("in whose name this is"), "{help}");
    }

    #[test]
    fn a_name_that_would_be_another_question() {
        let filter = SessionsAsked {
            client: Some("a&state=slow #é".to_owned()),
            state: Some(StateChoice::Idle),
            sort: Some(SortChoice::Pending),
            ..SessionsAsked::default()
        };
        let path = filter.path(7, Some("c/d"));
        let query =
            "client=a%26state%3Dslow%20%23%C3%A9&state=idle&sort=pending&limit=7&after=c%2Fd";
        assert_eq!(path, format!("/sessions?{query}"));
        assert_eq!(of_all("/node".to_owned(), true), "/node?cluster");
        assert_eq!(of_all("/a?b=c".to_owned(), true), "/a?b=c&cluster");
        assert_eq!(
            SessionsAsked::default().path(100, None),
            "/sessions?limit=100"
        );
    }
}
