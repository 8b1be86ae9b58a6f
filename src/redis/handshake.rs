//! The first words on a connection: the protocol, the login, the name, the database, and whether it serves already.

use monoio::time::timeout;

use super::connection::RedisConnection;
use super::reply::{RedisError, Reply};
use super::transport::Transport;
use super::url::Login;
use super::{Command, RedisFault, Settings};

impl RedisConnection {
    /// Connects, logs in and chooses the database.
    ///
    /// # Errors
    /// The fault, after at most the time that `settings` give it.
    pub async fn open(settings: &Settings) -> Result<RedisConnection, RedisFault> {
        let opening = async {
            let transport = Transport::connect(settings).await?;
            let connection = RedisConnection::start(transport, settings.timeouts.command);
            greet(&connection, settings).await?;
            Ok(connection)
        };
        timeout(settings.timeouts.connect, opening)
            .await
            .unwrap_or(Err(RedisFault::TimedOut))
    }
}

/// Makes a new connection ready for commands.
///
/// # Errors
/// What Redis refuses, or [`RedisFault::Loading`].
async fn greet(connection: &RedisConnection, settings: &Settings) -> Result<(), RedisFault> {
    let login = settings.url.login.as_ref();
    match connection
        .call(hello(login, &settings.client_name))
        .await?
        .checked()
    {
        Ok(_) => {}
        Err(error) if is_final(&error, login) => return Err(refused(error)),
        Err(_) => greet_older(connection, login, settings).await?,
    }
    if settings.url.database > 0 {
        let select = Command::new("SELECT").number(settings.url.database.into());
        agreed(connection.call(select).await?)?;
    }
    match connection.call(Command::new("PING")).await?.checked() {
        // A user that may not ping, or a proxy that does not know how, may do what matters all the same.
        Err(error) if error.is("NOPERM") || error.is("ERR") => Ok(()),
        answer => answer.map(drop).map_err(refused),
    }
}

fn hello(login: Option<&Login>, name: &str) -> Command {
    let mut hello = Command::new("HELLO").arg("3");
    if let Some(login) = login {
        let user = login.user.as_deref().unwrap_or("default");
        hello = hello.arg("AUTH").arg(user).arg(&login.password);
    }
    hello.arg("SETNAME").arg(name)
}

/// Before version 6 there is no `HELLO`; some proxies have none, or none with 3 or a name; some users may not say it. Each
/// has words of its own for it: what is not about the login, or the server itself, is about `HELLO`.
fn is_final(error: &RedisError, login: Option<&Login>) -> bool {
    let is_about = |words| error.message.contains(words);
    match &*error.code {
        "WRONGPASS" | "LOADING" => true,
        // Asked for by who is not logged in yet, it may mean that `AUTH` comes first.
        "NOAUTH" => login.is_none(),
        _ => is_about("max number of clients") || is_about("without any password"),
    }
}

async fn greet_older(
    connection: &RedisConnection,
    login: Option<&Login>,
    settings: &Settings,
) -> Result<(), RedisFault> {
    connection.speak_resp2();
    if let Some(login) = login {
        let auth = Command::new("AUTH");
        let auth = match &login.user {
            Some(user) => auth.arg(user),
            None => auth,
        };
        agreed(connection.call(auth.arg(&login.password)).await?)?;
    }
    let name = Command::new("CLIENT")
        .arg("SETNAME")
        .arg(&settings.client_name);
    // Only for whoever looks at CLIENT LIST.
    connection.call(name).await.map(drop)
}

fn agreed(reply: Reply) -> Result<(), RedisFault> {
    reply.checked().map(drop).map_err(refused)
}

fn refused(error: RedisError) -> RedisFault {
    if error.is("LOADING") {
        return RedisFault::Loading;
    }
    RedisFault::Refused(error)
}
