//! Whole imports of small files, in a directory of their own.

use std::path::{Path, PathBuf};
use std::{env, fs, process};

use super::{Options, import};

const KEEPALIVED: &str = "vrrp_instance A {\n interface eth9\n virtual_router_id 7\n priority 101\n\
    virtual_ipaddress {\n 192.0.2.9\n }\n}\n";

/// A directory that goes when the test ends, and an import into it.
struct Place(PathBuf);

impl Place {
    fn new(name: &str) -> Place {
        let path = env::temp_dir().join(format!("standfast-cli-import-{}-{name}", process::id()));
        let _ = fs::remove_dir_all(&path);
        fs::create_dir_all(&path).expect("directory");
        fs::write(path.join("keepalived.conf"), KEEPALIVED).expect("source");
        Place(path)
    }

    fn options(&self) -> Options {
        Options {
            files: vec![self.0.join("keepalived.conf")],
            dry_run: false,
            force: false,
            config: self.0.join("standfast.toml"),
            data_dir: None,
            hosts: vec![("one".into(), [192, 0, 2, 1].into()), ("two".into(), [192, 0, 2, 2].into())],
        }
    }

    fn names(&self) -> Vec<String> {
        let entries = fs::read_dir(&self.0).expect("directory").flatten();
        let mut names: Vec<_> = entries.map(|it| it.file_name().to_string_lossy().into_owned()).collect();
        names.sort();
        names
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).expect("file")
}

#[test]
fn a_rehearsal_writes_nothing() {
    let place = Place::new("dry");
    let said = import(&Options { dry_run: true, ..place.options() }).expect("rehearsal");
    assert!(said.contains("Dry run: ") && said.contains("standfast.toml would be written"), "{said}");
    assert!(said.contains("192.0.2.9"), "{said}");
    assert_eq!(place.names(), ["keepalived.conf"]);
}

#[test]
fn what_is_there_is_replaced_only_by_force_and_kept_then() {
    let place = Place::new("force");
    let said = import(&place.options()).expect("first");
    assert!(said.contains("wrote "), "{said}");
    assert_eq!(place.names(), ["keepalived.conf", "standfast.toml"]);
    let config = place.options().config;
    fs::write(&config, "mine").expect("edit");
    let why = import(&place.options()).expect_err("there already");
    assert!(why.contains("is there already; --force"), "{why}");
    assert_eq!(read(&config), "mine");
    import(&Options { force: true, ..place.options() }).expect("forced");
    assert!(read(&config).contains("router_id = 7"));
    let names = place.names();
    assert_eq!(names.len(), 3, "{names:?}");
    let kept = names.iter().find(|name| name.contains(".before-import-")).expect("kept");
    assert_eq!(read(&place.0.join(kept)), "mine");
    fs::remove_file(place.0.join(kept)).expect("remove");
    fs::write(&config, read(&config) + "[paths]\nrun_dir = \"/run/other\"\n").expect("edit");
    import(&Options { force: true, ..place.options() }).expect("forced again");
    assert!(read(&config).contains("run_dir = \"/run/other\""), "the paths of what it replaces are kept");
}

#[test]
fn a_translation_that_does_not_pass_the_check_changes_nothing() {
    let place = Place::new("check");
    let source = place.0.join("keepalived.conf");
    fs::write(&source, KEEPALIVED.replace("192.0.2.9", "192.0.2.1")).expect("source");
    let why = import(&place.options()).expect_err("a VIP that is a host's address");
    assert!(why.contains("does not pass `standfast check`") && why.contains("nobody's own"), "{why}");
    fs::write(&source, "hello\n").expect("source");
    let why = import(&place.options()).expect_err("another file");
    assert!(why.ends_with("is no proxysql.cnf, proxysql.db or keepalived.conf"), "{why}");
    assert_eq!(place.names(), ["keepalived.conf"]);
}
