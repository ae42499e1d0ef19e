//! What the kernel tells of a process under `/proc`.

use std::{fs, time::Duration};

use anyhow::{Context as _, Result, ensure};
use tokio::time;

use crate::{fanout::terms::Moment, generator::Window};

/// The CPU time that each process uses inside of the window.
pub(crate) async fn cpu_in<const N: usize>(
    pids: [u32; N],
    window: Window,
) -> Result<[Duration; N]> {
    let sample = || -> Result<[Duration; N]> {
        let mut used = [Duration::ZERO; N];
        for (used, pid) in used.iter_mut().zip(pids) {
            *used = cpu_time(pid)?;
        }
        Ok(used)
    };
    time::sleep_until(window.from.into()).await;
    let before = sample()?;
    time::sleep_until(window.until.into()).await;
    let mut used = sample()?;
    for (used, before) in used.iter_mut().zip(before) {
        *used -= before;
    }
    Ok(used)
}

/// The CPU time that the processes of each group use together between two moments.
pub(crate) async fn cpu_between(
    from: Moment,
    until: Moment,
    groups: Vec<Vec<u32>>,
) -> Result<Vec<Duration>> {
    let sample = || -> Result<Vec<Duration>> {
        let of = |group: &Vec<u32>| group.iter().map(|pid| cpu_time(*pid)).sum();
        groups.iter().map(of).collect()
    };
    from.reached().await;
    let before = sample()?;
    until.reached().await;
    let after = sample()?;
    let used = after.into_iter().zip(before);
    Ok(used
        .map(|(after, before)| after.saturating_sub(before))
        .collect())
}

/// The CPU time which a process has used so far, in its own code and in the kernel for it.
fn cpu_time(pid: u32) -> Result<Duration> {
    let path = format!("/proc/{pid}/stat");
    parse_cpu_time(&read(&path)?).with_context(|| format!("cannot understand {path}"))
}

/// The physical memory which a process holds, in bytes.
pub(crate) fn resident_bytes(pid: u32) -> Result<u64> {
    // Exact, unlike the figures in `statm` and `status`, which lag behind by some pages for each CPU.
    let path = format!("/proc/{pid}/smaps_rollup");
    parse_resident_bytes(&read(&path)?).with_context(|| format!("cannot understand {path}"))
}

/// Fails if processes of ours may not open a socket for each connection.
pub(crate) fn ensure_open_files(connections: usize) -> Result<()> {
    // Listeners, HTTP/2 connections, the runtime's own, what the shell left open.
    let needed = connections + 200;
    let path = "/proc/self/limits";
    let (soft, hard) =
        parse_open_files(&read(path)?).with_context(|| format!("cannot understand {path}"))?;
    ensure!(
        needed <= hard,
        "{connections} connections need {needed} open files in one process, and no more than {hard} are allowed: \
         use fewer connections"
    );
    ensure!(
        needed <= soft,
        "{connections} connections need {needed} open files in one process, and the limit is {soft}: \
         run `ulimit -n {hard}` first"
    );
    Ok(())
}

fn read(path: &str) -> Result<String> {
    fs::read_to_string(path).with_context(|| format!("cannot read {path}"))
}

/// `PID (name) state …`: fields 14 and 15, counted from 1. The name may hold spaces and parentheses.
fn parse_cpu_time(stat: &str) -> Option<Duration> {
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace().skip(11);
    let user: u64 = fields.next()?.parse().ok()?;
    let system: u64 = fields.next()?.parse().ok()?;
    // Linux counts in hundredths of a second for user space, whatever its own clock does.
    Some(Duration::from_millis((user + system) * 10))
}

fn parse_resident_bytes(rollup: &str) -> Option<u64> {
    let line = rollup.lines().find_map(|line| line.strip_prefix("Rss:"))?;
    let kibibytes: u64 = line.trim().strip_suffix(" kB")?.parse().ok()?;
    Some(kibibytes * 1024)
}

/// The soft and the hard limit.
fn parse_open_files(limits: &str) -> Option<(usize, usize)> {
    let line = limits
        .lines()
        .find_map(|line| line.strip_prefix("Max open files"))?;
    let mut limits = line.split_whitespace().map(|limit| match limit {
        "unlimited" => Some(usize::MAX),
        number => number.parse().ok(),
    });
    Some((limits.next()??, limits.next()??))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_name_with_parentheses_does_not_shift_the_fields() {
        let stat = "7 (a) b (c) S 1 7 7 0 -1 4194560 105 0 0 0 250 50 0 0 20 0 3 0 100 2 3";
        assert_eq!(parse_cpu_time(stat), Some(Duration::from_secs(3)));
    }

    #[test]
    fn the_proportional_set_is_not_taken_for_the_resident_one() {
        let rollup =
            "00400000-7fff ---p 0 00:00 0 [rollup]\nPss_Anon: 8 kB\nRss:     1624 kB\nPss: 4 kB\n";
        assert_eq!(parse_resident_bytes(rollup), Some(1624 * 1024));
    }

    #[test]
    fn a_limit_may_be_unlimited() {
        let limits =
            "Limit   Soft Limit  Hard Limit  Units\nMax open files   1024   unlimited  files\n";
        assert_eq!(parse_open_files(limits), Some((1024, usize::MAX)));
    }

    #[test]
    fn this_process_can_be_read() {
        let pid = std::process::id();
        assert!(cpu_time(pid).is_ok());
        assert!(resident_bytes(pid).unwrap() > 0);
        assert!(ensure_open_files(1).is_ok());
        assert!(ensure_open_files(usize::MAX / 2).is_err());
    }
}
