//! Settings of the plugin, the virtual host and the route, merged and parsed once.
//!
//! ```
//! use proxy_filter_kit::route_config::RouteConfig;
//! use serde::Deserialize;
//!
//! #[derive(Debug, Deserialize, PartialEq)]
//! struct Settings {
//!     limit: u32,
//!     message: String,
//! }
//!
//! let mut config = RouteConfig::<Settings>::new(br#"{"limit": 10, "message": "slow down"}"#).unwrap();
//! assert_eq!(config.get(&[]).unwrap().limit, 10);
//! // The JSON of the virtual host and of the route, for example from their metadata.
//! let merged = config.get(&[br#"{"limit": 5}"#, br#"{"message": "later"}"#]).unwrap();
//! assert_eq!(*merged, Settings { limit: 5, message: "later".to_owned() });
//! ```
//!
//! A later layer changes only the members that it has (JSON merge patch, RFC 7396): `null` removes
//! a member, and an array replaces an array.

use crate::cache::Cache;
use core::fmt;
use core::time::Duration;
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::rc::Rc;

/// The fault of a layer.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct RouteConfigError {
    /// The number of the layer: 0 for the plugin, then 1 for the first layer of `get`. `None` if
    /// the fault is in the merged settings.
    pub layer: Option<usize>,
    /// The fault, with the position or the bad field.
    pub message: String,
}

impl fmt::Display for RouteConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.layer {
            Some(0) => write!(f, "the settings of the plugin are not JSON: {}", self.message),
            Some(layer) => write!(f, "layer {layer} of the settings is not JSON: {}", self.message),
            None => write!(f, "the merged settings do not fit: {}", self.message),
        }
    }
}

impl std::error::Error for RouteConfigError {}

type Parsed<T> = Result<Rc<T>, RouteConfigError>;

/// The settings of a plugin, and those of its routes as they are used.
///
/// Stores the settings of at most 256 combinations of layers, and the fault of those that do not
/// fit. Only operators write layers, so there are as many as routes.
#[derive(Debug)]
pub struct RouteConfig<T> {
    base: Value,
    plugin: Rc<T>,
    merged: Cache<Vec<u8>, Parsed<T>>,
}

impl<T: DeserializeOwned> RouteConfig<T> {
    /// The maximum number of stored combinations.
    pub const MAX_ROUTES: usize = 256;

    /// Parses the settings of the plugin. An empty text is an empty object.
    ///
    /// # Errors
    /// Fails if the text is not JSON, or does not fit.
    pub fn new(plugin: &[u8]) -> Result<Self, RouteConfigError> {
        let base = parse(plugin, 0)?;
        let plugin = Rc::new(fit(base.clone())?);
        Ok(Self { base, plugin, merged: Cache::new(Self::MAX_ROUTES) })
    }

    /// Returns the settings with these layers: first the virtual host, then the route. An empty
    /// layer changes nothing. Each combination is parsed once while it is stored.
    ///
    /// # Errors
    /// Fails if a layer is not JSON, or if the merged settings do not fit.
    pub fn get(&mut self, layers: &[&[u8]]) -> Result<Rc<T>, RouteConfigError> {
        if layers.iter().all(|layer| layer.is_empty()) {
            return Ok(Rc::clone(&self.plugin));
        }
        let key = key(layers);
        // Settings do not expire.
        if let Some(parsed) = self.merged.get(&key, Duration::ZERO) {
            return parsed.clone();
        }
        let parsed = self.merge(layers);
        self.merged.insert(key, parsed.clone(), Duration::MAX);
        parsed
    }

    /// Returns the settings of the plugin.
    pub fn plugin(&self) -> Rc<T> {
        Rc::clone(&self.plugin)
    }

    fn merge(&self, layers: &[&[u8]]) -> Parsed<T> {
        let mut merged = self.base.clone();
        for (index, layer) in layers.iter().enumerate().filter(|(_, layer)| !layer.is_empty()) {
            patch(&mut merged, parse(layer, index.saturating_add(1))?);
        }
        fit(merged).map(Rc::new)
    }
}

/// Layers cannot be equal to others with the same bytes, because each has its length before it.
fn key(layers: &[&[u8]]) -> Vec<u8> {
    let mut key = Vec::with_capacity(layers.iter().map(|layer| layer.len().saturating_add(8)).sum());
    for layer in layers {
        key.extend(layer.len().to_le_bytes());
        key.extend_from_slice(layer);
    }
    key
}

fn parse(layer: &[u8], number: usize) -> Result<Value, RouteConfigError> {
    let text = if layer.trim_ascii().is_empty() { b"{}" } else { layer };
    let fault = |message: String| RouteConfigError { layer: Some(number), message };
    match serde_json::from_slice(text) {
        Ok(value @ Value::Object(_)) => Ok(value),
        Ok(_) => Err(fault("it is not an object".to_owned())),
        Err(error) => Err(fault(error.to_string())),
    }
}

fn fit<T: DeserializeOwned>(value: Value) -> Result<T, RouteConfigError> {
    serde_json::from_value(value).map_err(|error| RouteConfigError { layer: None, message: error.to_string() })
}

/// Applies a merge patch. `serde_json` limits the depth of both.
fn patch(target: &mut Value, with: Value) {
    let Value::Object(with) = with else {
        *target = with;
        return;
    };
    if !target.is_object() {
        *target = Value::Object(serde_json::Map::new());
    }
    let Value::Object(members) = target else { return };
    for (name, value) in with {
        if value.is_null() {
            members.remove(&name);
        } else {
            patch(members.entry(name).or_insert(Value::Null), value);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde::Deserialize;
    use std::cell::Cell;

    /// RFC 7396, appendix A.
    #[test]
    fn layers_are_merged_as_in_the_rfc() {
        for (original, with, expected) in [
            (r#"{"a":"b"}"#, r#"{"a":"c"}"#, r#"{"a":"c"}"#),
            (r#"{"a":"b"}"#, r#"{"b":"c"}"#, r#"{"a":"b","b":"c"}"#),
            (r#"{"a":"b"}"#, r#"{"a":null}"#, "{}"),
            (r#"{"a":"b","b":"c"}"#, r#"{"a":null}"#, r#"{"b":"c"}"#),
            (r#"{"a":["b"]}"#, r#"{"a":"c"}"#, r#"{"a":"c"}"#),
            (r#"{"a":"c"}"#, r#"{"a":["b"]}"#, r#"{"a":["b"]}"#),
            (r#"{"a":{"b":"c"}}"#, r#"{"a":{"b":"d","c":null}}"#, r#"{"a":{"b":"d"}}"#),
            (r#"{"a":[{"b":"c"}]}"#, r#"{"a":[1]}"#, r#"{"a":[1]}"#),
            (r#"["a","b"]"#, r#"["c","d"]"#, r#"["c","d"]"#),
            (r#"{"a":"b"}"#, r#"["c"]"#, r#"["c"]"#),
            (r#"{"a":"foo"}"#, "null", "null"),
            (r#"{"a":"foo"}"#, r#""bar""#, r#""bar""#),
            (r#"{"e":null}"#, r#"{"a":1}"#, r#"{"e":null,"a":1}"#),
            ("[1,2]", r#"{"a":"b","c":null}"#, r#"{"a":"b"}"#),
            ("{}", r#"{"a":{"bb":{"ccc":null}}}"#, r#"{"a":{"bb":{}}}"#),
        ] {
            let read = |text: &str| serde_json::from_str::<Value>(text).unwrap();
            let mut target = read(original);
            patch(&mut target, read(with));
            assert_eq!(target, read(expected), "{original} {with}");
        }
    }

    thread_local! {
        static PARSED: Cell<u32> = const { Cell::new(0) };
    }

    #[derive(Debug, Deserialize, PartialEq)]
    #[serde(deny_unknown_fields)]
    struct Settings {
        #[serde(deserialize_with = "counted")]
        limit: u32,
        #[serde(default)]
        names: Vec<String>,
    }

    fn counted<'de, D: serde::Deserializer<'de>>(limit: D) -> Result<u32, D::Error> {
        PARSED.with(|parsed| parsed.set(parsed.get() + 1));
        u32::deserialize(limit)
    }

    #[test]
    fn each_combination_of_layers_is_parsed_once() {
        let mut config = RouteConfig::<Settings>::new(br#"{"limit":1}"#).unwrap();
        let before = PARSED.with(Cell::get);
        for _ in 0..3 {
            assert_eq!(config.get(&[b"", br#"{"limit":2}"#]).unwrap().limit, 2);
            assert_eq!(config.get(&[br#"{"limit":3}"#, br#"{"names":["a"]}"#]).unwrap().names, ["a"]);
            assert!(config.get(&[br#"{"limit":"x"}"#]).is_err());
            assert_eq!(config.get(&[b"", b""]).unwrap(), config.plugin());
        }
        assert_eq!(PARSED.with(Cell::get), before + 3);
        for number in 0..1000 {
            let layer = format!("{{\"limit\":{number}}}");
            assert_eq!(config.get(&[layer.as_bytes()]).unwrap().limit, number);
        }
        assert!(config.merged.len() <= RouteConfig::<Settings>::MAX_ROUTES);
    }

    #[test]
    fn equal_bytes_in_other_layers_are_other_settings() {
        let (one, two) = (key(&[b"ab", b"c"]), key(&[b"a", b"bc"]));
        assert!(one != two && key(&[b"a"]) != key(&[b"a", b""]));
    }

    #[test]
    fn a_fault_names_its_layer_or_field() {
        let fault = |layers: &[&[u8]]| {
            RouteConfig::<Settings>::new(br#"{"limit":1}"#).unwrap().get(layers).unwrap_err().to_string()
        };
        assert!(fault(&[b"{}", b"{"]).starts_with("layer 2 of the settings is not JSON: EOF"));
        assert_eq!(fault(&[b"[]"]), "layer 1 of the settings is not JSON: it is not an object");
        assert!(fault(&[br#"{"lim":1}"#]).contains("unknown field `lim`"));
        assert!(fault(&[br#"{"limit":null}"#]).contains("missing field `limit`"));
        assert!(RouteConfig::<Settings>::new(b"x").unwrap_err().to_string().starts_with("the settings of the plugin"));
        assert!(RouteConfig::<Settings>::new(b" ").unwrap_err().message.contains("missing field"));
    }
}
