//! JSON as text that is taken apart only as far as it must be: a workspace is too large for a tree of all its values.

use crate::compute::{self, LONG_DOCUMENT};
use crate::contract::values::{MAX_SNAPSHOT_DEPTH, NO_NUL, has_nul, is_deeper};
use serde::de::{Error as _, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::Value;
use serde_json::value::RawValue;
use std::fmt;

/// As many members an object of a few known ones may have.
const MAX_MEMBERS: usize = 1000;

/// As many bytes of rows are looked at before others get their turn: some milliseconds.
const CHUNK_BYTES: usize = 128 * 1024;

/// The members of an object in their order.
#[derive(Clone, Debug)]
pub(crate) struct Members<'a>(Vec<(String, &'a RawValue)>);

impl<'a> Members<'a> {
    /// Those of an object.
    ///
    /// # Errors
    /// If it is none, if one of them is there twice, and if there are very many.
    pub(crate) fn of(object: &'a RawValue) -> serde_json::Result<Self> {
        serde_json::from_str(object.get())
    }

    /// One of them.
    pub(crate) fn get(&self, name: &str) -> Option<&'a RawValue> {
        self.0.iter().find(|(it, _)| it == name).map(|(_, value)| *value)
    }

    /// All of them.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&str, &'a RawValue)> {
        self.0.iter().map(|(name, value)| (name.as_str(), *value))
    }

    /// All of them.
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
                return Err(M::Error::custom(format!("the member {shown} is there twice")));
            }
            members.push((name, value));
        }
        Ok(Members(members))
    }
}

/// Whether it is an object.
pub(crate) fn is_object(value: &RawValue) -> bool {
    value.get().starts_with('{')
}

/// A value that is not large, as a tree in which `20.0` is 20.
pub(crate) fn small(value: &RawValue) -> serde_json::Result<Value> {
    let mut value: Value = serde_json::from_str(value.get())?;
    crate::contract::number::settle(&mut value);
    Ok(value)
}

/// A value of a document that is not to be longer than so many bytes, as a tree.
///
/// # Errors
/// Why it cannot be kept, with its place.
pub(crate) fn value(value: &RawValue, most: usize, location: impl Fn() -> String) -> Result<Value, String> {
    if value.get().len() > most {
        return Err(format!("{}: is longer than {most} bytes, see --body-limit", location()));
    }
    // Without the place in the text: it would be one in this value.
    let value = small(value).map_err(|error| {
        let said = error.to_string();
        format!("{}: {}", location(), said.split(" at line ").next().unwrap_or_default())
    })?;
    if is_deeper(&value, MAX_DEPTH) {
        return Err(format!("{}: Lists and objects must be at most {MAX_DEPTH} deep in each other", location()));
    }
    if has_nul(&value) { Err(format!("{}: {NO_NUL}", location())) } else { Ok(value) }
}

/// How many levels of lists and objects a value may have: a row lies in a table, in the tables, in the document.
const MAX_DEPTH: usize = MAX_SNAPSHOT_DEPTH - 3;

/// The items of a list, one after the other.
#[derive(Debug)]
pub(crate) struct Items<'a>(&'a str);

impl<'a> Items<'a> {
    /// Those of a list; of anything else there are none.
    pub(crate) fn of(list: &'a RawValue) -> Self {
        Self(list.get().strip_prefix('[').unwrap_or_default())
    }
}

impl<'a> Iterator for Items<'a> {
    type Item = &'a RawValue;

    fn next(&mut self) -> Option<&'a RawValue> {
        let rest = self.0.trim_start_matches([',', ' ', '\n', '\r', '\t']);
        // The text was found to be JSON, so what does not end is a value.
        if rest.is_empty() || rest.starts_with(']') {
            return None;
        }
        let mut values = serde_json::Deserializer::from_str(rest).into_iter::<&RawValue>();
        let item = values.next()?.ok()?;
        self.0 = rest.get(values.byte_offset()..)?;
        Some(item)
    }
}

/// Has every item of a list looked at in its order, in stretches, so that others get their turn in between.
///
/// # Errors
/// The first one, with which it ends.
pub(crate) async fn each<'a, E>(
    list: &'a RawValue,
    mut look: impl FnMut(usize, &'a RawValue) -> Result<(), E> + Send,
) -> Result<(), E> {
    let is_long = list.get().len() > LONG_DOCUMENT;
    let mut items = Items::of(list).enumerate();
    loop {
        let stretch = || {
            let mut bytes = 0;
            while bytes < CHUNK_BYTES {
                let Some((number, item)) = items.next() else { return Ok(true) };
                bytes += item.get().len();
                look(number, item)?;
            }
            Ok(false)
        };
        if compute::sized(is_long, stretch).await? {
            return Ok(());
        }
        // Whoever has hung up is noticed here.
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
    fn items_of_a_list_are_told_apart_whatever_they_are() {
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
    fn members_of_an_object_are_there_once() {
        let said = |text| Members::of(raw(text)).map(|_| ()).unwrap_err().to_string();
        assert!(said("{\"a\":1,\"\\u0061\":2}").contains("the member a is there twice"));
        let many: Vec<String> = (0..=MAX_MEMBERS).map(|number| format!("\"{number}\":0")).collect();
        assert!(said(&format!("{{{}}}", many.join(","))).contains("more than 1000 members"));
    }
}
