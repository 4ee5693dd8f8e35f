//! The one encoding in which JSON is hashed: RFC 8785 (JSON Canonicalization Scheme).

use serde::Serialize;

/// A value that has no canonical form: a float that is not finite, or a map whose keys are not texts.
#[derive(Debug, thiserror::Error)]
#[error("a value has no canonical JSON form")]
pub struct CanonicalError {
    /// What the encoder said.
    #[source]
    pub source: serde_json::Error,
}

/// Encodes a value as canonical JSON, the same bytes for the same value everywhere.
///
/// *Source*: RFC 8785.
pub fn canonical_json<T: Serialize + ?Sized>(value: &T) -> Result<Vec<u8>, CanonicalError> {
    serde_jcs::to_vec(value).map_err(|source| CanonicalError { source })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_sorted_and_space_is_dropped() {
        let value: serde_json::Value =
            serde_json::from_str(r#"{ "b": [1.0, 1e30, "é\u0001"], "a": {"z":null,"y":true} }"#)
                .unwrap();
        let text = String::from_utf8(canonical_json(&value).unwrap()).unwrap();
        assert_eq!(text, r#"{"a":{"y":true,"z":null},"b":[1,1e+30,"é\u0001"]}"#);
    }
}
