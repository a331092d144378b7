//! The command `offmodel` as users call it: the real binary, compiler and prelude, with small
//! notebooks in temporary folders.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on may panic")]

mod bad_input;
mod built;
mod cancel;
mod cells;
mod disk;
mod identity;
mod json;
mod limits;
mod operations;
mod parameters;
mod recorded;
mod reports;
mod runners;
mod schedules;
mod slurm;
mod sweeps;
mod waiting_sweep;
mod workbench;
