//! Sends one request: to an address that was checked, within a time, and without going anywhere else.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::sync::OnceCell;
use tokio::time::{Instant, timeout_at};
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::pki_types::ServerName;
use tokio_rustls::rustls::{ClientConfig, RootCertStore, crypto};

use crate::exchange::{Answer, ExchangeError, Message, exchange};
use crate::target::Target;
use crate::{Network, WebhooksError};

/// How long one of several addresses of a host may take to accept, so that the next is tried as well.
const CONNECTING_TIME: Duration = Duration::from_secs(10);

/// Why there is no answer. None of these holds the path, which may hold a secret of the receiver's.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TransportError {
    /// The address may not be called, or not be looked up.
    #[error(transparent)]
    Refused(#[from] WebhooksError),
    #[error("nobody answers at its address: {0}")]
    Connect(std::io::Error),
    #[error("no certificates of authorities are installed, so that no receiver can be trusted")]
    NoRoots,
    #[error("it cannot be talked to through TLS: {0}")]
    Tls(std::io::Error),
    #[error(transparent)]
    Exchange(#[from] ExchangeError),
    #[error("it does not answer within {} s", .0.as_secs_f64())]
    TooSlow(Duration),
}

impl TransportError {
    /// Whether trying again could change it. A host may be known later, have another address, or the server be started
    /// with other settings; nothing was sent either way.
    pub(crate) fn is_final(&self) -> bool {
        match self {
            Self::Refused(error) => !matches!(
                error,
                WebhooksError::UnknownHost { .. }
                    | WebhooksError::NotPublic { .. }
                    | WebhooksError::Scheme { .. }
            ),
            Self::Connect(_)
            | Self::NoRoots
            | Self::Tls(_)
            | Self::Exchange(_)
            | Self::TooSlow(_) => false,
        }
    }
}

/// Sends requests.
pub(crate) struct Transport {
    network: Network,
    /// Read when the first address asks for it: a server without webhooks does not need them.
    tls: OnceCell<TlsConnector>,
}

impl Transport {
    pub(crate) fn new(network: Network) -> Self {
        Self {
            network,
            tls: OnceCell::new(),
        }
    }

    pub(crate) fn network(&self) -> &Network {
        &self.network
    }

    /// Looks the host up, checks what is found, and sends to one of the addresses that were checked.
    pub(crate) async fn send(
        &self,
        url: &str,
        message: &Message<'_>,
    ) -> Result<Answer, TransportError> {
        let limit = self.network.time_limit;
        let deadline = Instant::now() + limit;
        let talking = async {
            let target = Target::read(url, &self.network.schemes)?;
            let addresses = self.network.resolve(&target).await?;
            let stream = connect(&addresses).await?;
            if target.is_secure {
                let connector = self.tls.get_or_try_init(load_roots).await?;
                let name = ServerName::try_from(target.host.clone())
                    .map_err(|error| TransportError::Tls(std::io::Error::other(error)))?;
                let connecting = connector.connect(name, stream);
                let stream = connecting.await.map_err(TransportError::Tls)?;
                Ok(exchange(stream, &target, message, deadline).await?)
            } else {
                Ok(exchange(stream, &target, message, deadline).await?)
            }
        };
        // An answer whose begin came in time counts, also where its rest does not come: see `exchange`.
        let slack = Duration::from_secs(1);
        match timeout_at(deadline + slack, talking).await {
            Ok(answer) => answer,
            Err(_) => Err(TransportError::TooSlow(limit)),
        }
    }
}

/// The first address that accepts.
async fn connect(addresses: &[SocketAddr]) -> Result<TcpStream, TransportError> {
    let mut last = std::io::Error::from(std::io::ErrorKind::AddrNotAvailable);
    for address in addresses {
        match tokio::time::timeout(CONNECTING_TIME, TcpStream::connect(address)).await {
            Ok(Ok(stream)) => {
                // The request is written at once; waiting to fill a packet gains nothing.
                let _ = stream.set_nodelay(true);
                return Ok(stream);
            }
            Ok(Err(error)) => last = error,
            Err(_) => last = std::io::ErrorKind::TimedOut.into(),
        }
    }
    Err(TransportError::Connect(last))
}

/// The authorities that this machine trusts, so that a receiver inside of a company can be reached too.
async fn load_roots() -> Result<TlsConnector, TransportError> {
    let loading = tokio::task::spawn_blocking(rustls_native_certs::load_native_certs);
    let found = loading.await.map_err(|_| TransportError::NoRoots)?;
    let mut roots = RootCertStore::empty();
    let (known, _) = roots.add_parsable_certificates(found.certs);
    if known == 0 {
        return Err(TransportError::NoRoots);
    }
    let provider = Arc::new(crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| TransportError::Tls(std::io::Error::other(error)))?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(TlsConnector::from(Arc::new(config)))
}
