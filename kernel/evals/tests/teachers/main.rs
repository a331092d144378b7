//! Teachers behind an API, asked over loopback: of servers that misbehave, and of a real one.

mod answers;
mod cache;
mod faults;
mod llama_server;
mod retries;
mod secrecy;
mod server;
