//! The JSON schema of a plugin's configuration, and its documentation.

use crate::module::ModuleArgument;
use crate::output::{Failure, Result};
use serde_json::{Map, Value};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

/// The name of the file in a package, and in the directory that `package` writes.
pub(crate) const FILE: &str = "config.schema.json";

/// The annotation of an image with the schema.
pub(crate) const ANNOTATION: &str = "proxy-filter.configuration.schema";

/// Returns the schema of a file; without one, that of the package.
///
/// # Errors
/// Fails if the file is missing, or is no JSON object.
pub(crate) fn find(named: Option<&Path>, module: &ModuleArgument) -> Result<Option<Value>> {
    let of_package = || module.package().map(|package| package.join(FILE)).filter(|path| path.is_file());
    let Some(path) = named.map(PathBuf::from).or_else(of_package) else { return Ok(None) };
    let shown = path.display();
    let text = std::fs::read_to_string(&path).map_err(|error| Failure::work(format!("{shown}: {error}")))?;
    match serde_json::from_str::<Value>(&text) {
        Ok(schema) if schema.is_object() => Ok(Some(schema)),
        Ok(_) => Err(Failure::check(format!("{shown} is no JSON schema: it is no object"))),
        Err(error) => Err(Failure::check(format!("{shown} is no JSON schema: {error}"))),
    }
}

/// Returns a page of Markdown with a row for each field.
pub(crate) fn markdown(name: &str, schema: &Value) -> String {
    let mut page = format!("# The configuration of {name}\n\n");
    if let Some(description) = text(schema, "description") {
        let _ = writeln!(page, "{description}\n");
    }
    page.push_str("| Field | Type | Default | |\n|---|---|---|---|\n");
    let before = page.len();
    rows(schema, schema, "", &[], &mut page);
    if page.len() == before {
        let _ = writeln!(page, "| (the configuration) | {} | | |", kind(schema, schema));
    }
    page
}

fn text<'a>(schema: &'a Value, key: &str) -> Option<&'a str> {
    schema.get(key).and_then(Value::as_str)
}

/// The definition that a schema refers to, or the schema itself.
fn resolved<'a>(root: &'a Value, schema: &'a Value) -> &'a Value {
    let alternatives = schema.get("anyOf").and_then(Value::as_array);
    let schema = alternatives.and_then(|all| all.iter().find(|one| !is_null(one))).unwrap_or(schema);
    let pointer = text(schema, "$ref").and_then(|reference| reference.strip_prefix('#'));
    pointer.and_then(|pointer| root.pointer(pointer)).unwrap_or(schema)
}

fn is_null(schema: &Value) -> bool {
    text(schema, "type") == Some("null")
}

/// Writes the rows of the fields of an object, and of the objects within it. A type may contain
/// itself: its fields are written once in each place. `above` are the types around the object.
fn rows(root: &Value, schema: &Value, prefix: &str, above: &[&Value], page: &mut String) {
    let schema = resolved(root, schema);
    if above.iter().any(|other| std::ptr::eq(*other, schema)) {
        return;
    }
    let above = &[above, &[schema]].concat();
    let empty = Map::new();
    let fields = schema.get("properties").and_then(Value::as_object).unwrap_or(&empty);
    let required: Vec<&str> = schema
        .get("required")
        .and_then(Value::as_array)
        .map(|names| names.iter().filter_map(Value::as_str).collect())
        .unwrap_or_default();
    for (name, field) in fields {
        let target = resolved(root, field);
        let default = match field.get("default") {
            Some(Value::Null) | None if required.contains(&name.as_str()) => "required".to_owned(),
            Some(Value::Null) | None => String::new(),
            Some(default) => format!("`{default}`"),
        };
        let description = text(field, "description").or_else(|| text(target, "description")).unwrap_or_default();
        let (kind, description) = (kind(root, field), cell(description));
        let _ = writeln!(page, "| `{prefix}{name}` | {kind} | {default} | {description} |");
        rows(root, target, &format!("{prefix}{name}."), above, page);
        if let Some(items) = target.get("items") {
            rows(root, items, &format!("{prefix}{name}[]."), above, page);
        }
        if let Some(values) = target.get("additionalProperties").filter(|values| values.is_object()) {
            rows(root, values, &format!("{prefix}{name}.*."), above, page);
        }
    }
}

/// A text for a cell of a table.
fn cell(text: &str) -> String {
    text.replace('|', "\\|").split_whitespace().collect::<Vec<_>>().join(" ")
}

/// The type of a field in words.
fn kind(root: &Value, schema: &Value) -> String {
    let schema = resolved(root, schema);
    let quoted = |values: &[Value]| {
        let values: Vec<_> = values.iter().map(|value| format!("`{}`", cell(&value.to_string()))).collect();
        values.join(", ")
    };
    if let Some(values) = schema.get("enum").and_then(Value::as_array) {
        return quoted(values);
    }
    if let Some(value) = schema.get("const") {
        return quoted(std::slice::from_ref(value));
    }
    if let Some(all) = schema.get("oneOf").and_then(Value::as_array) {
        return all.iter().map(|one| kind(root, one)).collect::<Vec<_>>().join(", ");
    }
    match schema.get("type") {
        Some(Value::String(name)) => name.clone(),
        Some(Value::Array(names)) => {
            let names: Vec<_> = names.iter().filter_map(Value::as_str).filter(|name| *name != "null").collect();
            names.join(" or ")
        }
        _ => "any".to_owned(),
    }
}
