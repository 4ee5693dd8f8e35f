//! What can go wrong with users, roles and rights, in MLflow's words.

use entities::{ErrorClass, Permission, Resource, ResourceKind, TokenId, python};
use store::StoreError;

/// What can go wrong. Messages never hold a password or a token.
#[derive(Debug, thiserror::Error)]
pub enum AccessError {
    /// A user without a name.
    #[error("Username cannot be empty.")]
    EmptyUserName,
    /// A name that could not stand in credentials.
    #[error(
        "Username {} is invalid. It must be at most 255 characters long, without a colon, control characters, and blanks at its ends.",
        python::repr(name)
    )]
    InvalidUserName {
        /// What was given.
        name: String,
    },
    /// A password that is too short.
    #[error("Password must be at least 12 characters.")]
    ShortPassword,
    /// A password that is too long.
    #[error("Password must be at most {limit} bytes.")]
    LongPassword {
        /// How long it may be.
        limit: usize,
    },
    /// One changes one's own password with the one that holds.
    #[error("Current password is required when changing your own password.")]
    NoCurrentPassword,
    /// Another one was given for it.
    #[error("Current password does not match.")]
    WrongCurrentPassword,
    /// The new one is the old one.
    #[error("New password must differ from the current password.")]
    SamePassword,
    /// The current password was guessed at too often.
    #[error("Too many wrong passwords. Try again in {seconds} seconds.")]
    TooManyGuesses {
        /// When it is looked at again.
        seconds: u64,
    },
    /// Nobody deletes themselves.
    #[error(
        "Users cannot delete their own account. Ask another admin to delete this user instead."
    )]
    OwnAccount,
    /// Somebody must be left who may do everything.
    #[error("User (username={name}) is the only admin. Make another user an admin first.")]
    LastAdmin {
        /// Who.
        name: String,
    },
    /// No such user.
    #[error("User with username={name} not found")]
    NoUser {
        /// What was asked for.
        name: String,
    },
    /// The name of a user is taken.
    #[error("User (username={name}) already exists.")]
    UserExists {
        /// The name.
        name: String,
    },
    /// No such token.
    #[error("Token with id={id} not found")]
    NoToken {
        /// What was asked for.
        id: TokenId,
    },
    /// A time that is over, or further away than can be told.
    #[error("A token must hold for 1 to 36500 days.")]
    TokenLifetime,
    /// A role without a name.
    #[error("Role name cannot be empty.")]
    EmptyRoleName,
    /// A name that stands for the rights of one user.
    #[error(
        "Role name {} uses the reserved '__user_' prefix, which is held for the per-user permission representation. Choose a different name.",
        python::repr(name)
    )]
    ReservedRoleName {
        /// What was given.
        name: String,
    },
    /// What holds the rights of one user is no role to be changed.
    #[error(
        "Role with id={role} holds the permissions of one user: use users/permissions/grant and revoke."
    )]
    OwnRole {
        /// Its number.
        role: i64,
    },
    /// A role of another workspace.
    #[error(
        "Workspace {} is not known: this server has one, 'default'.",
        python::repr(workspace)
    )]
    OtherWorkspace {
        /// What was given.
        workspace: String,
    },
    /// No such role.
    #[error("Role with id={role} not found")]
    NoRole {
        /// Its number.
        role: i64,
    },
    /// The role is gone meanwhile.
    #[error("Role with name={name} not found")]
    NoRoleNamed {
        /// What was asked for.
        name: String,
    },
    /// The name of a role is taken.
    #[error("Role (name={name}, workspace=default) already exists.")]
    RoleExists {
        /// The name.
        name: String,
    },
    /// The new name of a role is taken.
    #[error("Role with name={name} already exists in workspace=default")]
    NewRoleNameTaken {
        /// The name.
        name: String,
    },
    /// The user has the role already.
    #[error("User role assignment (user_id={user}, role_id={role}) already exists")]
    MemberExists {
        /// The number of the user.
        user: i64,
        /// The number of the role.
        role: i64,
    },
    /// The user has it not.
    #[error("User role assignment (user_id={user}, role_id={role}) not found")]
    NoMember {
        /// The number of the user.
        user: i64,
        /// The number of the role.
        role: i64,
    },
    /// No such right of a role.
    #[error("Role permission with id={right} not found")]
    NoRight {
        /// Its number.
        right: i64,
    },
    /// The role has a right to that resource.
    #[error(
        "Role permission (role_id={role}, resource_type={}, resource_pattern={}) already exists.",
        resource.kind.as_str(), resource.pattern
    )]
    RightExists {
        /// The number of the role.
        role: i64,
        /// To what.
        resource: Resource,
    },
    /// The user has a right to that resource.
    #[error(
        "Permission for user={user} on resource_type={}, resource_id={} already exists.",
        resource.kind.as_str(), resource.pattern
    )]
    UserRightExists {
        /// Who.
        user: String,
        /// To what.
        resource: Resource,
    },
    /// The user has no right of their own to that resource.
    #[error(
        "Permission for user={user} on resource_type={}, resource_id={} not found.",
        resource.kind.as_str(), resource.pattern
    )]
    NoUserRight {
        /// Who.
        user: String,
        /// To what.
        resource: Resource,
    },
    /// A permission that is none.
    #[error(
        "Invalid permission {}. Valid permissions are: {}",
        python::repr(word),
        words(&Permission::ALL.map(Permission::as_str))
    )]
    InvalidPermission {
        /// What was given.
        word: String,
    },
    /// A kind of resource that is none.
    #[error(
        "Invalid resource type {}. Valid resource types are: {}",
        python::repr(word),
        words(&ResourceKind::ALL.map(ResourceKind::as_str))
    )]
    InvalidKind {
        /// What was given.
        word: String,
    },
    /// A permission that says nothing of that kind.
    #[error("{}", permission_of_kind(*permission, *kind))]
    PermissionOfKind {
        /// What was given.
        permission: Permission,
        /// Of which kind.
        kind: ResourceKind,
    },
    /// A right to one of a kind that is given as a whole.
    #[error(
        "Invalid resource_pattern {} for resource_type='{}'. This resource type supports only wildcard ('*') grants.",
        python::repr(pattern), kind.as_str()
    )]
    PatternOfKind {
        /// What was given.
        pattern: String,
        /// Of which kind.
        kind: ResourceKind,
    },
    /// A right to everything, which only roles have.
    #[error(
        "resource_type 'workspace' is not supported by the per-user permission convenience APIs. Use set_workspace_permission / delete_workspace_permission for workspace-wide grants."
    )]
    WorkspaceOfUser,
    /// A question about one of a kind that is given as a whole.
    #[error(
        "resource_type '{}' is not supported by the per-user permission convenience APIs.",
        kind.as_str()
    )]
    KindOfUser {
        /// Which.
        kind: ResourceKind,
    },
    /// A text that is too long.
    #[error("'{field}' exceeds the maximum length of {limit} characters")]
    TooLong {
        /// Which field.
        field: &'static str,
        /// How long it may be.
        limit: usize,
    },

    /// What a password is checked against cannot be read.
    #[error("the hash of a password is damaged")]
    DamagedHash,
    /// A hash could not be computed.
    #[error("the hash of a password cannot be computed")]
    Hashing,
    /// The store failed.
    #[error(transparent)]
    Store(StoreError),
}

impl AccessError {
    /// What kind of error it is.
    pub fn class(&self) -> ErrorClass {
        match self {
            Self::EmptyUserName
            | Self::InvalidUserName { .. }
            | Self::ShortPassword
            | Self::LongPassword { .. }
            | Self::NoCurrentPassword
            | Self::WrongCurrentPassword
            | Self::SamePassword
            | Self::TooManyGuesses { .. }
            | Self::OwnAccount
            | Self::LastAdmin { .. }
            | Self::TokenLifetime
            | Self::EmptyRoleName
            | Self::ReservedRoleName { .. }
            | Self::OwnRole { .. }
            | Self::OtherWorkspace { .. }
            | Self::InvalidPermission { .. }
            | Self::InvalidKind { .. }
            | Self::PermissionOfKind { .. }
            | Self::PatternOfKind { .. }
            | Self::WorkspaceOfUser
            | Self::KindOfUser { .. }
            | Self::TooLong { .. } => ErrorClass::Invalid,
            Self::NoUser { .. }
            | Self::NoToken { .. }
            | Self::NoRole { .. }
            | Self::NoRoleNamed { .. }
            | Self::NoMember { .. }
            | Self::NoRight { .. }
            | Self::NoUserRight { .. } => ErrorClass::NotFound,
            Self::UserExists { .. }
            | Self::RoleExists { .. }
            | Self::NewRoleNameTaken { .. }
            | Self::MemberExists { .. }
            | Self::RightExists { .. }
            | Self::UserRightExists { .. } => ErrorClass::Exists,
            Self::DamagedHash | Self::Hashing => ErrorClass::Internal,
            Self::Store(error) => match error {
                StoreError::Busy | StoreError::Closed => ErrorClass::Unavailable,
                _ => ErrorClass::Internal,
            },
        }
    }
}

impl From<StoreError> for AccessError {
    /// Says a refusal in MLflow's words; a failure stays what it is.
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::NoUser { name } => Self::NoUser { name },
            StoreError::UserNameTaken { name } => Self::UserExists { name },
            StoreError::NoToken { id } => Self::NoToken { id },
            StoreError::NoRole { name } => Self::NoRoleNamed { name },
            StoreError::RoleNameTaken { name } => Self::RoleExists { name },
            failure => Self::Store(failure),
        }
    }
}

fn words(words: &[&str]) -> String {
    let quoted: Vec<_> = words.iter().map(|word| format!("'{word}'")).collect();
    format!("({})", quoted.join(", "))
}

fn permission_of_kind(permission: Permission, kind: ResourceKind) -> String {
    let (given, kind_word) = (permission.as_str(), kind.as_str());
    let (noun, valid) = match kind {
        ResourceKind::Workspace => ("Workspace-wide", words(&["MANAGE", "USE"])),
        _ => (
            "Resource-level",
            words(&["DENY", "EDIT", "MANAGE", "READ", "USE"]),
        ),
    };
    format!(
        "Invalid permission '{given}' for resource_type='{kind_word}'. {noun} grants accept only: {valid}."
    )
}
