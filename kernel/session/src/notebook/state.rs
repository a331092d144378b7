//! Definitions and variables together.

use offmodel_cells::Cell;

use super::definitions::Definitions;
use super::variables::NotebookVariables;

/// The state that cells build on. A cell works on a copy, which replaces the state once the cell has
/// run: a cell that does not compile changes nothing.
#[derive(Debug, Default, Clone)]
pub(crate) struct NotebookState {
    definitions: Definitions,
    variables: NotebookVariables,
}

impl NotebookState {
    /// Adds the items of a cell, and drops the variables whose types they change.
    pub(crate) fn define_items(&mut self, cell: &Cell, execution: usize) {
        let changed_types = self.definitions.define(cell, execution);
        self.variables.drop_variables_of_types(&changed_types);
    }

    /// The items of all cells.
    pub(crate) fn definitions(&self) -> &Definitions {
        &self.definitions
    }

    /// The variables.
    pub(crate) fn variables(&self) -> &NotebookVariables {
        &self.variables
    }

    /// The variables, to be changed.
    pub(crate) fn variables_mut(&mut self) -> &mut NotebookVariables {
        &mut self.variables
    }
}
