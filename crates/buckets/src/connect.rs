//! Connections, as the environment says.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use object_store::aws::AmazonS3Builder;
use object_store::azure::MicrosoftAzureBuilder;
use object_store::gcp::GoogleCloudStorageBuilder;
use object_store::{BackoffConfig, ClientOptions, ObjectStore, RetryConfig};

use crate::address::{Address, Kind};

/// Variables that name an endpoint of S3; the first that is there counts.
const ENDPOINTS: [&str; 3] = [
    "MLFLOW_S3_ENDPOINT_URL",
    "AWS_ENDPOINT_URL_S3",
    "AWS_ENDPOINT_URL",
];

/// What is said to be secret by the name of its variable.
const SECRET_WORDS: [&str; 6] = ["SECRET", "TOKEN", "KEY", "PASSWORD", "CREDENTIAL", "SAS"];

/// A value shorter than this may stand in any text.
const SECRET_MIN_BYTES: usize = 6;

/// The variables of a process.
#[derive(Clone, Default)]
pub struct Environment(BTreeMap<String, String>);

impl std::fmt::Debug for Environment {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("Environment")
    }
}

impl Environment {
    /// Those that object stores are told by; others are left out, and so are empty ones.
    pub fn new(variables: impl IntoIterator<Item = (String, String)>) -> Self {
        let prefixes = ["AWS_", "GOOGLE_", "AZURE_", "MLFLOW_S3_"];
        let is_ours = |(name, value): &(String, String)| {
            !value.is_empty() && prefixes.iter().any(|prefix| name.starts_with(prefix))
        };
        Self(variables.into_iter().filter(is_ours).collect())
    }

    /// Values that no message may hold.
    pub(crate) fn secrets(&self) -> Vec<String> {
        let is_secret = |name: &str| SECRET_WORDS.iter().any(|word| name.contains(word));
        let secrets = self.0.iter().filter(|(name, value)| {
            is_secret(name) && value.len() >= SECRET_MIN_BYTES && !value.starts_with('/')
        });
        secrets.map(|(_, value)| value.clone()).collect()
    }

    fn first(&self, names: &[&str]) -> Option<&str> {
        names
            .iter()
            .find_map(|name| self.0.get(*name))
            .map(String::as_str)
    }

    /// Names and values that begin so, as the library spells them.
    fn of(&self, prefix: &str) -> impl Iterator<Item = (String, &str)> {
        self.0
            .iter()
            .filter(move |(name, _)| name.starts_with(prefix))
            .map(|(name, value)| (name.to_ascii_lowercase(), value.as_str()))
    }
}

/// Makes a connection; nothing is sent yet.
pub(crate) fn connect(
    address: &Address,
    environment: &Environment,
    retries_max: usize,
) -> Result<Arc<dyn ObjectStore>, object_store::Error> {
    // Once for the process; whoever was first, it is the same.
    let _ = tokio_rustls::rustls::crypto::ring::default_provider().install_default();
    let retry = RetryConfig {
        backoff: BackoffConfig {
            init_backoff: Duration::from_millis(100),
            max_backoff: Duration::from_secs(10),
            base: 2.0,
        },
        max_retries: retries_max,
        retry_timeout: Duration::from_secs(60),
    };
    let client = ClientOptions::new()
        .with_connect_timeout(Duration::from_secs(10))
        // Of one part, which is small.
        .with_timeout(Duration::from_secs(120));
    Ok(match &address.kind {
        Kind::S3 { bucket } => {
            let mut builder = AmazonS3Builder::new();
            for (name, value) in environment.of("AWS_") {
                if let Ok(key) = name.parse() {
                    builder = builder.with_config(key, value);
                }
            }
            let mut client = client;
            if let Some(endpoint) = environment.first(&ENDPOINTS) {
                client = client.with_allow_http(endpoint.starts_with("http://"));
                builder = builder.with_endpoint(endpoint);
            }
            Arc::new(
                builder
                    .with_bucket_name(bucket)
                    .with_retry(retry)
                    .with_client_options(client)
                    .build()?,
            )
        }
        Kind::Google { bucket } => {
            let mut builder = GoogleCloudStorageBuilder::new();
            for (name, value) in environment.of("GOOGLE_") {
                if let Ok(key) = name.parse() {
                    builder = builder.with_config(key, value);
                }
            }
            if let Some(path) = environment.first(&["GOOGLE_APPLICATION_CREDENTIALS"]) {
                builder = builder.with_application_credentials(path);
            }
            Arc::new(
                builder
                    .with_bucket_name(bucket)
                    .with_retry(retry)
                    .with_client_options(client)
                    .build()?,
            )
        }
        Kind::Azure { account, container } => {
            let mut builder = MicrosoftAzureBuilder::new();
            for (name, value) in environment.of("AZURE_") {
                if let Ok(key) = name.parse() {
                    builder = builder.with_config(key, value);
                }
            }
            // As MLflow's clients name it.
            if let Some(key) = environment.first(&["AZURE_STORAGE_ACCESS_KEY"]) {
                builder = builder.with_access_key(key);
            }
            Arc::new(
                builder
                    .with_account(account)
                    .with_container_name(container)
                    .with_retry(retry)
                    .with_client_options(client)
                    .build()?,
            )
        }
    })
}
