//! One device's word is not enough: a sensor that was taken over names a newsletter's picture and a
//! package's file as what it ran. Nothing happens to the newsletter, its sender or the package, even at
//! full automation; what the gateway checked itself is still acted on.

#[path = "scenario/expected.rs"]
#[allow(dead_code)]
mod expected;
#[path = "scenario/house.rs"]
#[allow(dead_code)]
mod house;
mod recorded;

use anyhow::{Result, ensure};
use hinomi_model::{Action, ActionSpec, ActionState, AutomationLevel, EntityKey, Event, Table, Timestamp, Verdict};
use hinomi_server::incidents;
use hinomi_server::ingest::{Batch, Source};
use house::House;
use recorded::scenarios;

/// The script in the mail of the scenario, and its second stage.
const SCRIPT: &str = "e6a3c7d72a7140858d9fdefe73200fe303797e2829e0a96081424cd5e7260877";
const STAGE: &str = "5e585fd3fab5cb85a941179b4df835cef988f0281af9f47878024f539c302df5";

/// The scenario, with its mail changed to be the newsletter it is said to be.
fn newsletter() -> Result<Vec<Batch>> {
    let mut batches = recorded::batches(&scenarios().join("mail-attachment-linux"))?;
    for batch in batches.iter_mut().filter(|batch| matches!(batch.source, Source::Gateway)) {
        // the archive around the script is gone: the picture hangs on the mail itself
        batch.events.retain(|event| event.table != Table::EmailAttachmentInfo || event.str("SHA256") == Some(SCRIPT));
        for event in &mut batch.events {
            match event.table {
                Table::EmailAttachmentInfo => {
                    event.set("FileName", "logo.png").set("FileType", "image/png").set("AdditionalFields", "{}");
                }
                Table::EmailEvents => {
                    event.set_additional("Bulk", true);
                }
                _ => {}
            }
        }
    }
    Ok(batches)
}

/// Other devices have the second stage's hash among the files of their system.
fn installed(number: u64) -> Batch {
    let device = format!("00000000-0000-0000-0000-0000000000{number:02}");
    let at = Timestamp::parse("2026-11-01T00:00:00.000000Z").expect("a time");
    let mut event = Event::new(Table::DeviceFileEvents, at);
    event
        .set("DeviceId", device.as_str())
        .set("DeviceName", format!("pc-{number}"))
        .set("ActionType", "FileCreated")
        .set("FileName", "libfine.so")
        .set("FolderPath", "/usr/lib/libfine.so")
        .set("SHA256", STAGE)
        .set("ReportId", 1_i64);
    let device_id = device.parse().expect("an id");
    Batch { source: Source::Sensor { device_id, generation: 1, first_report_id: 1 }, events: vec![event] }
}

async fn at_full_automation() -> Result<House> {
    let house = House::open().await?;
    let mut tx = house.ctx.store.begin().await?;
    tx.set_setting("automation_level", &AutomationLevel::Full.word()).await?;
    tx.commit().await?;
    Ok(house)
}

/// The actions that would reach further than the device, and the verdict on a file.
async fn outcome(house: &House, file: &str) -> Result<(Vec<Action>, Option<Verdict>)> {
    let mut wide = Vec::new();
    let mut verdict = None;
    for incident in house.incidents().await? {
        let all = house.actions(&incident).await?;
        wide.extend(all.into_iter().filter(|action| {
            action.spec.message_remedy().is_some() || matches!(action.spec, ActionSpec::AddIndicator { .. })
        }));
        let evidence = incidents::evidence(&house.ctx, &incident).await?;
        verdict = verdict.or(evidence.iter().find(|one| one.entity == EntityKey::file(file)).map(|one| one.verdict));
    }
    Ok((wide, verdict))
}

fn names(action: &Action, value: &str) -> bool {
    matches!(&action.spec, ActionSpec::AddIndicator { indicator } if indicator.value == value)
}

#[tokio::test]
async fn a_compromised_sensor_cannot_purge_a_newsletter() -> Result<()> {
    let mut house = at_full_automation().await?;
    for batch in newsletter()? {
        house.feed(&batch).await?;
    }
    house.settle().await?;
    let (wide, verdict) = outcome(&house, SCRIPT).await?;
    ensure!(verdict == Some(Verdict::Suspicious), "{verdict:?}: a person decides");
    ensure!(!wide.iter().any(|action| names(action, SCRIPT)), "the newsletter's picture would be blocked: {wide:?}");
    ensure!(!wide.iter().any(|action| names(action, "billing@evil.example")), "its sender would be blocked");
    let ran = |action: &Action| !matches!(action.state, ActionState::PendingApproval);
    ensure!(!wide.iter().any(ran), "something ran on a sensor's word alone: {wide:?}");
    house.close().await
}

#[tokio::test]
async fn a_compromised_sensor_cannot_block_a_package() -> Result<()> {
    let mut house = at_full_automation().await?;
    for number in 70..73 {
        house.feed(&installed(number)).await?;
    }
    for batch in recorded::batches(&scenarios().join("mail-attachment-linux"))? {
        house.feed(&batch).await?;
    }
    house.settle().await?;
    let (wide, verdict) = outcome(&house, STAGE).await?;
    ensure!(verdict == Some(Verdict::Suspicious), "{verdict:?}: other devices have it installed");
    ensure!(!wide.iter().any(|action| names(action, STAGE)), "the package would be blocked: {wide:?}");
    // the script was in the gateway's own hands: that needs no second word
    let script = wide.iter().find(|action| names(action, SCRIPT));
    ensure!(
        script.is_some_and(|action| action.state == ActionState::Succeeded),
        "the script is blocked: {script:?} {wide:?}"
    );
    house.close().await
}
