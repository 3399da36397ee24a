//! Verdicts: what we believe about each entity, and why.

use super::{Case, Outcome, proof, roots_of};
use crate::is_public_address;
use hinomi_model::{EntityKey, EntityKind, Evidence, EvidenceRole, Severity, Text, Verdict};
use std::collections::{BTreeMap, BTreeSet};

/// What the alerts on the case say together.
struct Weight {
    high: bool,
    /// Tactics of alerts of medium severity or above.
    tactics: usize,
    any: bool,
}

/// Judges every entity of the case. An allow or block indicator decides about its file; otherwise
/// a file that took part is malicious when one alert is high or alerts of two tactics agree.
pub fn judge(case: &Case<'_>) -> Outcome {
    let weight = weigh(case);
    let mut verdicts: BTreeMap<EntityKey, (Verdict, Text)> = BTreeMap::new();
    for file in of_kind(case, EntityKind::File) {
        verdicts.insert(file.entity.clone(), file_verdict(case, file, &weight));
    }
    let bad_files: BTreeSet<String> = verdicts
        .iter()
        .filter(|(_, (verdict, _))| *verdict == Verdict::Malicious)
        .map(|(key, _)| key.value.clone())
        .collect();
    processes(case, &weight, &bad_files, &mut verdicts);
    let bad_processes: BTreeSet<EntityKey> = verdicts
        .iter()
        .filter(|(key, (verdict, _))| key.kind == EntityKind::Process && *verdict == Verdict::Malicious)
        .map(|(key, _)| key.clone())
        .collect();
    network(case, &bad_processes, &mut verdicts);
    mails(case, &bad_files, &mut verdicts);
    assets(case, &bad_files, !bad_processes.is_empty(), &mut verdicts);

    // whatever else the collecting steps brought along: shown, and honestly not judged
    for piece in &case.investigation.evidence {
        verdicts.entry(piece.entity.clone()).or_insert_with(|| {
            let reason = Text::new(
                "Part of the story; not judged by itself.",
                "この件に登場しますが、単独では判定していません。",
            );
            (Verdict::Unknown, reason)
        });
    }

    let count = |wanted: Verdict| verdicts.values().filter(|(verdict, _)| *verdict == wanted).count();
    let (malicious, suspicious) = (count(Verdict::Malicious), count(Verdict::Suspicious));
    let clean = verdicts.len() - malicious - suspicious;
    let mut outcome = Outcome::done(
        format!("{malicious} malicious, {suspicious} suspicious, {clean} without finding."),
        format!("悪意あり {malicious} 件、疑わしい {suspicious} 件、問題なし・不明 {clean} 件。"),
    );
    outcome.verdicts = verdicts.into_iter().map(|(entity, (verdict, reason))| (entity, verdict, reason)).collect();
    outcome
}

fn weigh(case: &Case<'_>) -> Weight {
    // an alert about something stopped before it ran says the file is known, not that it acted
    let acted = case.alerts.iter().filter(|alert| alert.classification != hinomi_model::Classification::FalsePositive);
    let tactics: BTreeSet<&str> =
        acted.clone().filter(|alert| alert.severity >= Severity::Medium).map(|alert| alert.category.as_str()).collect();
    Weight {
        high: acted.clone().any(|alert| alert.severity == Severity::High),
        tactics: tactics.len(),
        any: acted.clone().any(|alert| alert.severity >= Severity::Low),
    }
}

fn of_kind<'a>(case: &'a Case<'_>, kind: EntityKind) -> impl Iterator<Item = &'a Evidence> {
    case.investigation.evidence.iter().filter(move |piece| piece.entity.kind == kind)
}

fn fact<'a>(piece: &'a Evidence, name: &str) -> &'a str {
    piece.facts.get(name).map(String::as_str).unwrap_or_default()
}

fn file_verdict(case: &Case<'_>, file: &Evidence, weight: &Weight) -> (Verdict, Text) {
    match fact(file, "indicator") {
        "block" => return (Verdict::Malicious, Text::new("On the block list.", "ブロック一覧にあります。")),
        "allow" => {
            return (
                Verdict::NoThreatsFound,
                Text::new("Allowed by an indicator.", "インジケーターで許可されています。"),
            );
        }
        _ => {}
    }
    if file.role == EvidenceRole::Contextual || crate::is_system_path(fact(file, "path")) {
        return (Verdict::NoThreatsFound, Text::new("A file of the operating system.", "OS のファイルです。"));
    }
    if !fact(file, "persistence").is_empty() {
        return (
            Verdict::Suspicious,
            Text::new(
                format!("Written by the attack to run again: {}", fact(file, "path")),
                format!("再び実行されるよう攻撃が書き込みました: {}", fact(file, "path")),
            ),
        );
    }
    if proof::is_one_devices_word(case, file)
        && let Some((en, ja)) = proof::widely_known(file)
    {
        return (
            Verdict::Suspicious,
            Text::new(
                format!("Only one device says it is bad, and {en}: a person decides."),
                format!("不正と報告したのは 1 台だけで、{ja}。人の判断が必要です。"),
            ),
        );
    }
    let acted = fact(file, "executed") == "true" || file.role == EvidenceRole::Suspicious;
    let by_mail = fact(file, "corroborated") == "gateway";
    let agreed = weight.high || weight.tactics >= 2;
    let reason = |en: &str, ja: &str| {
        let mail = if by_mail { (" It came by mail.", "メールで届きました。") } else { ("", "") };
        Text::new(format!("{en}{}", mail.0), format!("{ja}{}", mail.1))
    };
    match (acted, agreed, weight.any) {
        (true, true, _) if weight.tactics >= 2 => (
            Verdict::Malicious,
            reason(
                &format!("It ran, and alerts of {} tactics agree.", weight.tactics),
                &format!("実行され、{} 種類の戦術のアラートが一致しています。", weight.tactics),
            ),
        ),
        (true, true, _) => (
            Verdict::Malicious,
            reason(
                "It ran, and an alert of high severity follows from it.",
                "実行され、重大度「高」のアラートにつながりました。",
            ),
        ),
        (true, false, true) => (
            Verdict::Suspicious,
            reason(
                "It ran and raised an alert; no second kind of behaviour agrees.",
                "実行されアラートになりましたが、ほかの種類の振る舞いはありません。",
            ),
        ),
        (false, _, true) if by_mail || file.role == EvidenceRole::Created => (
            Verdict::Suspicious,
            reason(
                "It has to do with the alert but was not seen to run.",
                "アラートに関わっていますが、実行は確認されていません。",
            ),
        ),
        _ => (Verdict::Unknown, reason("Too little is known.", "判断する材料が足りません。")),
    }
}

fn processes(
    case: &Case<'_>,
    weight: &Weight,
    bad_files: &BTreeSet<String>,
    verdicts: &mut BTreeMap<EntityKey, (Verdict, Text)>,
) {
    let roots: BTreeSet<EntityKey> = roots_of(case).iter().map(EntityKey::process).collect();
    // parent → child edges carry the verdict down the tree
    let mut children: BTreeMap<&EntityKey, Vec<&EntityKey>> = BTreeMap::new();
    for edge in &case.investigation.edges {
        if edge.from.kind == EntityKind::Process && edge.to.kind == EntityKind::Process {
            children.entry(&edge.from).or_default().push(&edge.to);
        }
    }
    let mut open: Vec<&EntityKey> = Vec::new();
    for process in of_kind(case, EntityKind::Process) {
        if process.role == EvidenceRole::Contextual {
            let reason =
                Text::new("Started the attack without being part of it.", "攻撃の起点ですが、その一部ではありません。");
            verdicts.insert(process.entity.clone(), (Verdict::NoThreatsFound, reason));
        } else if bad_files.contains(fact(process, "sha256")) {
            let reason = Text::new("It runs a malicious file.", "悪意のあるファイルを実行しています。");
            verdicts.insert(process.entity.clone(), (Verdict::Malicious, reason));
            open.push(&process.entity);
        } else if roots.contains(&process.entity) && (weight.high || weight.tactics >= 2) {
            let reason = Text::new("The attack's process tree begins here.", "攻撃のプロセス ツリーの始まりです。");
            verdicts.insert(process.entity.clone(), (Verdict::Malicious, reason));
            open.push(&process.entity);
        } else {
            let reason = Text::new("Part of the alert's process tree.", "アラートのプロセス ツリーの一部です。");
            verdicts.insert(process.entity.clone(), (Verdict::Suspicious, reason));
        }
    }
    let mut seen: BTreeSet<&EntityKey> = open.iter().copied().collect();
    while let Some(parent) = open.pop() {
        for child in children.get(parent).into_iter().flatten() {
            if seen.insert(child) {
                let reason = Text::new("Started by a malicious process.", "悪意のあるプロセスが起動しました。");
                let malicious = |known: &(Verdict, Text)| known.0 == Verdict::Malicious;
                if verdicts.contains_key(*child) && !verdicts.get(*child).is_some_and(malicious) {
                    verdicts.insert((*child).clone(), (Verdict::Malicious, reason));
                }
                open.push(child);
            }
        }
    }
}

fn network(case: &Case<'_>, bad: &BTreeSet<EntityKey>, verdicts: &mut BTreeMap<EntityKey, (Verdict, Text)>) {
    for piece in case.investigation.evidence.iter() {
        if !matches!(piece.entity.kind, EntityKind::Ip | EntityKind::Domain | EntityKind::Url) {
            continue;
        }
        let contacted = case.investigation.edges.iter().any(|edge| edge.to == piece.entity && bad.contains(&edge.from));
        let verdict = match (contacted, piece.role) {
            (true, EvidenceRole::CommandAndControl) if is_public_address(&piece.entity) => (
                Verdict::Malicious,
                Text::new("A malicious process is controlled from here.", "悪意のあるプロセスの指令先です。"),
            ),
            (true, _) => (
                Verdict::Suspicious,
                Text::new("A malicious process contacted it.", "悪意のあるプロセスが通信しました。"),
            ),
            (false, _) => (Verdict::Unknown, Text::new("Seen beside the alert.", "アラートの周辺で確認しました。")),
        };
        verdicts.insert(piece.entity.clone(), verdict);
    }
}

fn mails(case: &Case<'_>, bad_files: &BTreeSet<String>, verdicts: &mut BTreeMap<EntityKey, (Verdict, Text)>) {
    let mut bad_messages: BTreeSet<String> = BTreeSet::new();
    for edge in &case.investigation.edges {
        if edge.from.kind == EntityKind::Message
            && edge.to.kind == EntityKind::File
            && bad_files.contains(&edge.to.value)
        {
            bad_messages.insert(edge.from.value.clone());
        }
    }
    let carried = || Text::new("It carried a malicious file.", "悪意のあるファイルを運びました。");
    let unknown = || {
        (Verdict::Unknown, Text::new("No malicious file was found in it.", "悪意のあるファイルは見つかっていません。"))
    };
    let mut said: BTreeMap<String, (Verdict, Text)> = BTreeMap::new();
    for piece in case.investigation.evidence.iter().filter(|piece| piece.entity.kind == EntityKind::Message) {
        let own = if bad_messages.contains(&piece.entity.value) {
            (Verdict::Malicious, carried())
        } else {
            message_verdict(case, piece).unwrap_or_else(unknown)
        };
        said.insert(piece.entity.value.clone(), own);
    }
    let bad =
        said.iter().filter(|(_, (verdict, _))| *verdict == Verdict::Malicious).map(|(id, _)| id.clone()).collect();
    for piece in &case.investigation.evidence {
        let verdict = match piece.entity.kind {
            EntityKind::Message => said.get(&piece.entity.value).cloned().unwrap_or_else(unknown),
            EntityKind::MessageCopy => {
                let message = piece.entity.value.split('/').next().unwrap_or_default();
                said.get(message).cloned().unwrap_or_else(unknown)
            }
            EntityKind::Sender => sender_verdict(case, piece, &bad),
            _ => continue,
        };
        verdicts.insert(piece.entity.clone(), verdict);
    }
}

/// What is known of a message beyond its files; none when that is nothing.
fn message_verdict(case: &Case<'_>, message: &Evidence) -> Option<(Verdict, Text)> {
    if fact(message, "indicator") == "block" {
        let reason =
            Text::new("Its sender or a link in it is on the block list.", "送信者かリンク先がブロック一覧にあります。");
        return Some((Verdict::Malicious, reason));
    }
    let scanner = fact(message, "scanner");
    if !scanner.is_empty() {
        let reason =
            Text::new(format!("Judged malicious by {scanner}"), format!("{scanner} が悪意ありと判定しました。"));
        return Some((Verdict::Malicious, reason));
    }
    let own = |alert: &&hinomi_model::Alert| {
        alert.severity >= Severity::Medium
            && alert.message_id.is_some_and(|id| id.to_string() == message.entity.value)
            && alert.classification != hinomi_model::Classification::FalsePositive
    };
    let alert = case.alerts.iter().find(own)?;
    let Text { en, ja } = &alert.title;
    Some((Verdict::Suspicious, Text::new(format!("An alert says: {en}"), format!("アラート: {ja}"))))
}

fn sender_verdict(case: &Case<'_>, sender: &Evidence, bad_messages: &BTreeSet<String>) -> (Verdict, Text) {
    let sent = case.investigation.edges.iter().any(|edge| {
        edge.from == sender.entity && edge.to.kind == EntityKind::Message && bad_messages.contains(&edge.to.value)
    });
    if !sent {
        return (
            Verdict::Unknown,
            Text::new("Sent nothing malicious that we know of.", "悪意のあるメールの送信は確認されていません。"),
        );
    }
    let domain = sender.entity.value.rsplit_once('@').map(|(_, domain)| domain).unwrap_or_default();
    if case.own_domains.iter().any(|own| own.eq_ignore_ascii_case(domain)) {
        return (
            Verdict::Suspicious,
            Text::new(
                "It sent a malicious file, but the domain is our own: forged or a stolen account.",
                "悪意のあるファイルを送りましたが、自組織のドメインです。なりすましか、乗っ取られた可能性があります。",
            ),
        );
    }
    (Verdict::Malicious, Text::new("It sent a malicious file.", "悪意のあるファイルを送りました。"))
}

fn assets(
    case: &Case<'_>,
    bad_files: &BTreeSet<String>,
    ran: bool,
    verdicts: &mut BTreeMap<EntityKey, (Verdict, Text)>,
) {
    for piece in of_kind(case, EntityKind::Device) {
        let has = case.investigation.edges.iter().any(|edge| {
            edge.from == piece.entity && edge.to.kind == EntityKind::File && bad_files.contains(&edge.to.value)
        });
        let verdict = match (has, ran) {
            (true, _) => (
                Verdict::Suspicious,
                Text::new("A malicious file was seen here.", "悪意のあるファイルが確認されました。"),
            ),
            (false, true) => (Verdict::Suspicious, Text::new("The attack ran here.", "攻撃が実行されました。")),
            _ => (
                Verdict::Unknown,
                Text::new("No malicious file was seen here.", "悪意のあるファイルは確認されていません。"),
            ),
        };
        verdicts.insert(piece.entity.clone(), verdict);
    }
}

/// True for content that can act when opened: programs, scripts, macros, pages, shortcuts, images of
/// disks. Newsletters' pictures and texts are not.
pub fn is_active_content(file_type: &str, name: &str) -> bool {
    let (file_type, name) = (file_type.to_lowercase(), name.to_lowercase());
    let types = [
        "script",
        "executable",
        "msdownload",
        "x-elf",
        "x-sharedlib",
        "x-dosexec",
        "x-sh",
        "x-python",
        "x-perl",
        "java-archive",
        "macroenabled",
        "html",
        "hta",
        "x-ms-shortcut",
        "iso9660",
        "x-msi",
        "vnd.microsoft.portable-executable",
        "x-batch",
    ];
    let ends = [
        ".sh",
        ".bash",
        ".py",
        ".pl",
        ".rb",
        ".js",
        ".jse",
        ".vbs",
        ".vbe",
        ".wsf",
        ".hta",
        ".ps1",
        ".bat",
        ".cmd",
        ".exe",
        ".dll",
        ".scr",
        ".com",
        ".pif",
        ".lnk",
        ".iso",
        ".img",
        ".vhd",
        ".jar",
        ".msi",
        ".docm",
        ".xlsm",
        ".pptm",
        ".html",
        ".htm",
        ".desktop",
        ".elf",
        ".run",
        ".appimage",
        ".deb",
        ".rpm",
    ];
    types.iter().any(|part| file_type.contains(part)) || ends.iter().any(|end| name.ends_with(end))
}
