//! The steps, numbered as in design §1.

use super::browser;
use super::mail_client::OpenMail;
use super::mails::{SCRIPT, SENDER, Sample};
use super::world::{MAILBOXES, REACHED, World};
use crate::mail::Mail;
use crate::process::wait_for;
use anyhow::{Context, Result, ensure};
use hinomi_model::{
    Action, ActionSpec, ActionState, Alert, DeliveryAction, DetectionStatus, EntityKey, EntityKind, Incident,
    IncidentStatus, Indicator, IndicatorKind, Investigation, InvestigationState, MessageCopy, ReceiptState, Severity,
    StepState, Verdict,
};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::pin::Pin;
use std::time::{Duration, Instant};

/// A step: what it shows is its name; what it returns are figures worth telling.
pub type Step = for<'w> fn(&'w mut World) -> Pin<Box<dyn Future<Output = Result<Vec<String>>> + 'w>>;

/// Longest wait for what should take seconds; the times themselves are told, not asserted.
const SOON: Duration = Duration::from_secs(60);

macro_rules! step {
    ($function:ident) => {
        |world| Box::pin($function(world))
    };
}

/// Every step after the start of the world.
pub const STEPS: &[(&str, Step)] = &[
    ("1 a mail with an unknown attachment reaches 12 of 50 mailboxes through the gateway", step!(deliver)),
    ("2 a recipient opens it: shell, second stage, persistence, call out", step!(open_attachment)),
    ("3 notice on the endpoint, alert, incident, alert mails in both languages with the link", step!(alarm)),
    ("4 the incident shows timeline, device, user and 12 mailboxes; the alert its process tree", step!(incident)),
    ("4 the incident and the alert in Chromium, in both languages", step!(incident_in_browser)),
    ("5 the automated investigation found file, processes, address, the mail and its 11 twins", step!(investigation)),
    (
        "6 one approval in Chromium: processes stopped, file quarantined, 12 mails gone, hash and sender blocked",
        step!(approve),
    ),
    ("6 undo brings every mail back byte for byte in content, flags and date", step!(undo)),
    ("7 the same attachment sent again is stopped at the gateway", step!(send_again)),
    ("7 opened again it does not run, told as prevented, in the same incident", step!(open_again)),
];

async fn deliver(world: &mut World) -> Result<Vec<String>> {
    let sample = Sample::new(world.attacker.address)?;
    world.known.script_sha256 = hex::encode(Sha256::digest(&sample.script));
    world.known.mail = sample.mail(world.mailbox(0));
    let reached: Vec<&str> = world.reached().iter().map(String::as_str).collect();
    let began = Instant::now();
    world.rig.send(SENDER, &reached, &world.known.mail).await?;
    for mailbox in world.reached() {
        world.rig.wait_for(mailbox, 1, SOON).await?;
    }
    let delivered = began.elapsed();
    // the administrators' own mailboxes may already hold an alert mail
    for mailbox in &world.rig.users[REACHED..MAILBOXES - 2] {
        let count = world.rig.imap(mailbox).await?.count("INBOX").await?;
        ensure!(count == 0, "{mailbox} holds {count} mails nobody sent");
    }
    let path = format!("/messages?sha256={}", world.known.script_sha256);
    let api = &mut world.api;
    let copies = wait_for("the gateway's record of 12 copies", SOON, async || {
        let copies: Vec<MessageCopy> = api.list(&path).await?;
        Ok((copies.len() == REACHED).then_some(copies))
    })
    .await?;
    for copy in &copies {
        ensure!(copy.delivery_action == DeliveryAction::Delivered, "{} is not marked as delivered", copy.recipient);
        ensure!(copy.sender_from == SENDER, "sender is {}", copy.sender_from);
        let nested = copy.attachments.iter().find(|file| file.sha256 == world.known.script_sha256);
        let nested = nested.context("the file inside the archive is not recorded")?;
        ensure!(nested.parent_sha256.is_some(), "the file does not name the archive it lies in");
    }
    world.known.message = copies.first().map(|copy| copy.message_id);
    Ok(vec![format!("12 mailboxes reached {:.1} s after sending", delivered.as_secs_f64())])
}

fn mail_of_first(world: &World) -> OpenMail {
    OpenMail {
        imap: world.rig.imap_addr,
        user: world.mailbox(0).to_owned(),
        password: world.rig.user_password.clone(),
        downloads: world.endpoint.home.join("Downloads"),
    }
}

async fn open_attachment(world: &mut World) -> Result<Vec<String>> {
    // some mailboxes are lived in: flags must survive removal and undo
    let flagged = world.mailbox(3).to_owned();
    let mut imap = world.rig.imap(&flagged).await?;
    let uid = imap.mails("INBOX").await?.first().context("the mail is there")?.uid;
    imap.set_flags("INBOX", uid, "\\Seen \\Flagged").await?;
    let mail = mail_of_first(world);
    let began = Instant::now();
    world.endpoint.open_mail(&mail)?;
    wait_for("the second stage to call out", SOON, async || Ok((world.attacker.beacons() > 0).then_some(()))).await?;
    let autostart = world.endpoint.outside(&world.endpoint.home.join(".config/autostart/update.desktop"))?;
    ensure!(autostart.exists(), "the sample did not persist");
    Ok(vec![format!("called out {:.1} s after opening", began.elapsed().as_secs_f64())])
}

async fn alarm(world: &mut World) -> Result<Vec<String>> {
    let began = Instant::now();
    let mut notes = Vec::new();
    let mut told =
        |what: &str| notes.push(format!("{what} at most {:.1} s after the call-out", began.elapsed().as_secs_f64()));
    let api = &mut world.api;
    let alert = wait_for("an alert of the endpoint", SOON, async || {
        let alerts = api.each::<Alert>("/alerts", "/alerts").await?;
        Ok(alerts.into_iter().find(|alert| alert.device.is_some() && alert.severity >= Severity::Medium))
    })
    .await?;
    told("alert");
    let incident: Incident = world.api.get(&format!("/incidents/{}", alert.incident_id)).await?;
    wait_for("the notice on the user's terminal", SOON, async || {
        Ok(world.endpoint.terminal().contains("Hinomi").then_some(()))
    })
    .await?;
    told("local notice");
    let link = format!("{}/incidents/{}", world.server.url, incident.number);
    for (mailbox, severity) in world.administrators().into_iter().zip([["[高]", "[中]"], ["[High]", "[Medium]"]]) {
        let rig = &world.rig;
        let mail = wait_for("the alert mail", SOON, async || {
            let mails = rig.imap(mailbox).await?.mails("INBOX").await?;
            Ok(mails.into_iter().next())
        })
        .await?;
        let mail = mail_parser::MessageParser::default().parse(&mail.raw).context("alert mail")?;
        let subject = mail.subject().unwrap_or_default();
        ensure!(
            severity.iter().any(|word| subject.contains(word)),
            "subject {subject:?} has no severity in its language"
        );
        ensure!(mail.body_text(0).is_some_and(|text| text.contains(&link)), "the alert mail does not link to {link}");
        ensure!(mail.body_html(0).is_some(), "the alert mail has no HTML part");
    }
    told("alert mails in both languages");
    world.known.incident = Some((incident.id, incident.number));
    world.known.alert = Some(alert.id);
    Ok(notes)
}

async fn incident(world: &mut World) -> Result<Vec<String>> {
    let (_, number) = world.known.incident.context("no incident")?;
    let reached: Vec<String> = world.reached().to_vec();
    let api = &mut world.api;
    let incident = wait_for("the incident to name device, user and 12 mailboxes", SOON, async || {
        let incident: Incident = api.get(&format!("/incidents/{number}")).await?;
        let mailboxes = reached.iter().all(|mailbox| incident.mailboxes.contains(mailbox));
        Ok((mailboxes && !incident.devices.is_empty() && !incident.users.is_empty()).then_some(incident))
    })
    .await?;
    ensure!(incident.users.iter().any(|user| user == crate::mail::RIG_USER), "users are {:?}", incident.users);
    ensure!(incident.techniques.len() >= 2, "techniques are {:?}", incident.techniques);
    for link in incident.alerts.iter().skip(1) {
        ensure!(link.linked_to.is_some(), "a linked alert names no reason: {link:?}");
    }
    one_incident(api).await?;
    let timeline: Value = api.get(&format!("/incidents/{number}/timeline")).await?;
    ensure!(timeline["markers"].as_array().is_some_and(|markers| markers.len() >= 2), "timeline {timeline}");

    let alert = world.known.alert.context("no alert")?;
    let alert: Alert = world.api.get(&format!("/alerts/{alert}")).await?;
    ensure!(alert.detection_status == DetectionStatus::Detected, "status is {:?}", alert.detection_status);
    ensure!(!alert.next_steps.is_empty(), "no next steps");
    ensure!(alert.why.iter().any(|why| !why.matched.is_empty()), "the alert does not say why");
    let api = &mut world.api;
    let path = format!("/alerts/{}/story", alert.id);
    let names = wait_for("the process tree from mail program to call-out", SOON, async || {
        let story: Value = api.get(&path).await?;
        let nodes = story["nodes"].as_array().cloned().unwrap_or_default();
        let text = nodes.iter().map(|node| format!("{} {}", node["name"], node["command_line"])).collect::<Vec<_>>();
        let has = |part: &str| text.iter().any(|text| text.contains(part));
        Ok((has("thunderbird") && has(SCRIPT) && has("curl") && has(".update")).then_some(text.len()))
    })
    .await?;
    let alerts = incident.alerts.len();
    Ok(vec![format!("{alerts} alerts, {} techniques, process tree of {names} nodes", incident.techniques.len())])
}

async fn incident_in_browser(world: &mut World) -> Result<Vec<String>> {
    let (_, number) = world.known.incident.context("no incident")?;
    let alert = world.known.alert.context("no alert")?;
    browser::look(world, number, &alert.to_string()).await
}

async fn investigation(world: &mut World) -> Result<Vec<String>> {
    let (incident, _) = world.known.incident.context("no incident")?;
    let api = &mut world.api;
    let found = wait_for("an investigation that waits for approval", SOON, async || {
        let all = api.each::<Investigation>("/investigations", "/investigations").await?;
        Ok(all.into_iter().find(|one| {
            one.incident_id == incident
                && ["malicious_file", "malicious_attachment"].contains(&one.playbook.as_str())
                && one.state == InvestigationState::PendingApproval
        }))
    })
    .await?;
    let sha256 = &world.known.script_sha256;
    let file =
        found.evidence.iter().find(|one| one.entity == EntityKey::file(sha256)).context("the file is no evidence")?;
    ensure!(file.verdict == Verdict::Malicious, "verdict of the file is {:?}: {}", file.verdict, file.reason.en);
    let count = |kind: EntityKind| found.evidence.iter().filter(|one| one.entity.kind == kind).count();
    ensure!(count(EntityKind::Process) >= 2, "{} processes", count(EntityKind::Process));
    ensure!(count(EntityKind::Ip) >= 1, "no address");
    ensure!(count(EntityKind::MessageCopy) == REACHED, "{} mail copies", count(EntityKind::MessageCopy));
    for evidence in &found.evidence {
        ensure!(!evidence.reason.en.is_empty() && !evidence.reason.ja.is_empty(), "{} has no reason", evidence.entity);
    }
    for step in &found.steps {
        ensure!(
            matches!(step.state, StepState::Done | StepState::Skipped),
            "step {} is {:?}: {}",
            step.name,
            step.state,
            step.result.en
        );
    }
    ensure!(!found.actions.is_empty(), "nothing is proposed");
    let alert = world.known.alert.context("no alert")?;
    let alert: Alert = world.api.get(&format!("/alerts/{alert}")).await?;
    ensure!(alert.investigation_id.is_some(), "the alert does not link to its investigation");
    world.known.investigation = Some(found.id);
    let evidence = found.evidence.len();
    Ok(vec![format!("{} steps, {evidence} entities, {} actions proposed", found.steps.len(), found.actions.len())])
}

async fn approve(world: &mut World) -> Result<Vec<String>> {
    world.known.before = mails(world).await?;
    ensure!(world.known.before.len() == REACHED, "{} mails before", world.known.before.len());
    let (incident, number) = world.known.incident.context("no incident")?;
    let began = Instant::now();
    let mut notes = browser::approve_all(world, number).await?;
    let api = &mut world.api;
    let path = format!("/actions?incident={incident}");
    let actions = wait_for("every action to end", SOON, async || {
        let actions: Vec<Action> = api.list(&path).await?;
        let open = |state| matches!(state, ActionState::PendingApproval | ActionState::Queued | ActionState::Running);
        let left: Vec<String> = actions
            .iter()
            .filter(|one| open(one.state))
            .map(|one| format!("{} {:?}", one.spec.kind(), one.state))
            .collect();
        ensure!(left.is_empty(), "{}", left.join(", "));
        Ok(Some(actions))
    })
    .await?;
    notes.push(format!(
        "{} actions ended {:.1} s after the approval began",
        actions.len(),
        began.elapsed().as_secs_f64()
    ));
    for action in &actions {
        ensure!(
            action.state == ActionState::Succeeded,
            "{} is {:?}: {:?}",
            action.spec.kind(),
            action.state,
            action.receipts
        );
        ensure!(
            action.receipts.iter().all(|receipt| !receipt.detail.en.is_empty()),
            "{} has an empty receipt",
            action.spec.kind()
        );
    }
    let removal =
        actions.iter().find(|one| matches!(one.spec, ActionSpec::SoftDeleteMessages { .. })).context("no removal")?;
    let done = removal.receipts.iter().filter(|one| one.state == ReceiptState::Done && one.proof.is_some()).count();
    ensure!(done == REACHED, "{done} of {REACHED} receipts with proof");
    world.known.removal = Some(removal.id);

    ensure!(mails(world).await?.is_empty(), "mails are still in the inboxes");
    let script = world.endpoint.outside(&world.endpoint.home.join("Downloads").join(SCRIPT))?;
    ensure!(!script.exists(), "the file is still there");
    let beacons = world.attacker.beacons();
    tokio::time::sleep(Duration::from_secs(3)).await;
    ensure!(world.attacker.beacons() <= beacons + 1, "the second stage still calls out");
    let indicators: Vec<Indicator> = world.api.list("/indicators").await?;
    let blocked = |kind: IndicatorKind, value: &str| {
        indicators.iter().any(|one| one.spec.kind == kind && one.spec.value == value)
    };
    ensure!(blocked(IndicatorKind::FileSha256, &world.known.script_sha256), "the hash is not blocked");
    ensure!(blocked(IndicatorKind::SenderAddress, SENDER), "the sender is not blocked");
    Ok(notes)
}

/// The attack's mails in the reached inboxes, with all that must survive an undo.
async fn mails(world: &World) -> Result<Vec<(String, Mail)>> {
    let mut found = Vec::new();
    for mailbox in world.reached() {
        for mail in world.rig.imap(mailbox).await?.mails("INBOX").await? {
            found.push((mailbox.clone(), mail));
        }
    }
    Ok(found)
}

async fn undo(world: &mut World) -> Result<Vec<String>> {
    let removal = world.known.removal.context("nothing was removed")?;
    let began = Instant::now();
    world.api.post(&format!("/actions/{removal}/undo"), json!({"comment": "story"})).await?;
    let api = &mut world.api;
    wait_for("the removal to be undone", SOON, async || {
        let action: Action = api.get(&format!("/actions/{removal}")).await?;
        Ok((action.state == ActionState::Undone).then_some(()))
    })
    .await?;
    let after = mails(world).await?;
    ensure!(after.len() == world.known.before.len(), "{} of {} mails are back", after.len(), world.known.before.len());
    for ((mailbox, before), (_, after)) in world.known.before.iter().zip(&after) {
        ensure!(before.raw == after.raw, "{mailbox}: content differs");
        ensure!(before.flags == after.flags, "{mailbox}: flags {:?} became {:?}", before.flags, after.flags);
        ensure!(
            before.internal_date == after.internal_date,
            "{mailbox}: date {} became {}",
            before.internal_date,
            after.internal_date
        );
    }
    ensure!(after.iter().any(|(_, mail)| mail.flags.len() == 2), "the flags of a mailbox that is lived in are gone");
    Ok(vec![format!("12 mails back {:.1} s after the order", began.elapsed().as_secs_f64())])
}

async fn send_again(world: &mut World) -> Result<Vec<String>> {
    let reached: Vec<&str> = world.reached().iter().map(String::as_str).collect();
    let (incident, _) = world.known.incident.context("no incident")?;
    // with another sender and Message-ID: the file inside the archive alone must stop it
    let again = String::from_utf8_lossy(&world.known.mail).replace("partner-invoices.example", "other-sender.example");
    // accepted into quarantine or refused: either way it must not arrive
    let answer = world.rig.send("someone@other-sender.example", &reached, again.as_bytes()).await;
    let path = format!("/messages?sha256={}", world.known.script_sha256);
    let api = &mut world.api;
    wait_for("the gateway's record of 12 blocked copies", SOON, async || {
        let copies: Vec<MessageCopy> = api.list(&path).await?;
        Ok((copies.iter().filter(|copy| copy.delivery_action == DeliveryAction::Blocked).count() == REACHED)
            .then_some(()))
    })
    .await?;
    wait_for("the gateway's alert in the same incident", SOON, async || {
        let alerts = api.each::<Alert>(&format!("/incidents/{incident}/alerts"), "/alerts").await?;
        Ok(alerts
            .into_iter()
            .find(|alert| alert.message_id.is_some() && alert.detection_status == DetectionStatus::Prevented))
    })
    .await?;
    let arrived = mails(world).await?.len();
    ensure!(arrived == REACHED, "{} copies got through", arrived - REACHED);
    Ok(vec![match answer {
        Ok(_) => "kept in quarantine at the gateway".to_owned(),
        Err(error) => format!("refused at the gateway: {error:#}"),
    }])
}

/// The story is one incident; those merged into it are only pointers at it.
async fn one_incident(api: &mut super::api::Api) -> Result<()> {
    let incidents = api.each::<Incident>("/incidents", "/incidents").await?;
    let own: Vec<String> = incidents
        .iter()
        .filter(|incident| incident.status != IncidentStatus::Redirected)
        .map(|incident| format!("INC-{} {}", incident.number, incident.title.en))
        .collect();
    ensure!(own.len() == 1, "the story is one incident, not {}: {}", own.len(), own.join(", "));
    Ok(())
}

async fn open_again(world: &mut World) -> Result<Vec<String>> {
    let (incident, _) = world.known.incident.context("no incident")?;
    let mail = mail_of_first(world);
    let beacons = world.attacker.beacons();
    let (ran, said) = world.endpoint.open_mail_again(&mail).await?;
    ensure!(!ran && said.contains("not permitted"), "the file ran again: {said}");
    ensure!(world.attacker.beacons() == beacons, "the second stage called out again");
    let api = &mut world.api;
    wait_for("an alert told as prevented in the same incident", SOON, async || {
        let alerts = api.each::<Alert>(&format!("/incidents/{incident}/alerts"), "/alerts").await?;
        Ok(alerts
            .into_iter()
            .find(|alert| alert.device.is_some() && alert.detection_status == DetectionStatus::Prevented))
    })
    .await?;
    one_incident(api).await?;
    Ok(vec![said.trim().to_owned()])
}
