//! What Kubernetes publishes about the merging of its own types, as a table.
//!
//! One line a definition, without its `io.k8s.api.` or `io.k8s.apimachinery.pkg.apis.`;
//! then `field=mark,mark`:
//!
//! | mark | says |
//! |---|---|
//! | `map:KEY+KEY` | a list of objects, told apart by these keys |
//! | `set` | a list of scalars, each once |
//! | `atomic` | a map, or (field `.`) the type itself, that is one value |
//! | `granular` | here not atomic, though the type is |
//! | `struct` | a Go struct that is there even when empty: nobody owns it as such |
//! | `patch:STRATEGY+STRATEGY:KEY` | how strategic merge patch treats it |
//!
//! A line that begins with a space goes on with the definition above.
//!
//! Source: the `+listType`, `+structType`, `patchStrategy` and `patchMergeKey` markers of
//! Kubernetes 1.34's types. Lists that are not named here are atomic.

/// The table; [`schema::merge_keys`](crate::schema) reads it.
pub(super) const TABLE: &str = "
admissionregistration.v1.MutatingWebhook clientConfig=struct
    matchConditions=map:name,patch:merge:name
admissionregistration.v1.MutatingWebhookConfiguration metadata=struct
    webhooks=map:name,patch:merge:name
admissionregistration.v1.ValidatingWebhook clientConfig=struct
    matchConditions=map:name,patch:merge:name
admissionregistration.v1.ValidatingWebhookConfiguration metadata=struct
    webhooks=map:name,patch:merge:name
apps.v1.ControllerRevision metadata=struct
apps.v1.DaemonSet metadata=struct spec=struct status=struct
apps.v1.DaemonSetSpec template=struct updateStrategy=struct
apps.v1.DaemonSetStatus conditions=map:type,patch:merge:type
apps.v1.Deployment metadata=struct spec=struct status=struct
apps.v1.DeploymentSpec strategy=struct,patch:retainKeys template=struct
apps.v1.DeploymentStatus conditions=map:type,patch:merge:type
apps.v1.ReplicaSet metadata=struct spec=struct status=struct
apps.v1.ReplicaSetSpec template=struct
apps.v1.ReplicaSetStatus conditions=map:type,patch:merge:type
apps.v1.StatefulSet metadata=struct spec=struct status=struct
apps.v1.StatefulSetSpec template=struct updateStrategy=struct
apps.v1.StatefulSetStatus conditions=map:type,patch:merge:type
autoscaling.v2.ContainerResourceMetricSource target=struct
autoscaling.v2.ContainerResourceMetricStatus current=struct
autoscaling.v2.ExternalMetricSource metric=struct target=struct
autoscaling.v2.ExternalMetricStatus current=struct metric=struct
autoscaling.v2.HorizontalPodAutoscaler metadata=struct spec=struct status=struct
autoscaling.v2.HorizontalPodAutoscalerSpec scaleTargetRef=struct
autoscaling.v2.HorizontalPodAutoscalerStatus conditions=map:type,patch:merge:type
autoscaling.v2.ObjectMetricSource describedObject=struct metric=struct target=struct
autoscaling.v2.ObjectMetricStatus current=struct describedObject=struct metric=struct
autoscaling.v2.PodsMetricSource metric=struct target=struct
autoscaling.v2.PodsMetricStatus current=struct metric=struct
autoscaling.v2.ResourceMetricSource target=struct
autoscaling.v2.ResourceMetricStatus current=struct
batch.v1.CronJob metadata=struct spec=struct status=struct
batch.v1.CronJobSpec jobTemplate=struct
batch.v1.Job metadata=struct spec=struct status=struct
batch.v1.JobSpec template=struct
batch.v1.JobStatus conditions=patch:merge:type
batch.v1.JobTemplateSpec metadata=struct spec=struct
batch.v1.PodFailurePolicyOnExitCodesRequirement values=set
batch.v1.UncountedTerminatedPods failed=set succeeded=set
coordination.v1.Lease metadata=struct spec=struct
core.v1.ConfigMap metadata=struct
core.v1.ConfigMapKeySelector .=atomic
core.v1.Container env=map:name,patch:merge:name
    ports=map:containerPort+protocol,patch:merge:containerPort resources=struct
    volumeDevices=map:devicePath,patch:merge:devicePath
    volumeMounts=map:mountPath,patch:merge:mountPath
core.v1.ContainerRestartRuleOnExitCodes values=set
core.v1.ContainerStatus allocatedResourcesStatus=map:name,patch:merge:name lastState=struct
    state=struct volumeMounts=map:mountPath,patch:merge:mountPath
core.v1.EndpointAddress .=atomic
core.v1.EndpointPort .=atomic
core.v1.Endpoints metadata=struct
core.v1.EphemeralContainer env=map:name,patch:merge:name
    ports=map:containerPort+protocol,patch:merge:containerPort resources=struct
    volumeDevices=map:devicePath,patch:merge:devicePath
    volumeMounts=map:mountPath,patch:merge:mountPath
core.v1.Event involvedObject=struct metadata=struct source=struct
core.v1.FileKeySelector .=atomic
core.v1.LimitRange metadata=struct spec=struct
core.v1.LocalObjectReference .=atomic
core.v1.Namespace metadata=struct spec=struct status=struct
core.v1.NamespaceStatus conditions=map:type,patch:merge:type
core.v1.Node metadata=struct spec=struct status=struct
core.v1.NodeDaemonEndpoints kubeletEndpoint=struct
core.v1.NodeSelector .=atomic
core.v1.NodeSelectorTerm .=atomic
core.v1.NodeSpec podCIDRs=set,patch:merge
core.v1.NodeStatus addresses=map:type,patch:merge:type conditions=map:type,patch:merge:type
    daemonEndpoints=struct nodeInfo=struct
core.v1.ObjectFieldSelector .=atomic
core.v1.ObjectReference .=atomic
core.v1.PersistentVolume metadata=struct spec=struct status=struct
core.v1.PersistentVolumeClaim metadata=struct spec=struct status=struct
core.v1.PersistentVolumeClaimSpec resources=struct
core.v1.PersistentVolumeClaimStatus conditions=map:type,patch:merge:type
core.v1.PersistentVolumeClaimTemplate metadata=struct spec=struct
core.v1.PersistentVolumeSpec claimRef=granular
core.v1.Pod metadata=struct spec=struct status=struct
core.v1.PodSpec containers=map:name,patch:merge:name
    ephemeralContainers=map:name,patch:merge:name hostAliases=map:ip,patch:merge:ip
    imagePullSecrets=map:name,patch:merge:name initContainers=map:name,patch:merge:name
    nodeSelector=atomic resourceClaims=map:name,patch:merge+retainKeys:name
    schedulingGates=map:name,patch:merge:name
    topologySpreadConstraints=map:topologyKey+whenUnsatisfiable,patch:merge:topologyKey
    volumes=map:name,patch:merge+retainKeys:name
core.v1.PodStatus conditions=map:type,patch:merge:type hostIPs=patch:merge:ip
    podIPs=map:ip,patch:merge:ip resourceClaimStatuses=map:name,patch:merge+retainKeys:name
core.v1.PodTemplate metadata=struct template=struct
core.v1.PodTemplateSpec metadata=struct spec=struct
core.v1.PreferredSchedulingTerm preference=struct
core.v1.ReplicationController metadata=struct spec=struct status=struct
core.v1.ReplicationControllerSpec selector=atomic
core.v1.ReplicationControllerStatus conditions=map:type,patch:merge:type
core.v1.ResourceFieldSelector .=atomic
core.v1.ResourceQuota metadata=struct spec=struct status=struct
core.v1.ResourceRequirements claims=map:name
core.v1.ResourceStatus resources=map:resourceID
core.v1.ScopeSelector .=atomic
core.v1.Secret metadata=struct
core.v1.SecretKeySelector .=atomic
core.v1.SecretReference .=atomic
core.v1.Service metadata=struct spec=struct status=struct
core.v1.ServiceAccount metadata=struct secrets=map:name,patch:merge:name
core.v1.ServiceSpec ports=map:port+protocol,patch:merge:port selector=atomic
core.v1.ServiceStatus conditions=map:type,patch:merge:type loadBalancer=struct
core.v1.TopologySelectorTerm .=atomic
core.v1.TypedLocalObjectReference .=atomic
core.v1.WeightedPodAffinityTerm podAffinityTerm=struct
discovery.v1.Endpoint addresses=set conditions=struct
discovery.v1.EndpointPort .=atomic
discovery.v1.EndpointSlice metadata=struct
events.v1.Event deprecatedSource=struct metadata=struct regarding=struct
networking.v1.HTTPIngressPath backend=struct
networking.v1.Ingress metadata=struct spec=struct status=struct
networking.v1.IngressClass metadata=struct spec=struct
networking.v1.IngressServiceBackend port=struct
networking.v1.IngressStatus loadBalancer=struct
networking.v1.NetworkPolicy metadata=struct spec=struct
networking.v1.NetworkPolicySpec podSelector=struct
networking.v1.ServiceBackendPort .=atomic
policy.v1.PodDisruptionBudget metadata=struct spec=struct status=struct
policy.v1.PodDisruptionBudgetSpec selector=patch:replace
policy.v1.PodDisruptionBudgetStatus conditions=map:type,patch:merge:type
rbac.v1.ClusterRole metadata=struct
rbac.v1.ClusterRoleBinding metadata=struct roleRef=struct
rbac.v1.Role metadata=struct
rbac.v1.RoleBinding metadata=struct roleRef=struct
rbac.v1.RoleRef .=atomic
rbac.v1.Subject .=atomic
scheduling.v1.PriorityClass metadata=struct
storage.v1.StorageClass metadata=struct
meta.v1.LabelSelector .=atomic
meta.v1.ObjectMeta finalizers=set,patch:merge ownerReferences=map:uid,patch:merge:uid
meta.v1.OwnerReference .=atomic
apiextensions.v1.CustomResourceDefinition metadata=struct spec=struct status=struct
apiextensions.v1.CustomResourceDefinitionSpec names=struct
apiextensions.v1.CustomResourceDefinitionStatus acceptedNames=struct conditions=map:type
apiextensions.v1.JSONSchemaProps x-kubernetes-validations=map:rule,patch:merge:rule
";
