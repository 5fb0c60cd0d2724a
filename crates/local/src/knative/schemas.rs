//! Knative's kinds, with the fields and marks of Knative's own CRDs (Serving 1.20).
//!
//! Lists are atomic unless marked: who applies `spec.template.spec.containers` or
//! `spec.traffic` owns all of it. A Pod spec has only the fields that Knative allows.

use std::sync::OnceLock;

use serde_json::{Value, json};

use super::pod_spec;
use crate::apiserver::schema::Schema;

/// The schema of a Knative kind; `None` where the kind is not Knative's.
pub fn schema(group: &str, version: &str, kind: &str) -> Option<Schema> {
    macro_rules! kinds {
        ($($group:literal $version:literal $kind:literal => $build:expr;)*) => {
            match (group, version, kind) {
                $(($group, $version, $kind) => {
                    static SCHEMA: OnceLock<Schema> = OnceLock::new();
                    let made = || build($group, $version, $kind, $build);
                    Some(SCHEMA.get_or_init(made).clone())
                })*
                _ => None,
            }
        };
    }
    kinds! {
        "serving.knative.dev" "v1" "Service" => service();
        "serving.knative.dev" "v1" "Configuration" => configuration();
        "serving.knative.dev" "v1" "Revision" => revision();
        "serving.knative.dev" "v1" "Route" => route();
        "serving.knative.dev" "v1beta1" "DomainMapping" => domain_mapping();
        "autoscaling.internal.knative.dev" "v1alpha1" "PodAutoscaler" => pod_autoscaler();
        "autoscaling.internal.knative.dev" "v1alpha1" "Metric" => metric();
        "networking.internal.knative.dev" "v1alpha1" "Ingress" => ingress();
        "networking.internal.knative.dev" "v1alpha1" "ServerlessService" => serverless_service();
    }
}

fn build(group: &str, version: &str, kind: &str, mut openapi: Value) -> Schema {
    set(
        &mut openapi,
        "x-kubernetes-group-version-kind",
        json!([{"group": group, "version": version, "kind": kind}]),
    );
    Schema::from_openapi(&openapi)
}

fn kind(description: &str, spec: Value, status: Value) -> Value {
    json!({
        "type": "object",
        "description": description,
        "properties": {"spec": spec, "status": status},
    })
}

fn service() -> Value {
    kind(
        "Service acts as a top-level container that manages a Route and Configuration which implement a network service. Service exists to provide a singular abstraction which can be access controlled, reasoned about, and which encapsulates software lifecycle decisions such as rollout policy and team resource ownership.",
        json!({
            "type": "object",
            "description": "ServiceSpec represents the configuration for the Service object: that of its Configuration and that of its Route, inline.",
            "properties": {"template": template(), "traffic": traffic()},
        }),
        status(json!({
            "address": address(),
            "latestCreatedRevisionName": text("LatestCreatedRevisionName is the last revision that was created from this Service's Configuration. It might not be ready yet, for that use LatestReadyRevisionName."),
            "latestReadyRevisionName": text("LatestReadyRevisionName holds the name of the latest Revision stamped out from this Service's Configuration that has had its \"Ready\" condition become \"True\"."),
            "traffic": traffic(),
            "url": text("URL holds the url that will distribute traffic over the provided traffic targets. It generally has the form http[s]://{route-name}.{route-namespace}.{cluster-level-suffix}"),
        })),
    )
}

fn configuration() -> Value {
    kind(
        "Configuration represents the \"floating HEAD\" of a linear history of Revisions. Users create new Revisions by updating the Configuration's spec.",
        json!({
            "type": "object",
            "description": "ConfigurationSpec holds the desired state of the Configuration (from the client).",
            "properties": {"template": template()},
        }),
        status(json!({
            "latestCreatedRevisionName": text("LatestCreatedRevisionName is the last revision that was created from this Configuration. It might not be ready yet, for that use LatestReadyRevisionName."),
            "latestReadyRevisionName": text("LatestReadyRevisionName holds the name of the latest Revision stamped out from this Configuration that has had its \"Ready\" condition become \"True\"."),
        })),
    )
}

fn revision() -> Value {
    let digests = |what: &str| {
        json!({"type": "array", "description": what, "items": {
            "type": "object",
            "description": "ContainerStatus holds the information of container name and image digest value.",
            "properties": {"imageDigest": {"type": "string"}, "name": {"type": "string"}},
        }})
    };
    kind(
        "Revision is an immutable snapshot of code and configuration. A revision references a container image. Revisions are created by updates to a Configuration.",
        pod_spec::pod_spec(),
        status(json!({
            "actualReplicas": count("ActualReplicas reflects the amount of ready pods running this revision."),
            "containerStatuses": digests("ContainerStatuses is a slice of images present in .Spec.Container[*].Image to their respective digests and their container name."),
            "desiredReplicas": count("DesiredReplicas reflects the desired amount of pods running this revision."),
            "initContainerStatuses": digests("InitContainerStatuses is a slice of images present in .Spec.InitContainer[*].Image to their respective digests and their container name."),
            "logUrl": text("LogURL specifies the generated logging url for this particular revision based on the revision url template specified in the controller's config."),
        })),
    )
}

fn route() -> Value {
    kind(
        "Route is responsible for configuring ingress over a collection of Revisions. Some of the Revisions a Route distributes traffic over may be specified by referencing the Configuration responsible for creating them; in these cases the Route is additionally responsible for monitoring the Configuration for \"latest ready revision\" changes, and smoothly rolling out latest revisions.",
        json!({
            "type": "object",
            "description": "Spec holds the desired state of the Route (from the client).",
            "properties": {"traffic": traffic()},
        }),
        status(json!({
            "address": address(),
            "traffic": traffic(),
            "url": text("URL holds the url that will distribute traffic over the provided traffic targets. It generally has the form http[s]://{route-name}.{route-namespace}.{cluster-level-suffix}"),
        })),
    )
}

fn domain_mapping() -> Value {
    kind(
        "DomainMapping is a mapping from a custom hostname to an Addressable.",
        json!({
            "type": "object",
            "required": ["ref"],
            "properties": {
                "ref": {
                    "type": "object",
                    "description": "Ref specifies the target of the Domain Mapping.",
                    "required": ["kind", "name"],
                    "properties": strings(&["address", "apiVersion", "group", "kind", "name", "namespace"]),
                },
                "tls": {
                    "type": "object",
                    "description": "TLS allows the DomainMapping to terminate TLS traffic with an existing secret.",
                    "required": ["secretName"],
                    "properties": strings(&["secretName"]),
                },
            },
        }),
        status(json!({
            "address": address(),
            "url": text("URL is the URL of this DomainMapping."),
        })),
    )
}

fn pod_autoscaler() -> Value {
    kind(
        "PodAutoscaler is a Knative abstraction that encapsulates the interface by which Knative components instantiate autoscalers.",
        json!({
            "type": "object",
            "required": ["protocolType", "scaleTargetRef"],
            "properties": {
                "containerConcurrency": {"type": "integer", "format": "int64", "description": "ContainerConcurrency specifies the maximum allowed in-flight (concurrent) requests per container of the Revision. Defaults to `0` which means unlimited concurrency."},
                "protocolType": text("The application-layer protocol. Matches `ProtocolType` inferred from the revision spec."),
                "reachability": text("Reachability specifies whether or not the `ScaleTargetRef` can be reached (ie. has a route). Defaults to `ReachabilityUnknown`"),
                "scaleTargetRef": {
                    "type": "object",
                    "x-kubernetes-map-type": "atomic",
                    "description": "ScaleTargetRef defines the /scale-able resource that this PodAutoscaler is responsible for quickly right-sizing.",
                    "properties": strings(&["apiVersion", "kind", "name"]),
                },
            },
        }),
        status(json!({
            "actualScale": count("ActualScale shows the actual number of replicas for the revision."),
            "desiredScale": count("DesiredScale shows the current desired number of replicas for the revision."),
            "metricsServiceName": text("MetricsServiceName is the K8s Service name that provides revision metrics. The service is managed by the PA object."),
            "serviceName": text("ServiceName is the K8s Service name that serves the revision, scaled by this PA. The service is created and owned by the ServerlessService object owned by this PA."),
        })),
    )
}

fn metric() -> Value {
    kind(
        "Metric represents a resource to configure the metric collector with.",
        json!({
            "type": "object",
            "required": ["panicWindow", "scrapeTarget", "stableWindow"],
            "properties": {
                "panicWindow": {"type": "integer", "format": "int64"},
                "scrapeTarget": text("ScrapeTarget is the K8s service that publishes the metric endpoint."),
                "stableWindow": {"type": "integer", "format": "int64"},
            },
        }),
        status(json!({})),
    )
}

fn ingress() -> Value {
    let headers = json!({"type": "object", "additionalProperties": {"type": "string"}});
    let hosts = json!({"type": "array", "items": {"type": "string"}});
    let split = json!({
        "type": "object",
        "required": ["serviceName", "serviceNamespace", "servicePort"],
        "properties": {
            "appendHeaders": headers,
            "percent": {"type": "integer", "description": "Specifies the split percentage, a number between 0 and 100. If only one split is specified, we default to 100."},
            "serviceName": {"type": "string"},
            "serviceNamespace": {"type": "string"},
            "servicePort": int_or_string(),
        },
    });
    let path = json!({
        "type": "object",
        "required": ["splits"],
        "properties": {
            "appendHeaders": headers,
            "headers": {"type": "object", "additionalProperties": {
                "type": "object", "required": ["exact"], "properties": strings(&["exact"]),
            }},
            "path": {"type": "string"},
            "rewriteHost": {"type": "string"},
            "splits": {"type": "array", "items": split},
        },
    });
    let balancer = json!({"type": "object", "properties": {"ingress": {"type": "array", "items": {
        "type": "object",
        "properties": {
            "domain": {"type": "string"}, "domainInternal": {"type": "string"},
            "ip": {"type": "string"}, "meshOnly": {"type": "boolean"},
        },
    }}}});
    kind(
        "Ingress is a collection of rules that allow inbound connections to reach the endpoints defined by a backend. An Ingress can be configured to give services externally-reachable URLs, load balance traffic, offer name based virtual hosting, etc.",
        json!({
            "type": "object",
            "properties": {
                "httpOption": text("HTTPOption is the option of HTTP. It has the following two values: `HTTPOptionEnabled`, `HTTPOptionRedirected`"),
                "rules": {"type": "array", "description": "A list of host rules used to configure the Ingress.", "items": {
                    "type": "object",
                    "properties": {
                        "hosts": hosts,
                        "http": {"type": "object", "required": ["paths"], "properties": {
                            "paths": {"type": "array", "items": path},
                        }},
                        "visibility": text("Visibility signifies whether this rule should `ClusterLocal`. If it's not specified then it defaults to `ExternalIP`."),
                    },
                }},
                "tls": {"type": "array", "items": {"type": "object", "properties": {
                    "hosts": hosts,
                    "secretName": {"type": "string"},
                    "secretNamespace": {"type": "string"},
                }}},
            },
        }),
        status(json!({"privateLoadBalancer": balancer, "publicLoadBalancer": balancer})),
    )
}

fn serverless_service() -> Value {
    kind(
        "ServerlessService is a proxy for the K8s service objects containing the endpoints for the revision, whether those are endpoints of the activator or revision pods.",
        json!({
            "type": "object",
            "required": ["objectRef", "protocolType"],
            "properties": {
                "mode": text("Mode describes the mode of operation of the ServerlessService."),
                "numActivators": count("NumActivators contains number of Activators that this revision should be assigned. O means — assign all."),
                "objectRef": {
                    "type": "object",
                    "x-kubernetes-map-type": "atomic",
                    "properties": strings(&["apiVersion", "fieldPath", "kind", "name", "namespace", "resourceVersion", "uid"]),
                },
                "protocolType": text("The application-layer protocol. Matches `RevisionProtocolType` set on the owning pa/revision."),
            },
        }),
        status(json!({
            "privateServiceName": {"type": "string"},
            "serviceName": {"type": "string"},
        })),
    )
}

/// `spec.template` of a Service and a Configuration.
fn template() -> Value {
    let map = json!({"type": "object", "additionalProperties": {"type": "string"}});
    json!({
        "type": "object",
        "description": "Template holds the latest specification for the Revision to be stamped out.",
        "properties": {
            "metadata": {
                "type": "object",
                "x-kubernetes-preserve-unknown-fields": true,
                "properties": {
                    "annotations": map,
                    "finalizers": {"type": "array", "items": {"type": "string"}},
                    "labels": map,
                    "name": {"type": "string"},
                    "namespace": {"type": "string"},
                },
            },
            "spec": pod_spec::pod_spec(),
        },
    })
}

/// Traffic targets: one atomic list.
fn traffic() -> Value {
    json!({
        "type": "array",
        "description": "Traffic specifies how to distribute traffic over a collection of revisions and configurations.",
        "items": {
            "type": "object",
            "description": "TrafficTarget holds a single entry of the routing table for a Route.",
            "properties": {
                "configurationName": text("ConfigurationName of a configuration to whose latest revision we will send this portion of traffic. When the \"status.latestReadyRevisionName\" of the referenced configuration changes, we will automatically migrate traffic from the prior \"latest ready\" revision to the new one. This field is never set in Route's status, only its spec. This is mutually exclusive with RevisionName."),
                "latestRevision": {"type": "boolean", "description": "LatestRevision may be optionally provided to indicate that the latest ready Revision of the Configuration should be used for this traffic target. When provided LatestRevision must be true if RevisionName is empty; it must be false when RevisionName is non-empty."},
                "percent": {"type": "integer", "format": "int64", "description": "Percent indicates that percentage based routing should be used and the value indicates the percent of traffic that is be routed to this Revision or Configuration. `0` (zero) mean no traffic, `100` means all traffic."},
                "revisionName": text("RevisionName of a specific revision to which to send this portion of traffic. This is mutually exclusive with ConfigurationName."),
                "tag": text("Tag is optionally used to expose a dedicated url for referencing this target exclusively."),
                "url": text("URL displays the URL for accessing named traffic targets. URL is displayed in status, and is disallowed on spec. URL must contain a scheme (e.g. http://) and a hostname, but may not contain anything else (e.g. basic auth, url path, etc.)"),
            },
        },
    })
}

/// A status with what all of Knative's have.
fn status(mut properties: Value) -> Value {
    set(
        &mut properties,
        "annotations",
        json!({"type": "object", "additionalProperties": {"type": "string"}, "description": "Annotations is additional Status fields for the Resource to save some additional State as well as convey more information to the user. This is roughly akin to Annotations on any k8s resource, just the reconciler conveying richer information outwards."}),
    );
    set(
        &mut properties,
        "conditions",
        json!({
            "type": "array",
            "description": "Conditions the latest available observations of a resource's current state.",
            "items": {
                "type": "object",
                "required": ["status", "type"],
                "properties": {
                    "lastTransitionTime": text("LastTransitionTime is the last time the condition transitioned from one status to another. We use VolatileTime in place of metav1.Time to exclude this from creating equality.Semantic differences (all other things held constant)."),
                    "message": text("A human readable message indicating details about the transition."),
                    "reason": text("The reason for the condition's last transition."),
                    "severity": text("Severity with which to treat failures of this type of condition. When this is not specified, it defaults to Error."),
                    "status": text("Status of the condition, one of True, False, Unknown."),
                    "type": text("Type of condition."),
                },
            },
        }),
    );
    set(
        &mut properties,
        "observedGeneration",
        json!({"type": "integer", "format": "int64", "description": "ObservedGeneration is the 'Generation' of the Service that was last processed by the controller."}),
    );
    json!({
        "type": "object",
        "description": "Status communicates the observed state (from the controller).",
        "properties": properties,
    })
}

fn address() -> Value {
    json!({
        "type": "object",
        "description": "Address holds the information needed for a Route to be the target of an event.",
        "properties": strings(&["CACerts", "audience", "name", "url"]),
    })
}

fn text(description: &str) -> Value {
    json!({"type": "string", "description": description})
}

fn count(description: &str) -> Value {
    json!({"type": "integer", "format": "int32", "description": description})
}

pub(super) fn strings(names: &[&str]) -> Value {
    names
        .iter()
        .map(|name| ((*name).to_owned(), json!({"type": "string"})))
        .collect::<serde_json::Map<_, _>>()
        .into()
}

pub(super) fn set(object: &mut Value, name: &str, value: Value) {
    if let Value::Object(object) = object {
        object.insert(name.to_owned(), value);
    }
}

pub(super) fn int_or_string() -> Value {
    json!({
        "anyOf": [{"type": "integer"}, {"type": "string"}],
        "x-kubernetes-int-or-string": true,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::apiserver::schema::faults;

    #[test]
    fn every_schema_is_structural() {
        for openapi in [
            service(),
            configuration(),
            revision(),
            route(),
            domain_mapping(),
            pod_autoscaler(),
            metric(),
            ingress(),
            serverless_service(),
        ] {
            assert_eq!(faults(&openapi, "", true), []);
        }
    }

    #[test]
    fn a_service_is_pruned_defaulted_and_validated_as_knatives_crd_does() {
        let schema = schema("serving.knative.dev", "v1", "Service").unwrap();
        let mut object = json!({"spec": {"template": {
            "metadata": {"annotations": {"autoscaling.knative.dev/min-scale": "1"}, "creationTimestamp": null},
            "spec": {"containers": [{
                "image": "a", "ports": [{"containerPort": 8080}], "lifecycle": {"preStop": {}},
                "resources": {"limits": {"cpu": 1, "memory": "128Mi"}},
            }], "replicas": 2},
        }, "traffic": [{"percent": 100, "latestRevision": true}]}});
        assert_eq!(
            schema.prune(&mut object),
            [
                "spec.template.spec.containers[0].lifecycle",
                "spec.template.spec.replicas"
            ]
        );
        schema.default(&mut object);
        assert_eq!(
            object.pointer("/spec/template/spec/containers/0/ports/0"),
            Some(&json!({"containerPort": 8080, "protocol": "TCP"}))
        );
        assert!(
            schema.validate(&object, None).is_empty(),
            "{:?}",
            schema.validate(&object, None)
        );
        let errors = schema.validate(
            &json!({"spec": {"template": {"spec": {"timeoutSeconds": "x"}}}}),
            None,
        );
        let errors: Vec<String> = errors.iter().map(ToString::to_string).collect();
        assert_eq!(
            errors,
            [
                "spec.template.spec.containers: Required value",
                "spec.template.spec.timeoutSeconds: Invalid value: \"string\": spec.template.spec.timeoutSeconds in body must be of type integer: \"string\"",
            ]
        );
    }

    #[test]
    fn fields_of_a_container_are_explained_in_kubernetes_words() {
        let schema = schema("serving.knative.dev", "v1", "Revision").unwrap();
        let openapi = schema.to_openapi();
        let image = openapi
            .pointer("/properties/spec/properties/containers/items/properties/image/description");
        assert!(
            image
                .unwrap()
                .as_str()
                .unwrap()
                .starts_with("Container image name.")
        );
    }
}
