//! An access code's row: its columns, and the code that they make.

use crate::clock::Instant;
use crate::domain::access_code::AccessCode;
use crate::domain::access_code::lifecycle::{Entry, Life, Particulars, Window};
use sqlx::postgres::PgRow;
use sqlx::types::Json;
use sqlx::{FromRow, Row};
use uuid::Uuid;

/// Declares a row together with the list of its columns, which are read by their place: looking each up by its name
/// took a fifth of the time of a list of codes.
macro_rules! row_by_place {
    ($(#[$attribute:meta])* $row:ident { $first:ident: $first_type:ty, $($column:ident: $type:ty,)* }) => {
        $(#[$attribute])*
        pub struct $row { pub $first: $first_type, $(pub $column: $type,)* }

        impl $row {
            /// Its columns, of a table or alias `a`, for a `select` that begins with them.
            pub const COLUMNS: &str = concat!("a.", stringify!($first), $(", a.", stringify!($column),)*);
            /// How many they are: the place of the first column behind them.
            pub const COUNT: usize = 1 $(+ { let _ = stringify!($column); 1 })*;
        }

        impl FromRow<'_, PgRow> for $row {
            fn from_row(row: &PgRow) -> Result<Self, sqlx::Error> {
                let mut places = 0..;
                let mut place = || places.next().unwrap_or_default();
                Ok(Self { $first: row.try_get(place())?, $($column: row.try_get(place())?,)* })
            }
        }
    };
}

row_by_place! {
    /// An access code as its row has it.
    #[derive(Debug)]
    AccessCodeRow {
        access_code_id: Uuid,
        workspace_id: Uuid,
        device_id: Uuid,
        created_at: Instant,
        name: Option<String>,
        code: String,
        starts_at: Option<Instant>,
        ends_at: Option<Instant>,
        common_code_key: Option<String>,
        is_natively_scheduled: bool,
        is_external_modification_allowed: bool,
        deletion_requested_at: Option<Instant>,
        held_name: Option<String>,
        held_code: Option<String>,
        held_starts_at: Option<Instant>,
        held_ends_at: Option<Instant>,
        first_held_at: Option<Instant>,
        as_of: Instant,
        working_since: Option<Instant>,
        due_at: Option<Instant>,
        wake_at: Option<Instant>,
        gone_at: Option<Instant>,
        children: i32,
        sequence: i64,
        is_managed: bool,
        is_offline: bool,
        is_backup: bool,
        pool_device_id: Option<Uuid>,
        pulled_backup_access_code_id: Option<Uuid>,
        particulars: Option<Json<Particulars>>,
        blocked_on: Option<Uuid>,
    }
}

/// A window from its two columns.
pub(super) fn window(starts_at: Option<Instant>, ends_at: Option<Instant>) -> Option<Window> {
    Some(Window { starts_at: starts_at?, ends_at: ends_at? })
}

impl From<AccessCodeRow> for AccessCode {
    fn from(row: AccessCodeRow) -> Self {
        let held_window = window(row.held_starts_at, row.held_ends_at);
        let held_name = row.held_name;
        let life = Life {
            created_at: row.created_at,
            asked: Entry { name: row.name, code: row.code, window: window(row.starts_at, row.ends_at) },
            is_managed: row.is_managed,
            is_natively_scheduled: row.is_natively_scheduled,
            is_offline: row.is_offline,
            is_backup: row.is_backup,
            deletion_requested_at: row.deletion_requested_at,
            held: row.held_code.map(|code| Entry { name: held_name, code, window: held_window }),
            first_held_at: row.first_held_at,
            as_of: row.as_of,
            working_since: row.working_since,
            gone_at: row.gone_at,
            particulars: row.particulars.map(|particulars| particulars.0).unwrap_or_default(),
        };
        Self {
            access_code_id: row.access_code_id,
            workspace_id: row.workspace_id,
            device_id: row.device_id,
            sequence: row.sequence,
            common_code_key: row.common_code_key,
            left_group: None,
            is_external_modification_allowed: row.is_external_modification_allowed,
            pool_device_id: row.pool_device_id,
            pulled_backup_access_code_id: row.pulled_backup_access_code_id,
            life,
            children: row.children,
        }
    }
}
