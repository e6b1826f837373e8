use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use super::*;

struct Dir(PathBuf);

impl Dir {
    fn new(name: &str) -> Dir {
        let path = std::env::temp_dir().join(format!("standfast-logfile-{name}-{}", std::process::id()));
        fs::create_dir_all(&path).unwrap();
        Dir(path)
    }

    fn target(&self, max_bytes: u64, keep: usize) -> Option<Target> {
        Some(Target { path: self.0.join("audit.log"), max_bytes, keep })
    }

    fn read(&self, number: u32) -> String {
        fs::read_to_string(self.0.join(format!("audit.log.{number:08}"))).unwrap_or_default()
    }

    fn names(&self) -> Vec<String> {
        let mut names: Vec<_> = fs::read_dir(&self.0)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned())
            .collect();
        names.sort();
        names
    }
}

impl Drop for Dir {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn lines(log: &LogFile, lines: &[&str]) {
    for line in lines {
        log.line(line.as_bytes().to_vec());
        // One batch each, so that sizes are exact.
        assert!(log.flush());
    }
}

#[test]
fn files_are_bounded_in_size_and_number() {
    let dir = Dir::new("bounded");
    let log = LogFile::start("test-log").unwrap();
    log.line(b"before there is a file".to_vec());
    log.aim(dir.target(8, 2));
    lines(&log, &["one", "two", "three", "four", "a line longer than a file"]);
    assert_eq!(dir.names(), ["audit.log.00000003", "audit.log.00000004"]);
    assert_eq!(dir.read(3), "four\n");
    assert_eq!(dir.read(4), "a line longer than a file\n");
    assert_eq!(log.counts(), Counts { written: 5, lost: 0 });
}

#[test]
fn the_last_file_goes_on_and_rotates_when_told() {
    let dir = Dir::new("goes-on");
    for text in ["first", "second"] {
        let log = LogFile::start("test-log").unwrap();
        log.aim(dir.target(100, 9));
        lines(&log, &[text]);
    }
    let log = LogFile::start("test-log").unwrap();
    log.aim(dir.target(100, 9));
    log.rotate();
    lines(&log, &["third"]);
    assert_eq!((dir.read(1).as_str(), dir.read(2).as_str()), ("first\nsecond\n", "third\n"));
    log.aim(None);
    log.line(b"nowhere".to_vec());
    assert!(log.flush());
    assert_eq!(dir.names().len(), 2);
}

#[test]
fn a_full_disk_loses_lines_and_counts_them() {
    let dir = Dir::new("full");
    let full = dir.0.join("audit.log.00000001");
    symlink("/dev/full", &full).unwrap();
    let log = LogFile::start("test-log").unwrap();
    log.aim(dir.target(1 << 20, 2));
    lines(&log, &["one", "two"]);
    assert_eq!(log.counts(), Counts { written: 0, lost: 2 });
    fs::remove_file(&full).unwrap();
    // It is tried again a little later.
    while log.counts().written == 0 {
        lines(&log, &["again"]);
        std::thread::sleep(Duration::from_millis(50));
    }
    assert_eq!(dir.read(1), "again\n");
}

#[test]
fn a_directory_that_is_not_there_is_no_end() {
    let log = LogFile::start("test-log").unwrap();
    log.aim(Some(Target { path: Path::new("/nonexistent/audit.log").into(), max_bytes: 1, keep: 1 }));
    lines(&log, &["one"]);
    log.rotate();
    assert!(log.flush());
    assert_eq!(log.counts().lost, 1);
}

#[test]
fn what_waits_is_bounded() {
    // Nobody reads this queue: a disk that stands still.
    let (queue, messages) = mpsc::channel();
    let log = LogFile { queue, shared: Arc::default() };
    log.shared.on.store(true, Ordering::Relaxed);
    for _ in 0..40 {
        log.line(vec![b'x'; 1 << 20]);
    }
    assert_eq!(messages.try_iter().count(), 15);
    assert_eq!(log.counts().lost, 25);
}
