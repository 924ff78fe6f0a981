//! A server on the other side of HTTP: asked, and its answers read with errors that say what is in the way.

use std::time::Duration;

use flow::api::Problem;
use flow::trace;
use reqwest::header::{CONTENT_TYPE, LOCATION, SERVER};
use reqwest::{RequestBuilder, Response, StatusCode};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::time::sleep;
use url::Url;
use worker::Access;

use crate::error::Error;
use crate::exit::Exit;

/// How long an answer may take: a flow is compiled and its sources are read before a run is made.
const PATIENCE: Duration = Duration::from_secs(300);
/// How long a server that was lost is left alone.
const PAUSE: Duration = Duration::from_secs(1);

/// The tie to a server. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Client {
    http: reqwest::Client,
    base: Url,
}

impl Client {
    /// # Errors
    /// `server` is no URL of a server, or what is to open its door cannot be used.
    pub fn new(server: &str, access: &Access) -> Result<Client, Error> {
        let wrong = || {
            Error::usage(format!("`{server}` is not the URL of a server"))
                .hint("it looks like http://127.0.0.1:7300; --server or FLOWCTL_SERVER say it")
        };
        let base = Url::parse(server).map_err(|_| wrong())?;
        if !["http", "https"].contains(&base.scheme()) || !base.has_host() {
            return Err(wrong());
        }
        Ok(Client { http: access.client().map_err(Error::usage)?, base })
    }

    /// Where the server is, for messages. Holds no password.
    pub fn place(&self) -> String {
        let mut place = self.base.clone();
        // Fails only for URLs that cannot have one.
        let _ = place.set_password(None);
        place.as_str().trim_end_matches('/').to_owned()
    }

    /// The address with these parts, which may hold any text.
    fn url(&self, path: &[&str]) -> Url {
        let mut url = self.base.clone();
        if let Ok(mut parts) = url.path_segments_mut() {
            parts.pop_if_empty().extend(path);
        }
        url
    }

    /// Asks for what is at the address.
    pub async fn get<A: DeserializeOwned>(&self, path: &[&str], query: &[(&str, String)]) -> Result<A, Error> {
        let response = self.send(self.http.get(self.addressed(path, query)).timeout(PATIENCE)).await?;
        self.read(response).await
    }

    /// Asks for something to be done.
    pub async fn post<A: DeserializeOwned>(&self, path: &[&str], body: &impl Serialize) -> Result<A, Error> {
        let response = self.send(self.http.post(self.url(path)).timeout(PATIENCE).json(body)).await?;
        self.read(response).await
    }

    /// Asks for something to be done to which there is nothing to say.
    pub async fn tell(&self, path: &[&str]) -> Result<(), Error> {
        self.send(self.http.post(self.url(path)).timeout(PATIENCE)).await.map(drop)
    }

    /// As [`Client::post`], and once more if the answer was lost: the key keeps it from being done twice. Answers also
    /// whether this request made what is meant.
    pub async fn post_once<A: DeserializeOwned>(
        &self,
        path: &[&str],
        key: &str,
        body: &impl Serialize,
    ) -> Result<(A, bool), Error> {
        let caller = std::env::var("TRACEPARENT").ok().filter(|caller| trace::parse_parent(caller).is_some());
        let ask = || {
            let request = self.http.post(self.url(path)).timeout(PATIENCE).header("idempotency-key", key).json(body);
            caller.iter().fold(request, |request, caller| request.header("traceparent", caller)).send()
        };
        let asked = match ask().await {
            // It may have been made all the same: asking again tells.
            Err(error) if !error.is_connect() => {
                sleep(PAUSE).await;
                ask().await
            }
            asked => asked,
        };
        let response = self.answered(asked).await?;
        let is_new = response.status() == StatusCode::CREATED;
        Ok((self.read(response).await?, is_new))
    }

    /// Opens a stream of events. `None`: there are no more.
    pub async fn open(&self, path: &[&str], query: &[(&str, String)]) -> Result<Option<Response>, Error> {
        let response = self.send(self.http.get(self.addressed(path, query))).await?;
        Ok(Some(response).filter(|response| response.status() != StatusCode::NO_CONTENT))
    }

    fn addressed(&self, path: &[&str], query: &[(&str, String)]) -> Url {
        let mut url = self.url(path);
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(query);
        }
        url
    }

    /// The answer, if it is none of a problem.
    async fn send(&self, request: RequestBuilder) -> Result<Response, Error> {
        self.answered(request.send().await).await
    }

    async fn answered(&self, asked: reqwest::Result<Response>) -> Result<Response, Error> {
        let response = asked.map_err(|error| self.away(&error))?;
        match response.status() {
            status if status.is_success() => Ok(response),
            status if status.is_redirection() => Err(self.elsewhere(&response)),
            status => Err(self.refused(status, response).await),
        }
    }

    async fn read<A: DeserializeOwned>(&self, response: Response) -> Result<A, Error> {
        if !is_json(&response) {
            return Err(self.stranger(&response));
        }
        let said = version(&response);
        let text = response.bytes().await.map_err(|error| self.away(&error))?;
        serde_json::from_slice(&text).map_err(|error| {
            let message = format!("the answer of {} is not understood: {error}", self.place());
            Error::new(Exit::Unreachable, message).hint(match said {
                Some(theirs) if theirs != OURS => format!("it is {theirs}, this is {OURS}: use the same version"),
                _ => "is there another version of flowctl, or something in between?".to_owned(),
            })
        })
    }

    /// It cannot be reached, or was lost on the way.
    pub fn away(&self, error: &reqwest::Error) -> Error {
        let message = format!("failed to reach the server {}: {}", self.place(), worker::cause(error));
        Error::new(Exit::Unreachable, message)
            .hint("is `flowctl serve` running there? --server and FLOWCTL_SERVER say where it is")
    }

    fn elsewhere(&self, response: &Response) -> Error {
        let place = response.headers().get(LOCATION).and_then(|place| place.to_str().ok()).unwrap_or("nowhere");
        Error::new(Exit::Unreachable, format!("the server {} points to {place}", self.place()))
            .hint("redirects are not followed: name the right address with --server or FLOWCTL_SERVER")
    }

    fn stranger(&self, response: &Response) -> Error {
        let kind = response.headers().get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or("nothing known");
        let status = response.status();
        let message = format!("{} answers {status} with {kind}, as no flowctl server does", self.place());
        Error::new(Exit::Unreachable, message).hint("is that the address of `flowctl serve`, and nothing in between?")
    }

    async fn refused(&self, status: StatusCode, response: Response) -> Error {
        if !is_json(&response) {
            return self.stranger(&response);
        }
        let said = version(&response).filter(|theirs| theirs != OURS);
        let Ok(problem) = response.json::<Problem>().await else {
            return Error::new(Exit::Unreachable, format!("the server {} says {status}", self.place()));
        };
        let exit = match status {
            _ if problem.kind == Problem::NOT_COMPILED => Exit::NotCompiled,
            _ if problem.kind == Problem::UNREADABLE => Exit::Failed,
            StatusCode::NOT_FOUND => Exit::NotFound,
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN | StatusCode::METHOD_NOT_ALLOWED => Exit::Unreachable,
            status if status.is_client_error() => Exit::Usage,
            _ => Exit::Unreachable,
        };
        let token = (status == StatusCode::UNAUTHORIZED)
            .then(|| "--token-file FILE or FLOWCTL_TOKEN says who you are; `flowctl token` makes tokens".to_owned());
        let other = said.map(|theirs| format!("the server is {theirs}, this is {OURS}"));
        Error::new(exit, problem.detail).maybe_hint(token.or(problem.hint).or(other))
    }
}

/// What we call ourselves.
const OURS: &str = concat!("flowctl/", env!("CARGO_PKG_VERSION"));

fn is_json(response: &Response) -> bool {
    let kind = response.headers().get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    ["application/json", "application/problem+json"].iter().any(|json| kind.starts_with(json))
}

/// What a flowctl server calls itself.
fn version(response: &Response) -> Option<String> {
    let name = response.headers().get(SERVER)?.to_str().ok()?;
    Some(name.to_owned()).filter(|name| name.starts_with("flowctl/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn new(server: &str) -> Result<Client, Error> {
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        Client::new(server, &Access::default())
    }

    #[test]
    fn names_go_into_addresses_whatever_they_hold() {
        let client = new("http://h:1/below/").unwrap();
        assert_eq!(client.url(&["v1", "runs", "a/../b ?%"]).as_str(), "http://h:1/below/v1/runs/a%2F..%2Fb%20%3F%25");
        assert!(["127.0.0.1:7300", "ftp://h", "http://", ""].into_iter().all(|wrong| new(wrong).is_err()));
    }
}
