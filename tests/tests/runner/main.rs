//! `offmodel run`, `sweep`, `status` and `report` as a user calls them: the real binary, the
//! real compiler and prelude, small notebooks in folders of their own.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on may panic")]

mod bad_input;
mod built;
mod cells;
mod disk;
mod identity;
mod limits;
mod operations;
mod parameters;
mod schedules;
mod slurm;
mod sweeps;
mod workbench;
