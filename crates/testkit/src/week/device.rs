//! A device that tells what happens on it, as the sensor would.

use super::{BEGIN_US, Rng, device_id, mix, sha256_of};
use hinomi_model::{DeviceId, Event, Table, Timestamp};

/// What a device is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Office work.
    Office,
    /// Software is written on it.
    Developer,
    /// Others are administered from it.
    Admin,
    /// Runs services.
    Server,
}

impl Role {
    /// All of them.
    pub const ALL: [Role; 4] = [Role::Office, Role::Developer, Role::Admin, Role::Server];
}

/// What always runs on a device.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Base {
    /// `systemd`, process 1.
    Init,
    /// The session's service manager.
    Session,
    /// A terminal.
    Terminal,
    /// The shell in the terminal.
    Shell,
    /// The mail client.
    Mail,
    /// The browser.
    Browser,
    /// The office program.
    Office,
    /// `sshd`.
    Sshd,
    /// `cron`.
    Cron,
    /// The web server's language.
    Php,
    /// A server in Java.
    Java,
    /// An agent of the house that lives in a hidden folder.
    Agent,
}

/// A running process.
#[derive(Debug, Clone)]
pub struct Proc {
    /// Process id.
    pub pid: i64,
    /// When it was started.
    pub started: Timestamp,
    /// Path of its image.
    pub path: String,
    /// Command line.
    pub command: String,
    /// Account.
    pub account: String,
    /// Hash of its image.
    pub sha256: String,
    parent: (i64, &'static str, Timestamp, String),
}

impl Proc {
    fn name(&self) -> &str {
        name_of(&self.path)
    }
}

fn name_of(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

/// A device.
#[derive(Debug, Clone)]
pub struct Pc {
    /// Id.
    pub id: DeviceId,
    /// Name.
    pub name: String,
    /// Who works on it.
    pub user: String,
    /// What it is for.
    pub role: Role,
    /// Own address.
    pub ip: String,
    pids: i64,
    reports: i64,
    number: usize,
}

impl Pc {
    /// Makes the device with a number.
    pub fn new(number: usize, rng: &mut Rng) -> Pc {
        // fixed shares, so that small fleets have every role
        let role = match number % 100 {
            1 | 14 | 27 | 40 | 53 => Role::Server,
            2 | 52 => Role::Admin,
            n if n % 7 == 3 => Role::Developer,
            _ => Role::Office,
        };
        let user = if role == Role::Server { "root".to_owned() } else { format!("user{number:05}") };
        let kind = if role == Role::Server { "srv" } else { "pc" };
        let ip = format!("10.{}.{}.{}", number / 60_000, number / 250 % 240, number % 250 + 2);
        Pc {
            id: device_id(number),
            name: format!("{kind}-{number:05}"),
            user,
            role,
            ip,
            pids: 3_000 + rng.below(2_000) as i64,
            reports: 0,
            number,
        }
    }

    /// The mailbox of its user.
    pub fn mailbox(&self) -> String {
        format!("{}@corp.example", self.user)
    }

    /// Itself with numbers of its own for processes and reports: a story told apart from the rest.
    pub fn apart(&self, story: usize) -> Pc {
        let story = story as i64 + 1;
        Pc { pids: 1_000_000 + story * 10_000, reports: 1_000_000_000 + story * 100_000, ..self.clone() }
    }

    fn booted(&self) -> Timestamp {
        Timestamp::from_micros(BEGIN_US - 3_600_000_000 + (mix(self.number as u64) % 600_000_000) as i64)
    }

    /// A process that always runs.
    pub fn base(&self, base: Base) -> Proc {
        let (pid, path, command, by): (i64, &str, &str, Base) = match base {
            Base::Init => (1, "/usr/lib/systemd/systemd", "/sbin/init", Base::Init),
            Base::Session => (900, "/usr/lib/systemd/systemd", "/usr/lib/systemd/systemd --user", Base::Init),
            Base::Terminal => (910, "/usr/libexec/gnome-terminal-server", "gnome-terminal-server", Base::Session),
            Base::Shell => (920, "/usr/bin/bash", "bash", Base::Terminal),
            Base::Mail => (930, "/usr/lib/thunderbird/thunderbird", "thunderbird", Base::Session),
            Base::Browser => (940, "/usr/lib/firefox-esr/firefox-esr", "firefox-esr", Base::Session),
            Base::Office => (950, "/usr/lib/libreoffice/program/soffice.bin", "soffice.bin", Base::Session),
            Base::Sshd => (600, "/usr/sbin/sshd", "sshd: /usr/sbin/sshd -D", Base::Init),
            Base::Cron => (610, "/usr/sbin/cron", "/usr/sbin/cron -f", Base::Init),
            Base::Php => (620, "/usr/sbin/php-fpm8.2", "php-fpm: pool www", Base::Init),
            Base::Java => (630, "/usr/lib/jvm/java-17-openjdk-amd64/bin/java", "java -jar app.jar", Base::Init),
            Base::Agent => (640, "/opt/.fleetagent/agentd", "/opt/.fleetagent/agentd", Base::Init),
        };
        let account = match base {
            Base::Init | Base::Sshd | Base::Cron | Base::Agent => "root".to_owned(),
            Base::Php => "www-data".to_owned(),
            Base::Java => "app".to_owned(),
            _ => self.user.clone(),
        };
        let started = Timestamp::from_micros(self.booted().as_micros() + pid * 1_000);
        let parent = match by {
            Base::Init => (1, "systemd", Timestamp::from_micros(self.booted().as_micros() + 1_000)),
            Base::Session => (900, "systemd", Timestamp::from_micros(self.booted().as_micros() + 900_000)),
            _ => (910, "gnome-terminal-server", Timestamp::from_micros(self.booted().as_micros() + 910_000)),
        };
        Proc {
            pid,
            started,
            path: path.to_owned(),
            command: command.to_owned(),
            account,
            sha256: sha256_of(path),
            parent: (parent.0, parent.1, parent.2, String::new()),
        }
    }

    /// What is started when the device is.
    pub fn boot(&mut self, out: &mut Vec<Event>) {
        let run: &[Base] = match self.role {
            Role::Server => &[Base::Sshd, Base::Cron, Base::Php, Base::Java, Base::Agent],
            _ => &[Base::Session, Base::Terminal, Base::Shell, Base::Mail, Base::Browser, Base::Agent],
        };
        for base in run {
            let process = self.base(*base);
            let mut event = self.event(Table::DeviceProcessEvents, process.started, "ProcessCreated");
            let parent = self.base(if process.parent.0 == 910 {
                Base::Terminal
            } else if process.parent.0 == 900 {
                Base::Session
            } else {
                Base::Init
            });
            started(&mut event, &process);
            by(&mut event, &parent);
            out.push(event);
        }
    }

    fn event(&mut self, table: Table, at: Timestamp, action: &str) -> Event {
        self.reports += 1;
        let mut event = Event::new(table, at);
        event.set("DeviceId", self.id.to_string()).set("DeviceName", self.name.as_str());
        event.set("ActionType", action).set("ReportId", self.reports);
        event
    }

    /// A process starts another one.
    pub fn exec(&mut self, out: &mut Vec<Event>, at: Timestamp, parent: &Proc, path: &str, command: &str) -> Proc {
        self.exec_as(out, at, parent, path, command, None)
    }

    /// A process runs a script: the interpreter is started with it.
    pub fn script(&mut self, out: &mut Vec<Event>, at: Timestamp, parent: &Proc, script: &str, sha256: &str) -> Proc {
        let command = format!("/bin/sh {script}");
        self.exec_as(out, at, parent, "/usr/bin/dash", &command, Some((script, sha256)))
    }

    /// A process starts a program that is no part of the system, with this hash.
    pub fn program(
        &mut self,
        out: &mut Vec<Event>,
        at: Timestamp,
        parent: &Proc,
        (path, sha256): (&str, &str),
        command: &str,
    ) -> Proc {
        let process = self.exec(out, at, parent, path, command);
        if let Some(event) = out.last_mut() {
            event.set("SHA256", sha256);
        }
        Proc { sha256: sha256.to_owned(), ..process }
    }

    fn exec_as(
        &mut self,
        out: &mut Vec<Event>,
        at: Timestamp,
        parent: &Proc,
        path: &str,
        command: &str,
        script: Option<(&str, &str)>,
    ) -> Proc {
        self.pids += 1;
        let process = Proc {
            pid: self.pids,
            started: at,
            path: path.to_owned(),
            command: command.to_owned(),
            account: parent.account.clone(),
            sha256: sha256_of(path),
            parent: (parent.pid, "", parent.started, parent.name().to_owned()),
        };
        let mut event = self.event(Table::DeviceProcessEvents, at, "ProcessCreated");
        started(&mut event, &process);
        by(&mut event, parent);
        if let Some((path, sha256)) = script {
            event.set_additional("ScriptPath", path);
            event.set_additional("ScriptSHA256", sha256);
        }
        out.push(event);
        process
    }

    /// A process writes a file.
    pub fn file(&mut self, out: &mut Vec<Event>, at: Timestamp, process: &Proc, path: &str, sha256: &str) {
        let mut event = self.event(Table::DeviceFileEvents, at, "FileCreated");
        event.set("FileName", name_of(path)).set("FolderPath", path).set("FileSize", 4_321_i64);
        if !sha256.is_empty() {
            event.set("SHA256", sha256);
        }
        by(&mut event, process);
        out.push(event);
    }

    /// A process connects; `name` is the name it asked for.
    pub fn connect(
        &mut self,
        out: &mut Vec<Event>,
        at: Timestamp,
        process: &Proc,
        (ip, port): (&str, i64),
        name: &str,
    ) {
        let mut event = self.event(Table::DeviceNetworkEvents, at, "ConnectionRequest");
        let private = ip.starts_with("10.") || ip.starts_with("127.");
        event.set("RemoteIP", ip).set("RemotePort", port).set("Protocol", "Tcp");
        event.set("RemoteIPType", if private { "Private" } else { "Public" }).set("LocalIP", self.ip.as_str());
        if !name.is_empty() {
            event.set("RemoteUrl", name);
        }
        by(&mut event, process);
        out.push(event);
    }

    /// Somebody logs on, or fails to.
    pub fn logon(&mut self, out: &mut Vec<Event>, at: Timestamp, account: &str, from: &str, works: bool) {
        let action = if works { "LogonSuccess" } else { "LogonFailed" };
        let mut event = self.event(Table::DeviceLogonEvents, at, action);
        let sshd = self.base(Base::Sshd);
        event.set("AccountName", account).set("RemoteIP", from).set("LogonType", "RemoteInteractive");
        by(&mut event, &sshd);
        out.push(event);
    }

    /// Somebody's shell after a login over the network.
    pub fn login_shell(&mut self, out: &mut Vec<Event>, at: Timestamp, account: &str) -> Proc {
        let sshd = self.base(Base::Sshd);
        let mut shell = self.exec(out, at, &sshd, "/usr/bin/bash", "-bash");
        shell.account = account.to_owned();
        if let Some(event) = out.last_mut() {
            event.set("AccountName", account);
        }
        shell
    }
}

fn started(event: &mut Event, process: &Proc) {
    let device = event.str("DeviceId").unwrap_or_default().to_owned();
    event
        .set("FileName", process.name())
        .set("FolderPath", process.path.as_str())
        .set("SHA256", process.sha256.as_str())
        .set("ProcessId", process.pid)
        .set("ProcessCommandLine", process.command.as_str())
        .set("ProcessCreationTime", process.started)
        .set("AccountName", process.account.as_str())
        .set("ProcessUniqueId", format!("{device}/{}", process.pid));
}

fn by(event: &mut Event, process: &Proc) {
    let (pid, fixed, started, name) = &process.parent;
    event
        .set("InitiatingProcessId", process.pid)
        .set("InitiatingProcessFileName", process.name())
        .set("InitiatingProcessFolderPath", process.path.as_str())
        .set("InitiatingProcessCommandLine", process.command.as_str())
        .set("InitiatingProcessCreationTime", process.started)
        .set("InitiatingProcessAccountName", process.account.as_str())
        .set("InitiatingProcessSHA256", process.sha256.as_str())
        .set("InitiatingProcessParentId", *pid)
        .set("InitiatingProcessParentFileName", if name.is_empty() { fixed } else { name.as_str() })
        .set("InitiatingProcessParentCreationTime", *started);
}
