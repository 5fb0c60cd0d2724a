//! The files of `sluice local`: what somebody else put there stays, and what is ours is for its
//! owner alone.

use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::PathBuf;

use k8s_openapi::api::core::v1::{Pod, Secret};
use kube::config::{Config, KubeConfigOptions, Kubeconfig};

use super::*;

const ANY_PORT: [&str; 2] = ["--gateway-listen", "127.0.0.1:0"];

/// What a person has of a production cluster, fields that are not known here included.
const PROD: &str = "\
apiVersion: v1
kind: Config
preferences: {colors: true}
clusters:
- name: prod
  cluster: {server: 'https://prod.example.com', certificate-authority: ca.pem, tls-server-name: prod}
users:
- name: ada
  user: {exec: {apiVersion: client.authentication.k8s.io/v1, command: login, args: ['yes', '0x1F', \"1_0\"]}}
contexts:
- name: prod
  context: {cluster: prod, user: ada, namespace: shop}
current-context: prod
extensions: [{name: of-a-plugin, extension: {last: 2024-01-01}}]
";

/// Stops the local cluster of a data directory, also where a test fails in between.
struct Stopped<'a>(&'a Path, &'a str);

impl Drop for Stopped<'_> {
    fn drop(&mut self) {
        let mut down = program::sluice(self.0, &["local", "down", "--data-dir", self.1]);
        let _ = down.as_std_mut().stdout(Stdio::null()).status();
    }
}

fn mode(path: &Path) -> u32 {
    std::fs::metadata(path).unwrap().permissions().mode() & 0o7777
}

fn set_mode(path: &Path, mode: u32) {
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
}

/// Everything below a folder, itself included.
fn all_below(folder: &Path) -> Vec<PathBuf> {
    let mut found = vec![folder.to_owned()];
    let mut next = 0;
    while let Some(path) = found.get(next).cloned() {
        next += 1;
        if path.is_dir() {
            let entries = std::fs::read_dir(path).unwrap();
            found.extend(entries.map(|entry| entry.unwrap().path()));
        }
    }
    found
}

/// What others than the owner may do something with, with its mode.
fn open_to_others(folder: &Path) -> Vec<String> {
    all_below(folder)
        .iter()
        .filter(|path| mode(path) & 0o077 != 0)
        .map(|path| format!("{} {:o}", path.display(), mode(path)))
        .collect()
}

impl Home {
    /// `sluice local up` in the background, with a umask of somebody who has nothing to hide.
    async fn up(&self, umask: &str, data_dir: &str, more: &[&str]) -> Said {
        let mut words = vec!["local", "up", "--detach", "--data-dir", data_dir];
        words.extend(ANY_PORT);
        words.extend(more);
        let inner = program::sluice(self.path(), &words);
        let mut command = Command::new("sh");
        command
            .args(["-c", "umask $0 && exec \"$@\"", umask])
            .arg(inner.as_std().get_program())
            .args(inner.as_std().get_args())
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("HOME", self.path())
            .current_dir(self.path())
            .stdin(Stdio::null());
        program::said(command).await
    }
}

fn yaml(path: &Path) -> Value {
    serde_yaml::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

/// Takes our entries out of a kubeconfig.
fn without_ours(mut config: Value) -> Value {
    for list in ["clusters", "users", "contexts"] {
        let entries = config[list].as_array_mut().unwrap();
        let before = entries.len();
        entries.retain(|entry| entry["name"] != "sluice-local");
        assert_eq!(before - entries.len(), 1, "one of ours in {list}");
    }
    config
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kubeconfig_with_other_clusters_is_added_to() {
    let home = Home::new();
    let file = home.path().join("shared/config");
    home.write("shared/config", PROD);
    set_mode(&file, 0o644);
    std::fs::create_dir(home.path().join(".kube")).unwrap();
    let link = home.path().join(".kube/config");
    symlink("../shared/config", &link).unwrap();
    let _stopped_in_any_case = Stopped(home.path(), "data");

    let named = ["--kubeconfig", ".kube/config"];
    let said = home.up("022", "data", &named).await.done();
    assert!(said.contains("--context sluice-local"), "{said}");
    let merged = yaml(&file);
    let theirs: Value = serde_yaml::from_str(PROD).unwrap();
    assert_eq!(without_ours(merged.clone()), theirs);
    assert_eq!(mode(&file), 0o600, "it holds a token now");
    assert!(link.is_symlink(), "the link is still one");
    let in_folder: Vec<PathBuf> = all_below(&home.path().join("shared"));
    assert_eq!(in_folder.len(), 2, "nothing else is left: {in_folder:?}");
    let quoted = std::fs::read_to_string(&file).unwrap();
    for text in ["\"yes\"", "\"0x1F\"", "\"1_0\""] {
        assert!(quoted.contains(text), "{text} is a text in {quoted}");
    }
    let options = KubeConfigOptions {
        context: Some("sluice-local".to_owned()),
        ..Default::default()
    };
    let config = Kubeconfig::read_from(&file).unwrap();
    let config = Config::from_custom_kubeconfig(config, &options).await;
    let client = kube::Client::try_from(config.unwrap()).unwrap();
    client.apiserver_version().await.unwrap();
    let shown = home
        .run(&["local", "status", "--data-dir", "data"])
        .await
        .done();
    assert!(shown.contains("--context sluice-local"), "{shown}");
    home.run(&["local", "down", "--data-dir", "data"])
        .await
        .done();

    // The same again: nothing is to be written, so a person's layout and comments stay.
    let text = format!("# mine\n{}", std::fs::read_to_string(&file).unwrap());
    std::fs::write(&file, &text).unwrap();
    home.up("022", "data", &named).await.done();
    assert_eq!(std::fs::read_to_string(&file).unwrap(), text);

    // Another data directory is another cluster: its entries would take the place of ours.
    let refused = home.up("022", "other", &named).await.failed();
    for part in ["sluice-local", "delete-cluster", "left as it"] {
        assert!(refused.contains(part), "{part:?} in {refused}");
    }
    assert_eq!(std::fs::read_to_string(&file).unwrap(), text);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_kubeconfig_is_made_for_its_owner() {
    let home = Home::new();
    home.write("empty", "");
    for file in ["fresh/config", "empty"] {
        let data = format!("data-{}", file.len());
        let _stopped_in_any_case = Stopped(home.path(), &data);
        let said = home.up("0", &data, &["--kubeconfig", file]).await.done();
        assert!(!said.contains("--context"), "it is the current one: {said}");
        assert_eq!(mode(&home.path().join(file)), 0o600);
        let config = yaml(&home.path().join(file));
        assert_eq!(config["current-context"], "sluice-local");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_kubeconfig_of_ours_is_left_as_it_is() {
    let home = Home::new();
    let ours_elsewhere = PROD.replace("name: prod", "name: sluice-local");
    let cases: &[(&str, &str, &str)] = &[
        ("notes", "cluster: [", "not a kubeconfig"),
        ("list", "- a\n- b\n", "not a kubeconfig"),
        ("comment", "# keep me\n", "not a kubeconfig"),
        ("manifest.yaml", GOOD, "not a kubeconfig"),
        ("compose.yaml", "services: {}\n", "not a kubeconfig"),
        (
            "odd",
            "kind: Config\napiVersion: v1\nclusters: 7\n",
            "not a kubeconfig",
        ),
        ("prod", &ours_elsewhere, "https://prod.example.com"),
    ];
    for (file, content, _) in cases {
        home.write(file, content);
        set_mode(&home.path().join(file), 0o640);
    }
    home.write("folder/file", "x");
    home.write("kept", PROD);
    set_mode(&home.path().join("kept"), 0o444);
    home.write("busy", PROD);
    home.write("busy.lock", "");
    symlink("nowhere", home.path().join("dangling")).unwrap();
    let others = [
        ("folder", "folder"),
        ("kept", "read-only"),
        ("busy", "busy.lock"),
        ("dangling", "symbolic link"),
        ("/dev/null", "not a file"),
    ];
    let _stopped_in_any_case = Stopped(home.path(), "data");
    let all = cases.iter().map(|(file, _, words)| (*file, *words));
    for (file, words) in all.chain(others) {
        let error = home
            .up("022", "data", &["--kubeconfig", file])
            .await
            .failed();
        for part in [words, "--kubeconfig"] {
            assert!(error.contains(part), "{part:?} of {file} in {error}");
        }
    }
    for (file, content, _) in cases {
        let path = home.path().join(file);
        assert_eq!(&std::fs::read_to_string(&path).unwrap(), content, "{file}");
        assert_eq!(mode(&path), 0o640, "{file}");
    }
    for file in ["kept", "busy"] {
        let text = std::fs::read_to_string(home.path().join(file)).unwrap();
        assert_eq!(text, PROD, "{file}");
    }
    assert!(!home.path().join("nowhere").exists());
}

/// A Pod that mounts a Secret, so that there is one in a file and a log of a Pod.
async fn run_a_pod_with_a_secret(kubeconfig: &Path) {
    let config = Kubeconfig::read_from(kubeconfig).unwrap();
    let config = Config::from_custom_kubeconfig(config, &KubeConfigOptions::default()).await;
    let client = kube::Client::try_from(config.unwrap()).unwrap();
    let secret: Secret = serde_json::from_value(json!({
        "metadata": {"name": "key"}, "stringData": {"password": "sesame"}
    }))
    .unwrap();
    let secrets: Api<Secret> = Api::default_namespaced(client.clone());
    secrets.create(&Default::default(), &secret).await.unwrap();
    let pod: Pod = serde_json::from_value(json!({
        "metadata": {"name": "web"},
        "spec": {
            "volumes": [
                {"name": "key", "secret": {"secretName": "key", "defaultMode": 0o755}},
                {"name": "scratch", "emptyDir": {}}],
            "containers": [{"name": "main", "image": "sluice.local/hello", "volumeMounts": [
                {"name": "key", "mountPath": "/key"}, {"name": "scratch", "mountPath": "/tmp"}]}],
        },
    }))
    .unwrap();
    let pods: Api<Pod> = Api::default_namespaced(client);
    pods.create(&Default::default(), &pod).await.unwrap();
    let runs = kube::runtime::wait::await_condition(
        pods,
        "web",
        kube::runtime::conditions::is_pod_running(),
    );
    tokio::time::timeout(PATIENCE, runs)
        .await
        .expect("it runs")
        .unwrap();
}

/// Waits for what another process does to its files; nothing tells of it.
async fn until(what: &str, mut is: impl FnMut() -> bool) {
    let reached = async {
        while !is() {
            tokio::task::yield_now().await;
        }
    };
    let reached = tokio::time::timeout(PATIENCE, reached).await;
    reached.unwrap_or_else(|_| panic!("never came: {what}"));
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_in_a_data_directory_or_a_copy_of_a_repository_is_for_others() {
    let home = Home::new();
    let made = Command::new("git")
        .args(["init", "--quiet", "--bare", "shop.git"])
        .current_dir(home.path())
        .status();
    assert!(made.await.unwrap().success());
    let data = home.path().join("data");
    let _stopped_in_any_case = Stopped(home.path(), "data");
    let repository = ["--repo", "shop.git"];
    home.up("0", "data", &repository).await.done();
    run_a_pod_with_a_secret(&data.join("kubeconfig")).await;
    assert_eq!(open_to_others(&data), Vec::<String>::new());
    let files = all_below(&data);
    for part in [
        "objects.redb",
        "volumes/key/password",
        "sluice.log",
        "/0.log",
    ] {
        assert!(
            files
                .iter()
                .any(|file| file.to_str().unwrap().ends_with(part)),
            "{part} is there: {files:?}"
        );
    }
    let copies = home.path().join(".cache/sluice/git");
    let found = || {
        let mut all = all_below(&copies).into_iter();
        all.find(|path| path.extension().is_some_and(|e| e == "git"))
    };
    until("a copy of the repository", || {
        copies.exists() && found().is_some_and(|copy| mode(&copy) == 0o700)
    })
    .await;
    let copy = found().unwrap();
    assert_eq!(mode(&copies), 0o700);
    home.run(&["local", "down", "--data-dir", "data"])
        .await
        .done();

    // As an older release left it.
    for path in all_below(&data).iter().chain([&copies, &copy]) {
        set_mode(path, if path.is_dir() { 0o755 } else { 0o644 });
    }
    std::fs::write(data.join("api/token"), "\n").unwrap();
    home.up("022", "data", &repository).await.done();
    assert_eq!(open_to_others(&data), Vec::<String>::new());
    until("the copy is closed", || mode(&copy) == 0o700).await;
    let log = std::fs::read_to_string(data.join("sluice.log")).unwrap();
    assert!(log.contains("was open to other users"), "{log}");

    // Nobody gets in with a token of nothing, and the owner has a new one.
    let config = yaml(&data.join("kubeconfig"));
    let token = config["users"][0]["user"]["token"].as_str().unwrap();
    assert!(token.len() >= 32, "{token:?}");
    let mut nothing = Kubeconfig::read_from(data.join("kubeconfig")).unwrap();
    nothing.auth_infos[0].auth_info.as_mut().unwrap().token = None;
    let config = Config::from_custom_kubeconfig(nothing, &KubeConfigOptions::default()).await;
    let client = kube::Client::try_from(config.unwrap()).unwrap();
    for header in ["Bearer ", "Bearer", ""] {
        let request = http::Request::get("/api/v1/secrets")
            .header(http::header::AUTHORIZATION, header)
            .body(Vec::new())
            .unwrap();
        let refused = client.request_text(request).await.unwrap_err();
        assert!(
            matches!(&refused, kube::Error::Api(status) if status.code == 401),
            "{header:?}: {refused}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_folder_of_other_things_does_not_become_a_data_directory() {
    let home = Home::new();
    for (file, content) in [
        ("mine/kubeconfig", PROD),
        ("mine/lock", "x"),
        ("notes/a", "b"),
    ] {
        home.write(file, content);
    }
    for folder in ["mine", "notes"] {
        let _stopped_in_any_case = Stopped(home.path(), folder);
        set_mode(&home.path().join(folder), 0o755);
        for command in ["status", "down"] {
            let said = home.run(&["local", command, "--data-dir", folder]).await;
            assert!(said.out.contains("no local cluster runs on"), "{said:#?}");
        }
        let said = home.up("022", folder, &[]).await.failed();
        assert!(
            said.contains("is not empty") && said.contains("--data-dir"),
            "{said}"
        );
        assert_eq!(mode(&home.path().join(folder)), 0o755);
    }
    assert_eq!(all_below(&home.path().join("notes")).len(), 2);
    assert_eq!(all_below(&home.path().join("mine")).len(), 3);
    let said = home.run(&["local", "status", "--data-dir", "new"]).await;
    assert_eq!(said.code, Some(1));
    assert!(!home.path().join("new").exists(), "asking makes nothing");
    let said = home.up("022", "notes/a", &[]).await.failed();
    assert!(
        said.contains("notes/a") && said.contains("--data-dir"),
        "{said}"
    );
    std::fs::create_dir(home.path().join("all")).unwrap();
    set_mode(&home.path().join("all"), 0o1777);
    let said = home.up("022", "all", &[]).await.failed();
    assert!(said.contains("every user"), "{said}");
    assert_eq!(mode(&home.path().join("all")), 0o1777);

    // A store of ours among other things: they stay as they are, and ours is closed.
    let data = home.path().join("data");
    let _stopped_in_any_case = Stopped(home.path(), "data");
    home.up("022", "data", &[]).await.done();
    home.run(&["local", "down", "--data-dir", "data"])
        .await
        .done();
    home.write("data/public/page", "x");
    home.write("data/kubeconfig", PROD);
    for path in all_below(&data) {
        set_mode(&path, if path.is_dir() { 0o755 } else { 0o644 });
    }
    home.up("022", "data", &[]).await.done();
    let left: Vec<PathBuf> = ["", "public", "public/page"]
        .map(|path| data.join(path))
        .into();
    let seen = all_below(&data);
    let open: Vec<_> = seen.iter().filter(|path| mode(path) & 0o077 != 0).collect();
    assert_eq!(open, left.iter().collect::<Vec<_>>());
    let log = std::fs::read_to_string(data.join("sluice.log")).unwrap();
    assert!(log.contains("holds other things too"), "{log}");
    assert_eq!(
        without_ours(yaml(&data.join("kubeconfig"))),
        serde_yaml::from_str::<Value>(PROD).unwrap()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_demo_leaves_a_repository_of_somebody_else_alone() {
    let home = Home::new();
    let made = Command::new("git")
        .args(["init", "--quiet", "--bare", "shop.git"])
        .current_dir(home.path())
        .status();
    assert!(made.await.unwrap().success());
    home.write("at/shop.git/notes", "mine");
    let head = home.path().join("shop.git/HEAD");
    std::fs::write(&head, "ref: refs/heads/trunk\n").unwrap();
    for dir in [".", "at"] {
        let line = [
            "demo",
            "--exit",
            "--data-dir",
            dir,
            ANY_PORT[0],
            ANY_PORT[1],
        ];
        let error = home.run(&line).await.failed();
        assert!(
            error.contains("shop.git") && error.contains("--data-dir"),
            "{error}"
        );
    }
    assert_eq!(all_below(&home.path().join("at")).len(), 3);
    assert_eq!(
        std::fs::read_to_string(&head).unwrap(),
        "ref: refs/heads/trunk\n"
    );
    assert!(!home.path().join("cluster").exists());
}
