//! Who gets in: how it is found out who asks, by tokens of a file, tokens that issuers sign, or a proxy's word.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args, ValueEnum};

use super::ConfigError;
use super::units::{FileOrUrl, Milliseconds, between};
use crate::auth::{Algorithm, IssuerSettings, JwtSettings, ProxySettings, PublicUrl};
use crate::clients::Networks;
use crate::credentials::Authenticator;
use crate::limits::{AUTH_GRACE_MAX_MS, LEEWAY_MAX_S, Limits};
use crate::node::AuthOptions;

/// How it is found out who asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum AuthMode {
    /// Nobody is asked: whoever reaches the address may do everything
    None,
    /// By a token of --auth-token-file
    Token,
    /// By a token that --auth-issuer signed
    Jwt,
    /// By what a proxy says in a header field
    Proxy,
}

#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Who gets in")]
pub struct AuthenticationOptions {
    /// How it is found out who asks [default: none on a loopback address; elsewhere it must be given]
    #[arg(long, env = "PINFOLD_AUTH", value_name = "MODE")]
    pub auth: Option<AuthMode>,

    /// File with the tokens of --auth token, as `pinfold token new` prints its lines; SIGHUP reads it again
    #[arg(long, env = "PINFOLD_AUTH_TOKEN_FILE", value_name = "FILE")]
    pub auth_token_file: Option<PathBuf>,

    /// Authorization server whose tokens are taken, as it stands in their `iss`; repeat, or separate with commas
    #[arg(
        long = "auth-issuer",
        env = "PINFOLD_AUTH_ISSUER",
        value_name = "URL",
        value_delimiter = ','
    )]
    pub auth_issuers: Vec<String>,

    /// Keys of the issuer: an https URL or a file; with several issuers one for each, in their order; repeat, or separate with
    /// commas [default: where the issuer's own metadata say]
    #[arg(
        long,
        env = "PINFOLD_AUTH_JWKS",
        value_name = "FILE|URL",
        value_delimiter = ','
    )]
    pub auth_jwks: Vec<FileOrUrl>,

    /// Whom tokens have to be for: one of these has to be in their `aud`; repeat, or separate with commas
    /// [default: --public-url]
    #[arg(
        long = "auth-audience",
        env = "PINFOLD_AUTH_AUDIENCE",
        value_name = "URL",
        value_delimiter = ','
    )]
    pub auth_audiences: Vec<String>,

    /// What tokens may be signed by; repeat, or separate with commas
    #[arg(long, env = "PINFOLD_AUTH_ALGORITHMS", value_name = "NAME", value_delimiter = ',', default_value = "RS256,PS256,ES256,EdDSA", value_parser = algorithm)]
    pub auth_algorithms: Vec<Algorithm>,

    /// Scopes without which nothing is to be had; repeat, or separate with commas
    #[arg(
        long,
        env = "PINFOLD_AUTH_SCOPES",
        value_name = "SCOPE",
        value_delimiter = ','
    )]
    pub auth_scopes: Vec<String>,

    /// How far clocks may differ: a token is taken for so long after it has expired
    #[arg(long, env = "PINFOLD_AUTH_LEEWAY", value_name = "TIME", default_value_t = Milliseconds(60_000), value_parser = leeway)]
    pub auth_leeway: Milliseconds,

    /// How long a stream of notifications goes on after its token has ended, for its client to show the next one; 0s: it ends with
    /// it
    #[arg(long, env = "PINFOLD_AUTH_GRACE", value_name = "TIME", default_value_t = Milliseconds(Limits::default().auth_grace_ms), value_parser = grace)]
    pub auth_grace: Milliseconds,

    /// Claim of a token that names the tenant
    #[arg(long, env = "PINFOLD_AUTH_TENANT_CLAIM", value_name = "NAME")]
    pub auth_tenant_claim: Option<String>,

    /// Where the proxy of --auth proxy is: an address, or a network such as 10.0.0.0/8; repeat, or separate with commas.
    /// Needed unless its word is signed
    #[arg(long, env = "PINFOLD_AUTH_PROXY_FROM", value_name = "NETWORK", value_delimiter = ',', value_parser = networks)]
    pub auth_proxy_from: Vec<Networks>,

    /// Field in which the proxy says who asks
    #[arg(
        long,
        env = "PINFOLD_AUTH_PROXY_SUBJECT_FIELD",
        value_name = "NAME",
        default_value = "x-forwarded-user"
    )]
    pub auth_proxy_subject_field: String,

    /// Field in which it says what people call them
    #[arg(long, env = "PINFOLD_AUTH_PROXY_NAME_FIELD", value_name = "NAME")]
    pub auth_proxy_name_field: Option<String>,

    /// Field in which it says their scopes or groups, with spaces or commas between them
    #[arg(long, env = "PINFOLD_AUTH_PROXY_SCOPES_FIELD", value_name = "NAME")]
    pub auth_proxy_scopes_field: Option<String>,

    /// Field with a token that an --auth-issuer signed, in place of all that, such as x-forwarded-access-token
    #[arg(long, env = "PINFOLD_AUTH_PROXY_SIGNED_FIELD", value_name = "NAME")]
    pub auth_proxy_signed_field: Option<String>,
}

/// What the options mean together. Files are read when the node starts, too, and again later.
///
/// # Errors
/// All that is missing, or makes no sense.
pub(super) fn check(
    options: &AuthenticationOptions,
    listen: SocketAddr,
    public_url: Option<&PublicUrl>,
) -> Result<AuthOptions, Vec<ConfigError>> {
    let mut wrong = Vec::new();
    let mode = options.auth.unwrap_or_else(|| {
        if !listen.ip().is_loopback() {
            wrong.push(unsaid(listen));
        }
        AuthMode::None
    });
    let is_signed = options.auth_proxy_signed_field.is_some();
    let takes_issuers = mode == AuthMode::Jwt || mode == AuthMode::Proxy && is_signed;
    let is_idle = [
        (
            "--auth-token-file",
            options.auth_token_file.is_some() && mode != AuthMode::Token,
            "--auth token",
        ),
        (
            "--auth-issuer",
            !options.auth_issuers.is_empty() && !takes_issuers,
            "--auth jwt, or proxy with --auth-proxy-signed-field",
        ),
        (
            "--auth-jwks",
            !options.auth_jwks.is_empty() && !takes_issuers,
            "--auth jwt, or proxy with --auth-proxy-signed-field",
        ),
        (
            "--auth-scopes",
            !options.auth_scopes.is_empty() && !takes_issuers,
            "--auth jwt, or proxy with --auth-proxy-signed-field: what tokens of a file and users of a proxy may do is said by policy",
        ),
        (
            "--auth-proxy-from",
            !options.auth_proxy_from.is_empty() && mode != AuthMode::Proxy,
            "--auth proxy",
        ),
        (
            "--auth-proxy-signed-field",
            is_signed && mode != AuthMode::Proxy,
            "--auth proxy",
        ),
    ];
    for (flag, _, wanted) in is_idle.into_iter().filter(|it| it.1) {
        wrong.push(ConfigError::missing(
            flag,
            format!("makes sense only with {wanted}"),
        ));
    }
    let authenticator = match mode {
        AuthMode::None => Ok(Authenticator::None),
        AuthMode::Token => token(options),
        AuthMode::Jwt => jwt(options)
            .and_then(|it| sound(it, options, public_url))
            .map(Authenticator::Jwt),
        AuthMode::Proxy => proxy(options, public_url),
    };
    match authenticator {
        Ok(authenticator) if wrong.is_empty() => Ok(AuthOptions {
            authenticator,
            ..AuthOptions::default()
        }),
        Ok(_) => Err(wrong),
        Err(refused) => {
            wrong.push(refused);
            Err(wrong)
        }
    }
}

fn unsaid(listen: SocketAddr) -> ConfigError {
    ConfigError::missing(
        "--auth",
        format!(
            "must be given when others than this machine reach --listen {listen}: token, jwt or proxy; none if whoever reaches \
             it may do everything"
        ),
    )
}

fn token(options: &AuthenticationOptions) -> Result<Authenticator, ConfigError> {
    let file = options.auth_token_file.clone();
    let missing = "must be given with --auth token: `pinfold token new --name NAME` prints a token, and its line for the file";
    let file = file.ok_or_else(|| ConfigError::missing("--auth-token-file", missing))?;
    let refuse = |why: String| ConfigError::new("--auth-token-file", file.display(), why);
    crate::credentials::read_token_file(&file).map_err(refuse)?;
    Ok(Authenticator::Token(file))
}

fn jwt(options: &AuthenticationOptions) -> Result<JwtSettings, ConfigError> {
    let issuers = &options.auth_issuers;
    if issuers.is_empty() {
        let missing = "must be given: whose tokens are taken, such as https://login.example.com";
        return Err(ConfigError::missing("--auth-issuer", missing));
    }
    let places = &options.auth_jwks;
    if !places.is_empty() && places.len() != issuers.len() {
        let allowed = format!(
            "must be given once for each --auth-issuer: there are {}",
            issuers.len()
        );
        let places: Vec<&str> = places.iter().map(|it| it.0.as_str()).collect();
        return Err(ConfigError::new("--auth-jwks", places.join(","), allowed));
    }
    let issuers = issuers
        .iter()
        .enumerate()
        .map(|(index, issuer)| IssuerSettings {
            jwks: places.get(index).map(|place| place.0.clone()),
            ..IssuerSettings::new(issuer)
        });
    Ok(JwtSettings {
        issuers: issuers.collect(),
        audiences: options.auth_audiences.clone(),
        algorithms: options.auth_algorithms.clone(),
        leeway_s: options.auth_leeway.0 / 1000,
        scopes: options.auth_scopes.clone(),
        tenant_claim: options.auth_tenant_claim.clone(),
    })
}

fn sound(
    settings: JwtSettings,
    options: &AuthenticationOptions,
    public_url: Option<&PublicUrl>,
) -> Result<JwtSettings, ConfigError> {
    let refuse =
        |why: String| ConfigError::new("--auth-issuer", options.auth_issuers.join(","), why);
    settings.check().map_err(refuse)?;
    if settings.audiences.is_empty() && public_url.is_none() {
        let missing =
            "must be given, or an --auth-audience: tokens for other servers would be taken";
        return Err(ConfigError::missing("--public-url", missing));
    }
    for issuer in &settings.issuers {
        let refuse = |why: String| {
            let place = issuer.jwks.as_deref().unwrap_or_default();
            ConfigError::new("--auth-jwks", place, why)
        };
        let source = issuer.source().map_err(refuse)?;
        crate::credentials::read_keys(&source).map_err(refuse)?;
    }
    Ok(settings)
}

fn proxy(
    options: &AuthenticationOptions,
    public_url: Option<&PublicUrl>,
) -> Result<Authenticator, ConfigError> {
    let signed = match options.auth_proxy_signed_field {
        Some(_) => jwt(options).and_then(|it| sound(it, options, public_url))?,
        None => JwtSettings::default(),
    };
    let settings = ProxySettings {
        from: options.auth_proxy_from.iter().cloned().collect(),
        subject_field: options.auth_proxy_subject_field.clone(),
        name_field: options.auth_proxy_name_field.clone(),
        scopes_field: options.auth_proxy_scopes_field.clone(),
        scopes: Vec::new(),
        signed_field: options.auth_proxy_signed_field.clone(),
        signed,
    };
    let checked = crate::auth::Proxy::new(settings.clone(), public_url);
    match checked {
        Ok(_) => Ok(Authenticator::Proxy(settings)),
        Err(_)
            if options.auth_proxy_from.is_empty() && options.auth_proxy_signed_field.is_none() =>
        {
            let missing = "must be given with --auth proxy, or an --auth-proxy-signed-field: else anybody could say who they are";
            Err(ConfigError::missing("--auth-proxy-from", missing))
        }
        Err(why) => Err(ConfigError::new("--auth", "proxy", why)),
    }
}

fn networks(text: &str) -> Result<Networks, crate::clients::NotANetwork> {
    text.trim().parse()
}

fn algorithm(name: &str) -> Result<Algorithm, String> {
    let allowed = "must be RS256, RS384, RS512, PS256, PS384, PS512, ES256, ES384, EdDSA, HS256, HS384 or HS512";
    Algorithm::parse(name).ok_or_else(|| allowed.to_owned())
}

fn grace(text: &str) -> Result<Milliseconds, String> {
    between(text, Milliseconds(0), Milliseconds(AUTH_GRACE_MAX_MS))
}

fn leeway(text: &str) -> Result<Milliseconds, String> {
    between(text, Milliseconds(0), Milliseconds(LEEWAY_MAX_S * 1000))
}
