//! Which columns the built-in kinds have.

use super::super::resource::Column;
use super::{age_column, column, name};

const DATA: &str = "Data contains the configuration data. Each key must consist of alphanumeric characters, '-', '_' or '.'. Values with non-UTF-8 byte sequences must use the BinaryData field. The keys stored in Data must not overlap with the keys in the BinaryData field, this is enforced during validation process.";

/// The columns of a built-in kind.
pub fn of(group: &str, kind: &str) -> Vec<Column> {
    if matches!((group, kind), ("" | "events.k8s.io", "Event")) {
        return event();
    }
    let mut columns = vec![name()];
    columns.extend(match (group, kind) {
        ("", "Pod") => pod(),
        ("", "Service") => service(),
        ("", "Namespace") => vec![column("Status", "string", ".status.phase"), age_column()],
        ("", "ConfigMap") => vec![
            Column {
                description: DATA.to_owned(),
                ..computed("Data")
            },
            age_column(),
        ],
        ("", "Secret") => vec![
            column("Type", "string", ".type"),
            computed("Data"),
            age_column(),
        ],
        ("", "ServiceAccount") => vec![computed("Secrets"), age_column()],
        ("", "Endpoints") => vec![computed("Endpoints"), age_column()],
        ("", "Node") => node(),
        ("apps", "Deployment") => deployment(),
        ("apps", "ReplicaSet") => replica_set(),
        ("coordination.k8s.io", "Lease") => vec![
            column("Holder", "string", ".spec.holderIdentity"),
            age_column(),
        ],
        ("discovery.k8s.io", "EndpointSlice") => vec![
            column("AddressType", "string", ".addressType"),
            computed("Ports"),
            computed("Endpoints"),
            age_column(),
        ],
        ("rbac.authorization.k8s.io", "RoleBinding" | "ClusterRoleBinding") => role_binding(),
        ("rbac.authorization.k8s.io", _) | ("apiextensions.k8s.io", _) => vec![column(
            "Created At",
            "string",
            ".metadata.creationTimestamp",
        )],
        _ => vec![age_column()],
    });
    columns
}

fn pod() -> Vec<Column> {
    vec![
        computed("Ready"),
        computed("Status"),
        computed("Restarts"),
        age_column(),
        wide(computed("IP")),
        wide(computed("Node")),
        wide(computed("Nominated Node")),
        wide(computed("Readiness Gates")),
    ]
}

fn service() -> Vec<Column> {
    vec![
        column("Type", "string", ".spec.type"),
        computed("Cluster-IP"),
        computed("External-IP"),
        computed("Port(s)"),
        age_column(),
        wide(computed("Selector")),
    ]
}

fn node() -> Vec<Column> {
    let info = |name: &str, field: &str| {
        let path = format!(".status.nodeInfo.{field}");
        column(name, "string", &path)
    };
    vec![
        computed("Status"),
        computed("Roles"),
        age_column(),
        info("Version", "kubeletVersion"),
        wide(column(
            "Internal-IP",
            "string",
            ".status.addresses[?(@.type==\"InternalIP\")].address",
        )),
        wide(computed("External-IP")),
        wide(info("OS-Image", "osImage")),
        wide(info("Kernel-Version", "kernelVersion")),
        wide(info("Container-Runtime", "containerRuntimeVersion")),
    ]
}

/// The only kind whose rows do not begin with the name.
fn event() -> Vec<Column> {
    vec![
        computed("Last Seen"),
        column("Type", "string", ".type"),
        column("Reason", "string", ".reason"),
        computed("Object"),
        wide(computed("Subobject")),
        wide(computed("Source")),
        computed("Message"),
        wide(computed("First Seen")),
        wide(computed("Count")),
        wide(name()),
    ]
}

fn deployment() -> Vec<Column> {
    vec![
        computed("Ready"),
        computed("Up-to-date"),
        computed("Available"),
        age_column(),
        wide(computed("Containers")),
        wide(computed("Images")),
        wide(computed("Selector")),
    ]
}

fn replica_set() -> Vec<Column> {
    vec![
        column("Desired", "integer", ".spec.replicas"),
        computed("Current"),
        computed("Ready"),
        age_column(),
        wide(computed("Containers")),
        wide(computed("Images")),
        wide(computed("Selector")),
    ]
}

fn role_binding() -> Vec<Column> {
    vec![
        computed("Role"),
        age_column(),
        wide(computed("Users")),
        wide(computed("Groups")),
        wide(computed("ServiceAccounts")),
    ]
}

/// A column that [`super::computed`] fills.
fn computed(name: &str) -> Column {
    Column {
        path: None,
        ..column(name, "string", "")
    }
}

fn wide(column: Column) -> Column {
    Column {
        priority: 1,
        ..column
    }
}
