//! Holds recorded traffic against the meta model of LSP 3.18 (`metaModel.json`, part of the npm package
//! `vscode-languageserver-protocol`), which the environment variable `LACUNA_META_MODEL` names.
//!
//! Every method must be known, every params and result must have the structure the specification gives it, and what the
//! server sends may hold no field that the specification does not name. Methods in `lacuna/` are our own and pass.

mod structure;

use crate::client::Direction;
use serde_json::Value;
use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::sync::OnceLock;
use structure::Structures;

/// Where our own methods live.
const OWN: &str = "lacuna/";

/// One way in which a message is not what the specification says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// Which way the message went.
    pub direction: Direction,
    /// Where in the message, beginning with its method.
    pub path: String,
    /// What was expected there.
    pub expected: String,
    /// The beginning of what was found.
    pub found: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { direction, path, expected, found } = self;
        write!(formatter, "{} {path}: expected {expected}, found {found}", direction.name())
    }
}

/// The specification, as data.
#[derive(Debug)]
pub struct MetaModel {
    structures: Structures,
    requests: BTreeMap<String, Value>,
    notifications: BTreeMap<String, Value>,
}

impl MetaModel {
    /// The one the environment names, read once; `None` when it names none.
    ///
    /// # Panics
    /// When the named file is no meta model.
    #[must_use]
    #[expect(clippy::panic, reason = "a test helper: failing loudly is its job")]
    pub fn from_environment() -> Option<&'static Self> {
        static MODEL: OnceLock<Option<MetaModel>> = OnceLock::new();
        let read = || {
            let path = std::env::var_os("LACUNA_META_MODEL").filter(|path| !path.is_empty())?;
            let text = std::fs::read_to_string(&path)
                .unwrap_or_else(|error| panic!("LACUNA_META_MODEL: {}: {error}", path.display()));
            let model: Value = serde_json::from_str(&text)
                .unwrap_or_else(|error| panic!("LACUNA_META_MODEL: {}: {error}", path.display()));
            assert!(model["requests"].is_array(), "LACUNA_META_MODEL: {}: no meta model", path.display());
            Some(Self::new(&model))
        };
        MODEL.get_or_init(read).as_ref()
    }

    /// From the parsed `metaModel.json`.
    #[must_use]
    pub fn new(model: &Value) -> Self {
        Self {
            structures: Structures::new(model),
            requests: structure::by(model, "requests", "method"),
            notifications: structure::by(model, "notifications", "method"),
        }
    }

    /// Whether it names a request.
    #[must_use]
    pub fn names(&self, request: &str) -> bool {
        self.requests.contains_key(request)
    }

    /// Everything in a conversation that is not as specified.
    pub fn check_traffic(&self, messages: impl IntoIterator<Item = (Direction, Value)>) -> Vec<Violation> {
        let mut conversation = Conversation { model: self, asked: HashMap::new(), found: Vec::new() };
        for (direction, message) in messages {
            conversation.message(direction, &message);
        }
        conversation.found
    }
}

/// Walks through one recording.
struct Conversation<'a> {
    model: &'a MetaModel,
    /// Method of each request, by who asked and its id.
    asked: HashMap<(&'static str, String), String>,
    found: Vec<Violation>,
}

impl Conversation<'_> {
    fn message(&mut self, direction: Direction, message: &Value) {
        self.envelope(direction, message);
        match (message["method"].as_str(), message.get("id")) {
            (Some(method), Some(id)) => {
                self.asked.insert((direction.name(), id.to_string()), method.to_owned());
                self.params(direction, method, self.model.requests.get(method), message);
            }
            (Some(method), None) => {
                self.params(direction, method, self.model.notifications.get(method), message);
            }
            (None, Some(id)) => self.result(direction, id, message),
            (None, None) => self.add(direction, "message", "a method or an id", message),
        }
    }

    /// JSON-RPC 2.0 around it.
    fn envelope(&mut self, direction: Direction, message: &Value) {
        if message["jsonrpc"] != "2.0" {
            self.add(direction, "jsonrpc", "\"2.0\"", &message["jsonrpc"]);
        }
        if message.get("method").is_some() {
            return;
        }
        if message.get("result").is_some() == message.get("error").is_some() {
            self.add(direction, "response", "either a result or an error", message);
        }
        if let Some(error) = message.get("error")
            && !(error["code"].is_i64() && error["message"].is_string())
        {
            self.add(direction, "error", "a code and a message", error);
        }
    }

    fn params(&mut self, direction: Direction, method: &str, spec: Option<&Value>, message: &Value) {
        let Some(spec) = spec else {
            if !method.starts_with(OWN) {
                self.add(direction, method, "a method of the specification", &message["params"]);
            }
            return;
        };
        let sender = spec["messageDirection"].as_str().unwrap_or("both");
        let may = if direction == Direction::ToServer { "clientToServer" } else { "serverToClient" };
        if sender != "both" && sender != may {
            self.add(direction, method, sender, &message["params"]);
        }
        match (spec.get("params"), message.get("params")) {
            (Some(wanted), Some(params)) => self.check(direction, method, wanted, params),
            (Some(_), None) => self.add(direction, method, "params", &Value::Null),
            (None, Some(params)) if !params.is_null() => self.add(direction, method, "no params", params),
            (None, _) => {}
        }
    }

    fn result(&mut self, direction: Direction, id: &Value, message: &Value) {
        let asker = if direction == Direction::ToServer { Direction::ToClient } else { Direction::ToServer };
        // An id that nobody asked with was sent raw by a test.
        let Some(method) = self.asked.remove(&(asker.name(), id.to_string())) else { return };
        if let (Some(result), Some(wanted)) =
            (message.get("result"), self.model.requests.get(&method).and_then(|spec| spec.get("result")))
        {
            self.check(direction, &format!("{method} (result)"), wanted, result);
        }
    }

    fn check(&mut self, direction: Direction, path: &str, wanted: &Value, value: &Value) {
        let strict = direction == Direction::ToClient;
        if let Err(mismatches) = self.model.structures.check(wanted, value, strict, path) {
            self.found.extend(mismatches.into_iter().map(|it| it.into_violation(direction)));
        }
    }

    fn add(&mut self, direction: Direction, path: &str, expected: &str, found: &Value) {
        let mismatch = structure::Mismatch::new(path, expected, found);
        self.found.push(mismatch.into_violation(direction));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    /// A specification of one request, one notification from the server and two structures.
    fn tiny() -> MetaModel {
        let string = json!({"kind": "base", "name": "string"});
        MetaModel::new(&json!({
            "requests": [{
                "method": "hover", "messageDirection": "clientToServer",
                "params": {"kind": "reference", "name": "Place"},
                "result": {"kind": "or", "items": [string, {"kind": "base", "name": "null"}]},
            }],
            "notifications": [{
                "method": "log", "messageDirection": "serverToClient", "params": {"kind": "reference", "name": "Log"},
            }],
            "structures": [
                {"name": "Place", "properties": [
                    {"name": "uri", "type": string},
                    {"name": "line", "type": {"kind": "base", "name": "uinteger"}, "optional": true},
                ]},
                {"name": "Log", "extends": [{"kind": "reference", "name": "Place"}], "properties": [
                    {"name": "kind", "type": {"kind": "reference", "name": "Kind"}},
                    {"name": "tags", "type": {"kind": "array", "element": string}, "optional": true},
                ]},
            ],
            "enumerations": [{"name": "Kind", "values": [{"name": "A", "value": "a"}]}],
            "typeAliases": [],
        }))
    }

    fn check(messages: &[(Direction, Value)]) -> Vec<String> {
        tiny().check_traffic(messages.to_vec()).iter().map(ToString::to_string).collect()
    }

    fn from_server(mut message: Value) -> Vec<String> {
        message["jsonrpc"] = json!("2.0");
        check(&[(Direction::ToClient, message)])
    }

    fn answered(result: Value) -> Vec<String> {
        let asked = json!({"jsonrpc": "2.0", "id": 1, "method": "hover", "params": {"uri": "a"}});
        let answer = json!({"jsonrpc": "2.0", "id": 1, "result": result});
        check(&[(Direction::ToServer, asked), (Direction::ToClient, answer)])
    }

    #[test]
    fn what_is_as_specified_passes() {
        assert_eq!(answered(json!("text")), Vec::<String>::new());
        assert_eq!(answered(Value::Null), Vec::<String>::new());
        let log = json!({"method": "log", "params": {"uri": "a", "line": 3, "kind": "a", "tags": ["x"]}});
        assert_eq!(from_server(log), Vec::<String>::new());
        assert_eq!(from_server(json!({"method": "lacuna/status", "params": 3})), Vec::<String>::new());
        assert_eq!(
            from_server(json!({"id": 1, "error": {"code": -1, "message": "no"}})),
            Vec::<String>::new()
        );
    }

    #[test]
    fn a_wrong_result_is_found_by_the_request_it_answers() {
        assert_eq!(answered(json!(3)), ["s2c hover (result): expected string, found 3"]);
    }

    #[test]
    fn missing_unknown_and_mistyped_fields_are_found() {
        let log = |params: Value| from_server(json!({"method": "log", "params": params}));
        assert_eq!(
            log(json!({"kind": "a"})),
            ["s2c log.uri: expected a field that Log requires, found nothing"]
        );
        assert_eq!(
            log(json!({"uri": "a", "kind": "a", "extra": 1})),
            ["s2c log.extra: expected no such field in Log, found 1"]
        );
        assert_eq!(log(json!({"uri": "a", "kind": "b"})), ["s2c log.kind: expected Kind, found \"b\""]);
        assert_eq!(
            log(json!({"uri": "a", "kind": "a", "line": -1})),
            ["s2c log.line: expected uinteger, found -1"]
        );
        assert_eq!(
            log(json!({"uri": "a", "kind": "a", "tags": ["x", 1]})),
            ["s2c log.tags[1]: expected string, found 1"]
        );
    }

    #[test]
    fn unknown_methods_directions_and_envelopes_are_found() {
        assert_eq!(
            from_server(json!({"method": "odd"})),
            ["s2c odd: expected a method of the specification, found null"]
        );
        assert_eq!(
            from_server(json!({"id": 1, "method": "hover", "params": {"uri": "a"}})),
            ["s2c hover: expected clientToServer, found {\"uri\":\"a\"}"]
        );
        assert_eq!(from_server(json!({"id": 1, "error": {"code": "x"}})).len(), 1);
        assert_eq!(from_server(json!({"id": 1})).len(), 1, "neither result nor error");
        assert_eq!(check(&[(Direction::ToClient, json!({"id": 1, "result": 1}))]).len(), 1, "no jsonrpc");
    }

    #[test]
    fn a_client_may_send_more_than_the_specification_names() {
        let asked = json!({"jsonrpc": "2.0", "id": 1, "method": "hover", "params": {"uri": "a", "extra": 1}});
        assert_eq!(check(&[(Direction::ToServer, asked)]), Vec::<String>::new());
    }
}
