//! Stories over real transports: the `git` program makes the repositories, and serves them.

mod fixture;
mod forge;
mod over_files;
mod over_http;
mod over_ssh;
mod shared;
mod sshd;
