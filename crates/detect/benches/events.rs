//! Events per second of our own content on one thread.

fn main() {
    let engine = hinomi_detect::content::engine();
    println!("rules: {}", engine.rules().len());
}
