//! What the kernel knows of this process, by the names that all Prometheus clients use.

use std::fs;

use crate::exposition::{Family, Series};

/// The unit of times in `/proc`, in which every Linux on a common machine counts.
const TICKS_PER_SECOND: f64 = 100.0;

/// Processor time, memory, age and open files. What cannot be read is left out.
pub(crate) fn families() -> Vec<Family> {
    let stat = fs::read_to_string("/proc/self/stat").unwrap_or_default();
    // The name before it may hold anything, spaces and brackets included.
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
    // Numbered from 1 in proc(5), where the state, the first one here, is the third.
    let field = |number: usize| fields.get(number - 3)?.parse::<f64>().ok();
    let cpu = field(14).zip(field(15)).map(|(user, system)| (user + system) / TICKS_PER_SECOND);
    let started = field(22).zip(booted()).map(|(ticks, booted)| booted + ticks / TICKS_PER_SECOND);
    let files = fs::read_dir("/proc/self/fd").ok().map(|files| files.count() as f64);
    let gauge = |name, help, value: f64| Family::gauge(name, help, [Series::new([], value)]);
    let all = [
        cpu.map(|cpu| Family::counter("process_cpu_seconds_total", "Processor time of user and system.", cpu)),
        memory().map(|bytes| gauge("process_resident_memory_bytes", "Memory that is resident.", bytes)),
        started.map(|at| gauge("process_start_time_seconds", "When the process started, since the epoch.", at)),
        files.map(|files| gauge("process_open_fds", "Files that are open.", files)),
    ];
    all.into_iter().flatten().collect()
}

/// When the machine was started, in seconds since the epoch.
fn booted() -> Option<f64> {
    let stat = fs::read_to_string("/proc/stat").ok()?;
    stat.lines().find_map(|line| line.strip_prefix("btime "))?.trim().parse().ok()
}

fn memory() -> Option<f64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    line.split_whitespace().next()?.parse::<f64>().ok().map(|kib| kib * 1024.0)
}

#[cfg(test)]
mod tests {
    use std::time::{SystemTime, UNIX_EPOCH};

    use super::*;
    use crate::exposition::Value;

    #[test]
    fn this_process_is_young_and_small_and_has_files_open() {
        let families = families();
        let value = |name: &str| match families.iter().find(|family| family.name == name).map(|it| &it.series[0].value)
        {
            Some(Value::Number(value)) => *value,
            other => panic!("{name}: {other:?}"),
        };
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs_f64();
        let age = now - value("process_start_time_seconds");
        assert!((-2.0..3_600.0).contains(&age), "{age}");
        assert!((1e6..1e10).contains(&value("process_resident_memory_bytes")));
        assert!(value("process_open_fds") >= 3.0 && value("process_cpu_seconds_total") >= 0.0);
    }
}
