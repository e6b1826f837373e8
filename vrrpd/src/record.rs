//! What outlives a killed vrrpd: a lock that says whether one runs, and a record of when each router last advertised.
//!
//! `RUN_DIR/vrrpd.state` holds one 16-byte entry a router: vrid, seven zero bytes, the boot-time clock in
//! nanoseconds of its last advert as Active (0 when it is not Active). The machine's reboot empties RUN_DIR.

use std::fs::{File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::time::Duration;

use nix::time::{ClockId, clock_gettime};

const ENTRY: usize = 16;
/// More routers than a link can have.
const MAX_ENTRIES: usize = 256;

/// The time since boot, sleep included, on which a record is dated.
pub(crate) fn boot_time() -> Duration {
    clock_gettime(ClockId::CLOCK_BOOTTIME).map(Duration::from).unwrap_or_default()
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
pub(crate) struct LastAdverts(Vec<(u8, Duration)>);

impl LastAdverts {
    pub(crate) fn read(run_dir: &Path) -> LastAdverts {
        let bytes = std::fs::read(run_dir.join("vrrpd.state")).unwrap_or_default();
        let (entries, _) = bytes.as_chunks::<ENTRY>();
        let parse = |entry: &[u8; ENTRY]| {
            let [vrid, .., n0, n1, n2, n3, n4, n5, n6, n7] = *entry;
            (vrid, Duration::from_nanos(u64::from_le_bytes([n0, n1, n2, n3, n4, n5, n6, n7])))
        };
        LastAdverts(entries.iter().take(MAX_ENTRIES).map(parse).collect())
    }

    /// How long ago router `vrid` advertised as Active; `None` if it was not Active.
    pub(crate) fn age(&self, vrid: u8, now: Duration) -> Option<Duration> {
        let (_, at) = self.0.iter().find(|(other, _)| *other == vrid)?;
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

    /// Router `vrid`, the `place`-th, is Active and advertised now; or, with `active` false, it no longer is.
    pub(crate) fn write(&self, place: usize, vrid: u8, active: bool) -> io::Result<()> {
        let nanos = if active { u64::try_from(boot_time().as_nanos()).unwrap_or(u64::MAX) } else { 0 };
        let [n0, n1, n2, n3, n4, n5, n6, n7] = nanos.to_le_bytes();
        let entry = [vrid, 0, 0, 0, 0, 0, 0, 0, n0, n1, n2, n3, n4, n5, n6, n7];
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
        record.write(0, 51, true).unwrap();
        record.write(1, 52, false).unwrap();
        let read = LastAdverts::read(&dir);
        assert!(read.age(51, boot_time()).unwrap() < Duration::from_secs(5));
        assert_eq!(read.age(51, Duration::from_nanos(1)), None, "from the future: another boot");
        assert_eq!(read.age(52, boot_time()), None);
        assert_eq!(read.age(53, boot_time()), None);
        std::fs::write(dir.join("vrrpd.state"), b"rubbish").unwrap();
        assert_eq!(LastAdverts::read(&dir).age(51, boot_time()), None);
        let lock = Lock::try_take(&dir).unwrap();
        assert!(lock.is_some());
        assert!(Lock::try_take(&dir).unwrap().is_none());
        drop(lock);
        assert!(Lock::try_take(&dir).unwrap().is_some());
        std::fs::remove_dir_all(&dir).unwrap();
    }
}
