//! Log lines as JSON, one object a line: what was said, where, and about which run, task and attempt, with the ids by which
//! the trace is found.

use std::fmt;

use flow::trace;
use serde_json::{Map, Value};
use tracing::field::{Field, Visit};
use tracing::{Event, Subscriber};
use tracing_subscriber::fmt::format::{JsonFields, Writer};
use tracing_subscriber::fmt::time::{FormatTime, SystemTime};
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormattedFields};
use tracing_subscriber::registry::LookupSpan;

/// Formats events as JSON. Fields of the spans around an event stand beside its own, which go first.
pub struct Json;

/// The fields of an event.
struct Fields<'a>(&'a mut Map<String, Value>);

impl<S> FormatEvent<S, JsonFields> for Json
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    fn format_event(&self, cx: &FmtContext<'_, S, JsonFields>, mut out: Writer<'_>, event: &Event<'_>) -> fmt::Result {
        let mut time = String::new();
        SystemTime.format_time(&mut Writer::new(&mut time))?;
        let mut line = Map::from_iter([
            ("time".to_owned(), time.into()),
            ("level".to_owned(), event.metadata().level().as_str().into()),
            ("target".to_owned(), event.metadata().target().into()),
        ]);
        event.record(&mut Fields(&mut line));
        // From the innermost, so that what is nearer is what counts.
        for span in cx.event_scope().into_iter().flatten() {
            let extensions = span.extensions();
            let fields = extensions.get::<FormattedFields<JsonFields>>().map_or("", |fields| fields.fields.as_str());
            for (name, value) in serde_json::from_str::<Map<String, Value>>(fields).unwrap_or_default() {
                line.entry(name).or_insert(value);
            }
        }
        place(&mut line);
        writeln!(out, "{}", Value::Object(line))
    }
}

/// Adds the ids of the trace and the span that a line about a run belongs to.
fn place(line: &mut Map<String, Value>) {
    let Some(run_id) = line.get("run").and_then(Value::as_str).map(str::to_owned) else { return };
    let task = line.get("task").and_then(Value::as_str);
    let attempt = line.get("attempt").and_then(Value::as_u64).and_then(|attempt| u32::try_from(attempt).ok());
    let span = match task.zip(attempt) {
        Some((task, attempt)) => trace::attempt_span(&run_id, task, attempt),
        None => trace::run_span(&run_id),
    };
    line.insert("trace_id".to_owned(), trace::hex(&trace::trace_id(&run_id)).into());
    line.insert("span_id".to_owned(), trace::hex(&span).into());
}

impl Visit for Fields<'_> {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.0.insert(field.name().to_owned(), format!("{value:?}").into());
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.0.insert(field.name().to_owned(), value.into());
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.0.insert(field.name().to_owned(), value.into());
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.0.insert(field.name().to_owned(), value.into());
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.0.insert(field.name().to_owned(), value.into());
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.0.insert(field.name().to_owned(), value.into());
    }
}
