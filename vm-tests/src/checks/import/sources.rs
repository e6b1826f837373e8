//! Configurations of a size and style that are found in the wild, and the article's keepalived.conf.

use std::fmt::Write as _;

/// How many rows the generated proxysql.cnf has.
pub(super) const SERVERS: usize = 50;
pub(super) const USERS: usize = 500;
pub(super) const RULES: usize = 200;

/// In every clear-text password, so that one that is printed is found.
pub(super) const SECRET: &str = "s3cr3t";

const HEAD: &str = r#"# /etc/proxysql.cnf of the shop, kept by the operations team
datadir="/var/lib/proxysql"
errorlog="/var/lib/proxysql/proxysql.log"

admin_variables =
{
	admin_credentials="admin:s3cr3t-adm;radmin:s3cr3t-r" // two logins
	mysql_ifaces="0.0.0.0:3310;/tmp/proxysql_admin.sock"
	refresh_interval=2000
	web_enabled=false
}

/* what the data path wants */
mysql_variables:
{
	threads=2;
	max_connections=0x1000;
	default_query_delay=0;
	default_query_timeout=36000000;
	have_compress=true;
	poll_timeout=2000;
	interfaces="0.0.0.0:3311";
	default_schema="information_schema";
	server_version="8.0.30";
	connect_timeout_server=3000;
	monitor_username="monitor";
	monitor_password="s3cr3t-monitor";
	monitor_ping_interval=10000;
	ping_timeout_server=500;
	commands_stats=true;
	sessions_sort=true;
	an_option_of_tomorrow=1;
}
"#;

/// The article's two rules and its account, among many others.
const RULES_OF_THE_ARTICLE: &str = r#"	{ rule_id=9000, active=1, username="load_RW", match_digest="^SELECT.*FOR UPDATE", destination_hostgroup=500, retries=3, apply=1 },
	{ rule_id=9001, username="load_RW", match_digest="^SELECT ", destination_hostgroup=501, retries=3, apply=1 }
"#;

pub(super) fn proxysql_cnf() -> String {
    let mut text = HEAD.to_owned();
    // Writing to a String cannot fail.
    let _ = write!(text, "\nmysql_servers =\n(\n");
    for (index, address) in ["192.168.0.5", "192.168.0.21", "192.168.0.231"].iter().enumerate() {
        for (hostgroup, weight) in [(500, 1000 >> index), (501, 100)] {
            let _ = writeln!(
                text,
                "\t{{ address=\"{address}\" , port=3306 , hostgroup={hostgroup} , weight={weight}, comment=\"node \\\"{index}\\\"\" }},"
            );
        }
    }
    for index in 6..SERVERS {
        let comma = if index + 1 < SERVERS { "," } else { "" };
        let _ = writeln!(
            text,
            "\t{{ hostname=\"10.9.{}.{}\"\n\t  hostgroup_id={}; max_connections=100; max_replication_lag=10 }}{comma} # shard {index}",
            index / 16,
            index % 16 + 1,
            1000 + index / 2
        );
    }
    let _ = write!(
        text,
        ")\n\nmysql_users:\n(\n\t{{ username=\"load_RW\", password=\"test\", default_hostgroup=500, default_schema=\"test\", transaction_persistent=1 }}"
    );
    for index in 1..USERS {
        let password = match index % 2 {
            0 => format!("*{:040X}", index * 7919),
            _ => format!("{SECRET}-{index}-\\\"q\\\""),
        };
        let _ = write!(
            text,
            ",\n\t{{\n\t\tusername = \"app_{index}\"\n\t\tpassword = \"{password}\"\n\t\tdefault_hostgroup = {}\n\t\tactive = {}\n\t}}",
            500 + index % 2,
            u8::from(index % 50 != 0)
        );
    }
    let _ = write!(text, "\n)\n\nmysql_query_rules:\n(\n");
    for index in 1..=RULES - 2 {
        let condition = match index % 3 {
            0 => format!("match_pattern=\"^SELECT\\s+.*FROM shop_{index}\\b\""),
            1 => format!("match_digest=\"^SELECT .* FROM table_{index} WHERE\""),
            _ => format!("username=\"app_{index}\" schemaname=\"shop_{index}\""),
        };
        let _ = writeln!(
            text,
            "\t{{\n\t\trule_id={index}\n\t\tactive=1\n\t\t{condition}\n\t\tdestination_hostgroup={}\n\t\tapply=1\n\t}},",
            1003 + index % 20
        );
    }
    text.push_str(RULES_OF_THE_ARTICLE);
    text.push_str(
        ")\n\nscheduler=\n(\n)\n\nmysql_replication_hostgroups=\n(\n\t{ writer_hostgroup=30 , reader_hostgroup=40 , comment=\"reports\" }\n)\n",
    );
    text
}

/// As printed, with the priority that the article works out for this host.
pub(super) fn keepalived_conf(priority: &str) -> String {
    format!(
        r#"global_defs {{
  # Keepalived process identifier
  lvs_id proxy_HA
}}
# Script used to check if Proxy is running
vrrp_script check_proxy {{
  script "killall -0 proxysql"
  interval 2
  weight 2
}}
# Virtual interface
# The priority specifies the order in which the assigned interface to take over in a failover
vrrp_instance VI_01 {{
  state MASTER 
  interface em1
  virtual_router_id 51
  priority {priority}
 
  # The virtual ip address shared between the two loadbalancers
  virtual_ipaddress {{
    192.168.0.88 dev em1
  }}
  track_script {{
    check_proxy
  }}
}}
"#
    )
}
