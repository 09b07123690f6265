//! Values for parameters: mostly values that match the schema and exist in the workspace, and often others.

use latchkey::testing::clock;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

/// Random numbers derived from a seed (`SplitMix64`).
pub(super) struct Random(pub(super) u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    pub(super) fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.next() % (end.max(1) as u64)).unwrap()
    }

    fn within(&mut self, least: i64, most: i64) -> i64 {
        let width = most.abs_diff(least).saturating_add(1);
        least.wrapping_add_unsigned(self.next() % width)
    }

    /// True with a probability of `share` in a thousand.
    pub(super) fn per_mille(&mut self, share: usize) -> bool {
        self.below(1000) < share
    }

    pub(super) fn pick<'a, T>(&mut self, among: &'a [T]) -> &'a T {
        &among[self.below(among.len())]
    }
}

/// Values from the responses of a workspace, by the names of the parameters that take them.
#[derive(Default)]
pub(super) struct Known {
    by_name: BTreeMap<String, Vec<String>>,
    now: Option<clock::Timestamp>,
    /// Snapshot that was exported from this or an earlier workspace.
    pub(super) exported: Option<Value>,
}

impl Known {
    /// Drops the ids in a request that got the error `kind` (`..._not_found`), because they no longer exist.
    pub(super) fn forget(&mut self, kind: &str, request: &str) {
        let name = format!("{}_id", kind.trim_end_matches("_not_found"));
        if let Some(known) = self.by_name.get_mut(&name) {
            known.retain(|id| !request.contains(id.as_str()));
        }
    }

    pub(super) fn learn(&mut self, random: &mut Random, response: &Value) {
        if response["snapshot"].is_object() {
            self.exported = Some(response["snapshot"].clone());
            return;
        }
        if let Some(now) = response["now"].as_str().and_then(clock::from_iso) {
            self.now = Some(now);
        }
        self.walk(random, "", response);
    }

    fn walk(&mut self, random: &mut Random, name: &str, value: &Value) {
        const NAMES: [&str; 6] = ["code", "name", "common_code_key", "after", "page_cursor", "path"];
        const MAX_VALUES: usize = 20;
        match value {
            Value::Object(fields) => {
                for (name, value) in fields {
                    let name = match name.as_str() {
                        "next_page_cursor" => "page_cursor",
                        "cursor" => "after",
                        name => name,
                    };
                    self.walk(random, name, value);
                }
            }
            Value::Array(items) => {
                // `access_method_ids` has values for `access_method_id`.
                let name = name.strip_suffix('s').filter(|name| name.ends_with("_id")).unwrap_or(name);
                items.iter().take(10).for_each(|item| self.walk(random, name, item));
            }
            // Lock manufacturers use such field names for ids of their own, which are no UUIDs.
            Value::String(text) if name.ends_with("_id") && uuid::Uuid::parse_str(text).is_err() => {}
            Value::String(text) if name.ends_with("_id") || NAMES.contains(&name) => {
                let known = self.by_name.entry(name.to_owned()).or_default();
                if known.contains(text) {
                } else if known.len() < MAX_VALUES {
                    known.push(text.clone());
                } else {
                    known[random.below(MAX_VALUES)].clone_from(text);
                }
            }
            _ => {}
        }
    }

    pub(super) fn random_value(&self, random: &mut Random, name: &str) -> Option<String> {
        self.by_name.get(name).filter(|known| !known.is_empty()).map(|known| random.pick(known).clone())
    }
}

/// Creates values for the schemas of one document.
pub(super) struct ValueGenerator<'a> {
    pub(super) random: &'a mut Random,
    pub(super) document: &'a Value,
    pub(super) known: &'a Known,
    /// Number of values in a thousand that are arbitrary JSON.
    pub(super) wrong: usize,
}

/// Parameters of an object with their schemas, and the names of the required ones.
#[derive(Default)]
pub(super) struct Parameters<'a> {
    pub(super) schemas: Vec<(&'a str, &'a Value)>,
    pub(super) required: Vec<&'a str>,
}

impl<'a> ValueGenerator<'a> {
    /// Creates values for these parameters.
    pub(super) fn fields(&mut self, parameters: &Parameters<'a>) -> Map<String, Value> {
        let Parameters { schemas, required } = parameters;
        let optional = schemas.len() - required.len();
        let share = 1600_usize.checked_div(optional).unwrap_or(0).min(400);
        let mut fields = Map::new();
        let mut has_end = false;
        for (name, schema) in schemas {
            let is_included = match *name {
                name if required.contains(&name) => !self.random.per_mille(self.wrong / 2),
                // A time frame with only one end is rejected.
                "ends_at" if fields.contains_key("starts_at") => self.random.per_mille(930),
                "ends_at" => self.random.per_mille(30),
                // An invented cursor is rejected.
                "page_cursor" if !self.known.by_name.contains_key("page_cursor") => self.random.per_mille(30),
                // The id of another workspace than that of the API key is rejected.
                "workspace_id" => self.random.per_mille(100),
                _ => self.random.per_mille(share),
            };
            has_end |= *name == "ends_at";
            if is_included {
                fields.insert((*name).to_owned(), self.value(name, schema));
            }
        }
        if has_end && self.random.per_mille(20) {
            fields.shift_remove("starts_at");
        }
        if self.random.per_mille(self.wrong / 2) {
            fields.insert(self.text(), self.anything(2));
        }
        fields
    }

    fn collect_parameters(&self, schema: &'a Value, parameters: &mut Parameters<'a>) {
        let schema = self.resolved(schema);
        for part in schema["allOf"].as_array().into_iter().flatten() {
            self.collect_parameters(part, parameters);
        }
        let properties = schema["properties"].as_object().into_iter().flatten();
        parameters.schemas.extend(properties.map(|(name, schema)| (name.as_str(), schema)));
        parameters.required.extend(schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str));
    }

    /// Returns the parameters of a body with this schema.
    pub(super) fn parameters(&self, schema: &'a Value) -> Parameters<'a> {
        let mut parameters = Parameters::default();
        self.collect_parameters(schema, &mut parameters);
        parameters
    }

    fn resolved(&self, schema: &'a Value) -> &'a Value {
        match schema["$ref"].as_str() {
            Some(reference) => self.resolved(self.document.pointer(&reference[1..]).unwrap()),
            None => schema,
        }
    }

    pub(super) fn value(&mut self, name: &str, schema: &'a Value) -> Value {
        let schema = self.resolved(schema);
        if self.random.per_mille(self.wrong) {
            return self.anything(3);
        }
        if name == "snapshot" {
            return self.snapshot();
        }
        if schema["nullable"] == true && self.random.per_mille(200) {
            return Value::Null;
        }
        if let Some(options) = schema["enum"].as_array() {
            return self.random.pick(options).clone();
        }
        if let Some(branches) = schema["oneOf"].as_array().or(schema["anyOf"].as_array()) {
            let branch = self.random.pick(branches);
            return self.value(name, branch);
        }
        match schema["type"].as_str() {
            _ if schema.get("allOf").is_some() => Value::Object(self.fields(&self.parameters(schema))),
            Some("object") if schema.get("properties").is_none() => json!({ self.text(): self.anything(1) }),
            Some("object") => Value::Object(self.fields(&self.parameters(schema))),
            Some("array") => {
                let least = schema["minItems"].as_u64().unwrap_or(u64::from(self.random.per_mille(900)));
                let most = schema["maxItems"].as_u64().unwrap_or(3).min(least + 3);
                let count = least + self.random.below(usize::try_from(most - least).unwrap() + 1) as u64;
                let name = name.strip_suffix('s').unwrap_or(name);
                (0..count).map(|_| self.value(name, &schema["items"])).collect()
            }
            Some("integer" | "number") => self.number(name, schema),
            Some("boolean") => json!(self.random.per_mille(500)),
            Some("string") => json!(self.matching_text(name, schema)),
            _ => self.anything(2),
        }
    }

    fn number(&mut self, name: &str, schema: &Value) -> Value {
        let least = schema["minimum"].as_i64().unwrap_or(0);
        let most = schema["maximum"].as_i64().unwrap_or(100);
        match name {
            // A faster clock would run through centuries while a request waits: too many steps for a debug build.
            "rate" => json!([0.001, 1.0, 60.0, 3600.0, 1e6][self.random.below(5)]),
            // Creating many locks takes long.
            "locks" => json!(if self.random.per_mille(20) { 1000 } else { self.random.below(6) }),
            _ if schema["type"] == "number" && most - least <= 1 => json!([0.01, 0.25, 0.5, 1.0][self.random.below(4)]),
            _ if self.random.per_mille(800) => json!(self.random.within(least, most.min(least.saturating_add(12)))),
            _ => json!(self.random.within(least, most)),
        }
    }

    fn matching_text(&mut self, name: &str, schema: &Value) -> String {
        const DURATIONS: [&str; 9] = ["PT0S", "PT0.25S", "PT1M", "PT3H", "P1D", "P4D", "P30D", "P1W", "P3650000D"];
        if name.ends_with("_id") || schema["format"] == "uuid" {
            if let Some(id) = self.known.random_value(self.random, name).filter(|_| self.random.per_mille(930)) {
                return id;
            }
            let bits = (self.random.next(), self.random.next() >> 16);
            return format!("{:08x}-{:04x}-4000-8000-{:012x}", bits.0 >> 32, bits.0 & 0xffff, bits.1);
        }
        match name {
            "by" | "delay" | "late_issuance_grace" | "late_issuance_lead" | "per" | "timeout" | "ttl" => {
                return (*self.random.pick(&DURATIONS)).to_owned();
            }
            "after" if schema["format"] != "date-time" && self.random.per_mille(500) => {
                return (*self.random.pick(&DURATIONS)).to_owned();
            }
            "to" | "at" | "from" | "since" | "between" | "before" => return self.instant(),
            "time_zone" => return (*self.random.pick(&["Europe/Berlin", "UTC", "America/New_York"])).to_owned(),
            "api_key" => return format!("seam_test_{:x}", self.random.next()),
            _ => {}
        }
        if name.ends_with("_at")
            || schema["format"] == "date-time"
            || (name == "after" && schema.get("format").is_some())
        {
            return self.instant();
        }
        let known = self.known.random_value(self.random, name);
        if let Some(known) = known.filter(|_| self.random.per_mille(400)) {
            return known;
        }
        if name.ends_with("code") {
            let length = *self.random.pick(&[4, 4, 5, 6, 6, 6, 7, 8]);
            return (0..length).map(|_| char::from(b'0' + u8::try_from(self.random.below(10)).unwrap())).collect();
        }
        match name {
            "path" => (*self.random.pick(&["/access_codes/*", "/devices/list", "/*", "/nowhere"])).to_owned(),
            _ => (*self.random.pick(&["guest", "Front Door", "lock", "Ada \u{1f511}", "x"])).to_owned(),
        }
    }

    /// Creates a timestamp near the current time of the workspace, in one of several formats.
    fn instant(&mut self) -> String {
        let now = self.known.now.unwrap_or_else(|| clock::from_iso(crate::support::START).unwrap());
        let minutes = match self.random.below(4) {
            0 => self.random.within(-90, 0),
            1 => self.random.within(0, 90),
            2 => self.random.within(90, 6000),
            _ => self.random.within(6000, 60_000),
        };
        let text = clock::to_iso(now.checked_add_signed(chrono::TimeDelta::minutes(minutes)).unwrap_or(now));
        match self.random.below(10) {
            0 => text.replace('Z', "+02:00"),
            1 => text[..19].to_owned(),
            2 => text[..10].to_owned(),
            _ => text,
        }
    }

    /// Returns the snapshot that was exported last, often damaged, mostly with a matching checksum.
    fn snapshot(&mut self) -> Value {
        let Some(mut document) = self.known.exported.clone() else { return json!({ "version": 2 }) };
        if self.random.per_mille(600) {
            let damage = self.anything(2);
            let mut index = &mut document;
            loop {
                let count = index.as_object().map_or_else(|| index.as_array().map_or(0, Vec::len), Map::len);
                if count == 0 || self.random.per_mille(50) {
                    break;
                }
                let chosen = self.random.below(count);
                index = match index {
                    Value::Object(fields) => fields.values_mut().nth(chosen).unwrap(),
                    inner => &mut inner[chosen],
                };
            }
            *index = damage;
        }
        if self.random.per_mille(800)
            && let Some(fields) = document.as_object_mut()
        {
            fields.shift_remove("checksum");
            if let Ok(checksum) = latchkey::testing::store::snapshots::checksum(fields) {
                fields.insert("checksum".to_owned(), json!(checksum));
            }
        }
        document
    }

    /// Creates text that is hard to handle or has a meaning in other formats.
    pub(super) fn text(&mut self) -> String {
        const TEXTS: [&str; 36] = [
            "",
            " ",
            "\u{0}",
            "a\u{0}b",
            "null",
            "true",
            "0",
            "-1",
            "1e400",
            "4821",
            "000000000000",
            "١٢٣٤",
            "1234\n",
            "0001-01-01T00:00:00Z",
            "0001-01-01T00:00:00+23:59",
            "0000-01-01T00:00:00Z",
            "9999-12-31T23:59:59.999Z",
            "9999-12-31T23:59:59-23:59",
            "10000-01-01T00:00:00Z",
            "+10000-01-01T00:00:00Z",
            "-0001-01-01T00:00:00Z",
            "2026-02-30T12:00:00Z",
            "2026-03-02T24:00:00Z",
            "1970-01-01",
            "P",
            "PT",
            "-PT1H",
            "P99999999D",
            "P106751991167D",
            "PT0.0000001S",
            "\u{202e}\u{1f512}\u{fe0f}\u{feff}",
            "%00%zz",
            "'; drop table device; --",
            "../../etc/passwd",
            "{\"a\":1}",
            "00000000-0000-0000-0000-000000000000",
        ];
        match self.random.below(20) {
            0 => "x".repeat(self.random.below(40_000)),
            1 => "\u{1f511}".repeat(self.random.below(2000)),
            2 => char::from_u32(u32::try_from(self.random.below(0xd800)).unwrap()).unwrap().to_string(),
            3 => "9".repeat(self.random.below(400)),
            _ => (*self.random.pick(&TEXTS)).to_owned(),
        }
    }

    /// Creates arbitrary JSON.
    fn anything(&mut self, depth: usize) -> Value {
        let numbers = [
            json!(-1),
            json!(0),
            json!(0.5),
            json!(2_147_483_648_u64),
            json!(5_000_000_000_u64),
            json!(i64::MIN),
            json!(i64::MAX),
            json!(u64::MAX),
            json!(1e300),
            json!(-1e300),
            json!(5e-324),
        ];
        match self.random.below(if depth == 0 { 8 } else { 11 }) {
            0 => Value::Null,
            1 => json!(self.random.per_mille(500)),
            2..4 => self.random.pick(&numbers).clone(),
            4..8 => json!(self.text()),
            8 => (0..self.random.below(4)).map(|_| self.anything(depth - 1)).collect(),
            9 => json!({ self.text(): self.anything(depth - 1) }),
            _ => (0..self.random.below(150)).fold(json!([]), |inner, _| json!([inner])),
        }
    }
}
