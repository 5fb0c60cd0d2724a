//! The Pod spec as Knative takes it: what its features allow, and no more.

use k8s_openapi::api::core::v1::PodSpec;
use serde_json::{Map, Value, json};

use super::schemas::{int_or_string, set, strings};
use crate::apiserver::builtin::definitions;
use crate::apiserver::schema::Definitions;

/// `spec` of a Revision and of a template.
pub(super) fn pod_spec() -> Value {
    let any = || json!({"type": "object", "x-kubernetes-preserve-unknown-fields": true});
    let seconds = |description: &str| json!({"type": "integer", "format": "int64", "description": description});
    let mut spec = json!({
        "type": "object",
        "required": ["containers"],
        "properties": {
            "affinity": any(),
            "automountServiceAccountToken": {"type": "boolean"},
            "containerConcurrency": seconds("ContainerConcurrency specifies the maximum allowed in-flight (concurrent) requests per container of the Revision. Defaults to `0` which means concurrency to the application is not limited, and the system decides the target concurrency for the autoscaler."),
            "containers": {"type": "array", "items": container()},
            "dnsConfig": any(),
            "dnsPolicy": {"type": "string"},
            "enableServiceLinks": {"type": "boolean"},
            "hostAliases": {"type": "array", "items": any()},
            "hostIPC": {"type": "boolean"},
            "hostNetwork": {"type": "boolean"},
            "hostPID": {"type": "boolean"},
            "idleTimeoutSeconds": seconds("IdleTimeoutSeconds is the maximum duration in seconds a request will be allowed to stay open while not receiving any bytes from the user's application. If unspecified, a system default will be provided."),
            "imagePullSecrets": {
                "type": "array",
                "x-kubernetes-list-type": "map",
                "x-kubernetes-list-map-keys": ["name"],
                "items": {
                    "type": "object",
                    "x-kubernetes-map-type": "atomic",
                    "properties": {"name": {"type": "string", "default": ""}},
                },
            },
            "initContainers": {"type": "array", "items": any()},
            "nodeSelector": {
                "type": "object",
                "x-kubernetes-map-type": "atomic",
                "additionalProperties": {"type": "string"},
            },
            "priorityClassName": {"type": "string"},
            "responseStartTimeoutSeconds": seconds("ResponseStartTimeoutSeconds is the maximum duration in seconds that the request routing layer will wait for a request delivered to a container to begin sending any network traffic."),
            "runtimeClassName": {"type": "string"},
            "schedulerName": {"type": "string"},
            "securityContext": any(),
            "serviceAccountName": {"type": "string"},
            "shareProcessNamespace": {"type": "boolean"},
            "timeoutSeconds": seconds("TimeoutSeconds is the maximum duration in seconds that the request instance is allowed to respond to a request. If unspecified, a system default will be provided."),
            "tolerations": {"type": "array", "items": any()},
            "topologySpreadConstraints": {"type": "array", "items": any()},
            "volumes": {
                "type": "array",
                "x-kubernetes-list-type": "map",
                "x-kubernetes-list-map-keys": ["name"],
                "items": volume(),
            },
        },
    });
    let known = definitions::<PodSpec>();
    if let Some(definition) = known.get("io.k8s.api.core.v1.PodSpec") {
        describe(&mut spec, definition, &known);
    }
    spec
}

fn container() -> Value {
    let quantities = || json!({"type": "object", "additionalProperties": quantity()});
    json!({
        "type": "object",
        "properties": {
            "args": words(),
            "command": words(),
            "env": env(),
            "envFrom": {"type": "array", "x-kubernetes-list-type": "atomic", "items": {
                "type": "object",
                "properties": {
                    "configMapRef": named(json!({})),
                    "prefix": {"type": "string"},
                    "secretRef": named(json!({})),
                },
            }},
            "image": {"type": "string"},
            "imagePullPolicy": {"type": "string"},
            "livenessProbe": probe(),
            "name": {"type": "string"},
            "ports": {"type": "array", "items": {
                "type": "object",
                "properties": {
                    "containerPort": {"type": "integer", "format": "int32"},
                    "name": {"type": "string"},
                    "protocol": {"type": "string", "default": "TCP"},
                },
            }},
            "readinessProbe": probe(),
            "resources": {"type": "object", "properties": {
                "limits": quantities(), "requests": quantities(),
            }},
            "securityContext": security_context(),
            "startupProbe": probe(),
            "terminationMessagePath": {"type": "string"},
            "terminationMessagePolicy": {"type": "string"},
            "volumeMounts": volume_mounts(),
            "workingDir": {"type": "string"},
        },
    })
}

fn words() -> Value {
    json!({"type": "array", "x-kubernetes-list-type": "atomic", "items": {"type": "string"}})
}

fn env() -> Value {
    let unread = || json!({"type": "object", "x-kubernetes-map-type": "atomic", "x-kubernetes-preserve-unknown-fields": true});
    json!({
        "type": "array",
        "x-kubernetes-list-type": "map",
        "x-kubernetes-list-map-keys": ["name"],
        "items": {
            "type": "object",
            "required": ["name"],
            "properties": {
                "name": {"type": "string"},
                "value": {"type": "string"},
                "valueFrom": {"type": "object", "properties": {
                    "configMapKeyRef": key_of(),
                    "fieldRef": unread(),
                    "resourceFieldRef": unread(),
                    "secretKeyRef": key_of(),
                }},
            },
        },
    })
}

fn security_context() -> Value {
    json!({"type": "object", "properties": {
        "allowPrivilegeEscalation": {"type": "boolean"},
        "capabilities": {"type": "object", "properties": {"add": words(), "drop": words()}},
        "privileged": {"type": "boolean"},
        "readOnlyRootFilesystem": {"type": "boolean"},
        "runAsGroup": {"type": "integer", "format": "int64"},
        "runAsNonRoot": {"type": "boolean"},
        "runAsUser": {"type": "integer", "format": "int64"},
        "seccompProfile": {
            "type": "object",
            "required": ["type"],
            "properties": strings(&["localhostProfile", "type"]),
        },
    }})
}

fn volume_mounts() -> Value {
    json!({
        "type": "array",
        "x-kubernetes-list-type": "map",
        "x-kubernetes-list-map-keys": ["mountPath"],
        "items": {
            "type": "object",
            "required": ["mountPath", "name"],
            "properties": {
                "mountPath": {"type": "string"},
                "mountPropagation": {"type": "string"},
                "name": {"type": "string"},
                "readOnly": {"type": "boolean"},
                "subPath": {"type": "string"},
            },
        },
    })
}

fn probe() -> Value {
    let number = || json!({"type": "integer", "format": "int32"});
    json!({
        "type": "object",
        "properties": {
            "exec": {"type": "object", "properties": {"command": words()}},
            "failureThreshold": number(),
            "grpc": {"type": "object", "properties": {
                "port": number(),
                "service": {"type": "string", "default": ""},
            }},
            "httpGet": {"type": "object", "properties": {
                "host": {"type": "string"},
                "httpHeaders": {"type": "array", "x-kubernetes-list-type": "atomic", "items": {
                    "type": "object",
                    "required": ["name", "value"],
                    "properties": strings(&["name", "value"]),
                }},
                "path": {"type": "string"},
                "port": int_or_string(),
                "scheme": {"type": "string"},
            }},
            "initialDelaySeconds": number(),
            "periodSeconds": number(),
            "successThreshold": number(),
            "tcpSocket": {"type": "object", "properties": {
                "host": {"type": "string"}, "port": int_or_string(),
            }},
            "timeoutSeconds": number(),
        },
    })
}

fn volume() -> Value {
    let any = || json!({"type": "object", "x-kubernetes-preserve-unknown-fields": true});
    json!({
        "type": "object",
        "required": ["name"],
        "properties": {
            "configMap": named(json!({"defaultMode": mode(), "items": items()})),
            "csi": any(),
            "emptyDir": any(),
            "hostPath": any(),
            "image": any(),
            "name": {"type": "string"},
            "persistentVolumeClaim": any(),
            "projected": {"type": "object", "properties": {
                "defaultMode": mode(),
                "sources": {"type": "array", "x-kubernetes-list-type": "atomic", "items": {
                    "type": "object",
                    "properties": {
                        "configMap": named(json!({"items": items()})),
                        "downwardAPI": {"type": "object", "properties": {"items": fields()}},
                        "secret": named(json!({"items": items()})),
                        "serviceAccountToken": {
                            "type": "object",
                            "required": ["path"],
                            "properties": {
                                "audience": {"type": "string"},
                                "expirationSeconds": {"type": "integer", "format": "int64"},
                                "path": {"type": "string"},
                            },
                        },
                    },
                }},
            }},
            "secret": {"type": "object", "properties": {
                "defaultMode": mode(),
                "items": items(),
                "optional": {"type": "boolean"},
                "secretName": {"type": "string"},
            }},
        },
    })
}

/// The permission bits of a file in a volume.
fn mode() -> Value {
    json!({"type": "integer", "format": "int32"})
}

/// The files that keys of a ConfigMap or Secret become.
fn items() -> Value {
    json!({"type": "array", "x-kubernetes-list-type": "atomic", "items": {
        "type": "object",
        "required": ["key", "path"],
        "properties": {"key": {"type": "string"}, "mode": mode(), "path": {"type": "string"}},
    }})
}

/// The files that fields of the Pod become.
fn fields() -> Value {
    json!({"type": "array", "x-kubernetes-list-type": "atomic", "items": {
        "type": "object",
        "required": ["path"],
        "properties": {
            "fieldRef": {
                "type": "object",
                "x-kubernetes-map-type": "atomic",
                "required": ["fieldPath"],
                "properties": strings(&["apiVersion", "fieldPath"]),
            },
            "mode": mode(),
            "path": {"type": "string"},
            "resourceFieldRef": {
                "type": "object",
                "x-kubernetes-map-type": "atomic",
                "required": ["resource"],
                "properties": {
                    "containerName": {"type": "string"},
                    "divisor": quantity(),
                    "resource": {"type": "string"},
                },
            },
        },
    }})
}

/// A reference by name to something that may be optional.
fn named(mut properties: Value) -> Value {
    set(
        &mut properties,
        "name",
        json!({"type": "string", "default": ""}),
    );
    set(&mut properties, "optional", json!({"type": "boolean"}));
    json!({"type": "object", "x-kubernetes-map-type": "atomic", "properties": properties})
}

fn key_of() -> Value {
    let mut reference = named(json!({"key": {"type": "string"}}));
    set(&mut reference, "required", json!(["key"]));
    reference
}

fn quantity() -> Value {
    let mut quantity = int_or_string();
    let pattern = json!(
        r"^(\+|-)?(([0-9]+(\.[0-9]*)?)|(\.[0-9]+))(([KMGTPE]i)|[numkMGTPE]|([eE](\+|-)?(([0-9]+(\.[0-9]*)?)|(\.[0-9]+))))?$"
    );
    set(&mut quantity, "pattern", pattern);
    quantity
}

/// Copies Kubernetes' descriptions to the fields that have none.
fn describe(schema: &mut Value, known: &Value, definitions: &Definitions) {
    let known = resolve(known, definitions);
    let Value::Object(schema) = schema else {
        return;
    };
    if !schema.contains_key("description")
        && let Some(description) = known.get("description")
    {
        schema.insert("description".to_owned(), description.clone());
    }
    if let (Some(Value::Object(fields)), Some(Value::Object(named))) =
        (schema.get_mut("properties"), known.get("properties"))
    {
        describe_fields(fields, named, definitions);
    }
    for inside in ["items", "additionalProperties"] {
        if let (Some(items), Some(known)) = (schema.get_mut(inside), known.get(inside)) {
            describe(items, known, definitions);
        }
    }
}

fn describe_fields(
    fields: &mut Map<String, Value>,
    known: &Map<String, Value>,
    definitions: &Definitions,
) {
    for (name, field) in fields {
        let Some(known) = known.get(name) else {
            continue;
        };
        // What is said of the field comes before what is said of its type.
        if let (Some(description), Value::Object(field)) = (known.get("description"), &mut *field)
            && !field.contains_key("description")
        {
            field.insert("description".to_owned(), description.clone());
        }
        describe(field, known, definitions);
    }
}

fn resolve<'d>(schema: &'d Value, definitions: &'d Definitions) -> &'d Value {
    let reference = schema
        .get("$ref")
        .or_else(|| schema.get("allOf")?.get(0)?.get("$ref"));
    reference
        .and_then(Value::as_str)
        .and_then(|reference| definitions.get(reference.rsplit('/').next()?))
        .unwrap_or(schema)
}
