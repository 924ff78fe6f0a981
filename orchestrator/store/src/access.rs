//! Who may talk to a service, and what each may ask of it.
//!
//! A token is a public id and a secret of 256 random bits. Nobody guesses those, however fast a guess can be checked,
//! so a fast hash protects them as well as a slow one would, and costs a request nothing. A leaked token is found by
//! its beginning, `flowctl_`.

use std::fmt;

use flow::Time;
use serde::{Deserialize, Serialize};

use crate::Store;
use crate::error::{Error, Kind};
use crate::row::{Row, word};

const SECRET_BYTES: usize = 32;
const ID_BYTES: usize = 6;
/// Longer than any token: what exceeds it is not looked at.
const SHOWN_BYTES_MAX: usize = 128;
const NAME_BYTES_MAX: usize = 64;

/// What a token is good for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Scope {
    /// Look at everything.
    Read,
    /// Look, and start, cancel, retry, pause.
    Run,
    /// What a worker does, and nothing else.
    Work,
    /// Everything.
    Admin,
}

impl Scope {
    /// Whether who has this scope may do what `needed` is for.
    pub fn covers(self, needed: Scope) -> bool {
        self == needed || self == Scope::Admin || (self == Scope::Run && needed == Scope::Read)
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&word(self))
    }
}

/// A token without its secret.
#[derive(Clone, Debug)]
pub struct Token {
    pub id: String,
    pub name: String,
    pub scopes: Vec<Scope>,
    pub created_at: Time,
    pub expires_at: Option<Time>,
    pub revoked_at: Option<Time>,
    hash: String,
}

impl Token {
    /// Whether it opens anything at `now`, which is the database's time.
    pub fn is_live(&self, now: Time) -> bool {
        self.revoked_at.is_none() && self.expires_at.is_none_or(|end| now < end)
    }

    /// Whether `shown` is this token. Takes as long for a near miss as for any other.
    pub fn is(&self, shown: &str) -> bool {
        blake3::Hash::from_hex(&self.hash).is_ok_and(|hash| hash == blake3::hash(shown.as_bytes()))
    }

    /// The public part of what somebody shows as a token, if it looks like one.
    pub fn id_of(shown: &str) -> Option<&str> {
        let (id, _) = shown.strip_prefix("flowctl_")?.split_once('_')?;
        (shown.len() <= SHOWN_BYTES_MAX).then_some(id)
    }
}

/// The tokens that have ever been made.
#[derive(Clone, Debug, Default)]
pub struct Tokens {
    pub all: Vec<Token>,
    /// When they were read, by the database's clock.
    pub now: Time,
}

impl Store {
    /// Makes a token that lives for `life_ms`, or until it is revoked. Answers it together with its text, which is
    /// kept nowhere.
    ///
    /// # Errors
    ///
    /// [`Kind::Refused`] if the name is taken or is no name.
    pub async fn create_token(
        &self,
        name: &str,
        scopes: &[Scope],
        life_ms: Option<Time>,
    ) -> Result<(Token, String), Error> {
        let plain = |letter: char| letter.is_ascii_alphanumeric() || "-_.:@".contains(letter);
        if name.is_empty() || name.len() > NAME_BYTES_MAX || !name.chars().all(plain) {
            return Err(Error::new(Kind::Refused, format!("make a token called `{name}`"))
                .hint(format!("a name has up to {NAME_BYTES_MAX} letters, digits, or any of -_.:@")));
        }
        let (id, secret) = (random::<ID_BYTES>()?, random::<SECRET_BYTES>()?);
        let text = format!("flowctl_{id}_{secret}");
        let hash = blake3::hash(text.as_bytes()).to_hex();
        let scopes: Vec<String> = scopes.iter().map(Scope::to_string).collect();
        let args = [id.as_str().into(), name.into(), hash.as_str().into(), scopes.join(" ").into(), life_ms.into()];
        match self.db.write(include_str!("../sql/access_token_create.sql"), &args).await? {
            1 => Ok((self.token(&id).await?, text)),
            _ => Err(Error::new(Kind::Refused, format!("make a token called `{name}`: there is one"))
                .hint(format!("take another name, or `flowctl token revoke {name}` first"))),
        }
    }

    /// Every token that was ever made, oldest first.
    pub async fn tokens(&self) -> Result<Tokens, Error> {
        let mut tokens = Tokens::default();
        for row in self.db.read(include_str!("../sql/access_tokens.sql"), &[]).await? {
            let (token, now) = token(row)?;
            tokens.all.push(token);
            tokens.now = now;
        }
        Ok(tokens)
    }

    /// Ends a token, by its id or its name. Answers it as it is then.
    ///
    /// # Errors
    ///
    /// [`Kind::NotFound`], or [`Kind::Refused`] if it had ended this way before.
    pub async fn revoke_token(&self, reference: &str) -> Result<Token, Error> {
        let id = self.token(reference).await?.id;
        match self.db.write(include_str!("../sql/access_token_revoke.sql"), &[id.as_str().into()]).await? {
            1 => self.token(&id).await,
            _ => Err(Error::new(Kind::Refused, format!("revoke token {reference}: it is revoked"))),
        }
    }

    /// By id, or by name; of several of a name the newest, which alone may still be in force.
    async fn token(&self, reference: &str) -> Result<Token, Error> {
        let found = self.tokens().await?.all.into_iter().rfind(|it| it.id == reference || it.name == reference);
        found.ok_or_else(|| {
            Error::new(Kind::NotFound, format!("find a token `{reference}`")).hint("`flowctl token list` shows all")
        })
    }
}

fn token(mut row: Row<'_>) -> Result<(Token, Time), Error> {
    let (id, name, hash, scopes) = (row.text()?, row.text()?, row.text()?, row.text()?);
    // A scope that a later flowctl has added opens nothing here.
    let scopes = scopes.split(' ').filter_map(|scope| serde_json::from_value(scope.into()).ok()).collect();
    let (created_at, expires_at, revoked_at) = (row.number()?, row.number_or_null()?, row.number_or_null()?);
    Ok((Token { id, name, scopes, created_at, expires_at, revoked_at, hash }, row.number()?))
}

/// So many random bytes as hexadecimal digits.
fn random<const N: usize>() -> Result<String, Error> {
    let mut bytes = [0_u8; N];
    getrandom::fill(&mut bytes)
        .map_err(|error| Error::new(Kind::Internal, format!("ask the system for random bytes: {error}")))?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scopes_cover_what_they_say() {
        let all = [Scope::Read, Scope::Run, Scope::Work, Scope::Admin];
        let covered = |scope: Scope| all.iter().filter(|needed| scope.covers(**needed)).copied().collect::<Vec<_>>();
        assert_eq!(covered(Scope::Read), [Scope::Read]);
        assert_eq!(covered(Scope::Run), [Scope::Read, Scope::Run]);
        assert_eq!(covered(Scope::Work), [Scope::Work]);
        assert_eq!(covered(Scope::Admin), all);
    }

    #[test]
    fn what_does_not_look_like_a_token_has_no_id() {
        assert_eq!(Token::id_of("flowctl_a1_b2"), Some("a1"));
        for wrong in ["", "a1_b2", "flowctl_a1", "Bearer flowctl_a1_b2", &format!("flowctl_a_{}", "b".repeat(200))] {
            assert_eq!(Token::id_of(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn secrets_are_long_and_never_the_same() {
        let (one, other) = (random::<SECRET_BYTES>().unwrap(), random::<SECRET_BYTES>().unwrap());
        assert_eq!(one.len(), 64);
        assert_ne!(one, other);
    }
}
