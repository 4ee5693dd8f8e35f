//! What object stores say when something is wrong, for people: what was tried, where, why, and what may help.

use cas::{DistantError, DistantFault};
use object_store::Error;

use crate::address::Kind;
use crate::bucket::Bucket;

/// Says what went wrong.
pub(crate) fn fault(bucket: &Bucket, action: &str, error: &Error) -> DistantError {
    let said = clean(&chain(error), bucket.secrets());
    let kind = kind_of(error, &said);
    let uri = bucket.uri();
    let message = match kind {
        // What else is said of it helps nobody.
        DistantFault::NoPlace => {
            format!("the bucket of {uri} is not there: make it first, or name another")
        }
        DistantFault::Denied => format!(
            "cannot {action} {uri}: {}: set {}, and let them list, read and write there",
            short(&said),
            variables(bucket)
        ),
        _ => format!("cannot {action} {uri}: {}", short(&said)),
    };
    DistantError { kind, message }
}

/// Variables that say who asks.
fn variables(bucket: &Bucket) -> &'static str {
    match bucket.address().kind {
        Kind::S3 { .. } => {
            "`AWS_ACCESS_KEY_ID`, `AWS_SECRET_ACCESS_KEY` and `AWS_REGION` (and `MLFLOW_S3_ENDPOINT_URL` where it is not Amazon's)"
        }
        Kind::Google { .. } => "`GOOGLE_APPLICATION_CREDENTIALS`",
        Kind::Azure { .. } => "`AZURE_STORAGE_ACCESS_KEY`",
    }
}

fn kind_of(error: &Error, said: &str) -> DistantFault {
    let says = |words: &[&str]| words.iter().any(|word| said.contains(word));
    match error {
        Error::PermissionDenied { .. } | Error::Unauthenticated { .. } => DistantFault::Denied,
        _ if says(&["NoSuchBucket", "ContainerNotFound", "bucket does not exist"]) => {
            DistantFault::NoPlace
        }
        _ if says(&[
            "InvalidAccessKeyId",
            "SignatureDoesNotMatch",
            "AccessDenied",
            "AuthenticationFailed",
            "403 Forbidden",
            "401 Unauthorized",
            "instance credentials",
            "169.254.169.254",
            "metadata.google.internal",
        ]) =>
        {
            DistantFault::Denied
        }
        Error::NotFound { .. } | Error::InvalidPath { .. } | Error::NotSupported { .. } => {
            DistantFault::Other
        }
        _ => DistantFault::Unreachable,
    }
}

fn chain(error: &dyn std::error::Error) -> String {
    let mut said = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let more = error.to_string();
        if !said.contains(&more) {
            said.push_str(": ");
            said.push_str(&more);
        }
        cause = error.source();
    }
    said
}

/// Without what may be secret: queries of URLs, and values that were handed in as such.
fn clean(said: &str, secrets: &[String]) -> String {
    let mut said = said.to_owned();
    for secret in secrets {
        said = said.replace(secret.as_str(), "***");
    }
    let mut cleaned = String::with_capacity(said.len());
    let mut is_query = false;
    for letter in said.chars() {
        if is_query && (letter.is_whitespace() || matches!(letter, '"' | '\'' | ')' | '>' | ',')) {
            is_query = false;
        }
        if !is_query && !letter.is_control() {
            cleaned.push(letter);
        }
        is_query |= letter == '?';
    }
    cleaned
}

/// What is in the log is read by people.
fn short(said: &str) -> &str {
    const LONGEST: usize = 600;
    match said.char_indices().nth(LONGEST) {
        Some((end, _)) => &said[..end],
        None => said,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_secret_is_said() {
        let secrets = ["hunter2hunter2".to_owned()];
        let said = "GET https://x/y?sig=abc%20&se=1 failed (url \"https://x?X-Amz-Signature=9\"): key hunter2hunter2\n";
        let cleaned = clean(said, &secrets);
        for secret in ["abc", "Signature", "hunter2", "\n"] {
            assert!(!cleaned.contains(secret), "{cleaned}");
        }
        assert!(cleaned.contains("https://x/y? failed"), "{cleaned}");
        assert_eq!(short(&"ü".repeat(1000)).chars().count(), 600);
    }
}
