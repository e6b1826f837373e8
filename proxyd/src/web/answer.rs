//! From a request to its answer: which resource, who may have it, and what it is rendered from.

use std::sync::Arc;
use std::time::{Duration, Instant};

use aws_lc_rs::constant_time::verify_slices_are_equal;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;
use tokio::sync::{Mutex, mpsc, oneshot};
use tokio::time::timeout;

use super::control_side::{Facts, Notes, Question};
use super::daemons::Daemons;
use super::doors::{Credentials, Door};
use super::report::Report;
use super::scripts::Scripts;
use super::{exposition, health, metrics, status};
use crate::control::WorkerHandle;
use crate::digests::DigestRow;
use crate::runtime::collect_digests;

/// A control thread that takes longer is called down.
const PATIENCE: Duration = Duration::from_secs(1);
/// Whoever asks again sooner gets the same numbers: however many ask, the workers are asked so often.
const FRESH: Duration = Duration::from_millis(200);
/// Ranking up to 50,000 digests is not for every refresh of a page.
const DIGESTS_FRESH: Duration = Duration::from_secs(5);

pub const JSON: &str = "application/json";

/// An answer without its transport.
#[derive(Debug, PartialEq, Eq)]
pub struct Answer {
    pub code: u16,
    pub content_type: &'static str,
    pub body: Vec<u8>,
}

impl Answer {
    pub fn text(code: u16, text: &str) -> Answer {
        Answer { code, content_type: "text/plain; charset=utf-8", body: format!("{text}\n").into_bytes() }
    }

    pub fn json(code: u16, value: &Value) -> Answer {
        Answer { code, content_type: JSON, body: format!("{value}\n").into_bytes() }
    }

    fn file(content_type: &'static str, text: &'static str) -> Answer {
        Answer { code: 200, content_type, body: text.as_bytes().to_vec() }
    }
}

/// What can be asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Resource {
    Metrics,
    Health,
    Page,
    Style,
    Script,
    Status,
}

impl Resource {
    fn find(door: Door, path: &str) -> Option<Resource> {
        let resource = match path {
            "/metrics" => Resource::Metrics,
            "/health" => Resource::Health,
            "/" => Resource::Page,
            "/style.css" => Resource::Style,
            "/script.js" => Resource::Script,
            "/status.json" => Resource::Status,
            _ => return None,
        };
        let open = matches!(resource, Resource::Metrics | Resource::Health);
        (open || door == Door::Page).then_some(resource)
    }
}

/// Where answers come from; shared by all connections of the web thread.
#[derive(Debug)]
pub struct Library {
    workers: Vec<WorkerHandle>,
    daemons: Daemons,
    control: mpsc::Sender<Question>,
    pub scripts: Scripts,
    report: Mutex<Option<(Instant, Arc<Report>)>>,
    digests: Mutex<Option<(Instant, Arc<Vec<DigestRow>>)>>,
}

impl Library {
    pub fn new(
        workers: Vec<WorkerHandle>,
        daemons: Daemons,
        control: mpsc::Sender<Question>,
        scripts: Scripts,
    ) -> Library {
        Library { workers, daemons, control, scripts, report: Mutex::default(), digests: Mutex::default() }
    }

    /// Answers a GET or HEAD. The page's door wants a login for everything.
    pub async fn answer(
        &self,
        door: Door,
        path: &str,
        authorization: Option<&str>,
        credentials: &Credentials,
    ) -> Answer {
        if door == Door::Page && !is_allowed(authorization, credentials) {
            return Answer::text(
                401,
                "a name and password of admin-stats_credentials or admin-admin_credentials",
            );
        }
        match Resource::find(door, path) {
            None => Answer::text(404, "there is nothing here"),
            Some(Resource::Page) => Answer::file("text/html; charset=utf-8", include_str!("page/index.html")),
            Some(Resource::Style) => Answer::file("text/css; charset=utf-8", include_str!("page/style.css")),
            Some(Resource::Script) => {
                Answer::file("text/javascript; charset=utf-8", include_str!("page/script.js"))
            }
            Some(Resource::Metrics) => match self.report().await {
                Some(report) => Answer {
                    code: 200,
                    content_type: exposition::CONTENT_TYPE,
                    body: metrics::render(&report).into_bytes(),
                },
                None => Answer::text(503, "the control thread does not answer"),
            },
            Some(Resource::Health) => {
                let (code, body) = health::render(self.report().await.as_deref());
                Answer::json(code, &body)
            }
            Some(Resource::Status) => match self.status().await {
                Some(status) => Answer::json(200, &status),
                None => Answer::text(503, "the control thread does not answer"),
            },
        }
    }

    async fn status(&self) -> Option<Value> {
        let report = self.report().await?;
        let notes: Notes = self.ask(Question::Notes).await?;
        let digests = self.top_digests().await;
        let explained = self.daemons.explain(&report.vrrpd).await;
        Some(status::render(&report, &notes, &digests, &explained))
    }

    /// One report at a time, shared by all that ask meanwhile.
    async fn report(&self) -> Option<Arc<Report>> {
        let mut last = self.report.lock().await;
        if let Some((at, report)) = last.as_ref()
            && at.elapsed() < FRESH
        {
            return Some(report.clone());
        }
        let facts: Facts = self.ask(Question::Facts).await?;
        let report = Arc::new(Report::gather(facts, &self.workers, &self.daemons).await);
        *last = Some((Instant::now(), report.clone()));
        Some(report)
    }

    async fn top_digests(&self) -> Arc<Vec<DigestRow>> {
        let mut last = self.digests.lock().await;
        if let Some((at, digests)) = last.as_ref()
            && at.elapsed() < DIGESTS_FRESH
        {
            return digests.clone();
        }
        let digests = Arc::new(status::top(collect_digests(&self.workers, false).await));
        *last = Some((Instant::now(), digests.clone()));
        digests
    }

    async fn ask<T>(&self, question: fn(oneshot::Sender<T>) -> Question) -> Option<T> {
        let (reply, answer) = oneshot::channel();
        self.control.try_send(question(reply)).ok()?;
        timeout(PATIENCE, answer).await.ok()?.ok()
    }
}

/// HTTP's Basic scheme (RFC 7617) against the credentials of the admin interface. Without any, nobody is let in.
fn is_allowed(authorization: Option<&str>, credentials: &Credentials) -> bool {
    let Some((scheme, encoded)) = authorization.and_then(|header| header.split_once(' ')) else {
        return false;
    };
    if !scheme.eq_ignore_ascii_case("basic") {
        return false;
    }
    let Some(given) = STANDARD.decode(encoded.trim()).ok().and_then(|bytes| String::from_utf8(bytes).ok())
    else {
        return false;
    };
    let Some((user, password)) = given.split_once(':') else { return false };
    // An unknown name takes as long as a wrong password.
    let known = credentials.password_of(user);
    let matches =
        verify_slices_are_equal(password.as_bytes(), known.as_deref().unwrap_or("\u{0}").as_bytes());
    known.is_some() && matches.is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn basic_logins() {
        let credentials = Credentials { admin: "admin:secret".into(), stats: "stats:st:ats;ro:x".into() };
        let allowed = |header: &str| is_allowed(Some(header), &credentials);
        assert!(allowed("Basic YWRtaW46c2VjcmV0"));
        assert!(allowed("basic c3RhdHM6c3Q6YXRz"), "a colon in the password");
        assert!(allowed("Basic cm86eA=="));
        assert!(!allowed("Basic YWRtaW46c2VjcmV1"));
        assert!(!allowed("Basic YWRtaW4="));
        assert!(!allowed("Basic !!!!"));
        assert!(!allowed("Bearer YWRtaW46c2VjcmV0"));
        assert!(!is_allowed(None, &credentials));
        assert!(!is_allowed(Some("Basic Og=="), &Credentials::default()), "no name and no password");
        assert!(!is_allowed(
            Some("Basic YWRtaW46"),
            &Credentials { admin: "admin:".into(), stats: String::new() }
        ));
    }

    #[test]
    fn the_page_is_behind_its_own_door() {
        assert_eq!(Resource::find(Door::Metrics, "/metrics"), Some(Resource::Metrics));
        assert_eq!(Resource::find(Door::Page, "/metrics"), Some(Resource::Metrics));
        for path in ["/", "/status.json", "/script.js", "/style.css", "/../health", "/metrics/"] {
            assert_eq!(Resource::find(Door::Metrics, path), None, "{path}");
        }
        assert_eq!(Resource::find(Door::Page, "/"), Some(Resource::Page));
    }
}
