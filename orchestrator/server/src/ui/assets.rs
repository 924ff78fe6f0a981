//! The stylesheet, the script and the icon, each at an address that changes with its content.

use std::sync::LazyLock;

use axum::Router;
use axum::http::header;
use axum::response::IntoResponse;
use axum::routing::get;

/// A file that is part of the program.
pub(super) struct Asset {
    pub address: LazyLock<String>,
    kind: &'static str,
    body: &'static str,
}

pub(super) static STYLE: Asset = Asset {
    address: LazyLock::new(|| address("style", "css", STYLE.body)),
    kind: "text/css; charset=utf-8",
    body: include_str!("style.css"),
};

pub(super) static SCRIPT: Asset = Asset {
    address: LazyLock::new(|| address("script", "js", SCRIPT.body)),
    kind: "text/javascript; charset=utf-8",
    body: include_str!("script.js"),
};

pub(super) static ICON: Asset = Asset {
    address: LazyLock::new(|| address("icon", "svg", ICON.body)),
    kind: "image/svg+xml",
    body: include_str!("icon.svg"),
};

fn address(name: &str, ending: &str, body: &str) -> String {
    let hash = blake3::hash(body.as_bytes()).to_hex();
    format!("/assets/{name}-{}.{ending}", &hash[..16])
}

/// Nobody needs a token for them.
pub(super) fn router<S: Clone + Send + Sync + 'static>() -> Router<S> {
    [&STYLE, &SCRIPT, &ICON].into_iter().fold(Router::new(), |router, asset| router.route(&asset.address, get(asset)))
}

impl<S> axum::handler::Handler<(), S> for &'static Asset {
    type Future = std::future::Ready<axum::response::Response>;

    fn call(self, _request: axum::extract::Request, _state: S) -> Self::Future {
        let headers =
            [(header::CONTENT_TYPE, self.kind), (header::CACHE_CONTROL, "public, max-age=31536000, immutable")];
        std::future::ready((headers, self.body).into_response())
    }
}
