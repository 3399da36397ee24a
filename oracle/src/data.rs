//! Rules and events of the data folder, when it lies beside the repository.

use anyhow::{Context, Result};
use hinomi_detect::{LogSource, RuleSource};
use serde_json::Value;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

/// The data folder: `HINOMI_DATA`, or `data` beside the folder of the repository.
pub fn folder() -> Option<PathBuf> {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let near = ["../../shared/data", "../data", "../../data"].map(|near| here.join(near));
    let told = std::env::var_os("HINOMI_DATA").map(PathBuf::from);
    told.into_iter().chain(near).find(|folder| folder.join("sigma/sigma-rules.tar.zst").is_file())
}

/// The public rules.
pub fn rules(folder: &Path) -> Result<Vec<RuleSource>> {
    let path = folder.join("sigma/sigma-rules.tar.zst");
    let file = std::fs::File::open(&path).with_context(|| format!("open {}", path.display()))?;
    let mut archive = tar::Archive::new(zstd::Decoder::new(file)?);
    let mut rules = Vec::new();
    for entry in archive.entries()? {
        let mut entry = entry?;
        let path = entry.path()?.to_string_lossy().into_owned();
        if path.ends_with(".yml") {
            let mut yaml = String::new();
            entry.read_to_string(&mut yaml)?;
            rules.push(RuleSource { path, yaml });
        }
    }
    Ok(rules)
}

/// One event: its line and what it is to rules.
pub struct Event {
    pub line: Vec<u8>,
    pub sources: Vec<LogSource>,
}

/// The lines of the Security-Datasets archives, file by file.
pub fn events(folder: &Path) -> Result<Vec<Event>> {
    let folder = folder.join("detect/security-datasets");
    let mut paths: Vec<PathBuf> =
        std::fs::read_dir(&folder)?.filter_map(|entry| Some(entry.ok()?.path())).collect();
    paths.sort();
    let mut events = Vec::new();
    for path in paths.iter().filter(|path| path.extension().is_some_and(|end| end == "zip")) {
        let mut archive = zip::ZipArchive::new(std::fs::File::open(path)?)?;
        for at in 0..archive.len() {
            for line in BufReader::new(archive.by_index(at)?).split(b'\n') {
                let line = line?;
                let Ok(value) = serde_json::from_slice::<Value>(&line) else { continue };
                events.push(Event { sources: sources(&value), line });
            }
        }
    }
    Ok(events)
}

/// The log sources of an event by its channel and number, all it belongs to.
fn sources(event: &Value) -> Vec<LogSource> {
    let text = |name: &str| match &event[name] {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    let (channel, id) = (text("Channel"), text("EventID"));
    let (service, categories): (&str, &[&str]) = match (channel.to_lowercase().as_str(), id.as_str()) {
        ("microsoft-windows-sysmon/operational", id) => ("sysmon", sysmon(id, &text("EventType"))),
        ("security", "4688") => ("security", &["process_creation"]),
        ("security", "4657") => ("security", &["registry_event", "registry_set"]),
        ("security", _) => ("security", &[]),
        ("system", _) => ("system", &[]),
        ("application", _) => ("application", &[]),
        ("microsoft-windows-powershell/operational", "4103") => ("powershell", &["ps_module"]),
        ("microsoft-windows-powershell/operational", "4104") => ("powershell", &["ps_script"]),
        ("microsoft-windows-powershell/operational", _) => ("powershell", &[]),
        ("windows powershell", "400") => ("powershell-classic", &["ps_classic_start"]),
        ("windows powershell", "600") => ("powershell-classic", &["ps_classic_provider_start"]),
        ("windows powershell", "800") => ("powershell-classic", &["ps_classic_script"]),
        ("windows powershell", _) => ("powershell-classic", &[]),
        ("microsoft-windows-wmi-activity/operational", _) => ("wmi", &[]),
        ("microsoft-windows-taskscheduler/operational", _) => ("taskscheduler", &[]),
        ("microsoft-windows-windows defender/operational", _) => ("windefend", &[]),
        ("microsoft-windows-bits-client/operational", _) => ("bits-client", &[]),
        ("microsoft-windows-dns-client/operational", _) => ("dns-client", &[]),
        ("microsoft-windows-codeintegrity/operational", _) => ("codeintegrity-operational", &[]),
        ("microsoft-windows-terminalservices-localsessionmanager/operational", _) => {
            ("terminalservices-localsessionmanager", &[])
        }
        ("microsoft-windows-ntlm/operational", _) => ("ntlm", &[]),
        _ => ("", &[]),
    };
    let mut sources = vec![LogSource::new("windows", "", service)];
    sources.extend(categories.iter().map(|category| LogSource::new("windows", category, service)));
    sources
}

fn sysmon(id: &str, kind: &str) -> &'static [&'static str] {
    match (id, kind) {
        ("1", _) => &["process_creation"],
        ("2", _) => &["file_change"],
        ("3", _) => &["network_connection"],
        ("4" | "16", _) => &["sysmon_status"],
        ("5", _) => &["process_termination"],
        ("6", _) => &["driver_load"],
        ("7", _) => &["image_load"],
        ("8", _) => &["create_remote_thread"],
        ("9", _) => &["raw_access_thread"],
        ("10", _) => &["process_access"],
        ("11", _) => &["file_event"],
        ("12", "CreateKey") => &["registry_event", "registry_add"],
        ("12", "DeleteKey" | "DeleteValue") => &["registry_event", "registry_delete"],
        ("12", _) => &["registry_event", "registry_add", "registry_delete"],
        ("13", _) => &["registry_event", "registry_set"],
        ("14", _) => &["registry_event", "registry_rename"],
        ("15", _) => &["create_stream_hash"],
        ("17" | "18", _) => &["pipe_created"],
        ("19" | "20" | "21", _) => &["wmi_event"],
        ("22", _) => &["dns_query"],
        ("23" | "26", _) => &["file_delete"],
        ("24", _) => &["clipboard_capture"],
        ("25", _) => &["process_tampering"],
        ("27", _) => &["file_block_executable"],
        ("28", _) => &["file_block_shredding"],
        ("29", _) => &["file_executable_detected"],
        ("255", _) => &["sysmon_error"],
        _ => &[],
    }
}

/// Rows as an ordinary Linux endpoint writes them, in no particular rhythm: a build, a shell, cron.
pub fn rows() -> Vec<hinomi_model::Event> {
    use hinomi_model::{Event, Table, Timestamp};
    let programs = [
        ("/usr/bin/bash", "-bash"),
        ("/usr/bin/dash", "/bin/sh -c 'test -x /usr/sbin/anacron || run-parts --report /etc/cron.daily'"),
        ("/usr/bin/git", "git status --porcelain --branch"),
        ("/usr/bin/gcc", "gcc -std=c11 -O2 -Wall -Iinclude -c src/part%.c -o build/part%.o"),
        ("/usr/bin/python3.11", "/usr/bin/python3 /usr/bin/unattended-upgrade --download-only"),
        ("/usr/bin/curl", "curl --silent --show-error https://deb.example.org/dists/stable/part%"),
        ("/usr/bin/systemctl", "systemctl is-active unit%.service"),
        ("/usr/bin/grep", "grep -rn TODO% src include"),
    ];
    let mut state = 0x9E37_79B9_7F4A_7C15_u64;
    let mut next = move |bound: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state % bound as u64) as usize
    };
    let row = |number: i64| {
        let ((image, command), (parent, parent_command)) = (programs[next(programs.len())], programs[next(programs.len())]);
        let table = match next(10) {
            0..5 => Table::DeviceProcessEvents,
            5..8 => Table::DeviceFileEvents,
            _ => Table::DeviceNetworkEvents,
        };
        let mut event = Event::new(table, Timestamp::from_micros(number));
        event.set("ReportId", number).set("DeviceId", "0197f3a2-6b1e-7c44-9d1a-2f1f5f7a9a10").set("DeviceName", "ws-042");
        event.set("InitiatingProcessFolderPath", parent).set("InitiatingProcessCommandLine", parent_command.replace('%', ""));
        event.set("InitiatingProcessFileName", parent.rsplit('/').next().unwrap_or_default());
        event.set("InitiatingProcessAccountName", "hanako").set("InitiatingProcessId", 4_000 + number);
        // a third of the command lines and paths is new
        let varied = |text: &str| text.replace('%', &if number % 3 == 0 { number.to_string() } else { String::new() });
        match table {
            Table::DeviceProcessEvents => {
                event.set("ActionType", "ProcessCreated").set("FolderPath", image).set("ProcessCommandLine", varied(command));
                event.set("FileName", image.rsplit('/').next().unwrap_or_default()).set("SHA256", format!("{number:064x}"));
                event.set("AccountName", "hanako").set("ProcessId", 5_000 + number);
            }
            Table::DeviceFileEvents => {
                event.set("ActionType", "FileModified").set("FolderPath", varied("/home/hanako/src/part%.c")).set("FileSize", number);
                event.set("FileName", varied("part%.c"));
            }
            _ => {
                event.set("ActionType", "ConnectionRequest").set("RemoteIP", format!("198.51.100.{}", number % 250));
                event.set("RemotePort", 443_i64).set("RemoteIPType", "Public").set("Protocol", "Tcp");
            }
        }
        event
    };
    (0..100_000).map(row).collect()
}
