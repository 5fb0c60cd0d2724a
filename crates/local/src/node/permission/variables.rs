//! Variables that change what programs load or run.

/// Variables that the loader, a shell or a language's runtime takes code from, or a place
/// to look for code.
///
/// Not here: `ENV`, which only interactive shells read, and what a runtime cannot be made
/// to load code by (`PYTHONUNBUFFERED`, `NODE_ENV`, `GOMAXPROCS`, `RUST_LOG`).
const STEERING: &[&str] = &[
    // Where programs, and what they load from the user's own folder, are looked for.
    "PATH",
    "HOME",
    "GCONV_PATH",
    "BROWSER",
    // Shells.
    "BASH_ENV",
    "BASHOPTS",
    "SHELLOPTS",
    "PS4",
    "ZDOTDIR",
    "FPATH",
    "CDPATH",
    // Libraries that load modules.
    "OPENSSL_CONF",
    "OPENSSL_ENGINES",
    "OPENSSL_MODULES",
    // Runtimes.
    "PYTHONPATH",
    "PYTHONHOME",
    "PYTHONSTARTUP",
    "PYTHONUSERBASE",
    "PYTHONPLATLIBDIR",
    "PYTHONEXECUTABLE",
    "PYTHONWARNINGS",
    "PYTHONBREAKPOINT",
    "PYTHONINSPECT",
    "NODE_OPTIONS",
    "NODE_PATH",
    "BUN_OPTIONS",
    "JAVA_TOOL_OPTIONS",
    "_JAVA_OPTIONS",
    "JDK_JAVA_OPTIONS",
    "JAVA_OPTS",
    "JAVA_HOME",
    "CLASSPATH",
    "RUBYOPT",
    "RUBYLIB",
    "GEM_HOME",
    "GEM_PATH",
    "BUNDLE_GEMFILE",
    "BUNDLE_PATH",
    "PERL5OPT",
    "PERL5LIB",
    "PERLLIB",
    "PERL5DB",
    "PHPRC",
    "PHP_INI_SCAN_DIR",
    "ERL_FLAGS",
    "ERL_AFLAGS",
    "ERL_ZFLAGS",
    "ERL_LIBS",
    "ELIXIR_ERL_OPTIONS",
    "R_PROFILE",
    "R_PROFILE_USER",
    "R_ENVIRON",
    "R_ENVIRON_USER",
    "R_LIBS",
    "R_LIBS_USER",
];

/// The same, by how they begin.
const STEERING_FAMILIES: &[&str] = &[
    "LD_",
    "DYLD_",
    "BASH_FUNC_",
    "LUA_INIT",
    "LUA_PATH",
    "LUA_CPATH",
    "DOTNET_STARTUP_HOOKS",
    "DOTNET_ADDITIONAL_DEPS",
    "DOTNET_SHARED_STORE",
    "DOTNET_ROOT",
    "CORECLR_",
    "COR_",
];

/// Whether a variable of this name changes what programs load or run. One whose name holds
/// `=` would arrive as another.
pub(super) fn steers(name: &str) -> bool {
    name.contains('=')
        || STEERING.contains(&name)
        || STEERING_FAMILIES
            .iter()
            .any(|family| name.starts_with(family))
}
