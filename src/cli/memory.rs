//! How the allocator keeps what is freed.

/// An agent is many small objects and a few threads that take turns with them: an arena for each
/// thread holds on to what the others could use, a third of all memory with a thousand services.
///
/// Other allocators than glibc's stay as they are.
pub fn share_one_arena() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    #[expect(unsafe_code, reason = "glibc has no other way to be told")]
    // SAFETY: sets two numbers of the allocator; no thread was started yet.
    unsafe {
        libc::mallopt(libc::M_ARENA_MAX, 1);
        // As it is without a choice of ours, but it must not grow with what is freed.
        libc::mallopt(libc::M_TRIM_THRESHOLD, 128 * 1024);
    }
}
