//! Kubernetes' types of containers.

use super::types::GoType::{
    Flag, Int32, Int64, IntOrString, List, Map, Opaque, Pointer, Quantity, Struct, Text,
};
use super::types::{GoStruct, TEXT, inline, keep, omit};

pub(super) static CONTAINER: GoStruct = GoStruct {
    name: "Container",
    fields: &[
        keep("name", TEXT),
        omit("image", TEXT),
        omit("command", List(&TEXT)),
        omit("args", List(&TEXT)),
        omit("workingDir", TEXT),
        omit("ports", List(&Struct(&CONTAINER_PORT))),
        omit("envFrom", List(&Struct(&ENV_FROM_SOURCE))),
        omit("env", List(&Struct(&ENV_VAR))),
        omit("resources", Struct(&RESOURCE_REQUIREMENTS)),
        omit("resizePolicy", List(&Opaque("v1.ContainerResizePolicy"))),
        omit("restartPolicy", Pointer(&Text("v1.ContainerRestartPolicy"))),
        omit(
            "restartPolicyRules",
            List(&Opaque("v1.ContainerRestartRule")),
        ),
        omit("volumeMounts", List(&Struct(&VOLUME_MOUNT))),
        omit("volumeDevices", List(&Struct(&VOLUME_DEVICE))),
        omit("livenessProbe", Pointer(&Struct(&PROBE))),
        omit("readinessProbe", Pointer(&Struct(&PROBE))),
        omit("startupProbe", Pointer(&Struct(&PROBE))),
        omit("lifecycle", Pointer(&Opaque("v1.Lifecycle"))),
        omit("terminationMessagePath", TEXT),
        omit(
            "terminationMessagePolicy",
            Text("v1.TerminationMessagePolicy"),
        ),
        omit("imagePullPolicy", Text("v1.PullPolicy")),
        omit("securityContext", Pointer(&Struct(&SECURITY_CONTEXT))),
        omit("stdin", Flag),
        omit("stdinOnce", Flag),
        omit("tty", Flag),
    ],
};

pub(super) static ENV_VAR: GoStruct = GoStruct {
    name: "EnvVar",
    fields: &[
        keep("name", TEXT),
        omit("value", TEXT),
        omit("valueFrom", Pointer(&Struct(&ENV_VAR_SOURCE))),
    ],
};

pub(super) static ENV_VAR_SOURCE: GoStruct = GoStruct {
    name: "EnvVarSource",
    fields: &[
        omit("fieldRef", Pointer(&Struct(&OBJECT_FIELD_SELECTOR))),
        omit(
            "resourceFieldRef",
            Pointer(&Struct(&RESOURCE_FIELD_SELECTOR)),
        ),
        omit(
            "configMapKeyRef",
            Pointer(&Struct(&CONFIG_MAP_KEY_SELECTOR)),
        ),
        omit("secretKeyRef", Pointer(&Struct(&SECRET_KEY_SELECTOR))),
        omit("fileKeyRef", Pointer(&Opaque("v1.FileKeySelector"))),
    ],
};

pub(super) static OBJECT_FIELD_SELECTOR: GoStruct = GoStruct {
    name: "ObjectFieldSelector",
    fields: &[omit("apiVersion", TEXT), keep("fieldPath", TEXT)],
};

pub(super) static RESOURCE_FIELD_SELECTOR: GoStruct = GoStruct {
    name: "ResourceFieldSelector",
    fields: &[
        omit("containerName", TEXT),
        keep("resource", TEXT),
        omit("divisor", Quantity),
    ],
};

pub(super) static CONFIG_MAP_KEY_SELECTOR: GoStruct = GoStruct {
    name: "ConfigMapKeySelector",
    fields: &[
        inline("LocalObjectReference", &LOCAL_OBJECT_REFERENCE),
        keep("key", TEXT),
        omit("optional", Pointer(&Flag)),
    ],
};

pub(super) static SECRET_KEY_SELECTOR: GoStruct = GoStruct {
    name: "SecretKeySelector",
    fields: &[
        inline("LocalObjectReference", &LOCAL_OBJECT_REFERENCE),
        keep("key", TEXT),
        omit("optional", Pointer(&Flag)),
    ],
};

pub(super) static ENV_FROM_SOURCE: GoStruct = GoStruct {
    name: "EnvFromSource",
    fields: &[
        omit("prefix", TEXT),
        omit("configMapRef", Pointer(&Struct(&CONFIG_MAP_ENV_SOURCE))),
        omit("secretRef", Pointer(&Struct(&SECRET_ENV_SOURCE))),
    ],
};

pub(super) static CONFIG_MAP_ENV_SOURCE: GoStruct = GoStruct {
    name: "ConfigMapEnvSource",
    fields: &[
        inline("LocalObjectReference", &LOCAL_OBJECT_REFERENCE),
        omit("optional", Pointer(&Flag)),
    ],
};

pub(super) static SECRET_ENV_SOURCE: GoStruct = GoStruct {
    name: "SecretEnvSource",
    fields: &[
        inline("LocalObjectReference", &LOCAL_OBJECT_REFERENCE),
        omit("optional", Pointer(&Flag)),
    ],
};

pub(super) static CONTAINER_PORT: GoStruct = GoStruct {
    name: "ContainerPort",
    fields: &[
        omit("name", TEXT),
        omit("hostPort", Int32),
        keep("containerPort", Int32),
        omit("protocol", Text("v1.Protocol")),
        omit("hostIP", TEXT),
    ],
};

pub(super) static RESOURCE_REQUIREMENTS: GoStruct = GoStruct {
    name: "ResourceRequirements",
    fields: &[
        omit("limits", Map("v1.ResourceList", &Quantity)),
        omit("requests", Map("v1.ResourceList", &Quantity)),
        omit("claims", List(&Struct(&RESOURCE_CLAIM))),
    ],
};

pub(super) static RESOURCE_CLAIM: GoStruct = GoStruct {
    name: "ResourceClaim",
    fields: &[keep("name", TEXT), omit("request", TEXT)],
};

pub(super) static PROBE: GoStruct = GoStruct {
    name: "Probe",
    fields: &[
        inline("ProbeHandler", &PROBE_HANDLER),
        omit("initialDelaySeconds", Int32),
        omit("timeoutSeconds", Int32),
        omit("periodSeconds", Int32),
        omit("successThreshold", Int32),
        omit("failureThreshold", Int32),
        omit("terminationGracePeriodSeconds", Pointer(&Int64)),
    ],
};

pub(super) static PROBE_HANDLER: GoStruct = GoStruct {
    name: "ProbeHandler",
    fields: &[
        omit("exec", Pointer(&Struct(&EXEC_ACTION))),
        omit("httpGet", Pointer(&Struct(&HTTP_GET_ACTION))),
        omit("tcpSocket", Pointer(&Struct(&TCP_SOCKET_ACTION))),
        omit("grpc", Pointer(&Struct(&GRPC_ACTION))),
    ],
};

pub(super) static HTTP_GET_ACTION: GoStruct = GoStruct {
    name: "HTTPGetAction",
    fields: &[
        omit("path", TEXT),
        keep("port", IntOrString),
        omit("host", TEXT),
        omit("scheme", Text("v1.URIScheme")),
        omit("httpHeaders", List(&Struct(&HTTP_HEADER))),
    ],
};

pub(super) static HTTP_HEADER: GoStruct = GoStruct {
    name: "HTTPHeader",
    fields: &[keep("name", TEXT), keep("value", TEXT)],
};

pub(super) static TCP_SOCKET_ACTION: GoStruct = GoStruct {
    name: "TCPSocketAction",
    fields: &[keep("port", IntOrString), omit("host", TEXT)],
};

pub(super) static EXEC_ACTION: GoStruct = GoStruct {
    name: "ExecAction",
    fields: &[omit("command", List(&TEXT))],
};

pub(super) static GRPC_ACTION: GoStruct = GoStruct {
    name: "GRPCAction",
    fields: &[keep("port", Int32), keep("service", Pointer(&TEXT))],
};

pub(super) static SECURITY_CONTEXT: GoStruct = GoStruct {
    name: "SecurityContext",
    fields: &[
        omit("capabilities", Pointer(&Struct(&CAPABILITIES))),
        omit("privileged", Pointer(&Flag)),
        omit("seLinuxOptions", Pointer(&Opaque("v1.SELinuxOptions"))),
        omit(
            "windowsOptions",
            Pointer(&Opaque("v1.WindowsSecurityContextOptions")),
        ),
        omit("runAsUser", Pointer(&Int64)),
        omit("runAsGroup", Pointer(&Int64)),
        omit("runAsNonRoot", Pointer(&Flag)),
        omit("readOnlyRootFilesystem", Pointer(&Flag)),
        omit("allowPrivilegeEscalation", Pointer(&Flag)),
        omit("procMount", Pointer(&Text("v1.ProcMountType"))),
        omit("seccompProfile", Pointer(&Struct(&SECCOMP_PROFILE))),
        omit("appArmorProfile", Pointer(&Opaque("v1.AppArmorProfile"))),
    ],
};

pub(super) static CAPABILITIES: GoStruct = GoStruct {
    name: "Capabilities",
    fields: &[
        omit("add", List(&Text("v1.Capability"))),
        omit("drop", List(&Text("v1.Capability"))),
    ],
};

pub(super) static SECCOMP_PROFILE: GoStruct = GoStruct {
    name: "SeccompProfile",
    fields: &[
        keep("type", Text("v1.SeccompProfileType")),
        omit("localhostProfile", Pointer(&TEXT)),
    ],
};

pub(super) static VOLUME_MOUNT: GoStruct = GoStruct {
    name: "VolumeMount",
    fields: &[
        keep("name", TEXT),
        omit("readOnly", Flag),
        omit(
            "recursiveReadOnly",
            Pointer(&Text("v1.RecursiveReadOnlyMode")),
        ),
        keep("mountPath", TEXT),
        omit("subPath", TEXT),
        omit(
            "mountPropagation",
            Pointer(&Text("v1.MountPropagationMode")),
        ),
        omit("subPathExpr", TEXT),
    ],
};

pub(super) static VOLUME_DEVICE: GoStruct = GoStruct {
    name: "VolumeDevice",
    fields: &[keep("name", TEXT), keep("devicePath", TEXT)],
};

pub(super) static LOCAL_OBJECT_REFERENCE: GoStruct = GoStruct {
    name: "LocalObjectReference",
    fields: &[omit("name", TEXT)],
};
