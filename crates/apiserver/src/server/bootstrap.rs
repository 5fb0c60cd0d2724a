//! What every cluster has from the start.

use std::cell::RefCell;
use std::sync::Arc;

use serde_json::{Value, json};

use crate::model::status::ApiError;
use crate::model::user::User;
use crate::state::core::Core;
use crate::wire::query::WriteOptions;
use crate::write;
use crate::write::write_request::WriteRequest;

const NAMESPACES: &[&str] = &["default", "kube-system", "kube-public", "kube-node-lease"];

/// Makes what is missing; what is there stays as it is.
pub fn run(core: &Arc<Core>) -> Result<(), ApiError> {
    for name in NAMESPACES {
        make(
            core,
            "",
            "namespaces",
            "",
            json!({"metadata": {"name": name}}),
        )?;
    }
    Ok(())
}

fn make(
    core: &Arc<Core>,
    group: &str,
    plural: &str,
    namespace: &str,
    object: Value,
) -> Result<(), ApiError> {
    let registry = core.registry.load();
    let resource = registry
        .find(group, "v1", plural)
        .ok_or_else(ApiError::no_such_path)?;
    let user = User::admin("system:apiserver");
    let call = WriteRequest {
        core,
        user: &user,
        resource,
        namespace: namespace.to_owned(),
        subresource: None,
        options: WriteOptions::default(),
        agent: "kube-apiserver".to_owned(),
        warnings: RefCell::default(),
    };
    match write::create(&call, object.into()) {
        Ok(_) => Ok(()),
        Err(error) if error.reason == "AlreadyExists" => Ok(()),
        Err(error) => Err(error),
    }
}
