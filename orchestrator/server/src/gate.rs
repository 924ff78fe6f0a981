//! Who is let in. What was read of the tokens a moment ago decides, so that a request costs the store nothing.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use flow::Time;
use store::{Scope, Store, Token};
use tokio::time::Instant;

/// How often the tokens are read: for about so long a revoked one may still open.
const LOOK: Duration = Duration::from_secs(2);
/// How often at most whoever shows an unknown token makes us read them at once.
const LOOK_AGAIN: Duration = Duration::from_millis(250);
/// For how long the last reading stands in while the store does not answer. Workers that go on outlast its restarts.
const STALE_MAX: Duration = Duration::from_secs(60);

/// The tokens of a store, as of a moment ago.
#[derive(Default)]
pub(crate) struct Gate {
    known: Mutex<Arc<Known>>,
    looking: tokio::sync::Mutex<()>,
}

#[derive(Default)]
struct Known {
    /// By id; everyone that was ever made.
    tokens: HashMap<String, Arc<Token>>,
    /// When they were read: here, and by the database's clock. `None` before the first time.
    at: Option<(Instant, Time)>,
}

/// What somebody who was let in may do.
#[derive(Clone)]
pub(crate) enum Pass {
    /// No token was ever made: whoever comes may do everything.
    Open,
    Token(Arc<Token>),
}

/// Why somebody is not let in.
#[derive(Debug, PartialEq)]
pub(crate) enum Shut {
    /// Without a token, or with one that opens nothing. Which of the two, only its owner would like to know.
    NoToken,
    /// Nobody can tell whether the token is good.
    Unsure,
}

impl Pass {
    pub fn allows(&self, needed: Scope) -> bool {
        match self {
            Pass::Open => true,
            Pass::Token(token) => token.scopes.iter().any(|scope| scope.covers(needed)),
        }
    }

    /// Who it is, for the journal.
    pub fn signature(&self) -> String {
        match self {
            Pass::Open => "the API".to_owned(),
            Pass::Token(token) => format!("the API (token {})", token.name),
        }
    }
}

impl Gate {
    /// Reads the tokens.
    pub async fn look(&self, store: &Store) -> Result<(), store::Error> {
        let began = Instant::now();
        let tokens = store.tokens().await?;
        let at = Some((began, tokens.now));
        let tokens = tokens.all.into_iter().map(|token| (token.id.clone(), Arc::new(token))).collect();
        *self.known.lock().unwrap_or_else(PoisonError::into_inner) = Arc::new(Known { tokens, at });
        Ok(())
    }

    /// Keeps reading them. Ends when it is dropped.
    pub async fn keep_looking(&self, store: &Store) {
        loop {
            tokio::time::sleep(LOOK).await;
            if let Err(error) = self.look(store).await {
                tracing::debug!("failed to {error}");
            }
        }
    }

    /// Decides on what is shown as a token.
    pub async fn admit(&self, shown: Option<&str>, store: &Store) -> Result<Pass, Shut> {
        let id = shown.and_then(Token::id_of);
        if id.is_some_and(|id| !self.known().tokens.contains_key(id)) {
            // It may have been made just now.
            self.look_after(Instant::now(), store).await;
        }
        self.known().judge(id, shown.unwrap_or_default())
    }

    /// Sees to it that the tokens have been read since `since`. Of many who ask, one looks.
    async fn look_after(&self, since: Instant, store: &Store) {
        let _one_at_a_time = self.looking.lock().await;
        if let Some((at, _)) = self.known().at {
            if at > since {
                return;
            }
            tokio::time::sleep_until(at + LOOK_AGAIN).await;
        }
        if let Err(error) = self.look(store).await {
            tracing::debug!("failed to {error}");
        }
    }

    /// Whether no token was ever made, as far as is known.
    pub fn is_open(&self) -> bool {
        self.known().tokens.is_empty()
    }

    /// Whether who was let in would be let in now, as far as is known.
    pub fn admits_still(&self, pass: &Pass) -> bool {
        let known = self.known();
        match pass {
            Pass::Open => known.now().is_some() && known.tokens.is_empty(),
            Pass::Token(token) => {
                known.tokens.get(&token.id).zip(known.now()).is_some_and(|(token, now)| token.is_live(now))
            }
        }
    }

    fn known(&self) -> Arc<Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Known {
    /// The database's time. `None`: what was read is too old to go by.
    fn now(&self) -> Option<Time> {
        let (at, then) = self.at.filter(|(at, _)| at.elapsed() < STALE_MAX)?;
        Some(then + u64::try_from(at.elapsed().as_millis()).unwrap_or(Time::MAX / 2))
    }

    fn judge(&self, id: Option<&str>, shown: &str) -> Result<Pass, Shut> {
        let Some(now) = self.now() else { return Err(Shut::Unsure) };
        if self.tokens.is_empty() {
            return Ok(Pass::Open);
        }
        let token = id.and_then(|id| self.tokens.get(id)).ok_or(Shut::NoToken)?;
        match token.is(shown) && token.is_live(now) {
            true => Ok(Pass::Token(token.clone())),
            false => Err(Shut::NoToken),
        }
    }
}
