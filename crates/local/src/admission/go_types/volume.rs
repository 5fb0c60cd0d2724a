//! Kubernetes' types of volumes.

use super::container::{LOCAL_OBJECT_REFERENCE, OBJECT_FIELD_SELECTOR, RESOURCE_FIELD_SELECTOR};
use super::types::GoType::{
    Flag, Int32, Int64, List, Map, Opaque, Pointer, Quantity, Struct, Text,
};
use super::types::{GoStruct, TEXT, inline, keep, omit};

pub(super) static VOLUME: GoStruct = GoStruct {
    name: "Volume",
    fields: &[keep("name", TEXT), inline("VolumeSource", &VOLUME_SOURCE)],
};

pub(super) static VOLUME_SOURCE: GoStruct = GoStruct {
    name: "VolumeSource",
    fields: &[
        omit("hostPath", Pointer(&Struct(&HOST_PATH_VOLUME_SOURCE))),
        omit("emptyDir", Pointer(&Struct(&EMPTY_DIR_VOLUME_SOURCE))),
        omit(
            "gcePersistentDisk",
            Pointer(&Opaque("v1.GCEPersistentDiskVolumeSource")),
        ),
        omit(
            "awsElasticBlockStore",
            Pointer(&Opaque("v1.AWSElasticBlockStoreVolumeSource")),
        ),
        omit("gitRepo", Pointer(&Opaque("v1.GitRepoVolumeSource"))),
        omit("secret", Pointer(&Struct(&SECRET_VOLUME_SOURCE))),
        omit("nfs", Pointer(&Opaque("v1.NFSVolumeSource"))),
        omit("iscsi", Pointer(&Opaque("v1.ISCSIVolumeSource"))),
        omit("glusterfs", Pointer(&Opaque("v1.GlusterfsVolumeSource"))),
        omit(
            "persistentVolumeClaim",
            Pointer(&Struct(&PERSISTENT_VOLUME_CLAIM_VOLUME_SOURCE)),
        ),
        omit("rbd", Pointer(&Opaque("v1.RBDVolumeSource"))),
        omit("flexVolume", Pointer(&Opaque("v1.FlexVolumeSource"))),
        omit("cinder", Pointer(&Opaque("v1.CinderVolumeSource"))),
        omit("cephfs", Pointer(&Opaque("v1.CephFSVolumeSource"))),
        omit("flocker", Pointer(&Opaque("v1.FlockerVolumeSource"))),
        omit(
            "downwardAPI",
            Pointer(&Opaque("v1.DownwardAPIVolumeSource")),
        ),
        omit("fc", Pointer(&Opaque("v1.FCVolumeSource"))),
        omit("azureFile", Pointer(&Opaque("v1.AzureFileVolumeSource"))),
        omit("configMap", Pointer(&Struct(&CONFIG_MAP_VOLUME_SOURCE))),
        omit(
            "vsphereVolume",
            Pointer(&Opaque("v1.VsphereVirtualDiskVolumeSource")),
        ),
        omit("quobyte", Pointer(&Opaque("v1.QuobyteVolumeSource"))),
        omit("azureDisk", Pointer(&Opaque("v1.AzureDiskVolumeSource"))),
        omit(
            "photonPersistentDisk",
            Pointer(&Opaque("v1.PhotonPersistentDiskVolumeSource")),
        ),
        omit("projected", Pointer(&Struct(&PROJECTED_VOLUME_SOURCE))),
        omit(
            "portworxVolume",
            Pointer(&Opaque("v1.PortworxVolumeSource")),
        ),
        omit("scaleIO", Pointer(&Opaque("v1.ScaleIOVolumeSource"))),
        omit("storageos", Pointer(&Opaque("v1.StorageOSVolumeSource"))),
        omit("csi", Pointer(&Struct(&CSI_VOLUME_SOURCE))),
        omit("ephemeral", Pointer(&Opaque("v1.EphemeralVolumeSource"))),
        omit("image", Pointer(&Struct(&IMAGE_VOLUME_SOURCE))),
    ],
};

pub(super) static CONFIG_MAP_VOLUME_SOURCE: GoStruct = GoStruct {
    name: "ConfigMapVolumeSource",
    fields: &[
        inline("LocalObjectReference", &LOCAL_OBJECT_REFERENCE),
        omit("items", List(&Struct(&KEY_TO_PATH))),
        omit("defaultMode", Pointer(&Int32)),
        omit("optional", Pointer(&Flag)),
    ],
};

pub(super) static SECRET_VOLUME_SOURCE: GoStruct = GoStruct {
    name: "SecretVolumeSource",
    fields: &[
        omit("secretName", TEXT),
        omit("items", List(&Struct(&KEY_TO_PATH))),
        omit("defaultMode", Pointer(&Int32)),
        omit("optional", Pointer(&Flag)),
    ],
};

pub(super) static PROJECTED_VOLUME_SOURCE: GoStruct = GoStruct {
    name: "ProjectedVolumeSource",
    fields: &[
        keep("sources", List(&Struct(&VOLUME_PROJECTION))),
        omit("defaultMode", Pointer(&Int32)),
    ],
};

pub(super) static VOLUME_PROJECTION: GoStruct = GoStruct {
    name: "VolumeProjection",
    fields: &[
        omit("secret", Pointer(&Struct(&SECRET_PROJECTION))),
        omit("downwardAPI", Pointer(&Struct(&DOWNWARD_API_PROJECTION))),
        omit("configMap", Pointer(&Struct(&CONFIG_MAP_PROJECTION))),
        omit(
            "serviceAccountToken",
            Pointer(&Struct(&SERVICE_ACCOUNT_TOKEN_PROJECTION)),
        ),
        omit(
            "clusterTrustBundle",
            Pointer(&Opaque("v1.ClusterTrustBundleProjection")),
        ),
        omit(
            "podCertificate",
            Pointer(&Opaque("v1.PodCertificateProjection")),
        ),
    ],
};

pub(super) static SECRET_PROJECTION: GoStruct = GoStruct {
    name: "SecretProjection",
    fields: &[
        inline("LocalObjectReference", &LOCAL_OBJECT_REFERENCE),
        omit("items", List(&Struct(&KEY_TO_PATH))),
        omit("optional", Pointer(&Flag)),
    ],
};

pub(super) static CONFIG_MAP_PROJECTION: GoStruct = GoStruct {
    name: "ConfigMapProjection",
    fields: &[
        inline("LocalObjectReference", &LOCAL_OBJECT_REFERENCE),
        omit("items", List(&Struct(&KEY_TO_PATH))),
        omit("optional", Pointer(&Flag)),
    ],
};

pub(super) static SERVICE_ACCOUNT_TOKEN_PROJECTION: GoStruct = GoStruct {
    name: "ServiceAccountTokenProjection",
    fields: &[
        omit("audience", TEXT),
        omit("expirationSeconds", Pointer(&Int64)),
        keep("path", TEXT),
    ],
};

pub(super) static DOWNWARD_API_PROJECTION: GoStruct = GoStruct {
    name: "DownwardAPIProjection",
    fields: &[omit("items", List(&Struct(&DOWNWARD_API_VOLUME_FILE)))],
};

pub(super) static DOWNWARD_API_VOLUME_FILE: GoStruct = GoStruct {
    name: "DownwardAPIVolumeFile",
    fields: &[
        keep("path", TEXT),
        omit("fieldRef", Pointer(&Struct(&OBJECT_FIELD_SELECTOR))),
        omit(
            "resourceFieldRef",
            Pointer(&Struct(&RESOURCE_FIELD_SELECTOR)),
        ),
        omit("mode", Pointer(&Int32)),
    ],
};

pub(super) static KEY_TO_PATH: GoStruct = GoStruct {
    name: "KeyToPath",
    fields: &[
        keep("key", TEXT),
        keep("path", TEXT),
        omit("mode", Pointer(&Int32)),
    ],
};

pub(super) static EMPTY_DIR_VOLUME_SOURCE: GoStruct = GoStruct {
    name: "EmptyDirVolumeSource",
    fields: &[
        omit("medium", Text("v1.StorageMedium")),
        omit("sizeLimit", Pointer(&Quantity)),
    ],
};

pub(super) static PERSISTENT_VOLUME_CLAIM_VOLUME_SOURCE: GoStruct = GoStruct {
    name: "PersistentVolumeClaimVolumeSource",
    fields: &[keep("claimName", TEXT), omit("readOnly", Flag)],
};

pub(super) static HOST_PATH_VOLUME_SOURCE: GoStruct = GoStruct {
    name: "HostPathVolumeSource",
    fields: &[
        keep("path", TEXT),
        omit("type", Pointer(&Text("v1.HostPathType"))),
    ],
};

pub(super) static CSI_VOLUME_SOURCE: GoStruct = GoStruct {
    name: "CSIVolumeSource",
    fields: &[
        keep("driver", TEXT),
        omit("readOnly", Pointer(&Flag)),
        omit("fsType", Pointer(&TEXT)),
        omit("volumeAttributes", Map("map[string]string", &TEXT)),
        omit(
            "nodePublishSecretRef",
            Pointer(&Struct(&LOCAL_OBJECT_REFERENCE)),
        ),
    ],
};

pub(super) static IMAGE_VOLUME_SOURCE: GoStruct = GoStruct {
    name: "ImageVolumeSource",
    fields: &[
        omit("reference", TEXT),
        omit("pullPolicy", Text("v1.PullPolicy")),
    ],
};
