//! Volumes as folders of this machine.
//!
//! A process has no mount namespace, so nothing can appear at a `mountPath`: each
//! volume is a folder under the Pod's own, and the container is told where.
//! `SLUICE_VOLUME_<NAME>` (upper case, `-` as `_`) is the folder of a volume, and
//! `SLUICE_MOUNTS` a JSON object from each of the container's mount paths to the
//! path that stands for it. ConfigMaps and Secrets are written when the container
//! starts and not again while it runs.

use std::collections::BTreeMap;
use std::io;
use std::path::{Component, Path, PathBuf};

use k8s_openapi::api::core::v1::{
    ConfigMap, Container, DownwardAPIVolumeFile, KeyToPath, Pod, Secret, Volume,
};

use super::environment::{self, ConfigError, Names, Objects};
use crate::apiserver::private;

/// A container looks here for where to leave its last words; mapped like a mount.
const TERMINATION_LOG: &str = "/dev/termination-log";

/// Why a volume cannot be made.
#[derive(Debug, thiserror::Error)]
#[error("MountVolume.SetUp failed for volume \"{volume}\" : {reason}")]
pub struct VolumeError {
    volume: String,
    reason: Reason,
}

#[derive(Debug, thiserror::Error)]
enum Reason {
    #[error("{0}")]
    Reference(#[from] ConfigError),
    #[error("{0}")]
    Write(#[from] io::Error),
    #[error("references non-existent config key: {0}")]
    NoKey(String),
    #[error("{0} is not a path inside the volume")]
    Outside(String),
    #[error(
        "the local node knows configMap, secret, emptyDir, downwardAPI and projected volumes of these"
    )]
    Unsupported,
}

/// The ConfigMaps and Secrets that a Pod's volumes refer to.
pub fn needed(pod: &Pod) -> Names {
    let mut names = Names::default();
    for volume in volumes(pod) {
        names
            .config_maps
            .extend(volume.config_map.iter().map(|one| one.name.clone()));
        names.secrets.extend(
            volume
                .secret
                .iter()
                .filter_map(|one| one.secret_name.clone()),
        );
        let projected = volume
            .projected
            .iter()
            .flat_map(|one| one.sources.iter().flatten());
        for source in projected {
            names
                .config_maps
                .extend(source.config_map.iter().map(|one| one.name.clone()));
            names
                .secrets
                .extend(source.secret.iter().map(|one| one.name.clone()));
        }
    }
    names
}

/// Writes the volumes that `container` mounts under `folder` and gives the
/// variables that tell it where they are. `termination_log` is the file for its
/// last words.
pub fn materialise(
    pod: &Pod,
    container: &Container,
    objects: &Objects,
    folder: &Path,
    termination_log: &Path,
) -> Result<Vec<(String, String)>, VolumeError> {
    let mut mounts = BTreeMap::new();
    let mut variables = Vec::new();
    let path = container
        .termination_message_path
        .as_deref()
        .unwrap_or(TERMINATION_LOG);
    mounts.insert(
        path.to_owned(),
        termination_log.to_string_lossy().into_owned(),
    );
    for mount in container.volume_mounts.iter().flatten() {
        let Some(volume) = volumes(pod).find(|volume| volume.name == mount.name) else {
            continue;
        };
        let place = folder.join(&volume.name);
        write(pod, volume, objects, &place).map_err(|reason| VolumeError {
            volume: volume.name.clone(),
            reason,
        })?;
        let name = volume.name.to_uppercase().replace(['-', '.'], "_");
        variables.push((
            format!("SLUICE_VOLUME_{name}"),
            place.to_string_lossy().into_owned(),
        ));
        let shown = match &mount.sub_path {
            Some(sub_path) => place.join(sub_path),
            None => place,
        };
        mounts.insert(
            mount.mount_path.clone(),
            shown.to_string_lossy().into_owned(),
        );
    }
    let mounts = serde_json::to_string(&mounts).unwrap_or_default();
    variables.push(("SLUICE_MOUNTS".to_owned(), mounts));
    Ok(variables)
}

fn volumes(pod: &Pod) -> impl Iterator<Item = &Volume> {
    pod.spec
        .iter()
        .flat_map(|spec| spec.volumes.iter().flatten())
}

fn write(pod: &Pod, volume: &Volume, objects: &Objects, place: &Path) -> Result<(), Reason> {
    private::make_folder(place)?;
    let mut files = Files { place, mode: 0o644 };
    if volume.empty_dir.is_some() {
        return Ok(());
    }
    if let Some(source) = &volume.config_map {
        files.mode(source.default_mode);
        return files.config_map(
            &source.name,
            source.optional,
            source.items.as_deref(),
            objects,
        );
    }
    if let Some(source) = &volume.secret {
        files.mode(source.default_mode);
        let name = source.secret_name.as_deref().unwrap_or_default();
        return files.secret(name, source.optional, source.items.as_deref(), objects);
    }
    if let Some(source) = &volume.downward_api {
        files.mode(source.default_mode);
        return files.fields(pod, source.items.as_deref());
    }
    let Some(projected) = &volume.projected else {
        return Err(Reason::Unsupported);
    };
    files.mode(projected.default_mode);
    for source in projected.sources.iter().flatten() {
        if let Some(source) = &source.config_map {
            files.config_map(
                &source.name,
                source.optional,
                source.items.as_deref(),
                objects,
            )?;
        } else if let Some(source) = &source.secret {
            files.secret(
                &source.name,
                source.optional,
                source.items.as_deref(),
                objects,
            )?;
        } else if let Some(source) = &source.downward_api {
            files.fields(pod, source.items.as_deref())?;
        } else {
            return Err(Reason::Unsupported);
        }
    }
    Ok(())
}

/// Files of one volume.
struct Files<'a> {
    place: &'a Path,
    mode: u32,
}

impl Files<'_> {
    fn mode(&mut self, mode: Option<i32>) {
        self.mode = mode
            .and_then(|mode| u32::try_from(mode).ok())
            .unwrap_or(0o644);
    }

    fn config_map(
        &self,
        name: &str,
        optional: Option<bool>,
        items: Option<&[KeyToPath]>,
        objects: &Objects,
    ) -> Result<(), Reason> {
        let found = objects.config_maps.get(name);
        let content = found.map(|found: &ConfigMap| {
            let text = found
                .data
                .iter()
                .flatten()
                .map(|(key, text)| (key, text.as_bytes()));
            let bytes = found
                .binary_data
                .iter()
                .flatten()
                .map(|(key, bytes)| (key, &bytes.0[..]));
            text.chain(bytes)
                .map(|(key, bytes)| (key.as_str(), bytes))
                .collect()
        });
        self.keyed(content, items, optional, || {
            environment::missing("configmap", name)
        })
    }

    fn secret(
        &self,
        name: &str,
        optional: Option<bool>,
        items: Option<&[KeyToPath]>,
        objects: &Objects,
    ) -> Result<(), Reason> {
        let found = objects.secrets.get(name);
        let content = found.map(|found: &Secret| {
            found
                .data
                .iter()
                .flatten()
                .map(|(key, bytes)| (key.as_str(), &bytes.0[..]))
                .collect()
        });
        self.keyed(content, items, optional, || {
            environment::missing("secret", name)
        })
    }

    fn keyed(
        &self,
        content: Option<BTreeMap<&str, &[u8]>>,
        items: Option<&[KeyToPath]>,
        optional: Option<bool>,
        missing: impl Fn() -> ConfigError,
    ) -> Result<(), Reason> {
        let optional = optional == Some(true);
        let content = match content {
            Some(content) => content,
            None if optional => return Ok(()),
            None => return Err(missing().into()),
        };
        let Some(items) = items.filter(|items| !items.is_empty()) else {
            return content
                .iter()
                .try_for_each(|(key, bytes)| self.file(key, bytes, None));
        };
        for item in items {
            match content.get(item.key.as_str()) {
                Some(bytes) => self.file(&item.path, bytes, item.mode)?,
                None if optional => {}
                None => return Err(Reason::NoKey(item.key.clone())),
            }
        }
        Ok(())
    }

    fn fields(&self, pod: &Pod, items: Option<&[DownwardAPIVolumeFile]>) -> Result<(), Reason> {
        for item in items.unwrap_or_default() {
            let Some(selector) = &item.field_ref else {
                return Err(Reason::Unsupported);
            };
            let text = environment::field(pod, selector)?;
            self.file(&item.path, text.as_bytes(), item.mode)?;
        }
        Ok(())
    }

    fn file(&self, path: &str, bytes: &[u8], mode: Option<i32>) -> Result<(), Reason> {
        let relative = Path::new(path);
        if !relative
            .components()
            .all(|part| matches!(part, Component::Normal(_)))
        {
            return Err(Reason::Outside(path.to_owned()));
        }
        let file: PathBuf = self.place.join(relative);
        if let Some(folder) = file.parent() {
            private::make_folder(folder)?;
        }
        let mode = mode
            .and_then(|mode| u32::try_from(mode).ok())
            .unwrap_or(self.mode);
        // Replaced, not rewritten: it may be read-only from the last time. Only the owner's part of
        // the mode is given: the Pod's processes are the owner's.
        private::place(&file, bytes, mode)?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    use serde_json::{Value, json};

    use super::*;

    fn materialised(volumes: Value, mounts: Value) -> Result<(tempfile::TempDir, String), String> {
        let pod: Pod = serde_json::from_value(json!({
            "metadata": {"name": "web", "namespace": "shop", "labels": {"app": "web"}},
            "spec": {"volumes": volumes, "containers": []},
        }))
        .unwrap();
        let container: Container =
            serde_json::from_value(json!({"name": "main", "volumeMounts": mounts})).unwrap();
        let objects = Objects {
            config_maps: [(
                "words".into(),
                serde_json::from_value(json!({"data": {"a": "1", "b": "2"}})).unwrap(),
            )]
            .into(),
            secrets: [(
                "keys".into(),
                serde_json::from_value(json!({"data": {"token": "c2VjcmV0"}})).unwrap(),
            )]
            .into(),
        };
        let folder = tempfile::tempdir().unwrap();
        let log = folder.path().join("last-words");
        let place = folder.path().join("volumes");
        let env = materialise(&pod, &container, &objects, &place, &log);
        let env = env.map_err(|error| error.to_string())?;
        let here = folder.path().to_string_lossy().into_owned();
        let told: String = env
            .iter()
            .map(|(name, value)| format!("{name}={value}\n"))
            .collect();
        let mut told = told.replace(&here, "POD");
        let mut files: Vec<PathBuf> = Vec::new();
        let mut folders = vec![place];
        while let Some(next) = folders.pop() {
            for entry in fs::read_dir(next).into_iter().flatten().flatten() {
                let list = if entry.path().is_dir() {
                    &mut folders
                } else {
                    &mut files
                };
                list.push(entry.path());
            }
        }
        files.sort();
        for file in files {
            let mode = fs::metadata(&file).unwrap().permissions().mode() & 0o777;
            let text = fs::read_to_string(&file).unwrap();
            let path = file.to_string_lossy().replace(&here, "POD");
            told.push_str(&format!("{path} {mode:o} {text}\n"));
        }
        Ok((folder, told))
    }

    #[test]
    fn volumes_are_folders_and_the_environment_says_where() {
        let (_folder, told) = materialised(
            json!([
                {"name": "words", "configMap": {"name": "words"}},
                {"name": "the-keys", "secret": {"secretName": "keys", "defaultMode": 0o400,
                    "items": [{"key": "token", "path": "deep/er"}]}},
                {"name": "scratch", "emptyDir": {}},
                {"name": "all", "projected": {"sources": [
                    {"configMap": {"name": "words", "items": [{"key": "a", "path": "a"}]}},
                    {"downwardAPI": {"items": [{"path": "app", "fieldRef": {"fieldPath": "metadata.labels['app']"}}]}},
                    {"secret": {"name": "gone", "optional": true}}]}},
                {"name": "unused", "configMap": {"name": "gone"}},
            ]),
            json!([
                {"name": "words", "mountPath": "/etc/words/a", "subPath": "a"},
                {"name": "the-keys", "mountPath": "/keys"},
                {"name": "scratch", "mountPath": "/tmp/x"},
                {"name": "all", "mountPath": "/all"},
            ]),
        )
        .unwrap();
        expect_test::expect![[r#"
            SLUICE_VOLUME_WORDS=POD/volumes/words
            SLUICE_VOLUME_THE_KEYS=POD/volumes/the-keys
            SLUICE_VOLUME_SCRATCH=POD/volumes/scratch
            SLUICE_VOLUME_ALL=POD/volumes/all
            SLUICE_MOUNTS={"/all":"POD/volumes/all","/dev/termination-log":"POD/last-words","/etc/words/a":"POD/volumes/words/a","/keys":"POD/volumes/the-keys","/tmp/x":"POD/volumes/scratch"}
            POD/volumes/all/a 600 1
            POD/volumes/all/app 600 web
            POD/volumes/the-keys/deep/er 400 secret
            POD/volumes/words/a 600 1
            POD/volumes/words/b 600 2
        "#]].assert_eq(&told);
    }

    #[test]
    fn a_volume_that_cannot_be_made_says_why() {
        let mut told = String::new();
        for source in [
            json!({"configMap": {"name": "gone"}}),
            json!({"secret": {"secretName": "gone"}}),
            json!({"configMap": {"name": "words", "items": [{"key": "z", "path": "z"}]}}),
            json!({"configMap": {"name": "words", "items": [{"key": "a", "path": "../../a"}]}}),
            json!({"hostPath": {"path": "/"}}),
        ] {
            let mut volume = source;
            volume["name"] = json!("v");
            let mounts = json!([{"name": "v", "mountPath": "/v"}]);
            told.push_str(&materialised(json!([volume]), mounts).unwrap_err());
            told.push('\n');
        }
        expect_test::expect![[r#"
            MountVolume.SetUp failed for volume "v" : configmap "gone" not found
            MountVolume.SetUp failed for volume "v" : secret "gone" not found
            MountVolume.SetUp failed for volume "v" : references non-existent config key: z
            MountVolume.SetUp failed for volume "v" : ../../a is not a path inside the volume
            MountVolume.SetUp failed for volume "v" : the local node knows configMap, secret, emptyDir, downwardAPI and projected volumes of these
        "#]].assert_eq(&told);
    }
}
