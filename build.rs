//! Migrations are embedded into the program, so a change of the directory requires a new build.
fn main() {
    println!("cargo:rerun-if-changed=migrations");
}
