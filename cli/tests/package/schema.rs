//! The published schemas of Kubernetes resources, as far as `kubernetes.txt` has them.

use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::RangeInclusive;

/// A field of a schema.
#[derive(Default)]
pub(crate) struct Field {
    pub(crate) kind: &'static str,
    pub(crate) required: bool,
    pub(crate) values: Vec<&'static str>,
    pub(crate) length: Option<RangeInclusive<usize>>,
    form: Option<&'static str>,
    pub(crate) unique: Option<&'static str>,
    not_with: Option<(&'static str, &'static str)>,
    only_with: Option<(&'static str, &'static str)>,
    one_of: Option<&'static str>,
    most_one_of: Option<&'static str>,
}

impl Field {
    fn read(words: &mut std::str::SplitWhitespace<'static>) -> Self {
        let mut field = Self { kind: words.next().expect("a type"), ..Self::default() };
        for word in words {
            let (rule, value) = word.split_once('=').unwrap_or((word, ""));
            match rule {
                "required" => field.required = true,
                "enum" => field.values = value.split('|').collect(),
                "length" => {
                    let (least, most) = value.split_once("..").expect("MIN..MAX");
                    field.length = Some(least.parse().unwrap()..=most.parse().unwrap());
                }
                "form" => field.form = Some(value),
                "unique" => field.unique = Some(value),
                "not-with" => field.not_with = value.split_once('='),
                "only-with" => field.only_with = value.split_once('='),
                "one-of" => field.one_of = Some(value),
                "most-one-of" => field.most_one_of = Some(value),
                other => panic!("{word}: {other} is no rule"),
            }
        }
        field
    }
}

/// A resource.
pub(crate) struct Schema {
    version: &'static str,
    fields: BTreeMap<String, Field>,
}

impl Schema {
    /// Reads the schema of a kind of resources, with the fields that all resources have.
    pub(crate) fn of(kind: &str) -> Self {
        let (mut version, mut fields, mut wanted, mut prefix) = (None, BTreeMap::new(), false, "");
        for line in include_str!("kubernetes.txt").lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
            let mut words = line.split_whitespace();
            let path = words.next().unwrap();
            if path == "resource" {
                let name = words.next().unwrap();
                wanted = name == "*" || name == kind;
                prefix = if name == "*" { "" } else { "spec." };
                version = words.next().filter(|_| wanted).or(version);
            } else if wanted {
                fields.insert(format!("{prefix}{path}"), Field::read(&mut words));
            }
        }
        Self { version: version.unwrap_or_else(|| panic!("there is no schema of {kind}")), fields }
    }

    pub(crate) fn field(&self, path: &str) -> Option<&Field> {
        let any = path.rsplit_once('.').map(|(before, _)| format!("{before}.*"));
        self.fields.get(path).or_else(|| self.fields.get(&any?))
    }

    /// What is wrong with a resource.
    pub(crate) fn faults(&self, resource: &Value) -> Vec<String> {
        let mut faults = Vec::new();
        if resource["apiVersion"] != self.version {
            faults.push(format!("apiVersion is not {}", self.version));
        }
        self.object(resource, "", &mut faults);
        faults
    }

    fn value(&self, value: &Value, path: &str, field: &Field, faults: &mut Vec<String>) {
        let of_type = match field.kind {
            "string" => value.is_string(),
            "integer" => value.is_i64(),
            "boolean" => value.is_boolean(),
            "object" | "any-object" => value.is_object(),
            "list" => value.is_array(),
            "any" => true,
            other => panic!("{path}: {other} is no type"),
        };
        if !of_type {
            faults.push(format!("{path} is no {}", field.kind));
            return;
        }
        let text = value.as_str().unwrap_or_default();
        if !field.values.is_empty() && !field.values.contains(&text) {
            faults.push(format!("{path} is {text}, and not one of {:?}", field.values));
        }
        let length = value.as_array().map_or_else(|| text.chars().count(), Vec::len);
        if field.length.as_ref().is_some_and(|range| !range.contains(&length)) {
            faults.push(format!("{path} has {length} characters or items"));
        }
        if field.form.is_some_and(|form| !has_form(value, form)) {
            faults.push(format!("{path} has not the form {:?}: {value}", field.form));
        }
        match (field.kind, value) {
            ("object", _) => self.object(value, path, faults),
            ("list", Value::Array(items)) => {
                let path = format!("{path}[]");
                let inner = self.field(&path).unwrap_or_else(|| panic!("{path} is not in the schema"));
                for item in items {
                    self.value(item, &path, inner, faults);
                }
                if let Some(name) = field.unique {
                    let values: BTreeSet<_> = items.iter().map(|item| item[name].to_string()).collect();
                    if values.len() < items.len() {
                        faults.push(format!("{path} has two items with the same {name}"));
                    }
                }
            }
            _ => {}
        }
    }

    fn object(&self, value: &Value, path: &str, faults: &mut Vec<String>) {
        let object = value.as_object().unwrap();
        let prefix = if path.is_empty() { String::new() } else { format!("{path}.") };
        for (name, value) in object {
            let path = format!("{prefix}{name}");
            match self.field(&path) {
                Some(field) => self.value(value, &path, field, faults),
                None => faults.push(format!("{path} is no field")),
            }
        }
        let mut groups = BTreeMap::<_, usize>::new();
        for (path, field) in &self.fields {
            let Some(name) = path.strip_prefix(&prefix).filter(|name| !name.contains(['.', '['])) else { continue };
            let is_there = object.contains_key(name);
            if field.required && !is_there {
                faults.push(format!("{path} is required"));
            }
            let other_is = |(other, wanted): (&str, &str)| object.get(other).is_some_and(|value| value == wanted);
            if is_there && field.not_with.is_some_and(other_is) {
                faults.push(format!("{path} is not allowed with {:?}", field.not_with));
            }
            if field.only_with.is_some_and(|other| other_is(other) != is_there) {
                faults.push(format!("{path} is there only with {:?}, and then always", field.only_with));
            }
            for (group, exactly) in [(field.one_of, true), (field.most_one_of, false)] {
                if let Some(group) = group {
                    *groups.entry((group, exactly)).or_default() += usize::from(is_there);
                }
            }
        }
        for ((group, exactly), count) in groups {
            if count > 1 || exactly && count == 0 {
                faults.push(format!("{path} has {count} fields of the group {group}"));
            }
        }
    }
}

/// Whether a text is letters and digits in lower case, and `-` between them.
fn is_label(text: &str) -> bool {
    let inner = |character: char| character.is_ascii_lowercase() || character.is_ascii_digit() || character == '-';
    !text.is_empty() && text.chars().all(inner) && !text.starts_with('-') && !text.ends_with('-')
}

fn has_form(value: &Value, form: &str) -> bool {
    let text = value.as_str().unwrap_or_default();
    match form {
        "label" => is_label(text),
        "subdomain" => text.split('.').all(is_label),
        "group" => text.is_empty() || text.split('.').all(is_label),
        "digest" => text.is_empty() || text.len() == 64 && text.chars().all(|digit| "0123456789abcdef".contains(digit)),
        "istio-url" => {
            let scheme = text.split_once("://").map_or("", |(scheme, _)| scheme);
            ["", "http", "https", "file", "oci"].contains(&scheme) && !text.contains(char::is_whitespace)
        }
        "istio-target" => {
            let group = value["group"].as_str().unwrap_or_default();
            match value["kind"].as_str().unwrap_or_default() {
                "Service" => ["", "core"].contains(&group),
                "ServiceEntry" => group == "networking.istio.io",
                _ => group == "gateway.networking.k8s.io",
            }
        }
        other => panic!("{other} is no form"),
    }
}
