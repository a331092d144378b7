//! The sources of names.

use offmodel_cells::members_of;

use crate::environment::Environment;
use crate::notebook::NotebookState;
use crate::reference::{Member, Reference};

/// The sources of names for completion and inspection.
#[derive(Clone, Copy)]
pub(crate) struct CompletionContext<'a> {
    pub notebook: &'a NotebookState,
    pub environment: &'a Environment,
    /// The names of the prelude; none until the reference has been written.
    pub reference: Option<&'a Reference>,
}

impl CompletionContext<'_> {
    /// All members of a type of the notebook, otherwise of the prelude.
    pub(super) fn members_of_type(self, type_name: &str) -> Vec<Member> {
        let mut members = self.notebook_members(type_name);
        if members.is_empty()
            && let Some(reference) = self.reference
        {
            members = reference.members_of(type_name);
        }
        members
    }

    /// The members of a type that the notebook defines.
    pub(super) fn notebook_members(self, type_name: &str) -> Vec<Member> {
        let name = type_name.trim_start_matches(['&', ' ']);
        let name = name.strip_prefix("mut ").unwrap_or(name);
        let name = name.split('<').next().unwrap_or(name);
        let name = name.rsplit("::").next().unwrap_or(name);
        let members = self.notebook.definitions().iter().flat_map(|item| {
            members_of(&item.code, name)
                .into_iter()
                .map(|member| Member {
                    name: member.name,
                    kind: member.kind,
                    signature: member.signature,
                    documentation: String::new(),
                    by_deref: false,
                })
        });
        members.collect()
    }
}
