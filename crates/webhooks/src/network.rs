//! Where webhooks may be: how hosts are looked up, and which addresses may be called.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use crate::WebhooksError;
use crate::address::is_public;
use crate::target::Target;

/// How long a host may take to be looked up.
const LOOKUP_TIME: Duration = Duration::from_secs(5);

/// Looks up the addresses of hosts.
#[async_trait]
pub trait Resolve: Send + Sync {
    /// The addresses of a host, which may be written as one.
    async fn resolve(&self, host: &str) -> std::io::Result<Vec<IpAddr>>;
}

/// Asks the system, as every program does.
pub struct SystemResolver;

#[async_trait]
impl Resolve for SystemResolver {
    async fn resolve(&self, host: &str) -> std::io::Result<Vec<IpAddr>> {
        let found = tokio::net::lookup_host((host, 0)).await?;
        Ok(found.map(|address| address.ip()).collect())
    }
}

/// Where webhooks may be, and how they are reached.
#[derive(Clone)]
pub struct Network {
    /// Schemes that addresses may have.
    pub schemes: Vec<String>,
    /// Whether hosts may be in this machine or in a private network, which is for trying things out.
    pub allows_private: bool,
    /// How long all of an attempt may take.
    pub time_limit: Duration,
    /// What looks up hosts.
    pub resolver: Arc<dyn Resolve>,
}

impl Default for Network {
    /// As MLflow has it: public addresses, through TLS.
    fn default() -> Self {
        Self {
            schemes: vec!["https".to_owned()],
            allows_private: false,
            time_limit: Duration::from_secs(30),
            resolver: Arc::new(SystemResolver),
        }
    }
}

impl Network {
    /// Reads an address and checks that it may be called now. Where all addresses may be, none is looked up.
    pub(crate) async fn check(&self, url: &str) -> Result<Target, WebhooksError> {
        let target = Target::read(url, &self.schemes)?;
        if !self.allows_private {
            self.resolve(&target).await?;
        }
        Ok(target)
    }

    /// The addresses of a host, all of which may be called.
    ///
    /// One that may not be makes all of them suspect: whoever gives such answers gives others a moment later.
    pub(crate) async fn resolve(&self, target: &Target) -> Result<Vec<SocketAddr>, WebhooksError> {
        let unknown = |why: String| WebhooksError::UnknownHost {
            host: target.host.clone(),
            why,
        };
        let lookup = self.resolver.resolve(&target.host);
        let addresses = match tokio::time::timeout(LOOKUP_TIME, lookup).await {
            Ok(found) => found.map_err(|error| unknown(error.to_string()))?,
            Err(_) => return Err(unknown("it takes too long".to_owned())),
        };
        if addresses.is_empty() {
            return Err(unknown("it has no address".to_owned()));
        }
        let refused = addresses
            .iter()
            .find(|address| !self.allows_private && !is_public(**address));
        if let Some(address) = refused {
            return Err(WebhooksError::NotPublic {
                host: target.host.clone(),
                address: *address,
            });
        }
        let port = target.port;
        Ok(addresses
            .into_iter()
            .map(|address| SocketAddr::new(address, port))
            .collect())
    }
}
