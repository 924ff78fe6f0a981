//! From what is said with `tracing` to spans and log records of OTLP, in the trace of the run that it is about.
//!
//! A span of `tracing` with the fields `run`, `task` and `attempt` is an attempt, and spans within it are parts of that. The
//! attempt itself is told by the run's driver, so that no part hangs in the air when a worker dies. A span with `run` alone
//! says what log lines are about. An event with the target `stage` is an operator of a
//! query, told when the query is over: its fields say when it began and ended.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use flow::trace::{self, SpanId};
use opentelemetry::{KeyValue, Value};
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Subscriber};
use tracing_subscriber::layer::Context;
use tracing_subscriber::registry::{LookupSpan, SpanRef};

use crate::otlp::Outlet;
use crate::spans::{self, Span};

/// The target of events that are operators of a query.
const STAGE: &str = "stage";

/// Hands on what is said.
pub struct Layer {
    outlet: &'static Outlet,
    /// Tells spans of one name apart.
    made: AtomicU64,
}

/// Where a span of `tracing` is in a trace.
struct Place {
    run_id: String,
    span: SpanId,
    /// Whether what is within it is told: it is an attempt, or a part of one.
    is_work: bool,
    /// For what is told when it is over.
    open: Option<Open>,
}

struct Open {
    parent: SpanId,
    began: SystemTime,
    fields: Fields,
}

/// The fields of a span or an event.
#[derive(Default)]
struct Fields {
    message: Option<String>,
    all: Vec<KeyValue>,
}

impl Layer {
    pub(crate) fn new(outlet: &'static Outlet) -> Layer {
        Layer { outlet, made: AtomicU64::new(0) }
    }

    fn place<'a, S: LookupSpan<'a>>(&self, span: &SpanRef<'a, S>, fields: Fields) -> Option<Place> {
        if let Some(run_id) = fields.text("run") {
            let attempt = fields.number("attempt").and_then(|attempt| u32::try_from(attempt).ok());
            return Some(match fields.text("task").zip(attempt) {
                Some((task, attempt)) => {
                    let span = trace::attempt_span(&run_id, &task, attempt);
                    Place { run_id, span, is_work: true, open: None }
                }
                None => Place { span: trace::run_span(&run_id), run_id, is_work: false, open: None },
            });
        }
        let around = span.parent()?;
        let around = around.extensions();
        let around = around.get::<Place>().filter(|around| around.is_work)?;
        let number = self.made.fetch_add(1, Ordering::Relaxed);
        let open = Open { parent: around.span, began: SystemTime::now(), fields };
        Some(Place {
            run_id: around.run_id.clone(),
            span: trace::child_span(around.span, &format!("{}/{number}", span.name())),
            is_work: true,
            open: Some(open),
        })
    }
}

impl<S: Subscriber + for<'a> LookupSpan<'a>> tracing_subscriber::Layer<S> for Layer {
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, cx: Context<'_, S>) {
        let Some(span) = cx.span(id) else { return };
        let mut fields = Fields::default();
        attributes.record(&mut fields);
        if let Some(place) = self.place(&span, fields) {
            span.extensions_mut().insert(place);
        }
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, cx: Context<'_, S>) {
        let Some(span) = cx.span(id) else { return };
        if let Some(open) = span.extensions_mut().get_mut::<Place>().and_then(|place| place.open.as_mut()) {
            values.record(&mut open.fields);
        }
    }

    fn on_event(&self, event: &Event<'_>, cx: Context<'_, S>) {
        let mut fields = Fields::default();
        event.record(&mut fields);
        let span = cx.event_span(event);
        let extensions = span.as_ref().map(SpanRef::extensions);
        let place = extensions.as_ref().and_then(|extensions| extensions.get::<Place>());
        if event.metadata().target() != STAGE {
            let place = place.map(|place| (place.run_id.as_str(), place.span));
            self.outlet.log(event.metadata(), fields.message.unwrap_or_default(), fields.all, place);
        } else if let Some(place) = place.filter(|place| self.outlet.samples(&place.run_id)) {
            spans::export(fields.stage(place));
        }
    }

    fn on_close(&self, id: Id, cx: Context<'_, S>) {
        let Some(span) = cx.span(&id) else { return };
        let Some(Place { run_id, span: id, open: Some(open), .. }) = span.extensions_mut().remove::<Place>() else {
            return;
        };
        if !self.outlet.samples(&run_id) {
            return;
        }
        let about = ["check", "dataset"].iter().find_map(|field| open.fields.text(field));
        let name = [Some(span.name().to_owned()), about].into_iter().flatten().collect::<Vec<_>>().join(" ");
        spans::export(Span {
            trace: trace::trace_id(&run_id),
            id,
            parent: Some(open.parent),
            name,
            took: (open.began, SystemTime::now()),
            error: open.fields.text("error"),
            attributes: open.fields.all,
            links: vec![],
        });
    }
}

impl Fields {
    fn text(&self, name: &str) -> Option<String> {
        let found = self.all.iter().find(|field| field.key.as_str() == name)?;
        Some(found.value.as_str().into_owned())
    }

    fn number(&self, name: &str) -> Option<i64> {
        match self.all.iter().find(|field| field.key.as_str() == name)?.value {
            Value::I64(number) => Some(number),
            _ => None,
        }
    }

    fn keep(&mut self, field: &Field, value: impl Into<Value>) {
        self.all.push(KeyValue::new(field.name(), value));
    }

    /// An operator of a query: `operator`, its number `stage` and that of the one `under` which it is, and its times in
    /// nanoseconds since the epoch.
    fn stage(self, place: &Place) -> Span {
        let id = |stage: i64| trace::child_span(place.span, &format!("{STAGE}/{stage}"));
        let at = |name| UNIX_EPOCH + Duration::from_nanos(self.number(name).unwrap_or_default().unsigned_abs());
        let attributes = self.all.iter().filter(|field| !["began", "ended", "under"].contains(&field.key.as_str()));
        Span {
            trace: trace::trace_id(&place.run_id),
            id: id(self.number("stage").unwrap_or_default()),
            parent: Some(self.number("under").map_or(place.span, id)),
            name: self.text("operator").unwrap_or_default(),
            took: (at("began"), at("ended")),
            attributes: attributes.cloned().collect(),
            error: None,
            links: vec![],
        }
    }
}

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        match field.name() {
            "message" => self.message = Some(format!("{value:?}")),
            _ => self.keep(field, format!("{value:?}")),
        }
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.keep(field, value.to_owned());
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.keep(field, value);
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.keep(field, i64::try_from(value).unwrap_or(i64::MAX));
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.keep(field, value);
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.keep(field, value);
    }
}
