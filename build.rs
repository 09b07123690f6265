//! Embedded migrations change what is compiled: build again when one is added.
fn main() {
    println!("cargo:rerun-if-changed=migrations");
}
