//! Configuration files of the two servers.

use super::rig::RIG_USER;
use std::path::Path;

/// What the configuration texts need to know.
pub(super) struct Plan<'a> {
    pub id: &'a str,
    pub dir: &'a Path,
    pub smtp_port: u16,
    pub imap_port: u16,
    pub imaps_port: Option<u16>,
    pub milter: Option<std::net::SocketAddr>,
    pub milter_default_action: &'a str,
    pub journal: Option<std::net::SocketAddr>,
    pub master_user: &'a str,
    pub shared: bool,
}

/// Login of the user who sees the mailboxes of all others.
pub(super) const SHARED_USER: &str = "hinomi-shared";
/// Where it sees them.
pub(super) const SHARED_PREFIX: &str = "user/%u/";

impl Plan<'_> {
    /// Dovecot 2.3: runs wholly as [`RIG_USER`], mailboxes are Maildirs.
    pub(super) fn dovecot(&self) -> String {
        let dir = self.dir.display();
        let tls = match self.imaps_port {
            Some(_) => format!("ssl = yes\nssl_cert = <{dir}/tls/cert.pem\nssl_key = <{dir}/tls/key.pem\n"),
            None => "ssl = no\n".to_owned(),
        };
        format!(
            r#"base_dir = {dir}/run
state_dir = {dir}/state
log_path = {dir}/dovecot.log
instance_name = {id}
login_greeting = {id} ready
default_internal_user = {RIG_USER}
default_internal_group = {RIG_USER}
default_login_user = {RIG_USER}
mail_uid = {RIG_USER}
mail_gid = {RIG_USER}
first_valid_uid = 1
first_valid_gid = 1
protocols = imap lmtp
listen = 127.0.0.1
{tls}disable_plaintext_auth = no
auth_mechanisms = plain login
auth_master_user_separator = *
mail_location = maildir:~/Maildir
mail_max_userip_connections = 0
passdb {{
  driver = passwd-file
  master = yes
  args = scheme=PLAIN {dir}/masters
}}
passdb {{
  driver = passwd-file
  args = scheme=PLAIN username_format=%n {dir}/users
}}
userdb {{
  driver = passwd-file
  args = username_format=%n {dir}/users
  default_fields = uid={RIG_USER} gid={RIG_USER} home={dir}/mail/%n
}}
namespace inbox {{
  inbox = yes
  separator = /
  mailbox Junk {{
    auto = create
    special_use = \Junk
  }}
  mailbox Trash {{
    auto = create
    special_use = \Trash
  }}
}}
service anvil {{
  chroot =
  client_limit = 8000
}}
service auth {{
  client_limit = 8000
}}
service imap-login {{
  chroot =
  service_count = 0
  client_limit = 4000
  inet_listener imap {{
    port = {imap}
  }}
  inet_listener imaps {{
    port = {imaps}
    ssl = yes
  }}
}}
service imap {{
  process_limit = 1100
}}
service lmtp {{
  unix_listener rig-lmtp {{
    mode = 0666
  }}
}}
"#,
            id = self.id,
            imap = self.imap_port,
            imaps = self.imaps_port.unwrap_or(0),
        ) + &if self.shared { self.shared_namespace() } else { String::new() }
    }

    /// The mailboxes of all, for the one user whose entry switches it on (docs/imap-shared.md).
    fn shared_namespace(&self) -> String {
        format!(
            "namespace hinomi {{\n  type = shared\n  prefix = {prefix}\n  separator = /\n  \
             location = maildir:%%h/Maildir\n  list = yes\n  subscriptions = no\n  disabled = yes\n}}\n",
            prefix = SHARED_PREFIX.replace('%', "%%"),
        )
    }

    /// Line of the user file for that user.
    pub(super) fn shared_entry(&self, password: &str) -> String {
        match self.shared {
            true => format!("{SHARED_USER}:{{PLAIN}}{password}::::::userdb_namespace/hinomi/disabled=no\n"),
            false => String::new(),
        }
    }

    /// Master users: log in as `address*name`.
    pub(super) fn masters(&self, password: &str) -> String {
        format!("{}:{{PLAIN}}{password}\n", self.master_user)
    }

    /// Which journal address stands for a recipient (`recipient_bcc_maps`).
    pub(super) fn journal_map(&self) -> String {
        "/^(.+)@(.+)$/ ${1}=${2}@journal.invalid\n".to_owned()
    }

    /// Postfix: accepts mail for every domain, hands it to the milter and to Dovecot's LMTP.
    pub(super) fn main_cf(&self) -> String {
        let dir = self.dir.display();
        let milter = match self.milter {
            Some(addr) => format!(
                "smtpd_milters = inet:{}:{}\nmilter_default_action = {}\nmilter_protocol = 6\n\
                 milter_connect_timeout = 5s\nmilter_command_timeout = 30s\nmilter_content_timeout = 60s\n",
                addr.ip(),
                addr.port(),
                self.milter_default_action
            ),
            None => String::new(),
        };
        let journal = match self.journal {
            Some(addr) => format!(
                "recipient_bcc_maps = regexp:{dir}/postfix/journal\n\
                 transport_maps = inline:{{{{journal.invalid=lmtp:inet:{}:{}}}}}\n",
                addr.ip(),
                addr.port()
            ),
            None => String::new(),
        };
        format!(
            r#"compatibility_level = 3.6
myhostname = {id}.test
mydestination =
syslog_name = {id}
queue_directory = {dir}/queue
data_directory = {dir}/postfix-data
command_directory = /usr/sbin
daemon_directory = /usr/lib/postfix/sbin
maillog_file = {dir}/postfix.log
maillog_file_prefixes = {dir}
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
mynetworks = 127.0.0.0/8
smtpd_banner = {id} ready
smtpd_peername_lookup = no
disable_dns_lookups = yes
smtp_host_lookup = native
smtpd_recipient_limit = 2000
smtpd_client_connection_count_limit = 0
smtpd_client_connection_rate_limit = 0
smtpd_client_message_rate_limit = 0
smtpd_client_recipient_rate_limit = 0
in_flow_delay = 0
message_size_limit = 67108864
virtual_mailbox_limit = 0
virtual_mailbox_domains = static:all
virtual_mailbox_maps = static:all
virtual_transport = lmtp:unix:{dir}/run/rig-lmtp
lmtp_destination_concurrency_limit = 8
default_transport = error:nothing leaves this machine
relay_transport = error:nothing leaves this machine
local_transport = error:no local mailboxes
alias_maps =
alias_database =
biff = no
{milter}{journal}"#,
            id = self.id,
        )
    }

    /// Postfix services, none in a chroot.
    pub(super) fn master_cf(&self) -> String {
        format!(
            "127.0.0.1:{port} inet n - n - 100 smtpd\n\
             postlog unix-dgram n - n - 1 postlogd\n\
             pickup unix n - n 60 1 pickup\n\
             cleanup unix n - n - 0 cleanup\n\
             qmgr unix n - n 300 1 qmgr\n\
             rewrite unix - - n - - trivial-rewrite\n\
             bounce unix - - n - 0 bounce\n\
             defer unix - - n - 0 bounce\n\
             trace unix - - n - 0 bounce\n\
             verify unix - - n - 1 verify\n\
             flush unix n - n 1000? 0 flush\n\
             proxymap unix - - n - - proxymap\n\
             proxywrite unix - - n - 1 proxymap\n\
             showq unix n - n - - showq\n\
             error unix - - n - - error\n\
             retry unix - - n - - error\n\
             discard unix - - n - - discard\n\
             lmtp unix - - n - - lmtp\n\
             anvil unix - - n - 1 anvil\n\
             scache unix - - n - 1 scache\n",
            port = self.smtp_port
        )
    }
}
