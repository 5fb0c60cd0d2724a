//! Which revisions a Configuration has and what their Pods say, kept up to date as the
//! caches change, so that a decision about one of a thousand services looks at its own only.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use serde_json::Value;

use super::pods;
use crate::api::serving::{KnativeCondition, label};
use crate::rollout::{PodFacts, RevisionFacts};

/// A namespace and a name in it.
pub type Name = (String, String);

/// Revisions by Configuration, Pods by Revision.
#[derive(Debug, Default)]
pub struct Index {
    revisions: HashMap<Name, RevisionFacts>,
    by_configuration: HashMap<Name, BTreeSet<String>>,
    pods: HashMap<Name, Pod>,
    by_revision: HashMap<Name, BTreeMap<String, PodFacts>>,
}

#[derive(Debug)]
struct Pod {
    revision: String,
    configuration: String,
}

impl Index {
    /// Takes in a Revision as it is now, and whether we keep it from garbage collection; gives the
    /// Configuration that it belongs to.
    pub fn revision(&mut self, name: &Name, revision: Option<(&Value, bool)>) -> Option<String> {
        let Some((revision, kept)) = revision else {
            let gone = self.revisions.remove(name)?;
            let siblings = self
                .by_configuration
                .get_mut(&(name.0.clone(), gone.configuration.clone()));
            siblings.map(|siblings| siblings.remove(&name.1));
            return Some(gone.configuration);
        };
        let facts = revision_facts(&name.1, revision, kept)?;
        let configuration = facts.configuration.clone();
        self.by_configuration
            .entry((name.0.clone(), configuration.clone()))
            .or_default()
            .insert(name.1.clone());
        self.revisions.insert(name.clone(), facts);
        Some(configuration)
    }

    /// Takes in a Pod as it is now; gives the Configuration that it serves.
    pub fn pod(&mut self, name: &Name, pod: Option<&Value>) -> Option<String> {
        let Some((pod, revision, configuration)) = pod.and_then(|pod| {
            let revision = text(pod, &["metadata", "labels", label::REVISION])?;
            let configuration = text(pod, &["metadata", "labels", label::CONFIGURATION])?;
            Some((pod, revision, configuration))
        }) else {
            let gone = self.pods.remove(name)?;
            let siblings = self.by_revision.get_mut(&(name.0.clone(), gone.revision))?;
            siblings.remove(&name.1);
            return Some(gone.configuration);
        };
        self.by_revision
            .entry((name.0.clone(), revision.to_owned()))
            .or_default()
            .insert(name.1.clone(), pods::facts(pod));
        let entry = Pod {
            revision: revision.to_owned(),
            configuration: configuration.to_owned(),
        };
        self.pods.insert(name.clone(), entry);
        Some(configuration.to_owned())
    }

    /// A Configuration's revisions and the others that are asked for, with what their Pods say.
    pub fn revisions(
        &self,
        namespace: &str,
        configuration: &str,
        others: &[String],
    ) -> Vec<RevisionFacts> {
        let own = self
            .by_configuration
            .get(&(namespace.to_owned(), configuration.to_owned()));
        let names: BTreeSet<&String> = own.into_iter().flatten().chain(others).collect();
        names
            .into_iter()
            .filter_map(|name| {
                let key = (namespace.to_owned(), name.clone());
                let mut facts = self.revisions.get(&key)?.clone();
                facts.pods = self
                    .by_revision
                    .get(&key)
                    .map(|pods| pods::sum(pods.values()))
                    .unwrap_or_default();
                Some(facts)
            })
            .collect()
    }
}

fn revision_facts(name: &str, revision: &Value, kept: bool) -> Option<RevisionFacts> {
    let configuration = text(revision, &["metadata", "labels", label::CONFIGURATION])?;
    let generation = text(
        revision,
        &["metadata", "labels", label::CONFIGURATION_GENERATION],
    );
    Some(RevisionFacts {
        name: name.to_owned(),
        configuration: configuration.to_owned(),
        generation: generation.and_then(|g| g.parse().ok()).unwrap_or_default(),
        ready: condition(revision, "Ready"),
        kept,
        made_from_git: None,
        pods: PodFacts::default(),
    })
}

/// A condition of an object's status.
pub fn condition(object: &Value, type_: &str) -> Option<KnativeCondition> {
    let conditions = object.get("status")?.get("conditions")?.as_array()?;
    let found = conditions
        .iter()
        .find(|c| c.get("type").and_then(Value::as_str) == Some(type_))?;
    serde_json::from_value(found.clone()).ok()
}

fn text<'a>(object: &'a Value, path: &[&str]) -> Option<&'a str> {
    path.iter()
        .try_fold(object, |at, name| at.get(name))?
        .as_str()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn name(name: &str) -> Name {
        ("default".to_owned(), name.to_owned())
    }

    fn revision(configuration: &str) -> Value {
        json!({"metadata": {"labels": {label::CONFIGURATION: configuration, label::CONFIGURATION_GENERATION: "2"}},
            "status": {"conditions": [{"type": "Ready", "status": "True"}]}})
    }

    fn pod(revision: &str, container: &Value) -> Value {
        json!({"metadata": {"labels": {label::CONFIGURATION: "hello", label::REVISION: revision}},
            "status": {"conditions": [{"type": "Ready", "status": "False"}], "containerStatuses": [container]}})
    }

    #[test]
    fn a_configuration_sees_its_own_revisions_and_those_it_asks_for() {
        let mut index = Index::default();
        assert_eq!(
            index
                .revision(&name("hello-1"), Some((&revision("hello"), false)))
                .as_deref(),
            Some("hello")
        );
        index.revision(&name("other-1"), Some((&revision("other"), false)));
        index.revision(&name("third-1"), Some((&revision("third"), false)));
        let seen = index.revisions(
            "default",
            "hello",
            &["other-1".to_owned(), "gone".to_owned()],
        );
        let names: Vec<_> = seen
            .iter()
            .map(|r| (r.name.as_str(), r.generation, r.is_ready()))
            .collect();
        assert_eq!(names, [("hello-1", 2, true), ("other-1", 2, true)]);
        assert_eq!(
            index.revision(&name("hello-1"), None).as_deref(),
            Some("hello")
        );
        assert!(index.revisions("default", "hello", &[]).is_empty());
    }

    #[test]
    fn a_crash_is_counted_from_the_moment_it_ends_not_from_the_restart() {
        let ended = json!({"name": "user-container", "restartCount": 0, "state": {"terminated": {"exitCode": 3}}});
        let waiting = json!({"name": "user-container", "restartCount": 1,
            "state": {"waiting": {"reason": "CrashLoopBackOff", "message": "back-off 10s"}}, "lastState": {"terminated": {"exitCode": 3}}});
        let twice = json!({"name": "user-container", "restartCount": 1,
            "state": {"terminated": {"exitCode": 4}}, "lastState": {"terminated": {"exitCode": 3}}});
        let mut index = Index::default();
        index.revision(&name("hello-1"), Some((&revision("hello"), false)));
        for (container, crashes, exit, reason) in [
            (&ended, 1, "exit code 3", None),
            (&waiting, 1, "exit code 3", Some("CrashLoopBackOff")),
            (&twice, 2, "exit code 4", None),
        ] {
            index.pod(&name("hello-1-abc"), Some(&pod("hello-1", container)));
            let pods = &index.revisions("default", "hello", &[])[0].pods;
            assert_eq!(
                (pods.crashes, pods.last_exit.as_deref()),
                (crashes, Some(exit))
            );
            assert_eq!(pods.waiting_reason.as_deref(), reason);
        }
        assert_eq!(
            index.pod(&name("hello-1-abc"), None).as_deref(),
            Some("hello")
        );
        assert_eq!(
            index.revisions("default", "hello", &[])[0].pods,
            PodFacts::default()
        );
    }
}
