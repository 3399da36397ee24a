//! A small simulated week: see `cargo xtask simulate week` for the large ones.

mod week;

use anyhow::{Result, ensure};
use week::{Options, run};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_attack_of_a_small_week_is_one_incident() -> Result<()> {
    let options =
        Options { devices: 200, seed: 1, attacks: 20, days: 7, benign_max: 4_000.0, investigate: false, talk: false };
    let report = run(options).await?;
    let told = format!("{report:#?}\n{}", report.remarks.join("\n"));
    ensure!(report.attacks_found == 20, "not all found: {told}");
    ensure!(report.incidents_with_attack == 20, "not one incident each: {told}");
    ensure!(report.attacks_split == 0 && report.incidents_mixed == 0, "split or mixed: {told}");
    Ok(())
}
