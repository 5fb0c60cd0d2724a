//! A team's repository: bare, pushed to from a working copy by the `git` program.

use std::path::{Path, PathBuf};
use std::process::Command;

/// A bare repository and a working copy of it.
pub struct TestRepository {
    bare: PathBuf,
    work: PathBuf,
}

impl TestRepository {
    /// An empty repository with a README on `main`.
    pub fn create(bare: &Path) -> Self {
        let work = bare.with_extension("work");
        let created = Self {
            bare: bare.to_owned(),
            work,
        };
        let at = created.bare.parent().unwrap();
        run(
            at,
            &[
                "init",
                "--quiet",
                "--bare",
                "--initial-branch=main",
                created.bare.to_str().unwrap(),
            ],
        );
        run(
            at,
            &[
                "init",
                "--quiet",
                "--initial-branch=main",
                created.work.to_str().unwrap(),
            ],
        );
        created.git(&["remote", "add", "origin", created.bare.to_str().unwrap()]);
        created.write("apps/README.md", "The shop's services.\n");
        created.push("An empty shop");
        created
    }

    /// Its URL.
    pub fn url(&self) -> String {
        format!("file://{}", self.bare.display())
    }

    /// Writes a file into the working copy.
    pub fn write(&self, path: &str, content: &str) {
        let path = self.work.join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, content).unwrap();
    }

    /// Removes a file from the working copy.
    pub fn remove(&self, path: &str) {
        std::fs::remove_file(self.work.join(path)).unwrap();
    }

    /// Commits everything and pushes it; gives the commit's id.
    pub fn push(&self, subject: &str) -> String {
        self.git(&["add", "--all"]);
        self.git(&["commit", "--quiet", "--allow-empty", "--message", subject]);
        self.git(&["push", "--quiet", "--force", "origin", "HEAD:main"]);
        self.git(&["rev-parse", "HEAD"])
    }

    /// Runs `git` in the working copy and gives what it printed.
    pub fn git(&self, arguments: &[&str]) -> String {
        run(&self.work, arguments)
    }
}

fn run(at: &Path, arguments: &[&str]) -> String {
    let out = Command::new("git")
        .current_dir(at)
        // Nothing of the machine's own configuration plays a part.
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .env("GIT_CONFIG_SYSTEM", "/dev/null")
        .args(["-c", "user.name=Team", "-c", "user.email=team@example.com"])
        .args(arguments)
        .output()
        .unwrap();
    assert!(
        out.status.success(),
        "git {arguments:?}: {}",
        String::from_utf8_lossy(&out.stderr)
    );
    String::from_utf8(out.stdout).unwrap().trim().to_owned()
}
