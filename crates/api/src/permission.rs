//! Permissions: what a route needs and what a role has.

use hinomi_model::Role;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// What a route needs. Every route names exactly one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub enum Permission {
    /// Nothing: everybody, also before login.
    Public,
    /// A login session of a person, of any role; API tokens are refused.
    Profile,
    /// Reading incidents, devices, messages and the rest.
    Read,
    /// Changing status, owner, tags and comments.
    Triage,
    /// Proposing, approving, running and undoing actions.
    Act,
    /// Reading, verifying and exporting the audit log.
    Audit,
    /// Settings, users, tokens, enrolment.
    Administer,
}

impl Permission {
    /// Every permission, in order.
    pub const ALL: [Permission; 7] = [
        Permission::Public,
        Permission::Profile,
        Permission::Read,
        Permission::Triage,
        Permission::Act,
        Permission::Audit,
        Permission::Administer,
    ];

    /// Tells whether a person or token with `role` has it. API tokens never have
    /// [`Permission::Profile`]; that is not decided here.
    pub fn allows(self, role: Role) -> bool {
        match self {
            Permission::Public | Permission::Profile | Permission::Read => true,
            Permission::Triage | Permission::Act => matches!(role, Role::Responder | Role::Administrator),
            Permission::Audit => matches!(role, Role::Auditor | Role::Administrator),
            Permission::Administer => role == Role::Administrator,
        }
    }

    /// Returns what `role` has.
    pub fn of(role: Role) -> Vec<Permission> {
        Permission::ALL.into_iter().filter(|permission| permission.allows(role)).collect()
    }
}
