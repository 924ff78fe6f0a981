//! How anything of ours speaks to a server: whom it trusts and who it says it is.

use std::error::Error as _;
use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use reqwest::header::{AUTHORIZATION, HeaderMap, HeaderValue};
use reqwest::{Certificate, Client, redirect};

/// How long it may take to reach the server.
const CONNECT: Duration = Duration::from_secs(10);

/// How long a connection is kept for the next request: less than the server keeps it.
const IDLE: Duration = Duration::from_secs(20);

/// What opens a server's door. Shows its secret to nobody.
#[derive(Clone, Default)]
pub struct Access {
    /// The certificates, in PEM, of the one authority that is trusted instead of the machine's.
    pub ca: Option<PathBuf>,
    /// A token as it was shown when it was made.
    pub token: Option<String>,
    /// A file that holds a token, read anew for every client. Goes before `token`.
    pub token_file: Option<PathBuf>,
}

/// Why a request has no answer.
pub(crate) enum Failed {
    /// The server does not know this worker (any more).
    Unknown,
    /// It said no, and will again.
    Refused(String),
    /// It could not be reached, has troubles of its own, or does not let this worker in before somebody has seen to it.
    Away(String),
}

impl Access {
    /// A client for HTTP and HTTPS that takes no proxy, follows no redirection, and shows the token with every request.
    /// How long an answer may take is for each request to say.
    ///
    /// # Errors
    /// What is wrong with the authority's file, the token or its file; never the token itself.
    pub fn client(&self) -> Result<Client, String> {
        let agent = concat!("flowctl/", env!("CARGO_PKG_VERSION"));
        let bare = || {
            Client::builder()
                .user_agent(agent)
                .no_proxy()
                .redirect(redirect::Policy::none())
                .connect_timeout(CONNECT)
                .pool_idle_timeout(IDLE)
        };
        let headers = self.headers()?;
        let Some(ca) = &self.ca else {
            // A machine without any authorities still speaks HTTP; over HTTPS it then trusts nobody.
            let client = bare().default_headers(headers.clone()).build();
            let client = client.or_else(|_| bare().default_headers(headers).tls_certs_only([]).build());
            return client.map_err(|error| format!("failed to set up HTTP: {}", cause(&error)));
        };
        let client = bare().default_headers(headers).tls_certs_only(authority(ca)?).build();
        client.map_err(|error| format!("failed to trust `{}`: {}", ca.display(), cause(&error)))
    }

    fn headers(&self) -> Result<HeaderMap, String> {
        let mut headers = HeaderMap::new();
        if let Some(token) = self.secret()? {
            let value = HeaderValue::from_str(&format!("Bearer {token}"));
            let mut value =
                value.map_err(|_| "the token holds what no token has: spaces, lines, letters beyond ASCII")?;
            value.set_sensitive(true);
            headers.insert(AUTHORIZATION, value);
        }
        Ok(headers)
    }

    fn secret(&self) -> Result<Option<String>, String> {
        let Some(file) = &self.token_file else { return Ok(self.token.clone()) };
        let text = std::fs::read_to_string(file)
            .map_err(|error| format!("failed to read the token in `{}`: {error}", file.display()))?;
        match text.trim() {
            "" => Err(format!("there is no token in `{}`", file.display())),
            token => Ok(Some(token.to_owned())),
        }
    }
}

impl fmt::Debug for Access {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Access { ca, token, token_file } = self;
        let hidden = token.as_ref().map(|_| "…");
        f.debug_struct("Access").field("ca", ca).field("token", &hidden).field("token_file", token_file).finish()
    }
}

fn authority(file: &Path) -> Result<Vec<Certificate>, String> {
    let told = |why: String| format!("failed to trust `{}`: {why}", file.display());
    let text = std::fs::read(file).map_err(|error| told(error.to_string()))?;
    match Certificate::from_pem_bundle(&text) {
        Ok(certificates) if certificates.is_empty() => Err(told("it holds no certificate in PEM".to_owned())),
        read => read.map_err(|error| told(cause(&error))),
    }
}

/// The address of a server as the beginning of its paths, without a slash at its end.
///
/// # Errors
/// It is no `http://` or `https://` URL.
pub fn base(server: &str) -> Result<String, String> {
    let base = server.trim_end_matches('/');
    let host = base.strip_prefix("http://").or_else(|| base.strip_prefix("https://"));
    match host {
        Some(host) if !host.is_empty() => Ok(base.to_owned()),
        _ => Err(format!("`{server}` is not the URL of a server, such as http://127.0.0.1:7300")),
    }
}

/// Why a request found no answer: the innermost reason, and what to do where that is known.
pub fn cause(error: &reqwest::Error) -> String {
    const AUTHORITY: &str = "--ca FILE names the authority that signed its certificate";
    let mut innermost: &dyn std::error::Error = error;
    while let Some(source) = innermost.source() {
        innermost = source;
    }
    // The outermost text alone would name the URL.
    let text = match error.source() {
        Some(_) => innermost.to_string(),
        None if error.is_timeout() => "it took too long".to_owned(),
        None => "the request failed".to_owned(),
    };
    let hints = [
        ("UnknownIssuer", AUTHORITY),
        ("BadSignature", AUTHORITY),
        ("CaUsedAsEndEntity", "its certificate is for an authority, not for a server: make one with CA:FALSE"),
        ("NotValidForName", "its certificate is for another name"),
        ("Expired", "its certificate is too old"),
        ("InvalidContentType", "it may speak http:// only"),
    ];
    match hints.iter().find(|(word, _)| text.contains(word)) {
        Some((_, hint)) => format!("{text} ({hint})"),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_shown_to_nobody() {
        let access = Access { token: Some("flowctl_a_canary".into()), ..Access::default() };
        assert!(!format!("{access:?} {:?}", access.headers().unwrap()).contains("canary"));
        let broken = Access { token: Some("canary\n".into()), ..Access::default() };
        assert!(!broken.client().unwrap_err().contains("canary"));
    }

    #[test]
    fn an_address_has_a_scheme_and_a_host() {
        assert_eq!(base("https://a:1/"), Ok("https://a:1".to_owned()));
        for wrong in ["a:1", "ftp://a", "http://", ""] {
            assert!(base(wrong).is_err(), "{wrong}");
        }
    }
}
