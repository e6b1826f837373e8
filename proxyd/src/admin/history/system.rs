//! What the kernel says of this process; 0 where it does not say.

use std::fs;

/// User and system time in clock ticks, as times(2) counts them.
pub fn cpu_ticks() -> [u64; 2] {
    let stat = fs::read_to_string("/proc/self/stat").unwrap_or_default();
    // The name in parentheses may hold spaces; utime and stime are the 12th and 13th fields behind it (proc_pid_stat(5)).
    let fields: Vec<&str> = stat.rsplit_once(')').map_or("", |(_, rest)| rest).split_whitespace().collect();
    [11, 12].map(|index| fields.get(index).and_then(|field| field.parse().ok()).unwrap_or(0))
}

/// In the order of `system_memory`'s columns, in bytes: data (allocated), resident, anonymous resident (active), mapped;
/// what only jemalloc counts (metadata, retained) is 0.
pub fn memory() -> [u64; 6] {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let bytes = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        let kib = line.and_then(|line| line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok());
        kib.unwrap_or(0) * 1024
    };
    [bytes("VmData"), bytes("VmRSS"), bytes("RssAnon"), bytes("VmSize"), 0, 0]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_uses_memory() {
        let [data, resident, active, mapped, ..] = memory();
        assert!(data > 0 && active > 0 && resident >= active && mapped >= resident);
    }
}
