//! The environment of a container: what the manifest says, with its references
//! to ConfigMaps, Secrets and the Pod itself resolved, and what the node adds.
//! Nothing comes from the environment of the cluster's own process but what an
//! image's entry names in `passEnv`: it may hold the keys of whoever started it.
//!
//! Pure: the objects that are referred to are fetched before ([`needed`]) and
//! given as arguments. Messages are a kubelet's.

mod references;

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{Container, Pod};

pub use references::{ConfigError, Names, Objects, field, missing, needed};
use references::{from_whole_objects, referred};

/// The name of the only node.
pub const NODE_NAME: &str = "local";

/// Where every container looks for programs: what container images commonly say.
#[cfg(not(target_os = "macos"))]
pub const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
/// Where every container looks for programs; most of this system's come from Homebrew.
#[cfg(target_os = "macos")]
pub const PATH: &str = "/opt/homebrew/bin:/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin";

/// What a Pod's spec says of a container's environment, references resolved.
#[derive(Debug)]
pub struct Given(Environment);

impl Given {
    /// The names of its variables.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.0.iter().map(|(name, _)| name.as_str())
    }
}

/// Resolves what `container` says of its environment: `envFrom`, then `env`.
///
/// `$(NAME)` sees what the Pod says, as on Kubernetes, and the `port` that the container
/// is to serve on; none for one that is not the serving container.
pub fn given(
    pod: &Pod,
    container: &Container,
    objects: &Objects,
    port: Option<u16>,
) -> Result<Given, ConfigError> {
    let mut visible = Environment::default();
    if let Some(port) = port {
        visible.set("PORT", port.to_string());
    }
    from_whole_objects(container, objects, &mut visible)?;
    for variable in container.env.iter().flatten() {
        let value = match &variable.value_from {
            None => expand(variable.value.as_deref().unwrap_or_default(), &visible),
            Some(source) => match referred(pod, source, objects)? {
                Some(value) => value,
                // Optional and not there: not set at all.
                None => continue,
            },
        };
        if !(variable.name == "PORT" && port.is_some()) {
            visible.set(&variable.name, value);
        }
    }
    // `envFrom` can name it, too, and the node is right.
    if let Some(port) = port {
        visible.set("PORT", port.to_string());
    }
    Ok(Given(visible))
}

/// What a container has besides what its Pod's spec says.
#[derive(Debug, Clone, Default)]
pub struct Surroundings {
    /// Its own folder.
    pub home: String,
    /// Variables of the cluster's process that the image's entry takes over.
    pub passed: Vec<(String, String)>,
    /// Variables of the image's entry.
    pub image: BTreeMap<String, String>,
    /// `SLUICE_*` variables.
    pub own: Vec<(String, String)>,
}

/// The whole environment of a container of `pod`; later values of a name win.
///
/// In the order of precedence, lowest first: `PATH` and `HOME`, what is taken over from
/// the cluster's process, `HOSTNAME`, the image's, what the Pod's spec says, and the
/// node's own.
pub fn resolve(pod: &Pod, given: Given, around: Surroundings) -> Vec<(String, String)> {
    let mut env = Environment::default();
    env.set("PATH", PATH.to_owned());
    env.set("HOME", around.home);
    let hostname = pod.metadata.name.clone().unwrap_or_default();
    let below = around.passed.into_iter();
    let below = below.chain([("HOSTNAME".to_owned(), hostname)]);
    let below = below.chain(around.image);
    for (name, value) in below.chain(given.0.0).chain(around.own) {
        env.set(&name, value);
    }
    env.0
}

/// Expands `$(NAME)` in a container's command or arguments.
pub fn expand_all(words: &[String], env: &[(String, String)]) -> Vec<String> {
    let env = Environment(env.to_vec());
    words.iter().map(|word| expand(word, &env)).collect()
}

/// Variables in the order in which they were first set.
#[derive(Debug, Default)]
struct Environment(Vec<(String, String)>);

impl Environment {
    fn get(&self, name: &str) -> Option<&str> {
        self.0
            .iter()
            .find(|(known, _)| known == name)
            .map(|(_, value)| value.as_str())
    }

    fn set(&mut self, name: &str, value: String) {
        match self.0.iter_mut().find(|(known, _)| known == name) {
            Some(known) => known.1 = value,
            None => self.0.push((name.to_owned(), value)),
        }
    }

    /// Keys that cannot be names of variables are passed over, as a kubelet does.
    fn set_if_named(&mut self, name: &str, value: String) {
        if !name.is_empty() && !name.contains(['=', '\0']) && name.is_ascii() {
            self.set(name, value);
        }
    }
}

/// Kubernetes' expansion: `$(NAME)` of a known name is replaced, `$$` is `$`, all
/// else stays as it is.
fn expand(text: &str, env: &Environment) -> String {
    let mut expanded = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('$') {
        expanded.push_str(before);
        rest = after;
        if let Some(after) = rest.strip_prefix('$') {
            expanded.push('$');
            rest = after;
        } else if let Some((name, after)) = rest
            .strip_prefix('(')
            .and_then(|inner| inner.split_once(')'))
        {
            match env.get(name) {
                Some(value) => expanded.push_str(value),
                None => expanded.push_str(&format!("$({name})")),
            }
            rest = after;
        } else {
            expanded.push('$');
        }
    }
    expanded.push_str(rest);
    expanded
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn pod() -> Pod {
        serde_json::from_value(json!({"metadata": {
            "name": "web-1", "namespace": "shop", "uid": "u1",
            "labels": {"app": "web", "serving.knative.dev/revision": "web-00001"},
            "annotations": {"note": "a \"b\""},
        }}))
        .unwrap()
    }

    fn objects() -> Objects {
        let config_map = |data: Value| serde_json::from_value(json!({"data": data})).unwrap();
        let secret = |data: Value| serde_json::from_value(json!({"data": data})).unwrap();
        Objects {
            config_maps: [(
                "words".into(),
                config_map(json!({"GREETING": "hi", "bad=key": "x"})),
            )]
            .into(),
            // "secret" in base 64.
            secrets: [("keys".into(), secret(json!({"TOKEN": "c2VjcmV0"})))].into(),
        }
    }

    fn environment(container: Value, port: Option<u16>) -> Result<String, ConfigError> {
        let mut container = container;
        container["name"] = json!("main");
        let container: Container = serde_json::from_value(container).unwrap();
        let around = Surroundings {
            home: "/pod/work".into(),
            passed: vec![("LANG".into(), "C".into())],
            image: [("FROM_IMAGE".to_owned(), "1".to_owned())].into(),
            own: vec![("SLUICE_MOUNTS".into(), "{}".into())],
        };
        let given = given(&pod(), &container, &objects(), port)?;
        Ok(resolve(&pod(), given, around)
            .into_iter()
            .map(|(name, value)| format!("{name}={value}\n"))
            .collect())
    }

    #[test]
    fn everything_a_manifest_can_say_arrives() {
        let env = environment(
            json!({
                "envFrom": [
                    {"configMapRef": {"name": "words"}, "prefix": "W_"},
                    {"secretRef": {"name": "gone", "optional": true}},
                ],
                "env": [
                    {"name": "PORT", "value": "8080"},
                    {"name": "FROM_IMAGE", "value": "2"},
                    {"name": "TARGET", "value": "$(W_GREETING) $(PORT) $$(PORT) $(NOBODY) $5"},
                    {"name": "WORD", "valueFrom": {"configMapKeyRef": {"name": "words", "key": "GREETING"}}},
                    {"name": "TOKEN", "valueFrom": {"secretKeyRef": {"name": "keys", "key": "TOKEN"}}},
                    {"name": "NONE", "valueFrom": {"secretKeyRef": {"name": "keys", "key": "X", "optional": true}}},
                    {"name": "POD", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}},
                    {"name": "REVISION", "valueFrom": {"fieldRef": {"fieldPath": "metadata.labels['serving.knative.dev/revision']"}}},
                    {"name": "NOTE", "valueFrom": {"fieldRef": {"fieldPath": "metadata.annotations['note']"}}},
                    {"name": "IP", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}},
                    {"name": "NODE", "valueFrom": {"fieldRef": {"fieldPath": "spec.nodeName"}}},
                ],
            }),
            Some(34567),
        );
        expect_test::expect![[r#"
            PATH=PATHS
            HOME=/pod/work
            LANG=C
            HOSTNAME=web-1
            FROM_IMAGE=2
            PORT=34567
            W_GREETING=hi
            TARGET=hi 34567 $(PORT) $(NOBODY) $5
            WORD=hi
            TOKEN=secret
            POD=web-1
            REVISION=web-00001
            NOTE=a "b"
            IP=127.0.0.1
            NODE=local
            SLUICE_MOUNTS={}
        "#]]
        .assert_eq(&env.unwrap().replace(PATH, "PATHS"));
    }

    #[test]
    fn a_sidecar_keeps_a_port_of_its_own() {
        let env = environment(json!({"env": [{"name": "PORT", "value": "9000"}]}), None).unwrap();
        assert!(env.contains("PORT=9000\n"), "{env}");
    }

    #[test]
    fn no_config_map_moves_the_port() {
        let container = json!({"name": "main", "envFrom": [{"configMapRef": {"name": "ports"}}]});
        let container: Container = serde_json::from_value(container).unwrap();
        let ports = serde_json::from_value(json!({"data": {"PORT": "80", "A": "1"}})).unwrap();
        let mut objects = objects();
        objects.config_maps.insert("ports".into(), ports);
        let given = given(&pod(), &container, &objects, Some(20_001)).unwrap();
        assert_eq!(given.names().collect::<Vec<_>>(), ["PORT", "A"]);
        assert_eq!(given.0.get("PORT"), Some("20001"));
    }

    #[test]
    fn what_is_missing_is_named_as_a_kubelet_names_it() {
        let mut told = String::new();
        for source in [
            json!({"configMapKeyRef": {"name": "gone", "key": "a"}}),
            json!({"configMapKeyRef": {"name": "words", "key": "a"}}),
            json!({"secretKeyRef": {"name": "gone", "key": "a"}}),
            json!({"secretKeyRef": {"name": "keys", "key": "a"}}),
            json!({"fieldRef": {"fieldPath": "status.phase"}}),
            json!({"resourceFieldRef": {"resource": "limits.cpu"}}),
        ] {
            let error = environment(json!({"env": [{"name": "A", "valueFrom": source}]}), None);
            told.push_str(&format!("{}\n", error.unwrap_err()));
        }
        let error = environment(
            json!({"envFrom": [{"configMapRef": {"name": "gone"}}]}),
            None,
        );
        told.push_str(&format!("{}\n", error.unwrap_err()));
        expect_test::expect![[r#"
            configmap "gone" not found
            couldn't find key a in ConfigMap shop/words
            secret "gone" not found
            couldn't find key a in Secret shop/keys
            unsupported fieldPath: status.phase
            valueFrom: resourceFieldRef is not supported by the local node
            configmap "gone" not found
        "#]]
        .assert_eq(&told);
    }

    #[test]
    fn commands_see_the_environment() {
        let env = [("A".to_owned(), "1".to_owned())];
        let words = ["--a=$(A)".to_owned(), "$(B)".to_owned(), "$$(A)".to_owned()];
        assert_eq!(expand_all(&words, &env), ["--a=1", "$(B)", "$(A)"]);
    }
}
