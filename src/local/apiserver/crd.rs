//! CustomResourceDefinitions: kinds that come and go at run time.

use std::sync::Arc;

use super::core::Core;
use super::registry::Registry;

/// Serves what the stored definitions define.
pub fn serve_defined(core: &Arc<Core>) {
    core.registry
        .store(Arc::new(Registry::new(core.built_in.iter().cloned())));
}

/// Keeps a definition until its objects are gone.
pub const FINALIZER: &str = "customresourcecleanup.apiextensions.k8s.io";
