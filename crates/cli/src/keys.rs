//! Signing keys, one file each in the user's settings folder, readable by the user alone.

use std::fs::OpenOptions;
use std::io::Write as _;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use ledger::{SigningKey, VerifierKey};

use crate::error::CommandError;
use crate::project::cannot_write;
use crate::system::configuration_directory;

/// Keeps a new key; it is durable when this returns.
pub(crate) fn write_key(key: &SigningKey) -> Result<(), CommandError> {
    write_key_below(&key_directory()?, key)
}

/// Reads the key whose public half signs a store's ledger; none where this user does not have it.
///
/// Without a settings folder, or where it may not be entered, nobody has the key: the store can be used all the same.
pub(crate) fn read_key(verifier_key: &str) -> Result<Option<SigningKey>, CommandError> {
    match key_directory() {
        Ok(directory) => read_key_below(&directory, verifier_key),
        Err(_) => Ok(None),
    }
}

/// Patterns of the files that hold keys: a `reproof` inside a captured run reads one, and it must not be kept.
pub(crate) fn key_patterns() -> Vec<String> {
    let Ok(directory) = key_directory() else {
        return Vec::new();
    };
    let resolved = directory
        .canonicalize()
        .unwrap_or_else(|_| directory.clone());
    [directory, resolved]
        .iter()
        .map(|directory| format!("{}/**", directory.display()))
        .collect()
}

/// Where the key is, or would be, whose public half signs a store's ledger.
pub(crate) fn key_path(verifier_key: &str) -> Result<PathBuf, CommandError> {
    let verifier: VerifierKey = verifier_key
        .parse()
        .map_err(|error| CommandError::caused("E0011", &error))?;
    Ok(key_directory()?.join(file_name(&verifier)))
}

pub(crate) fn key_directory() -> Result<PathBuf, CommandError> {
    let directory = configuration_directory().ok_or_else(|| {
        CommandError::system(
            "E0021",
            "there is no settings folder to keep the signing key in",
        )
        .hint("set HOME, or REPROOF_CONFIG_DIR to a folder of your own")
    })?;
    Ok(directory.join("keys"))
}

fn write_key_below(directory: &Path, key: &SigningKey) -> Result<(), CommandError> {
    let path = directory.join(file_name(&key.verifier()));
    make_private_directory(directory).map_err(|error| cannot_write(directory, &error))?;
    write_private(&path, &key.encode()).map_err(|error| cannot_write(&path, &error))
}

/// Makes a folder that its user alone may enter.
pub(crate) fn make_private_directory(directory: &Path) -> std::io::Result<()> {
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(directory)
}

/// Writes a line into a new file that its user alone may read; it is durable when this returns.
pub(crate) fn write_private(path: &Path, line: &str) -> std::io::Result<()> {
    // Never through a link and never over another key.
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)?;
    file.write_all(format!("{line}\n").as_bytes())?;
    file.sync_all()?;
    match path.parent() {
        Some(directory) => std::fs::File::open(directory)?.sync_all(),
        None => Ok(()),
    }
}

fn read_key_below(
    directory: &Path,
    verifier_key: &str,
) -> Result<Option<SigningKey>, CommandError> {
    let verifier: VerifierKey = verifier_key
        .parse()
        .map_err(|error| CommandError::caused("E0011", &error))?;
    let path = directory.join(file_name(&verifier));
    let text = match std::fs::read_to_string(&path) {
        Ok(text) => text,
        Err(error)
            if matches!(
                error.kind(),
                std::io::ErrorKind::NotFound | std::io::ErrorKind::PermissionDenied
            ) =>
        {
            return Ok(None);
        }
        Err(error) => {
            return Err(CommandError::system(
                "E0021",
                format!("cannot read {}: {error}", path.display()),
            ));
        }
    };
    let refused = |why: String| {
        CommandError::system(
            "E0021",
            format!("{} is not a usable key: {why}", path.display()),
        )
    };
    let key = SigningKey::parse(text.trim_end()).map_err(|error| refused(error.to_string()))?;
    if key.verifier() != verifier {
        return Err(refused("it is not the key of this store".to_owned()));
    }
    Ok(Some(key))
}

/// File name of a key: its id, and its name with what could lead elsewhere replaced.
///
/// The name stands in the store, which somebody else may have made.
pub(crate) fn file_name(key: &VerifierKey) -> String {
    let is_plain =
        |character: char| character.is_ascii_alphanumeric() || matches!(character, '.' | '-' | '_');
    let name: String = key
        .name()
        .chars()
        .take(100)
        .map(|character| if is_plain(character) { character } else { '_' })
        .collect();
    format!("{:08x}-{name}", key.id())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    fn key(name: &str) -> SigningKey {
        SigningKey::from_seed(name, &[7; 32]).unwrap()
    }

    #[test]
    fn a_key_is_read_back_and_only_its_user_may_read_it() {
        let directory = tempfile::tempdir().unwrap();
        let keys = directory.path().join("reproof/keys");
        let key = key("reproof.local/0123");
        write_key_below(&keys, &key).unwrap();
        let found = read_key_below(&keys, &key.verifier().to_string())
            .unwrap()
            .unwrap();
        assert_eq!(found.encode(), key.encode());
        let path = keys.join(file_name(&key.verifier()));
        assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(keys.metadata().unwrap().permissions().mode() & 0o777, 0o700);
    }

    #[test]
    fn a_missing_key_is_none_and_a_wrong_one_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        let (ours, other) = (
            key("ours"),
            SigningKey::from_seed("ours", &[8; 32]).unwrap(),
        );
        assert!(
            read_key_below(directory.path(), &ours.verifier().to_string())
                .unwrap()
                .is_none()
        );
        let path = directory.path().join(file_name(&ours.verifier()));
        std::fs::write(&path, other.encode()).unwrap();
        let error = read_key_below(directory.path(), &ours.verifier().to_string()).unwrap_err();
        assert_eq!(error.code(), "E0021");
        assert!(
            !error.message().contains(&other.encode()[40..]),
            "an error shows no secret"
        );
    }

    #[test]
    fn the_name_of_a_key_cannot_lead_out_of_the_folder() {
        for name in [
            "../../etc/passwd",
            "/etc/passwd",
            "..",
            "a/../../b",
            "\u{202e}evil",
        ] {
            let name = file_name(&key(name).verifier());
            assert!(
                !name.contains('/') && !name.starts_with('.') && name.is_ascii(),
                "{name}"
            );
        }
    }
}
