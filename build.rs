//! Prepares what the program contains.
//!
//! The contract documents are compressed, and the part that a server needs for every start, about requests, becomes a
//! document of its own. Migrations are embedded by a macro, so a change of the directory requires a new build.

#[path = "src/contract/references.rs"]
mod references;
#[path = "src/contract/requests_only.rs"]
mod requests_only;

use flate2::Compression;
use flate2::write::GzEncoder;
use std::error::Error;
use std::io::Write as _;
use std::path::PathBuf;
use std::{env, fs};

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo:rerun-if-changed=migrations");
    println!("cargo:rerun-if-changed=src/contract/references.rs");
    println!("cargo:rerun-if-changed=src/contract/requests_only.rs");
    let output = PathBuf::from(env::var_os("OUT_DIR").ok_or("OUT_DIR is missing")?);
    for (name, path) in [("openapi", "openapi.json"), ("control", "src/contract/control.json")] {
        println!("cargo:rerun-if-changed={path}");
        let document = fs::read_to_string(path)?;
        let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
        encoder.write_all(document.as_bytes())?;
        fs::write(output.join(format!("{name}.json.gz")), encoder.finish()?)?;
        fs::write(output.join(format!("{name}.requests.json")), requests_only::parse(&document)?.to_string())?;
    }
    Ok(())
}
