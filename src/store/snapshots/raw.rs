//! JSON text that is parsed only as far as needed: a workspace is too large for a tree of all its values.

use crate::compute::{self, LONG_DOCUMENT};
use crate::contract::values::{MAX_SNAPSHOT_DEPTH, NO_NUL, has_nul, is_deeper};
use serde::de::{Error as _, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::Value;
use serde_json::value::RawValue;
use std::fmt;

/// Maximum number of members of an object that is parsed by [`Members`].
const MAX_MEMBERS: usize = 1000;

/// Number of bytes of rows to process before other tasks may run, which takes some milliseconds.
const CHUNK_BYTES: usize = 128 * 1024;

/// Members of an object, in their order.
#[derive(Clone, Debug)]
pub(crate) struct Members<'a>(Vec<(String, &'a RawValue)>);

impl<'a> Members<'a> {
    /// Parses the members of an object.
    ///
    /// # Errors
    /// The value is not an object, a member occurs twice, or there are more than [`MAX_MEMBERS`] members.
    pub(crate) fn of(object: &'a RawValue) -> serde_json::Result<Self> {
        serde_json::from_str(object.get())
    }

    /// Returns the member with this name.
    pub(crate) fn get(&self, name: &str) -> Option<&'a RawValue> {
        self.0.iter().find(|(member, _)| member == name).map(|(_, value)| *value)
    }

    /// Iterates over the members.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&str, &'a RawValue)> {
        self.0.iter().map(|(name, value)| (name.as_str(), *value))
    }

    /// Iterates over the members.
    pub(crate) fn into_iter(self) -> impl Iterator<Item = (String, &'a RawValue)> {
        self.0.into_iter()
    }
}

impl<'de> Deserialize<'de> for Members<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(Object)
    }
}

struct Object;

impl<'de> Visitor<'de> for Object {
    type Value = Members<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<Members<'de>, M::Error> {
        let mut members: Vec<(String, &RawValue)> = Vec::new();
        while let Some((name, value)) = map.next_entry::<String, &RawValue>()? {
            if members.len() >= MAX_MEMBERS {
                return Err(M::Error::custom(format!("an object has more than {MAX_MEMBERS} members")));
            }
            if members.iter().any(|(before, _)| *before == name) {
                let shown: String = name.chars().take(100).collect();
                return Err(M::Error::custom(format!("the member {shown} is a duplicate")));
            }
            members.push((name, value));
        }
        Ok(Members(members))
    }
}

/// Returns true if the value is an object.
pub(crate) fn is_object(value: &RawValue) -> bool {
    value.get().starts_with('{')
}

/// Parses a small value into a tree, in which `20.0` becomes 20: some programs that forward a document write all
/// numbers with a fraction.
pub(crate) fn parse_small(value: &RawValue) -> serde_json::Result<Value> {
    let mut value: Value = serde_json::from_str(value.get())?;
    crate::contract::number::normalize_integers(&mut value);
    Ok(value)
}

/// Parses a value of a document into a tree. The value may have at most `most` bytes.
///
/// # Errors
/// The value is too long, too deep, not valid JSON, or contains a NUL character; the message contains its location.
pub(crate) fn value(value: &RawValue, most: usize, location: impl Fn() -> String) -> Result<Value, String> {
    if value.get().len() > most {
        return Err(format!("{}: is longer than {most} bytes, see --body-limit", location()));
    }
    // The position in the message is removed: it is relative to this value, not to the document.
    let value = parse_small(value).map_err(|error| {
        let message = error.to_string();
        format!("{}: {}", location(), message.split(" at line ").next().unwrap_or_default())
    })?;
    if is_deeper(&value, MAX_DEPTH) {
        return Err(format!("{}: Lists and objects must be nested at most {MAX_DEPTH} levels deep", location()));
    }
    if has_nul(&value) { Err(format!("{}: {NO_NUL}", location())) } else { Ok(value) }
}

/// Maximum depth of lists and objects in a value. A row is inside a table, inside the tables, inside the document, so
/// it may have three levels less than a document.
const MAX_DEPTH: usize = MAX_SNAPSHOT_DEPTH - 3;

/// Iterator over the items of a list.
#[derive(Debug)]
pub(crate) struct Items<'a>(&'a str);

impl<'a> Items<'a> {
    /// Returns the items of a list; no items for any other value.
    pub(crate) fn of(list: &'a RawValue) -> Self {
        Self(list.get().strip_prefix('[').unwrap_or_default())
    }
}

impl<'a> Iterator for Items<'a> {
    type Item = &'a RawValue;

    fn next(&mut self) -> Option<&'a RawValue> {
        let rest = self.0.trim_start_matches([',', ' ', '\n', '\r', '\t']);
        // The text is valid JSON, so what follows is a value unless the list ends.
        if rest.is_empty() || rest.starts_with(']') {
            return None;
        }
        let mut values = serde_json::Deserializer::from_str(rest).into_iter::<&RawValue>();
        let item = values.next()?.ok()?;
        self.0 = rest.get(values.byte_offset()..)?;
        Some(item)
    }
}

/// Calls `look` for every item of a list in order. Long lists are processed in chunks, so that other tasks can run in
/// between.
///
/// # Errors
/// The first error of `look`, which ends the iteration.
pub(crate) async fn each<'a, E>(
    list: &'a RawValue,
    mut look: impl FnMut(usize, &'a RawValue) -> Result<(), E> + Send,
) -> Result<(), E> {
    let is_long = list.get().len() > LONG_DOCUMENT;
    let mut items = Items::of(list).enumerate();
    loop {
        let chunk = || {
            let mut bytes = 0;
            while bytes < CHUNK_BYTES {
                let Some((number, item)) = items.next() else { return Ok(true) };
                bytes += item.get().len();
                look(number, item)?;
            }
            Ok(false)
        };
        if compute::sized(is_long, chunk).await? {
            return Ok(());
        }
        // A request whose client has disconnected is cancelled here.
        tokio::task::yield_now().await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn raw(text: &str) -> &RawValue {
        serde_json::from_str(text).unwrap()
    }

    #[test]
    fn items_splits_a_list_into_values_of_any_type() {
        let items = |text| Items::of(raw(text)).map(RawValue::get).collect::<Vec<_>>();
        assert_eq!(items("[]"), [""; 0]);
        assert_eq!(items(" [ ] "), [""; 0]);
        assert_eq!(
            items("[1, -2e3,null ,\"],\\\"\",[[]],{\"a\":[1,2]}\n]"),
            ["1", "-2e3", "null", "\"],\\\"\"", "[[]]", "{\"a\":[1,2]}"]
        );
        assert_eq!(items("{\"a\":1}"), [""; 0]);
    }

    #[test]
    fn members_reject_duplicate_names_and_too_many_members() {
        let message = |text| Members::of(raw(text)).map(|_| ()).unwrap_err().to_string();
        assert!(message("{\"a\":1,\"\\u0061\":2}").contains("the member a is a duplicate"));
        let many: Vec<String> = (0..=MAX_MEMBERS).map(|number| format!("\"{number}\":0")).collect();
        assert!(message(&format!("{{{}}}", many.join(","))).contains("more than 1000 members"));
    }
}
