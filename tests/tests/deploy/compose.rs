//! The container file and `compose.yaml`.

use std::collections::BTreeSet;

use serde_json::Value;
use tests::{outside, succeed};

use crate::{LONGER_S, deploy, grace_s, is_understood, texts, yaml};

fn compose() -> Value {
    yaml(&deploy("compose.yaml")).remove(0)
}

#[test]
fn the_container_file_has_no_lint() {
    let mut hadolint = outside::tool("hadolint");
    hadolint.args(["--failure-threshold", "style"]).arg(deploy("Containerfile"));
    assert_eq!(succeed(hadolint), "");
}

#[test]
fn the_image_runs_as_nobody_and_holds_what_compose_starts() {
    let text = std::fs::read_to_string(deploy("Containerfile")).unwrap();
    let stages: Vec<&str> = text.split("\nFROM ").collect();
    assert_eq!(stages.len(), 3, "one stage builds, one runs");
    assert!(stages[2].contains("\nUSER 10001:10001\n") && stages[2].contains("\nENTRYPOINT [\"flowctl\"]\n"));
    for copied in ["/usr/local/bin/flowctl\n", "/usr/local/bin/flowctl-tokens\n"] {
        assert!(stages[2].contains(copied), "{copied}");
    }
}

#[test]
fn compose_fits_its_schema() {
    let mut check = outside::tool("check-jsonschema");
    check.args(["--builtin-schema", "vendor.compose-spec"]).arg(deploy("compose.yaml"));
    println!("{}", succeed(check));
}

#[test]
fn compose_names_only_what_it_has() {
    let all = compose();
    let keys = |of: &str| all[of].as_object().unwrap().keys().cloned().collect::<BTreeSet<_>>();
    let (services, volumes, secrets) = (keys("services"), keys("volumes"), keys("secrets"));
    for (name, service) in all["services"].as_object().unwrap() {
        for needed in service["depends_on"].as_object().into_iter().flatten() {
            assert!(services.contains(needed.0), "{name} depends on {}", needed.0);
        }
        for secret in service["secrets"].as_array().into_iter().flatten() {
            assert!(secrets.contains(secret.as_str().unwrap()), "{name} reads {secret}");
        }
        for volume in service["volumes"].as_array().into_iter().flatten().map(|it| it.as_str().unwrap()) {
            let from = volume.split(':').next().unwrap();
            let known = match from.strip_prefix('.') {
                Some(_) => deploy(from).exists(),
                None => from.starts_with('/') || volumes.contains(from),
            };
            assert!(known, "{name} mounts {volume}");
        }
        for port in service["ports"].as_array().into_iter().flatten() {
            assert!(port.as_str().unwrap().starts_with("127.0.0.1:"), "{name} is open to the network: {port}");
        }
    }
}

#[test]
fn our_containers_can_write_nowhere_but_into_volumes_and_may_end_in_peace() {
    let all = compose();
    for name in ["tokens", "server", "worker"] {
        let service = &all["services"][name];
        assert_eq!((&service["read_only"], &service["user"]), (&true.into(), &"10001:10001".into()), "{name}");
        assert_eq!(texts(&service["cap_drop"]), ["ALL"], "{name}");
        let args = texts(&service["command"]);
        if args.contains(&"--grace") {
            is_understood(&args);
            let stop = flow::duration::parse(service["stop_grace_period"].as_str().unwrap()).unwrap() / 1_000;
            assert_eq!(stop, grace_s(&args) + LONGER_S, "{name}");
        }
    }
    assert_eq!(all["services"]["worker"]["deploy"]["replicas"], 2);
}
