//! Which command an image stands for on this node: the `--images` file, and the
//! sample apps that are built in.
//!
//! ```yaml
//! images:
//!   - match: "ghcr.io/acme/app:*"     # a glob over the whole reference, `*` crosses `/`
//!     command: ["python3", "app.py", "--version", "{tag}"]
//!     workdir: .                      # relative to this file; left out: the file's folder
//!     env: {LOG: debug}               # the manifest's env wins
//!     passEnv: [JAVA_HOME, LANG]      # taken from the environment of the cluster's own process
//!     allowCommand: false             # whether a manifest may say what runs
//! ```
//!
//! `{tag}` and `{digest}` stand for the image's (empty where it has none; the tag
//! of a reference with neither is `latest`), and `{port}` in the command for what
//! `PORT` says, for programs that want it as an argument. The mapped command takes
//! the place of the image's entrypoint: a manifest's `args` are appended, and with
//! `allowCommand` its `command` replaces it ([`super::permission`] says what else needs
//! that). The first entry that matches wins, the file's before the built-ins; an image
//! that none matches does not run.

mod file;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use globset::{Glob, GlobMatcher};
use sha2::{Digest, Sha256};

pub use file::ImagesError;

use super::permission::Permission;
use super::reference::Reference;

/// Images that run a sample app of this binary: glob, sample.
///
/// Those of `ghcr.io` are the images of the examples repository.
pub const BUILT_IN_IMAGES: &[(&str, &str)] = &[
    ("sluice.local/hello*", "hello"),
    ("sluice.local/random*", "random"),
    ("sluice.local/fail*", "fail"),
    ("sluice.local/slow*", "slow"),
    ("sluice.local/crash*", "crash"),
    ("ghcr.io/knative/helloworld-go*", "hello"),
    ("ghcr.io/sluice-examples/hello*", "hello"),
    ("ghcr.io/sluice-examples/random*", "random"),
];

/// What the node knows to run.
#[derive(Debug, Clone)]
pub struct Images {
    rules: Vec<Rule>,
    /// Where the user's rules came from, or would go, for messages.
    source: Option<PathBuf>,
}

/// How an image is run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entrypoint {
    /// In the entrypoint's place.
    pub command: Vec<String>,
    /// Where to run it; `None` leaves it to the manifest.
    pub workdir: Option<PathBuf>,
    /// Added to the environment, below the manifest's.
    pub env: BTreeMap<String, String>,
    /// Variables to take from the environment of this process.
    pub pass_env: Vec<String>,
    /// What a Pod's spec may change of it.
    pub permission: Permission,
    /// `REPOSITORY@sha256:...`: the reference's own digest, or one made of the
    /// reference and what it runs.
    pub image_id: String,
}

/// No entry of the table matches, or the name is none of an image.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("failed to pull and unpack image \"{image}\": {cause}")]
pub struct UnknownImage {
    image: String,
    cause: String,
}

impl UnknownImage {
    /// Why, and what to do, without the name.
    pub fn cause(&self) -> &str {
        &self.cause
    }
}

#[derive(Debug, Clone)]
struct Rule {
    glob: GlobMatcher,
    command: Vec<String>,
    workdir: Option<PathBuf>,
    env: BTreeMap<String, String>,
    pass_env: Vec<String>,
    permission: Permission,
}

impl Entrypoint {
    /// The command for a container that serves on `port`; one that serves nowhere gets
    /// it as it is written.
    pub fn command_on(self, port: Option<u16>) -> Vec<String> {
        let Some(port) = port.map(|port| port.to_string()) else {
            return self.command;
        };
        let words = self.command.iter();
        words.map(|word| word.replace("{port}", &port)).collect()
    }
}

impl Images {
    /// The built-in images alone; `executable` is the `sluice` binary.
    pub fn built_in(executable: &Path) -> Self {
        let executable = executable.to_string_lossy();
        let rules = BUILT_IN_IMAGES.iter().filter_map(|(pattern, sample)| {
            Some(Rule {
                // The table's globs are right: a test compiles each.
                glob: Glob::new(pattern).ok()?.compile_matcher(),
                command: vec![executable.to_string(), "sample".into(), (*sample).into()],
                workdir: None,
                env: BTreeMap::new(),
                pass_env: Vec::new(),
                permission: Permission::BuiltIn,
            })
        });
        Self {
            rules: rules.collect(),
            source: None,
        }
    }

    /// The images of `file`, then the built-in ones.
    pub fn load(file: &Path, executable: &Path) -> Result<Self, ImagesError> {
        let text = std::fs::read_to_string(file).map_err(|source| ImagesError::Read {
            file: file.to_owned(),
            source,
        })?;
        let mut images = Self::built_in(executable);
        let mut rules = file::parse(file, &text)?;
        rules.append(&mut images.rules);
        Ok(Self {
            rules,
            source: Some(file.to_owned()),
        })
    }

    /// How `image` is run.
    pub fn resolve(&self, image: &str) -> Result<Entrypoint, UnknownImage> {
        let reference = Reference::parse(image);
        if !reference.is_sound() {
            return Err(UnknownImage {
                image: image.to_owned(),
                cause: "invalid reference format: a tag is of letters, digits, `_`, `.` and `-`, \
                        a digest like sha256:0123abcd"
                    .to_owned(),
            });
        }
        let rule = self.rules.iter().find(|rule| {
            rule.glob.is_match(image) || rule.glob.is_match(reference.with_tag().as_str())
        });
        let rule = rule.ok_or_else(|| self.unknown(image, &reference))?;
        let fill = |text: &String| {
            let text = text.replace("{tag}", reference.tag.unwrap_or_default());
            text.replace("{digest}", reference.digest.unwrap_or_default())
        };
        let command: Vec<String> = rule.command.iter().map(fill).collect();
        let env = rule
            .env
            .iter()
            .map(|(name, value)| (name.clone(), fill(value)))
            .collect();
        let digest = match reference.digest {
            Some(digest) => digest.to_owned(),
            None => digest_of(&reference.with_tag(), &command, &env),
        };
        Ok(Entrypoint {
            command,
            workdir: rule.workdir.clone(),
            env,
            pass_env: rule.pass_env.clone(),
            permission: rule.permission.clone(),
            image_id: format!("{}@{digest}", reference.repository),
        })
    }

    fn unknown(&self, image: &str, reference: &Reference<'_>) -> UnknownImage {
        let entry = format!(
            "`- {{match: \"{}*\", command: [\"PROGRAM\", \"ARGUMENT\"]}}` under `images:`",
            reference.repository
        );
        let remedy = match &self.source {
            Some(file) => format!("add {entry} in {}", file.display()),
            None => format!("give `--images FILE` a file with {entry}"),
        };
        UnknownImage {
            image: image.to_owned(),
            cause: format!(
                "the local node runs images as processes and no command is known for this one; {remedy}"
            ),
        }
    }
}

fn digest_of(reference: &str, command: &[String], env: &BTreeMap<String, String>) -> String {
    let mut hash = Sha256::new();
    let parts = command
        .iter()
        .chain(env.iter().flat_map(|(name, value)| [name, value]));
    for part in std::iter::once(reference).chain(parts.map(String::as_str)) {
        hash.update(part.as_bytes());
        hash.update([0]);
    }
    let hex: String = hash
        .finalize()
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    format!("sha256:{hex}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sluice() -> PathBuf {
        PathBuf::from("/bin/sluice")
    }

    fn from(text: &str) -> Result<Images, ImagesError> {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("images.yaml");
        std::fs::write(&file, text).unwrap();
        Images::load(&file, &sluice())
    }

    const ACME: &str = r#"
images:
  - match: "ghcr.io/acme/app:*"
    command: ["python3", "app.py", "--version", "{tag}"]
    workdir: src
    env: {RELEASE: "{tag}/{digest}", DEPTH: "3"}
"#;

    #[test]
    fn every_built_in_image_runs_a_sample_that_exists() {
        let images = Images::built_in(&sluice());
        assert_eq!(
            images.rules.len(),
            BUILT_IN_IMAGES.len(),
            "a glob does not compile"
        );
        for (glob, sample) in BUILT_IN_IMAGES {
            assert!(crate::samples::find(sample).is_some(), "{sample}");
            let image = glob.replace('*', ":v1");
            let found = images.resolve(&image).unwrap();
            assert_eq!(found.command, ["/bin/sluice", "sample", sample], "{image}");
        }
    }

    #[test]
    fn a_tag_and_a_digest_reach_the_command() {
        let images = from(ACME).unwrap();
        let found = images.resolve("ghcr.io/acme/app:v7").unwrap();
        assert_eq!(found.command, ["python3", "app.py", "--version", "v7"]);
        assert_eq!(found.env["RELEASE"], "v7/");
        assert!(found.workdir.unwrap().ends_with("src"));
        let digest = "sha256:0123";
        let found = images
            .resolve(&format!("ghcr.io/acme/app:v7@{digest}"))
            .unwrap();
        assert_eq!(found.env["RELEASE"], "v7/sha256:0123");
        assert_eq!(found.image_id, "ghcr.io/acme/app@sha256:0123");
    }

    #[test]
    fn a_port_is_put_into_the_command_of_who_serves() {
        let images = from("images: [{match: 'a:*', command: [serve, '--port={port}']}]").unwrap();
        let command = |port| images.resolve("a:1").unwrap().command_on(port);
        assert_eq!(command(Some(20_001)), ["serve", "--port=20001"]);
        assert_eq!(command(None), ["serve", "--port={port}"]);
    }

    #[test]
    fn no_tag_is_latest() {
        let found = from(ACME).unwrap().resolve("ghcr.io/acme/app").unwrap();
        assert_eq!(found.command[3], "latest");
    }

    #[test]
    fn the_image_id_moves_with_the_tag_and_with_nothing_else() {
        let images = from(ACME).unwrap();
        let id = |image| images.resolve(image).unwrap().image_id;
        assert_eq!(id("ghcr.io/acme/app:1"), id("ghcr.io/acme/app:1"));
        assert_ne!(id("ghcr.io/acme/app:1"), id("ghcr.io/acme/app:2"));
        assert!(id("ghcr.io/acme/app:1").starts_with("ghcr.io/acme/app@sha256:"));
    }

    #[test]
    fn the_file_beats_the_built_in_images() {
        let images = from("images: [{match: 'sluice.local/hello', command: [mine]}]").unwrap();
        assert_eq!(
            images.resolve("sluice.local/hello").unwrap().command,
            ["mine"]
        );
        let other = images.resolve("sluice.local/hello:2").unwrap();
        assert_eq!(other.command[1], "sample");
    }

    #[test]
    fn an_unknown_image_says_how_to_make_it_known() {
        let error = Images::built_in(&sluice())
            .resolve("quay.io:5000/x/y:1")
            .unwrap_err();
        expect_test::expect![[r#"failed to pull and unpack image "quay.io:5000/x/y:1": the local node runs images as processes and no command is known for this one; give `--images FILE` a file with `- {match: "quay.io:5000/x/y*", command: ["PROGRAM", "ARGUMENT"]}` under `images:`"#]]
        .assert_eq(&error.to_string());
        let error = from(ACME)
            .unwrap()
            .resolve("nginx")
            .unwrap_err()
            .to_string();
        assert!(error.contains("images.yaml"), "{error}");
    }

    #[test]
    fn an_entry_allows_commands_when_it_says_so_and_a_built_in_image_never() {
        let text = "images:
- {match: 'a:*', command: [x]}
- {match: 'b:*', command: [x], allowCommand: true, passEnv: [LANG]}
";
        let images = from(text).unwrap();
        let found = |image| images.resolve(image).unwrap();
        let Permission::Entry { file, pattern } = found("a:1").permission else {
            panic!("allowed without a word")
        };
        assert!(
            file.ends_with("images.yaml") && pattern == "a:*",
            "{file:?}"
        );
        assert_eq!(found("a:1").pass_env, [""; 0]);
        assert_eq!(found("b:1").permission, Permission::Allowed);
        assert_eq!(found("b:1").pass_env, ["LANG"]);
        let built_in = found("sluice.local/hello:1");
        assert_eq!(built_in.permission, Permission::BuiltIn);
    }

    #[test]
    fn a_tag_that_is_a_shells_line_reaches_no_command() {
        let images = from("images: [{match: 'a:*', command: [sh, -c, 'echo {tag}']}]").unwrap();
        let error = images.resolve("a:$(touch x)").unwrap_err();
        expect_test::expect![[r#"failed to pull and unpack image "a:$(touch x)": invalid reference format: a tag is of letters, digits, `_`, `.` and `-`, a digest like sha256:0123abcd"#]].assert_eq(&error.to_string());
    }
}
