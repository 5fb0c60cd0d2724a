//! Programs that run what their arguments say.

use std::path::Path;

/// Programs that run what their arguments say, when no argument of their own does.
const INTERPRETERS: &[&str] = &[
    "sh",
    "ash",
    "bash",
    "dash",
    "ksh",
    "mksh",
    "zsh",
    "fish",
    "csh",
    "tcsh",
    "python",
    "pypy",
    "node",
    "nodejs",
    "deno",
    "bun",
    "ts-node",
    "tsx",
    "perl",
    "ruby",
    "php",
    "lua",
    "luajit",
    "java",
    "jshell",
    "groovy",
    "scala",
    "erl",
    "elixir",
    "Rscript",
    "julia",
    "osascript",
    "awk",
    "gawk",
    "mawk",
    "sed",
    "tclsh",
    "expect",
    "ssh",
    "make",
    "npx",
    "uvx",
    "pipx",
    "go",
    "cargo",
    "docker",
    "podman",
];

/// Programs that run another, which their arguments name.
const WRAPPERS: &[&str] = &[
    "env",
    "exec",
    "command",
    "nice",
    "ionice",
    "nohup",
    "setsid",
    "stdbuf",
    "time",
    "timeout",
    "xargs",
    "busybox",
    "toybox",
    "sudo",
    "doas",
    "su",
    "chroot",
    "unshare",
    "nsenter",
    "flock",
    "strace",
    "ltrace",
    "gdb",
    "tini",
    "dumb-init",
    "catatonit",
];

/// Whether what is appended to `command` is the program that then runs: it ends in a known
/// interpreter that was not told yet what to run.
///
/// A program that is not known here and runs what its arguments say (`find -exec`) is for
/// the author of the entry to judge.
pub(super) fn runs_its_arguments(command: &[String]) -> bool {
    let Some((program, rest)) = command.split_first() else {
        return true;
    };
    let name = Path::new(program).file_name().unwrap_or_default();
    let name = name.to_string_lossy();
    let name = name.trim_end_matches(|c: char| c.is_ascii_digit() || c == '.' || c == '-');
    let is_option = |word: &String| word.starts_with('-');
    if WRAPPERS.contains(&name) {
        let is_setting = |word: &String| {
            is_option(word) || word.contains('=') || word.starts_with(|c: char| c.is_ascii_digit())
        };
        let wrapped = rest.iter().position(|word| !is_setting(word));
        return runs_its_arguments(wrapped.and_then(|at| rest.get(at..)).unwrap_or_default());
    }
    // `bash -o pipefail -c`: an option may have a value, and the last one asks for code.
    let asks_for_code = |word: &String| {
        let letters = word.strip_prefix('-').filter(|rest| !rest.starts_with('-'));
        letters.is_some_and(|letters| letters.len() <= 4 && letters.ends_with(['c', 'e']))
    };
    INTERPRETERS.contains(&name)
        && (rest.iter().all(is_option) || rest.last().is_some_and(asks_for_code))
}
