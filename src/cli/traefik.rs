//! `pinfold traefik`: prints Traefik's configuration for a list of nodes, or writes its files.
//!
//! Options become a checked `Site`; `statics` and `dynamics` are that site as YAML, with the reasons in comments.

mod dynamics;
mod site;
mod statics;

use std::fmt;
use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, ValueEnum};

use super::EXIT_USAGE;
use crate::config::{Layers, Milliseconds, endpoint, origin, span};
use crate::limits::Limits;
use site::{Affinity, Site, TraefikNode};

pub const EXAMPLES: &str = "\
Examples:
  pinfold traefik --node a=http://10.0.0.1:8080 --node b=http://10.0.0.2:8080 --node c=http://10.0.0.3:8080
        three nodes and nothing else on this host; a name is the node's --node, a URL its --advertise
  pinfold traefik --host example.com --rest http://10.0.0.7:3000 --rest http://10.0.0.8:3000 \\
        --node a=http://10.0.0.1:8080 --node b=http://10.0.0.2:8080
        two nodes beside the rest of a site
  pinfold traefik --output /etc/traefik --certificate /etc/ssl/site.pem --key /etc/ssl/site.key --node …
        write /etc/traefik/traefik.yml and /etc/traefik/dynamic/pinfold.yml
  pinfold traefik --part dynamic --entry-point https --node … > /etc/traefik/dynamic/pinfold.yml
        for a Traefik that runs already; it reads such a file anew when it changes

  pinfold traefik --output /etc/traefik --part dynamic --weight c=3 --node …
        after a deploy of all nodes: the last one has no sessions, and gets three new ones where others get one

How a request finds its session's node, best way first:
  by the session id    the node's name leads it (a.Kd8…), and there is a router for each name
  by the cookie        _mcp_backend, for the requests of clients that keep cookies
  by the nodes         a node that gets another's request passes it on (pinfold serve --peer-secret-file)
All three work together; --affinity leaves out the first, or the first two.";

/// Where the dynamic part is, below the directory of the static one.
const DYNAMIC_FOLDER: &str = "dynamic";
const DYNAMIC_FILE: &str = "pinfold.yml";
const STATIC_FILE: &str = "traefik.yml";

/// Entry point and router of `--health`.
const HEALTH: &str = "pinfold-health";

/// Which of Traefik's two configurations.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum ConfigPart {
    /// Read once when Traefik starts: entry points, providers
    Static,
    /// Read again whenever it changes: routers, services
    Dynamic,
    /// Both
    All,
}

/// Options of `serve` that mean the same here: the nodes' file may say them.
const SHARED: [&str; 2] = ["endpoint", "keep-alive"];

#[derive(Args, Clone, Debug)]
pub struct TraefikOptions {
    /// The nodes' configuration file: what it says of --endpoint and --keep-alive is taken from there
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,

    /// A node: its name, and the address at which Traefik and the other nodes reach it; repeat, or separate with commas
    #[arg(long = "node", value_name = "NAME=URL", required = true, value_delimiter = ',', value_parser = TraefikNode::parse)]
    nodes: Vec<TraefikNode>,

    /// Host that the site is reached by; repeat, or separate with commas [default: any]
    #[arg(long = "host", value_name = "HOST", value_delimiter = ',', value_parser = host_name)]
    hosts: Vec<String>,

    /// A server of the rest of the site: what is not the MCP endpoint goes there, in turns, without a cookie; repeat, or
    /// separate with commas [default: there is no rest]
    #[arg(long, value_name = "URL", value_delimiter = ',', value_parser = origin)]
    rest: Vec<String>,

    /// The rest of the site has a catalog of its own at /.well-known/ai-catalog.json: the nodes' one stays out of its way
    #[arg(long, requires = "rest")]
    rest_has_catalog: bool,

    /// Path of the MCP endpoint: the nodes' --endpoint
    #[arg(long, value_name = "PATH", default_value = "/mcp", value_parser = endpoint)]
    endpoint: String,

    /// How many new sessions a node gets where others get one: for a node that is empty beside full ones, after a deploy;
    /// repeat, or separate with commas
    #[arg(long = "weight", value_name = "NAME=NUMBER", value_delimiter = ',', value_parser = weight)]
    weights: Vec<(String, u32)>,

    /// The longest --keep-alive of the nodes: a node that has not begun its answer some seconds later counts as hung
    #[arg(long, value_name = "TIME", default_value_t = Milliseconds(Limits::default().keep_alive_ms), value_parser = span)]
    keep_alive: Milliseconds,

    /// Where Traefik answers GET /ping, for what is in front of it or starts it: 200 once it has read its routers,
    /// 503 while it ends [default: nowhere]
    #[arg(long, value_name = "[IP]:PORT", value_parser = entry_address)]
    health: Option<String>,

    /// How clients are kept at the node of their session
    #[arg(long, value_name = "HOW", default_value = "node")]
    affinity: Affinity,

    /// Where Traefik listens [default: :443, with --no-tls :80]
    #[arg(long, value_name = "[IP]:PORT", value_parser = entry_address)]
    listen: Option<String>,

    /// Name of the entry point, for a Traefik that has one already [default: websecure, with --no-tls web]
    #[arg(long, value_name = "NAME", value_parser = entry_name)]
    entry_point: Option<String>,

    /// Certificate chain (PEM) [default: one that Traefik makes up and no client trusts]
    #[arg(long, value_name = "FILE", requires = "key", value_parser = plain_path)]
    certificate: Option<String>,

    /// The certificate's key (PEM)
    #[arg(long, value_name = "FILE", requires = "certificate", value_parser = plain_path)]
    key: Option<String>,

    /// Plain HTTP: something in front of Traefik ends TLS. Clients keep the cookie only if they themselves speak HTTPS
    #[arg(long, conflicts_with_all = ["certificate", "key"])]
    no_tls: bool,

    /// What to print or to write
    #[arg(long, value_name = "PART", default_value = "all")]
    part: ConfigPart,

    /// Write traefik.yml and dynamic/pinfold.yml into this directory. A traefik.yml that is there and differs is left
    /// alone, which is an error
    #[arg(long, value_name = "DIR")]
    output: Option<PathBuf>,
}

impl TraefikOptions {
    /// The same with what the nodes' configuration file says; ends the process with exit code 2 if that has mistakes.
    #[must_use]
    pub fn with_file(self, layers: &Layers) -> Self {
        let Some(file) = &self.config else {
            return self;
        };
        layers
            .with_file_of_serve(file, &SHARED)
            .unwrap_or_else(|mistakes| {
                eprintln!("{mistakes}");
                std::process::exit(EXIT_USAGE.into())
            })
    }
}

/// Why nothing was printed or written.
enum Failed {
    /// An option that does not go with another one.
    Options(String),
    Write(PathBuf, io::Error),
    /// Somebody else's configuration.
    Differs(PathBuf),
}

impl fmt::Display for Failed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Failed::Options(sentence) => f.write_str(sentence),
            Failed::Write(path, error) => {
                write!(f, "{} cannot be written: {error}", path.display())
            }
            Failed::Differs(path) => write!(
                f,
                "{} exists and says something else: compare it with what `--part static` prints, then remove it, or \
                 write only the rest with `--part dynamic`",
                path.display()
            ),
        }
    }
}

/// Prints or writes what was asked for.
#[must_use]
pub fn run(options: &TraefikOptions) -> ExitCode {
    match carry_out(options) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failed) => {
            eprintln!("error: {failed}");
            match failed {
                Failed::Options(_) => ExitCode::from(EXIT_USAGE),
                Failed::Write(..) | Failed::Differs(_) => ExitCode::FAILURE,
            }
        }
    }
}

fn carry_out(options: &TraefikOptions) -> Result<(), Failed> {
    let site = Site::check(options).map_err(Failed::Options)?;
    let with = |part| options.part == part || options.part == ConfigPart::All;
    match &options.output {
        None => print(
            &site,
            Path::new("/etc/traefik"),
            with(ConfigPart::Static),
            with(ConfigPart::Dynamic),
        ),
        Some(directory) => write(
            &site,
            directory,
            with(ConfigPart::Static),
            with(ConfigPart::Dynamic),
        ),
    }
}

fn print(site: &Site, directory: &Path, statics: bool, dynamics: bool) -> Result<(), Failed> {
    let mut text = String::new();
    if statics {
        text += &statics::emit(site, &directory.join(DYNAMIC_FOLDER));
    }
    if statics && dynamics {
        text += "---\n";
    }
    if dynamics {
        text += &dynamics::emit(site);
    }
    let mut out = io::stdout().lock();
    let printed = out.write_all(text.as_bytes()).and_then(|()| out.flush());
    printed.map_err(|error| Failed::Write("standard output".into(), error))
}

fn write(site: &Site, directory: &Path, statics: bool, dynamics: bool) -> Result<(), Failed> {
    let folder = directory.join(DYNAMIC_FOLDER);
    let failed = |path: &Path| {
        let path = path.to_owned();
        move |error| Failed::Write(path, error)
    };
    fs::create_dir_all(&folder).map_err(failed(&folder))?;
    if dynamics {
        let path = folder.join(DYNAMIC_FILE);
        replace(&path, &dynamics::emit(site)).map_err(failed(&path))?;
        eprintln!("wrote {}", path.display());
    }
    if statics {
        let path = directory.join(STATIC_FILE);
        let absolute = std::path::absolute(&folder).map_err(failed(&folder))?;
        let text = statics::emit(site, &absolute);
        match fs::read_to_string(&path) {
            Ok(there) if there != text => return Err(Failed::Differs(path)),
            Ok(_) => {}
            Err(_) => {
                replace(&path, &text).map_err(failed(&path))?;
                eprintln!("wrote {}", path.display());
            }
        }
    }
    Ok(())
}

/// In one step: Traefik watches the directory and would read half a file.
fn replace(path: &Path, text: &str) -> io::Result<()> {
    let new = path.with_extension("new");
    fs::write(&new, text)?;
    fs::rename(&new, path)
}

fn host_name(text: &str) -> Result<String, &'static str> {
    let wrong = "must be a host name without a port, such as mcp.example.com";
    let host = crate::config::host(text).map_err(|_| wrong)?;
    (!host.contains(':')).then_some(host).ok_or(wrong)
}

/// `:443`, `10.0.0.9:443`, `[::]:443`.
fn entry_address(text: &str) -> Result<String, &'static str> {
    let full = match text.starts_with(':') {
        true => format!("0.0.0.0{text}"),
        false => text.to_owned(),
    };
    let address: Result<std::net::SocketAddr, _> = full.parse();
    address
        .map(|_| text.to_owned())
        .map_err(|_| "must be a port or an IP address and a port, such as :443 or 10.0.0.9:443")
}

/// `c=3`.
fn weight(text: &str) -> Result<(String, u32), &'static str> {
    let wrong = "must be a node's name and a number from 1 to 100, such as c=3";
    let (name, number) = text.split_once('=').ok_or(wrong)?;
    let number = number.parse().ok().filter(|it| (1..=100).contains(it));
    Ok((name.to_owned(), number.ok_or(wrong)?))
}

fn entry_name(text: &str) -> Result<String, &'static str> {
    let plain = |it: char| it.is_ascii_alphanumeric() || "-_".contains(it);
    let sound = !text.is_empty() && text.chars().all(plain);
    sound
        .then(|| text.to_owned())
        .ok_or("must be letters, digits, - and _, such as websecure")
}

/// A path that needs no escapes between the quotes of YAML.
fn plain_path(text: &str) -> Result<String, &'static str> {
    let plain =
        !text.is_empty() && !text.contains(|it: char| it.is_control() || "'\"\\".contains(it));
    plain
        .then(|| text.to_owned())
        .ok_or("must be a path without quotes and backslashes")
}

#[cfg(test)]
mod tests;
