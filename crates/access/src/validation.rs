//! Names, passwords and rights as they may be.

use entities::{ANY_RESOURCE, Permission, Resource, ResourceKind};

use crate::{AccessError, Password};

/// Fewest characters of a password, as MLflow has it.
const SHORTEST_PASSWORD: usize = 12;

/// Longest password, in bytes: a hash reads all of it.
const LONGEST_PASSWORD: usize = 1024;

/// Longest name of a user, in characters: what MLflow's schema has room for.
const LONGEST_NAME: usize = 255;

/// Names that begin so stand for the rights of one user in MLflow's answers.
const RESERVED: &str = "__user_";

/// A name must be able to stand before the colon of a request's credentials, and in a line of a log.
pub fn check_user_name(name: &str) -> Result<(), AccessError> {
    if name.is_empty() {
        return Err(AccessError::EmptyUserName);
    }
    let is_plain = !name.contains(|letter: char| letter == ':' || letter.is_control());
    if !is_plain || name.trim() != name || name.chars().count() > LONGEST_NAME {
        return Err(AccessError::InvalidUserName {
            name: name.to_owned(),
        });
    }
    Ok(())
}

pub(crate) fn check_password(password: &Password) -> Result<(), AccessError> {
    let text = password.as_str();
    if text.chars().count() < SHORTEST_PASSWORD {
        return Err(AccessError::ShortPassword);
    }
    if text.len() > LONGEST_PASSWORD {
        return Err(AccessError::LongPassword {
            limit: LONGEST_PASSWORD,
        });
    }
    Ok(())
}

/// Refuses a name that no role may have.
pub fn check_role_name(name: &str) -> Result<(), AccessError> {
    if name.trim().is_empty() {
        return Err(AccessError::EmptyRoleName);
    }
    if name.starts_with(RESERVED) {
        return Err(AccessError::ReservedRoleName {
            name: name.to_owned(),
        });
    }
    if name.chars().count() > LONGEST_NAME {
        return Err(AccessError::TooLong {
            field: "name",
            limit: LONGEST_NAME,
        });
    }
    Ok(())
}

/// Reads a kind of resource.
pub fn parse_kind(word: &str) -> Result<ResourceKind, AccessError> {
    ResourceKind::find(word).ok_or_else(|| AccessError::InvalidKind {
        word: word.to_owned(),
    })
}

/// Reads a permission.
pub fn parse_permission(word: &str) -> Result<Permission, AccessError> {
    Permission::find(word).ok_or_else(|| AccessError::InvalidPermission {
        word: word.to_owned(),
    })
}

/// Refuses a right that would say nothing.
pub fn check_right(resource: &Resource, permission: Permission) -> Result<(), AccessError> {
    check_permission_of(resource.kind, permission)?;
    check_pattern(resource)
}

pub(crate) fn check_permission_of(
    kind: ResourceKind,
    permission: Permission,
) -> Result<(), AccessError> {
    let is_grantable = match kind {
        ResourceKind::Workspace => matches!(permission, Permission::Use | Permission::Manage),
        _ => permission != Permission::NoPermissions,
    };
    if is_grantable {
        return Ok(());
    }
    Err(AccessError::PermissionOfKind { permission, kind })
}

pub(crate) fn check_pattern(resource: &Resource) -> Result<(), AccessError> {
    let Resource { kind, pattern } = resource;
    if pattern != ANY_RESOURCE && !kind.has_single_rights() {
        return Err(AccessError::PatternOfKind {
            pattern: pattern.clone(),
            kind: *kind,
        });
    }
    if pattern.chars().count() > 1000 {
        return Err(AccessError::TooLong {
            field: "resource_pattern",
            limit: 1000,
        });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_can_stand_in_credentials_and_logs() {
        for name in [
            "a",
            "ann@example.org",
            "Änn",
            "a b",
            "用户",
            "*",
            "' OR 1=1",
        ] {
            assert!(check_user_name(name).is_ok(), "{name}");
        }
        let long = "x".repeat(256);
        for name in ["", " ", "a ", " a", "a:b", "a\nb", "a\0", "\u{7f}", &long] {
            assert!(check_user_name(name).is_err(), "{name:?}");
        }
    }

    #[test]
    fn a_password_has_twelve_characters_and_an_end() {
        for (text, is_fine) in [
            ("", false),
            ("12345678901", false),
            ("123456789012", true),
            ("üüüüüüüüüüüü", true),
            ("            ", true),
        ] {
            let password = Password::new(text.to_owned());
            assert_eq!(check_password(&password).is_ok(), is_fine, "{text:?}");
        }
        let long = Password::new("x".repeat(1025));
        assert!(check_password(&long).is_err());
    }
}
