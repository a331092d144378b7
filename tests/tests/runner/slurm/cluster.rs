//! A real Slurm of one node, in a folder of its own.

use std::fmt::Write;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::Mutex;
use std::time::SystemTime;

use super::sweep::wait_for;

/// A controller, a node daemon and an authentication daemon. Dropping the value ends them, and every
/// process that a job left behind.
pub(super) struct Cluster {
    folder: tempfile::TempDir,
    munged: Child,
    controller: Mutex<Child>,
    node: Mutex<Child>,
}

/// What is missing on this machine to start a Slurm.
fn missing() -> Option<String> {
    for program in ["slurmctld", "slurmd", "munged", "setpriv"] {
        let found = ["/usr/sbin", "/usr/bin"]
            .iter()
            .any(|folder| Path::new(folder).join(program).is_file());
        if !found {
            return Some("no Slurm (install slurm-wlm and munge)".to_owned());
        }
    }
    let user = Command::new("id").arg("-u").output().unwrap();
    (user.stdout.trim_ascii() != b"0").then(|| "no right to start slurmd (run as root)".to_owned())
}

impl Cluster {
    /// Starts a cluster; none, and the test counts as skipped, if this machine lacks something.
    pub(super) fn start() -> Option<Self> {
        Self::start_with("")
    }

    /// As [`start`](Self::start), with `further` lines in the configuration.
    pub(super) fn start_with(further: &str) -> Option<Self> {
        if let Some(reason) = missing() {
            offmodel_support::testing::skip(reason);
            return None;
        }
        let folder = tempfile::Builder::new()
            .prefix("offmodel-slurm-")
            .tempdir()
            .unwrap();
        write_configuration(folder.path(), further);
        let munged = start_munged(folder.path());
        let controller = start(folder.path(), "slurmctld");
        let node = start(folder.path(), "slurmd");
        let cluster = Self {
            munged,
            controller: Mutex::new(controller),
            node: Mutex::new(node),
            folder,
        };
        cluster.wait_until_idle();
        Some(cluster)
    }

    pub(super) fn configuration(&self) -> PathBuf {
        self.folder.path().join("slurm.conf")
    }

    /// Runs a command of Slurm, whatever its outcome.
    pub(super) fn command(&self, line: &str) -> Output {
        let mut words = line.split_whitespace();
        Command::new(words.next().unwrap())
            .args(words)
            .env("SLURM_CONF", self.configuration())
            .output()
            .unwrap()
    }

    /// Runs a command of Slurm that must succeed, and returns its output.
    #[track_caller]
    pub(super) fn run(&self, line: &str) -> String {
        let output = self.command(line);
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{line}: {errors}");
        String::from_utf8(output.stdout).unwrap()
    }

    /// Waits until the controller has saved its present state to disk, which takes some seconds.
    pub(super) fn wait_until_saved(&self) {
        let now = SystemTime::now();
        // The controller saves after a change: here, a job that never starts.
        self.run("sbatch --hold --job-name=mark --output=/dev/null --wrap=true");
        wait_for("the controller's state on disk", || {
            std::fs::metadata(self.folder.path().join("state/job_state"))
                .and_then(|metadata| metadata.modified())
                .is_ok_and(|saved| saved > now)
        });
        self.run("scancel --name=mark");
    }

    /// Kills the controller, so that it cannot save its state.
    pub(super) fn kill_controller(&self) {
        end(&mut self.controller.lock().unwrap());
    }

    pub(super) fn start_controller(&self) {
        *self.controller.lock().unwrap() = start(self.folder.path(), "slurmctld");
    }

    /// Kills the node daemon. Jobs go on under the daemon that each has of its own (`slurmstepd`).
    pub(super) fn kill_node(&self) {
        end(&mut self.node.lock().unwrap());
    }

    pub(super) fn start_node(&self) {
        *self.node.lock().unwrap() = start(self.folder.path(), "slurmd");
    }

    /// Waits until the node accepts jobs and runs none.
    pub(super) fn wait_until_idle(&self) {
        wait_for("an idle node", || {
            self.command("sinfo -h -o %T").stdout.trim_ascii() == b"idle"
        });
    }

    /// Whether the controller's log contains a text.
    pub(super) fn has_logged(&self, text: &str) -> bool {
        std::fs::read_to_string(self.folder.path().join("slurmctld.log"))
            .is_ok_and(|log| log.contains(text))
    }

    fn logs(&self) -> String {
        let mut text = String::new();
        for name in ["munged", "slurmctld", "slurmd"] {
            let log = std::fs::read_to_string(self.folder.path().join(format!("{name}.log")));
            let log = log.unwrap_or_default();
            let lines: Vec<&str> = log.lines().collect();
            let last = lines[lines.len().saturating_sub(20)..].join("\n");
            let _ = writeln!(text, "== {name}\n{last}");
        }
        text
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("{}", self.logs());
        }
        for daemon in [&self.node, &self.controller] {
            let mut daemon = daemon
                .lock()
                .unwrap_or_else(std::sync::PoisonError::into_inner);
            end(&mut daemon);
        }
        end(&mut self.munged);
        end_jobs(self.folder.path());
    }
}

fn end(daemon: &mut Child) {
    let _ = daemon.kill();
    let _ = daemon.wait();
}

/// Kills jobs and their daemons, which outlive the node daemon: every process whose environment or
/// command line contains the cluster's folder.
fn end_jobs(folder: &Path) {
    let ours = folder.as_os_str().as_encoded_bytes();
    let own = std::process::id();
    for entry in std::fs::read_dir("/proc").unwrap().flatten() {
        let Some(process) = entry
            .file_name()
            .to_str()
            .and_then(|name| name.parse::<u32>().ok())
        else {
            continue;
        };
        let is_ours = ["cmdline", "environ"].iter().any(|part| {
            std::fs::read(entry.path().join(part))
                .is_ok_and(|text| text.windows(ours.len()).any(|window| window == ours))
        });
        if is_ours && process != own {
            let _ = Command::new("kill")
                .args(["-KILL", &process.to_string()])
                .stderr(Stdio::null())
                .status();
        }
    }
}

fn start(folder: &Path, daemon: &str) -> Child {
    spawn(&[
        &format!("/usr/sbin/{daemon}"),
        "-D",
        "-f",
        &folder.join("slurm.conf").to_string_lossy(),
    ])
}

fn start_munged(folder: &Path) -> Child {
    let path = |name: &str| folder.join(name).to_string_lossy().into_owned();
    let key: String = (0..64).map(|_| uuid()).collect();
    std::fs::write(path("munge.key"), key).unwrap();
    set_mode(&folder.join("munge.key"), 0o600);
    spawn(&[
        "/usr/sbin/munged",
        "--foreground",
        "--force",
        &format!("--key-file={}", path("munge.key")),
        &format!("--socket={}", path("munge.socket")),
        &format!("--pid-file={}", path("munged.pid")),
        &format!("--log-file={}", path("munged.log")),
        &format!("--seed-file={}", path("munged.seed")),
    ])
}

/// Starts a daemon that the system kills when this process ends, even if by a signal.
fn spawn(command: &[&str]) -> Child {
    Command::new("setpriv")
        .args(["--pdeathsig", "KILL"])
        .args(command)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

fn write_configuration(folder: &Path, further: &str) {
    set_mode(folder, 0o711);
    for name in ["state", "spool"] {
        std::fs::create_dir(folder.join(name)).unwrap();
    }
    let host = Command::new("hostname").arg("-s").output().unwrap();
    let host = String::from_utf8(host.stdout).unwrap().trim().to_owned();
    let [controller_port, node_port] = free_ports();
    let path = folder.display();
    // More processors than there are, so that the trials of a test run at the same time. The four GPUs
    // are device files that exist everywhere.
    let configuration = format!(
        "\
ClusterName=offmodel
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={controller_port}
SlurmdPort={node_port}
CommunicationParameters=NoInAddrAny,NoCtldInAddrAny
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket={path}/munge.socket
CredType=cred/munge
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
AccountingStorageType=accounting_storage/none
JobAcctGatherType=jobacct_gather/none
JobCompType=jobcomp/filetxt
JobCompLoc={path}/completed
MpiDefault=none
ReturnToService=2
StateSaveLocation={path}/state
SlurmdSpoolDir={path}/spool
SlurmctldPidFile={path}/slurmctld.pid
SlurmdPidFile={path}/slurmd.pid
SlurmctldLogFile={path}/slurmctld.log
SlurmdLogFile={path}/slurmd.log
SchedulerParameters=sched_interval=1,batch_sched_delay=0,sched_min_interval=0,bf_interval=1
SlurmdParameters=config_overrides
KillWait=8
GresTypes=gpu
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
NodeName={host} NodeAddr=127.0.0.1 CPUs=24 RealMemory=20000 Gres=gpu:4 State=UNKNOWN
PartitionName=main Nodes={host} Default=YES MaxTime=INFINITE State=UP PriorityTier=1
PartitionName=urgent Nodes={host} MaxTime=INFINITE State=UP PriorityTier=10
{further}
"
    );
    std::fs::write(folder.join("slurm.conf"), configuration).unwrap();
    let gpus: String = ["null", "zero", "full", "random"]
        .iter()
        .map(|device| format!("Name=gpu File=/dev/{device}\n"))
        .collect();
    std::fs::write(folder.join("gres.conf"), gpus).unwrap();
}

/// Two ports that are free now.
fn free_ports() -> [u16; 2] {
    let listeners = [(); 2].map(|()| TcpListener::bind("127.0.0.1:0").unwrap());
    listeners.map(|listener| listener.local_addr().unwrap().port())
}

/// 36 random characters.
fn uuid() -> String {
    std::fs::read_to_string("/proc/sys/kernel/random/uuid").unwrap()
}

fn set_mode(path: &Path, mode: u32) {
    use std::os::unix::fs::PermissionsExt;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
}
