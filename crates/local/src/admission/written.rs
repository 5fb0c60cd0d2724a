//! What Knative's webhook writes back of an object by reading it into its types: empty optional fields
//! and unknown ones go, required ones come, and amounts are written one way. That is where
//! `resources: {}` comes from. A zero stays where it says something else than nothing (`percent: 0`).
//!
//! A field has the same shape wherever its name stands, so one list of names is enough.

use serde_json::{Map, Value, json};

use crate::api::quantity;

/// Why an object cannot be read as its kind.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum Misfit {
    /// A value is of another sort than its field.
    #[error("{path} must be {wanted}, and is {found}")]
    Sort {
        /// The field.
        path: String,
        /// What belongs there.
        wanted: &'static str,
        /// What is there.
        found: &'static str,
    },
    /// An amount that cannot be read.
    #[error("{path}: {why}")]
    Amount {
        /// The field.
        path: String,
        /// What is wrong with it.
        #[source]
        why: quantity::QuantityError,
    },
}

/// What a field holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Shape {
    Text,
    Flag,
    Number,
    NumberOrText,
    Amount,
    Texts,
    TextByKey,
    AmountByKey,
    Fields,
    ListOfFields,
    /// An object whose fields nobody looks at.
    Whole,
    /// A list of such.
    ListOfWholes,
}

const SHAPES: &[(Shape, &str)] = &[
    (
        Shape::Text,
        "apiVersion audience claimName configurationName containerName creationTimestamp \
         deletionTimestamp devicePath dnsPolicy driver fieldPath fsGroupChangePolicy fsType \
         generateName host hostIP hostname image hostnameOverride imagePullPolicy ip key kind localhostProfile medium \
         mountPath mountPropagation name namespace nodeName path prefix preemptionPolicy \
         priorityClassName procMount protocol pullPolicy recursiveReadOnly reference request resource \
         resourceVersion restartPolicy revisionName runtimeClassName schedulerName scheme seLinuxChangePolicy secretName \
         selfLink service serviceAccount serviceAccountName subPath subPathExpr subdomain \
         supplementalGroupsPolicy tag terminationMessagePath terminationMessagePolicy type uid url \
         value workingDir",
    ),
    (
        Shape::Flag,
        "allowPrivilegeEscalation automountServiceAccountToken blockOwnerDeletion controller \
         enableServiceLinks hostIPC hostNetwork hostPID hostUsers latestRevision optional privileged \
         readOnly readOnlyRootFilesystem runAsNonRoot setHostnameAsFQDN shareProcessNamespace stdin \
         stdinOnce tty",
    ),
    (
        Shape::Number,
        "activeDeadlineSeconds containerConcurrency containerPort defaultMode \
         deletionGracePeriodSeconds expirationSeconds failureThreshold fsGroup generation hostPort \
         idleTimeoutSeconds initialDelaySeconds mode percent periodSeconds priority \
         responseStartTimeoutSeconds runAsGroup runAsUser successThreshold \
         terminationGracePeriodSeconds timeoutSeconds",
    ),
    (Shape::NumberOrText, "port"),
    (Shape::Amount, "divisor sizeLimit"),
    (
        Shape::Texts,
        "add args command drop finalizers hostnames nameservers searches",
    ),
    (
        Shape::TextByKey,
        "annotations labels nodeSelector volumeAttributes",
    ),
    (Shape::AmountByKey, "limits overhead requests"),
    (
        Shape::Fields,
        "capabilities configMap configMapKeyRef configMapRef csi dnsConfig downwardAPI emptyDir exec \
         fieldRef grpc hostPath httpGet livenessProbe metadata nodePublishSecretRef \
         persistentVolumeClaim projected readinessProbe resourceFieldRef resources seccompProfile \
         secret secretKeyRef secretRef securityContext serviceAccountToken spec startupProbe \
         tcpSocket template valueFrom",
    ),
    (
        Shape::ListOfFields,
        "claims containers env envFrom hostAliases httpHeaders imagePullSecrets initContainers items \
         ownerReferences ports sources traffic volumeDevices volumeMounts volumes",
    ),
    (
        Shape::Whole,
        "affinity appArmorProfile awsElasticBlockStore azureDisk azureFile cephfs cinder \
         clusterTrustBundle ephemeral fc fileKeyRef flexVolume flocker gcePersistentDisk gitRepo \
         glusterfs iscsi lifecycle nfs os photonPersistentDisk podCertificate portworxVolume quobyte \
         rbd scaleIO seLinuxOptions storageos vsphereVolume windowsOptions",
    ),
    (
        Shape::ListOfWholes,
        "ephemeralContainers managedFields options readinessGates resizePolicy resourceClaims \
         restartPolicyRules schedulingGates supplementalGroups sysctls tolerations topologySpreadConstraints",
    ),
];

/// Fields whose empty value says something else than their absence.
const KEEP_EMPTY: &str = "allowPrivilegeEscalation automountServiceAccountToken blockOwnerDeletion \
     containerConcurrency controller defaultMode deletionGracePeriodSeconds enableServiceLinks \
     expirationSeconds fsGroup hostUsers idleTimeoutSeconds latestRevision localhostProfile mode \
     mountPropagation optional percent privileged readOnlyRootFilesystem responseStartTimeoutSeconds \
     runAsGroup runAsNonRoot runAsUser runtimeClassName service setHostnameAsFQDN \
     shareProcessNamespace spec.timeoutSeconds terminationGracePeriodSeconds";

/// What the fields within a field have that nobody gave.
fn required(within: &str) -> Value {
    match within {
        "Service" | "Configuration" => {
            json!({"template": {"metadata": {}, "spec": {"containers": null}}})
        }
        "template" => json!({"metadata": {}, "spec": {"containers": null}}),
        "spec" => json!({"containers": null}),
        "containers" | "initContainers" => json!({"name": "", "resources": {}}),
        "env" | "volumes" | "claims" => json!({"name": ""}),
        "ports" => json!({"containerPort": 0}),
        "volumeMounts" => json!({"name": "", "mountPath": ""}),
        "volumeDevices" => json!({"name": "", "devicePath": ""}),
        "fieldRef" => json!({"fieldPath": ""}),
        "resourceFieldRef" => json!({"resource": "", "divisor": "0"}),
        "configMapKeyRef" | "secretKeyRef" => json!({"key": ""}),
        "httpGet" | "tcpSocket" | "grpc" => json!({"port": 0}),
        "httpHeaders" => json!({"name": "", "value": ""}),
        "seccompProfile" => json!({"type": ""}),
        "projected" => json!({"sources": null}),
        "items" => json!({"key": "", "path": ""}),
        "downwardAPI.items" | "serviceAccountToken" | "hostPath" => json!({"path": ""}),
        "persistentVolumeClaim" => json!({"claimName": ""}),
        "csi" => json!({"driver": ""}),
        "hostAliases" => json!({"ip": ""}),
        "ownerReferences" => json!({"apiVersion": "", "kind": "", "name": "", "uid": ""}),
        _ => json!({}),
    }
}

/// Writes metadata and spec of an object as the webhook does.
///
/// # Errors
/// The first value that does not fit its field.
pub fn write_back(kind: &str, object: &mut Value) -> Result<(), Misfit> {
    let Value::Object(whole) = object else {
        return Ok(());
    };
    let within = if kind == "Revision" { "spec" } else { kind };
    for (part, within) in [("metadata", "metadata"), ("spec", within)] {
        let mut value = whole.remove(part).unwrap_or_default();
        if value.is_null() {
            if part == "metadata" {
                continue;
            }
            value = json!({});
        }
        of_shape(Shape::Fields, within, part, &mut value)?;
        whole.insert(part.to_owned(), value);
    }
    Ok(())
}

fn fields(within: &str, path: &str, all: &mut Map<String, Value>) -> Result<(), Misfit> {
    let required = required(within);
    for (name, mut value) in std::mem::take(all) {
        let Some(shape) = shape(&name).filter(|_| !value.is_null()) else {
            continue;
        };
        let inside = match (within, name.as_str()) {
            ("downwardAPI", "items") => "downwardAPI.items",
            (_, name) => name,
        };
        of_shape(shape, inside, &format!("{path}.{name}"), &mut value)?;
        if !is_empty(shape, &value) || required.get(&name).is_some() || keeps_empty(within, &name) {
            all.insert(name, value);
        }
    }
    if let Value::Object(required) = required {
        for (name, zero) in required {
            all.entry(name).or_insert(zero);
        }
    }
    Ok(())
}

fn of_shape(shape: Shape, within: &str, path: &str, value: &mut Value) -> Result<(), Misfit> {
    let fits = match (shape, &mut *value) {
        (Shape::Text | Shape::NumberOrText, Value::String(_)) | (Shape::Flag, Value::Bool(_)) => {
            true
        }
        (Shape::Number | Shape::NumberOrText, Value::Number(number)) => number.is_i64(),
        (Shape::Amount, value) => return amount(path, value),
        (Shape::Fields, Value::Object(all)) => return fields(within, path, all),
        (Shape::TextByKey, Value::Object(all)) => return by_key(Shape::Text, path, all),
        (Shape::AmountByKey, Value::Object(all)) => return by_key(Shape::Amount, path, all),
        (Shape::Texts, Value::Array(all)) => return items(Shape::Text, within, path, all),
        (Shape::ListOfFields, Value::Array(all)) => {
            return items(Shape::Fields, within, path, all);
        }
        (Shape::Whole, value) => value.is_object(),
        (Shape::ListOfWholes, value) => value.is_array(),
        _ => false,
    };
    if fits {
        return Ok(());
    }
    Err(Misfit::Sort {
        path: path.to_owned(),
        wanted: wanted(shape),
        found: found(value),
    })
}

fn items(shape: Shape, within: &str, path: &str, all: &mut [Value]) -> Result<(), Misfit> {
    for (index, item) in all.iter_mut().enumerate() {
        of_shape(shape, within, &format!("{path}[{index}]"), item)?;
    }
    Ok(())
}

fn by_key(shape: Shape, path: &str, all: &mut Map<String, Value>) -> Result<(), Misfit> {
    for (key, value) in all {
        if value.is_null() {
            *value = "".into();
        }
        of_shape(shape, "", &format!("{path}[{key}]"), value)?;
    }
    Ok(())
}

fn amount(path: &str, value: &mut Value) -> Result<(), Misfit> {
    let text = match &*value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    let read = quantity::read(&text).map_err(|why| Misfit::Amount {
        path: path.to_owned(),
        why,
    })?;
    *value = read.into();
    Ok(())
}

fn shape(name: &str) -> Option<Shape> {
    let mut shapes = SHAPES.iter();
    shapes
        .find(|(_, names)| names.split_whitespace().any(|one| one == name))
        .map(|(shape, _)| *shape)
}

fn keeps_empty(within: &str, name: &str) -> bool {
    KEEP_EMPTY.split_whitespace().any(|one| {
        one == name
            || one
                .split_once('.')
                .is_some_and(|(outer, inner)| outer == within && inner == name)
    })
}

fn is_empty(shape: Shape, value: &Value) -> bool {
    match value {
        Value::String(text) => shape == Shape::Text && text.is_empty(),
        Value::Bool(flag) => !flag,
        Value::Number(number) => shape == Shape::Number && number.as_i64() == Some(0),
        Value::Array(items) => items.is_empty(),
        Value::Object(members) => {
            matches!(shape, Shape::TextByKey | Shape::AmountByKey) && members.is_empty()
        }
        Value::Null => true,
    }
}

fn wanted(shape: Shape) -> &'static str {
    match shape {
        Shape::Text => "a text",
        Shape::Flag => "true or false",
        Shape::Number => "a whole number",
        Shape::NumberOrText => "a whole number or a text",
        Shape::Amount => "an amount",
        Shape::Texts | Shape::ListOfFields | Shape::ListOfWholes => "a list",
        Shape::TextByKey | Shape::AmountByKey | Shape::Fields | Shape::Whole => "an object",
    }
}

fn found(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "true or false",
        Value::Number(number) if number.is_i64() => "a whole number",
        Value::Number(_) => "a number",
        Value::String(_) => "a text",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::knative::schemas;

    fn service(container: Value) -> Value {
        json!({"spec": {"template": {"spec": {"containers": [container]}}}})
    }

    fn written(mut object: Value) -> Value {
        write_back("Service", &mut object).unwrap();
        object
    }

    #[test]
    fn empty_optional_fields_vanish_and_required_ones_appear() {
        let mut object = service(json!({
            "image": "a",
            "command": [],
            "stdin": false,
            "unheard": 1,
            "env": [{"name": "A", "value": ""}],
            "ports": [{}],
            "resources": {"limits": {"cpu": "1000m", "memory": "1024Mi"}, "requests": {"cpu": 2}},
            "readinessProbe": {"tcpSocket": {}, "periodSeconds": 0, "timeoutSeconds": 0},
            "securityContext": {"seccompProfile": {}, "runAsNonRoot": false},
        }));
        object["spec"]["traffic"] = json!([{"tag": "", "revisionName": "a", "percent": 0}]);
        object["spec"]["template"]["metadata"] = json!({"labels": {}, "name": ""});
        object["spec"]["template"]["spec"]["timeoutSeconds"] = json!(0);
        object["spec"]["template"]["spec"]["volumes"] = json!([{"name": "v", "emptyDir": {}}]);
        assert_eq!(
            written(object),
            json!({"spec": {
                "template": {
                    "metadata": {},
                    "spec": {
                        "timeoutSeconds": 0,
                        "containers": [{
                            "name": "",
                            "image": "a",
                            "env": [{"name": "A"}],
                            "ports": [{"containerPort": 0}],
                            "resources": {"limits": {"cpu": "1", "memory": "1Gi"}, "requests": {"cpu": "2"}},
                            "readinessProbe": {"tcpSocket": {"port": 0}},
                            "securityContext": {"seccompProfile": {"type": ""}, "runAsNonRoot": false},
                        }],
                        "volumes": [{"name": "v", "emptyDir": {}}],
                    },
                },
                "traffic": [{"revisionName": "a", "percent": 0}],
            }})
        );
    }

    #[test]
    fn each_field_that_the_schemas_know_has_its_shape() {
        fn unknown(schema: &Value, all: &mut Vec<String>) {
            let fields = schema.get("properties").and_then(Value::as_object);
            for (name, field) in fields.into_iter().flatten() {
                if shape(name).is_none() {
                    all.push(name.clone());
                }
                unknown(field, all);
            }
            if let Some(item) = schema.get("items") {
                unknown(item, all);
            }
        }
        for kind in super::super::KINDS {
            let schema = schemas::schema("serving.knative.dev", "v1", kind).unwrap();
            let mut all = Vec::new();
            let schema = schema.to_openapi();
            let spec = schema.pointer("/properties/spec").unwrap();
            assert!(spec.pointer("/properties").is_some(), "{kind}: {spec}");
            unknown(spec, &mut all);
            assert_eq!(all, Vec::<String>::new(), "{kind}");
        }
    }

    #[test]
    fn what_was_written_back_is_written_back_as_it_is() {
        for object in [
            json!({}),
            service(json!({"image": "a", "ports": [{"containerPort": 8080}]})),
        ] {
            let once = written(object);
            assert_eq!(written(once.clone()), once);
        }
        assert_eq!(
            written(json!({})),
            json!({"spec": {"template": {"metadata": {}, "spec": {"containers": null}}}})
        );
    }

    #[test]
    fn what_does_not_fit_is_told_with_its_field() {
        for (mut object, words) in [
            (
                service(json!({"image": 1})),
                "spec.template.spec.containers[0].image must be a text, and is a whole number",
            ),
            (
                json!({"spec": {"template": []}}),
                "spec.template must be an object, and is a list",
            ),
            (
                json!({"spec": "x"}),
                "spec must be an object, and is a text",
            ),
            (
                service(json!({"resources": {"limits": {"cpu": "x"}}})),
                "spec.template.spec.containers[0].resources.limits[cpu]: quantities must match the \
                 regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'",
            ),
            (
                json!({"spec": {"traffic": [{"percent": 1.5}]}}),
                "spec.traffic[0].percent must be a whole number, and is a number",
            ),
        ] {
            let told = write_back("Service", &mut object).unwrap_err();
            assert_eq!(told.to_string(), words);
        }
    }
}
