//! What a Pod's spec may change of the program that its image stands for.
//!
//! A process is not contained: whoever can say what runs can do whatever the user who
//! started the cluster can. So the `--images` file is a list of what may run, and a spec
//! replaces nothing of an entry that does not say `allowCommand: true`:
//!
//! | in a Pod's spec                                   | without `allowCommand`                     |
//! |---------------------------------------------------|--------------------------------------------|
//! | `command`                                         | refused                                    |
//! | `args`                                            | appended; refused where they are the program (`sh -c`) |
//! | `exec` of a startup, readiness or liveness probe  | refused                                    |
//! | variables that change what is loaded (`PATH`, `LD_*`, ...) | refused, from a ConfigMap or a Secret too |
//! | other variables                                   | set: to the mapped program they are data   |
//! | `workingDir`                                      | harmless: the entry's folder goes first, and samples load nothing by a relative path |
//! | the image's tag and digest                        | put into the command once they are known to be well-formed |
//! | `lifecycle` hooks, `securityContext`              | harmless: the node carries out neither     |
//!
//! Init containers and sidecars are containers like any other. `exec`, `attach` and
//! ephemeral containers do not exist on this API server. For a built-in sample nothing
//! can be allowed.

mod programs;
mod variables;

use std::path::PathBuf;

use k8s_openapi::api::core::v1::{Container, Probe};

use programs::runs_its_arguments;
use variables::steers;

/// Whether a Pod's spec may say what an image runs, and what to do where it may not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Permission {
    /// The image's entry says `allowCommand: true`.
    Allowed,
    /// The image's entry does not.
    Entry {
        /// The file that it stands in.
        file: PathBuf,
        /// Its `match`.
        pattern: String,
    },
    /// The image is a built-in sample.
    BuiltIn,
}

/// Something in a Pod's spec would change what its image runs, and may not.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{what} is not allowed for the image \"{image}\": {remedy}")]
pub struct NotAllowed {
    what: String,
    image: String,
    remedy: String,
}

impl Permission {
    /// Checks all but the variables of `container`, whose image runs `command`.
    pub fn check(&self, container: &Container, command: &[String]) -> Result<(), NotAllowed> {
        if *self == Self::Allowed {
            return Ok(());
        }
        let gives = |words: &Option<Vec<String>>| words.as_ref().is_some_and(|w| !w.is_empty());
        if gives(&container.command) {
            return Err(self.refuse(container, "`command`".to_owned()));
        }
        let runs = |probe: &Option<Probe>| probe.as_ref().is_some_and(|one| one.exec.is_some());
        let probes = [
            ("startupProbe", &container.startup_probe),
            ("readinessProbe", &container.readiness_probe),
            ("livenessProbe", &container.liveness_probe),
        ];
        if let Some((name, _)) = probes.into_iter().find(|(_, probe)| runs(probe)) {
            return Err(self.refuse(container, format!("`{name}.exec`")));
        }
        if gives(&container.args) && runs_its_arguments(command) {
            let runner = command.join(" ");
            return Err(self.refuse(
                container,
                format!("`args`, which is the program that `{runner}` runs,"),
            ));
        }
        let literal = container.env.iter().flatten();
        self.check_variables(container, literal.map(|one| one.name.as_str()))
    }

    /// Checks the names of the variables that the Pod's spec sets, wherever they come from.
    pub fn check_variables<'a>(
        &self,
        container: &Container,
        mut names: impl Iterator<Item = &'a str>,
    ) -> Result<(), NotAllowed> {
        if *self == Self::Allowed {
            return Ok(());
        }
        match names.find(|name| steers(name)) {
            None => Ok(()),
            Some(name) => Err(self.refuse(
                container,
                format!("the variable `{name}`, which changes what is loaded,"),
            )),
        }
    }

    fn refuse(&self, container: &Container, what: String) -> NotAllowed {
        let remedy = match self {
            Self::Entry { file, pattern } => format!(
                "give the entry `match: \"{pattern}\"` in {}, the file given with --images, \
                 `allowCommand: true`, and start the cluster again",
                file.display()
            ),
            Self::Allowed | Self::BuiltIn => "it is a built-in sample, which runs nothing else; \
                 name an image of your own, with an entry that says `allowCommand: true` in the \
                 file given with --images"
                .to_owned(),
        };
        NotAllowed {
            what,
            image: container.image.clone().unwrap_or_default(),
            remedy,
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn entry() -> Permission {
        Permission::Entry {
            file: "/srv/images.yaml".into(),
            pattern: "shop:*".into(),
        }
    }

    fn checked(permission: &Permission, command: &[&str], container: Value) -> String {
        let mut container = container;
        container["name"] = json!("main");
        container["image"] = json!("shop:1");
        let container: Container = serde_json::from_value(container).unwrap();
        let command: Vec<String> = command.iter().map(|&word| word.to_owned()).collect();
        match permission.check(&container, &command) {
            Ok(()) => "allowed".to_owned(),
            Err(error) => error.to_string(),
        }
    }

    #[test]
    fn what_would_replace_the_program_is_refused_and_says_how_to_allow_it() {
        let exec = json!({"exec": {"command": ["true"]}});
        let mut told = String::new();
        for container in [
            json!({"command": ["sh"]}),
            json!({"startupProbe": exec}),
            json!({"readinessProbe": exec}),
            json!({"livenessProbe": exec}),
            json!({"env": [{"name": "A", "value": "1"}, {"name": "LD_PRELOAD", "value": "/x.so"}]}),
        ] {
            let text = checked(&entry(), &["shop"], container.clone());
            told.push_str(&text.replace(" is not allowed for the image \"shop:1\"", ""));
            told.push('\n');
            assert_eq!(
                checked(&Permission::Allowed, &["shop"], container),
                "allowed"
            );
        }
        let built_in = checked(&Permission::BuiltIn, &["shop"], json!({"command": ["sh"]}));
        told.push_str(&built_in);
        let remedy = "give the entry `match: \"shop:*\"` in /srv/images.yaml, the file given with \
                      --images, `allowCommand: true`, and start the cluster again";
        expect_test::expect![[r#"
            `command`: HOW
            `startupProbe.exec`: HOW
            `readinessProbe.exec`: HOW
            `livenessProbe.exec`: HOW
            the variable `LD_PRELOAD`, which changes what is loaded,: HOW
            `command` is not allowed for the image "shop:1": it is a built-in sample, which runs nothing else; name an image of your own, with an entry that says `allowCommand: true` in the file given with --images"#]]
        .assert_eq(&told.replace(remedy, "HOW"));
    }

    #[test]
    fn what_replaces_nothing_is_allowed() {
        for container in [
            json!({}),
            json!({"command": [], "args": ["--verbose"]}),
            json!({"workingDir": "/tmp", "readinessProbe": {"httpGet": {"port": 8080}}}),
            json!({"env": [{"name": "ENV", "value": "test"}, {"name": "CLASSPATHS"}, {"name": "MY_PATH"}]}),
        ] {
            let text = checked(&entry(), &["python3", "shop.py"], container.clone());
            assert_eq!(text, "allowed", "{container}");
        }
    }

    #[test]
    fn arguments_are_refused_where_they_are_the_program() {
        let runs = |command: &str| {
            let words: Vec<&str> = command.split(' ').collect();
            let text = checked(&entry(), &words, json!({"args": ["touch x"]}));
            assert!(
                text == "allowed" || text.contains("`args`, which is the program"),
                "{text}"
            );
            text != "allowed"
        };
        for command in [
            "sh",
            "sh -c",
            "/bin/bash -lc",
            "bash -o pipefail -c",
            "python3",
            "python3.12 -m",
            "node -e",
            "perl -we",
            "env",
            "env A=b",
            "env -i sh -c",
            "timeout 5 bash -c",
            "java -jar",
            "busybox sh -c",
            "xargs",
            "nice -n 5 python3 -u",
        ] {
            assert!(runs(command), "{command}");
        }
        for command in [
            "shop",
            "sh run.sh",
            "python3 shop.py",
            "python3 -m http.server",
            "java -jar shop.jar",
            "env A=b shop",
            "node shop.js --port 1",
            "timeout 5 ./shop",
        ] {
            assert!(!runs(command), "{command}");
        }
    }

    #[test]
    fn variables_of_config_maps_are_judged_by_the_names_they_get() {
        let container: Container =
            serde_json::from_value(json!({"name": "main", "image": "shop:1"})).unwrap();
        let check = |name| Permission::BuiltIn.check_variables(&container, [name].into_iter());
        for name in [
            "PATH",
            "HOME",
            "LD_LIBRARY_PATH",
            "DYLD_X",
            "NODE_OPTIONS",
            "X=1:PATH",
        ] {
            assert!(check(name).is_err(), "{name}");
            let allowed = Permission::Allowed.check_variables(&container, [name].into_iter());
            assert_eq!(allowed, Ok(()), "{name}");
        }
        for name in ["PORT", "TARGET", "PYTHONUNBUFFERED", "ENV", "LDAP_URL"] {
            assert_eq!(check(name), Ok(()), "{name}");
        }
    }
}
