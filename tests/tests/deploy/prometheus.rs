//! The rules and the configuration, as Prometheus reads them.

use std::fs;
use std::process::Command;

use tests::copy_folder;

use crate::{deploy, outcome};

fn promtool(args: &[&str]) -> (Option<i32>, String) {
    let mut promtool = Command::new("promtool");
    promtool.args(args).current_dir(deploy("prometheus"));
    outcome(promtool)
}

#[test]
fn rules_are_clean_and_alerts_fire_when_they_should() {
    for args in [["check", "rules", "rules/flowctl.yml"], ["test", "rules", "rules_test.yml"]] {
        let (code, said) = promtool(&args);
        assert!(code == Some(0) && !said.contains("FAILED"), "{said}");
    }
}

#[test]
fn every_alert_is_tried() {
    let rules = fs::read_to_string(deploy("prometheus/rules/flowctl.yml")).unwrap();
    let tests = fs::read_to_string(deploy("prometheus/rules_test.yml")).unwrap();
    let alerts: Vec<&str> = rules.lines().filter_map(|line| line.trim().strip_prefix("- alert: ")).collect();
    assert!(alerts.len() >= 6, "{alerts:?}");
    for alert in alerts {
        assert!(
            tests.contains(&format!("alertname=\"{alert}\"")) || tests.contains(&format!("alertname: {alert}")),
            "{alert}"
        );
    }
}

#[test]
fn the_configuration_is_clean() {
    let folder = tempfile::tempdir().unwrap();
    let text = fs::read_to_string(deploy("prometheus/prometheus.yml")).unwrap();
    let folder_text = folder.path().to_str().unwrap();
    // The files that a container finds elsewhere.
    let text = text.replace("/run/secrets", folder_text).replace("/etc/prometheus/tokens", folder_text);
    for name in ["ca.pem", "prometheus.token"] {
        fs::write(folder.path().join(name), "").unwrap();
    }
    copy_folder(&deploy("prometheus/rules"), &folder.path().join("rules"));
    let config = folder.path().join("prometheus.yml");
    fs::write(&config, text).unwrap();
    let (code, said) = promtool(&["check", "config", config.to_str().unwrap()]);
    assert!(code == Some(0) && said.contains("SUCCESS"), "{said}");
}
