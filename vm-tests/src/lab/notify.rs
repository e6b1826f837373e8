//! One datagram of the service notification protocol (sd_notify(3)). Pure.

/// What a unit's process told its service manager.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Notification {
    pub ready: bool,
    /// `FDSTORE=1`: keep the descriptors that came with it.
    pub store: bool,
    /// `FDSTOREREMOVE=1`: forget those of that name.
    pub remove: bool,
    pub name: Option<String>,
}

impl Notification {
    pub(crate) fn parse(datagram: &[u8]) -> Self {
        let mut notification = Self::default();
        for line in String::from_utf8_lossy(datagram).lines() {
            match line.split_once('=') {
                Some(("READY", "1")) => notification.ready = true,
                Some(("FDSTORE", "1")) => notification.store = true,
                Some(("FDSTOREREMOVE", "1")) => notification.remove = true,
                Some(("FDNAME", name)) => notification.name = Some(name.into()),
                _ => {}
            }
        }
        notification
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn assignments_are_read_line_by_line_and_unknown_ones_skipped() {
        let n = Notification::parse(b"READY=1\nSTATUS=serving=yes\nX_OTHER=2\nWATCHDOG=1\n");
        assert!(n.ready && !n.store);
        let n = Notification::parse(b"FDSTORE=1\nFDNAME=mysql-0");
        assert_eq!((n.store, n.remove, n.name.as_deref()), (true, false, Some("mysql-0")));
    }
}
