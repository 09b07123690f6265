//! `/locks/list`: the devices under two names, without pages. Every device of Latchkey is a lock.

use crate::api::devices::list::{self, List};
use crate::api::edge::Call;
use crate::error::Result;
use serde::ser::SerializeMap as _;
use serde::{Serialize, Serializer};
use serde_json::Value;

/// The found devices, written as `locks` and again as `devices`.
pub(super) struct Listed(Vec<Value>);

impl Serialize for Listed {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut members = serializer.serialize_map(Some(2))?;
        members.serialize_entry("locks", &self.0)?;
        members.serialize_entry("devices", &self.0)?;
        members.end()
    }
}

pub(super) async fn list(call: Call<List>) -> Result<Listed> {
    let found = list::matching(&call, None).await?;
    Ok(Listed(found.into_iter().map(|(_, body)| body).collect()))
}
