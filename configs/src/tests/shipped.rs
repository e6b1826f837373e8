//! The shipped layouts: every file is right by itself and beside the others, and says what the article says.

use std::path::PathBuf;
use std::time::Duration;

use crate::{Appliance, Failback, File, Identity, Router, Transport, VrrpVersion, check_together, variables};

const HOSTS: [&str; 3] = ["test1", "test2", "test3"];

fn load(file: &str) -> File {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(file);
    File::load(path).unwrap_or_else(|problems| panic!("{problems}"))
}

fn as_host(file: &File, name: &str) -> Appliance {
    file.appliance(Identity { name: Some(name), local: &[] }).unwrap_or_else(|problems| panic!("{problems}"))
}

fn article(layout: &str) -> Vec<File> {
    HOSTS.iter().map(|host| load(&format!("{layout}/article-{host}.toml"))).collect()
}

/// Host, router id, priority, rank, VIP.
fn standing(appliance: &Appliance) -> Vec<(u8, u8, u8, String)> {
    let row = |it: &Router| (it.vrid, it.priority, it.rank, it.vips[0].address.to_string());
    appliance.routers.iter().map(row).collect()
}

#[test]
fn our_single_vip() {
    let file = load("single-vip/standfast.toml");
    let seen: Vec<_> = HOSTS.iter().flat_map(|host| standing(&as_host(&file, host))).collect();
    let vip = || "192.168.0.88".to_owned();
    assert_eq!(seen, [(51, 200, 0, vip()), (51, 150, 1, vip()), (51, 100, 2, vip())]);
    let one = as_host(&file, "test1");
    assert_eq!(one.routers[0].failback, Failback::Never);
    assert_eq!(one.first_boot.tables["mysql_servers"].len(), 6);
    assert_eq!(one.first_boot.tables["mysql_query_rules"].len(), 2);
    assert!(one.first_boot.admin_variables.is_empty());
    let report = check_together(&[file.clone(), file.clone(), file]).expect("three copies");
    assert_eq!(
        report.to_string(),
        "VIP    ADDRESS          ROUTER  HOSTS (priority)\n\
         VI_01  192.168.0.88/32      51  test1 (200) > test2 (150) > test3 (100)\n"
    );
}

#[test]
fn our_three_vips() {
    let report = check_together(&[load("multi-vip/standfast.toml")]).expect("one for all");
    assert_eq!(
        report.to_string(),
        "VIP    ADDRESS          ROUTER  HOSTS (priority)\n\
         VI_01  192.168.0.88/32      51  test1 (200) > test2 (150) > test3 (100)\n\
         VI_02  192.168.0.89/32      52  test2 (200) > test3 (150) > test1 (100)\n\
         VI_03  192.168.0.90/32      53  test3 (200) > test1 (150) > test2 (100)\n"
    );
    let one = as_host(&load("multi-vip/standfast.toml"), "test2");
    assert!(one.routers.iter().all(|it| it.failback == Failback::AfterHealthy(Duration::from_secs(30))));
}

#[test]
fn the_article_s_single_vip() {
    let files = article("single-vip");
    let report = check_together(&files).expect("three files");
    assert_eq!(
        report.to_string(),
        "VIP    ADDRESS          ROUTER  HOSTS (priority)\n\
         VI_01  192.168.0.88/32      51  test1 (101) > test2 (100) > test3 (99)\n"
    );
    let last = as_host(&files[2], "test3");
    assert_eq!(standing(&last), [(51, 99, 2, "192.168.0.88".to_owned())]);
    assert_eq!((last.routers[0].weight, last.routers[0].version), (2, VrrpVersion::V2));
    the_article_s_way(&last);
}

#[test]
fn the_article_s_three_vips() {
    let files = article("multi-vip");
    let report = check_together(&files).expect("three files");
    assert_eq!(
        report.to_string(),
        "VIP    ADDRESS          ROUTER  HOSTS (priority)\n\
         VI_01  192.168.0.88/32      51  test1 (102) > test2 (100) > test3 (99)\n\
         VI_02  192.168.0.89/32      52  test2 (102) > test3 (100) > test1 (99)\n\
         VI_03  192.168.0.90/32      53  test3 (102) > test1 (100) > test2 (99)\n"
    );
    let first = as_host(&files[0], "test1");
    assert_eq!(first.routers.iter().map(|it| it.rank).collect::<Vec<_>>(), [0, 2, 1]);
    assert!(first.routers.iter().all(|it| it.weight == 3));
    the_article_s_way(&first);
}

fn the_article_s_way(host: &Appliance) {
    for router in &host.routers {
        assert_eq!((router.advert, router.failback), (Duration::from_secs(1), Failback::AtOnce));
        assert_eq!(router.transport, Transport::Multicast);
    }
    assert_eq!(host.proxy.mysql_listen[0].to_string(), "0.0.0.0:3311");
    assert_eq!(host.proxy.admin_listen[0].to_string(), "0.0.0.0:3310");
    assert_eq!(host.first_boot.admin_variables["admin_credentials"], "admin:admin");
    assert!(host.first_boot.tables.is_empty());
}

/// proxyd's catalogue is where variables are described; the names here are only for early and near misses.
#[test]
fn variables_are_those_of_the_catalogue() {
    let catalogue = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../proxyd/src/runtime/catalogue.rs");
    let catalogue = std::fs::read_to_string(catalogue).expect("the catalogue");
    let names: Vec<&str> =
        catalogue.lines().filter_map(|line| line.trim().strip_prefix("e(\"")?.split('"').next()).collect();
    let of =
        |prefix: &str| -> Vec<&str> { names.iter().filter_map(|name| name.strip_prefix(prefix)).collect() };
    assert_eq!(of("mysql-"), variables::MYSQL);
    assert_eq!(of("admin-"), variables::ADMIN);
}
