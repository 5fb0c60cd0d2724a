//! The cluster that this program runs inside of: a test bed, or any other with Knative and Kourier.
//!
//! Each stage gets a namespace of its own, so that several stories can be told side by side.

use std::net::SocketAddr;
use std::path::PathBuf;

use k8s_openapi::api::core::v1::{ConfigMap, Namespace, Service};
use kube::api::{DeleteParams, DynamicObject, Patch, PatchParams, PostParams};
use kube::core::{ApiResource, GroupVersionKind};
use kube::{Api, Client, ResourceExt};
use serde_json::{Value, json};
use tokio::sync::{OnceCell, RwLock, RwLockReadGuard, RwLockWriteGuard};

use super::{GUARD, REFUSE, REFUSED_TAG};

/// Names the state folder of the bed that this program runs in, and so says that there is one.
const BED: &str = "SLUICE_BED";

/// A label of namespaces that the guard has no say in.
const LIFTED: &str = "guard.example.com/lifted";

/// Whether stories play on a real cluster.
pub fn is_here() -> bool {
    std::env::var_os(BED).is_some()
}

/// The kubeconfig that this program was given.
pub fn kubeconfig() -> PathBuf {
    std::env::var_os("KUBECONFIG")
        .expect("a bed says it")
        .into()
}

/// Stories share the cluster; one that stops a part of it has it for itself.
static CLUSTER: RwLock<()> = RwLock::const_new(());

enum Turn {
    Shared {
        _turn: RwLockReadGuard<'static, ()>,
    },
    Alone {
        _turn: RwLockWriteGuard<'static, ()>,
    },
}

/// A namespace of a real cluster.
pub struct Real {
    /// Its API.
    pub client: Client,
    /// Where its gateway listens.
    pub gateway: SocketAddr,
    /// The domain that its services answer under.
    pub domain: String,
    /// The namespace.
    pub namespace: String,
    _turn: Turn,
}

impl Real {
    /// A namespace of its own on the cluster of `KUBECONFIG`; no other story is told meanwhile
    /// where it is to be `alone`.
    pub async fn start(alone: bool) -> Self {
        let turn = if alone {
            let _turn = CLUSTER.write().await;
            Turn::Alone { _turn }
        } else {
            let _turn = CLUSTER.read().await;
            Turn::Shared { _turn }
        };
        let client = Client::try_default().await.unwrap();
        static GUARDED: OnceCell<()> = OnceCell::const_new();
        GUARDED.get_or_init(|| guard(&client)).await;
        let namespace: Namespace =
            serde_json::from_value(json!({"metadata": {"generateName": "story-"}})).unwrap();
        let made = Api::all(client.clone())
            .create(&PostParams::default(), &namespace)
            .await
            .unwrap();
        Self {
            gateway: gateway(&client).await,
            domain: domain(&client).await,
            namespace: made.name_any(),
            client,
            _turn: turn,
        }
    }

    /// The guard lets everything into this namespace from now on.
    pub async fn lift_guard(&self) {
        let namespaces: Api<Namespace> = Api::all(self.client.clone());
        let label = json!({"metadata": {"labels": {LIFTED: "true"}}});
        let params = PatchParams::default();
        namespaces
            .patch(&self.namespace, &params, &Patch::Merge(label))
            .await
            .unwrap();
    }

    /// Its objects go; nobody waits for them.
    pub async fn end(self) {
        let namespaces: Api<Namespace> = Api::all(self.client);
        namespaces
            .delete(&self.namespace, &DeleteParams::default())
            .await
            .unwrap();
    }
}

async fn gateway(client: &Client) -> SocketAddr {
    let services: Api<Service> = Api::namespaced(client.clone(), "kourier-system");
    let kourier = services.get("kourier").await.unwrap();
    let status = kourier.status.unwrap().load_balancer.unwrap();
    let address = status.ingress.unwrap().remove(0).ip.unwrap();
    SocketAddr::new(address.parse().unwrap(), 80)
}

async fn domain(client: &Client) -> String {
    let maps: Api<ConfigMap> = Api::namespaced(client.clone(), "knative-serving");
    let domains = maps.get("config-domain").await.unwrap().data.unwrap();
    let mut names = domains.into_keys().filter(|name| !name.starts_with('_'));
    names.next().expect("config-domain names a domain")
}

/// The cluster's owners refuse what carries [`REFUSE`]: by an admission policy, which needs no server.
async fn guard(client: &Client) {
    let refuses = |at: &str| format!("has({at}.annotations) && '{REFUSE}' in {at}.annotations");
    let (own, template) = ("object.metadata", "object.spec.template.metadata");
    let in_template = format!(
        "has(object.spec) && has(object.spec.template) && has({template}) && {}",
        refuses(template)
    );
    let tagged = format!(
        "has(object.spec) && has(object.spec.traffic) && \
         object.spec.traffic.exists(t, has(t.tag) && t.tag == '{REFUSED_TAG}')"
    );
    let policy = json!({
        "spec": {
            "failurePolicy": "Fail",
            "matchConstraints": {"resourceRules": [
                {"apiGroups": ["serving.knative.dev"], "apiVersions": ["*"], "operations": ["CREATE", "UPDATE"],
                 "resources": ["services", "configurations", "routes"]},
                {"apiGroups": [""], "apiVersions": ["*"], "operations": ["CREATE", "UPDATE"], "resources": ["configmaps"]},
            ]},
            "validations": [
                {"expression": format!("!({})", refuses(own)),
                 "messageExpression": format!("string({own}.annotations['{REFUSE}'])")},
                {"expression": format!("!({in_template})"),
                 "messageExpression": format!("string({template}.annotations['{REFUSE}'])")},
                {"expression": format!("!({tagged})"), "message": "that tag is not allowed"},
            ],
        },
    });
    let elsewhere = json!({"matchExpressions": [{"key": LIFTED, "operator": "DoesNotExist"}]});
    let binding = json!({"spec": {"policyName": GUARD, "validationActions": ["Deny"],
        "matchResources": {"namespaceSelector": elsewhere}}});
    apply(client, "ValidatingAdmissionPolicy", policy).await;
    apply(client, "ValidatingAdmissionPolicyBinding", binding).await;
    // The API server takes a moment to act on a policy.
    let maps: Api<ConfigMap> = Api::namespaced(client.clone(), "default");
    let tried: ConfigMap = serde_json::from_value(
        json!({"metadata": {"generateName": "guard-", "annotations": {REFUSE: "in force"}}}),
    )
    .unwrap();
    let params = PostParams {
        dry_run: true,
        ..PostParams::default()
    };
    let in_force = async {
        while maps.create(&params, &tried).await.is_ok() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(super::PATIENCE, in_force)
        .await
        .expect("the guard is in force");
}

async fn apply(client: &Client, kind: &str, mut object: Value) {
    let kind = GroupVersionKind::gvk("admissionregistration.k8s.io", "v1", kind);
    object["apiVersion"] = kind.api_version().into();
    object["kind"] = kind.kind.as_str().into();
    object["metadata"] = json!({"name": GUARD});
    let api: Api<DynamicObject> = Api::all_with(client.clone(), &ApiResource::from_gvk(&kind));
    api.patch(
        GUARD,
        &PatchParams::apply("test").force(),
        &Patch::Apply(&object),
    )
    .await
    .unwrap();
}
