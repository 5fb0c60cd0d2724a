//! What a request's path asks for. Kubernetes' paths are regular, so they are parsed
//! by rule instead of being registered one by one: CRDs come and go at run time.

/// A path into a group version.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ResourcePath {
    /// The API group, empty for the core.
    pub group: String,
    /// The version.
    pub version: String,
    /// The namespace, where the path names one.
    pub namespace: Option<String>,
    /// The resource's plural.
    pub plural: String,
    /// The object's name, where the path names one.
    pub name: Option<String>,
    /// What follows the name: `status`, `log`, `exec`, ...
    pub subresource: Option<String>,
}

/// Where a path leads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Route {
    /// `/api`: the versions of the core group.
    CoreVersions,
    /// `/apis`: all other groups.
    Groups,
    /// `/apis/GROUP`.
    Group(String),
    /// `/api/v1` or `/apis/GROUP/VERSION`: its resources.
    Resources {
        /// The group.
        group: String,
        /// The version.
        version: String,
    },
    /// A resource, or an object, or a subresource.
    Resource(ResourcePath),
    /// `/version`.
    Version,
    /// `/healthz`, `/livez`, `/readyz` and what is under them.
    Health,
    /// `/openapi/v3` (empty) and the documents under it.
    OpenApiV3(String),
    /// `/openapi/v2`.
    OpenApiV2,
    /// Nowhere.
    Unknown,
}

/// Parses a path (without its query).
pub fn parse(path: &str) -> Route {
    // Escapes are read before the path is taken apart, as Go's server does: an escaped slash
    // is a slash.
    let path = decoded(path);
    let path = path.strip_prefix('/').unwrap_or(&path);
    let path = path.strip_suffix('/').unwrap_or(path);
    let parts: Vec<&str> = path.split('/').collect();
    if parts.contains(&"") {
        return Route::Unknown;
    }
    match parts.as_slice() {
        ["api"] => Route::CoreVersions,
        ["apis"] => Route::Groups,
        ["apis", group] => Route::Group((*group).to_owned()),
        ["api", version] => Route::Resources {
            group: String::new(),
            version: (*version).to_owned(),
        },
        ["apis", group, version] => Route::Resources {
            group: (*group).to_owned(),
            version: (*version).to_owned(),
        },
        ["api", version, rest @ ..] => resource("", version, rest),
        ["apis", group, version, rest @ ..] => resource(group, version, rest),
        ["version"] => Route::Version,
        ["healthz" | "livez" | "readyz", ..] => Route::Health,
        ["openapi", "v3", rest @ ..] => Route::OpenApiV3(rest.join("/")),
        ["openapi", "v2"] => Route::OpenApiV2,
        _ => Route::Unknown,
    }
}

fn resource(group: &str, version: &str, rest: &[&str]) -> Route {
    let (namespace, rest) = match rest {
        // The namespace itself, or its subresources.
        ["namespaces"] | ["namespaces", _] | ["namespaces", _, "status" | "finalize"] => {
            (None, rest)
        }
        ["namespaces", namespace, rest @ ..] => (Some((*namespace).to_owned()), rest),
        _ => (None, rest),
    };
    let [plural, rest @ ..] = rest else {
        return Route::Unknown;
    };
    let (name, subresource) = match rest {
        [] => (None, None),
        [name] => (Some((*name).to_owned()), None),
        [name, subresource @ ..] => (Some((*name).to_owned()), Some(subresource.join("/"))),
    };
    Route::Resource(ResourcePath {
        group: group.to_owned(),
        version: version.to_owned(),
        namespace,
        plural: (*plural).to_owned(),
        name,
        subresource,
    })
}

/// A path without its percent escapes; what is not UTF-8 stays as it came.
fn decoded(segment: &str) -> String {
    if !segment.contains('%') {
        return segment.to_owned();
    }
    let mut bytes = Vec::with_capacity(segment.len());
    let mut rest = segment.as_bytes();
    while let Some((&first, after)) = rest.split_first() {
        let escaped = (first == b'%')
            .then(|| after.get(..2))
            .flatten()
            .and_then(|hex| std::str::from_utf8(hex).ok())
            .and_then(|hex| u8::from_str_radix(hex, 16).ok());
        match escaped {
            Some(byte) => {
                bytes.push(byte);
                rest = after.get(2..).unwrap_or_default();
            }
            None => {
                bytes.push(first);
                rest = after;
            }
        }
    }
    String::from_utf8(bytes).unwrap_or_else(|_| segment.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(path: &str) -> ResourcePath {
        match parse(path) {
            Route::Resource(found) => found,
            other => panic!("{path} is {other:?}"),
        }
    }

    #[test]
    fn an_object_in_a_namespace() {
        let path = of("/apis/serving.example.dev/v1/namespaces/shop/services/hello/status");
        assert_eq!(path.group, "serving.example.dev");
        assert_eq!(path.namespace.as_deref(), Some("shop"));
        assert_eq!(path.plural, "services");
        assert_eq!(path.name.as_deref(), Some("hello"));
        assert_eq!(path.subresource.as_deref(), Some("status"));
    }

    #[test]
    fn a_namespace_is_an_object_too() {
        let path = of("/api/v1/namespaces/shop/finalize");
        assert_eq!(path.plural, "namespaces");
        assert_eq!(path.namespace, None);
        assert_eq!(path.name.as_deref(), Some("shop"));
        assert_eq!(path.subresource.as_deref(), Some("finalize"));
        assert_eq!(of("/api/v1/namespaces/shop/pods").plural, "pods");
    }

    #[test]
    fn escapes_are_read() {
        let path = of("/apis/rbac.authorization.k8s.io/v1/clusterroles/system%3Aadmin");
        assert_eq!(path.name.as_deref(), Some("system:admin"));
    }

    #[test]
    fn documents_and_nowhere() {
        assert_eq!(
            parse("/openapi/v3/apis/apps/v1"),
            Route::OpenApiV3("apis/apps/v1".into())
        );
        assert_eq!(parse("/readyz/ping"), Route::Health);
        assert_eq!(parse("/metrics"), Route::Unknown);
        assert_eq!(parse("/version/"), Route::Version);
        for nowhere in [
            "",
            "/",
            "//",
            "/api/v1//namespaces",
            "/api/v1/namespaces/%2F/pods",
        ] {
            assert_eq!(parse(nowhere), Route::Unknown, "{nowhere}");
        }
        assert_eq!(
            of("/api/v1/namespaces/a/configmaps/b%2Fc")
                .subresource
                .as_deref(),
            Some("c")
        );
    }
}
