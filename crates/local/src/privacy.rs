//! What other processes of the same user may see of this one.

/// Hides this process's environment and memory from other processes of its user.
///
/// On Linux `/proc/PID/environ`, `mem` and `fd` belong to root from then on, nobody but
/// root can attach a debugger, and no core is dumped. Programs that it starts are seen as
/// ever. Elsewhere nothing happens.
pub fn hide_this_process() {
    #[cfg(target_os = "linux")]
    if let Err(error) = nix::sys::prctl::set_dumpable(false) {
        tracing::warn!(%error, "programs of this user can read the environment of this process");
    }
}
