//! Whose page has a browser ask, and under which name of this server.
//!
//! A page from anywhere can send a browser on this machine here, even under a name of its own that it has pointed to this
//! machine. What no token closes must not take such a browser for its owner.

use std::net::IpAddr;

use axum::http::uri::Authority;
use axum::http::{HeaderMap, Uri, header};

/// Whose page asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Site {
    Ours,
    Other,
    /// No page: a program, or somebody who typed the address.
    None,
}

impl Site {
    /// What the browser says.
    pub fn of(headers: &HeaderMap) -> Site {
        let text = |name: &str| headers.get(name).map(|value| value.to_str().unwrap_or_default());
        let host = |origin| str::split_once(origin, "://").map_or(origin, |(_, host)| host);
        match (text("sec-fetch-site"), text("origin").map(host)) {
            (Some("same-origin"), _) => Site::Ours,
            (Some("none") | None, None) => Site::None,
            (None, origin) if origin == text("host") => Site::Ours,
            _ => Site::Other,
        }
    }
}

/// The name under which a request means this server. `None`: it does not say, as no browser does.
pub(crate) fn host<'r>(uri: &'r Uri, headers: &'r HeaderMap) -> Option<&'r str> {
    let host = || headers.get(header::HOST).map(|value| value.to_str().unwrap_or_default());
    uri.authority().map(Authority::as_str).or_else(host)
}

/// Whether a host, with or without a port, can be none but this machine: nobody else can point these names elsewhere.
pub(crate) fn is_here(host: &str, listening: IpAddr) -> bool {
    let Ok(authority) = host.parse::<Authority>() else { return false };
    let name = authority.host();
    match name.trim_matches(['[', ']']).parse::<IpAddr>() {
        Ok(address) => address.is_loopback() || address == listening,
        Err(_) => name.eq_ignore_ascii_case("localhost"),
    }
}

#[cfg(test)]
mod tests {
    use axum::http::{HeaderName, HeaderValue};

    use super::*;

    fn site(pairs: &[(&'static str, &'static str)]) -> Site {
        let pair = |(name, value): &(&'static str, &'static str)| {
            (HeaderName::from_static(name), HeaderValue::from_static(value))
        };
        Site::of(&pairs.iter().map(pair).collect())
    }

    #[test]
    fn browsers_say_whose_page_asks() {
        let host = ("host", "flow.example:7300");
        let ours: [&[(&str, &str)]; 2] =
            [&[("sec-fetch-site", "same-origin")], &[host, ("origin", "https://flow.example:7300")]];
        assert!(ours.iter().all(|it| site(it) == Site::Ours));
        let others: [&[(&str, &str)]; 7] = [
            &[host, ("origin", "null")],
            &[host, ("origin", "https://evil.example")],
            &[host, ("origin", "https://flow.example")],
            &[host, ("origin", "https://flow.example:7300"), ("sec-fetch-site", "cross-site")],
            &[host, ("origin", "extension://abc"), ("sec-fetch-site", "none")],
            &[("sec-fetch-site", "same-site")],
            &[("origin", "https://flow.example:7300")],
        ];
        assert!(others.iter().all(|it| site(it) == Site::Other));
        assert!([&[host][..], &[host, ("sec-fetch-site", "none")]].iter().all(|it| site(it) == Site::None));
    }

    #[test]
    fn only_names_of_this_machine_are_here() {
        let listening = IpAddr::from([127, 0, 0, 1]);
        for here in ["localhost", "LocalHost:7300", "127.0.0.1:7300", "127.9.9.9", "[::1]:80", "[::1]"] {
            assert!(is_here(here, listening), "{here}");
        }
        for other in ["", "evil.example", "localhost.evil.example", "127.0.0.1.evil.example", "10.0.0.1:7300", "[::2]"]
        {
            assert!(!is_here(other, listening), "{other}");
        }
        assert!(is_here("10.0.0.1:7300", IpAddr::from([10, 0, 0, 1])));
    }
}
