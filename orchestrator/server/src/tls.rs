//! The server's certificate, read again when its files change.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{Error, ServerConfig};
use tokio_rustls::TlsAcceptor;

/// How often the files are looked at. New ones count when they have stood still between two looks.
const LOOK: Duration = Duration::from_secs(1);

/// A certificate and its key, in two PEM files.
pub struct Tls {
    certificate: PathBuf,
    key: PathBuf,
    state: Mutex<State>,
}

struct State {
    acceptor: TlsAcceptor,
    /// What has been judged, for good or bad.
    judged: Content,
    /// What the last look saw.
    seen: Content,
}

/// The bytes of the two files, or why there are none.
type Content = Result<(Vec<u8>, Vec<u8>), String>;

impl Tls {
    /// Reads a certificate, with the intermediate ones after it, and its private key.
    ///
    /// # Errors
    /// What is wrong with the files, as a fragment that continues "failed to …".
    pub fn open(certificate: PathBuf, key: PathBuf) -> Result<Self, String> {
        let content = read(&certificate, &key);
        let acceptor = acceptor(&content, &certificate, &key)?;
        let state = State { acceptor, judged: content.clone(), seen: content };
        Ok(Tls { certificate, key, state: Mutex::new(state) })
    }

    /// What makes a connection safe, with the certificate that is in force now.
    pub(crate) fn acceptor(&self) -> TlsAcceptor {
        self.state().acceptor.clone()
    }

    /// Keeps looking at the files. Ends when it is dropped.
    pub(crate) async fn keep_fresh(&self) {
        loop {
            tokio::time::sleep(LOOK).await;
            self.look();
        }
    }

    fn look(&self) {
        let content = read(&self.certificate, &self.key);
        let mut state = self.state();
        let still = std::mem::replace(&mut state.seen, content.clone()) == content;
        if !still || state.judged == content {
            return;
        }
        match acceptor(&content, &self.certificate, &self.key) {
            Ok(acceptor) => {
                state.acceptor = acceptor;
                tracing::info!("the certificate in `{}` is new, and in force", self.certificate.display());
            }
            Err(why) => tracing::error!("failed to {why}; the certificate in force stays"),
        }
        state.judged = content;
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn read(certificate: &Path, key: &Path) -> Content {
    let told = |path: &Path, error: std::io::Error| format!("read `{}`: {error}", path.display());
    let certificate = fs::read(certificate).map_err(|error| told(certificate, error))?;
    let key = fs::read(key).map_err(|error| told(key, error))?;
    Ok((certificate, key))
}

fn acceptor(content: &Content, certificate: &Path, key: &Path) -> Result<TlsAcceptor, String> {
    let (chain, secret) = content.as_ref().map_err(Clone::clone)?;
    let (certificate, key) = (certificate.display(), key.display());
    let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(chain).collect();
    let chain = chain.map_err(|error| format!("read the certificate in `{certificate}`: {}", broken(&error)))?;
    if chain.is_empty() {
        return Err(format!("find a certificate in `{certificate}`: it holds none in PEM"));
    }
    let secret = PrivateKeyDer::from_pem_slice(secret).map_err(|error| match error {
        pem::Error::NoItemsFound => {
            format!("find a private key in `{key}`: it holds none in PEM that is not encrypted")
        }
        error => format!("read the private key in `{key}`: {}", broken(&error)),
    })?;
    let builder = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()));
    let builder = builder.with_safe_default_protocol_versions().map_err(|error| format!("set up TLS: {error}"))?;
    let config = builder.with_no_client_auth().with_single_cert(chain, secret);
    let mut config = config.map_err(|error| match error {
        Error::InconsistentKeys(_) => {
            format!("use the key in `{key}`: it does not belong to the certificate in `{certificate}`")
        }
        error => format!("use the certificate in `{certificate}` with the key in `{key}`: {error}"),
    })?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Arc::new(config).into())
}

/// What is wrong with a PEM file, without quoting it: it may be a key.
fn broken(error: &pem::Error) -> &'static str {
    match error {
        pem::Error::MissingSectionEnd { .. } => "it ends in the middle",
        pem::Error::Base64Decode(_) => "it is damaged",
        _ => "it is no PEM",
    }
}
