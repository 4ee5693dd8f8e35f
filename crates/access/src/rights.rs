//! What somebody may do, and what an operation asks for.
//!
//! Pure: what was given comes in as rows, and what may be done comes out.

use entities::{ANY_RESOURCE, Permission, Resource, ResourceKind};
use store::Right;

/// What is to be done with something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// To read it.
    Read,
    /// To change it, or to make something in it.
    Update,
    /// To delete it.
    Delete,
    /// To say what others may do with it.
    Manage,
    /// Anything that is not denied.
    Unless,
}

impl Action {
    /// Whether it may be done with that much.
    pub const fn is_allowed_by(self, permission: Permission) -> bool {
        match self {
            Self::Read => matches!(
                permission,
                Permission::Read | Permission::Use | Permission::Edit | Permission::Manage
            ),
            Self::Update => matches!(permission, Permission::Edit | Permission::Manage),
            Self::Delete | Self::Manage => matches!(permission, Permission::Manage),
            Self::Unless => !matches!(permission, Permission::Deny),
        }
    }
}

/// One thing that an operation asks for: an action on a resource, or on what is looked at where nothing was said of it.
///
/// The first resource of which something was said decides; where nothing was said of any, the default does, for the
/// last action.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Need {
    steps: Vec<(Resource, Action)>,
}

impl Need {
    /// An action on a resource.
    pub fn new(action: Action, resource: Resource) -> Self {
        Self {
            steps: vec![(resource, action)],
        }
    }

    /// An action on every resource of a kind.
    pub fn any(action: Action, kind: ResourceKind) -> Self {
        Self::new(action, Resource::any(kind))
    }

    /// What is looked at next, with its own action, where nothing was said of those before.
    pub fn or(mut self, action: Action, resource: Resource) -> Self {
        self.steps.push((resource, action));
        self
    }
}

/// What somebody may do.
#[derive(Clone, Debug)]
pub struct Rights {
    given: Vec<Right>,
    default: Permission,
    /// Whether nothing is asked: an administrator, or one who manages everything.
    is_unlimited: bool,
}

impl Rights {
    /// What follows from what was given, and a default for what nothing was said of.
    pub fn new(is_admin: bool, given: Vec<Right>, default: Permission) -> Self {
        let everything = Resource::any(ResourceKind::Workspace);
        let manages = given
            .iter()
            .any(|right| right.resource == everything && right.permission == Permission::Manage);
        Self {
            given,
            default,
            is_unlimited: is_admin || manages,
        }
    }

    /// Whether all that there is may be managed, but for users and webhooks.
    pub const fn is_unlimited(&self) -> bool {
        self.is_unlimited
    }

    /// Whether an operation may be carried out that asks for that.
    pub fn allows(&self, need: &Need) -> bool {
        if self.is_unlimited {
            return true;
        }
        let decided = need.steps.iter().find_map(|(resource, action)| {
            self.said_of(resource)
                .map(|said| (self.raised(said), *action))
        });
        let last = need.steps.last().map(|(_, action)| (self.default, *action));
        decided
            .or(last)
            .is_some_and(|(permission, action)| action.is_allowed_by(permission))
    }

    /// Whether all of that may be done.
    pub fn allow_all(&self, needs: &[Need]) -> bool {
        needs.iter().all(|need| self.allows(need))
    }

    /// How much may be done with a resource, whatever it is part of.
    pub fn to(&self, resource: &Resource) -> Permission {
        if self.is_unlimited {
            return Permission::Manage;
        }
        self.said_of(resource)
            .map_or(self.default, |said| self.raised(said))
    }

    /// What was said of a resource: a denial wins, else the most.
    fn said_of(&self, resource: &Resource) -> Option<Permission> {
        let about = self.given.iter().filter(|right| {
            let Resource { kind, pattern } = &right.resource;
            *kind == resource.kind && (pattern == ANY_RESOURCE || *pattern == resource.pattern)
        });
        about
            .map(|right| right.permission)
            .reduce(|first, second| match (first, second) {
                (Permission::Deny, _) | (_, Permission::Deny) => Permission::Deny,
                (first, second) => first.max(second),
            })
    }

    /// What gives something never gives less than the default; what denies stays.
    fn raised(&self, said: Permission) -> Permission {
        match said {
            Permission::Deny | Permission::NoPermissions => said,
            said => said.max(self.default),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn experiment(id: &str) -> Resource {
        Resource::new(ResourceKind::Experiment, id)
    }

    fn rights(given: &[(Resource, Permission)], default: Permission) -> Rights {
        let given = given.iter().map(|(resource, permission)| Right {
            resource: resource.clone(),
            permission: *permission,
        });
        Rights::new(false, given.collect(), default)
    }

    /// A need of the runs of experiment 1, as `runs/update` has it.
    fn update_run() -> [Need; 2] {
        [
            Need::new(Action::Read, experiment("1")),
            Need::any(Action::Update, ResourceKind::Run).or(Action::Update, experiment("1")),
        ]
    }

    #[test]
    fn each_word_allows_what_it_says() {
        use Permission::{Deny, Edit, Manage, NoPermissions, Read, Use};
        for (permission, allowed) in [
            (Deny, [false, false, false, false, false]),
            (NoPermissions, [false, false, false, false, true]),
            (Read, [true, false, false, false, true]),
            (Use, [true, false, false, false, true]),
            (Edit, [true, true, false, false, true]),
            (Manage, [true, true, true, true, true]),
        ] {
            let actions = [
                Action::Read,
                Action::Update,
                Action::Delete,
                Action::Manage,
                Action::Unless,
            ];
            assert_eq!(
                actions.map(|action| action.is_allowed_by(permission)),
                allowed,
                "{permission:?}"
            );
        }
    }

    #[test]
    fn the_default_holds_where_nothing_was_said() {
        let none = rights(&[], Permission::NoPermissions);
        assert!(!none.allows(&Need::new(Action::Read, experiment("1"))));
        let read = rights(&[], Permission::Read);
        assert!(read.allows(&Need::new(Action::Read, experiment("1"))));
        assert!(!read.allow_all(&update_run()));
        assert!(rights(&[], Permission::Edit).allow_all(&update_run()));
    }

    #[test]
    fn the_nearest_that_was_said_of_decides() {
        let any_run = Resource::any(ResourceKind::Run);
        let given = [
            (experiment("1"), Permission::Edit),
            (any_run.clone(), Permission::Read),
        ];
        assert!(!rights(&given, Permission::NoPermissions).allow_all(&update_run()));
        let given = [
            (experiment("1"), Permission::Read),
            (any_run.clone(), Permission::Edit),
        ];
        assert!(rights(&given, Permission::NoPermissions).allow_all(&update_run()));
        // Without the experiment the runs in it cannot be reached.
        let given = [(any_run, Permission::Manage)];
        assert!(!rights(&given, Permission::NoPermissions).allow_all(&update_run()));
    }

    #[test]
    fn a_denial_wins_but_over_one_who_manages_everything() {
        let denied = [
            (experiment("1"), Permission::Manage),
            (experiment("*"), Permission::Deny),
        ];
        let read = Need::new(Action::Read, experiment("1"));
        assert!(!rights(&denied, Permission::Manage).allows(&read));
        let everything = Resource::any(ResourceKind::Workspace);
        let manager = [denied[1].clone(), (everything.clone(), Permission::Manage)];
        assert!(rights(&manager, Permission::NoPermissions).allows(&read));
        let member = [denied[1].clone(), (everything, Permission::Use)];
        assert!(!rights(&member, Permission::Manage).allows(&read));
        let admin = Rights::new(true, Vec::new(), Permission::NoPermissions);
        assert!(admin.allows(&read));
    }

    #[test]
    fn what_gives_never_gives_less_than_the_default() {
        let given = [(experiment("1"), Permission::Read)];
        let rights_given = rights(&given, Permission::Edit);
        assert_eq!(rights_given.to(&experiment("1")), Permission::Edit);
        let none = [(experiment("1"), Permission::NoPermissions)];
        let read = Need::new(Action::Read, experiment("1"));
        assert!(!rights(&none, Permission::Manage).allows(&read));
    }

    #[test]
    fn a_name_is_no_pattern() {
        let given = [(experiment("1"), Permission::Read)];
        let given = rights(&given, Permission::NoPermissions);
        for other in ["", "11", "01", "1 ", "%", "_"] {
            assert!(!given.allows(&Need::new(Action::Read, experiment(other))));
        }
        let model = Resource::new(ResourceKind::RegisteredModel, "1");
        assert!(!given.allows(&Need::new(Action::Read, model)));
    }

    fn any_permission() -> impl Strategy<Value = Permission> {
        proptest::sample::select(Permission::ALL.to_vec())
    }

    fn any_given() -> impl Strategy<Value = Vec<(Resource, Permission)>> {
        let kinds = vec![ResourceKind::Experiment, ResourceKind::Run];
        let patterns = vec!["*".to_owned(), "1".to_owned(), "2".to_owned()];
        let resource = (
            proptest::sample::select(kinds),
            proptest::sample::select(patterns),
        )
            .prop_map(|(kind, pattern)| Resource::new(kind, pattern));
        proptest::collection::vec((resource, any_permission()), 0..5)
    }

    proptest! {
        /// Neither the order in which rights were given nor giving one twice changes anything.
        #[test]
        fn the_order_does_not_matter(given in any_given(), default in any_permission()) {
            let mut other = given.clone();
            other.reverse();
            other.extend(given.clone());
            for need in update_run() {
                prop_assert_eq!(
                    rights(&given, default).allows(&need),
                    rights(&other, default).allows(&need)
                );
            }
        }

        /// One more denial never allows anything, and one more right to manage never takes anything that was not denied.
        #[test]
        fn a_denial_takes_and_a_right_gives(given in any_given(), default in any_permission()) {
            for need in update_run() {
                let before = rights(&given, default).allows(&need);
                let mut denied = given.clone();
                denied.push((experiment("1"), Permission::Deny));
                prop_assert!(before || !rights(&denied, default).allows(&need));
                let mut more = given.clone();
                more.push((experiment("1"), Permission::Manage));
                prop_assert!(!before || rights(&more, default).allows(&need));
            }
        }
    }
}
