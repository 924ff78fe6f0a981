//! How OTLP travels. The exporter makes requests of OTLP/HTTP; those of gRPC have the same message in another envelope:
//! <https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md>.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;
use bytes::{BufMut as _, Bytes, BytesMut};
use http::header::{CONTENT_TYPE, HeaderValue, TE};
use http::{HeaderMap, Request, Response};
use http_body_util::BodyExt as _;
use opentelemetry_http::{HttpClient, HttpError};
use reqwest::{Certificate, Client, Url, redirect};
use tokio::runtime::{Builder, Handle};

use super::settings::{Protocol, Signal};

/// The way to a receiver.
#[derive(Debug)]
pub(super) struct Transport {
    client: Client,
    /// Where requests are made: on a thread of their own, whatever else the process does.
    runtime: Handle,
    signal: Signal,
    /// Where the receiver is, for messages. Holds no password.
    place: String,
    is_away: AtomicBool,
}

impl Transport {
    pub fn new(signal: &Signal) -> Result<Transport, String> {
        let url = Url::parse(&signal.endpoint).map_err(|error| format!("the address of the OTLP receiver: {error}"))?;
        let place = url.origin().ascii_serialization();
        let told = |error: &dyn std::fmt::Display| format!("failed to set up OTLP to {place}: {error}");
        let agent = concat!("flowctl/", env!("CARGO_PKG_VERSION"));
        let mut client =
            Client::builder().user_agent(agent).no_proxy().redirect(redirect::Policy::none()).timeout(signal.timeout);
        if signal.protocol == Protocol::Grpc {
            client = client.http2_prior_knowledge();
        }
        if let Some(file) = &signal.certificate {
            let text = std::fs::read(file).map_err(|error| told(&format!("{file}: {error}")))?;
            client = client.tls_certs_only(Certificate::from_pem_bundle(&text).map_err(|error| told(&error))?);
        }
        let client = client.build().map_err(|error| told(&error))?;
        let runtime = runtime().map_err(|error| told(&error))?;
        Ok(Transport { client, runtime, signal: signal.clone(), place, is_away: AtomicBool::new(false) })
    }

    /// Says so when the receiver goes away and when it is back, not each time.
    fn tell(&self, trouble: Option<&str>) {
        let was_away = self.is_away.swap(trouble.is_some(), Ordering::Relaxed);
        match trouble {
            Some(trouble) if !was_away => {
                tracing::warn!("nothing reaches the OTLP receiver {}: {trouble}; runs go on without it", self.place);
            }
            None if was_away => tracing::info!("the OTLP receiver {} answers again", self.place),
            _ => {}
        }
    }
}

#[async_trait]
impl HttpClient for Transport {
    async fn send_bytes(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let (client, signal) = (self.client.clone(), self.signal.clone());
        let sent = self.runtime.spawn(async move {
            match signal.protocol {
                Protocol::Http => send(client, request).await.map(|(response, _)| response),
                Protocol::Grpc => call(client, request, signal.method).await,
            }
        });
        let answer = sent.await?;
        let trouble = match &answer {
            Ok(response) if response.status().is_success() => None,
            Ok(response) => Some(format!("it says {}", response.status())),
            Err(error) => Some(innermost(error.as_ref())),
        };
        self.tell(trouble.as_deref());
        answer
    }
}

async fn send(client: Client, request: Request<Bytes>) -> Result<(Response<Bytes>, HeaderMap), HttpError> {
    let response: Response<reqwest::Body> = client.execute(request.try_into()?).await?.into();
    let (parts, body) = response.into_parts();
    let body = body.collect().await?;
    let trailers = body.trailers().cloned().unwrap_or_default();
    Ok((Response::from_parts(parts, body.to_bytes()), trailers))
}

/// Makes the same request as a call of gRPC.
async fn call(client: Client, request: Request<Bytes>, method: &'static str) -> Result<Response<Bytes>, HttpError> {
    let (mut parts, message) = request.into_parts();
    let mut to = parts.uri.into_parts();
    to.path_and_query = Some(method.parse()?);
    parts.uri = to.try_into()?;
    parts.headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
    parts.headers.insert(TE, HeaderValue::from_static("trailers"));
    let mut framed = BytesMut::with_capacity(message.len() + 5);
    framed.put_u8(0);
    framed.put_u32(u32::try_from(message.len())?);
    framed.put(message);
    let (response, trailers) = send(client, Request::from_parts(parts, framed.freeze())).await?;
    // A call that fails at once is answered with headers alone.
    let said =
        |name: &str| trailers.get(name).or_else(|| response.headers().get(name))?.to_str().ok().map(str::to_owned);
    match said("grpc-status").as_deref() {
        Some("0") => Ok(Response::new(response.into_body().get(5..).map(Bytes::copy_from_slice).unwrap_or_default())),
        Some(status) => Err(format!("gRPC status {status}: {}", said("grpc-message").unwrap_or_default()).into()),
        None => Err(format!("it speaks no gRPC: it says {}", response.status()).into()),
    }
}

fn innermost(error: &(dyn std::error::Error + 'static)) -> String {
    let mut innermost = error;
    while let Some(source) = innermost.source() {
        innermost = source;
    }
    innermost.to_string()
}

/// A thread that does nothing but send.
fn runtime() -> std::io::Result<Handle> {
    static RUNTIME: OnceLock<Handle> = OnceLock::new();
    if let Some(handle) = RUNTIME.get() {
        return Ok(handle.clone());
    }
    let runtime = Builder::new_current_thread().enable_all().build()?;
    let handle = RUNTIME.get_or_init(|| runtime.handle().clone()).clone();
    std::thread::Builder::new()
        .name("otlp".to_owned())
        .spawn(move || runtime.block_on(std::future::pending::<()>()))?;
    Ok(handle)
}
