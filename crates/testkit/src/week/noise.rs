//! Ordinary behaviour: what people, machines and senders of mail do all week.
//!
//! Rates are natural ones per device or mailbox and week. Some habits look like attacks to a rule:
//! installers piped into a shell, administration scripts, agents in hidden folders, suppliers who send
//! scripts in archives.

use super::{Base, Mail, Part, Pc, Proc, Rng, Role, mix, sha256_of};
use hinomi_model::{Event, Timestamp};

/// Whose habit it is.
#[derive(Debug, Clone, Copy)]
pub enum Of {
    /// Devices of these roles.
    Devices(&'static [Role]),
    /// Mailboxes.
    Mailboxes,
    /// The house as a whole.
    House,
}

/// Something ordinary.
pub struct Habit {
    /// What it is.
    pub name: &'static str,
    /// Whose.
    pub of: Of,
    /// How often in a week, each.
    pub per_week: f64,
    /// By day and night alike.
    pub always: bool,
    /// Tells it.
    pub play: fn(&mut Scene<'_>),
}

/// Where and when a habit is played.
pub struct Scene<'a> {
    /// The device.
    pub pc: &'a mut Pc,
    /// All mailboxes.
    pub mailboxes: &'a [String],
    /// The mailbox, by its place.
    pub mailbox: usize,
    /// Chance.
    pub rng: &'a mut Rng,
    /// Mails so far.
    pub mails: &'a mut u64,
    /// When.
    pub at: Timestamp,
    /// The events.
    pub out: &'a mut Vec<Event>,
}

impl Scene<'_> {
    fn after(&self, ms: i64) -> Timestamp {
        Timestamp::from_micros(self.at.as_micros() + ms * 1_000)
    }

    fn shell(&mut self) -> Proc {
        match self.pc.role {
            Role::Server => {
                let at = self.after(-500);
                self.pc.login_shell(self.out, at, "ops")
            }
            _ => self.pc.base(Base::Shell),
        }
    }

    fn run(&mut self, ms: i64, parent: &Proc, path: &str, command: &str) -> Proc {
        let at = self.after(ms);
        self.pc.exec(self.out, at, parent, path, command)
    }

    fn write(&mut self, ms: i64, by: &Proc, path: &str, sha256: &str) {
        let at = self.after(ms);
        self.pc.file(self.out, at, by, path, sha256);
    }

    fn connect(&mut self, ms: i64, by: &Proc, to: (&str, i64), name: &str) {
        let at = self.after(ms);
        self.pc.connect(self.out, at, by, to, name);
    }

    /// One of several, the first ones much more often.
    fn popular(&mut self, of: u64) -> u64 {
        let unit = self.rng.unit();
        (unit * unit * unit * of as f64) as u64
    }

    fn mail(&mut self, mail: Mail) {
        *self.mails += 1;
        let at = self.at;
        Mail { number: *self.mails, ..mail }.tell(at, self.out);
    }

    fn own_mailbox(&self) -> Vec<String> {
        self.mailboxes.get(self.mailbox).cloned().into_iter().collect()
    }
}

const ALL: &[Role] = &[Role::Office, Role::Developer, Role::Admin, Role::Server];
const DESKS: &[Role] = &[Role::Office, Role::Developer, Role::Admin];
const DEVELOPERS: &[Role] = &[Role::Developer];
const ADMINS: &[Role] = &[Role::Admin];
const SERVERS: &[Role] = &[Role::Server];

macro_rules! habits {
    ($($name:literal, $of:expr, $per_week:literal, $always:literal => $play:expr;)*) => {
        /// What is ordinary.
        pub const HABITS: &[Habit] =
            &[$(Habit { name: $name, of: $of, per_week: $per_week, always: $always, play: $play }),*];
    };
}

habits! {
    // what no rule sees
    "a program is started", Of::Devices(DESKS), 3_000.0, false => desktop_program;
    "a file is saved", Of::Devices(DESKS), 20_000.0, false => file_saved;
    "a page is read", Of::Devices(DESKS), 30_000.0, false => page_read;
    "packages are updated", Of::Devices(ALL), 7.0, true => packages_updated;
    "somebody logs on", Of::Devices(ALL), 15.0, false => logged_on;
    "software is built", Of::Devices(DEVELOPERS), 800.0, false => software_built;
    "a monitoring script runs", Of::Devices(SERVERS), 10_000.0, true => monitoring;
    "a server is administered", Of::Devices(SERVERS), 20.0, false => administered;
    "a mail is written", Of::Mailboxes, 150.0, false => mail_written;
    "a newsletter", Of::House, 60.0, false => newsletter;
    // what a rule sees
    "an installer is piped into a shell", Of::Devices(DEVELOPERS), 0.05, false => installer_piped;
    "a tool is tried in a temporary folder", Of::Devices(DEVELOPERS), 1.0, false => tool_in_temp;
    "a script of the help desk is run from the downloads", Of::Devices(DESKS), 0.05, false => help_desk_script;
    "an own script is run from the downloads", Of::Devices(DEVELOPERS), 0.1, false => own_script;
    "a vendor's installer is run from the downloads", Of::Devices(DEVELOPERS), 0.03, false => vendor_installer;
    "servers get a cron job", Of::Devices(SERVERS), 0.5, false => cron_job;
    "a certificate tool sets its crontab", Of::Devices(SERVERS), 0.3, true => crontab;
    "a port is forwarded", Of::Devices(DEVELOPERS), 0.1, false => port_forwarded;
    "a build is published", Of::Devices(SERVERS), 1.0, true => build_published;
    "the network is surveyed", Of::Devices(ADMINS), 2.0, false => network_surveyed;
    "an old script logs in with a password", Of::Devices(ADMINS), 1.0, false => password_login;
    "a terminal in a container", Of::Devices(DEVELOPERS), 0.02, false => container_terminal;
    "a sandbox gets its rights", Of::Devices(DEVELOPERS), 0.02, false => sandbox_rights;
    "a program talks to its database", Of::Devices(DEVELOPERS), 0.5, false => odd_port;
    "a crash is looked into", Of::Devices(DEVELOPERS), 0.000_2, false => crash_dump;
    "a service is installed", Of::Devices(SERVERS), 0.2, false => service_installed;
    "a machine image is prepared", Of::Devices(SERVERS), 0.005, false => image_prepared;
    "the agent calls home", Of::Devices(ALL), 7.0, true => agent_calls;
    "a health check", Of::Devices(SERVERS), 10.0, true => health_check;
    "a bill comes as a page", Of::Mailboxes, 0.2, false => bill_as_page;
    "a supplier sends scripts", Of::Mailboxes, 0.005, false => supplier_scripts;
    "a forwarder keeps the name", Of::Mailboxes, 0.1, false => forwarded_name;
    "a service writes in our name", Of::House, 5.0, false => survey_in_our_name;
    "firmware comes by mail", Of::House, 1.0, false => firmware;
}

fn desktop_program(scene: &mut Scene<'_>) {
    const PROGRAMS: &[&str] =
        &["evince", "gedit", "nautilus", "gnome-calculator", "eog", "file-roller", "ibus-engine-mozc"];
    let session = scene.pc.base(Base::Session);
    let name = *scene.rng.pick(PROGRAMS);
    let program = scene.run(0, &session, &format!("/usr/bin/{name}"), name);
    scene.run(40, &program, "/usr/bin/dbus-launch", "dbus-launch --autolaunch");
}

fn file_saved(scene: &mut Scene<'_>) {
    let by = scene.pc.base(Base::Browser);
    let path = format!("/home/{}/.cache/mozilla/{:x}", scene.pc.user, scene.rng.below(1 << 32));
    scene.write(0, &by, &path, "");
}

fn page_read(scene: &mut Scene<'_>) {
    let by = scene.pc.base(Base::Browser);
    let site = scene.popular(20_000);
    let ip = format!("198.18.{}.{}", site / 250 % 250, site % 250);
    scene.connect(0, &by, (&ip, 443), &format!("www{site}.example.com"));
}

fn packages_updated(scene: &mut Scene<'_>) {
    let init = scene.pc.base(Base::Init);
    let script = scene.run(0, &init, "/usr/bin/dash", "/bin/sh /usr/lib/apt/apt.systemd.daily install");
    let apt = scene.run(100, &script, "/usr/bin/apt-get", "apt-get -y upgrade");
    scene.connect(200, &apt, ("10.0.0.5", 80), "mirror.corp.example");
    let dpkg = scene.run(900, &apt, "/usr/bin/dpkg", "dpkg --unpack");
    for n in 0..4 {
        let library = format!("/usr/lib/x86_64-linux-gnu/lib{}.so", scene.popular(2_000));
        scene.write(1_000 + n, &dpkg, &library, &sha256_of(&library));
    }
}

fn logged_on(scene: &mut Scene<'_>) {
    let (at, user) = (scene.at, scene.pc.user.clone());
    scene.pc.logon(scene.out, at, &user, "10.0.0.9", true);
}

fn software_built(scene: &mut Scene<'_>) {
    let shell = scene.pc.base(Base::Shell);
    let make = scene.run(0, &shell, "/usr/bin/make", "make -j8");
    for n in 0..3 {
        let part = scene.rng.below(10_000);
        let driver = scene.run(10 + n * 20, &make, "/usr/bin/gcc", &format!("gcc -O2 -c part{part}.c -o part{part}.o"));
        scene.run(15 + n * 20, &driver, "/usr/libexec/gcc/cc1", &format!("cc1 -quiet part{part}.c"));
    }
}

fn monitoring(scene: &mut Scene<'_>) {
    let cron = scene.pc.base(Base::Cron);
    let shell = scene.run(0, &cron, "/usr/bin/dash", "/bin/sh -c /usr/lib/monitoring/check-all");
    for (n, (path, command)) in
        [("/usr/bin/df", "df -P"), ("/usr/bin/ps", "ps -eo pid,comm"), ("/usr/bin/awk", "awk {print}")]
            .iter()
            .enumerate()
    {
        scene.run(5 + n as i64, &shell, path, command);
    }
}

fn administered(scene: &mut Scene<'_>) {
    let at = scene.after(-600);
    scene.pc.logon(scene.out, at, "ops", "10.0.0.77", true);
    let shell = scene.shell();
    for (n, command) in
        ["systemctl status nginx", "journalctl -u nginx -n 50", "systemctl reload nginx"].iter().enumerate()
    {
        let path = format!("/usr/bin/{}", command.split(' ').next().unwrap_or_default());
        scene.run(3_000 * n as i64, &shell, &path, command);
    }
}

fn plain_mail(from: String, to: Vec<String>) -> Mail {
    let ip = format!("203.0.113.{}", mix(from.len() as u64) % 200 + 1);
    Mail {
        number: 0,
        display: from.split('@').next().unwrap_or_default().to_owned(),
        from,
        subject: "打ち合わせの件".to_owned(),
        checks: "pass",
        ip,
        to,
        parts: Vec::new(),
        urls: Vec::new(),
    }
}

fn mail_written(scene: &mut Scene<'_>) {
    let (partner, desk) = (scene.popular(2_000), scene.rng.below(20));
    let mut mail = plain_mail(format!("person{desk}@partner{partner}.example.net"), scene.own_mailbox());
    if scene.rng.below(4) == 0 {
        let number = scene.rng.below(1 << 40);
        mail.parts.push(Part {
            name: format!("report-{number}.pdf"),
            sha256: sha256_of(&format!("pdf{number}")),
            inside: None,
        });
    }
    scene.mail(mail);
}

fn newsletter(scene: &mut Scene<'_>) {
    let sender = scene.rng.below(12);
    let part = (scene.mailboxes.len() / 10).clamp(1, 500);
    let first = scene.rng.below(scene.mailboxes.len().max(1) as u64) as usize;
    let to = scene.mailboxes.iter().cycle().skip(first).take(part).cloned().collect();
    let mut mail = plain_mail(format!("news@letter{sender}.example.org"), to);
    mail.subject = format!("お知らせ {}", scene.rng.below(1_000));
    let logo = sha256_of(&format!("logo{sender}"));
    mail.parts.push(Part { name: "logo.png".to_owned(), sha256: logo, inside: None });
    mail.urls.push(format!("https://letter{sender}.example.org/read"));
    scene.mail(mail);
}

fn installer_piped(scene: &mut Scene<'_>) {
    const TOOLS: &[&str] =
        &["sh.rustup.rs", "get.docker.com", "install.python-poetry.org", "get.helm.sh", "bun.sh", "deno.land"];
    let host = TOOLS[scene.popular(TOOLS.len() as u64) as usize];
    let shell = scene.pc.base(Base::Shell);
    let sh = scene.run(0, &shell, "/usr/bin/bash", &format!("bash -c curl -fsSL https://{host}/install | sh"));
    let curl = scene.run(50, &sh, "/usr/bin/curl", &format!("curl -fsSL https://{host}/install"));
    scene.connect(90, &curl, ("198.19.0.7", 443), host);
    scene.run(400, &sh, "/usr/bin/dash", "sh");
}

fn tool_in_temp(scene: &mut Scene<'_>) {
    let tool = scene.popular(60);
    let shell = scene.pc.base(Base::Shell);
    scene.run(0, &shell, "/usr/bin/chmod", &format!("chmod +x /tmp/tool-{tool}/run"));
    let (at, path) = (scene.after(900), format!("/tmp/tool-{tool}/run"));
    scene.pc.program(scene.out, at, &shell, (&path, &sha256_of(&path)), &format!("{path} --help"));
}

fn help_desk_script(scene: &mut Scene<'_>) {
    let path = format!("/home/{}/Downloads/setup-printer.sh", scene.pc.user);
    let (shell, at) = (scene.pc.base(Base::Shell), scene.at);
    let script = scene.pc.script(scene.out, at, &shell, &path, &sha256_of("setup-printer.sh"));
    scene.run(50, &script, "/usr/sbin/lpadmin", "lpadmin -p floor3 -E");
}

fn own_script(scene: &mut Scene<'_>) {
    let number = scene.rng.below(1 << 40);
    let path = format!("/home/{}/Downloads/try-{number:x}.sh", scene.pc.user);
    let (shell, at) = (scene.pc.base(Base::Shell), scene.at);
    let script = scene.pc.script(scene.out, at, &shell, &path, &sha256_of(&path));
    scene.run(50, &script, "/usr/bin/tar", "tar xf sample.tar");
}

fn vendor_installer(scene: &mut Scene<'_>) {
    let vendor = scene.popular(4);
    let path = format!("/home/{}/Downloads/install-vendor{vendor}.sh", scene.pc.user);
    let (shell, at) = (scene.pc.base(Base::Shell), scene.at);
    let script = scene.pc.script(scene.out, at, &shell, &path, &sha256_of(&format!("installer of vendor {vendor}")));
    scene.run(30, &script, "/usr/bin/uname", "uname -m");
    let host = format!("dl.vendor{vendor}.example.com");
    let curl = scene.run(60, &script, "/usr/bin/curl", &format!("curl -fLO https://{host}/package.tar.gz"));
    scene.connect(90, &curl, ("198.19.1.4", 443), &host);
}

fn cron_job(scene: &mut Scene<'_>) {
    let job = scene.popular(8);
    let shell = scene.shell();
    let command = "/usr/bin/python3 /home/ops/.ansible/tmp/ansible-tmp-17/AnsiballZ_copy.py";
    let python = scene.run(0, &shell, "/usr/bin/python3.11", command);
    scene.write(80, &python, &format!("/etc/cron.d/fleet-{job}"), &sha256_of(&format!("fleet job {job}")));
}

fn crontab(scene: &mut Scene<'_>) {
    let shell = scene.shell();
    scene.run(0, &shell, "/usr/bin/crontab", "crontab -");
}

fn port_forwarded(scene: &mut Scene<'_>) {
    let shell = scene.pc.base(Base::Shell);
    scene.run(0, &shell, "/usr/bin/ssh", "ssh -N -R 8080:localhost:3000 show.corp.example");
}

fn build_published(scene: &mut Scene<'_>) {
    let number = scene.rng.below(100_000);
    let shell = scene.shell();
    let host = "packages.corp.example";
    let command = format!("curl -fsS -T dist/app-{number}.tar.gz https://{host}/repository/");
    let curl = scene.run(0, &shell, "/usr/bin/curl", &command);
    scene.connect(40, &curl, ("10.0.0.30", 443), host);
}

fn network_surveyed(scene: &mut Scene<'_>) {
    let shell = scene.pc.base(Base::Shell);
    scene.run(0, &shell, "/usr/bin/nmap", &format!("nmap -sP 10.{}.0.0/24", scene.pc.name.len()));
}

fn password_login(scene: &mut Scene<'_>) {
    let shell = scene.pc.base(Base::Shell);
    scene.run(0, &shell, "/usr/bin/sshpass", "sshpass -f /root/.pw ssh backup@10.0.0.40 rsync --server");
}

fn container_terminal(scene: &mut Scene<'_>) {
    let shell = scene.pc.base(Base::Shell);
    scene.run(0, &shell, "/usr/bin/python3.11", "python3 -c import pty;pty.spawn('/bin/bash')");
}

fn sandbox_rights(scene: &mut Scene<'_>) {
    let shell = scene.pc.base(Base::Shell);
    scene.run(0, &shell, "/usr/bin/chmod", "chmod 4755 ./node_modules/electron/dist/chrome-sandbox");
}

fn odd_port(scene: &mut Scene<'_>) {
    let shell = scene.pc.base(Base::Shell);
    let python = scene.run(0, &shell, "/usr/bin/python3.11", "python3 manage.py runserver");
    scene.connect(30, &python, ("198.19.2.8", 27_017), "db.cloud.example.com");
}

fn crash_dump(scene: &mut Scene<'_>) {
    let shell = scene.pc.base(Base::Shell);
    scene.run(0, &shell, "/usr/bin/gcore", "gcore 4711");
}

fn service_installed(scene: &mut Scene<'_>) {
    let service = scene.popular(30);
    let shell = scene.shell();
    let tee = scene.run(0, &shell, "/usr/bin/tee", &format!("tee /etc/systemd/system/app-{service}.service"));
    scene.write(
        10,
        &tee,
        &format!("/etc/systemd/system/app-{service}.service"),
        &sha256_of(&format!("unit {service}")),
    );
}

fn image_prepared(scene: &mut Scene<'_>) {
    let shell = scene.shell();
    scene.run(0, &shell, "/usr/bin/truncate", "truncate -s0 /var/log/wtmp /var/log/lastlog");
}

fn agent_calls(scene: &mut Scene<'_>) {
    let agent = scene.pc.base(Base::Agent);
    let at = scene.after(0);
    let user = if scene.pc.role == Role::Server { "/srv".to_owned() } else { format!("/home/{}", scene.pc.user) };
    let path = format!("{user}/.fleetagent/sync");
    let sync = scene.pc.program(scene.out, at, &agent, (&path, &sha256_of("fleet sync")), &path);
    scene.connect(20, &sync, ("10.0.0.50", 443), "fleet.corp.example");
}

fn health_check(scene: &mut Scene<'_>) {
    let cron = scene.pc.base(Base::Cron);
    let bash = scene.run(0, &cron, "/usr/bin/bash", "bash /usr/lib/monitoring/port-open");
    scene.connect(10, &bash, ("10.0.0.60", 5432), "");
}

fn bill_as_page(scene: &mut Scene<'_>) {
    let (service, number) = (scene.popular(5), scene.rng.below(1 << 40));
    let mut mail = plain_mail(format!("billing@service{service}.example.com"), scene.own_mailbox());
    mail.parts.push(Part { name: "bill.html".to_owned(), sha256: sha256_of(&format!("bill{number}")), inside: None });
    scene.mail(mail);
}

fn supplier_scripts(scene: &mut Scene<'_>) {
    let (supplier, number) = (scene.popular(6), scene.rng.below(1 << 40));
    let mut mail = plain_mail(format!("support@supplier{supplier}.example.com"), scene.own_mailbox());
    let archive = sha256_of(&format!("archive{number}"));
    mail.parts.push(Part { name: "sources.zip".to_owned(), sha256: archive.clone(), inside: None });
    let path = "sources.zip/build.sh".to_owned();
    let inside = Some((archive, path));
    mail.parts.push(Part { name: "build.sh".to_owned(), sha256: sha256_of(&format!("build{number}")), inside });
    scene.mail(mail);
}

fn forwarded_name(scene: &mut Scene<'_>) {
    let forwarder = scene.popular(10);
    let mut mail = plain_mail(format!("relay@list{forwarder}.example.org"), scene.own_mailbox());
    mail.display = format!("member{}@partner.example.net", scene.rng.below(500));
    scene.mail(mail);
}

fn survey_in_our_name(scene: &mut Scene<'_>) {
    let part = (scene.mailboxes.len() / 5).clamp(1, 300);
    let first = scene.rng.below(scene.mailboxes.len().max(1) as u64) as usize;
    let to = scene.mailboxes.iter().cycle().skip(first).take(part).cloned().collect();
    let mut mail = plain_mail("survey@corp.example".to_owned(), to);
    mail.subject = "社内アンケート".to_owned();
    mail.checks = "fail";
    mail.urls.push("https://survey.example.com/form".to_owned());
    scene.mail(mail);
}

fn firmware(scene: &mut Scene<'_>) {
    let number = scene.rng.below(1 << 40);
    let to = scene.mailboxes.iter().take(2).cloned().collect();
    let mut mail = plain_mail("firmware@maker.example.com".to_owned(), to);
    mail.parts.push(Part {
        name: "controller.img".to_owned(),
        sha256: sha256_of(&format!("img{number}")),
        inside: None,
    });
    scene.mail(mail);
}
