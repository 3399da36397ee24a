//! How fast the mail explorer answers: `cargo bench --bench explorer_bench [-- COPIES]`, one million
//! copies (message and recipient) unless told otherwise. Prints one JSON object per kind of filter.
//! `HINOMI_BENCH_POSTGRES=postgres://…` takes that (empty) database instead of SQLite.

use hinomi_model::*;
use hinomi_store::{GroupBy, Page, Pivot, Store};
use std::time::Instant;

/// Requests per kind of filter.
const REQUESTS: u64 = 60;
/// Messages a second over the whole time: a large organisation.
const MESSAGES_PER_HOUR: u64 = 4_000;

fn main() {
    let asked = std::env::args().skip(1).find_map(|argument| argument.parse().ok());
    let copies: u64 = asked.unwrap_or(1_000_000);
    let runtime = tokio::runtime::Runtime::new().expect("runtime");
    runtime.block_on(run(copies));
}

async fn run(copies: u64) {
    let folder = tempfile::tempdir().expect("temporary folder");
    let path = folder.path().join("state.db");
    let store = match std::env::var("HINOMI_BENCH_POSTGRES") {
        Ok(url) => Store::open_postgres(&url).await.expect("open"),
        Err(_) => Store::open_sqlite(&path).await.expect("open"),
    };
    let messages = copies * 2 / 5;
    let begin = Instant::now();
    let loaded = store.load_messages((0..messages).map(message)).await.expect("load");
    let seconds = begin.elapsed().as_secs_f64();
    store.analyze().await.expect("analyze");
    let bytes = std::fs::metadata(&path).map_or(0, |file| file.len());
    println!(
        "{{\"copies\":{loaded},\"messages\":{messages},\"load_s\":{seconds:.0},\"bytes_per_copy\":{:.0}}}",
        bytes as f64 / loaded as f64
    );
    for kind in KINDS {
        let (mut times, mut found) = (Vec::new(), 0);
        for number in 0..REQUESTS {
            let filter = filter(kind, mix(number * 7 + 1) % messages, messages);
            let begin = Instant::now();
            found += ask(&store, kind, &filter).await;
            times.push(begin.elapsed().as_secs_f64() * 1000.0);
        }
        times.sort_by(f64::total_cmp);
        let at = |share: f64| times[((times.len() - 1) as f64 * share) as usize];
        println!(
            "{{\"kind\":\"{kind}\",\"p50_ms\":{:.1},\"p95_ms\":{:.1},\"max_ms\":{:.1},\"found\":{}}}",
            at(0.5),
            at(0.95),
            at(1.0),
            found / REQUESTS as i64
        );
    }
    store.close().await;
}

const KINDS: &[&str] = &[
    "all",
    "last_day",
    "sender",
    "sender_domain",
    "recipient",
    "recipient_and_location",
    "subject",
    "words",
    "sha256",
    "url",
    "url_domain",
    "sender_ip",
    "spf_fail",
    "spf_fail_and_sender_domain",
    "dmarc_fail_and_junk",
    "not_inbox",
    "malware",
    "no_match_of_two_common",
    "size_min",
    "groups_last_day",
    "groups_sender_domain",
    "counts_all",
    "counts_sender_domain",
];

fn filter(kind: &str, number: u64, messages: u64) -> MailFilter {
    let one = |field, value: String| MailFilter::default().with(field, value);
    let copy = &message(number)[0];
    match kind {
        "last_day" | "groups_last_day" => {
            MailFilter { from: Some(at(messages).plus_seconds(-86_400)), ..MailFilter::default() }
        }
        "sender" => one(MailField::Sender, copy.sender_from.clone()),
        "sender_domain" | "groups_sender_domain" | "counts_sender_domain" => {
            one(MailField::SenderDomain, domain(number))
        }
        "recipient" => one(MailField::Recipient, copy.recipient.clone()),
        "recipient_and_location" => {
            one(MailField::Recipient, copy.recipient.clone()).with(MailField::Location, "junkFolder")
        }
        "subject" => one(MailField::Subject, copy.subject.clone()),
        "words" => one(MailField::Text, format!("project {}", word(number))),
        "sha256" => one(MailField::AttachmentSha256, format!("{:064x}", mix(number % 5_000))),
        "url" => one(MailField::Url, copy.urls[0].clone()),
        "url_domain" => one(MailField::UrlDomain, copy.url_domains[0].clone()),
        "sender_ip" => one(MailField::SenderIp, copy.sender_ip.clone()),
        "spf_fail" => one(MailField::Spf, "fail".to_owned()),
        "spf_fail_and_sender_domain" => {
            one(MailField::Spf, "fail".to_owned()).with(MailField::SenderDomain, domain(number))
        }
        "dmarc_fail_and_junk" => one(MailField::Dmarc, "fail".to_owned()).with(MailField::Location, "junkFolder"),
        "not_inbox" => MailFilter {
            conditions: vec![MailCondition {
                field: MailField::Location,
                values: vec!["inbox".to_owned()],
                negate: true,
            }],
            ..MailFilter::default()
        },
        "malware" => one(MailField::Threat, "malware".to_owned()),
        // the two never meet: every request uses up its work
        "no_match_of_two_common" => one(MailField::Direction, "outbound".to_owned()).with(MailField::Dmarc, "fail"),
        "size_min" => one(MailField::SizeMin, "900000".to_owned()),
        _ => MailFilter::default(),
    }
}

async fn ask(store: &Store, kind: &str, filter: &MailFilter) -> i64 {
    match kind {
        "groups_last_day" | "groups_sender_domain" => {
            store.mail_groups(filter, GroupBy::Campaign, 20).await.expect("groups").items.len() as i64
        }
        "counts_all" | "counts_sender_domain" => {
            let pivot = Pivot::Word(MailField::DeliveryAction);
            store.mail_counts(filter, pivot).await.expect("counts").buckets.len() as i64
        }
        _ => store.explore(filter, &Page::default()).await.expect("explore").items.len() as i64,
    }
}

/// A cheap mixing of numbers, the same in every run.
fn mix(number: u64) -> u64 {
    let mixed = (number ^ (number >> 31)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    mixed ^ (mixed >> 29)
}

fn at(number: u64) -> Timestamp {
    Timestamp::from_micros(1_770_000_000_000_000 + (number * 3_600_000_000 / MESSAGES_PER_HOUR) as i64)
}

/// Few domains send most of the mail.
fn domain(number: u64) -> String {
    let rank = (mix(number + 11) % 1_000_000) as f64 / 1_000_000.0;
    format!("d{}.example", (rank.powi(4) * 20_000.0) as u64)
}

fn word(number: u64) -> String {
    let rank = (mix(number + 5) % 1_000_000) as f64 / 1_000_000.0;
    format!("w{}", (rank.powi(3) * 50_000.0) as u64)
}

/// Message `number` with one to six copies, two and a half in the middle.
fn message(number: u64) -> Vec<MessageCopy> {
    let pick = |salt: u64, of: u64| mix(number.wrapping_mul(31).wrapping_add(salt)) % of;
    let outbound = pick(1, 10) == 0;
    let bad = !outbound && pick(2, 20) == 0;
    let url = format!("https://p{}.u{}.example/{}?id={number}", pick(3, 50), pick(4, 30_000), word(number + 3));
    let domain = domain(number);
    let attachment = |salt: u64| Attachment {
        name: format!("{}-{}.pdf", word(number + salt), pick(salt, 90)),
        sha256: if pick(salt, 3) == 0 { format!("{:064x}", mix(pick(salt, 5_000))) } else { format!("{number:064x}") },
        size: 50_000,
        file_type: "application/pdf".to_owned(),
        parent_sha256: None,
        uninspected: None,
    };
    let first = MessageCopy {
        message_id: format!("00000000-0000-7000-8000-{number:012x}").parse().expect("id"),
        recipient: String::new(),
        internet_message_id: format!("{number}.{}@{domain}", pick(5, 1_000_000)),
        sender_mail_from: format!("bounce{}@{domain}", pick(6, 50)),
        sender_from: format!("s{}@{domain}", pick(7, 300)),
        sender_display_name: format!("Sender {}", pick(7, 300)),
        sender_ip: format!("10.{}.{}.{}", pick(8, 20), pick(9, 256), pick(10, 256)),
        subject: format!("{} project {} {}", word(number), word(number + 1), word(number + 2)),
        size: 2_000 + pick(11, 1_000_000),
        received_at: at(number),
        body_sha256: format!("{number:064x}"),
        attachments: (0..pick(12, 3)).map(|one| attachment(20 + one)).collect(),
        urls: vec![url],
        auth: AuthResults {
            spf: if bad { "fail" } else { "pass" }.to_owned(),
            dkim: if pick(13, 3) == 0 { "none" } else { "pass" }.to_owned(),
            dmarc: if bad && pick(14, 2) == 0 { "fail" } else { "pass" }.to_owned(),
        },
        delivery_action: if bad && pick(15, 5) == 0 { DeliveryAction::Blocked } else { DeliveryAction::Delivered },
        delivery_location: DeliveryLocation::Inbox,
        latest_location: if bad { DeliveryLocation::JunkFolder } else { DeliveryLocation::Inbox },
        verdict: if bad { Verdict::Suspicious } else { Verdict::Unknown },
        indicators: vec![],
        threats: if bad && pick(16, 50) == 0 { vec![ThreatType::Malware] } else { vec![] },
        source: MailSource::Gateway,
        direction: if outbound { MailDirection::Outbound } else { MailDirection::Inbound },
        return_path: String::new(),
        url_domains: vec![format!("u{}.example", pick(4, 30_000))],
        fingerprint: format!("{:016x}", mix(number)),
        campaign: String::new(),
        bulk: pick(17, 4) == 0,
        references: Vec::new(),
        findings: vec![],
        filters: vec![],
        folder: None,
        moved_by: None,
        moved_at: None,
        version: 1,
    };
    let recipients = 1 + pick(18, 4);
    let copy =
        |one: u64| MessageCopy { recipient: format!("user{}@corp.example", pick(30 + one, 5_000)), ..first.clone() };
    let mut copies: Vec<MessageCopy> = (0..recipients).map(copy).collect();
    copies.sort_by(|a, b| a.recipient.cmp(&b.recipient));
    copies.dedup_by(|a, b| a.recipient == b.recipient);
    copies
}
