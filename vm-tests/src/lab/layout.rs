//! The configuration that the hosts of a lab run: a shipped file with its paths (and what a drill asks for) changed.

use std::fs;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use toml::{Table, Value};

use super::net::{self, Machine};

/// The shipped layouts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Layout {
    /// One VIP, three hosts.
    SingleVip,
    /// Three VIPs, each at home on another host.
    MultiVip,
}

impl Layout {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Layout::SingleVip => "single-vip",
            Layout::MultiVip => "multi-vip",
        }
    }

    /// How many of the article's VIPs it has.
    pub(crate) fn vips(self) -> usize {
        match self {
            Layout::SingleVip => 1,
            Layout::MultiVip => 3,
        }
    }
}

/// Which numbers a layout uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Numbers {
    /// Ours: VRRPv3, 100 ms adverts, one file for all hosts.
    Standfast,
    /// The article's: VRRPv2, 1 s adverts, its priorities, ports and accounts.
    Article,
}

/// A shipped configuration, and what to change in it.
#[derive(Debug, Clone)]
pub(crate) struct Template {
    pub layout: Layout,
    pub numbers: Numbers,
    /// The `configs` directory of the source tree or of an installed package.
    pub directory: PathBuf,
    /// Values to set, by their dotted path; `*` is every element of an array.
    changes: Vec<(String, Value)>,
    /// keepalived elects, with adverts of so many milliseconds.
    pub keepalived: Option<u16>,
    /// Addresses to write instead of others, wherever they stand.
    readdressed: Vec<(Ipv4Addr, Ipv4Addr)>,
}

impl Template {
    pub(crate) fn new(layout: Layout, numbers: Numbers, directory: &Path) -> Self {
        Self {
            layout,
            numbers,
            directory: directory.into(),
            changes: Vec::new(),
            keepalived: None,
            readdressed: Vec::new(),
        }
    }

    /// Gives the shipped file's hosts other addresses.
    pub(crate) fn with_addresses(mut self, hosts: &[Machine]) -> Self {
        let changed = |host: &Machine| {
            let shipped = net::proxy_hosts().into_iter().find(|h| h.name == host.name)?;
            Some((shipped.address, host.address))
        };
        self.readdressed = hosts.iter().filter_map(changed).collect();
        self
    }

    /// Sets a value by its dotted path.
    pub(crate) fn with(mut self, path: &str, value: impl Into<Value>) -> Self {
        self.changes.push((path.into(), value.into()));
        self
    }

    /// The layouts with several VIPs wait 30 s before a VIP goes home: too long to watch. Says so if it changed that.
    pub(crate) fn shorten_failback(&mut self) -> Option<&'static str> {
        if self.layout != Layout::MultiVip || self.numbers != Numbers::Standfast {
            return None;
        }
        self.changes.push(("vrrp.failback".into(), Value::from("after 3s healthy")));
        Some("fail-back after 3 s healthy here; the shipped layout waits 30 s")
    }

    /// Other adverts than the shipped ones.
    pub(crate) fn with_adverts_every(mut self, milliseconds: u16) -> Self {
        self.changes.push(("vrrp.advert_ms".into(), Value::from(i64::from(milliseconds))));
        self
    }

    /// keepalived in vrrpd's place.
    pub(crate) fn with_keepalived(mut self, advert_ms: u16) -> Self {
        self.keepalived = Some(advert_ms);
        self
    }

    /// Milliseconds between two adverts.
    pub(crate) fn advert_ms(&self) -> Result<u64> {
        let value = self.find("advert_ms")?;
        u64::try_from(value.as_integer().context("advert_ms")?).context("advert_ms")
    }

    /// The first value of a key, anywhere in the shipped file.
    fn find(&self, key: &str) -> Result<Value> {
        let file = self.read("test1")?;
        find(&file, key).with_context(|| format!("no {key} in the shipped file"))
    }

    /// The port for clients.
    pub(crate) fn client_port(&self) -> u16 {
        match self.numbers {
            Numbers::Standfast => 6033,
            Numbers::Article => 3311,
        }
    }

    /// Whether a VIP goes home when its preferred host comes back.
    pub(crate) fn fails_back(&self) -> bool {
        self.layout == Layout::MultiVip || self.numbers == Numbers::Article
    }

    /// Where the shipped file of this host is: one for all hosts, or one for each where the numbers differ.
    pub(crate) fn source(&self, host: &str) -> Result<PathBuf> {
        let base = self.directory.join(self.layout.name());
        let path = match self.numbers {
            Numbers::Standfast => base.join("standfast.toml"),
            Numbers::Article => base.join(format!("article-{host}.toml")),
        };
        if !path.exists() {
            bail!("no shipped configuration at {}", path.display());
        }
        Ok(path)
    }

    /// The file that this host runs, with its directories below `directory`.
    pub(crate) fn render(&self, host: &str, run_dir: &Path, data_dir: &Path) -> Result<String> {
        let mut file = self.read(host)?;
        file.iter_mut().for_each(|(_, value)| readdress(value, &self.readdressed));
        set(&mut file, "paths.run_dir", Value::from(run_dir.display().to_string()))?;
        set(&mut file, "paths.data_dir", Value::from(data_dir.display().to_string()))?;
        for (path, value) in &self.changes {
            set(&mut file, path, value.clone())?;
        }
        toml::to_string(&file).context("write the configuration")
    }

    fn read(&self, host: &str) -> Result<Table> {
        let source = self.source(host)?;
        let text = fs::read_to_string(&source).with_context(|| format!("read {}", source.display()))?;
        text.parse().with_context(|| format!("parse {}", source.display()))
    }
}

/// Sets a value by its dotted path; tables on the way are made, `*` stands for every element of an array.
fn set(table: &mut Table, path: &str, value: Value) -> Result<()> {
    let Some((head, rest)) = path.split_once('.') else {
        table.insert(path.into(), value);
        return Ok(());
    };
    let inner = table.entry(head).or_insert_with(|| Value::Table(Table::new()));
    match (inner, rest.strip_prefix("*.")) {
        (Value::Table(inner), None) => set(inner, rest, value),
        (Value::Array(elements), Some(rest)) => {
            for element in elements.iter_mut().filter_map(Value::as_table_mut) {
                set(element, rest, value.clone())?;
            }
            Ok(())
        }
        _ => bail!("`{head}` is no table in this configuration"),
    }
}

/// The first value of a key.
fn find(table: &Table, key: &str) -> Option<Value> {
    if let Some((_, value)) = table.iter().find(|(name, _)| name.as_str() == key) {
        return Some(value.clone());
    }
    table.values().find_map(|value| match value {
        Value::Table(inner) => find(inner, key),
        Value::Array(elements) => {
            elements.iter().filter_map(Value::as_table).find_map(|inner| find(inner, key))
        }
        _ => None,
    })
}

/// Replaces an address that a text begins with (`192.168.0.11`, `192.168.0.11:6033`).
fn readdress(value: &mut Value, addresses: &[(Ipv4Addr, Ipv4Addr)]) {
    match value {
        Value::String(text) => {
            let end = text.find([':', '/']).unwrap_or(text.len());
            let Ok(address) = text[..end].parse::<Ipv4Addr>() else { return };
            if let Some((_, new)) = addresses.iter().find(|(old, _)| *old == address) {
                text.replace_range(..end, &new.to_string());
            }
        }
        Value::Array(elements) => elements.iter_mut().for_each(|element| readdress(element, addresses)),
        Value::Table(table) => table.iter_mut().for_each(|(_, value)| readdress(value, addresses)),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_set_in_tables_and_in_every_element_of_an_array() {
        let mut file: Table = "[[vip]]\na = 1\n[[vip]]\na = 2\n".parse().expect("toml");
        set(&mut file, "vip.*.failback_s", Value::from(3)).expect("array");
        set(&mut file, "paths.run_dir", Value::from("/x")).expect("table");
        let text = toml::to_string(&file).expect("text");
        assert_eq!(text.matches("failback_s = 3").count(), 2);
        assert!(text.contains("[paths]\nrun_dir = \"/x\""));
        assert!(set(&mut file, "vip.a.b", Value::from(1)).is_err());
        assert_eq!(find(&file, "failback_s"), Some(Value::from(3)));
    }

    #[test]
    fn addresses_change_places_in_one_go() {
        let [one, two] = [Ipv4Addr::new(192, 168, 0, 11), Ipv4Addr::new(192, 168, 0, 12)];
        let mut value = Value::from(vec!["192.168.0.11", "192.168.0.12:6033", "192.168.0.110", "text"]);
        readdress(&mut value, &[(one, two), (two, one)]);
        assert_eq!(value, Value::from(vec!["192.168.0.12", "192.168.0.11:6033", "192.168.0.110", "text"]));
    }
}
