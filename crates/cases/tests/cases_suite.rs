//! The thinking of cases over a recorded story: alerts, one incident in any order, tree, verdicts.

use hinomi_cases::playbook::{
    Case, Fact, Playbook, Presence, Proposed, Query, StepName, conclude, final_state, grow, propose, queries,
};
use hinomi_cases::*;
use hinomi_model::*;
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};

const DEVICE: &str = "00000000-0000-0000-0000-000000000001";
const OTHER_DEVICE: &str = "00000000-0000-0000-0000-000000000002";
const MESSAGE: &str = "00000000-0000-0000-0000-0000000000aa";

fn sha(letter: char) -> String {
    letter.to_string().repeat(64)
}

fn id<T: From<uuid::Uuid>>(n: u128) -> T {
    uuid::Uuid::from_u128(n).into()
}

fn at(seconds: i64) -> Timestamp {
    Timestamp::parse("2026-11-22T01:00:00Z").expect("a time").plus_seconds(seconds)
}

#[derive(Clone, Copy)]
struct Proc(i64, i64, &'static str, &'static str);

const DESKTOP: Proc = Proc(500, -9000, "gnome-shell", "/usr/bin/gnome-shell");
const CLIENT: Proc = Proc(1000, -3000, "thunderbird", "/usr/lib/thunderbird/thunderbird");
const SCRIPT: Proc = Proc(1001, 10, "dash", "/usr/bin/dash");
const CURL: Proc = Proc(1002, 11, "curl", "/usr/bin/curl");
const STAGE2: Proc = Proc(1003, 14, "stage2", "/home/u/.cache/stage2");

fn by(event: &mut Event, device: &str, process: Proc, parent: Proc) {
    event.set("DeviceId", device).set("DeviceName", "PC-12");
    event.set("InitiatingProcessId", process.0).set("InitiatingProcessCreationTime", at(process.1));
    event.set("InitiatingProcessFileName", process.2).set("InitiatingProcessFolderPath", process.3);
    event.set("InitiatingProcessAccountName", "tanaka");
    event.set("InitiatingProcessParentId", parent.0).set("InitiatingProcessParentCreationTime", at(parent.1));
    event.set("InitiatingProcessParentFileName", parent.2);
}

fn exec(device: &str, process: Proc, hash: char, parent: Proc, grand: Proc) -> Event {
    let mut event = Event::new(Table::DeviceProcessEvents, at(process.1));
    by(&mut event, device, parent, grand);
    event.set("ActionType", "ProcessCreated").set("FileName", process.2).set("FolderPath", process.3);
    event.set("ProcessId", process.0).set("ProcessCreationTime", at(process.1)).set("SHA256", sha(hash));
    event.set("ProcessCommandLine", process.2).set("AccountName", "tanaka").set("ReportId", process.0);
    event
}

/// The device side of the story: script from the mail client, download, persistence, stage 2, call-out.
fn device_events(device: &str) -> Vec<Event> {
    let mut script = exec(device, SCRIPT, 'd', CLIENT, DESKTOP);
    script.set_additional("ScriptPath", "/home/u/Downloads/invoice.sh");
    script.set_additional("ScriptSHA256", sha('b'));
    let curl = exec(device, CURL, 'c', SCRIPT, CLIENT);
    let mut file = Event::new(Table::DeviceFileEvents, at(12));
    by(&mut file, device, CURL, SCRIPT);
    file.set("ActionType", "FileCreated").set("FileName", "stage2").set("FolderPath", STAGE2.3).set("SHA256", sha('e'));
    file.set("ReportId", 20_i64);
    let mut cron = Event::new(Table::DeviceFileEvents, at(13));
    by(&mut cron, device, SCRIPT, CLIENT);
    cron.set("ActionType", "FileCreated").set("FileName", "upd.desktop");
    cron.set("FolderPath", "/home/u/.config/autostart/upd.desktop").set("SHA256", sha('f')).set("ReportId", 21_i64);
    let stage2 = exec(device, STAGE2, 'e', SCRIPT, CLIENT);
    let mut call = Event::new(Table::DeviceNetworkEvents, at(15));
    by(&mut call, device, STAGE2, SCRIPT);
    call.set("ActionType", "ConnectionRequest").set("RemoteIP", "198.51.100.7").set("RemotePort", 4444_i64);
    call.set("Protocol", "Tcp").set("ReportId", 22_i64);
    vec![script, curl, file, cron, stage2, call]
}

fn copies() -> Vec<MessageCopy> {
    let mut rows = Vec::new();
    for n in 0..12 {
        let recipient = format!("user{n}@example.org");
        let row = |table: Table| {
            let mut event = Event::new(table, at(-600));
            event.set("NetworkMessageId", MESSAGE).set("RecipientEmailAddress", recipient.as_str());
            event.set("SenderFromAddress", "billing@evil.example");
            event
        };
        let mut mail = row(Table::EmailEvents);
        mail.set("Subject", "請求書").set("DeliveryAction", "Delivered").set("DeliveryLocation", "Inbox/folder");
        let mut file = row(Table::EmailAttachmentInfo);
        file.set("FileName", "invoice.sh").set("FileType", "text/x-shellscript").set("SHA256", sha('b'));
        rows.extend([mail, file]);
    }
    message_copies(&rows)
}

fn detection(event: &Event, rule: &str, severity: Severity, tactic: &str) -> Detection {
    Detection {
        rule_id: rule.to_owned(),
        title: Text::same(rule),
        description: Text::default(),
        next_steps: vec![Text::same("look")],
        severity,
        techniques: vec!["T1059.004".to_owned()],
        tactics: vec![tactic.to_owned()],
        source: DetectionSource::Rule,
        status: DetectionStatus::Detected,
        event: event.clone(),
        matched: Vec::new(),
    }
}

fn drafts(device: &str, from: u128) -> Vec<AlertDraft> {
    let events = device_events(device);
    let mut index = ProcessIndex::new(1000);
    events.iter().for_each(|event| index.learn(event));
    let copies = copies();
    let fired = [
        (0, "script-from-mail-client", Severity::High, "execution"),
        (1, "download-tool", Severity::Medium, "command-and-control"),
        (3, "autostart-written", Severity::Medium, "persistence"),
        (5, "unusual-port", Severity::Low, "command-and-control"),
    ];
    let made = fired.iter().enumerate().map(|(n, (event, rule, severity, tactic))| {
        let event = &events[*event];
        let key = if event.table == Table::DeviceProcessEvents { event.process() } else { event.initiating_process() };
        let lineage = index.lineage(&key.expect("a process"));
        let context =
            AlertContext { lineage: &lineage, copies: if n == 0 { &copies } else { &[] }, status_reason: None };
        let ids = AlertIds { alert: id(from + n as u128), incident: id(from + 100 + n as u128) };
        alert_of(&detection(event, rule, *severity, tactic), ids, at(20), &context)
    });
    made.collect()
}

/// The house in miniature: alerts and incidents in memory.
#[derive(Default)]
struct Board {
    alerts: BTreeMap<AlertId, AlertDraft>,
    incidents: BTreeMap<IncidentId, Incident>,
    number: i64,
}

impl Board {
    fn take(&mut self, mut draft: AlertDraft) {
        if let Some(known) = self.alerts.values_mut().find(|known| known.dedupe == draft.dedupe) {
            absorb(&mut known.alert, &draft, at(30));
            known.links.extend(draft.links.iter().cloned());
            draft = known.clone();
        }
        let own = draft.alert.id;
        let subject = |alert: &Alert| Subject {
            first: alert.first_activity,
            last: alert.last_activity,
            severity: alert.severity,
            category: alert.category.clone(),
            user: alert.user.clone(),
            root: alert.tree_root.map(|root| EntityKey::process(&root)),
        };
        let mut candidates = Vec::new();
        for other in self.alerts.values().filter(|other| other.alert.id != own) {
            for shared in other.links.iter().filter(|key| draft.links.contains(key)) {
                candidates.push(Candidate {
                    shared: shared.clone(),
                    alert_id: other.alert.id,
                    incident_id: other.alert.incident_id,
                    subject: subject(&other.alert),
                });
            }
        }
        let facts = |incident: &Incident| IncidentFacts {
            number: incident.number,
            alerts: incident.alerts.len(),
            assigned_to: None,
            closed: incident.status == IncidentStatus::Redirected,
        };
        let history = History {
            prevalence: BTreeMap::new(),
            incidents: self.incidents.iter().map(|(id, incident)| (*id, facts(incident))).collect(),
        };
        match correlate(own, &subject(&draft.alert), &candidates, &history) {
            Decision::New if self.alerts.contains_key(&own) => {}
            Decision::New => {
                self.number += 1;
                let incident = new_incident(draft.alert.incident_id, self.number, &draft.alert, at(30));
                self.incidents.insert(incident.id, incident);
            }
            Decision::Join { incident, reason, shared, linked_to, merge: others } => {
                let mut target = self.incidents.remove(&incident).expect("known");
                if draft.alert.incident_id != incident && !others.contains(&draft.alert.incident_id) {
                    target.alerts.push(AlertLink {
                        alert_id: own,
                        linked_to: Some(linked_to),
                        reason,
                        shared: Some(shared),
                        at: at(30),
                    });
                }
                for other in &others {
                    merge(
                        &mut target,
                        self.incidents.get_mut(other).expect("known"),
                        Default::default(),
                        "system",
                        at(30),
                    );
                }
                for known in self.alerts.values_mut().filter(|known| others.contains(&known.alert.incident_id)) {
                    known.alert.incident_id = incident;
                }
                draft.alert.incident_id = incident;
                self.incidents.insert(incident, target);
            }
        }
        let incident_id = draft.alert.incident_id;
        self.alerts.insert(own, draft);
        let alerts: Vec<Alert> = self
            .alerts
            .values()
            .filter(|known| known.alert.incident_id == incident_id)
            .map(|known| known.alert.clone())
            .collect();
        refresh(self.incidents.get_mut(&incident_id).expect("known"), &alerts);
    }

    /// Rule sets per open incident, the shape that must not depend on order.
    fn shape(&self) -> BTreeSet<BTreeSet<(String, String)>> {
        let open = self.incidents.values().filter(|incident| incident.status != IncidentStatus::Redirected);
        open.map(|incident| {
            let in_it = self.alerts.values().filter(|known| known.alert.incident_id == incident.id);
            in_it
                .map(|known| {
                    let device = known.alert.device.as_ref().map(|device| device.id.to_string());
                    (device.unwrap_or_default(), known.alert.rule_id.clone())
                })
                .collect()
        })
        .collect()
    }
}

#[test]
fn an_alert_names_entities_reasons_and_ready_steps() {
    let drafts = drafts(DEVICE, 1);
    let alert = &drafts[0].alert;
    assert_eq!(alert.mailboxes.len(), 12);
    assert_eq!(alert.tree_root.expect("root").pid, SCRIPT.0, "the mail client is not part of the attack");
    assert_eq!(alert.user.as_deref(), Some("tanaka"));
    let kinds: Vec<&str> =
        alert.next_steps.iter().filter_map(|step| step.action.as_ref()).map(|action| action.kind()).collect();
    assert_eq!(
        kinds,
        ["stop_process_tree", "quarantine_file", "soft_delete_messages", "add_indicator", "isolate_device"]
    );
    assert!(drafts[0].links.contains(&EntityKey::file(&sha('b'))));
    assert!(!drafts[1].links.contains(&EntityKey::file(&sha('c'))), "curl is part of the system");
    // the same firing again changes nothing, another one on the same tree joins
    let mut again = alert.clone();
    assert!(!absorb(&mut again, &drafts[0], at(99)));
    assert_eq!(&again, alert);
}

#[test]
fn the_story_becomes_one_incident_named_after_its_attachment() {
    let mut board = Board::default();
    drafts(DEVICE, 1).into_iter().for_each(|draft| board.take(draft));
    let open: Vec<&Incident> = board.incidents.values().collect();
    assert_eq!(open.len(), 1);
    let incident = open[0];
    assert_eq!(incident.title.en, "Multi-stage attack from mail attachment invoice.sh on PC-12 (3 tactics)");
    assert!(incident.title.ja.contains("invoice.sh"));
    assert_eq!(incident.severity, Severity::High);
    assert_eq!(incident.tactics, ["execution", "persistence", "command-and-control"]);
    assert_eq!(incident.mailboxes.len(), 12);
    assert!(incident.alerts[1..].iter().all(|link| link.reason == CorrelationReason::EventCasualSequence));
    let alerts: Vec<Alert> = board.alerts.values().map(|draft| draft.alert.clone()).collect();
    let timeline = timeline(&alerts);
    assert_eq!(timeline.lanes.len(), 3);
    assert_eq!(timeline.markers.len(), 4);
}

#[test]
fn two_devices_without_a_shared_artefact_stay_apart() {
    let mut board = Board::default();
    for mut draft in drafts(DEVICE, 1).into_iter().chain(drafts(OTHER_DEVICE, 50)) {
        // another attack: other files, no mail
        if draft.alert.device.as_ref().is_some_and(|device| device.id.to_string() == OTHER_DEVICE) {
            draft.links.retain(|key| matches!(key.kind, EntityKind::Process | EntityKind::Device));
        }
        board.take(draft);
    }
    assert_eq!(board.shape().len(), 2);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    /// The same alerts in any order give the same incidents.
    #[test]
    fn order_does_not_matter(order in Just((0..9_usize).collect::<Vec<_>>()).prop_shuffle()) {
        let mut all = drafts(DEVICE, 1);
        all.extend(drafts(OTHER_DEVICE, 50));
        // an unrelated alert on the first device, far away in time
        let mut lone = all[1].clone();
        lone.alert.id = id(90);
        lone.alert.incident_id = id(190);
        lone.alert.first_activity = at(900_000);
        lone.alert.last_activity = at(900_000);
        lone.alert.rule_id = "lone".to_owned();
        lone.dedupe = "lone".to_owned();
        lone.links = vec![EntityKey::device(lone.alert.device.as_ref().expect("device").id)];
        all.push(lone);
        let expected = {
            let mut board = Board::default();
            all.iter().cloned().for_each(|draft| board.take(draft));
            board.shape()
        };
        let mut board = Board::default();
        order.iter().for_each(|at| board.take(all[*at].clone()));
        prop_assert_eq!(board.shape(), expected.clone());
        prop_assert_eq!(expected.len(), 2, "one story over two devices (same file), one stranger");
    }

    /// Any parent relation, cycles and forged times included, gives a bounded tree without panic.
    #[test]
    fn hostile_trees_end(links in proptest::collection::vec((0..30_i64, 0..30_i64, 0..5_i64), 0..200)) {
        let events: Vec<Event> = links
            .iter()
            .map(|(child, parent, start)| exec(DEVICE, Proc(*child, *start, "x", "/tmp/x"), 'a', Proc(*parent, *start, "y", "/tmp/y"), CLIENT))
            .collect();
        let device = DEVICE.parse().expect("id");
        let root = ProcessKey { device_id: device, pid: 1, started_at: at(1) };
        let tree = story(&events, &StoryFocus { root: Some(root), ..StoryFocus::default() });
        prop_assert!(tree.nodes.len() <= STORY_NODES_MAX + 1);
        let mut seen = BTreeSet::new();
        for node in &tree.nodes {
            prop_assert!(node.parent.as_ref().is_none_or(|parent| seen.contains(parent)), "parents come first");
            prop_assert!(seen.insert(node.key.clone()), "keys are unique");
        }
    }
}

#[test]
fn the_tree_shows_ancestors_files_and_marks() {
    let events = device_events(DEVICE);
    let drafts = drafts(DEVICE, 1);
    let marks: Vec<AlertMark> = drafts
        .iter()
        .map(|draft| AlertMark {
            event: draft.alert.why[0].event.clone(),
            severity: draft.alert.severity,
            technique: "T1059.004".to_owned(),
            title: draft.alert.title.clone(),
        })
        .collect();
    let copies = copies();
    let focus = StoryFocus { root: drafts[0].alert.tree_root, marks: &marks, copies: &copies, prevalence: None };
    let tree = story(&events, &focus);
    let lines: Vec<String> = tree
        .nodes
        .iter()
        .map(|node| {
            let depth = std::iter::successors(node.parent.clone(), |parent| {
                tree.nodes.iter().find(|node| node.key == *parent).and_then(|node| node.parent.clone())
            });
            let severity = node.severity.map(|severity| format!(" !{}", severity.word())).unwrap_or_default();
            format!("{}{}{severity}", "  ".repeat(depth.count()), node.name)
        })
        .collect();
    insta::assert_snapshot!(lines.join("\n"), @r"
    請求書
    gnome-shell
      thunderbird
        dash !high
          upd.desktop !medium
          curl !medium
            stage2
          stage2
            198.51.100.7:4444 !low
    ");
    assert!(!tree.truncated);
    let many: Vec<Event> = (0..100_i64)
        .map(|n| {
            let mut event = device_events(DEVICE)[2].clone();
            event.set("FolderPath", format!("/tmp/f{n}")).set("ReportId", 100_i64 + n);
            event
        })
        .collect();
    let tree = story(events.iter().chain(&many), &focus);
    assert!(tree.truncated, "files beyond the limit fold into one line");
    assert!(tree.nodes.iter().any(|node| node.facts.get("folded").is_some_and(|count| count == "61")));
}

/// Answers queries from the recorded story, as the house would from lake, store and mailboxes.
fn answer(query: &Query) -> Fact {
    match query {
        Query::Tree { root, .. } => Fact::Tree { root: *root, events: device_events(DEVICE) },
        Query::Seen { observable, by } => {
            let sample = device_events(DEVICE)[0].reference();
            let entities: Vec<EntityKey> = match (by, observable.value == sha('b')) {
                (EntityKind::MessageCopy, true) => {
                    copies().iter().map(|copy| EntityKey::message_copy(copy.message_id, &copy.recipient)).collect()
                }
                (EntityKind::Device, _) => vec![EntityKey::device(DEVICE.parse().expect("id"))],
                _ => Vec::new(),
            };
            let sightings: Vec<Sighting> = entities
                .into_iter()
                .map(|entity| Sighting {
                    observable: observable.clone(),
                    entity,
                    first_seen: at(0),
                    last_seen: at(0),
                    count: 1,
                    sample: sample.clone(),
                    name: "/home/u/Downloads/invoice.sh".to_owned(),
                    account: None,
                    stages: SightingStages::default(),
                })
                .collect();
            Fact::Seen { observable: observable.clone(), by: *by, total: sightings.len() as i64, sightings }
        }
        Query::Copies { .. } => Fact::Copies(copies()),
        Query::Locate { copies } => Fact::Located(
            copies
                .iter()
                .map(|copy| {
                    let gone = copy.recipient.starts_with("user3@");
                    (copy.clone(), if gone { Presence::Absent } else { Presence::Present("INBOX".to_owned()) })
                })
                .collect(),
        ),
        Query::Indicator { entity } => Fact::Indicator { entity: entity.clone(), indicator: None },
        Query::Logons { device, .. } => Fact::Logons { device: *device, events: Vec::new() },
        Query::Device { .. } => Fact::Device(None),
    }
}

fn investigate(level: AutomationLevel, alerts: &[Alert]) -> (Investigation, Vec<hinomi_cases::playbook::Proposed>) {
    let playbook = Playbook::for_alert(&alerts[0]).expect("a file is involved");
    let mut investigation = Investigation {
        id: id(1),
        number: 7,
        playbook: playbook.name.clone(),
        title: playbook.title.clone(),
        state: InvestigationState::Running,
        state_reason: None,
        alert_id: alerts[0].id,
        incident_id: alerts[0].incident_id,
        device: alerts[0].device.clone(),
        automation_level: level,
        by_hand: false,
        steps: playbook.fresh_steps(),
        evidence: Vec::new(),
        edges: Vec::new(),
        actions: Vec::new(),
        log: Vec::new(),
        started_at: at(20),
        ended_at: None,
        version: 1,
    };
    let own_domains = ["example.org".to_owned()];
    for (n, spec) in playbook.steps.iter().enumerate() {
        let snapshot = investigation.clone();
        let case = Case { investigation: &snapshot, alerts, actions: &[], own_domains: &own_domains, now: at(60) };
        let mut facts = Vec::new();
        for _ in 0..4 {
            let asked = queries(spec.name, &case, &facts);
            if asked.is_empty() {
                break;
            }
            facts.extend(asked.iter().map(answer));
        }
        let outcome = conclude(spec.name, &case, &facts);
        outcome.apply(&mut investigation);
        investigation.steps[n].state = outcome.state;
        investigation.steps[n].result = outcome.result;
        if spec.name == StepName::ProposeActions {
            let snapshot = investigation.clone();
            let case = Case { investigation: &snapshot, alerts, actions: &[], own_domains: &own_domains, now: at(60) };
            return (investigation, propose(&case));
        }
    }
    unreachable!("the playbook ends with propose_actions")
}

#[test]
fn the_playbook_finds_the_mail_and_proposes_what_to_do() {
    let alerts: Vec<Alert> = drafts(DEVICE, 1).into_iter().map(|draft| draft.alert).collect();
    let (investigation, proposed) = investigate(AutomationLevel::SemiAll, &alerts);
    let verdict =
        |key: &EntityKey| investigation.evidence.iter().find(|piece| piece.entity == *key).map(|piece| piece.verdict);
    assert_eq!(verdict(&EntityKey::file(&sha('b'))), Some(Verdict::Malicious));
    assert_eq!(verdict(&EntityKey::file(&sha('e'))), Some(Verdict::Malicious), "the second stage ran");
    assert_eq!(verdict(&EntityKey::file(&sha('f'))), Some(Verdict::Suspicious), "persistence");
    assert_eq!(verdict(&EntityKey::file(&sha('d'))), None, "the shell is part of the system");
    assert_eq!(verdict(&EntityKey::sender("billing@evil.example")), Some(Verdict::Malicious));
    assert_eq!(verdict(&EntityKey::ip("198.51.100.7")), Some(Verdict::Malicious));
    let results: Vec<String> =
        investigation.steps.iter().map(|step| format!("{}: {}", step.name, step.result.en)).collect();
    insta::assert_snapshot!(results.join("\n"));
    let proposals: Vec<String> = proposed
        .iter()
        .map(|proposal| {
            let what = match &proposal.spec {
                ActionSpec::SoftDeleteMessages { copies, .. } => format!("{} copies", copies.len()),
                ActionSpec::QuarantineFile { paths, .. } => paths.join(","),
                ActionSpec::AddIndicator { indicator } => indicator.kind.word(),
                _ => String::new(),
            };
            format!("{} {what} sure={}", proposal.spec.kind(), proposal.grounds.sure)
        })
        .collect();
    insta::assert_snapshot!(proposals.join("\n"), @r"
    stop_process_tree  sure=true
    quarantine_file /home/u/Downloads/invoice.sh sure=true
    quarantine_file /home/u/.cache/stage2 sure=true
    quarantine_file /home/u/.config/autostart/upd.desktop sure=false
    soft_delete_messages 11 copies sure=true
    add_indicator fileSha256 sure=true
    add_indicator fileSha256 sure=false
    add_indicator senderAddress sure=true
    ");
}

#[test]
fn what_is_directed_from_outside_is_cut_off_when_a_person_says_so() {
    let mut alerts: Vec<Alert> = drafts(DEVICE, 1).into_iter().map(|draft| draft.alert).collect();
    let directed = alerts.iter().position(|alert| alert.category == "command-and-control").expect("one of them");
    alerts.swap(0, directed);
    let (investigation, proposed) = investigate(AutomationLevel::Full, &alerts);
    assert_eq!(investigation.playbook, "command_and_control");
    let cut: Vec<(String, bool)> = proposed
        .iter()
        .filter_map(|proposal| {
            let what = match &proposal.spec {
                ActionSpec::AddIndicator { indicator } if indicator.kind.word() == "ip" => &*indicator.value,
                ActionSpec::IsolateDevice { .. } => "isolate",
                _ => return None,
            };
            Some((what.to_owned(), proposal.grounds.sure))
        })
        .collect();
    assert_eq!(cut, [("198.51.100.7".to_owned(), false), ("isolate".to_owned(), false)], "a sensor's word alone");
}

#[test]
fn full_automation_still_needs_what_the_server_saw_itself() {
    let alerts: Vec<Alert> = drafts(DEVICE, 1).into_iter().map(|draft| draft.alert).collect();
    let (_, proposed) = investigate(AutomationLevel::Full, &alerts);
    let runs = |proposal: &Proposed| {
        proposal.grounds.sure && automation::allows(AutomationLevel::Full, &proposal.spec, &proposal.grounds)
    };
    let unattended: Vec<(String, bool)> = proposed
        .iter()
        .map(|proposal| {
            let value = match &proposal.spec {
                ActionSpec::AddIndicator { indicator } => indicator.value.clone(),
                ActionSpec::QuarantineFile { sha256, .. } => sha256.clone(),
                _ => String::new(),
            };
            (format!("{} {}", proposal.spec.kind(), &value[..value.len().min(1)]), runs(proposal))
        })
        .collect();
    assert!(unattended.contains(&("stop_process_tree ".to_owned(), true)));
    assert!(unattended.contains(&("soft_delete_messages ".to_owned(), true)), "the gateway saw the script itself");
    assert!(unattended.contains(&("add_indicator b".to_owned(), true)));
    assert!(unattended.contains(&("add_indicator e".to_owned(), false)), "only the sensor knows the second stage");
    assert!(unattended.contains(&("quarantine_file f".to_owned(), false)), "suspicious always waits");
}

#[test]
fn states_follow_steps_and_actions() {
    let alerts: Vec<Alert> = drafts(DEVICE, 1).into_iter().map(|draft| draft.alert).collect();
    let (mut investigation, proposed) = investigate(AutomationLevel::SemiAll, &alerts);
    let mut actions: Vec<Action> = proposed
        .iter()
        .enumerate()
        .map(|(n, proposal)| Action {
            id: id(500 + n as u128),
            spec: proposal.spec.clone(),
            state: ActionState::PendingApproval,
            reason: proposal.reason.clone(),
            proposed_by: "investigation:7".to_owned(),
            decided_by: None,
            decided_at: None,
            comment: None,
            approval: Default::default(),
            incident_id: None,
            investigation_id: Some(investigation.id),
            receipts: targets_of(&proposal.spec)
                .into_iter()
                .map(|target| Receipt {
                    target,
                    state: ReceiptState::Pending,
                    detail: Text::default(),
                    proof: None,
                    at: at(61),
                })
                .collect(),
            follow_up: None,
            undone_by: None,
            undoes: None,
            created_at: at(61),
            finished_at: None,
            expires_at: at(9999),
            version: 1,
        })
        .collect();
    assert_eq!(final_state(&investigation, &actions).0, InvestigationState::PendingApproval);
    actions.iter_mut().for_each(|action| {
        action.state = ActionState::Succeeded;
        action.receipts.iter_mut().for_each(|receipt| receipt.state = ReceiptState::Done);
    });
    assert_eq!(final_state(&investigation, &actions).0, InvestigationState::SuccessfullyRemediated);
    for action in &actions {
        apply_action(&mut investigation.evidence, action);
    }
    let status = |key: EntityKey| {
        investigation.evidence.iter().find(|piece| piece.entity == key).map(|piece| piece.remediation_status)
    };
    let message: MessageId = MESSAGE.parse().expect("id");
    assert_eq!(status(EntityKey::message_copy(message, "user1@example.org")), Some(RemediationStatus::Remediated));
    assert_eq!(status(EntityKey::message_copy(message, "user3@example.org")), Some(RemediationStatus::NotFound));
    assert_eq!(status(EntityKey::file(&sha('b'))), Some(RemediationStatus::Remediated));
    actions[0].state = ActionState::Failed;
    assert_eq!(final_state(&investigation, &actions).0, InvestigationState::PartiallyRemediated);
    actions[0].state = ActionState::Queued;
    assert_eq!(final_state(&investigation, &actions).0, InvestigationState::PendingResource);
    investigation.steps[6].state = StepState::Failed;
    actions[0].state = ActionState::Succeeded;
    let (state, reason) = final_state(&investigation, &actions);
    assert_eq!(state, InvestigationState::PartiallyInvestigated);
    assert!(reason.expect("a reason").en.contains("Check which mailboxes"));
}

/// The playbook each kind of alert gets, and how an investigation grows with its story.
#[test]
fn every_kind_of_alert_has_its_playbook() {
    let alerts: Vec<Alert> = drafts(DEVICE, 1).into_iter().map(|draft| draft.alert).collect();
    let like = |category: &str, technique: &str| {
        let mut alert = alerts[0].clone();
        (alert.severity, alert.category) = (Severity::Medium, category.to_owned());
        alert.techniques = vec![technique.to_owned()];
        alert
    };
    let mail = |rule: &str, file: bool| {
        let mut alert = like("initial-access", "T1566");
        (alert.device, alert.message_id) = (None, Some(MESSAGE.parse().expect("id")));
        alert.rule_id = rule.to_owned();
        if !file {
            alert.evidence.retain(|piece| piece.entity.kind != EntityKind::File);
        }
        alert
    };
    let mut bare = like("execution", "T1059.004");
    bare.evidence.clear();
    let of = |alert: &Alert| Playbook::for_alert(alert).map(|playbook| playbook.name.as_str());
    assert_eq!(of(&like("impact", "T1486")), Some("ransomware"));
    assert_eq!(of(&like("impact", "T1496")), Some("malicious_file"), "a miner encrypts nothing");
    assert_eq!(of(&like("defense-evasion", "T1562.001")), Some("sensor_tampering"));
    assert_eq!(of(&like("credential-access", "T1003.008")), Some("credential_access"));
    assert_eq!(of(&like("command-and-control", "T1071")), Some("command_and_control"));
    assert_eq!(of(&mail("filter:user report:phish", true)), Some("user_reported_mail"));
    assert_eq!(of(&mail("x", true)), Some("malicious_attachment"));
    assert_eq!(of(&mail("x", false)), Some("phishing_mail"));
    assert_eq!(of(&like("persistence", "T1053.003")), Some("persistence"));
    assert_eq!(of(&like("execution", "T1204.002")), Some("malicious_file"));
    assert_eq!(of(&bare), Some("suspicious_process"));
    let mut low = like("impact", "T1486");
    low.severity = Severity::Low;
    assert_eq!(of(&low), None);

    let (mut investigation, _) = investigate(AutomationLevel::SemiAll, &alerts[..1]);
    let before = investigation.steps.len();
    let story = [alerts[0].clone(), like("impact", "T1486"), like("credential-access", "T1003.008")];
    let brought: Vec<&str> = grow(&mut investigation, &story).iter().map(|playbook| playbook.name.as_str()).collect();
    assert_eq!(brought, ["ransomware", "credential_access"]);
    let names: Vec<&str> = investigation.steps.iter().map(|step| step.name.as_str()).collect();
    assert!(names.contains(&"changed_files") && names.contains(&"account_use"), "{names:?}");
    assert!(names.ends_with(&["judge", "propose_actions"]) && names.len() > before, "{names:?}");
    assert!(grow(&mut investigation, &story).is_empty(), "twice changes nothing");
    for step in &investigation.steps {
        assert!(Playbook::spec_of(&investigation, &step.name).is_some(), "{} can be run", step.name);
    }
}
