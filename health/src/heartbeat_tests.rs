use super::*;

#[test]
fn two_mappings_share_what_is_written() {
    let angel = Segment::create(3).unwrap();
    let proxyd = Segment::from_fd(angel.as_fd().try_clone_to_owned().unwrap()).unwrap();
    assert_eq!(proxyd.workers(), 3);
    proxyd.worker(2).beat();
    proxyd.worker(2).beat();
    proxyd.worker(2).set_sessions(7);
    proxyd.worker(0).set_sessions(5);
    proxyd.set_backends(2, 3);
    for slot in proxyd.slots() {
        assert!(!angel.all_ready());
        slot.set_state(State::Ready);
    }
    assert!(angel.all_ready());
    assert_eq!(angel.worker(2).beats(), 2);
    assert_eq!(angel.worker(1).beats(), 0);
    assert_eq!(angel.sessions(), 12);
    assert_eq!(angel.backends(), Backends { online: 2, known: 3 });
    angel.reset();
    assert_eq!(proxyd.worker(2).state(), State::Starting);
    assert_eq!(proxyd.sessions(), 0);
    assert_eq!(proxyd.backends(), Backends { online: 0, known: 0 });
    assert_eq!(proxyd.worker(2).beats(), 2);
    assert!(angel.get(3).is_none());
}

#[test]
fn layout_is_one_aligned_line_pair_a_worker() {
    assert_eq!(size_of::<Header>(), 128);
    assert_eq!(size_of::<Slot>(), 128);
    assert_eq!(Segment::size(4), 5 * 128);
}

#[test]
fn create_refuses_no_workers_and_too_many() {
    assert!(Segment::create(0).is_err());
    assert!(Segment::create(1025).is_err());
    assert!(Segment::create(1024).is_ok());
}

fn memfd(bytes: &[u8], seal: bool) -> OwnedFd {
    let fd = memfd_create("test", MFdFlags::MFD_ALLOW_SEALING).unwrap();
    nix::unistd::write(&fd, bytes).unwrap();
    if seal {
        fcntl(&fd, FcntlArg::F_ADD_SEALS(required_seals())).unwrap();
    }
    fd
}

fn header(magic: u64, version: u32, workers: u32, slots: usize) -> Vec<u8> {
    let mut bytes = vec![0; 128 * (slots + 1)];
    bytes[..8].copy_from_slice(&magic.to_ne_bytes());
    bytes[8..12].copy_from_slice(&version.to_ne_bytes());
    bytes[12..16].copy_from_slice(&workers.to_ne_bytes());
    bytes
}

#[test]
fn from_fd_refuses_everything_that_is_not_a_segment() {
    let refused = |bytes: &[u8]| Segment::from_fd(memfd(bytes, true)).unwrap_err();
    assert!(matches!(refused(&[0; 10]), HeartbeatError::Size { found: 10, wanted: 256 }));
    assert!(matches!(refused(&header(1, 1, 1, 1)), HeartbeatError::Magic));
    assert!(matches!(refused(&header(MAGIC, 9, 1, 1)), HeartbeatError::Version(9)));
    assert!(matches!(refused(&header(MAGIC, 1, 0, 1)), HeartbeatError::Workers(0)));
    assert!(matches!(refused(&header(MAGIC, 1, u32::MAX, 1)), HeartbeatError::Workers(u32::MAX)));
    assert!(matches!(refused(&header(MAGIC, 1, 2, 1)), HeartbeatError::Size { found: 256, wanted: 384 }));
    assert!(matches!(refused(&header(MAGIC, 1, 1, 2)), HeartbeatError::Size { found: 384, wanted: 256 }));
    let unsealed = Segment::from_fd(memfd(&header(MAGIC, 1, 1, 1), false)).unwrap_err();
    assert!(matches!(unsealed, HeartbeatError::NotSealed));
    assert!(Segment::from_fd(memfd(&header(MAGIC, 1, 1, 1), true)).is_ok());
}

#[test]
fn an_unknown_state_is_not_ready() {
    let segment = Segment::create(1).unwrap();
    segment.worker(0).state.store(77, Ordering::Relaxed);
    assert_eq!(segment.worker(0).state(), State::Starting);
}
