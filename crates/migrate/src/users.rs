//! Taking over users, with their passwords, roles and rights.

use std::collections::BTreeMap;
use std::path::Path;

use access::{
    Accounts, Password, check_right, check_role_name, check_user_name, role_subject,
    take_over_hash, user_subject,
};
use entities::{
    Caller, Change, Clock, Commit, Holder, PasswordHash, Permission, Resource, ResourceKind,
};
use store::{Store, StoreError};
use store_sql::sql::{Connection, Dialect};

use crate::mlflow::{AuthDatabase, SourceRole, SourceUser};
use crate::{Count, MigrateError};

/// The password of the administrator that older releases of MLflow made, which its documentation tells everybody.
const KNOWN_PASSWORD: &str = "password1234";

/// What MLflow keeps of users, open for reading.
pub struct UsersSource(AuthDatabase);

/// Where users are written.
#[derive(Clone)]
pub struct UsersTarget<'t> {
    /// The metadata.
    pub store: &'t dyn Store,
    /// The services over users.
    pub accounts: &'t Accounts,
    /// Tells when.
    pub clock: &'t dyn Clock,
    /// On whose behalf.
    pub caller: &'t Caller,
}

/// What came over.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UsersReport {
    /// Users.
    pub users: Count,
    /// Roles.
    pub roles: Count,
    /// Rights that were written now.
    pub rights: u64,
    /// Users who cannot sign on until they get a password, each as a sentence that says why.
    pub without_password: Vec<String>,
    /// What cannot be taken over, each as a sentence.
    pub unreadable: Vec<String>,
}

impl UsersSource {
    /// Opens a file of SQLite.
    ///
    /// *Errors*: `Database` if it cannot be read; `NotMlflow`.
    pub fn open(path: &Path) -> Result<Self, MigrateError> {
        Ok(Self(AuthDatabase::open(path)?))
    }

    /// Takes a connection to a database of PostgreSQL. What names it in messages holds no password.
    ///
    /// *Errors*: `Database` if it cannot be read; `NotMlflow`.
    pub fn of_postgres(
        connection: Box<dyn Connection>,
        name: String,
    ) -> Result<Self, MigrateError> {
        let database = AuthDatabase::of(connection, Dialect::Postgres, name)?;
        Ok(Self(database))
    }
}

/// Takes over users and roles that are not here yet; those that are stay as they are.
///
/// Every role and every user is one commit with all of its rights, so that what was cut short goes on.
///
/// *Errors*: those of the source and the store.
///
/// *Cost*: one hash for each administrator.
pub async fn take_over_users(
    source: &UsersSource,
    target: &UsersTarget<'_>,
) -> Result<UsersReport, MigrateError> {
    let found = source.0.read()?;
    let mut import = UserImport {
        target,
        report: UsersReport {
            unreadable: found.faults,
            ..UsersReport::default()
        },
    };
    for role in found.roles {
        import.import_role(role).await?;
    }
    for user in found.users {
        import.import_user(user).await?;
    }
    Ok(import.report)
}

struct UserImport<'a> {
    target: &'a UsersTarget<'a>,
    report: UsersReport,
}

impl UserImport<'_> {
    async fn import_role(&mut self, role: SourceRole) -> Result<(), MigrateError> {
        let SourceRole {
            name,
            description,
            rights,
        } = role;
        if let Err(error) = check_role_name(&name) {
            self.leave_out(&format!("role `{name}`"), &error);
            return Ok(());
        }
        let roles = self.target.store.list_roles().await?;
        if roles.iter().any(|known| known.name == name) {
            self.report.roles.there += 1;
            return Ok(());
        }
        let holder = Holder::Role(name.clone());
        let (rights, count) = self
            .granted(&format!("role `{name}`"), &holder, rights)
            .await?;
        let mut changes = vec![Change::RoleCreated {
            name: name.clone(),
            description,
        }];
        changes.extend(rights);
        self.commit("role.imported", role_subject(&name), changes)
            .await?;
        self.report.roles.new += 1;
        self.report.rights += count;
        Ok(())
    }

    async fn import_user(&mut self, user: SourceUser) -> Result<(), MigrateError> {
        let SourceUser {
            number: _,
            name,
            hash,
            is_admin,
            rights,
            roles,
        } = user;
        let what = format!("user `{name}`");
        if let Err(error) = check_user_name(&name) {
            self.leave_out(&what, &error);
            return Ok(());
        }
        if self.target.store.find_user(&name).await?.is_some() {
            self.report.users.there += 1;
            return Ok(());
        }
        let password = self.password_of(&name, &hash, is_admin).await?;
        let holder = Holder::User(name.clone());
        let (rights, count) = self.granted(&what, &holder, rights).await?;
        let mut changes = vec![Change::UserCreated {
            name: name.clone(),
            is_admin,
            password,
            at: self.target.clock.now(),
        }];
        changes.extend(rights);
        let known = self.target.store.list_roles().await?;
        for role in roles {
            // A role that could not be taken over was told.
            if known.iter().any(|known| known.name == role) {
                changes.push(Change::RoleAssigned {
                    role,
                    user: name.clone(),
                });
            }
        }
        let committed = self.commit("user.imported", user_subject(&name), changes);
        committed.await?;
        self.report.users.new += 1;
        self.report.rights += count;
        Ok(())
    }

    /// The hash of a user's password as MLflow has it, or one that nobody has the password of.
    async fn password_of(
        &mut self,
        name: &str,
        hash: &str,
        is_admin: bool,
    ) -> Result<PasswordHash, MigrateError> {
        let accounts = self.target.accounts;
        let why = match take_over_hash(hash) {
            Err(error) => error.to_string(),
            Ok(taken) => {
                let known = Password::new(KNOWN_PASSWORD.to_owned());
                if !is_admin || !accounts.is_hash_of(&taken, &known).await? {
                    return Ok(taken);
                }
                "it is the one that MLflow's documentation tells everybody".to_owned()
            }
        };
        self.report.without_password.push(format!(
            "user `{name}` needs a password: of that in MLflow, {why}"
        ));
        Ok(accounts.draw_hash().await?)
    }

    /// What gives a holder rights. A right to a prompt, which older releases keep as one to a registered model, is one to
    /// a prompt.
    async fn granted(
        &mut self,
        what: &str,
        holder: &Holder,
        rights: BTreeMap<Resource, Permission>,
    ) -> Result<(Vec<Change>, u64), MigrateError> {
        let mut given: BTreeMap<Resource, Permission> = BTreeMap::new();
        for (mut resource, permission) in rights {
            if let Err(error) = check_right(&resource, permission) {
                self.leave_out(&format!("a right of {what}"), &error);
                continue;
            }
            if resource.kind == ResourceKind::RegisteredModel {
                let model = self.target.store.find_registered_model(&resource.pattern);
                if model.await?.is_some_and(|found| found.model.is_prompt()) {
                    resource.kind = ResourceKind::Prompt;
                }
            }
            given.entry(resource).or_insert(permission);
        }
        let count = given.len() as u64;
        let changes = given
            .into_iter()
            .map(|(resource, permission)| Change::AccessGranted {
                holder: holder.clone(),
                resource,
                permission,
            });
        Ok((changes.collect(), count))
    }

    fn leave_out(&mut self, what: &str, error: &dyn std::fmt::Display) {
        self.report.unreadable.push(format!("{what}: {error}"));
    }

    async fn commit(
        &self,
        kind: &'static str,
        subject: String,
        changes: Vec<Change>,
    ) -> Result<(), StoreError> {
        let caller = self.target.caller;
        let commit = Commit {
            actor: caller.actor.clone(),
            at: self.target.clock.now(),
            kind,
            subjects: vec![subject],
            reason: Some("migrated from MLflow".to_owned()),
            request: caller.request.clone(),
            changes,
        };
        self.target.store.commit(commit).await.map(drop)
    }
}
