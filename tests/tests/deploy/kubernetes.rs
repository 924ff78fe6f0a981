//! The manifests, put together by kustomize and held to the schemas of Kubernetes and KEDA.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::PathBuf;

use serde_json::Value;
use tests::{copy_folder, flowctl, outside, succeed};

use crate::{LONGER_S, deploy, grace_s, is_understood, outcome, texts, yaml};

/// The manifests with secrets that are none, as `README.md` says to make them.
fn manifests() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    copy_folder(&deploy("kubernetes"), folder.path());
    let secrets = folder.path().join("secrets");
    fs::create_dir_all(&secrets).unwrap();
    fs::write(secrets.join("store.env"), "FLOWCTL_STORE=postgres://flowctl@postgres/flowctl\n").unwrap();
    for name in ["tls.crt", "tls.key", "fleet.token", "ca.pem"] {
        fs::write(secrets.join(name), "none\n").unwrap();
    }
    folder
}

/// What `kubectl apply -k` would send, in a file.
fn rendered(part: &str) -> (tempfile::TempDir, PathBuf) {
    let folder = manifests();
    let mut kubectl = outside::tool("kubectl");
    kubectl.arg("kustomize").arg(folder.path().join(part));
    let file = folder.path().join("rendered.yaml");
    fs::write(&file, succeed(kubectl)).unwrap();
    (folder, file)
}

/// The services and what they start as: kind, name, specification of the pod.
fn pods() -> Vec<(String, String, Value)> {
    let mut all = yaml(&rendered("").1);
    all.extend(yaml(&rendered("migrate").1));
    let pods = all.iter().filter(|it| it["spec"]["template"]["spec"].is_object());
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    pods.map(|it| (text(&it["kind"]), text(&it["metadata"]["name"]), it["spec"]["template"]["spec"].clone())).collect()
}

#[test]
fn manifests_fit_the_schemas_of_kubernetes() {
    for part in ["", "migrate"] {
        let (_folder, file) = rendered(part);
        let mut validate = outside::tool("kubernetes-validate");
        validate.arg("--strict").arg(&file);
        let (code, said) = outcome(validate);
        assert!(code == Some(0) && !said.contains("WARN") && said.contains("passed"), "{said}");
    }
}

#[test]
fn autoscaling_fits_the_types_of_keda() {
    let (folder, file) = rendered("autoscaling");
    let scaled = yaml(&file).remove(0);
    assert_eq!(
        (&scaled["kind"], &scaled["spec"]["scaleTargetRef"]["name"]),
        (&"ScaledObject".into(), &"worker".into())
    );
    let json = folder.path().join("scaled.json");
    fs::write(&json, scaled.to_string()).unwrap();
    let mut types = outside::types();
    types.arg(json);
    println!("{}", succeed(types));
    let slots = pods().into_iter().find(|it| it.1 == "worker").map(|it| it.2["containers"][0]["args"].clone()).unwrap();
    let slots = texts(&slots).windows(2).find(|it| it[0] == "--slots").map(|it| it[1].to_owned());
    assert_eq!(
        scaled["spec"]["triggers"][0]["metadata"]["threshold"].as_str(),
        slots.as_deref(),
        "a worker for so many tasks"
    );
}

#[test]
fn pods_may_do_little_and_may_end_in_peace() {
    let pods = pods();
    assert_eq!(pods.len(), 3);
    for (kind, name, pod) in &pods {
        let container = &pod["containers"][0];
        assert_eq!(pod["securityContext"]["runAsNonRoot"], true, "{name}");
        assert_eq!(pod["securityContext"]["seccompProfile"]["type"], "RuntimeDefault", "{name}");
        assert_eq!(container["securityContext"]["readOnlyRootFilesystem"], true, "{name}");
        assert_eq!(container["securityContext"]["allowPrivilegeEscalation"], false, "{name}");
        assert_eq!(texts(&container["securityContext"]["capabilities"]["drop"]), ["ALL"], "{name}");
        assert!(container["resources"]["limits"]["memory"].is_string(), "{name}");
        is_understood(&texts(&container["args"]));
        if kind == "Deployment" {
            let stop = pod["terminationGracePeriodSeconds"].as_u64().unwrap();
            assert_eq!(stop, grace_s(&texts(&container["args"])) + LONGER_S, "{name}");
        }
    }
}

#[test]
fn the_server_is_probed_where_it_answers() {
    let (_, _, server) = pods().into_iter().find(|it| it.1 == "server").unwrap();
    let document: Value = serde_json::from_str(&succeed({
        let mut schema = flowctl(&deploy("kubernetes"));
        schema.args(["schema", "--api"]);
        schema
    }))
    .unwrap();
    for probe in ["startupProbe", "readinessProbe", "livenessProbe"] {
        let path = server["containers"][0][probe]["httpGet"]["path"].as_str().unwrap();
        let asked = &document["paths"][path]["get"];
        assert!(asked.is_object() && asked["security"].is_null(), "{probe}: nothing answers at {path} without a token");
    }
}

#[test]
fn flows_of_a_config_map_are_found_once() {
    let folder = tempfile::tempdir().unwrap();
    // As Kubernetes lays them out: folders that begin with dots, and links to what is in them.
    let now = folder.path().join("flows/..2026_11_27");
    copy_folder(&deploy("kubernetes/flows"), &now);
    symlink("..2026_11_27", folder.path().join("flows/..data")).unwrap();
    symlink("..data/hello.toml", folder.path().join("flows/hello.toml")).unwrap();
    fs::copy(deploy("kubernetes/flowctl.toml"), folder.path().join("flowctl.toml")).unwrap();
    let mut check = flowctl(folder.path());
    check.args(["check", "flows"]);
    assert!(succeed(check).contains("1 flow checked: all is well"));
}
