//! The one integration binary: each module tells one part of the story.
<<<<<<< HEAD
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests may fail loudly, in their helping functions too"
)]

mod processes;
=======

mod api_server;
>>>>>>> da8dd29 (The local cluster has an API server: create, read, watch, change and delete, in process and over TLS)
