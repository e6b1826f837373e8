//! `/metrics`, `/health` and the status page of a real host: numbers that `promtool` takes, a page that a real browser shows.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use nix::sys::signal::Signal;
use serde_json::Value;

use super::runner::Runner;
use super::shell::{self, inside};
use crate::client::probe;
use crate::client::workload;
use crate::drills::stage::LIMIT;
use crate::lab::cluster::{BackendKind, Cluster};
use crate::lab::host::Host;
use crate::lab::layout::{Layout, Numbers, Template};
use crate::lab::{net, teardown, wait};

const METRICS: u16 = 6070;
const PAGE: u16 = 6080;
const LOGIN: &str = "stats:st4ts";
/// What clients can bring into a digest's text: names in backquotes are no literals.
const HOSTILE: &str =
    "SELECT 1 AS `<script>document.title='owned'</script><img src=x onerror=document.title='owned'>`";
/// A browser's start and a few refreshes of the page, on a machine with other work.
const BROWSER_TIME: Duration = Duration::from_secs(60);
/// What is asked and does not answer is not waited for as long as it hangs.
const MOMENT: Duration = Duration::from_secs(15);

pub(crate) fn run(runner: &mut Runner) -> Result<()> {
    shell::require("chromium-headless-shell", "chromium-headless-shell")?;
    shell::require("promtool", "prometheus")?;
    let template = Template::new(Layout::SingleVip, Numbers::Standfast, &runner.configs)
        .with("admin_variables.stats_credentials", LOGIN)
        .with("admin_variables.restapi_enabled", true)
        .with("admin_variables.web_enabled", true);
    let cluster = runner.cluster(template, BackendKind::Sqlite, net::proxy_hosts())?;
    cluster.wait_for_vips(LIMIT)?;
    let vip = cluster.vips()[0];
    let first = cluster.holder(vip).context("nobody has the VIP")?;
    wait::until("a statement through the VIP", LIMIT, || {
        let account = probe::account(vip, cluster.plan.template.client_port());
        cluster.client().is_ok_and(|client| workload::run_once(&client, &account, &[HOSTILE]).is_ok())
    })?;
    runner.check("web/promtool and a strict eye take the metrics", || metrics(&cluster, first));
    runner.check("web/health counts servers and names the VIP's owner", || health(&cluster, first));
    runner.check("web/only loopback is served, and the page only with a password", || doors(&cluster, first));
    runner.check("web/a browser shows hosts, owner, servers and a hostile digest as text", || {
        page(&cluster, first)
    });
    runner.check("web/a vrrpd that hangs costs a moment; the VIP's new owner says why it moved", || {
        moved(&cluster, first)
    });
    Ok(())
}

fn metrics(cluster: &Cluster, holder: usize) -> Result<()> {
    let host = &cluster.hosts[holder];
    let mut text = String::new();
    let lines = [
        "standfast_angel_up 1",
        "standfast_vrrpd_up 1",
        "standfast_liveness{verdict=\"serving\"} 1",
        "standfast_vip_held{router=\"VI_01\",vip=\"192.168.0.88\"} 1",
        "proxysql_connpool_conns_status{endpoint=\"192.168.0.5:3306\",hostgroup=\"500\"} 1",
    ];
    // On a machine with other work a daemon may take longer than it is waited for, once.
    wait::until("all of the metrics", LIMIT, || {
        text = get(host, METRICS, "/metrics").unwrap_or_default();
        lines.iter().all(|line| text.lines().any(|it| it == *line))
    })
    .with_context(|| format!("not all of {lines:#?} in\n{text}"))?;
    let questions = text.lines().find_map(|line| line.strip_prefix("proxysql_questions_total "));
    ensure!(questions.is_some_and(|count| count != "0"), "{questions:?} statements");
    let directory = teardown::directory().join("promtool");
    std::fs::create_dir_all(&directory)?;
    let file = directory.join("metrics.txt");
    std::fs::write(&file, &text)?;
    let script = format!("promtool check metrics < {}", file.display());
    let output = shell::bash(&host.netns, &directory, &script, LIMIT)?;
    // Its style advice is about names, and those are ProxySQL's; what it cannot read is an error of ours.
    let broken = output.stderr.lines().find(|line| line.contains("error while linting"));
    ensure!(broken.is_none(), "promtool: {}", output.stderr);
    let ours = output.stderr.lines().find(|line| line.starts_with("standfast_"));
    ensure!(ours.is_none(), "promtool on a name of ours: {}", output.stderr);
    Ok(())
}

fn health(cluster: &Cluster, holder: usize) -> Result<()> {
    for (index, host) in cluster.hosts.iter().enumerate() {
        let state = if index == holder { "MASTER" } else { "BACKUP" };
        let mut body = Value::Null;
        wait::until("a healthy host", LIMIT, || {
            let text = get(host, METRICS, "/health").unwrap_or_default();
            body = serde_json::from_str(&text).unwrap_or_default();
            let vip = &body["vips"][0];
            body["verdict"] == "serving"
                && body["hostgroups"]["500"]["online"].as_u64() > Some(0)
                && vip["owner"] == cluster.hosts[holder].name.as_str()
                && vip["vip"] == "192.168.0.88"
                && vip["state"] == state
        })
        .with_context(|| format!("the last answer of {} was {body}", host.name))?;
    }
    Ok(())
}

fn doors(cluster: &Cluster, holder: usize) -> Result<()> {
    let host = &cluster.hosts[holder];
    for port in [METRICS, PAGE] {
        let address = host.address;
        let refused = inside(&cluster.client()?, move || Ok(dial((address, port).into()).is_err()))?;
        ensure!(refused, "port {port} is open to the network");
    }
    let (code, _) = request(host, PAGE, "/", "")?;
    ensure!(code == 401, "the page without a password: {code}");
    let (code, _) = request(host, PAGE, "/", "Authorization: Basic c3RhdHM6d3Jvbmc=\r\n")?;
    ensure!(code == 401, "the page with a wrong password: {code}");
    let curl = "curl --version >/dev/null 2>&1 || exit 0; curl -sk -o /dev/null -w '%{http_code}' -u stats:st4ts https://127.0.0.1:6080/";
    let output = shell::bash(&host.netns, &teardown::directory().join("curl"), curl, LIMIT)?;
    ensure!(matches!(output.stdout.as_str(), "200" | ""), "over TLS: {} {}", output.stdout, output.stderr);
    Ok(())
}

fn page(cluster: &Cluster, holder: usize) -> Result<()> {
    let host = &cluster.hosts[holder];
    let title = format!("<title>serving: {}</title>", host.name);
    let owner = format!("<td>{}</td>", host.name);
    let this = format!("{} (this host)", host.name);
    let wanted = [
        title.as_str(),
        &this,
        ">test1",
        ">test2",
        ">test3",
        "192.168.0.88",
        &owner,
        ">MASTER<",
        "192.168.0.5:3306",
        "192.168.0.231:3306",
        ">ONLINE<",
        "&lt;script&gt;document.title=",
        "&lt;img src=x onerror",
        "standfast-angel: the proxy is serving",
        "BACKUP to MASTER",
    ];
    let dom = shows(host, &wanted)?;
    ensure!(!dom.contains("<script>document") && !dom.contains("<img"), "markup of a client's:\n{dom}");
    Ok(())
}

fn moved(cluster: &Cluster, first: usize) -> Result<()> {
    let host = &cluster.hosts[first];
    let vip = cluster.vips()[0];
    let pid = host.vrrpd()?.main_pid().context("vrrpd does not run")?;
    crate::lab::process::signal(pid, Signal::SIGSTOP);
    let outcome = while_it_hangs(cluster, first);
    crate::lab::process::signal(pid, Signal::SIGCONT);
    outcome?;
    wait::until("one holder of the VIP", LIMIT, || cluster.holder(vip).is_some()).map(drop)
}

fn while_it_hangs(cluster: &Cluster, first: usize) -> Result<()> {
    // What it answered a moment before the stop is shown for a moment longer.
    wait::until("metrics that miss a stopped vrrpd", LIMIT, || {
        let text = get(&cluster.hosts[first], METRICS, "/metrics");
        text.is_ok_and(|text| text.contains("\nstandfast_vrrpd_up 0\n"))
    })?;
    let start = Instant::now();
    let text = get(&cluster.hosts[first], METRICS, "/metrics")?;
    let took = start.elapsed();
    ensure!(text.contains("\nstandfast_vrrpd_up 0\n"), "a stopped vrrpd answers:\n{text}");
    ensure!(!text.contains("standfast_vip_held"), "old numbers of a stopped vrrpd:\n{text}");
    ensure!(took < MOMENT, "it took {took:?}");
    let became = "standfast_vrrp_changes_total{router=\"VI_01\",state=\"MASTER\",cause=\"master-down\"} ";
    let mut second = None;
    wait::until("another host that says why it took the VIP", LIMIT, || {
        let others = (0..cluster.hosts.len()).filter(|index| *index != first);
        second = others.into_iter().find(|index| {
            get(&cluster.hosts[*index], METRICS, "/metrics").is_ok_and(|text| text.contains(became))
        });
        second.is_some()
    })?;
    let host = &cluster.hosts[second.context("nobody took the VIP")?];
    shows(host, &["BACKUP to MASTER (master-down)", "no master was heard in time"])?;
    shows(&cluster.hosts[first], &["standfast-vrrpd: no answer in time"]).map(drop)
}

/// The page once it shows all of this: on a machine with other work a daemon may take longer than it is waited for, once.
fn shows(host: &Host, wanted: &[&str]) -> Result<String> {
    let mut page = Ok(String::new());
    let missing = |page: &Result<String>| match page {
        Ok(dom) => wanted.iter().find(|it| !dom.contains(**it)).map(|it| format!("no {it} in\n{dom}")),
        Err(error) => Some(format!("{error:#}")),
    };
    wait::until("the page with all of it", BROWSER_TIME * 2, || {
        page = browse(host);
        missing(&page).is_none()
    })
    .with_context(|| missing(&page).unwrap_or_default())?;
    page
}

/// The page as a browser on that host has it after its script has run.
fn browse(host: &Host) -> Result<String> {
    let directory = teardown::directory().join(format!("browser-{}", host.name));
    let script = format!(
        "exec chromium-headless-shell --no-sandbox --disable-gpu --disable-dev-shm-usage --no-first-run \
         --user-data-dir={0}/profile --virtual-time-budget=4000 --dump-dom http://{LOGIN}@127.0.0.1:{PAGE}/",
        directory.display()
    );
    let output = shell::bash(&host.netns, &directory, &script, BROWSER_TIME)?;
    ensure!(output.success, "the browser failed: {}", output.stderr);
    Ok(output.stdout)
}

fn get(host: &Host, port: u16, path: &str) -> Result<String> {
    let (code, body) = request(host, port, path, "")?;
    ensure!(code == 200, "{path} of {}: {code} {body}", host.name);
    Ok(body)
}

/// A request from the host itself; its status code and body.
fn request(host: &Host, port: u16, path: &str, header: &str) -> Result<(u16, String)> {
    let text = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{header}\r\n");
    inside(&host.netns, move || {
        let mut stream = dial((Ipv4Addr::LOCALHOST, port).into())?;
        stream.write_all(text.as_bytes())?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        let (head, body) = answer.split_once("\r\n\r\n").context("no HTTP answer")?;
        let code = head.split(' ').nth(1).and_then(|code| code.parse().ok()).context("no status code")?;
        Ok((code, body.to_owned()))
    })
}

fn dial(address: SocketAddr) -> Result<TcpStream> {
    let stream = TcpStream::connect_timeout(&address, MOMENT)?;
    stream.set_read_timeout(Some(MOMENT * 2))?;
    Ok(stream)
}
