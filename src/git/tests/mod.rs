//! Stories over real transports: the `git` program makes the repositories, and serves them.

mod fixture;
mod over_files;
