//! Metrics as Prometheus reads them: its text format, and OpenMetrics, which has room for exemplars.
//!
//! <https://prometheus.io/docs/instrumenting/exposition_formats/>,
//! <https://github.com/prometheus/OpenMetrics/blob/main/specification/OpenMetrics.md>

use std::fmt::Write;

/// How the answer is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    Text,
    OpenMetrics,
}

/// A metric with its series.
#[derive(Clone, Debug, PartialEq)]
pub struct Family {
    pub name: String,
    pub help: String,
    pub kind: Kind,
    pub series: Vec<Series>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Counter,
    Gauge,
    Histogram,
}

/// A value of a metric, or a distribution of values, with the labels that tell it from others.
#[derive(Clone, Debug, PartialEq)]
pub struct Series {
    pub labels: Vec<(String, String)>,
    pub value: Value,
}

#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    Number(f64),
    Buckets(Vec<Bucket>, f64),
}

/// How many values there were up to a bound, those below the bound before it left out.
#[derive(Clone, Debug, PartialEq)]
pub struct Bucket {
    pub bound: f64,
    pub count: u64,
    pub exemplar: Option<Exemplar>,
}

/// One of the values, and where it is told of at length.
#[derive(Clone, Debug, PartialEq)]
pub struct Exemplar {
    pub trace_id: String,
    pub span_id: String,
    pub value: f64,
    /// Seconds since the epoch.
    pub at: f64,
}

impl Family {
    /// What is as it is now.
    pub fn gauge(name: &str, help: &str, series: impl IntoIterator<Item = Series>) -> Family {
        let series = series.into_iter().collect();
        Family { name: name.to_owned(), help: help.to_owned(), kind: Kind::Gauge, series }
    }

    /// What only grows.
    pub fn counter(name: &str, help: &str, value: f64) -> Family {
        Family { kind: Kind::Counter, ..Family::gauge(name, help, [Series::new([], value)]) }
    }
}

impl Series {
    pub fn new<const N: usize>(labels: [(&str, &str); N], value: f64) -> Series {
        let labels = labels.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        Series { labels, value: Value::Number(value) }
    }
}

impl Format {
    /// The best one that a client accepts, going by its `Accept` header.
    pub fn accepted(header: Option<&str>) -> Format {
        let wanted = header.is_some_and(|header| header.contains("application/openmetrics-text"));
        if wanted { Format::OpenMetrics } else { Format::Text }
    }

    pub fn content_type(self) -> &'static str {
        match self {
            Format::Text => "text/plain; version=0.0.4; charset=utf-8",
            Format::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
        }
    }
}

/// The families as text, sorted by name and their series by labels. Those without series are left out.
pub fn write(mut families: Vec<Family>, format: Format) -> String {
    families.retain(|family| !family.series.is_empty());
    families.sort_by(|a, b| a.name.cmp(&b.name));
    let mut text = String::new();
    for family in &mut families {
        family.series.sort_by(|a, b| a.labels.cmp(&b.labels));
        write_family(&mut text, family, format);
    }
    if format == Format::OpenMetrics {
        text.push_str("# EOF\n");
    }
    text
}

fn write_family(text: &mut String, family: &Family, format: Format) {
    // In OpenMetrics, `_total` belongs to the sample.
    let name = match (format, family.kind) {
        (Format::OpenMetrics, Kind::Counter) => family.name.trim_end_matches("_total"),
        _ => &family.name,
    };
    let kind = match family.kind {
        Kind::Counter => "counter",
        Kind::Gauge => "gauge",
        Kind::Histogram => "histogram",
    };
    // Writing to a text cannot fail.
    let _ = writeln!(text, "# HELP {name} {}\n# TYPE {name} {kind}", escaped(&family.help));
    for series in &family.series {
        match &series.value {
            Value::Number(value) => line(text, &family.name, "", &series.labels, None, *value, None),
            Value::Buckets(buckets, sum) => write_buckets(text, &family.name, series, buckets, *sum, format),
        }
    }
}

fn write_buckets(text: &mut String, name: &str, series: &Series, buckets: &[Bucket], sum: f64, format: Format) {
    let mut all = 0;
    for bucket in buckets {
        all += bucket.count;
        let exemplar = bucket.exemplar.as_ref().filter(|_| format == Format::OpenMetrics);
        line(text, name, "_bucket", &series.labels, Some(bucket.bound), all as f64, exemplar);
    }
    line(text, name, "_sum", &series.labels, None, sum, None);
    line(text, name, "_count", &series.labels, None, all as f64, None);
}

fn line(
    text: &mut String,
    name: &str,
    suffix: &str,
    labels: &[(String, String)],
    bound: Option<f64>,
    value: f64,
    exemplar: Option<&Exemplar>,
) {
    let mut all: Vec<String> =
        labels.iter().map(|(name, value)| format!("{name}=\"{}\"", escaped(value).replace('"', "\\\""))).collect();
    all.extend(bound.map(|bound| format!("le=\"{}\"", number(bound))));
    let braces = if all.is_empty() { String::new() } else { format!("{{{}}}", all.join(",")) };
    let _ = write!(text, "{name}{suffix}{braces} {}", number(value));
    if let Some(Exemplar { trace_id, span_id, value, at }) = exemplar {
        let _ = write!(text, " # {{trace_id=\"{trace_id}\",span_id=\"{span_id}\"}} {} {at:.3}", number(*value));
    }
    text.push('\n');
}

fn escaped(value: &str) -> String {
    value.replace('\\', "\\\\").replace('\n', "\\n")
}

fn number(value: f64) -> String {
    match value {
        _ if value == f64::INFINITY => "+Inf".to_owned(),
        _ if value == f64::NEG_INFINITY => "-Inf".to_owned(),
        _ if value.is_nan() => "NaN".to_owned(),
        _ => format!("{value:?}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn families() -> Vec<Family> {
        let exemplar = Exemplar { trace_id: "ab".into(), span_id: "cd".into(), value: 0.25, at: 1.5 };
        let buckets = vec![
            Bucket { bound: 0.5, count: 2, exemplar: Some(exemplar) },
            Bucket { bound: f64::INFINITY, count: 1, exemplar: None },
        ];
        let took = Series { labels: vec![("flow".into(), "a".into())], value: Value::Buckets(buckets, 3.25) };
        vec![
            Family { kind: Kind::Histogram, ..Family::gauge("took_seconds", "How long.", [took]) },
            Family::counter("runs_total", "All.", 7.0),
            Family::gauge("odd", "A \\ and\na line.", [Series::new([("name", "a\"b\\c\n")], 1e21)]),
            Family::gauge("nothing", "Is left out.", []),
        ]
    }

    #[test]
    fn the_text_format_counts_up_and_escapes() {
        let text = write(families(), Format::Text);
        let expected = r#"# HELP odd A \\ and\na line.
# TYPE odd gauge
odd{name="a\"b\\c\n"} 1e21
# HELP runs_total All.
# TYPE runs_total counter
runs_total 7.0
# HELP took_seconds How long.
# TYPE took_seconds histogram
took_seconds_bucket{flow="a",le="0.5"} 2.0
took_seconds_bucket{flow="a",le="+Inf"} 3.0
took_seconds_sum{flow="a"} 3.25
took_seconds_count{flow="a"} 3.0
"#;
        assert_eq!(text, expected);
    }

    #[test]
    fn open_metrics_names_counters_without_total_and_has_exemplars() {
        let text = write(families(), Format::OpenMetrics);
        assert!(text.contains("# TYPE runs counter\nruns_total 7.0\n") && text.ends_with("# EOF\n"), "{text}");
        assert!(text.contains("le=\"0.5\"} 2.0 # {trace_id=\"ab\",span_id=\"cd\"} 0.25 1.500\n"), "{text}");
        assert_eq!(Format::accepted(Some("application/openmetrics-text;version=1.0.0,*/*;q=0.1")), Format::OpenMetrics);
        assert_eq!(Format::accepted(Some("*/*")), Format::Text);
    }
}
