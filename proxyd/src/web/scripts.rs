//! The scripts of `restapi_routes`: `/sync/URI` runs one, with the request's parameters as JSON in its only argument, and
//! what it prints is the answer if it is JSON. What a script gets and what it may: [`crate::program`].

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Map, Value, json};
use tokio::sync::{Semaphore, watch};

use super::answer::{Answer, JSON};
use crate::program::{Errors, Program, Run, run};

/// Where the routes begin.
pub const PREFIX: &str = "/sync/";
/// A POST's body; Linux takes no argument longer than 128 KiB.
pub const MAX_BODY: usize = 64 * 1024;
/// Scripts at one time; whoever comes then is sent away.
const MAX_RUNNING: usize = 16;
/// The longest output of a script.
const MAX_OUTPUT: usize = 1024 * 1024;
/// Of the output of a script that failed, the answer tells so much.
const TOLD: usize = 4096;
/// ETIME, which is ProxySQL's code for a time-out.
const TIMED_OUT: i32 = 62;

/// An active row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Route {
    pub id: i64,
    pub timeout: Duration,
    /// GET or POST.
    pub method: String,
    /// What follows [`PREFIX`].
    pub uri: String,
    pub script: String,
}

impl Route {
    /// Whether this route can stand beside those `before` it.
    pub fn check(&self, before: &[Route]) -> Result<(), String> {
        let Route { id, method, uri, .. } = self;
        if uri.is_empty() || uri.contains(['?', '#']) || uri.contains(char::is_whitespace) {
            return Err(format!("uri '{uri}' of id {id} is no path"));
        }
        match before.iter().find(|other| other.method == *method && other.uri == *uri) {
            Some(other) => Err(format!("ids {} and {id} are both for {method} of {uri}", other.id)),
            None => Ok(()),
        }
    }
}

/// The routes in force, and the places for their scripts.
#[derive(Debug)]
pub struct Scripts {
    routes: watch::Receiver<Vec<Route>>,
    places: Arc<Semaphore>,
}

impl Scripts {
    pub fn new(routes: watch::Receiver<Vec<Route>>) -> Scripts {
        Scripts { routes, places: Arc::new(Semaphore::new(MAX_RUNNING)) }
    }

    /// Runs the script that the row of `method` and `path` names. A script runs on when nobody waits for it any more.
    pub async fn answer(&self, method: &str, path: &str, parameters: String) -> Answer {
        if let Err(error) = serde_json::from_str::<Value>(&parameters) {
            return refusal(400, &format!("the parameters are no JSON: {error}"));
        }
        let uri = path.strip_prefix(PREFIX).unwrap_or_default();
        let wanted = |route: &&Route| route.method == method && route.uri == uri;
        let Some(route) = self.routes.borrow().iter().find(wanted).cloned() else {
            return refusal(400, &format!("there is no script for {method} of {path}"));
        };
        let Ok(place) = self.places.clone().try_acquire_owned() else {
            return refusal(503, &format!("{MAX_RUNNING} scripts are running"));
        };
        let program = Program {
            filename: route.script.clone(),
            arguments: vec![parameters],
            patience: route.timeout,
            keep: MAX_OUTPUT,
            errors: Errors::Apart,
        };
        let running = tokio::task::spawn_blocking(move || {
            let run = run(&program);
            drop(place);
            run
        });
        match running.await {
            Ok(run) => judge(&route, run),
            Err(error) => refusal(500, &error.to_string()),
        }
    }
}

/// The request was not right, or came at a bad time; nothing was run.
pub fn refusal(code: u16, error: &str) -> Answer {
    Answer::json(code, &json!({ "type": "in", "error": error }))
}

/// What a run means to whoever asked for it.
fn judge(route: &Route, run: Run) -> Answer {
    let (error, code) = match &run.end {
        Err(error) => (format!("the script cannot be run: {error}"), error.raw_os_error().unwrap_or(-1)),
        Ok(None) => (format!("the script was killed after {} ms", route.timeout.as_millis()), TIMED_OUT),
        Ok(Some(status)) if !status.success() => {
            (format!("the script failed: {status}"), status.code().unwrap_or(-1))
        }
        Ok(Some(_)) if run.output.cut => (format!("the script printed more than {MAX_OUTPUT} bytes"), 0),
        Ok(Some(_)) if run.output.text().is_empty() => ("the script printed nothing".to_owned(), 0),
        Ok(Some(_)) => match serde_json::from_slice::<Value>(&run.output.bytes) {
            Ok(_) => return Answer { code: 200, content_type: JSON, body: run.output.bytes },
            Err(error) => (format!("what the script printed is no JSON: {error}"), 0),
        },
    };
    let Route { id, script, .. } = route;
    let beginning = |text: String| text.chars().take(TOLD).collect::<String>();
    let (stdout, stderr) = (beginning(run.output.text()), beginning(run.errors.text()));
    tracing::warn!(id, script, error, stderr, "a script of restapi_routes");
    let error = json!({
        "type": "out", "error": error, "error_code": code.to_string(),
        "script_stdout": stdout, "script_stderr": stderr,
    });
    Answer::json(424, &error)
}

/// The parameters of a query string as a JSON object of strings; of a name that comes twice, the last.
pub fn parameters_of(query: &str) -> String {
    let pairs = query.split('&').filter(|pair| !pair.is_empty()).map(|pair| {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        (decoded(name), Value::String(decoded(value)))
    });
    Value::Object(pairs.collect::<Map<_, _>>()).to_string()
}

/// Without `+` and `%XX`; what is no such pair of digits stays as it is.
fn decoded(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&byte, after)) = rest.split_first() {
        rest = after;
        match (byte, after) {
            (b'+', _) => bytes.push(b' '),
            (b'%', [high, low, after @ ..]) if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() => {
                bytes.push(digit(*high) << 4 | digit(*low));
                rest = after;
            }
            _ => bytes.push(byte),
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Of a hexadecimal digit.
fn digit(letter: u8) -> u8 {
    match letter {
        b'0'..=b'9' => letter - b'0',
        _ => (letter | 0x20).wrapping_sub(b'a').wrapping_add(10),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_becomes_an_object() {
        for (query, object) in [
            ("", "{}"),
            ("a=1", r#"{"a":"1"}"#),
            ("&a=1&&a=2&", r#"{"a":"2"}"#),
            ("a%20b=%C3%a9+%22&c", r#"{"a b":"é \"","c":""}"#),
            ("a=%&b=%4&c=%zz&d=%ff&e=%00", r#"{"a":"%","b":"%4","c":"%zz","d":"�","e":"\u0000"}"#),
        ] {
            assert_eq!(parameters_of(query), object, "{query}");
        }
    }

    #[test]
    fn a_uri_is_a_path_that_has_one_script_a_method() {
        let route = |id, method: &str, uri: &str| Route {
            id,
            timeout: Duration::from_secs(1),
            method: method.into(),
            uri: uri.into(),
            script: "/bin/true".into(),
        };
        assert_eq!(route(2, "GET", "a/b").check(&[route(1, "POST", "a/b")]), Ok(()));
        assert!(route(2, "GET", "a").check(&[route(1, "GET", "a")]).is_err_and(|it| it.contains("1 and 2")));
        for bad in ["", "a b", "a?b"] {
            assert!(route(1, "GET", bad).check(&[]).is_err(), "{bad}");
        }
    }
}
