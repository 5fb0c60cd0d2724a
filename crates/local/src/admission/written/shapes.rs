//! What stands in the fields of Knative's objects, by their names.
//!
//! A field has the same shape wherever its name stands, but for the few that are told with the field around
//! them (`grpc.port`).

use serde_json::{Value, json};

/// What a field holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shape {
    Text,
    Time,
    Url,
    Flag,
    /// One of 32 bits.
    Number,
    /// One of 64 bits.
    LongNumber,
    NumberOrText,
    Amount,
    Texts,
    Numbers,
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
        "apiVersion audience claimName configurationName containerName \
         devicePath dnsPolicy driver fieldPath fsGroupChangePolicy fsType \
         generateName host hostIP hostname image hostnameOverride imagePullPolicy ip key kind localhostProfile medium \
         mountPath mountPropagation name namespace nodeName path prefix preemptionPolicy \
         priorityClassName procMount protocol pullPolicy recursiveReadOnly reference request resource \
         resourceVersion restartPolicy revisionName runtimeClassName schedulerName scheme seLinuxChangePolicy secretName \
         selfLink service serviceAccount serviceAccountName subPath subPathExpr subdomain \
         supplementalGroupsPolicy tag terminationMessagePath terminationMessagePolicy type uid \
         value workingDir",
    ),
    (Shape::Time, "creationTimestamp deletionTimestamp"),
    (Shape::Url, "url"),
    (
        Shape::Flag,
        "allowPrivilegeEscalation automountServiceAccountToken blockOwnerDeletion controller \
         enableServiceLinks hostIPC hostNetwork hostPID hostUsers latestRevision optional privileged \
         readOnly readOnlyRootFilesystem runAsNonRoot setHostnameAsFQDN shareProcessNamespace stdin \
         stdinOnce tty",
    ),
    (
        Shape::Number,
        "containerPort defaultMode failureThreshold grpc.port hostPort initialDelaySeconds mode \
         periodSeconds priority successThreshold timeoutSeconds",
    ),
    (
        Shape::LongNumber,
        "activeDeadlineSeconds containerConcurrency deletionGracePeriodSeconds expirationSeconds \
         fsGroup generation idleTimeoutSeconds percent responseStartTimeoutSeconds runAsGroup \
         runAsUser spec.timeoutSeconds terminationGracePeriodSeconds",
    ),
    (Shape::NumberOrText, "port"),
    (Shape::Amount, "divisor sizeLimit"),
    (
        Shape::Texts,
        "add args command drop finalizers hostnames nameservers searches",
    ),
    (Shape::Numbers, "supplementalGroups"),
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
         tcpSocket template valueFrom volumes.image",
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
         restartPolicyRules schedulingGates sysctls tolerations topologySpreadConstraints",
    ),
];

/// Fields whose empty value says something else than their absence.
const KEEP_EMPTY: &str = "activeDeadlineSeconds allowPrivilegeEscalation automountServiceAccountToken \
     blockOwnerDeletion containerConcurrency containers.restartPolicy controller csi.fsType csi.readOnly \
     defaultMode deletionGracePeriodSeconds enableServiceLinks expirationSeconds fsGroup \
     fsGroupChangePolicy hostPath.type hostUsers hostnameOverride idleTimeoutSeconds \
     initContainers.restartPolicy latestRevision localhostProfile mode mountPropagation optional percent \
     preemptionPolicy priority privileged procMount readOnlyRootFilesystem recursiveReadOnly \
     responseStartTimeoutSeconds runAsGroup runAsNonRoot runAsUser runtimeClassName seLinuxChangePolicy \
     service setHostnameAsFQDN shareProcessNamespace spec.timeoutSeconds supplementalGroupsPolicy \
     terminationGracePeriodSeconds";

/// What metadata consists of. In a template's, others may stand, which mean nothing.
const METADATA: &str = "annotations creationTimestamp deletionGracePeriodSeconds deletionTimestamp \
     finalizers generateName generation labels managedFields name namespace ownerReferences \
     resourceVersion selfLink uid";

/// What the fields within a field have that nobody gave.
pub(super) fn required(within: &str) -> Value {
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

/// The field that a name in the object means, in whatever case it is written, and what it holds.
pub(super) fn field(within: &str, name: &str) -> Option<(&'static str, Shape)> {
    if within == "metadata" {
        METADATA
            .split_whitespace()
            .find(|one| one.eq_ignore_ascii_case(name))?;
    }
    let whole = format!("{within}.{name}");
    let named = |name: &str| {
        SHAPES.iter().find_map(|(shape, names)| {
            let mut names = names.split_whitespace();
            let found = names.find(|one| one.eq_ignore_ascii_case(name))?;
            Some((found.rsplit('.').next().unwrap_or(found), *shape))
        })
    };
    named(&whole).or_else(|| named(name))
}

/// Whether its empty value says something else than its absence.
pub(super) fn keeps_empty(within: &str, name: &str) -> bool {
    let mut kept = KEEP_EMPTY.split_whitespace();
    kept.any(|one| {
        one == name
            || one
                .split_once('.')
                .is_some_and(|(outer, inner)| outer == within && inner == name)
    })
}

/// Whether a value says nothing where it need not stand.
pub(super) fn is_empty(shape: Shape, value: &Value) -> bool {
    match value {
        Value::String(text) => shape == Shape::Text && text.is_empty(),
        Value::Bool(flag) => !flag,
        Value::Number(number) => {
            matches!(shape, Shape::Number | Shape::LongNumber) && number.as_i64() == Some(0)
        }
        Value::Array(items) => items.is_empty(),
        Value::Object(members) => {
            matches!(shape, Shape::TextByKey | Shape::AmountByKey) && members.is_empty()
        }
        Value::Null => true,
    }
}
