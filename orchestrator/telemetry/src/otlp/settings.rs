//! What the environment says about OTLP.

use std::time::Duration;

use flow::trace::Sampling;

/// How long a receiver may take to answer, unless the environment says something else.
const TIMEOUT: Duration = Duration::from_secs(10);

/// What is sent where.
pub(super) struct Settings {
    pub traces: Option<Signal>,
    pub logs: Option<Signal>,
    pub sampling: Sampling,
    /// Whether the environment names the service.
    pub is_named: bool,
}

/// Where a signal is sent, and how.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Signal {
    /// The whole address of OTLP/HTTP.
    pub endpoint: String,
    pub protocol: Protocol,
    /// The path of OTLP/gRPC.
    pub method: &'static str,
    pub timeout: Duration,
    /// A file with the authority to trust, in PEM.
    pub certificate: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Protocol {
    Http,
    Grpc,
}

impl Settings {
    pub fn read(var: impl Fn(&str) -> Option<String>) -> Settings {
        let var = |name: &str| var(name).filter(|value| !value.trim().is_empty());
        let is_off = var("OTEL_SDK_DISABLED").is_some_and(|value| value.eq_ignore_ascii_case("true"));
        let of = |signal, method| Signal::read(&var, signal, method).filter(|_| !is_off);
        let attributes = var("OTEL_RESOURCE_ATTRIBUTES").unwrap_or_default();
        Settings {
            traces: of("TRACES", "/opentelemetry.proto.collector.trace.v1.TraceService/Export"),
            logs: of("LOGS", "/opentelemetry.proto.collector.logs.v1.LogsService/Export"),
            sampling: Sampling::named(var("OTEL_TRACES_SAMPLER").as_deref(), var("OTEL_TRACES_SAMPLER_ARG").as_deref()),
            is_named: var("OTEL_SERVICE_NAME").is_some() || attributes.contains("service.name="),
        }
    }
}

impl Signal {
    /// `None`: it is not sent.
    fn read(var: &impl Fn(&str) -> Option<String>, signal: &str, method: &'static str) -> Option<Signal> {
        if var(&format!("OTEL_{signal}_EXPORTER")).is_some_and(|exporter| exporter == "none") {
            return None;
        }
        // What is said of the signal goes before what is said of all.
        let said = |what: &str| {
            var(&format!("OTEL_EXPORTER_OTLP_{signal}_{what}")).or_else(|| var(&format!("OTEL_EXPORTER_OTLP_{what}")))
        };
        let path = format!("/v1/{}", signal.to_lowercase());
        let base = || Some(format!("{}{path}", var("OTEL_EXPORTER_OTLP_ENDPOINT")?.trim_end_matches('/')));
        let endpoint = var(&format!("OTEL_EXPORTER_OTLP_{signal}_ENDPOINT")).or_else(base)?;
        let protocol = match said("PROTOCOL").as_deref() {
            Some("grpc") => Protocol::Grpc,
            _ => Protocol::Http,
        };
        let timeout = said("TIMEOUT").and_then(|ms| ms.trim().parse().ok()).map_or(TIMEOUT, Duration::from_millis);
        Some(Signal { endpoint, protocol, method, timeout, certificate: said("CERTIFICATE") })
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;

    fn read(vars: &[(&str, &str)]) -> Settings {
        let vars: HashMap<&str, &str> = vars.iter().copied().collect();
        Settings::read(|name| vars.get(name).map(|value| (*value).to_owned()))
    }

    #[test]
    fn nothing_is_sent_unless_an_endpoint_is_named() {
        for vars in [
            &[][..],
            &[("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc"), ("OTEL_SERVICE_NAME", "x")],
            &[("OTEL_EXPORTER_OTLP_ENDPOINT", "")],
            &[("OTEL_EXPORTER_OTLP_ENDPOINT", "http://c:4318"), ("OTEL_SDK_DISABLED", "TRUE")],
        ] {
            let settings = read(vars);
            assert!(settings.traces.is_none() && settings.logs.is_none(), "{vars:?}");
        }
    }

    #[test]
    fn what_is_said_of_a_signal_goes_before_what_is_said_of_all() {
        let settings = read(&[
            ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://c:4318/"),
            ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "http://t:1/spans"),
            ("OTEL_EXPORTER_OTLP_LOGS_PROTOCOL", "grpc"),
            ("OTEL_EXPORTER_OTLP_TIMEOUT", "250"),
            ("OTEL_RESOURCE_ATTRIBUTES", "service.name=etl,zone=a"),
        ]);
        let (traces, logs) = (settings.traces.unwrap(), settings.logs.unwrap());
        assert_eq!((traces.endpoint.as_str(), traces.protocol), ("http://t:1/spans", Protocol::Http));
        assert_eq!((logs.endpoint.as_str(), logs.protocol), ("http://c:4318/v1/logs", Protocol::Grpc));
        assert_eq!(logs.timeout, Duration::from_millis(250));
        assert!(settings.is_named);
        let settings = read(&[("OTEL_EXPORTER_OTLP_ENDPOINT", "http://c:4318"), ("OTEL_LOGS_EXPORTER", "none")]);
        assert!(settings.traces.is_some() && settings.logs.is_none());
    }
}
