//! Adding a cluster's entries to the text of a kubeconfig that has others.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_yaml::{Mapping, Value};

use super::text::{self, NotPlain};
use super::{Access, NAME};

/// A kubeconfig with a cluster's entries in it.
#[derive(Debug)]
pub struct Merged {
    /// The text; the one that was there when it had the entries already.
    pub text: String,
    /// Whether the cluster's context is the current one.
    pub is_current: bool,
}

/// Why entries cannot be added.
#[derive(Debug, thiserror::Error)]
pub enum MergeError {
    /// The text is not YAML.
    #[error("{0}")]
    Yaml(#[from] serde_yaml::Error),
    /// The text is YAML, and something else than a kubeconfig.
    #[error("{0}")]
    Shape(String),
    /// It has values that cannot be written again as they are.
    #[error(transparent)]
    NotPlain(#[from] NotPlain),
    /// What would be written reads differently.
    #[error("it cannot be written again without changing what it says")]
    Changed,
    /// An entry of our name is not ours.
    #[error("its {kind} {NAME} is not of this data directory ({what})")]
    Taken {
        /// `cluster`, `user` or `context`.
        kind: &'static str,
        /// What the entry is instead.
        what: String,
    },
}

/// Adds the entries, or brings them up to date. Everything else in the text stays.
pub fn merge(before: &str, access: &Access<'_>) -> Result<Merged, MergeError> {
    let mut config = read(before)?;
    let unchanged = config.clone();
    if config.is_empty() {
        config.insert("apiVersion".into(), "v1".into());
        config.insert("kind".into(), "Config".into());
    }
    let is_known = cluster(entry(&mut config, "clusters", "cluster")?, access)?;
    user(entry(&mut config, "users", "user")?, access, is_known)?;
    context(entry(&mut config, "contexts", "context")?)?;
    let current = config
        .entry("current-context".into())
        .or_insert(Value::Null);
    if matches!(current, Value::Null) || current.as_str() == Some("") {
        *current = NAME.into();
    }
    let is_current = current.as_str() == Some(NAME);
    let text = match config == unchanged {
        true => before.to_owned(),
        false => write(&config, before)?,
    };
    Ok(Merged { text, is_current })
}

/// The mapping that a kubeconfig is; an empty one of an empty text.
fn read(text: &str) -> Result<Mapping, MergeError> {
    if text.trim().is_empty() {
        return Ok(Mapping::new());
    }
    let shape = |why: &str| MergeError::Shape(why.to_owned());
    let mut value: Value = serde_yaml::from_str(text)?;
    value.apply_merge()?;
    let Value::Mapping(config) = value else {
        return Err(shape("it is not a mapping"));
    };
    let word = |key: &str| config.get(key).map(|value| value.as_str().unwrap_or("?"));
    match (word("kind"), word("apiVersion")) {
        (Some("Config"), None | Some("v1")) => {}
        (None, None | Some("v1"))
            if ["clusters", "users", "contexts"]
                .iter()
                .any(|list| config.contains_key(*list)) => {}
        (kind, version) => {
            return Err(MergeError::Shape(format!(
                "its kind is {} of {}, not Config of v1",
                kind.unwrap_or("none"),
                version.unwrap_or("no version"),
            )));
        }
    }
    Ok(config)
}

/// What the entry of our name in a list holds, which is made where it is missing.
fn entry<'a>(
    config: &'a mut Mapping,
    list: &str,
    kind: &str,
) -> Result<&'a mut Mapping, MergeError> {
    let odd = || MergeError::Shape(format!("its {list} are not a list of named entries"));
    let entries = config.entry(list.into()).or_insert(Value::Null);
    if entries.is_null() {
        *entries = Value::Sequence(Vec::new());
    }
    let entries = entries.as_sequence_mut().ok_or_else(odd)?;
    let name = |entry: &Value| entry.get("name").and_then(Value::as_str).map(str::to_owned);
    if !entries.iter().all(|entry| name(entry).is_some()) {
        return Err(odd());
    }
    let ours: Vec<usize> = (0..)
        .zip(entries.iter())
        .filter(|(_, entry)| name(entry).as_deref() == Some(NAME))
        .map(|(at, _)| at)
        .collect();
    let at = match ours.as_slice() {
        [] => {
            let mut made = Mapping::new();
            made.insert(kind.into(), Value::Mapping(Mapping::new()));
            made.insert("name".into(), NAME.into());
            entries.push(Value::Mapping(made));
            entries.len() - 1
        }
        [at] => *at,
        _ => {
            let why = format!("its {list} have two of the name {NAME}");
            return Err(MergeError::Shape(why));
        }
    };
    let entry = entries
        .get_mut(at)
        .and_then(Value::as_mapping_mut)
        .ok_or_else(odd)?;
    let held = entry
        .entry(kind.into())
        .or_insert_with(|| Value::Mapping(Mapping::new()));
    if held.is_null() {
        *held = Value::Mapping(Mapping::new());
    }
    held.as_mapping_mut().ok_or_else(odd)
}

/// Whether the cluster was there already. It is ours by the authority that vouches for its server,
/// whose key is in the data directory.
fn cluster(cluster: &mut Mapping, access: &Access<'_>) -> Result<bool, MergeError> {
    const AUTHORITY: &str = "certificate-authority-data";
    let is_known = !cluster.is_empty();
    let text = |key: &str| cluster.get(key).and_then(Value::as_str);
    let authority = text(AUTHORITY).and_then(|data| STANDARD.decode(data).ok());
    if is_known && authority.as_deref() != Some(access.ca_pem.as_bytes()) {
        let server = text("server").unwrap_or("no server");
        return Err(MergeError::Taken {
            kind: "cluster",
            what: format!("{server}, with another authority"),
        });
    }
    cluster.insert("server".into(), access.server.as_str().into());
    cluster.insert(AUTHORITY.into(), STANDARD.encode(access.ca_pem).into());
    Ok(is_known)
}

/// The user is ours by the token; with our cluster beside it, also by having an older one.
fn user(user: &mut Mapping, access: &Access<'_>, with_cluster: bool) -> Result<(), MergeError> {
    let is_ours = match user.get("token").and_then(Value::as_str) {
        Some(token) => token == access.token || with_cluster && user.len() == 1,
        None => user.is_empty(),
    };
    if !is_ours {
        return Err(MergeError::Taken {
            kind: "user",
            what: "with other credentials".to_owned(),
        });
    }
    user.insert("token".into(), access.token.into());
    Ok(())
}

/// The context is ours by what it names; its namespace is the person's choice.
fn context(context: &mut Mapping) -> Result<(), MergeError> {
    if context.is_empty() {
        for (key, value) in [("cluster", NAME), ("user", NAME), ("namespace", "default")] {
            context.insert(key.into(), value.into());
        }
        return Ok(());
    }
    for kind in ["cluster", "user"] {
        let named = context.get(kind).and_then(Value::as_str);
        if named != Some(NAME) {
            return Err(MergeError::Taken {
                kind: "context",
                what: format!("of the {kind} {}", named.unwrap_or("of no name")),
            });
        }
    }
    Ok(())
}

/// Writes it in the style that it had, YAML or JSON.
fn write(config: &Mapping, before: &str) -> Result<String, MergeError> {
    let is_json = serde_json::from_str::<serde::de::IgnoredAny>(before).is_ok();
    let text = match is_json.then(|| serde_json::to_string_pretty(config)) {
        Some(Ok(json)) => format!("{json}\n"),
        _ => text::write(config)?,
    };
    match serde_yaml::from_str::<Mapping>(&text) {
        Ok(again) if again == *config => Ok(text),
        _ => Err(MergeError::Changed),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn access(token: &str) -> Access<'_> {
        Access {
            server: "https://127.0.0.1:6443".to_owned(),
            ca_pem: "CA",
            token,
        }
    }

    const NEW: &str = "\
apiVersion: v1
kind: Config
clusters:
- cluster:
    server: https://127.0.0.1:6443
    certificate-authority-data: Q0E=
  name: sluice-local
users:
- user:
    token: secret
  name: sluice-local
contexts:
- context:
    cluster: sluice-local
    user: sluice-local
    namespace: default
  name: sluice-local
current-context: sluice-local
";

    #[test]
    fn an_empty_text_becomes_a_kubeconfig_of_one_cluster() {
        for before in ["", " \n"] {
            let merged = merge(before, &access("secret")).unwrap();
            assert!(merged.is_current);
            assert_eq!(merged.text, NEW);
        }
    }

    #[test]
    fn what_is_ours_is_brought_up_to_date_and_what_a_person_added_stays() {
        let before = "\
# of a person
kind: Config
clusters: [{name: sluice-local, cluster: {server: 'https://127.0.0.1:1', certificate-authority-data: Q0E=, proxy-url: p}, x: 1}]
users: [{name: sluice-local, user: {token: old}}]
contexts: [{name: sluice-local, context: {cluster: sluice-local, user: sluice-local, namespace: shop}}]
current-context: gone
";
        let merged = merge(before, &access("secret")).unwrap();
        assert!(!merged.is_current);
        expect_test::expect![[r#"
            kind: Config
            clusters:
            - name: sluice-local
              cluster:
                server: https://127.0.0.1:6443
                certificate-authority-data: Q0E=
                proxy-url: p
              x: 1
            users:
            - name: sluice-local
              user:
                token: secret
            contexts:
            - name: sluice-local
              context:
                cluster: sluice-local
                user: sluice-local
                namespace: shop
            current-context: gone
        "#]]
        .assert_eq(&merged.text);
        let commented = format!("# kept\n{}", merged.text);
        let again = merge(&commented, &access("secret")).unwrap();
        assert_eq!(again.text, commented, "nothing to bring up to date");
    }

    #[test]
    fn a_kubeconfig_in_json_stays_one() {
        let before =
            r#"{"kind": "Config", "apiVersion": "v1", "users": null, "current-context": ""}"#;
        let merged = merge(before, &access("secret")).unwrap();
        let read: serde_json::Value = serde_json::from_str(&merged.text).unwrap();
        assert_eq!(read["users"][0]["user"]["token"], "secret");
        assert!(merged.is_current);
    }

    #[test]
    fn what_is_not_ours_or_no_kubeconfig_is_refused() {
        let with = |from: &str, to: &str| NEW.replacen(from, to, 1);
        let cases = [
            with("Q0E=", "T1RIRVI="),
            with(
                "certificate-authority-data: Q0E=",
                "insecure-skip-tls-verify: true",
            ),
            with("    token: secret", "    token: other\n    username: ada"),
            with("    token: secret", "    client-key: k"),
            with("    cluster: sluice-local", "    cluster: prod"),
            with("    user: sluice-local", "    x: y"),
            // The name of a user who was there before our cluster.
            "users: [{name: sluice-local, user: {token: other}}]".to_owned(),
            "contexts: [{name: sluice-local, context: {cluster: prod, user: ada}}]".to_owned(),
            "clusters: [{name: sluice-local}, {name: sluice-local}]".to_owned(),
            "clusters: {sluice-local: {}}".to_owned(),
            "clusters: [7]".to_owned(),
            "users: [{name: 7}]".to_owned(),
            "kind: [Config]".to_owned(),
            "kind: Config\napiVersion: v2".to_owned(),
            "kind: Pod\napiVersion: v1\nusers: []".to_owned(),
            "services: {}".to_owned(),
            "kind: Config\n---\nkind: Config\n".to_owned(),
            "kind: Config\nkind: Config\n".to_owned(),
            "kind: Config\nextensions: [{name: a, extension: !b c}]\n".to_owned(),
            "text".to_owned(),
        ];
        let told: String = cases
            .iter()
            .map(|text| format!("{}\n", merge(text, &access("secret")).unwrap_err()))
            .collect();
        expect_test::expect![[r#"
            its cluster sluice-local is not of this data directory (https://127.0.0.1:6443, with another authority)
            its cluster sluice-local is not of this data directory (https://127.0.0.1:6443, with another authority)
            its user sluice-local is not of this data directory (with other credentials)
            its user sluice-local is not of this data directory (with other credentials)
            its context sluice-local is not of this data directory (of the cluster prod)
            its context sluice-local is not of this data directory (of the user of no name)
            its user sluice-local is not of this data directory (with other credentials)
            its context sluice-local is not of this data directory (of the cluster prod)
            its clusters have two of the name sluice-local
            its clusters are not a list of named entries
            its clusters are not a list of named entries
            its users are not a list of named entries
            its kind is ? of no version, not Config of v1
            its kind is Config of v2, not Config of v1
            its kind is Pod of v1, not Config of v1
            its kind is none of no version, not Config of v1
            deserializing from YAML containing more than one document is not supported
            duplicate entry with key "kind"
            it holds a value with a tag, or a key that is neither text nor number
            it is not a mapping
        "#]].assert_eq(&told);
    }
}
