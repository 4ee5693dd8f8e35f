//! The key that seals the secrets of webhooks, beside the key that signs the ledger; and where webhooks may be.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use entities::Random as _;
use ledger::VerifierKey;
use webhooks::{Network, SealingKey, SealingKeys};

use crate::keys::{file_name, key_directory, make_private_directory, write_private};
use crate::system::{SystemRandom, variable};

/// A file of the settings folder that holds the key of one store. It is made when the first secret is sealed.
pub(crate) struct SealingFile {
    /// None without a settings folder.
    path: Option<PathBuf>,
}

impl SealingFile {
    /// The key of the store whose ledger this key verifies.
    pub(crate) fn of(store: &VerifierKey) -> Self {
        let name = format!("{}.webhooks", file_name(store));
        let directory = key_directory().ok();
        Self {
            path: directory.map(|directory| directory.join(name)),
        }
    }

    fn path(&self) -> std::io::Result<&Path> {
        let path = self.path.as_deref();
        path.ok_or_else(|| {
            std::io::Error::new(
                ErrorKind::NotFound,
                "there is no settings folder to keep the key in: set HOME, or REPROOF_CONFIG_DIR",
            )
        })
    }
}

impl SealingKeys for SealingFile {
    fn find(&self) -> std::io::Result<Option<SealingKey>> {
        let Some(path) = &self.path else {
            return Ok(None);
        };
        match std::fs::read_to_string(path) {
            Ok(text) => decode(&text).map(Some),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn get_or_make(&self) -> std::io::Result<SealingKey> {
        if let Some(key) = self.find()? {
            return Ok(key);
        }
        let path = self.path()?;
        if let Some(directory) = path.parent() {
            make_private_directory(directory)?;
        }
        let mut drawn = [0; 32];
        SystemRandom.fill(&mut drawn);
        match write_private(path, &hex::encode(drawn)) {
            Ok(()) => Ok(SealingKey::from_bytes(drawn)),
            // Another process was faster: its key is the one.
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {
                self.find()?.ok_or_else(|| ErrorKind::NotFound.into())
            }
            Err(error) => Err(error),
        }
    }
}

fn decode(text: &str) -> std::io::Result<SealingKey> {
    let mut bytes = [0; 32];
    // The message tells nothing of the text.
    hex::decode_to_slice(text.trim_end(), &mut bytes)
        .map_err(|_| std::io::Error::new(ErrorKind::InvalidData, "it is not a key"))?;
    Ok(SealingKey::from_bytes(bytes))
}

/// Where webhooks may be, by the variables that MLflow's server reads.
pub(crate) fn webhook_network() -> Network {
    let mut network = Network::default();
    if let Some(schemes) = variable("MLFLOW_WEBHOOK_ALLOWED_SCHEMES") {
        // Others could not be spoken.
        let known = |scheme: &&str| ["http", "https"].contains(scheme);
        let schemes = schemes.split(',').map(str::trim).filter(known);
        network.schemes = schemes.map(str::to_owned).collect();
    }
    let allows = variable("MLFLOW_WEBHOOK_ALLOW_PRIVATE_IPS");
    network.allows_private =
        allows.is_some_and(|text| ["true", "1"].contains(&text.to_lowercase().as_str()));
    network
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn a_key_is_made_once_and_only_its_user_may_read_it() {
        let directory = tempfile::tempdir().unwrap();
        let file = SealingFile {
            path: Some(directory.path().join("keys/store.webhooks")),
        };
        assert!(file.find().unwrap().is_none());
        let made = file.get_or_make().unwrap();
        assert_eq!(file.find().unwrap().unwrap().as_bytes(), made.as_bytes());
        assert_eq!(file.get_or_make().unwrap().as_bytes(), made.as_bytes());
        let path = file.path().unwrap();
        assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o600);
        std::fs::write(path, "s3cr3t").unwrap();
        let refused = file.get_or_make().err().unwrap().to_string();
        assert!(!refused.contains("s3cr3t"), "{refused}");
    }

    #[test]
    fn without_a_settings_folder_there_is_no_key_and_none_is_made() {
        let file = SealingFile { path: None };
        assert!(file.find().unwrap().is_none());
        assert!(file.get_or_make().is_err());
    }
}
