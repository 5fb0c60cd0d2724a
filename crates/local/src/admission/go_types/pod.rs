//! Kubernetes' type of Pods, as far as anything in it may be set.

use super::container::{CONTAINER, LOCAL_OBJECT_REFERENCE, RESOURCE_REQUIREMENTS, SECCOMP_PROFILE};
use super::types::GoType::{
    Flag, Int32, Int64, List, Map, Opaque, Pointer, Quantity, Struct, Text,
};
use super::types::{GoStruct, TEXT, keep, omit};
use super::volume::VOLUME;

pub(super) static POD_SPEC: GoStruct = GoStruct {
    name: "PodSpec",
    fields: &[
        omit("volumes", List(&Struct(&VOLUME))),
        omit("initContainers", List(&Struct(&CONTAINER))),
        keep("containers", List(&Struct(&CONTAINER))),
        omit(
            "ephemeralContainers",
            List(&Opaque("v1.EphemeralContainer")),
        ),
        omit("restartPolicy", Text("v1.RestartPolicy")),
        omit("terminationGracePeriodSeconds", Pointer(&Int64)),
        omit("activeDeadlineSeconds", Pointer(&Int64)),
        omit("dnsPolicy", Text("v1.DNSPolicy")),
        omit("nodeSelector", Map("map[string]string", &TEXT)),
        omit("serviceAccountName", TEXT),
        omit("serviceAccount", TEXT),
        omit("automountServiceAccountToken", Pointer(&Flag)),
        omit("nodeName", TEXT),
        omit("hostNetwork", Flag),
        omit("hostPID", Flag),
        omit("hostIPC", Flag),
        omit("shareProcessNamespace", Pointer(&Flag)),
        omit("securityContext", Pointer(&Struct(&POD_SECURITY_CONTEXT))),
        omit("imagePullSecrets", List(&Struct(&LOCAL_OBJECT_REFERENCE))),
        omit("hostname", TEXT),
        omit("subdomain", TEXT),
        omit("affinity", Pointer(&Opaque("v1.Affinity"))),
        omit("schedulerName", TEXT),
        omit("tolerations", List(&Opaque("v1.Toleration"))),
        omit("hostAliases", List(&Struct(&HOST_ALIAS))),
        omit("priorityClassName", TEXT),
        omit("priority", Pointer(&Int32)),
        omit("dnsConfig", Pointer(&Struct(&POD_DNS_CONFIG))),
        omit("readinessGates", List(&Opaque("v1.PodReadinessGate"))),
        omit("runtimeClassName", Pointer(&TEXT)),
        omit("enableServiceLinks", Pointer(&Flag)),
        omit("preemptionPolicy", Pointer(&Text("v1.PreemptionPolicy"))),
        omit("overhead", Map("v1.ResourceList", &Quantity)),
        omit(
            "topologySpreadConstraints",
            List(&Opaque("v1.TopologySpreadConstraint")),
        ),
        omit("setHostnameAsFQDN", Pointer(&Flag)),
        omit("os", Pointer(&Opaque("v1.PodOS"))),
        omit("hostUsers", Pointer(&Flag)),
        omit("schedulingGates", List(&Opaque("v1.PodSchedulingGate"))),
        omit("resourceClaims", List(&Opaque("v1.PodResourceClaim"))),
        omit("resources", Pointer(&Struct(&RESOURCE_REQUIREMENTS))),
        omit("hostnameOverride", Pointer(&TEXT)),
    ],
};

pub(super) static POD_SECURITY_CONTEXT: GoStruct = GoStruct {
    name: "PodSecurityContext",
    fields: &[
        omit("seLinuxOptions", Pointer(&Opaque("v1.SELinuxOptions"))),
        omit(
            "windowsOptions",
            Pointer(&Opaque("v1.WindowsSecurityContextOptions")),
        ),
        omit("runAsUser", Pointer(&Int64)),
        omit("runAsGroup", Pointer(&Int64)),
        omit("runAsNonRoot", Pointer(&Flag)),
        omit("supplementalGroups", List(&Int64)),
        omit(
            "supplementalGroupsPolicy",
            Pointer(&Text("v1.SupplementalGroupsPolicy")),
        ),
        omit("fsGroup", Pointer(&Int64)),
        omit("sysctls", List(&Opaque("v1.Sysctl"))),
        omit(
            "fsGroupChangePolicy",
            Pointer(&Text("v1.PodFSGroupChangePolicy")),
        ),
        omit("seccompProfile", Pointer(&Struct(&SECCOMP_PROFILE))),
        omit("appArmorProfile", Pointer(&Opaque("v1.AppArmorProfile"))),
        omit(
            "seLinuxChangePolicy",
            Pointer(&Text("v1.PodSELinuxChangePolicy")),
        ),
    ],
};

pub(super) static HOST_ALIAS: GoStruct = GoStruct {
    name: "HostAlias",
    fields: &[keep("ip", TEXT), omit("hostnames", List(&TEXT))],
};

pub(super) static POD_DNS_CONFIG: GoStruct = GoStruct {
    name: "PodDNSConfig",
    fields: &[
        omit("nameservers", List(&TEXT)),
        omit("searches", List(&TEXT)),
        omit("options", List(&Opaque("v1.PodDNSConfigOption"))),
    ],
};
