//! The program as a person types it.

use std::path::PathBuf;

#[tokio::test(flavor = "multi_thread")]
async fn the_programs_own_validate_points_at_the_line() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("hello.yaml");
    std::fs::write(&file, "apiVersion: serving.knative.dev/v1\nkind: Service\nmetadata:\n  name: hello\nspec:\n  templat: {}\n").unwrap();
    let program = PathBuf::from(env!("CARGO_BIN_EXE_sluice"));
    let out = std::process::Command::new(program)
        .args(["validate", "-o", "json"])
        .arg(&file)
        .output()
        .unwrap();
    let report: serde_json::Value = serde_json::from_slice(&out.stdout).unwrap();
    assert_eq!(out.status.code(), Some(2), "{report}");
    let errors = report["errors"].as_array().unwrap();
    assert!(
        errors[0].as_str().unwrap().contains("hello.yaml:6:"),
        "{report}"
    );
    assert!(
        errors[0].as_str().unwrap().contains("template"),
        "it guesses what was meant: {report}"
    );
}
