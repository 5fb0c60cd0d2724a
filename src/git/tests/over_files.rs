//! Repositories on this machine, and everything that does not depend on the transport.

use std::fs;
use std::os::unix::fs::symlink;
use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use super::fixture::{Team, files, git, sync};
use crate::git::{GitError, Reference, Repository, RepositorySource};

fn branch(name: &str) -> Reference {
    Reference::Branch(name.into())
}

#[test]
fn the_first_look_fetches_and_the_second_finds_nothing_new() {
    let team = Team::new();
    let mut repository = team.repository(team.source());
    assert!(repository.last().is_none());

    let first = sync(&mut repository).unwrap();
    assert!(first.fetched && first.moved);
    assert_eq!(first.snapshot.commit, team.head());
    assert_eq!(first.snapshot.subject, "First");
    assert_eq!(first.snapshot.author, "Ada <ada@example.com>");
    assert_eq!(
        first.snapshot.committed_at.to_string(),
        "2026-11-23T10:00:00Z"
    );
    assert_eq!(files(&first), ["apps/hello.yaml=kind: Service"]);

    let second = sync(&mut repository).unwrap();
    assert!(!second.fetched && !second.moved);
    assert!(Arc::ptr_eq(&first.snapshot, &second.snapshot));
}

#[test]
fn a_push_is_fetched_and_unchanged_files_keep_their_memory() {
    let team = Team::new();
    let mut repository = team.repository(team.source());
    let before = sync(&mut repository).unwrap();
    let commit = team.commit("apps/other.yaml", "kind: ConfigMap\n", "Second");
    let after = sync(&mut repository).unwrap();
    assert!(after.moved && after.fetched);
    assert_eq!(after.snapshot.commit, commit);
    assert_eq!(after.snapshot.files.len(), 2);
    assert!(Arc::ptr_eq(
        &before.snapshot.files[0].content,
        &after.snapshot.files[0].content
    ));
}

#[test]
fn a_commit_outside_of_the_folder_keeps_the_file_list_itself() {
    let team = Team::new();
    let mut repository = team.repository(team.source());
    let before = sync(&mut repository).unwrap();
    team.commit("README.md", "hi\n", "Words");
    let after = sync(&mut repository).unwrap();
    assert!(after.moved);
    assert!(Arc::ptr_eq(&before.snapshot.files, &after.snapshot.files));
}

#[test]
fn a_restarted_agent_knows_the_last_snapshot_without_the_remote() {
    let team = Team::new();
    let commit = sync(&mut team.repository(team.source()))
        .unwrap()
        .snapshot
        .commit;
    fs::rename(team.bare(), team.root().join("away.git")).unwrap();

    let mut restarted = team.repository(team.source());
    assert_eq!(restarted.last().unwrap().commit, commit);
    assert!(matches!(
        sync(&mut restarted),
        Err(GitError::NotFound { .. })
    ));
    assert_eq!(restarted.last().unwrap().commit, commit);

    fs::rename(team.root().join("away.git"), team.bare()).unwrap();
    let back = sync(&mut restarted).unwrap();
    assert!(!back.moved && !back.fetched);
}

#[test]
fn a_force_push_is_followed() {
    let team = Team::new();
    team.commit("apps/hello.yaml", "old: way\n", "To be forgotten");
    let mut repository = team.repository(team.source());
    sync(&mut repository).unwrap();
    team.git(&["reset", "-q", "--hard", "HEAD~1"]);
    let rewritten = team.commit("apps/hello.yaml", "new: way\n", "Rewritten");
    let after = sync(&mut repository).unwrap();
    assert_eq!(after.snapshot.commit, rewritten);
    assert_eq!(files(&after), ["apps/hello.yaml=new: way"]);
}

#[test]
fn a_deleted_branch_is_said_and_the_last_snapshot_stays() {
    let team = Team::new();
    team.git(&["push", "-q", "origin", "HEAD:release"]);
    let mut repository = team.repository(RepositorySource {
        reference: branch("release"),
        ..team.source()
    });
    let good = sync(&mut repository).unwrap();
    team.git(&["push", "-q", "origin", ":release"]);
    let error = sync(&mut repository).unwrap_err();
    assert!(
        error.to_string().contains(
            "has no branch \"release\": it was deleted, or never pushed; its branches: main"
        ),
        "{error}"
    );
    assert_eq!(error.reason(), "ReferenceNotFound");
    assert_eq!(repository.last().unwrap().commit, good.snapshot.commit);
}

#[test]
fn tags_versions_and_commits_are_found() {
    let team = Team::new();
    let first = team.head();
    team.git(&["tag", "v1.2.0"]);
    let second = team.commit("apps/hello.yaml", "v: 2\n", "Second");
    team.git(&["tag", "-a", "v1.10.0", "-m", "Annotated"]);
    team.git(&["push", "-q", "--tags"]);
    let third = team.commit("apps/hello.yaml", "v: 3\n", "Third");

    let at = |reference| team.look(reference).unwrap().snapshot.commit;
    assert_eq!(at(Reference::Default), third);
    assert_eq!(at(branch("main")), third);
    assert_eq!(at(Reference::Tag("v1.2.0".into())), first);
    assert_eq!(at(Reference::Tag("v1.10.0".into())), second);
    assert_eq!(at(Reference::Semver(">=1.0, <2".into())), second);
    assert_eq!(at(Reference::Commit(first)), first);
    assert_eq!(at(Reference::Commit(third)), third);
}

#[test]
fn a_commit_that_is_not_a_tip_is_fetched_by_its_id() {
    let team = Team::new();
    let first = team.head();
    team.commit("apps/hello.yaml", "v: 2\n", "Second");
    let look = team.look(Reference::Commit(first)).unwrap();
    assert_eq!(files(&look), ["apps/hello.yaml=kind: Service"]);
}

#[test]
fn a_pinned_commit_needs_no_remote_once_it_is_here() {
    let team = Team::new();
    let pinned = Reference::Commit(team.head());
    team.look(pinned.clone()).unwrap();
    fs::remove_dir_all(team.bare()).unwrap();
    assert!(!team.look(pinned).unwrap().fetched);
}

#[test]
fn a_commit_that_nobody_has_is_said() {
    let team = Team::new();
    let nobody = "1234567890123456789012345678901234567890".parse().unwrap();
    let error = team.look(Reference::Commit(nobody)).unwrap_err();
    assert!(matches!(error, GitError::RefMissing { .. }), "{error:?}");
}

#[test]
fn an_empty_repository_and_a_missing_one_are_told_apart() {
    let team = Team::empty();
    assert!(matches!(
        team.look(Reference::Default),
        Err(GitError::Empty { .. })
    ));
    fs::remove_dir_all(team.bare()).unwrap();
    let gone = team.look(Reference::Default).unwrap_err();
    assert!(
        gone.to_string().ends_with("there is no such folder"),
        "{gone}"
    );
    fs::create_dir(team.bare()).unwrap();
    let plain = team.look(Reference::Default).unwrap_err();
    assert!(
        plain.to_string().ends_with("it is no Git repository"),
        "{plain}"
    );
}

#[test]
fn a_missing_folder_is_said_with_those_that_are_there() {
    let team = Team::new();
    let mut repository = team.repository(RepositorySource {
        path: "./app/".into(),
        ..team.source()
    });
    let error = sync(&mut repository).unwrap_err();
    assert!(
        error.to_string().contains("there is no folder \"app\"")
            && error.to_string().ends_with("folders at the root: apps"),
        "{error}"
    );
}

#[test]
fn a_path_that_leaves_the_repository_is_refused() {
    let team = Team::new();
    let source = RepositorySource {
        path: "apps/../../etc".into(),
        ..team.source()
    };
    assert!(matches!(
        Repository::new("a", source, &team.cache()),
        Err(GitError::BadPath { .. })
    ));
}

#[test]
fn a_corrupt_copy_is_thrown_away_and_fetched_anew() {
    let team = Team::new();
    sync(&mut team.repository(team.source())).unwrap();
    let copy = team.copy();
    for folder in ["objects/pack", "objects"] {
        for entry in fs::read_dir(copy.join(folder)).unwrap().flatten() {
            let path = entry.path();
            if path.is_dir() && folder == "objects" {
                fs::remove_dir_all(path).unwrap();
            } else if path.is_file() {
                fs::remove_file(&path).unwrap();
                fs::write(path, "garbage").unwrap();
            }
        }
    }
    let mended = sync(&mut team.repository(team.source())).unwrap();
    assert_eq!(files(&mended), ["apps/hello.yaml=kind: Service"]);

    fs::write(copy.join("HEAD"), "garbage").unwrap();
    fs::remove_dir_all(copy.join("refs")).unwrap();
    assert!(sync(&mut team.repository(team.source())).unwrap().fetched);
}

#[test]
fn links_are_followed_inside_the_repository_and_nowhere_else() {
    let team = Team::new();
    team.write("shared/base.yaml", "shared: true\n");
    let apps = team.work().join("apps");
    symlink("../shared/base.yaml", apps.join("a-file.yaml")).unwrap();
    symlink("../shared", apps.join("b-folder")).unwrap();
    symlink("/etc/passwd", apps.join("c-absolute.yaml")).unwrap();
    symlink("../../outside.yaml", apps.join("d-outside.yaml")).unwrap();
    symlink("..", apps.join("e-loop")).unwrap();
    symlink("f-self.yaml", apps.join("f-self.yaml")).unwrap();
    team.save("Links");
    let look = team.look(Reference::Default).unwrap();
    assert_eq!(
        files(&look),
        [
            "apps/a-file.yaml=shared: true",
            "apps/b-folder/base.yaml=shared: true",
            "apps/hello.yaml=kind: Service",
        ]
    );
    let refused: Vec<String> = look
        .snapshot
        .refused
        .iter()
        .map(|refused| format!("{}: {}", refused.path, refused.reason))
        .collect();
    expect_test::expect![[r#"
        apps/c-absolute.yaml: the link to "/etc/passwd" is not followed: a link must stay inside the repository
        apps/d-outside.yaml: the link to "../../outside.yaml" is not followed: it leaves the repository
        apps/e-loop: the link to ".." leads back to a folder that it is in
        apps/f-self.yaml: the link to "f-self.yaml" is not followed: its links go round in circles"#]]
    .assert_eq(&refused.join("\n"));
}

#[test]
fn submodules_large_files_and_lfs_pointers_are_said_and_not_delivered() {
    let team = Team::new();
    let other = Team::new();
    team.git(&[
        "-c",
        "protocol.file.allow=always",
        "submodule",
        "add",
        "-q",
        other.bare().to_str().unwrap(),
        "apps/other",
    ]);
    team.write("apps/big.yaml", &"x: y\n".repeat(700_000));
    team.write(
        "apps/lfs.yaml",
        "version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1\n",
    );
    team.save("Odd things");
    let look = team.look(Reference::Default).unwrap();
    assert_eq!(files(&look), ["apps/hello.yaml=kind: Service"]);
    let said: Vec<(&str, bool)> = look
        .snapshot
        .refused
        .iter()
        .map(|refused| {
            let words = ["larger than 3 MiB", "Git LFS pointer", "submodule"];
            let said = words.iter().any(|word| refused.reason.contains(word));
            (refused.path.as_str(), said)
        })
        .collect();
    assert_eq!(
        said,
        [
            ("apps/big.yaml", true),
            ("apps/lfs.yaml", true),
            ("apps/other", true)
        ]
    );
}

#[test]
fn files_that_nobody_wants_are_not_loaded() {
    let team = Team::new();
    team.commit("apps/photo.png", "not a manifest", "Picture");
    let mut repository = team
        .repository(team.source())
        .only(|path| path.ends_with(".yaml"));
    assert_eq!(sync(&mut repository).unwrap().snapshot.files.len(), 1);
}

#[test]
fn a_first_line_as_long_as_a_book_is_cut() {
    let team = Team::new();
    team.commit("apps/hello.yaml", "v: 2\n", &"ß".repeat(50_000));
    let look = team.look(Reference::Default).unwrap();
    assert_eq!(look.snapshot.subject, format!("{}…", "ß".repeat(200)));
}

#[test]
fn two_branches_side_by_side_share_a_copy() {
    let team = Team::new();
    team.git(&["push", "-q", "origin", "HEAD:dev"]);
    std::thread::scope(|scope| {
        for (owner, name) in [("default/a", "main"), ("default/b", "dev")] {
            let team = &team;
            scope.spawn(move || {
                let source = RepositorySource {
                    reference: branch(name),
                    ..team.source()
                };
                let mut repository = Repository::new(owner, source, &team.cache()).unwrap();
                for _ in 0..5 {
                    sync(&mut repository).unwrap();
                }
            });
        }
    });
    git(&team.copy(), &["fsck", "--no-dangling"]);
}

#[test]
fn another_branch_of_the_same_copy_is_not_taken_for_the_last_one() {
    let team = Team::new();
    team.look(branch("main")).unwrap();
    team.git(&["checkout", "-q", "-b", "dev"]);
    let dev = team.commit("apps/hello.yaml", "dev: true\n", "Dev");
    let mut repository = team.repository(RepositorySource {
        reference: branch("dev"),
        ..team.source()
    });
    assert!(repository.last().is_none());
    assert_eq!(sync(&mut repository).unwrap().snapshot.commit, dev);
}

#[test]
fn a_look_that_is_called_off_says_so() {
    let team = Team::new();
    let cancel = CancellationToken::new();
    cancel.cancel();
    let error = team.repository(team.source()).sync(&cancel).unwrap_err();
    assert!(matches!(error, GitError::Cancelled { .. }), "{error:?}");
}

#[test]
fn a_configuration_that_leads_elsewhere_is_not_followed() {
    let team = Team::new();
    let mut repository = team.repository(team.source());
    sync(&mut repository).unwrap();
    let bare = team.bare().display().to_string();
    git(
        &team.copy(),
        &["config", "url.https://evil.example.com/.insteadOf", &bare],
    );
    let error = sync(&mut repository).unwrap_err();
    assert!(error.to_string().contains("insteadOf"), "{error}");
}

#[test]
fn many_pushes_do_not_grow_the_copy_for_ever() {
    let team = Team::new();
    let mut repository = team.repository(team.source());
    for n in 0..70 {
        team.write("apps/hello.yaml", &format!("n: {n}\n"));
        team.git(&["commit", "-qam", "Next"]);
        team.git(&["push", "-q", "origin", "HEAD"]);
        sync(&mut repository).unwrap();
    }
    let copy = team.copy();
    let packs = fs::read_dir(copy.join("objects/pack")).unwrap().count();
    assert!(packs <= 2 * 66, "{packs}");
    git(&copy, &["fsck", "--no-dangling"]);
}
