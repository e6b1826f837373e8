//! What outlives a killed vrrpd: a lock that says whether one runs, and a record of when each router last advertised.
//!
//! `RUN_DIR/vrrpd.state` holds one 16-byte entry a router: eight bytes that identify it, the boot-time clock in
//! nanoseconds of its last advert as Active (0 when it is not Active). The machine's reboot empties RUN_DIR.
//! A VRID alone identifies nobody: another link, and the other address family, may have the same.

use std::fs::{File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::time::{ClockId, clock_gettime};

use crate::log::log;

const ENTRY: usize = 16;
/// More routers than a link can have.
const MAX_ENTRIES: usize = 256;

/// The time since boot, sleep included, on which a record is dated.
pub(crate) fn boot_time() -> Duration {
    clock_gettime(ClockId::CLOCK_BOOTTIME).map(Duration::from).unwrap_or_default()
}

/// The time since boot in which the machine was not suspended: what timers go by.
pub(crate) fn awake_time() -> Duration {
    clock_gettime(ClockId::CLOCK_MONOTONIC).map(Duration::from).unwrap_or_default()
}

/// The file that says what the last configuration was that a vrrpd lived by.
const ACCEPTED: &str = "vrrpd.toml";

/// Keeps a copy of a configuration that was accepted, for a `--cleanup` that finds a worse one in its place.
pub(crate) fn accept(run_dir: &Path, config: &Path) {
    let (kept, new) = (run_dir.join(ACCEPTED), run_dir.join(format!("{ACCEPTED}.new")));
    let copied = std::fs::copy(config, &new).and_then(|_| std::fs::rename(&new, &kept));
    if let Err(error) = copied {
        log!("warn", "no-copy-of-the-configuration", "error=\"{error}\"");
    }
}

/// Where that copy is when the configuration that names RUN_DIR cannot be read.
pub(crate) fn accepted() -> PathBuf {
    let run_dir = std::env::var_os("RUNTIME_DIRECTORY").map(PathBuf::from);
    run_dir.unwrap_or_else(|| configs::Paths::default().run_dir).join(ACCEPTED)
}

/// Who an entry is about: name and VRID, hashed (FNV-1a, 64 bits).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct RouterId([u8; 8]);

impl RouterId {
    pub(crate) fn of(router: &configs::Router) -> RouterId {
        RouterId::hash(&router.name, router.vrid)
    }

    fn hash(name: &str, vrid: u8) -> RouterId {
        let step = |hash: u64, byte: u8| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        RouterId(name.bytes().chain([vrid]).fold(0xcbf2_9ce4_8422_2325, step).to_le_bytes())
    }
}

/// Held by the running vrrpd, and by the guard while it removes addresses.
pub(crate) struct Lock {
    _file: File,
}

impl Lock {
    /// `None` when another process holds it.
    pub(crate) fn try_take(run_dir: &Path) -> io::Result<Option<Lock>> {
        let path = run_dir.join("vrrpd.lock");
        let file = OpenOptions::new().create(true).truncate(false).write(true).open(path)?;
        match file.try_lock() {
            Ok(()) => Ok(Some(Lock { _file: file })),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(error)) => Err(error),
        }
    }
}

/// The last advert of each router, as a former vrrpd left it.
#[derive(Debug, Default)]
pub(crate) struct LastAdverts(Vec<(RouterId, Duration)>);

impl LastAdverts {
    pub(crate) fn read(run_dir: &Path) -> LastAdverts {
        let bytes = std::fs::read(run_dir.join("vrrpd.state")).unwrap_or_default();
        let (entries, _) = bytes.as_chunks::<ENTRY>();
        let parse = |entry: &[u8; ENTRY]| {
            let [i0, i1, i2, i3, i4, i5, i6, i7, nanos @ ..] = *entry;
            let id = RouterId([i0, i1, i2, i3, i4, i5, i6, i7]);
            (id, Duration::from_nanos(u64::from_le_bytes(nanos)))
        };
        LastAdverts(entries.iter().take(MAX_ENTRIES).map(parse).collect())
    }

    /// How long ago a router advertised as Active; `None` if it was not Active.
    pub(crate) fn age(&self, id: RouterId, now: Duration) -> Option<Duration> {
        let (_, at) = self.0.iter().find(|(other, _)| *other == id)?;
        if at.is_zero() { None } else { now.checked_sub(*at) }
    }
}

/// Writes the record: one small `pwrite` an advert, to memory (RUN_DIR is a tmpfs).
pub(crate) struct Record {
    file: File,
}

impl Record {
    /// Begins an empty record for routers that are told apart by their place in the configuration.
    pub(crate) fn create(run_dir: &Path) -> io::Result<Record> {
        let path = run_dir.join("vrrpd.state");
        Ok(Record { file: OpenOptions::new().create(true).truncate(true).write(true).open(path)? })
    }

    /// Router `id`, the `place`-th, is Active and advertised now; or, with `active` false, it no longer is.
    pub(crate) fn write(&self, place: usize, id: RouterId, active: bool) -> io::Result<()> {
        let nanos = if active { u64::try_from(boot_time().as_nanos()).unwrap_or(u64::MAX) } else { 0 };
        let mut entry = [0; ENTRY];
        entry.iter_mut().zip(id.0.into_iter().chain(nanos.to_le_bytes())).for_each(|(to, from)| *to = from);
        let offset = u64::try_from(place * ENTRY).map_err(io::Error::other)?;
        self.file.write_all_at(&entry, offset)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_is_read_back_and_garbage_is_harmless() {
        let dir = std::env::temp_dir().join(format!("vrrpd-record-{}", std::process::id()));
        std::fs::create_dir_all(&dir).unwrap();
        let record = Record::create(&dir).unwrap();
        let [first, second, third] =
            [("a", 51), ("b", 51), ("c", 52)].map(|(name, vrid)| RouterId::hash(name, vrid));
        record.write(0, first, true).unwrap();
        record.write(1, second, false).unwrap();
        let read = LastAdverts::read(&dir);
        assert!(read.age(first, boot_time()).unwrap() < Duration::from_secs(5));
        assert_eq!(read.age(first, Duration::from_nanos(1)), None, "from the future: another boot");
        assert_eq!(read.age(second, boot_time()), None);
        assert_eq!(read.age(third, boot_time()), None);
        std::fs::write(dir.join("vrrpd.state"), b"rubbish").unwrap();
        assert_eq!(LastAdverts::read(&dir).age(first, boot_time()), None);
        let lock = Lock::try_take(&dir).unwrap();
        assert!(lock.is_some());
        assert!(Lock::try_take(&dir).unwrap().is_none());
        drop(lock);
        assert!(Lock::try_take(&dir).unwrap().is_some());
        std::fs::remove_dir_all(&dir).unwrap();
    }
}
