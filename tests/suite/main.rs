//! The one integration binary: each module tells one part of the story.
mod processes;
