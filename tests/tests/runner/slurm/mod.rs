//! `offmodel sweep --slurm` on a real Slurm.
//!
//! Each test starts a cluster of its own, as root on loopback ports: a controller, and one node with
//! four fake GPUs. So tests run at the same time, in processes of their own, and one that breaks its
//! cluster disturbs no other. `.config/nextest.toml` bounds how many run at once. Run one of them with
//! `cargo nextest run -p offmodel-tests -E 'test(slurm::faults::a_preempted)'`.
//!
//! The tests need Debian's `slurm-wlm` and `munge`, and root; otherwise they are skipped.

mod cluster;
mod faults;
mod limits;
mod restart;
mod results;
mod stopping;
mod sweep;
