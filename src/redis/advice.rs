//! What an operator can do about an error that Redis answers: one table, whatever was asked for.

use super::RedisError;

impl RedisError {
    /// A clause for a log line, behind the error itself.
    #[must_use]
    pub fn advice(&self) -> &'static str {
        match &*self.code {
            "WRONGPASS" => {
                "check user and password in the Redis URL, and whether the user is on (ACL LIST)"
            }
            "NOAUTH" => {
                "it asks for a password: redis://:password@host or redis://user:password@host"
            }
            "READONLY" => "it is a replica: --redis must lead to the primary",
            "OOM" => "its maxmemory is reached: give it more, or less to keep",
            "MISCONF" => {
                "it cannot save its data and takes nothing until it can: its own log says why"
            }
            "LOADING" => "it reads its data from disk",
            "WRONGTYPE" => {
                "something else is stored under the keys of --redis-prefix: choose another prefix"
            }
            "MOVED" | "ASK" | "CLUSTERDOWN" | "CROSSSLOT" => {
                "it is a Redis Cluster, which is not spoken here: use a single primary"
            }
            _ => self.advice_by_message(),
        }
    }

    /// Of those that have no code of their own.
    fn advice_by_message(&self) -> &'static str {
        let says = |words: &str| self.message.contains(words);
        match () {
            // What a script may not run has no code, and not always a name.
            () if self.is("NOPERM") || says("can't run this command") => {
                "its user needs the commands that deploy/README.md names, on the keys of --redis-prefix (ACL SETUSER); ACL \
                 LOG on the server says what was refused"
            }
            () if says("without any password") => {
                "it has no password set: leave the password out of the Redis URL"
            }
            () if says("DB index") => "it has no database of that number",
            () if says("max number of clients") => "raise its maxclients",
            () => "see what it says",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_that_an_operator_can_act_on() {
        let advice = |code: &str, message: &str| {
            let (code, message) = (code.into(), message.into());
            RedisError { code, message }.advice()
        };
        assert!(advice("READONLY", "You can't write").contains("primary"));
        assert!(advice("NOPERM", "this user").contains("ACL SETUSER"));
        let in_a_script = "The user executing the script can't run this command or subcommand";
        assert!(advice("ERR", in_a_script).contains("ACL LOG"));
        assert!(advice("ERR", "max number of clients reached").contains("maxclients"));
        assert_eq!(advice("ERR", "unknown"), "see what it says");
    }
}
