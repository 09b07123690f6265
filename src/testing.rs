//! Items of the library that the integration tests use in addition to HTTP requests, under their paths in the crate:
//! servers in the test process, the clock, and data to check.
//!
//! Everything else is private to the crate, so that the compiler reports unused items.

pub mod api {
    pub use crate::api::routes;
}
pub mod cause {
    pub use crate::cause::Cause;
}
pub mod clock {
    pub use crate::clock::{Timestamp, from_iso, machine_now, to_iso};
}
pub mod config {
    pub use crate::config::{Config, ControlPlane, Settings};
}
pub mod contract {
    pub use crate::contract::{CONTROL_OPENAPI, Contract, Document, Endpoint, OPENAPI};
}
pub mod control {
    pub use crate::control::routes;
}
pub mod delivery {
    pub use crate::delivery::run;
}
pub mod domain {
    pub mod caller {
        pub use crate::domain::caller::Visibility;
    }
    pub mod device {
        pub use crate::domain::device::Device;
        pub mod brands {
            pub use crate::domain::device::brands::BRANDS;
        }
    }
    pub mod sandbox {
        pub use crate::domain::sandbox::{API_KEY, PERSONAL_ACCESS_TOKEN, WORKSPACE_ID};
    }
}
pub mod engine {
    pub mod app {
        pub use crate::engine::app::{App, SchedulerRound};
    }
    pub mod backup_pool {
        pub use crate::engine::backup_pool::pull;
    }
    pub mod code_lengths {
        pub use crate::engine::code_lengths::report;
    }
    pub mod commands {
        pub use crate::engine::commands::{CreateCommand, NewAccessCode, Update, UpdateCommand};
    }
    pub mod connect_webviews {
        pub use crate::engine::connect_webviews::delete;
    }
    pub mod connected_accounts {
        pub use crate::engine::connected_accounts::{AccountUpdate, delete, sync, update};
    }
    pub mod connectivity {
        pub use crate::engine::connectivity::set_account;
    }
    pub mod convert_to_managed {
        pub use crate::engine::convert_to_managed::convert_to_managed;
    }
    pub mod create {
        pub use crate::engine::create::create;
    }
    pub mod delete {
        pub use crate::engine::delete::delete;
    }
    pub mod external_changes {
        pub use crate::engine::external_changes::{CodeReference, remove};
    }
    pub mod generate_code {
        pub use crate::engine::generate_code::generate_code;
    }
    pub mod request_log {
        pub use crate::engine::request_log::Pending;
    }
    pub mod retention {
        pub use crate::engine::retention::remove_older_than;
    }
    pub mod sandbox {
        pub use crate::engine::sandbox::ensure;
    }
    pub mod scheduler {
        pub use crate::engine::scheduler::tick;
    }
    pub mod update {
        pub use crate::engine::update::{update, update_multiple};
    }
    pub mod workspaces {
        pub use crate::engine::workspaces::remove_expired_workspaces;
    }
}
pub mod error {
    pub use crate::error::Error;
}
pub mod http {
    pub mod envelope {
        pub use crate::http::envelope::JsonResponse;
    }
}
pub mod ids {
    pub use crate::ids::{Ids, random_id};
}
pub mod postgres {
    pub use crate::postgres::{Database, PoolLimits, Pools, Transaction, connect};
    pub mod private {
        use std::path::PathBuf;

        pub use crate::postgres::private::{Download, DownloadError, Durability, Options, PrivatePostgres, StartError};

        /// Returns the installations that a start finds: major version and directory, newest first.
        pub fn find_programs(options: &Options) -> Result<Vec<(u32, PathBuf)>, StartError> {
            let found = options.found()?;
            Ok(found.into_iter().map(|programs| (programs.major, programs.directory)).collect())
        }

        /// Downloads the programs of a major version, unless they are in the cache, and returns their directory.
        pub fn download_programs(download: &Download, major: u32) -> Result<PathBuf, DownloadError> {
            download.programs(Some(major)).map(|programs| programs.directory)
        }
    }
}
pub mod server {
    pub use crate::server::{OUTSIDE_THE_CONTRACT, router};
    pub mod like_fake {
        pub use crate::server::like_fake::load;
    }
    pub mod fixtures {
        pub use crate::server::fixtures::{Fixtures, FixturesError, Loaded, SCHEMA};
    }
}
pub mod store {
    pub mod accounts {
        pub use crate::store::accounts::{Filter, list};
    }
    pub mod connect_webviews {
        pub use crate::store::connect_webviews::{Filter, list};
    }
    pub mod access_codes {
        pub use crate::store::access_codes::{Filter, device_of, list, list_on_device};
    }
    pub mod action_attempts {
        pub use crate::store::action_attempts::{Filter, list};
    }
    pub mod devices {
        pub use crate::store::devices::{Filter, account_of, list};
    }
    pub mod events {
        pub use crate::store::events::{Filter, list};
    }
    pub mod snapshots {
        pub use crate::store::snapshots::checksum;
        pub mod tables {
            pub use crate::store::snapshots::tables::{LEFT_OUT, TABLES, WORKSPACE};
        }
    }
}
