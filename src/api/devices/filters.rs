//! Filters that the lists of managed and of unmanaged devices share.

use crate::api::pagination::Page;
use crate::clock::Timestamp;
use crate::domain::custom_metadata;
use crate::domain::device::brands::BRANDS;
use crate::error::Result;
use crate::http::intersect_filter;
use crate::http::params::{distinct, optional_instant};
use crate::store::Ownership;
use crate::store::devices::Filter;
use serde::Deserialize;
use serde_json::{Map, Value};
use uuid::Uuid;

/// Filter parameters of both lists. `/devices/unmanaged/list` does not have all of them.
#[derive(Deserialize)]
pub(in crate::api) struct Filters {
    device_ids: Option<Vec<Uuid>>,
    device_type: Option<String>,
    device_types: Option<Vec<String>>,
    manufacturer: Option<String>,
    connected_account_id: Option<Uuid>,
    connected_account_ids: Option<Vec<Uuid>>,
    search: Option<String>,
    created_before: Option<String>,
    custom_metadata_has: Option<Map<String, Value>>,
    include_if: Option<Vec<String>>,
    exclude_if: Option<Vec<String>>,
    connect_webview_id: Option<Uuid>,
    customer_key: Option<String>,
    space_id: Option<Uuid>,
    unstable_location_id: Option<Uuid>,
    user_identifier_key: Option<String>,
}

/// Filters in the form of the store.
pub(super) struct Prepared {
    accounts: Option<Vec<Uuid>>,
    types: Option<Vec<String>>,
    include_if: Option<Vec<String>>,
    exclude_if: Option<Vec<String>>,
    created_before: Option<Timestamp>,
}

impl Filters {
    /// Checks the parameters and prepares those that the store needs in another form.
    ///
    /// # Errors
    /// `custom_metadata_has` or `created_before` is invalid.
    pub(super) fn prepare(&self) -> Result<Prepared> {
        custom_metadata::check_filter(self.custom_metadata_has.as_ref())?;
        Ok(Prepared {
            accounts: intersect_filter(self.connected_account_id, self.connected_account_ids.clone()),
            types: self.types(),
            include_if: self.include_if.clone().map(distinct),
            exclude_if: self.exclude_if.clone().map(distinct),
            created_before: optional_instant("created_before", self.created_before.as_deref())?,
        })
    }

    /// Returns the device types that pass the filters by type and by manufacturer; `None`: all.
    fn types(&self) -> Option<Vec<String>> {
        let types = intersect_filter(self.device_type.clone(), self.device_types.clone());
        let Some(manufacturer) = &self.manufacturer else { return types };
        let made = BRANDS.iter().filter(|brand| brand.manufacturer() == *manufacturer);
        let made = made.map(|brand| brand.device_type.to_owned());
        Some(made.filter(|made| types.as_ref().is_none_or(|types| types.contains(made))).collect())
    }

    /// Returns the part of the filters that applies to columns. It has the limit of the page unless
    /// [`Prepared::accept`] filters too.
    pub(super) fn of_columns<'a>(&'a self, prepared: &'a Prepared, ownership: Ownership, page: &Page) -> Filter<'a> {
        let filters_later = prepared.include_if.is_some() || prepared.exclude_if.is_some();
        // Latchkey has no locations, and no users with keys: no device matches these filters.
        let matches_nothing = self.unstable_location_id.is_some() || self.user_identifier_key.is_some();
        Filter {
            device_ids: if matches_nothing { Some(&[]) } else { self.device_ids.as_deref() },
            device_types: prepared.types.as_deref(),
            connected_account_ids: prepared.accounts.as_deref(),
            ownership,
            name: None,
            search: self.search.as_deref(),
            created_before: prepared.created_before,
            connect_webview_id: self.connect_webview_id,
            customer_key: self.customer_key.as_deref(),
            space_id: self.space_id,
            custom_metadata_has: self.custom_metadata_has.as_ref(),
            after: page.after,
            limit: (!filters_later).then(|| page.fetch()),
        }
    }
}

impl Prepared {
    /// Returns true if a device passes the filters by its capabilities. They are not stored in columns, so these
    /// filters apply after the query. `body` is the device as the API shows it.
    pub(super) fn accept(&self, body: &Value) -> bool {
        let has = |flag: &String| body[flag] == Value::Bool(true);
        self.include_if.as_ref().is_none_or(|flags| flags.iter().all(has))
            && self.exclude_if.as_ref().is_none_or(|flags| !flags.iter().any(has))
    }
}
