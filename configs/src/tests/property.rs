//! Whatever is in the file, the answer is a file or problems.

use proptest::prelude::*;

use crate::{File, Identity, check_together};

/// Lines that are nearly right, so that random files get past TOML and into the sections.
fn line() -> impl Strategy<Value = String> {
    let header = prop::sample::select(vec![
        "[vrrp]",
        "[[vip]]",
        "[[hosts]]",
        "[angel]",
        "[proxy]",
        "[paths]",
        "[vip.priorities]",
        "[[mysql_servers]]",
        "[[mysql_users]]",
        "[mysql_variables]",
        "[admin_variables]",
        "[hosts]",
        "[[vrrp]]",
    ]);
    let key = prop::sample::select(vec![
        "host",
        "name",
        "address",
        "version",
        "advert_ms",
        "failback",
        "weight",
        "prefer",
        "priority",
        "rank",
        "priorities",
        "router_id",
        "auth_pass",
        "mysql_listen",
        "workers",
        "packet_memory_mb",
        "run_dir",
        "grace_ms",
        "hostname",
        "test1",
        "\"a\\nb\"",
    ]);
    let value = prop_oneof![
        any::<i64>().prop_map(|it| it.to_string()),
        "\"[a-z0-9./:é ]{0,12}\"",
        Just("[\"test1\", \"192.0.2.1\", 3]".to_owned()),
        Just("{ test1 = 1, a.b = 2 }".to_owned()),
        Just("0xffffffffffffffffff".to_owned()),
        Just("1979-05-27T07:32:00Z".to_owned()),
        Just("1e400".to_owned()),
        Just("\"after 99999999999999999999s healthy\"".to_owned()),
        Just("\"192.0.2.9/24\"".to_owned()),
        Just("\"test1\"".to_owned()),
    ];
    prop_oneof![
        header.prop_map(str::to_owned),
        (key, value).prop_map(|(key, value)| format!("{key} = {value}")),
    ]
}

fn survives(text: &str) {
    match File::parse("f.toml", text) {
        Ok(file) => {
            let _ = file.appliance(Identity { name: Some("test1"), local: &[] });
            let _ = check_together(&[file.clone(), file]);
        }
        Err(problems) => assert!(problems.to_string().lines().all(|line| line.starts_with("f.toml"))),
    }
}

proptest! {
    #[test]
    fn any_text(text in "\\PC{0,200}") {
        survives(&text);
    }

    #[test]
    fn nearly_right_files(lines in prop::collection::vec(line(), 0..30)) {
        survives(&lines.join("\n"));
    }
}
