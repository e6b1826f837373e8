use super::*;
use crate::route::{QueryRule, RuleSet};
use crate::snapshot::HostgroupAttributes;
use crate::users::Users;

fn user(default_hostgroup: HostgroupId, credential: Credential) -> User {
    User {
        credential,
        backend_credential: None,
        default_hostgroup,
        default_schema: "shop".into(),
        transaction_persistent: true,
        schema_locked: false,
        fast_forward: false,
        isolation: None,
        spiffe_id: None,
        use_ssl: false,
        max_connections: 100,
    }
}

fn member(hostgroup: HostgroupId, host: &str, status: Status) -> Member {
    Member {
        server: Arc::new(Server::new(hostgroup, host, 3306)),
        status,
        weight: 1,
        max_connections: 1000,
        use_ssl: false,
        compression: false,
        is_silent: false,
        reason: "".into(),
    }
}

fn clear() -> Credential {
    Credential::Clear("secret".into())
}

/// Hostgroups 10 and 20 of two servers each; a rule leads to 20.
fn snapshot(users: &[(&str, User)]) -> Snapshot {
    let hostgroup = |id, first, second| Hostgroup {
        members: vec![member(id, first, Status::Online), member(id, second, Status::Shunned)],
        attributes: HostgroupAttributes::default(),
    };
    let rule = QueryRule { active: true, destination_hostgroup: Some(20), ..QueryRule::default() };
    Snapshot {
        hostgroups: [
            (10, hostgroup(10, "a", "b")),
            (20, hostgroup(20, "b", "a")),
            (30, hostgroup(30, "c", "d")),
        ]
        .into_iter()
        .collect(),
        users: Arc::new(users.iter().map(|(name, user)| ((*name).into(), user.clone())).collect::<Users>()),
        rules: Arc::new(RuleSet::compile(vec![rule]).expect("a rule")),
        ..Snapshot::default()
    }
}

fn remembered(hostgroup: HostgroupId, user: &str, count: u32) -> (Profile, u32) {
    let traits = Traits { found_rows: true, ..Traits::default() };
    (Profile { hostgroup, user: user.into(), schema: "".into(), traits, collation: 33 }, count)
}

/// `server user number`, in order.
fn seen(wishes: &[Wish]) -> Vec<String> {
    let mut counts = std::collections::BTreeMap::new();
    for Wish { server, profile } in wishes {
        *counts.entry((server.hostgroup, server.hostname.clone(), profile.user.clone())).or_insert(0) += 1;
    }
    counts.into_iter().map(|((id, host, user), count)| format!("{id} {host} {user} {count}")).collect()
}

#[test]
fn without_a_memory_the_configured_users_get_a_few() {
    let users = [
        ("app", user(10, clear())),
        ("hashed", user(10, Credential::Native([1; 20]))),
        ("raw", User { fast_forward: true, ..user(10, clear()) }),
    ];
    let wishes = wishes(&snapshot(&users), &[], 2);
    assert_eq!(
        seen(&wishes),
        ["10 a app 4", "20 b app 4"],
        "servers that are not ONLINE and hostgroups out of reach get none"
    );
    assert_eq!(&*wishes[0].profile.schema, "shop");
}

#[test]
fn those_who_had_connections_get_them_again_by_their_share() {
    let users = [("app", user(10, clear())), ("cron", user(10, clear())), ("rare", user(10, clear()))];
    let memory = [
        remembered(10, "cron", 10),
        remembered(10, "app", 90),
        remembered(10, "gone", 900),
        remembered(10, "rare", 1),
    ];
    let mut snapshot = snapshot(&users);
    let few = wishes(&snapshot, &memory, 2);
    assert_eq!(seen(&few)[0], "10 a app 4");
    let known = few.iter().find(|wish| wish.server.hostgroup == 10).expect("one of ten");
    assert!(known.profile.traits.found_rows, "what the client was like is remembered too");
    snapshot.variables.connection_warming = true;
    // 10 % of 1,000 for both workers.
    let all = wishes(&snapshot, &memory, 2);
    assert_eq!(seen(&all)[..2], ["10 a app 45", "10 a cron 5"]);
    let first: Vec<&str> = all
        .iter()
        .filter(|wish| wish.server.hostgroup == 10)
        .take(3)
        .map(|wish| &*wish.profile.user)
        .collect();
    assert_eq!(first, ["app", "cron", "app"], "one of each before a second");
}

#[test]
fn a_hostgroup_decides_for_itself_and_there_is_an_end() {
    let users = [("app", user(10, clear()))];
    let mut snapshot = snapshot(&users);
    let ten = snapshot.hostgroups.get_mut(&10).expect("configured");
    ten.attributes.connection_warming = Some(true);
    ten.attributes.free_connections_pct = Some(100);
    assert_eq!(seen(&wishes(&snapshot, &[], 1)), ["10 a app 496", "20 b app 4"]);
    let ten = snapshot.hostgroups.get_mut(&10).expect("configured");
    ten.attributes.settings.proxy_protocol = crate::snapshot::ProxyProtocol::V2;
    assert_eq!(
        seen(&wishes(&snapshot, &[], 1)),
        ["20 b app 4"],
        "a connection that names its client is for that one"
    );
}
