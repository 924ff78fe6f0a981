//! Traces and logs, handed to whoever speaks OTLP. Which, the environment says, as for every program that uses
//! OpenTelemetry: <https://opentelemetry.io/docs/specs/otel/protocol/exporter/>. Where it names no endpoint, nothing is sent.
//!
//! What is to be sent waits in buffers that have an end; a thread of its own sends it. A receiver that is away, slow or
//! silent costs what finds no room, and nobody waits for it but the end of the process, a moment.

mod settings;
mod transport;

use std::sync::OnceLock;
use std::time::{Duration, SystemTime};

use flow::trace::{SpanId, trace_id};
use opentelemetry::logs::{AnyValue, LogRecord as _, Logger as _, LoggerProvider as _, Severity};
use opentelemetry::trace::{Link, SpanContext, SpanKind, Status, TraceFlags, TraceState};
use opentelemetry::{InstrumentationScope, KeyValue, Value, trace};
use opentelemetry_otlp::{LogExporter, Protocol, SpanExporter, WithExportConfig as _, WithHttpConfig as _};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::logs::{SdkLogger, SdkLoggerProvider};
use opentelemetry_sdk::trace::{BatchSpanProcessor, SpanData, SpanLinks, SpanProcessor as _};
use tracing::{Level, Metadata};

use crate::layer::Layer;
use crate::spans::Span;
use settings::{Settings, Signal};
use transport::Transport;

/// How long the end of the process waits for what is still to be sent.
const LAST: Duration = Duration::from_secs(2);

static OUTLET: OnceLock<Outlet> = OnceLock::new();

/// The way out.
pub(crate) struct Outlet {
    settings: Settings,
    scope: InstrumentationScope,
    spans: Option<BatchSpanProcessor>,
    logs: Option<(SdkLoggerProvider, SdkLogger)>,
}

pub(crate) fn outlet() -> Option<&'static Outlet> {
    OUTLET.get()
}

/// Begins to send, if the environment names a receiver. What the process says with `tracing` is sent by the layer.
///
/// # Errors
/// What is wrong with the receiver's address or its certificate.
pub fn open() -> Result<Option<Layer>, String> {
    let settings = Settings::read(|name| std::env::var(name).ok());
    if settings.traces.is_none() && settings.logs.is_none() {
        return Ok(None);
    }
    let outlet = Outlet::new(settings)?;
    Ok(Some(Layer::new(OUTLET.get_or_init(|| outlet))))
}

/// Sends what waits, as far as it is taken within a moment.
pub fn close() {
    let Some(outlet) = outlet() else { return };
    // What is not taken is lost, and nobody is left to be told.
    std::thread::scope(|scope| {
        if let Some(spans) = &outlet.spans {
            scope.spawn(|| spans.shutdown_with_timeout(LAST));
        }
        if let Some((logs, _)) = &outlet.logs {
            scope.spawn(|| logs.shutdown_with_timeout(LAST));
        }
    });
}

impl Outlet {
    fn new(settings: Settings) -> Result<Outlet, String> {
        let resource = resource(settings.is_named);
        let transport = |signal: &Signal| Transport::new(signal);
        let told = |error: &dyn std::fmt::Display| format!("failed to set up OTLP: {error}");
        let spans = settings.traces.as_ref().map(|signal| {
            let exporter = SpanExporter::builder().with_http().with_http_client(transport(signal)?);
            let exporter = exporter.with_protocol(Protocol::HttpBinary).with_endpoint(&signal.endpoint);
            let exporter = exporter.build().map_err(|error| told(&error))?;
            let mut spans = BatchSpanProcessor::builder(exporter).build();
            spans.set_resource(&resource);
            Ok::<_, String>(spans)
        });
        let logs = settings.logs.as_ref().map(|signal| {
            let exporter = LogExporter::builder().with_http().with_http_client(transport(signal)?);
            let exporter = exporter.with_protocol(Protocol::HttpBinary).with_endpoint(&signal.endpoint);
            let exporter = exporter.build().map_err(|error| told(&error))?;
            let provider =
                SdkLoggerProvider::builder().with_resource(resource.clone()).with_batch_exporter(exporter).build();
            let logger = provider.logger("flowctl");
            Ok::<_, String>((provider, logger))
        });
        let (spans, logs) = (spans.transpose()?, logs.transpose()?);
        let scope = InstrumentationScope::builder("flowctl").with_version(env!("CARGO_PKG_VERSION")).build();
        Ok(Outlet { settings, scope, spans, logs })
    }

    /// Whether spans of this run are sent.
    pub fn samples(&self, run_id: &str) -> bool {
        self.spans.is_some() && self.settings.sampling.takes(run_id)
    }

    pub fn span(&self, span: Span) {
        let Some(spans) = &self.spans else { return };
        let (start_time, end_time) = span.took;
        let links = span.links.iter().map(|(trace, span)| Link::new(context(*trace, *span, true), vec![], 0));
        let mut all = SpanLinks::default();
        all.links.extend(links);
        spans.on_end(SpanData {
            span_context: context(span.trace, span.id, false),
            parent_span_id: span.parent.map_or(trace::SpanId::INVALID, trace::SpanId::from_bytes),
            parent_span_is_remote: false,
            span_kind: SpanKind::Internal,
            name: span.name.into(),
            start_time,
            end_time: end_time.max(start_time),
            attributes: span.attributes,
            dropped_attributes_count: 0,
            events: Default::default(),
            links: all,
            status: span.error.map_or(Status::Unset, Status::error),
            instrumentation_scope: self.scope.clone(),
        });
    }

    /// Something was said, perhaps of a run, in a span of its trace.
    pub fn log(&self, from: &Metadata<'_>, said: String, fields: Vec<KeyValue>, place: Option<(&str, SpanId)>) {
        let Some((_, logger)) = &self.logs else { return };
        let mut record = logger.create_log_record();
        record.set_timestamp(SystemTime::now());
        record.set_target(from.target().to_owned());
        record.set_severity_text(from.level().as_str());
        record.set_severity_number(severity(*from.level()));
        record.set_body(AnyValue::from(said));
        for field in fields {
            record.add_attribute(field.key, any(field.value));
        }
        if let Some((run_id, span)) = place {
            let flags = if self.samples(run_id) { TraceFlags::SAMPLED } else { TraceFlags::NOT_SAMPLED };
            let (trace, span) = (trace::TraceId::from_bytes(trace_id(run_id)), trace::SpanId::from_bytes(span));
            record.set_trace_context(trace, span, Some(flags));
            record.add_attribute("run", run_id.to_owned());
        }
        logger.emit(record);
    }
}

fn context(trace: flow::trace::TraceId, span: SpanId, is_remote: bool) -> SpanContext {
    let (trace, span) = (trace::TraceId::from_bytes(trace), trace::SpanId::from_bytes(span));
    SpanContext::new(trace, span, TraceFlags::SAMPLED, is_remote, TraceState::NONE)
}

fn any(value: Value) -> AnyValue {
    match value {
        Value::Bool(value) => value.into(),
        Value::I64(value) => value.into(),
        Value::F64(value) => value.into(),
        value => value.as_str().into_owned().into(),
    }
}

fn severity(level: Level) -> Severity {
    match level {
        Level::ERROR => Severity::Error,
        Level::WARN => Severity::Warn,
        Level::INFO => Severity::Info,
        Level::DEBUG => Severity::Debug,
        Level::TRACE => Severity::Trace,
    }
}

/// Who speaks: what the environment says, and what it leaves out.
fn resource(is_named: bool) -> Resource {
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let instance = format!("{}:{}", host.trim(), std::process::id());
    let ours =
        [KeyValue::new("service.version", env!("CARGO_PKG_VERSION")), KeyValue::new("service.instance.id", instance)];
    let builder = Resource::builder().with_attributes(ours);
    if is_named { builder.build() } else { builder.with_service_name("flowctl").build() }
}
