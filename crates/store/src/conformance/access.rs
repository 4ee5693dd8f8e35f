//! Users, tokens, roles and rights.

use entities::{
    AccessToken, Change, Holder, ObjectId, PasswordHash, Permission, RegisteredModel, Resource,
    ResourceKind, TokenId, scorer_pattern,
};

use super::datasets::registered;
use super::registry::registered_model;
use super::{at, initialisation, make, refuse, zero};
use crate::{Right, Store, StoreError};

pub(super) async fn create_user(store: &dyn Store, name: &str, is_admin: bool) {
    let change = Change::UserCreated {
        name: name.to_owned(),
        is_admin,
        password: PasswordHash::of(format!("hash of {name}")),
        at: at(10),
    };
    make(store, "user.created", &format!("user:{name}"), change).await;
}

fn token(id: &str, user: &str) -> AccessToken {
    AccessToken {
        id: id.parse().unwrap(),
        user: user.to_owned(),
        label: format!("label of {id}"),
        digest: ObjectId::of(id.as_bytes()),
        created_at: at(20),
        expires_at: Some(at(30)),
    }
}

fn user(name: &str) -> Holder {
    Holder::User(name.to_owned())
}

fn role(name: &str) -> Holder {
    Holder::Role(name.to_owned())
}

fn experiment(id: &str) -> Resource {
    Resource::new(ResourceKind::Experiment, id)
}

async fn change(store: &dyn Store, change: Change) {
    make(store, "access.changed", "access", change).await;
}

async fn grant(store: &dyn Store, holder: Holder, resource: Resource, permission: Permission) {
    let granted = Change::AccessGranted {
        holder,
        resource,
        permission,
    };
    change(store, granted).await;
}

async fn number_of(store: &dyn Store, name: &str) -> i64 {
    store.find_user(name).await.unwrap().unwrap().number
}

/// The rights of a user, as kind, pattern and permission.
async fn rights(store: &dyn Store, name: &str) -> Vec<(ResourceKind, String, Permission)> {
    let number = number_of(store, name).await;
    let rights = store.list_rights(number).await.unwrap().into_iter();
    let parts = rights.map(
        |Right {
             resource,
             permission,
         }| (resource.kind, resource.pattern, permission),
    );
    parts.collect()
}

async fn create_role(store: &dyn Store, name: &str) {
    let created = Change::RoleCreated {
        name: name.to_owned(),
        description: Some(format!("about {name}")),
    };
    change(store, created).await;
}

async fn assign(store: &dyn Store, name: &str, user: &str) {
    let assigned = Change::RoleAssigned {
        role: name.to_owned(),
        user: user.to_owned(),
    };
    change(store, assigned).await;
}

/// Users come back as they were made and changed, and go with all that was theirs.
pub async fn users_are_made_changed_and_deleted(store: &dyn Store) {
    store.commit(initialisation()).await.unwrap();
    create_user(store, "ann", true).await;
    create_user(store, "Änn *", false).await;
    let ann = store.find_user("ann").await.unwrap().unwrap();
    assert!(ann.is_admin);
    assert_eq!(ann.created_at, at(10));
    assert_eq!(ann.password, PasswordHash::of("hash of ann".to_owned()));
    assert_eq!(store.find_user("Ann").await.unwrap(), None);
    assert_eq!(store.find_user("").await.unwrap(), None);
    let names = store.list_users().await.unwrap();
    let names: Vec<_> = names.iter().map(|user| user.name.as_str()).collect();
    assert_eq!(names, ["ann", "Änn *"]);

    let again = Change::UserCreated {
        name: "ann".to_owned(),
        is_admin: false,
        password: PasswordHash::of("other".to_owned()),
        at: at(11),
    };
    let refused = refuse(store, again).await;
    assert!(
        matches!(refused, StoreError::UserNameTaken { .. }),
        "{refused}"
    );
    let demoted = Change::UserAdminSet {
        name: "ann".to_owned(),
        is_admin: false,
        at: at(12),
    };
    change(store, demoted).await;
    let changed = Change::UserPasswordSet {
        replaces: None,
        name: "ann".to_owned(),
        password: PasswordHash::of("another".to_owned()),
        at: at(13),
    };
    change(store, changed).await;
    let found = store.find_user("ann").await.unwrap().unwrap();
    assert!(!found.is_admin);
    assert_eq!(found.password.encoded, "another");
    assert_eq!(found.number, ann.number);
    let renewed = |replaced: &str, fresh: &str| Change::UserPasswordSet {
        replaces: Some(PasswordHash::of(replaced.to_owned()).digest),
        name: "ann".to_owned(),
        password: PasswordHash::of(fresh.to_owned()),
        at: at(14),
    };
    let late = refuse(store, renewed("hash of ann", "late")).await;
    assert!(
        matches!(late, StoreError::PasswordReplaced { .. }),
        "{late}"
    );
    change(store, renewed("another", "renewed")).await;
    let found = store.find_user("ann").await.unwrap().unwrap();
    assert_eq!(found.password.encoded, "renewed");

    grant(store, user("ann"), experiment("0"), Permission::Edit).await;
    let made = Change::TokenCreated {
        token: token("t1", "ann"),
    };
    change(store, made).await;
    create_role(store, "team").await;
    assign(store, "team", "ann").await;
    let deleted = Change::UserDeleted {
        name: "ann".to_owned(),
    };
    change(store, deleted.clone()).await;
    assert_eq!(store.find_user("ann").await.unwrap(), None);
    assert_eq!(store.list_tokens().await.unwrap(), []);
    assert_eq!(store.list_rights(ann.number).await.unwrap(), []);
    let left = store.list_roles().await.unwrap();
    assert_eq!(left.len(), 1, "only `team` stays: {left:?}");
    assert_eq!(store.list_members(left[0].number).await.unwrap(), []);
    let refused = refuse(store, deleted).await;
    assert!(matches!(refused, StoreError::NoUser { .. }), "{refused}");
    create_user(store, "ann", false).await;
    assert_eq!(rights(store, "ann").await, []);
}

/// A token is found by its digest until it is revoked.
pub async fn tokens_are_made_found_and_revoked(store: &dyn Store) {
    store.commit(initialisation()).await.unwrap();
    create_user(store, "ann", false).await;
    let made = token("t1", "ann");
    let created = Change::TokenCreated {
        token: made.clone(),
    };
    change(store, created.clone()).await;
    let lasting = AccessToken {
        expires_at: None,
        ..token("t2", "ann")
    };
    let second = Change::TokenCreated {
        token: lasting.clone(),
    };
    change(store, second).await;
    let (found, of) = store.find_token(&made.digest).await.unwrap().unwrap();
    assert_eq!((&found, of.name.as_str()), (&made, "ann"));
    assert_eq!(of.password.encoded, "hash of ann");
    let other = ObjectId::of(b"other");
    assert_eq!(store.find_token(&other).await.unwrap(), None);
    let listed = store.list_tokens().await.unwrap();
    assert_eq!(listed, [made.clone(), lasting]);
    let refused = refuse(store, created).await;
    assert!(matches!(refused, StoreError::Exists { .. }), "{refused}");
    let nobody = Change::TokenCreated {
        token: token("t3", "bob"),
    };
    let refused = refuse(store, nobody).await;
    assert!(matches!(refused, StoreError::NoUser { .. }), "{refused}");

    let id: TokenId = "t1".parse().unwrap();
    let revoked = Change::TokenRevoked { token: id };
    change(store, revoked.clone()).await;
    assert_eq!(store.find_token(&made.digest).await.unwrap(), None);
    let refused = refuse(store, revoked).await;
    assert!(matches!(refused, StoreError::NoToken { .. }), "{refused}");
}

/// Rights are those of a user, and those of the roles that the user has.
pub async fn rights_come_from_users_and_roles(store: &dyn Store) {
    store.commit(initialisation()).await.unwrap();
    for name in ["ann", "bob"] {
        create_user(store, name, false).await;
    }
    grant(store, user("ann"), experiment("1"), Permission::Read).await;
    create_role(store, "team").await;
    grant(
        store,
        role("team"),
        Resource::any(ResourceKind::Run),
        Permission::Deny,
    )
    .await;
    assign(store, "team", "ann").await;
    assign(store, "team", "bob").await;
    let any_run = (ResourceKind::Run, "*".to_owned(), Permission::Deny);
    let first = (ResourceKind::Experiment, "1".to_owned(), Permission::Read);
    assert_eq!(rights(store, "ann").await, [first, any_run.clone()]);
    assert_eq!(rights(store, "bob").await, std::slice::from_ref(&any_run));

    let again = Change::AccessGranted {
        holder: user("ann"),
        resource: experiment("1"),
        permission: Permission::Manage,
    };
    let refused = refuse(store, again).await;
    assert!(
        matches!(refused, StoreError::RightExists { .. }),
        "{refused}"
    );
    for holder in [user("ann"), user("bob")] {
        let set = Change::AccessSet {
            holder,
            resource: experiment("1"),
            permission: Permission::Manage,
        };
        change(store, set).await;
    }
    let first = (ResourceKind::Experiment, "1".to_owned(), Permission::Manage);
    assert_eq!(rights(store, "ann").await, [first.clone(), any_run.clone()]);
    assert_eq!(rights(store, "bob").await, [any_run.clone(), first]);

    let roles = store.list_roles().await.unwrap();
    let ann = number_of(store, "ann").await;
    assert_eq!(roles.len(), 3);
    assert_eq!(roles[0].name, format!("__user_{ann}__"));
    assert_eq!(roles[0].owner, Some(ann));
    assert_eq!((roles[1].name.as_str(), roles[1].owner), ("team", None));
    assert_eq!(roles[1].description.as_deref(), Some("about team"));
    let right = &roles[1].rights[0];
    assert_eq!(right.role, roles[1].number);
    let found = store.find_right(right.number).await.unwrap();
    assert_eq!(found.as_ref(), Some(right));
    let of_ann = store.list_roles_of_user(ann).await.unwrap();
    assert_eq!(of_ann, roles[..2]);
    let found = store.find_role(roles[1].number).await.unwrap();
    assert_eq!(found.as_ref(), Some(&roles[1]));
    let members = store.list_members(roles[1].number).await.unwrap();
    let members: Vec<_> = members.iter().map(|member| member.user).collect();
    assert_eq!(members, [ann, number_of(store, "bob").await]);

    let revoked = Change::AccessRevoked {
        holder: user("ann"),
        resource: experiment("1"),
    };
    change(store, revoked.clone()).await;
    assert_eq!(rights(store, "ann").await, [any_run]);
    let refused = refuse(store, revoked).await;
    assert!(matches!(refused, StoreError::NoRight { .. }), "{refused}");
}

/// Roles are renamed, taken from users and deleted.
pub async fn roles_are_made_changed_and_deleted(store: &dyn Store) {
    store.commit(initialisation()).await.unwrap();
    create_user(store, "ann", false).await;
    create_role(store, "team").await;
    create_role(store, "other").await;
    assign(store, "team", "ann").await;
    grant(store, role("team"), experiment("0"), Permission::Read).await;
    let rename = |name: &str, new_name: &str| Change::RoleUpdated {
        name: name.to_owned(),
        new_name: Some(new_name.to_owned()),
        description: None,
    };
    let refused = refuse(store, rename("team", "other")).await;
    assert!(
        matches!(refused, StoreError::RoleNameTaken { .. }),
        "{refused}"
    );
    let refused = refuse(store, rename("none", "new")).await;
    assert!(matches!(refused, StoreError::NoRole { .. }), "{refused}");
    change(store, rename("team", "team")).await;
    change(store, rename("team", "crew")).await;
    let roles = store.list_roles().await.unwrap();
    assert_eq!(roles[0].name, "crew");
    assert_eq!(roles[0].description.as_deref(), Some("about team"));
    let again = Change::RoleAssigned {
        role: "crew".to_owned(),
        user: "ann".to_owned(),
    };
    let refused = refuse(store, again).await;
    assert!(
        matches!(refused, StoreError::RoleMemberExists { .. }),
        "{refused}"
    );
    let unassigned = Change::RoleUnassigned {
        role: "crew".to_owned(),
        user: "ann".to_owned(),
    };
    change(store, unassigned.clone()).await;
    assert_eq!(rights(store, "ann").await, []);
    let refused = refuse(store, unassigned).await;
    assert!(
        matches!(refused, StoreError::NoRoleMember { .. }),
        "{refused}"
    );
    assign(store, "crew", "ann").await;
    let deleted = Change::RoleDeleted {
        name: "crew".to_owned(),
    };
    change(store, deleted).await;
    assert_eq!(rights(store, "ann").await, []);
    assert_eq!(store.list_roles().await.unwrap().len(), 1);
    let given = Change::AccessGranted {
        holder: role("crew"),
        resource: experiment("0"),
        permission: Permission::Read,
    };
    let refused = refuse(store, given).await;
    assert!(matches!(refused, StoreError::NoRole { .. }), "{refused}");
}

/// What users hold to a name goes and moves with what has the name; what roles hold was said of the name, and stays.
pub async fn rights_to_a_name_go_with_what_has_it(store: &dyn Store) {
    store.commit(initialisation()).await.unwrap();
    create_user(store, "ann", false).await;
    create_role(store, "team").await;
    let model = |name: &str| Resource::new(ResourceKind::RegisteredModel, name);
    let register = |name: &str| Change::RegisteredModelCreated {
        model: RegisteredModel {
            ..registered_model(name, 5)
        },
    };
    change(store, register("net")).await;
    for holder in [user("ann"), role("team")] {
        grant(store, holder.clone(), model("net"), Permission::Manage).await;
        grant(store, holder, model("old"), Permission::Read).await;
    }
    let renamed = Change::RegisteredModelRenamed {
        name: "net".to_owned(),
        new_name: "old".to_owned(),
        at: at(6),
    };
    change(store, renamed).await;
    let kind = ResourceKind::RegisteredModel;
    let moved = (kind, "old".to_owned(), Permission::Manage);
    assert_eq!(rights(store, "ann").await, [moved]);
    let deleted = Change::RegisteredModelDeleted {
        name: "old".to_owned(),
    };
    change(store, deleted).await;
    assert_eq!(rights(store, "ann").await, []);
    let team = &store.list_roles().await.unwrap()[0];
    assert_eq!(team.rights.len(), 2);

    // What is called as all of them are is not all of them.
    let any = Resource::any(kind);
    grant(store, user("ann"), any, Permission::Read).await;
    change(store, register("net")).await;
    grant(store, user("ann"), model("net"), Permission::Manage).await;
    let renamed = Change::RegisteredModelRenamed {
        name: "net".to_owned(),
        new_name: "*".to_owned(),
        at: at(7),
    };
    change(store, renamed).await;
    let to_all = (kind, "*".to_owned(), Permission::Read);
    assert_eq!(rights(store, "ann").await.len(), 1);
    let back = Change::RegisteredModelRenamed {
        name: "*".to_owned(),
        new_name: "net".to_owned(),
        at: at(8),
    };
    change(store, back).await;
    assert_eq!(rights(store, "ann").await.len(), 1);
    change(store, register("*")).await;
    let deleted = Change::RegisteredModelDeleted {
        name: "*".to_owned(),
    };
    change(store, deleted).await;
    assert_eq!(rights(store, "ann").await, [to_all]);
    let taken = Change::AccessRevoked {
        holder: user("ann"),
        resource: Resource::any(kind),
    };
    change(store, taken).await;

    let scorer = Resource::new(ResourceKind::Scorer, scorer_pattern(&zero(), "a b"));
    change(store, registered("a b", 1)).await;
    grant(store, user("ann"), scorer, Permission::Manage).await;
    let deleted = Change::ScorerDeleted {
        experiment: zero(),
        name: "a b".to_owned(),
    };
    change(store, deleted).await;
    assert_eq!(rights(store, "ann").await, []);
}

/// Rows of every kind.
pub(super) async fn with_access(store: &dyn Store) {
    create_user(store, "ann", true).await;
    create_user(store, "bob", false).await;
    grant(store, user("ann"), experiment("0"), Permission::Edit).await;
    create_role(store, "team").await;
    grant(store, role("team"), experiment("0"), Permission::Read).await;
    assign(store, "team", "bob").await;
    for id in ["t1", "t2"] {
        let made = Change::TokenCreated {
            token: token(id, "bob"),
        };
        change(store, made).await;
    }
    let changed = Change::UserPasswordSet {
        replaces: None,
        name: "ann".to_owned(),
        password: PasswordHash::of("another".to_owned()),
        at: at(13),
    };
    change(store, changed).await;
}
