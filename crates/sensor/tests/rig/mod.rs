//! A small server that speaks the sensor protocol over real TLS, and the real sensor program.

#![allow(dead_code, reason = "each test file uses its part")]

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hinomi_model::{CommandId, DeviceId, Event, ProcessKey, SensorStatus, Timestamp};
use hinomi_wire::proto::sensor_link_server::{SensorLink, SensorLinkServer};
use hinomi_wire::proto::{
    Ack, EnrolReply, EnrolRequest, FromSensor, Hello, SignedCommand, ToSensor, Welcome, from_sensor, to_sensor,
};
use hinomi_wire::{Command, CommandEnvelope, CommandResult, EnrolmentToken, PROTOCOL_VERSION};
use rcgen::{CertificateParams, CertificateSigningRequestParams, DnType, Issuer, KeyPair, SanType};
use ring::signature::{Ed25519KeyPair, KeyPair as _};
use std::collections::{HashMap, HashSet};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command as Process, Stdio};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};
use tokio::sync::mpsc;
use tokio_stream::wrappers::{ReceiverStream, TcpListenerStream};
use tonic::transport::{Certificate, Identity, Server as Tonic, ServerTlsConfig};
use tonic::{Request, Response, Status, Streaming};

/// Everything that could touch the rest of the machine is off.
pub const QUIET: &str = "[prevention]\nenabled = false\n[isolation]\nenabled = false\n[notify]\nenabled = false\n";

const DEADLINE: Duration = Duration::from_secs(30);

pub fn now() -> Timestamp {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    Timestamp::from_micros(since.as_micros() as i64)
}

pub fn id<T: From<uuid::Uuid>>() -> T {
    uuid::Uuid::now_v7().into()
}

/// Waits for a condition.
pub async fn until<T>(what: &str, mut found: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + DEADLINE;
    loop {
        if let Some(found) = found() {
            return found;
        }
        assert!(Instant::now() < deadline, "waited in vain for {what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// What the server has and what it shall do.
#[derive(Default)]
pub struct Board {
    pub secrets: HashSet<String>,
    pub devices: HashMap<Vec<u8>, DeviceId>,
    /// Generation → events; the event with ReportId n lies at n - 1.
    pub stored: HashMap<u64, Vec<Event>>,
    /// What Welcome says is stored: acknowledgements that were sent.
    pub acknowledged: HashMap<u64, u64>,
    pub duplicates: usize,
    pub hellos: Vec<Hello>,
    pub statuses: Vec<SensorStatus>,
    pub receipts: Vec<(CommandId, CommandResult)>,
    /// Sent at every connection, as a server does until it has the receipt.
    pub open_commands: Vec<SignedCommand>,
    /// After so many batches: store one more, drop the connection without acknowledging it.
    pub cut_after: Option<usize>,
    /// Batches are stored but not acknowledged.
    pub mute: bool,
    pub down: Option<mpsc::Sender<Result<ToSensor, Status>>>,
}

impl Board {
    pub fn events(&self) -> usize {
        self.stored.values().map(Vec::len).sum()
    }

    pub fn result(&self, id: CommandId) -> Option<CommandResult> {
        self.receipts.iter().rev().find(|(of, _)| *of == id).map(|(_, result)| result.clone())
    }
}

/// A certificate authority with its server certificate.
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pub der: Vec<u8>,
    pem: String,
    server: Identity,
}

impl Authority {
    pub fn new(hosts: &[&str]) -> Authority {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::default();
        params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, "test authority");
        let certificate = params.self_signed(&key).unwrap();
        let issuer = Issuer::new(params, key);
        let server_key = KeyPair::generate().unwrap();
        let mut server = CertificateParams::default();
        for host in hosts {
            server.subject_alt_names.push(match host.parse() {
                Ok(ip) => SanType::IpAddress(ip),
                Err(_) => SanType::DnsName((*host).try_into().unwrap()),
            });
        }
        let server = server.signed_by(&server_key, &issuer).unwrap();
        Authority {
            der: certificate.der().to_vec(),
            pem: certificate.pem(),
            server: Identity::from_pem(server.pem(), server_key.serialize_pem()),
            issuer,
        }
    }
}

/// The server.
pub struct Server {
    pub authority: Arc<Authority>,
    pub address: SocketAddr,
    pub board: Arc<Mutex<Board>>,
    key: Arc<Ed25519KeyPair>,
    sequence: u64,
    task: tokio::task::JoinHandle<()>,
}

impl Server {
    pub async fn start() -> Server {
        Self::start_at("127.0.0.1:0".parse().unwrap(), Arc::new(Authority::new(&["127.0.0.1", "localhost"]))).await
    }

    pub async fn start_at(address: SocketAddr, authority: Arc<Authority>) -> Server {
        let board = Arc::new(Mutex::new(Board::default()));
        let key = Arc::new(Ed25519KeyPair::from_seed_unchecked(&[7; 32]).unwrap());
        let (address, task) = serve(address, &authority, &board, &key).await;
        Server { authority, address, board, key, sequence: 0, task }
    }

    /// Ends the server as a crash would and starts it again at the same address.
    pub async fn restart(&mut self) {
        self.stop();
        let (_, task) = serve(self.address, &self.authority, &self.board, &self.key).await;
        self.task = task;
    }

    pub fn stop(&mut self) {
        self.task.abort();
        self.board().down = None;
    }

    pub fn board(&self) -> MutexGuard<'_, Board> {
        self.board.lock().unwrap()
    }

    pub fn token(&self) -> String {
        let secret = uuid::Uuid::now_v7().to_string();
        self.board().secrets.insert(secret.clone());
        let url = format!("https://{}", self.address);
        EnrolmentToken { url, authority: STANDARD.encode(&self.authority.der), secret }.encode()
    }

    pub fn device(&self) -> DeviceId {
        *self.board().devices.values().next().expect("somebody enrolled")
    }

    pub fn envelope(&mut self, command: Command) -> CommandEnvelope {
        self.sequence += 1;
        CommandEnvelope {
            command_id: id(),
            device_id: self.device(),
            sequence: self.sequence,
            issued_at: now(),
            expires_at: now().plus_seconds(60),
            command,
        }
    }

    pub fn sign(&self, envelope: &CommandEnvelope) -> SignedCommand {
        hinomi_wire::sign(envelope, &self.key)
    }

    pub async fn push(&self, command: SignedCommand) {
        let down = until("a connection", || self.board().down.clone().filter(|down| !down.is_closed())).await;
        down.send(Ok(to(to_sensor::Message::Command(command)))).await.unwrap();
    }

    /// Orders and waits for what came of it.
    pub async fn order(&mut self, command: Command) -> CommandResult {
        let envelope = self.envelope(command);
        self.push(self.sign(&envelope)).await;
        until("a receipt", || self.board().result(envelope.command_id)).await
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn serve(
    address: SocketAddr,
    authority: &Arc<Authority>,
    board: &Arc<Mutex<Board>>,
    key: &Arc<Ed25519KeyPair>,
) -> (SocketAddr, tokio::task::JoinHandle<()>) {
    let deadline = Instant::now() + DEADLINE;
    // after a restart connections of the old server may still hold the port for a moment
    let listener = loop {
        match tokio::net::TcpListener::bind(address).await {
            Ok(listener) => break listener,
            Err(error) => assert!(Instant::now() < deadline, "{error}"),
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    };
    let address = listener.local_addr().unwrap();
    let tls = ServerTlsConfig::new()
        .identity(authority.server.clone())
        .client_ca_root(Certificate::from_pem(&authority.pem))
        .client_auth_optional(true);
    let service = Service { authority: authority.clone(), board: board.clone(), key: key.clone() };
    let router = Tonic::builder().tls_config(tls).unwrap().add_service(SensorLinkServer::new(service));
    let task = tokio::spawn(async move {
        let _ = router.serve_with_incoming(TcpListenerStream::new(listener)).await;
    });
    (address, task)
}

struct Service {
    authority: Arc<Authority>,
    board: Arc<Mutex<Board>>,
    key: Arc<Ed25519KeyPair>,
}

#[tonic::async_trait]
impl SensorLink for Service {
    type LinkStream = ReceiverStream<Result<ToSensor, Status>>;

    async fn enrol(&self, request: Request<EnrolRequest>) -> Result<Response<EnrolReply>, Status> {
        let request = request.into_inner();
        if !self.board.lock().unwrap().secrets.remove(&request.secret) {
            return Err(Status::permission_denied("enrolment token is unknown, used or expired"));
        }
        let status: SensorStatus = serde_json::from_slice(&request.status).unwrap();
        assert_eq!(status.os_platform, "linux");
        let device: DeviceId = id();
        let csr = CertificateSigningRequestParams::from_der(&request.certificate_request.to_vec().into()).unwrap();
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, device.to_string());
        let certificate = params.signed_by(&csr.public_key, &self.authority.issuer).unwrap().der().to_vec();
        self.board.lock().unwrap().devices.insert(certificate.clone(), device);
        Ok(Response::new(EnrolReply {
            device_id: device.to_string(),
            certificate: certificate.into(),
            authority: self.authority.der.clone().into(),
            command_key: self.key.public_key().as_ref().to_vec().into(),
        }))
    }

    async fn link(&self, request: Request<Streaming<FromSensor>>) -> Result<Response<Self::LinkStream>, Status> {
        let certificates = request.peer_certs().ok_or_else(|| Status::unauthenticated("certificate wanted"))?;
        if !self.board.lock().unwrap().devices.contains_key(&certificates[0].to_vec()) {
            return Err(Status::unauthenticated("unknown certificate"));
        }
        let mut up = request.into_inner();
        let Some(FromSensor { message: Some(from_sensor::Message::Hello(hello)) }) = up.message().await? else {
            return Err(Status::invalid_argument("Hello wanted"));
        };
        let (down, answers) = mpsc::channel(256);
        let generation = hello.generation;
        let welcome = {
            let mut board = self.board.lock().unwrap();
            board.statuses.push(serde_json::from_slice(&hello.status).unwrap());
            board.hellos.push(hello);
            board.down = Some(down.clone());
            let acknowledged = board.acknowledged.get(&generation).copied().unwrap_or_default();
            Welcome { protocol_version: PROTOCOL_VERSION, acknowledged, server_time_us: now().as_micros() }
        };
        let _ = down.send(Ok(to(to_sensor::Message::Welcome(welcome)))).await;
        let open = self.board.lock().unwrap().open_commands.clone();
        for command in open {
            let _ = down.send(Ok(to(to_sensor::Message::Command(command)))).await;
        }
        let board = self.board.clone();
        tokio::spawn(async move {
            while let Ok(Some(message)) = up.message().await {
                let answer = receive(&mut board.lock().unwrap(), message);
                let sent = match answer {
                    Some(Ok(ack)) => down.send(Ok(ack)).await,
                    Some(Err(status)) => {
                        let _ = down.send(Err(status)).await;
                        return;
                    }
                    None => Ok(()),
                };
                if sent.is_err() {
                    return;
                }
            }
        });
        Ok(Response::new(ReceiverStream::new(answers)))
    }
}

fn receive(board: &mut Board, message: FromSensor) -> Option<Result<ToSensor, Status>> {
    match message.message? {
        from_sensor::Message::Batch(batch) => {
            let events = hinomi_wire::unpack(&batch.events, batch.count as usize).unwrap();
            for (offset, event) in events.iter().enumerate() {
                assert_eq!(event.long("ReportId"), Some((batch.first_report_id + offset as u64) as i64));
            }
            let stored = board.stored.entry(batch.generation).or_default();
            let have = stored.len() as u64;
            if batch.first_report_id > have + 1 {
                return Some(Err(Status::out_of_range("gap")));
            }
            let old = ((have + 1 - batch.first_report_id) as usize).min(events.len());
            stored.extend(events.into_iter().skip(old));
            let through_report_id = stored.len() as u64;
            board.duplicates += old;
            if let Some(left) = &mut board.cut_after {
                if *left == 0 {
                    board.cut_after = None;
                    return Some(Err(Status::unavailable("cut")));
                }
                *left -= 1;
            }
            if board.mute {
                return None;
            }
            board.acknowledged.insert(batch.generation, through_report_id);
            Some(Ok(to(to_sensor::Message::Ack(Ack { generation: batch.generation, through_report_id }))))
        }
        from_sensor::Message::Receipt(receipt) => {
            let result = serde_json::from_slice(&receipt.result).unwrap();
            board.receipts.push((receipt.command_id.parse().unwrap(), result));
            None
        }
        from_sensor::Message::Status(status) => {
            board.statuses.push(serde_json::from_slice(&status.status).unwrap());
            None
        }
        from_sensor::Message::Hello(_) => Some(Err(Status::invalid_argument("second Hello"))),
    }
}

fn to(message: to_sensor::Message) -> ToSensor {
    ToSensor { message: Some(message) }
}

/// The sensor program on a data folder of its own.
pub struct Sensor {
    pub data: PathBuf,
    pub child: Option<Child>,
    arguments: Vec<String>,
    _temp: tempfile::TempDir,
}

pub fn program() -> Process {
    Process::new(env!("CARGO_BIN_EXE_hinomi-sensor"))
}

impl Sensor {
    /// Makes a data folder; nothing runs yet.
    pub fn new(config: &str, arguments: &[&str]) -> Sensor {
        let temp = tempfile::tempdir().unwrap();
        let file = temp.path().join("sensor.toml");
        std::fs::write(&file, config).unwrap();
        let mut all = vec!["--config".to_owned(), file.to_str().unwrap().to_owned()];
        all.extend(arguments.iter().map(|argument| (*argument).to_owned()));
        Sensor { data: temp.path().join("data"), child: None, arguments: all, _temp: temp }
    }

    pub fn folder(&self) -> &Path {
        self._temp.path()
    }

    pub fn enrol(&self, token: &str) -> std::process::Output {
        program().args(["enrol", "--token", token, "--data"]).arg(&self.data).output().unwrap()
    }

    /// Enrols, starts and waits until ready.
    pub async fn begin(&mut self, server: &Server) {
        let output = self.enrol(&server.token());
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        self.start().await;
    }

    pub async fn start(&mut self) {
        self.start_as(program()).await;
    }

    /// Starts through another program (`ip netns exec …`) whose arguments end where ours begin.
    pub async fn start_as(&mut self, mut program: Process) {
        let log = std::fs::OpenOptions::new().create(true).append(true).open(self.folder().join("log")).unwrap();
        let _ = std::fs::remove_file(self.data.join("ready"));
        let child = program
            .args(["run", "--data"])
            .arg(&self.data)
            .args(&self.arguments)
            .stdin(Stdio::null())
            .stderr(Stdio::from(log))
            .spawn()
            .unwrap();
        self.child = Some(child);
        let ready = self.data.join("ready");
        let deadline = Instant::now() + DEADLINE;
        while !ready.exists() {
            let ended = self.child.as_mut().unwrap().try_wait().unwrap();
            assert!(ended.is_none() && Instant::now() < deadline, "not ready: {ended:?}\n{}", self.log());
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    pub fn log(&self) -> String {
        std::fs::read_to_string(self.folder().join("log")).unwrap_or_default()
    }

    pub fn pid(&self) -> u32 {
        self.child.as_ref().expect("runs").id()
    }

    /// kill -9
    pub fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }

    /// Asks the program how it is.
    pub fn status(&self) -> serde_json::Value {
        let output = program().args(["status", "--json", "--data"]).arg(&self.data).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        serde_json::from_slice(&output.stdout).unwrap()
    }
}

impl Drop for Sensor {
    fn drop(&mut self) {
        self.kill();
        if std::thread::panicking() {
            eprintln!("--- log of the sensor\n{}", self.log());
        }
    }
}

/// The key of a running process, as the collector would name it.
pub fn process_key(device_id: DeviceId, pid: u32) -> ProcessKey {
    use hinomi_sensor::respond::process;
    let stat = process::stat(pid).expect("it runs");
    let started_at = Timestamp::from_micros(process::start_micros(stat.start_ticks));
    ProcessKey { device_id, pid: pid.into(), started_at }
}
