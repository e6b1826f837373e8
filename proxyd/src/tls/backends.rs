//! TLS towards backends: `mysql-ssl_p2s_*`, and `mysql_servers_ssl_params` where a row speaks of the server and user.
//!
//! A row holds whole: what it leaves empty is not taken from the variables. Files that are no good leave in force what
//! was there before; where nothing was, no connection with TLS is made, rather than one that proves less than was asked.

use std::collections::HashMap;
use std::fs;
use std::path::Path;
use std::sync::Arc;

use arc_swap::ArcSwap;
use rustls::client::WebPkiServerVerifier;
use rustls::pki_types::{CertificateDer, CertificateRevocationListDer};
use rustls::{ClientConfig, RootCertStore};
use tokio_rustls::TlsConnector;

use super::verify::Lenient;
use super::{TlsError, all_of, certificates, choice, private_key};

/// Paths of PEM files and lists; each may be empty.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TlsParams {
    pub ca: String,
    /// A directory whose every certificate is trusted.
    pub capath: String,
    /// Shown to backends that ask for a certificate.
    pub cert: String,
    pub key: String,
    pub crl: String,
    pub crlpath: String,
    pub cipher: String,
    pub version: String,
}

/// A row of `mysql_servers_ssl_params`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerParams {
    pub hostname: String,
    pub port: u16,
    /// Empty: every user that has no row of its own.
    pub user: String,
    pub params: TlsParams,
}

/// All that the configuration says of TLS towards backends.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct WantedTls {
    pub default: TlsParams,
    pub servers: Vec<ServerParams>,
    /// With a CA, the certificate must also be for the name or address that the server is configured by.
    pub verify_identity: bool,
}

/// What begins TLS with one server.
#[derive(Clone)]
pub struct Connector {
    pub tls: TlsConnector,
    /// There is a CA: a server that offers no TLS is not who it should be.
    pub required: bool,
}

/// TLS towards backends. Clones of it follow each other.
#[derive(Clone)]
pub struct BackendTls(Arc<ArcSwap<Loaded>>);

type Place = (String, u16, String);

struct Loaded {
    wanted: WantedTls,
    /// `None`: its files have never been good.
    default: Option<Connector>,
    servers: HashMap<Place, Option<Connector>>,
}

/// Whom a set of parameters is for, and why it cannot be used.
pub struct Problem {
    pub whom: String,
    pub error: TlsError,
}

impl BackendTls {
    pub fn open(wanted: &WantedTls) -> BackendTls {
        let nothing = Loaded { wanted: WantedTls::default(), default: None, servers: HashMap::new() };
        BackendTls(Arc::new(ArcSwap::from_pointee(load(wanted, &nothing).0)))
    }

    /// For the next connection to this server as this user; an error where there is nothing good to use.
    pub fn connector(&self, hostname: &str, port: u16, user: &str) -> Result<Connector, String> {
        let loaded = self.0.load();
        let row = |user: &str| loaded.servers.get(&(hostname.to_owned(), port, user.to_owned()));
        let (found, where_from) = match row(user).or_else(|| row("")) {
            Some(found) => (found, "mysql_servers_ssl_params"),
            None => (&loaded.default, "mysql-ssl_p2s_*"),
        };
        found.clone().ok_or_else(|| format!("the files that {where_from} names for it cannot be used"))
    }

    /// Reads all files again; what is in use stays where they are no good, and the first error is given.
    pub fn reload(&self) -> Result<(), TlsError> {
        let before = self.0.load_full();
        let (loaded, problems) = load(&before.wanted, &before);
        self.0.store(Arc::new(loaded));
        problems.into_iter().next().map_or(Ok(()), |problem| Err(problem.error))
    }

    /// Takes other parameters if the configuration has others now; one attempt for each change.
    pub fn follow(&self, wanted: &WantedTls) {
        let before = self.0.load_full();
        if before.wanted == *wanted {
            return;
        }
        let (loaded, problems) = load(wanted, &before);
        for Problem { whom, error } in problems {
            tracing::error!(error = error.in_full(), "{whom}: TLS to backends stays as it was");
        }
        self.0.store(Arc::new(loaded));
    }
}

/// Everything made anew; where that fails, what there was `before` for the same.
fn load(wanted: &WantedTls, before: &Loaded) -> (Loaded, Vec<Problem>) {
    let mut problems = Vec::new();
    let mut make = |whom: &dyn Fn() -> String, params: &TlsParams, before: Option<&Connector>| {
        connector_with(params, wanted.verify_identity).map(Some).unwrap_or_else(|error| {
            problems.push(Problem { whom: whom(), error });
            before.cloned()
        })
    };
    let default = make(&|| "mysql-ssl_p2s_*".to_owned(), &wanted.default, before.default.as_ref());
    let servers = wanted.servers.iter().map(|row| {
        let place = (row.hostname.clone(), row.port, row.user.clone());
        let was = before.servers.get(&place).and_then(Option::as_ref);
        let made = make(&|| row.name(), &row.params, was);
        (place, made)
    });
    let servers = servers.collect();
    (Loaded { wanted: wanted.clone(), default, servers }, problems)
}

impl ServerParams {
    /// For messages.
    fn name(&self) -> String {
        let of_user = match self.user.as_str() {
            "" => String::new(),
            user => format!(" for user '{user}'"),
        };
        format!("mysql_servers_ssl_params: {}:{}{of_user}", self.hostname, self.port)
    }
}

impl WantedTls {
    /// What of it cannot be used, as the files are now.
    pub fn problems(&self) -> Vec<String> {
        let rows = self.servers.iter().map(|row| (row.name(), &row.params));
        let all = std::iter::once(("mysql-ssl_p2s_*".to_owned(), &self.default)).chain(rows);
        let problem = |(whom, params)| {
            let error = connector_with(params, self.verify_identity).err()?;
            Some(format!("{whom}: {}; TLS to it stays as it was", error.in_full()))
        };
        all.filter_map(problem).collect()
    }
}

/// Verified where there is a CA, else encrypted without proof of identity, as ProxySQL's `use_ssl=1`.
fn connector_with(params: &TlsParams, verify_identity: bool) -> Result<Connector, TlsError> {
    let provider = Arc::new(choice::with_ciphers(&params.cipher)?);
    let builder = ClientConfig::builder_with_provider(provider.clone())
        .with_protocol_versions(&choice::versions(&params.version)?)?;
    let roots = roots(params)?;
    let required = roots.is_some();
    let builder = match roots {
        None => {
            let anybody = Lenient::Anybody(provider);
            builder.dangerous().with_custom_certificate_verifier(Arc::new(anybody))
        }
        Some(roots) => {
            let strict = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider)
                .with_crls(revocations(params)?)
                .build()?;
            match verify_identity {
                true => builder.with_webpki_verifier(strict),
                false => {
                    builder.dangerous().with_custom_certificate_verifier(Arc::new(Lenient::AnyName(strict)))
                }
            }
        }
    };
    let config = match (params.cert.is_empty(), params.key.is_empty()) {
        (true, true) => builder.with_no_client_auth(),
        (false, false) => {
            let chain = certificates(Path::new(&params.cert))?;
            builder.with_client_auth_cert(chain, private_key(Path::new(&params.key))?)?
        }
        _ => return Err(TlsError::HalfAPair),
    };
    Ok(Connector { tls: TlsConnector::from(Arc::new(config)), required })
}

/// `None` where no CA is configured.
fn roots(params: &TlsParams) -> Result<Option<RootCertStore>, TlsError> {
    let mut trusted: Vec<CertificateDer<'static>> = Vec::new();
    if !params.ca.is_empty() {
        trusted.extend(certificates(Path::new(&params.ca))?);
    }
    if !params.capath.is_empty() {
        trusted.extend(all_in(Path::new(&params.capath), certificates)?);
    }
    if params.ca.is_empty() && params.capath.is_empty() {
        return Ok(None);
    }
    let mut roots = RootCertStore::empty();
    for certificate in trusted {
        roots.add(certificate)?;
    }
    Ok(Some(roots))
}

fn revocations(params: &TlsParams) -> Result<Vec<CertificateRevocationListDer<'static>>, TlsError> {
    let mut lists = Vec::new();
    if !params.crl.is_empty() {
        lists.extend(all_of(Path::new(&params.crl))?);
    }
    if !params.crlpath.is_empty() {
        lists.extend(all_in(Path::new(&params.crlpath), all_of)?);
    }
    Ok(lists)
}

/// What all files of a directory have, passing over those that have none of it; an error if there is none at all.
fn all_in<T>(directory: &Path, read: impl Fn(&Path) -> Result<Vec<T>, TlsError>) -> Result<Vec<T>, TlsError> {
    let failed = |error| TlsError::File(directory.to_owned(), error);
    let mut found = Vec::new();
    let mut last = None;
    for entry in fs::read_dir(directory).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        match read(&path) {
            Ok(some) => found.extend(some),
            Err(error) => last = Some(error),
        }
    }
    match (found.is_empty(), last) {
        (false, _) => Ok(found),
        (true, Some(error)) => Err(error),
        (true, None) => Err(failed(std::io::ErrorKind::NotFound.into())),
    }
}
