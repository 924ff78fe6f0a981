//! Where a run is in a trace. Whoever knows a run makes the same ids, so that servers, workers and commands agree without
//! a word: the run is the trace, and what happens in it has its place by what it is.
//!
//! Ids and the header are those of W3C trace context, <https://www.w3.org/TR/trace-context/>.

/// Names a trace.
pub type TraceId = [u8; 16];

/// Names a span within a trace.
pub type SpanId = [u8; 8];

/// A span, wherever it is.
pub type Place = (TraceId, SpanId);

/// The trace of a run: its id, which is a UUID.
pub fn trace_id(run_id: &str) -> TraceId {
    let digits: String = run_id.chars().filter(|letter| *letter != '-').collect();
    match u128::from_str_radix(&digits, 16) {
        Ok(id) if digits.len() == 32 && id != 0 => id.to_be_bytes(),
        _ => hashed(run_id),
    }
}

/// The span of a whole run.
pub fn run_span(run_id: &str) -> SpanId {
    hashed(run_id)
}

/// Where the whole of a run is.
pub fn place(run_id: &str) -> Place {
    (trace_id(run_id), run_span(run_id))
}

/// The span of an attempt, the parent of what the attempt itself has to tell.
pub fn attempt_span(run_id: &str, task: &str, attempt: u32) -> SpanId {
    hashed(&format!("{run_id}/{task}/{attempt}"))
}

/// The span of what happens once within another.
pub fn child_span(parent: SpanId, what: &str) -> SpanId {
    hashed(&format!("{}/{what}", hex(&parent)))
}

/// An id as it is written.
pub fn hex(id: &[u8]) -> String {
    id.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The `traceparent` header by which whoever is called finds the span that called.
pub fn parent(trace: TraceId, span: SpanId, sampled: bool) -> String {
    format!("00-{}-{}-{:02x}", hex(&trace), hex(&span), u8::from(sampled))
}

/// The trace and the span that a `traceparent` header names. `None` if it is none.
pub fn parse_parent(header: &str) -> Option<Place> {
    let mut parts = header.trim().splitn(4, '-');
    let (version, trace, span, rest) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
    let plain = |text: &str, digits: usize| {
        text.len() == digits && text.bytes().all(|digit| matches!(digit, b'0'..=b'9' | b'a'..=b'f'))
    };
    if !plain(version, 2) || version == "ff" || !plain(trace, 32) || !plain(span, 16) || !plain(rest.get(..2)?, 2) {
        return None;
    }
    let (trace, span) = (u128::from_str_radix(trace, 16).ok()?, u64::from_str_radix(span, 16).ok()?);
    (trace != 0 && span != 0).then(|| (trace.to_be_bytes(), span.to_be_bytes()))
}

/// Which runs are traced.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Sampling {
    All,
    None,
    /// So many of all, from 0 to 1.
    Share(f64),
}

impl Sampling {
    /// What `OTEL_TRACES_SAMPLER` and `OTEL_TRACES_SAMPLER_ARG` say; everything is traced when they say nothing known.
    /// <https://opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables/>
    pub fn named(sampler: Option<&str>, argument: Option<&str>) -> Sampling {
        // A run begins its trace, so there is no parent to ask.
        match sampler.map(|sampler| sampler.trim_start_matches("parentbased_")) {
            Some("always_off") => Sampling::None,
            Some("traceidratio") => {
                let share = argument.and_then(|share| share.trim().parse().ok());
                share.filter(|share| (0.0..=1.0).contains(share)).map_or(Sampling::All, Sampling::Share)
            }
            _ => Sampling::All,
        }
    }

    /// Whether this run is traced. Everybody who samples alike says the same of it.
    pub fn takes(self, run_id: &str) -> bool {
        match self {
            Sampling::All => true,
            Sampling::None => false,
            // The bits of a run's id begin with the time, so they are stirred first.
            Sampling::Share(share) => f64::from(u32::from_be_bytes(hashed(run_id))) < share * 2_f64.powi(32),
        }
    }
}

fn hashed<const BYTES: usize>(text: &str) -> [u8; BYTES] {
    let hash = blake3::hash(text.as_bytes());
    std::array::from_fn(|index| hash.as_bytes()[index])
}

#[cfg(test)]
mod tests {
    use super::*;

    const RUN: &str = "0192f0c1-2345-7abc-8def-0123456789ab";

    #[test]
    fn a_run_is_the_trace_whose_id_it_has() {
        let header = parent(trace_id(RUN), attempt_span(RUN, "work", 2), true);
        assert!(header.starts_with("00-0192f0c123457abc8def0123456789ab-") && header.ends_with("-01"), "{header}");
        assert_eq!(parse_parent(&header), Some((trace_id(RUN), attempt_span(RUN, "work", 2))));
        assert_ne!(trace_id("no UUID"), [0; 16]);
        assert_ne!(trace_id("00000000-0000-0000-0000-000000000000"), [0; 16]);
    }

    #[test]
    fn only_headers_of_the_standard_are_understood() {
        let good = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        assert!(parse_parent(good).is_some());
        assert!(parse_parent(&good.replacen("00", "cc", 1).replace("-01", "-01-what-comes-later")).is_some());
        for wrong in [
            "",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7",
            "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-é",
        ] {
            assert_eq!(parse_parent(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn a_share_of_runs_is_about_that_share() {
        let runs: Vec<String> = (0..10_000).map(|run: u64| format!("0192f0c1-2345-7abc-8def-{run:012x}")).collect();
        let quarter = Sampling::named(Some("parentbased_traceidratio"), Some("0.25"));
        let taken = runs.iter().filter(|run| quarter.takes(run)).count();
        assert!((2_300..2_700).contains(&taken), "{taken}");
        let nobody = [Sampling::named(Some("always_off"), None), Sampling::Share(0.0)];
        assert!(nobody.iter().all(|none| !none.takes(RUN)));
        for all in [Sampling::Share(1.0), Sampling::named(None, None), Sampling::named(Some("traceidratio"), Some("x"))]
        {
            assert!(runs.iter().all(|run| all.takes(run)));
        }
    }
}
