//! Sends one request: to an address that was checked, within a time, and without going anywhere else.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper::header::{self, HeaderMap};
use hyper::{Method, Request};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::sync::OnceCell;
use tokio::time::{Instant, timeout_at};
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::pki_types::ServerName;
use tokio_rustls::rustls::{ClientConfig, RootCertStore, crypto};

use crate::target::Target;
use crate::{Network, WebhooksError};

/// How much of an answer is read.
pub(crate) const LARGEST_ANSWER_BYTES: usize = 64 * 1024;

/// How long one of several addresses of a host may take to accept, so that the next is tried as well.
const CONNECTING_TIME: Duration = Duration::from_secs(10);

const USER_AGENT: &str = concat!("reproof/", env!("CARGO_PKG_VERSION"));

/// What a request says.
pub(crate) struct Message<'m> {
    pub(crate) delivery: &'m str,
    /// Seconds since the epoch.
    pub(crate) unix_time: &'m str,
    pub(crate) signature: Option<&'m str>,
    pub(crate) body: &'m str,
}

/// What a receiver answered.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    /// How long it asks to be left alone, in milliseconds.
    pub(crate) retry_after_ms: Option<u64>,
    /// The begin of the body.
    pub(crate) body: String,
}

/// Why there is no answer. None of these holds the address, which may hold a secret of the receiver's.
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
    #[error("it broke off: {0}")]
    BrokenOff(hyper::Error),
    #[error("it does not answer within {} s", .0.as_secs_f64())]
    TooSlow(Duration),
    #[error("the request cannot be written: {0}")]
    Request(#[from] hyper::http::Error),
}

impl TransportError {
    /// Whether trying again could change it. What may not be called is not called later either; a host that is not
    /// known may be.
    pub(crate) fn is_final(&self) -> bool {
        match self {
            Self::Refused(error) => !matches!(error, WebhooksError::UnknownHost { .. }),
            Self::Request(_) => true,
            Self::Connect(_)
            | Self::NoRoots
            | Self::Tls(_)
            | Self::BrokenOff(_)
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
                exchange(stream, &target, message, deadline).await
            } else {
                exchange(stream, &target, message, deadline).await
            }
        };
        // The begin of an answer that came in time counts, also where its rest does not come: see `exchange`.
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

async fn exchange(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    target: &Target,
    message: &Message<'_>,
    deadline: Instant,
) -> Result<Answer, TransportError> {
    let request = write_request(target, message)?;
    let opening = http1::handshake(TokioIo::new(stream));
    let (mut sender, connection) = opening.await.map_err(TransportError::BrokenOff)?;
    let talking = async {
        let sending = sender.send_request(request);
        let response = timeout_at(deadline, sending).await;
        let response = response
            .map_err(|_| TransportError::TooSlow(deadline.elapsed()))?
            .map_err(TransportError::BrokenOff)?;
        let (head, body) = response.into_parts();
        Ok(Answer {
            status: head.status.as_u16(),
            retry_after_ms: retry_after(&head.headers),
            body: read_begin(body, deadline).await,
        })
    };
    tokio::pin!(talking);
    tokio::select! {
        answer = &mut talking => answer,
        // The receiver has closed; what it said before that is still told.
        _ = connection => talking.await,
    }
}

fn write_request(
    target: &Target,
    message: &Message<'_>,
) -> Result<Request<Full<Bytes>>, TransportError> {
    let body = Bytes::copy_from_slice(message.body.as_bytes());
    let mut request = Request::builder()
        .method(Method::POST)
        .uri(&target.path)
        .header(header::HOST, &target.authority)
        .header(header::USER_AGENT, USER_AGENT)
        .header(header::ACCEPT, "*/*")
        .header(header::CONNECTION, "close")
        .header(header::CONTENT_TYPE, "application/json")
        .header("X-MLflow-Delivery-Id", message.delivery)
        .header("X-MLflow-Timestamp", message.unix_time);
    if let Some(signature) = message.signature {
        request = request.header("X-MLflow-Signature", signature);
    }
    Ok(request.body(Full::new(body))?)
}

/// Seconds only: a date would have to be compared with a clock that the receiver does not know.
fn retry_after(headers: &HeaderMap) -> Option<u64> {
    let value = headers.get(header::RETRY_AFTER)?.to_str().ok()?;
    let seconds: u64 = value.trim().parse().ok()?;
    Some(seconds.saturating_mul(1000))
}

/// Reads the begin of a body; one that breaks off or takes too long is as long as it came.
async fn read_begin(mut body: Incoming, deadline: Instant) -> String {
    let mut begin = BytesMut::new();
    while begin.len() < LARGEST_ANSWER_BYTES {
        let Ok(Some(Ok(frame))) = timeout_at(deadline, body.frame()).await else {
            break;
        };
        if let Ok(data) = frame.into_data() {
            let room = LARGEST_ANSWER_BYTES - begin.len();
            begin.extend_from_slice(&data[..data.len().min(room)]);
        }
    }
    String::from_utf8_lossy(&begin).into_owned()
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
