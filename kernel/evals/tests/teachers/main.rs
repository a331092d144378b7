//! Teachers behind an API, over loopback: servers that misbehave, and a real one.

#![expect(clippy::unwrap_used, reason = "helpers of tests fail like tests")]

mod cache;
mod faults;
mod llama_server;
mod responses;
mod retries;
mod secrecy;
mod server;
