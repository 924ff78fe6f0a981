//! Connections: accepted, made safe, and served, so many at a time. Nobody holds one for ever without asking for something.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::time::timeout;

use crate::tls::Tls;

/// How long a client may take to agree on a key.
const HANDSHAKE: Duration = Duration::from_secs(10);
/// How long the head of a request may take, and an idle connection stay.
const HEAD: Duration = Duration::from_secs(30);
/// What a TLS connection begins with.
const TLS_FIRST_BYTE: u8 = 0x16;

/// How many of those for whom there is no room are told so at a time; others are just hung up on.
const APOLOGIES_MAX: usize = 16;
/// How long that may take.
const APOLOGY: Duration = Duration::from_secs(2);

/// Serves `router` to whoever connects, at most `connections_max` at a time. Ends when it is dropped.
pub(crate) async fn serve(listener: TcpListener, tls: Option<Arc<Tls>>, router: Router, connections_max: usize) {
    let service = TowerToHyperService::new(router);
    let (places, apologies) = (Arc::new(Semaphore::new(connections_max)), Arc::new(Semaphore::new(APOLOGIES_MAX)));
    let mut is_full = false;
    loop {
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            Err(error) => {
                // Out of files, say: what is open now must end first.
                tracing::warn!("failed to take a connection: {error}");
                tokio::time::sleep(Duration::from_millis(500)).await;
                continue;
            }
        };
        // Answers are short, and whoever waits for one should not wait for the packet to fill.
        let _ = stream.set_nodelay(true);
        let place = places.clone().try_acquire_owned();
        if place.is_err() && !is_full {
            tracing::warn!("{connections_max} connections are open, as many as may be: more are turned away");
        }
        is_full = place.is_err();
        match (place, apologies.clone().try_acquire_owned()) {
            (Ok(place), _) => {
                let greeted = greet(stream, tls.clone(), service.clone());
                tokio::spawn(async move {
                    greeted.await;
                    drop(place);
                });
            }
            (Err(_), Ok(turn)) if tls.is_none() => {
                tokio::spawn(async move {
                    let _ = timeout(APOLOGY, apologise(stream)).await;
                    drop(turn);
                });
            }
            _ => {}
        }
    }
}

async fn apologise(stream: TcpStream) -> io::Result<()> {
    let head = "HTTP/1.1 503 Service Unavailable\r\nRetry-After: 5";
    let body = r#"{"type":"about:blank","title":"Service Unavailable","status":503,"detail":"this server has as many connections as it may have","hint":"try again in some seconds, or give the server more open files (`ulimit -n`)"}"#;
    tell(stream, head, body).await
}

/// Answers without having read a request, and hangs up.
async fn tell(mut stream: TcpStream, head: &str, body: &str) -> io::Result<()> {
    let kind = "Content-Type: application/problem+json\r\nConnection: close";
    stream.write_all(format!("{head}\r\n{kind}\r\nContent-Length: {}\r\n\r\n{body}", body.len()).as_bytes()).await?;
    // Closed with something unread, a connection would lose what was just said.
    stream.shutdown().await?;
    let _ = tokio::io::copy(&mut stream, &mut tokio::io::sink()).await;
    Ok(())
}

async fn greet(stream: TcpStream, tls: Option<Arc<Tls>>, service: TowerToHyperService<Router>) {
    let Some(tls) = tls else { return talk(stream, service).await };
    match timeout(HANDSHAKE, agree(stream, &tls)).await {
        Ok(Ok(Some(stream))) => talk(stream, service).await,
        Ok(Ok(None)) => {}
        Ok(Err(error)) => tracing::debug!("failed to agree on a key with a client: {error}"),
        Err(_) => tracing::debug!("a client took too long to agree on a key"),
    }
}

/// `None`: somebody spoke plain HTTP, and was told.
async fn agree(stream: TcpStream, tls: &Tls) -> io::Result<Option<tokio_rustls::server::TlsStream<TcpStream>>> {
    let mut first = [0];
    if stream.peek(&mut first).await? == 1 && first[0] != TLS_FIRST_BYTE {
        let body =
            r#"{"type":"about:blank","title":"Bad Request","status":400,"detail":"this address speaks https:// only"}"#;
        tell(stream, "HTTP/1.1 400 Bad Request", body).await?;
        return Ok(None);
    }
    tls.acceptor().accept(stream).await.map(Some)
}

async fn talk<S>(stream: S, service: TowerToHyperService<Router>)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let mut builder = Builder::new(TokioExecutor::new()).http1_only();
    builder.http1().timer(TokioTimer::new()).header_read_timeout(HEAD);
    if let Err(error) = builder.serve_connection(TokioIo::new(stream), service).await {
        tracing::debug!("a connection ended early: {error}");
    }
}
