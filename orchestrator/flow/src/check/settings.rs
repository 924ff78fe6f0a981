//! Schedule, retries and durations.

use jiff::tz::TimeZone;
use toml::Spanned;

use crate::diagnostic::Diagnostic;
use crate::spec::{Flow, Retry, Schedule};
use crate::{Time, codes, duration, schedule as times};

/// The most tries a task may have.
const ATTEMPTS_MAX: i64 = 1_000;

pub(super) fn check(flow: &Flow, found: &mut Vec<Diagnostic>) {
    if let Some(schedule) = &flow.schedule {
        self::schedule(schedule.get_ref(), found);
    }
    times(&flow.defaults.timeout, &flow.defaults.kill_grace, found);
    retry(&flow.defaults.retry, found);
    keep(&flow.keep, found);
}

fn keep(keep: &Option<Spanned<String>>, found: &mut Vec<Diagnostic>) {
    if let (Some(_), Some(keep)) = (length(keep, found), keep)
        && let Err(message) = duration::keep(keep.get_ref())
    {
        let hint = "leave `keep` out to keep everything";
        found.push(Diagnostic::error(codes::OUT_OF_RANGE, keep.span(), message).hint(hint));
    }
}

pub(super) fn schedule(schedule: &Schedule, found: &mut Vec<Diagnostic>) {
    if let Err((message, hint)) = times::cron(schedule.cron.get_ref()) {
        found.push(Diagnostic::error(codes::BAD_CRON, schedule.cron.span(), message).maybe_hint(hint));
    }
    let zone = schedule.timezone.as_ref();
    match times::timezone(zone.map_or("UTC", |zone| zone.get_ref())) {
        Ok(zone) => span_of_time(schedule, &zone, found),
        Err(hint) => {
            let message = format!("there is no time zone `{}`", zone.map_or("", |zone| zone.get_ref()));
            let hint = hint.unwrap_or_else(|| "use an IANA name such as `Europe/Berlin`".to_owned());
            let place = zone.map_or(0..0, Spanned::span);
            span_of_time(schedule, &TimeZone::UTC, found);
            found.push(Diagnostic::error(codes::UNKNOWN_TIMEZONE, place, message).hint(hint));
        }
    }
    length(&schedule.jitter, found);
}

/// The times between which there are runs.
fn span_of_time(schedule: &Schedule, zone: &TimeZone, found: &mut Vec<Diagnostic>) {
    let mut read = |text: &Option<Spanned<String>>, read: fn(&str, &TimeZone) -> Result<Time, String>| {
        let text = text.as_ref()?;
        let wrong = |message| found.push(Diagnostic::error(codes::BAD_TIME, text.span(), message));
        read(text.get_ref(), zone).map_err(wrong).ok()
    };
    let (start, end) = (read(&schedule.start, times::first), read(&schedule.end, times::last));
    if let (Some(start), Some(end), Some(text)) = (start, end, &schedule.end)
        && end < start
    {
        let message = "the schedule ends before it starts";
        found.push(Diagnostic::error(codes::BAD_TIME, text.span(), message).hint("exchange `start` and `end`"));
    }
}

/// The limits on how long an attempt, and its end, may take.
pub(super) fn times(
    timeout: &Option<Spanned<String>>,
    kill_grace: &Option<Spanned<String>>,
    found: &mut Vec<Diagnostic>,
) {
    if length(timeout, found) == Some(0)
        && let Some(timeout) = timeout
    {
        let hint = "leave `timeout` out for no limit";
        found.push(Diagnostic::error(codes::OUT_OF_RANGE, timeout.span(), "a timeout must not be zero").hint(hint));
    }
    length(kill_grace, found);
}

pub(super) fn retry(retry: &Retry, found: &mut Vec<Diagnostic>) {
    if let Some(attempts) = &retry.attempts
        && !(1..=ATTEMPTS_MAX).contains(attempts.get_ref())
    {
        let message = format!("`attempts` must be between 1 and {ATTEMPTS_MAX}, not {}", attempts.get_ref());
        let hint = "it counts all tries, the first included";
        found.push(Diagnostic::error(codes::OUT_OF_RANGE, attempts.span(), message).hint(hint));
    }
    let delay = length(&retry.delay, found);
    let longest = length(&retry.max_delay, found);
    if let (Some(delay), Some(longest), Some(spec)) = (delay, longest, &retry.max_delay)
        && longest < delay
    {
        let message = format!("`max_delay` is shorter than the `delay` of {}", duration::display(delay));
        found.push(Diagnostic::error(codes::OUT_OF_RANGE, spec.span(), message));
    }
}

/// The milliseconds of a duration that is given and right.
fn length(text: &Option<Spanned<String>>, found: &mut Vec<Diagnostic>) -> Option<u64> {
    let text = text.as_ref()?;
    duration::parse(text.get_ref())
        .map_err(|message| {
            let hint = "write it like `500ms`, `2s`, `5m`, `1h30m` or `7d`";
            found.push(Diagnostic::error(codes::BAD_DURATION, text.span(), message).hint(hint));
        })
        .ok()
}
