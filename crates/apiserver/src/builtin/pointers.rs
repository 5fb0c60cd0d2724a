//! Which plain fields of Kubernetes' own types are pointers in Go: the only ones that can be there and
//! be empty, `false` or 0. All others are left out when they are empty.
//!
//! One line a type, without its `io.k8s.api.` or `io.k8s.apimachinery.pkg.apis.`, then the fields. A
//! line that begins with a space goes on with the type above. Source: the types of Kubernetes 1.34.

use std::collections::{HashMap, HashSet};
use std::sync::LazyLock;

const TABLE: &str = "
admissionregistration.v1.MatchResources matchPolicy
admissionregistration.v1.MutatingWebhook failurePolicy matchPolicy timeoutSeconds
    reinvocationPolicy
admissionregistration.v1.ParamRef parameterNotFoundAction
admissionregistration.v1.Rule scope
admissionregistration.v1.ServiceReference path port
admissionregistration.v1.ValidatingAdmissionPolicySpec failurePolicy
admissionregistration.v1.ValidatingWebhook failurePolicy matchPolicy timeoutSeconds
admissionregistration.v1.WebhookClientConfig url
apps.v1.DaemonSetSpec revisionHistoryLimit
apps.v1.DaemonSetStatus collisionCount
apps.v1.DeploymentSpec replicas revisionHistoryLimit progressDeadlineSeconds
apps.v1.DeploymentStatus terminatingReplicas collisionCount
apps.v1.ReplicaSetSpec replicas
apps.v1.ReplicaSetStatus terminatingReplicas
apps.v1.RollingUpdateStatefulSetStrategy partition
apps.v1.StatefulSetSpec replicas revisionHistoryLimit
apps.v1.StatefulSetStatus collisionCount
autoscaling.v1.HorizontalPodAutoscalerSpec minReplicas targetCPUUtilizationPercentage
autoscaling.v1.HorizontalPodAutoscalerStatus observedGeneration currentCPUUtilizationPercentage
autoscaling.v2.HPAScalingRules stabilizationWindowSeconds selectPolicy
autoscaling.v2.HorizontalPodAutoscalerSpec minReplicas
autoscaling.v2.HorizontalPodAutoscalerStatus observedGeneration
autoscaling.v2.MetricTarget averageUtilization
autoscaling.v2.MetricValueStatus averageUtilization
coordination.v1.LeaseSpec holderIdentity leaseDurationSeconds leaseTransitions strategy
    preferredHolder
core.v1.AppArmorProfile localhostProfile
core.v1.AzureDiskVolumeSource cachingMode fsType readOnly kind
core.v1.CSIVolumeSource readOnly fsType
core.v1.ClientIPConfig timeoutSeconds
core.v1.ClusterTrustBundleProjection name signerName optional
core.v1.ConfigMap immutable
core.v1.ConfigMapEnvSource optional
core.v1.ConfigMapKeySelector optional
core.v1.ConfigMapProjection optional
core.v1.ConfigMapVolumeSource defaultMode optional
core.v1.Container restartPolicy
core.v1.ContainerStatus started stopSignal
core.v1.DownwardAPIVolumeFile mode
core.v1.DownwardAPIVolumeSource defaultMode
core.v1.EndpointAddress nodeName
core.v1.EndpointPort appProtocol
core.v1.EphemeralContainer restartPolicy
core.v1.FCVolumeSource lun
core.v1.FileKeySelector optional
core.v1.GlusterfsPersistentVolumeSource endpointsNamespace
core.v1.HostPathVolumeSource type
core.v1.ISCSIPersistentVolumeSource initiatorName
core.v1.ISCSIVolumeSource initiatorName
core.v1.KeyToPath mode
core.v1.Lifecycle stopSignal
core.v1.LoadBalancerIngress ipMode
core.v1.LocalVolumeSource fsType
core.v1.NodeFeatures supplementalGroupsPolicy
core.v1.NodeRuntimeHandlerFeatures recursiveReadOnlyMounts userNamespaces
core.v1.NodeSwapStatus capacity
core.v1.PersistentVolumeClaimSpec storageClassName volumeMode volumeAttributesClassName
core.v1.PersistentVolumeClaimStatus currentVolumeAttributesClassName
core.v1.PersistentVolumeSpec volumeMode volumeAttributesClassName
core.v1.PodCertificateProjection maxExpirationSeconds
core.v1.PodDNSConfigOption value
core.v1.PodResourceClaim resourceClaimName resourceClaimTemplateName
core.v1.PodResourceClaimStatus resourceClaimName
core.v1.PodSecurityContext runAsUser runAsGroup runAsNonRoot supplementalGroupsPolicy fsGroup
    fsGroupChangePolicy seLinuxChangePolicy
core.v1.PodSpec terminationGracePeriodSeconds activeDeadlineSeconds automountServiceAccountToken
    shareProcessNamespace priority runtimeClassName enableServiceLinks preemptionPolicy
    setHostnameAsFQDN hostUsers hostnameOverride
core.v1.PortStatus error
core.v1.Probe terminationGracePeriodSeconds
core.v1.ProjectedVolumeSource defaultMode
core.v1.ReplicationControllerSpec replicas
core.v1.SeccompProfile localhostProfile
core.v1.Secret immutable
core.v1.SecretEnvSource optional
core.v1.SecretKeySelector optional
core.v1.SecretProjection optional
core.v1.SecretVolumeSource defaultMode optional
core.v1.SecurityContext privileged runAsUser runAsGroup runAsNonRoot readOnlyRootFilesystem
    allowPrivilegeEscalation procMount
core.v1.ServiceAccount automountServiceAccountToken
core.v1.ServiceAccountTokenProjection expirationSeconds
core.v1.ServicePort appProtocol
core.v1.ServiceSpec ipFamilyPolicy allocateLoadBalancerNodePorts loadBalancerClass
    internalTrafficPolicy trafficDistribution
core.v1.Toleration tolerationSeconds
core.v1.TopologySpreadConstraint minDomains nodeAffinityPolicy nodeTaintsPolicy
core.v1.TypedObjectReference namespace
core.v1.VolumeMount recursiveReadOnly mountPropagation
core.v1.VolumeMountStatus recursiveReadOnly
core.v1.WindowsSecurityContextOptions gmsaCredentialSpecName gmsaCredentialSpec runAsUserName
    hostProcess
discovery.v1.Endpoint hostname nodeName zone
discovery.v1.EndpointConditions ready serving terminating
discovery.v1.EndpointPort name protocol port appProtocol
meta.v1.ObjectMeta deletionGracePeriodSeconds
meta.v1.OwnerReference controller blockOwnerDeletion
apiextensions.v1.CustomResourceDefinitionVersion deprecationWarning
apiextensions.v1.CustomResourceSubresourceScale labelSelectorPath
apiextensions.v1.JSONSchemaProps $ref maximum minimum maxLength minLength maxItems minItems
    multipleOf maxProperties minProperties x-kubernetes-preserve-unknown-fields
    x-kubernetes-list-type x-kubernetes-map-type
apiextensions.v1.ServiceReference path port
apiextensions.v1.ValidationRule reason optionalOldSelf
apiextensions.v1.WebhookClientConfig url
";

static POINTERS: LazyLock<HashMap<&str, HashSet<&str>>> = LazyLock::new(|| {
    let mut all: HashMap<&str, HashSet<&str>> = HashMap::new();
    let mut of = "";
    for line in TABLE.lines() {
        let mut words = line.split_whitespace();
        if !line.starts_with(' ') {
            of = words.next().unwrap_or_default();
        }
        all.entry(of).or_default().extend(words);
    }
    all
});

/// Whether a field of a type is a pointer; the type by its name in OpenAPI.
pub(super) fn is_pointer(definition: &str, field: &str) -> bool {
    // `io.k8s.api.core.v1.Container` is `core.v1.Container`.
    let short = definition
        .rmatch_indices('.')
        .nth(2)
        .and_then(|(at, _)| definition.get(at + 1..))
        .unwrap_or(definition);
    POINTERS
        .get(short)
        .is_some_and(|fields| fields.contains(field))
}
