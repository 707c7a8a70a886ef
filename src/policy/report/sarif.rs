//! A report in the Static Analysis Results Interchange Format 2.1.0 (OASIS), which code hosts and editors read.

use super::At;
use super::Diagnostic;
use super::Report;
use serde_json::Value;
use serde_json::json;
use std::collections::BTreeSet;
use std::path::Path;

const SCHEMA: &str =
    "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json";

impl Report {
    /// The whole log: one run of one tool.
    #[must_use]
    pub fn sarif(&self) -> Value {
        let found = self.diagnostics();
        let codes: BTreeSet<&str> = found.iter().map(|found| found.code).collect();
        let codes: Vec<&str> = codes.into_iter().collect();
        let rules = codes.iter().map(|code| json!({ "id": code }));
        let results = found.iter().map(|found| self.result(found, &codes));
        let artifacts = self
            .sources
            .iter()
            .map(|source| json!({ "location": { "uri": uri(&source.path) } }));
        json!({
            "$schema": SCHEMA,
            "version": "2.1.0",
            "runs": [{
                "tool": { "driver": {
                    "name": env!("CARGO_PKG_NAME"),
                    "version": env!("CARGO_PKG_VERSION"),
                    "rules": rules.collect::<Vec<_>>(),
                } },
                "columnKind": "unicodeCodePoints",
                "artifacts": artifacts.collect::<Vec<_>>(),
                "results": results.collect::<Vec<_>>(),
            }],
        })
    }

    fn result(&self, found: &Diagnostic, codes: &[&str]) -> Value {
        let mut result = json!({
            "ruleId": found.code,
            "ruleIndex": codes.iter().position(|code| *code == found.code),
            "level": found.severity.name(),
            "message": { "text": self.told(found) },
        });
        if let Some(at) = found.at {
            result["locations"] = json!([{ "physicalLocation": self.location(at) }]);
        }
        let related = found.related.iter().enumerate().map(|(id, (at, why))| {
            json!({ "id": id, "physicalLocation": self.location(*at), "message": { "text": why } })
        });
        let related: Vec<Value> = related.collect();
        if !related.is_empty() {
            result["relatedLocations"] = related.into();
        }
        result
    }

    fn location(&self, at: At) -> Value {
        let (place, end) = (self.place(at), self.end(at));
        json!({
            "artifactLocation": { "uri": uri(&place.file), "index": at.source },
            "region": {
                "startLine": place.line,
                "startColumn": place.column,
                "endLine": end.line,
                "endColumn": end.column,
            },
        })
    }
}

/// A path as a reference: what a URI may not hold (RFC 3986) is escaped byte by byte.
fn uri(path: &Path) -> String {
    let text = path.display().to_string();
    let mut uri = match path.is_absolute() {
        true => "file://".to_owned(),
        false => String::new(),
    };
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~/".contains(&byte) {
            uri.push(char::from(byte));
        } else {
            uri.push_str(&format!("%{byte:02X}"));
        }
    }
    uri
}
