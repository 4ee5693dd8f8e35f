//! URIs of places in object stores.

use std::fmt;

/// Which kind of object store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    S3 { bucket: String },
    Google { bucket: String },
    Azure { account: String, container: String },
}

/// A place in an object store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Address {
    pub(crate) kind: Kind,
    /// Components of the prefix.
    pub(crate) prefix: Vec<String>,
}

/// Why a URI is no place in an object store.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AddressError {
    /// Another scheme.
    #[error("it begins with none of s3://, gs://, wasbs:// and abfss://")]
    Scheme,
    /// No bucket or container.
    #[error("it names no bucket")]
    NoBucket,
    /// Azure needs an account.
    #[error("it is written wasbs://CONTAINER@ACCOUNT.blob.core.windows.net/PREFIX")]
    Azure,
    /// A user, password or query, which may be secret.
    #[error(
        "it holds a user, a password or a query; credentials are told by variables of the environment"
    )]
    Secret,
    /// Names that mean something else in a path.
    #[error("its path holds an empty name, `.`, `..`, `%` or a control character")]
    Path,
}

impl Address {
    /// Whether a URI is meant to be one.
    pub fn is_meant(uri: &str) -> bool {
        !matches!(Self::parse(uri), Err(AddressError::Scheme))
    }

    /// Reads a URI.
    pub fn parse(uri: &str) -> Result<Self, AddressError> {
        let (scheme, rest) = uri.split_once("://").ok_or(AddressError::Scheme)?;
        let scheme = scheme.to_ascii_lowercase();
        let is_azure = matches!(scheme.as_str(), "wasbs" | "abfss");
        if !is_azure && !matches!(scheme.as_str(), "s3" | "gs") {
            return Err(AddressError::Scheme);
        }
        if rest.contains(['?', '#']) {
            return Err(AddressError::Secret);
        }
        let (host, path) = rest.split_once('/').unwrap_or((rest, ""));
        let kind = if is_azure {
            let (container, server) = host.split_once('@').ok_or(AddressError::Azure)?;
            let suffix = if scheme == "wasbs" {
                ".blob.core.windows.net"
            } else {
                ".dfs.core.windows.net"
            };
            let account = server.strip_suffix(suffix).ok_or(AddressError::Azure)?;
            if container.contains(':') {
                return Err(AddressError::Secret);
            }
            Kind::Azure {
                account: name(account)?,
                container: name(container)?,
            }
        } else {
            if host.contains(['@', ':']) {
                return Err(AddressError::Secret);
            }
            let bucket = name(host)?;
            match scheme.as_str() {
                "s3" => Kind::S3 { bucket },
                _ => Kind::Google { bucket },
            }
        };
        let path = path.strip_suffix('/').unwrap_or(path);
        let prefix = match path {
            "" => Vec::new(),
            path => path.split('/').map(component).collect::<Result<_, _>>()?,
        };
        Ok(Self { kind, prefix })
    }

    /// What is below this one in a URI; none where that is elsewhere or not plain.
    pub(crate) fn below(&self, uri: &str) -> Option<Vec<String>> {
        let other = Self::parse(uri).ok()?;
        if other.kind != self.kind {
            return None;
        }
        let below = other.prefix.strip_prefix(self.prefix.as_slice())?;
        Some(below.to_vec())
    }
}

impl fmt::Display for Address {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.kind {
            Kind::S3 { bucket } => write!(formatter, "s3://{bucket}")?,
            Kind::Google { bucket } => write!(formatter, "gs://{bucket}")?,
            Kind::Azure { account, container } => write!(
                formatter,
                "wasbs://{container}@{account}.blob.core.windows.net"
            )?,
        }
        for component in &self.prefix {
            write!(formatter, "/{component}")?;
        }
        Ok(())
    }
}

/// The name of a bucket, container or account.
fn name(text: &str) -> Result<String, AddressError> {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_');
    if text.is_empty() || !text.bytes().all(is_plain) || text.starts_with('.') {
        return Err(AddressError::NoBucket);
    }
    Ok(text.to_owned())
}

fn component(text: &str) -> Result<String, AddressError> {
    let is_odd = matches!(text, "" | "." | "..")
        || text.contains(['%', '\\'])
        || text.chars().any(char::is_control);
    if is_odd {
        return Err(AddressError::Path);
    }
    Ok(text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_read_and_told_again() {
        for (uri, told) in [
            ("s3://bucket", "s3://bucket"),
            ("s3://bucket/", "s3://bucket"),
            ("S3://my.bucket-1/ml/arts/", "s3://my.bucket-1/ml/arts"),
            ("gs://bucket/a b/ü", "gs://bucket/a b/ü"),
            (
                "wasbs://box@acct.blob.core.windows.net/x",
                "wasbs://box@acct.blob.core.windows.net/x",
            ),
            (
                "abfss://box@acct.dfs.core.windows.net/x",
                "wasbs://box@acct.blob.core.windows.net/x",
            ),
        ] {
            assert_eq!(Address::parse(uri).unwrap().to_string(), told);
        }
    }

    #[test]
    fn secrets_other_stores_and_ways_out_are_refused() {
        for (uri, error) in [
            ("/data/x", AddressError::Scheme),
            ("http://host/x", AddressError::Scheme),
            ("hdfs://host/x", AddressError::Scheme),
            ("s3://", AddressError::NoBucket),
            ("s3:///x", AddressError::NoBucket),
            ("s3://a b/x", AddressError::NoBucket),
            ("s3://../x", AddressError::NoBucket),
            ("s3://key:secret@bucket/x", AddressError::Secret),
            ("s3://key@bucket", AddressError::Secret),
            ("s3://bucket/x?X-Amz-Signature=1", AddressError::Secret),
            ("gs://bucket/x#y", AddressError::Secret),
            ("s3://bucket:9000/x", AddressError::Secret),
            ("wasbs://box/x", AddressError::Azure),
            ("wasbs://box@evil.example.org/x", AddressError::Azure),
            (
                "wasbs://box:pw@acct.blob.core.windows.net",
                AddressError::Secret,
            ),
            ("s3://bucket/../x", AddressError::Path),
            ("s3://bucket/a/%2e%2e/x", AddressError::Path),
            ("s3://bucket/a//x", AddressError::Path),
            ("s3://bucket/a/./x", AddressError::Path),
            ("s3://bucket/a\n", AddressError::Path),
        ] {
            assert_eq!(Address::parse(uri), Err(error), "{uri}");
        }
    }

    #[test]
    fn below_means_whole_names() {
        let root = Address::parse("s3://bucket/arts").unwrap();
        let below = |uri: &str| root.below(uri).map(|names| names.join("/"));
        assert_eq!(below("s3://bucket/arts/0/r").as_deref(), Some("0/r"));
        assert_eq!(below("s3://bucket/arts").as_deref(), Some(""));
        for uri in [
            "s3://bucket",
            "s3://bucket/artsy/x",
            "s3://bucket/arts/../x",
            "s3://other/arts/x",
            "gs://bucket/arts/x",
            "s3://k:s@bucket/arts/x",
        ] {
            assert_eq!(below(uri), None, "{uri}");
        }
    }
}
