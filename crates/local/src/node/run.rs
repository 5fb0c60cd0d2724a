//! One run of one container: everything it needs is put in place, it is started,
//! listened to, probed, stopped when that is asked, and its end is told.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;
use jiff::Timestamp;
use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::api::core::v1::{ConfigMap, Container, Pod, Secret};
use kube::Api;
use serde::de::DeserializeOwned;
use tokio::io::AsyncReadExt;
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;

use super::Node;
use super::environment::{self, Names, Objects, Surroundings};
use super::images::Entrypoint;
use super::lifecycle::Happening;
use super::lifecycle::container::StartFailure;
use super::logs::{PodKey, RunLog, Splitter, Stream, termination_message};
use super::permission::NotAllowed;
use super::prober::{self, CommandPlace, Prober};
use super::runtime::{Exit, Instance, Launch, Order, Output, StartError};
use super::volumes;
use crate::apiserver::private;

/// Output that comes after a container's end is waited for this long: all its
/// processes are gone, so only a foreign one can still hold the pipe.
const LAST_OUTPUT: Duration = Duration::from_secs(1);

/// A termination log is read up to here (a kubelet's limit).
const TERMINATION_LOG_LIMIT: u64 = 4096;

/// When a container is to be told to end, and when it is ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StopOrder {
    /// SIGTERM, once no request is at the Pod.
    pub terminate: Instant,
    /// SIGTERM, whatever is still at the Pod.
    pub latest: Instant,
    /// SIGKILL.
    pub kill: Instant,
}

/// What one run is told.
pub struct Run {
    /// The node.
    pub node: Arc<Node>,
    /// Which Pod.
    pub key: PodKey,
    /// The Pod, as it is now.
    pub pod: Arc<Pod>,
    /// Which container of the Pod's life.
    pub index: usize,
    /// Its spec.
    pub container: Container,
    /// How often it was restarted before.
    pub restarts: i32,
    /// The Pod's port, if this is the container that serves.
    pub port: Option<u16>,
    /// When to stop.
    pub stop: watch::Receiver<Option<StopOrder>>,
    /// Where to tell what happens.
    pub happenings: mpsc::Sender<(usize, Happening)>,
}

/// A container that is ready to be started.
struct Prepared {
    launch: Launch,
    image_id: String,
    probers: Vec<Prober>,
    termination_log: PathBuf,
}

impl Run {
    /// Runs it to its end. The last thing told is always a failure or an exit.
    pub async fn run(mut self) {
        let mut stop = self.stop.clone();
        let begun = tokio::select! {
            begun = self.begin() => begun,
            Ok(_) = stop.wait_for(Option::is_some) => Ok(None),
        };
        let end = match begun {
            Ok(Some((instance, log, prepared))) => {
                self.tell(Happening::Started {
                    id: instance.id(),
                    image_id: prepared.image_id.clone(),
                })
                .await;
                let termination_log = prepared.termination_log.clone();
                let exit = self.attend(instance, &log, prepared).await;
                self.hold_port();
                log.close();
                let message = self.last_words(&termination_log, &log, exit);
                Happening::Exited { exit, message }
            }
            // Stopped before it began.
            Ok(None) => Happening::Exited {
                exit: Exit::Unknown,
                message: String::new(),
            },
            Err(failure) => Happening::Failed(failure),
        };
        self.tell(end).await;
    }

    /// Nothing of the Pod listens on its port any more; whether somebody else was quicker
    /// is found out at the next start.
    fn hold_port(&self) {
        if let Some(port) = self.port {
            self.node.ports.hold(port);
        }
    }

    async fn tell(&self, happening: Happening) {
        // A worker that is gone wants to know nothing more.
        let _ = self.happenings.send((self.index, happening)).await;
    }

    async fn begin(
        &self,
    ) -> Result<Option<(Box<dyn Instance>, Arc<RunLog>, Prepared)>, StartFailure> {
        let prepared = self.prepare().await?;
        let node_fault = |error: std::io::Error| StartFailure::Node(error.to_string());
        let log = self
            .node
            .logs
            .begin(&self.key, &self.container.name, self.restarts)
            .map_err(node_fault)?;
        let Ok(_turn) = self.node.starts.acquire().await else {
            return Ok(None);
        };
        if let Some(port) = self.port {
            self.node.ports.release(port);
        }
        match self.node.runtime.start(prepared.launch.clone()).await {
            Ok(instance) => Ok(Some((instance, log, prepared))),
            Err(error) => {
                log.close();
                self.hold_port();
                Err(match error {
                    StartError::Command(message) => StartFailure::Command(message),
                    StartError::Runtime(error) => StartFailure::Node(error.to_string()),
                })
            }
        }
    }

    async fn prepare(&self) -> Result<Prepared, StartFailure> {
        let (pod, container) = (&*self.pod, &self.container);
        let probers = Prober::all(container, self.port)
            .map_err(|unknown| StartFailure::Config(unknown.to_string()))?;
        let image = container.image.as_deref().unwrap_or_default();
        let image = self
            .node
            .images
            .resolve(image)
            .map_err(|unknown| StartFailure::Image(unknown.to_string()))?;
        let refused = |error: NotAllowed| StartFailure::NotAllowed(error.to_string());
        image
            .permission
            .check(container, &image.command)
            .map_err(refused)?;

        let mut names = environment::needed(container);
        let of_volumes = volumes::needed(pod);
        names.config_maps.extend(of_volumes.config_maps);
        names.secrets.extend(of_volumes.secrets);
        let objects = self
            .fetch(&names)
            .await
            .map_err(|error| StartFailure::Node(error.to_string()))?;

        let (work, termination_log) = self
            .make_folders()
            .map_err(|error| StartFailure::Node(error.to_string()))?;
        let place = self.node.pod_folder(&self.key).join("volumes");
        let own = volumes::materialise(pod, container, &objects, &place, &termination_log)
            .map_err(|error| StartFailure::Volume(error.to_string()))?;
        let given = environment::given(pod, container, &objects, self.port)
            .map_err(|error| StartFailure::Config(error.to_string()))?;
        image
            .permission
            .check_variables(container, given.names())
            .map_err(refused)?;
        let passed = image
            .pass_env
            .iter()
            .filter_map(|name| Some((name.clone(), std::env::var(name).ok()?)));
        let around = Surroundings {
            home: work.to_string_lossy().into_owned(),
            passed: passed.collect(),
            image: image.env.clone(),
            own,
        };
        let env = environment::resolve(pod, given, around);
        let image_id = image.image_id.clone();
        Ok(Prepared {
            launch: self.launch(image, env, work),
            image_id,
            probers,
            termination_log,
        })
    }

    /// Makes the container's working folder and the file for its last words.
    fn make_folders(&self) -> std::io::Result<(PathBuf, PathBuf)> {
        let folder = self.node.pod_folder(&self.key);
        let logs = folder.join("termination-logs");
        let termination_log = logs.join(&self.container.name);
        let work = folder.join("work").join(&self.container.name);
        private::make_folder(&work)?;
        private::make_folder(&logs)?;
        private::place(&termination_log, b"", 0o600)?;
        Ok((work, termination_log))
    }

    /// What the runtime is to start; `work` is the container's own folder.
    fn launch(&self, image: Entrypoint, env: Vec<(String, String)>, work: PathBuf) -> Launch {
        let container = &self.container;
        let given = |words: &Option<Vec<String>>| {
            words
                .as_ref()
                .filter(|words| !words.is_empty())
                .map(|words| environment::expand_all(words, &env))
        };
        // The manifest's folder is one of the image, so the mapping's comes first.
        let mapped = image.workdir.clone();
        let mut command = given(&container.command).unwrap_or_else(|| image.command_on(self.port));
        command.extend(given(&container.args).unwrap_or_default());
        let workdir = mapped
            .or_else(|| {
                container
                    .working_dir
                    .as_ref()
                    .map(PathBuf::from)
                    .filter(|dir| dir.is_dir())
            })
            .unwrap_or(work);
        Launch {
            label: format!(
                "{}/{}/{}",
                self.key.namespace, self.key.name, container.name
            ),
            command,
            env,
            workdir,
            port: self.port,
        }
    }

    async fn fetch(&self, names: &Names) -> Result<Objects, kube::Error> {
        let mut objects = Objects::default();
        for name in &names.config_maps {
            if let Some(found) = self.get::<ConfigMap>(name).await? {
                objects.config_maps.insert(name.clone(), found);
            }
        }
        for name in &names.secrets {
            if let Some(found) = self.get::<Secret>(name).await? {
                objects.secrets.insert(name.clone(), found);
            }
        }
        Ok(objects)
    }

    async fn get<K>(&self, name: &str) -> Result<Option<K>, kube::Error>
    where
        K: kube::Resource<DynamicType = (), Scope = NamespaceResourceScope>
            + Clone
            + DeserializeOwned
            + std::fmt::Debug,
    {
        Api::<K>::namespaced(self.node.client.clone(), &self.key.namespace)
            .get_opt(name)
            .await
    }

    /// Lives with the process until it is gone.
    async fn attend(
        &mut self,
        mut instance: Box<dyn Instance>,
        log: &RunLog,
        prepared: Prepared,
    ) -> Exit {
        let started = Instant::now();
        let place = CommandPlace {
            runtime: Arc::clone(&self.node.runtime),
            launch: prepared.launch,
        };
        let (index, happenings) = (self.index, self.happenings.clone());
        let probes = prober::run(prepared.probers, started, place, move |happening| {
            let happenings = happenings.clone();
            async move {
                let _ = happenings.send((index, happening)).await;
            }
        });
        let mut probes = std::pin::pin!(probes);
        let mut output = std::pin::pin!(keep(instance.take_output(), log));
        let mut drained = false;
        // Each is carried out once; a later order can only bring it forward.
        let mut times = Times::default();
        let mut answered: Option<BoxFuture<'static, ()>> = None;
        let exit = loop {
            tokio::select! {
                exit = instance.wait() => break exit,
                () = &mut output, if !drained => drained = true,
                () = &mut probes => {}
                Ok(()) = self.stop.changed() => {
                    if let Some(order) = *self.stop.borrow_and_update() {
                        times.take(order);
                    }
                }
                () = sleep_until(times.kill), if times.kill.is_some() => {
                    times = Times { asked: true, ..Times::default() };
                    instance.order(Order::Kill).await;
                }
                () = sleep_until(times.terminate), if times.terminate.is_some() => {
                    times.terminate = None;
                    answered = Some(self.node.requests.answered(&self.key.uid));
                }
                () = resolved(&mut answered), if answered.is_some() => {
                    times.latest = Some(Instant::now());
                    answered = None;
                }
                () = sleep_until(times.latest), if times.latest.is_some() => {
                    (times.terminate, times.latest, answered) = (None, None, None);
                    // With no time left, only the second signal would be seen.
                    if times.kill > Some(Instant::now()) {
                        instance.order(Order::Terminate).await;
                    }
                }
            }
        };
        if !drained {
            let _ = tokio::time::timeout(LAST_OUTPUT, output).await;
        }
        exit
    }

    /// The message of a terminated container, by its `terminationMessagePolicy`.
    fn last_words(&self, termination_log: &PathBuf, log: &RunLog, exit: Exit) -> String {
        use std::io::Read;
        let mut words = Vec::new();
        if let Ok(file) = std::fs::File::open(termination_log) {
            let _ = file.take(TERMINATION_LOG_LIMIT).read_to_end(&mut words);
        }
        let falls_back =
            self.container.termination_message_policy.as_deref() == Some("FallbackToLogsOnError");
        match words.is_empty() && falls_back && exit != Exit::Code(0) {
            true => termination_message(log),
            false => String::from_utf8_lossy(&words).into_owned(),
        }
    }
}

/// The times of a [`StopOrder`] that are still to come.
#[derive(Default)]
struct Times {
    asked: bool,
    terminate: Option<Instant>,
    latest: Option<Instant>,
    kill: Option<Instant>,
}

impl Times {
    /// Takes the first order as it is; a further one only brings forward what is left.
    fn take(&mut self, order: StopOrder) {
        let first = !std::mem::replace(&mut self.asked, true);
        let earlier = |known: Option<Instant>, new: Instant| match known {
            Some(known) => Some(known.min(new)),
            None => first.then_some(new),
        };
        self.terminate = earlier(self.terminate, order.terminate);
        self.latest = earlier(self.latest, order.latest);
        self.kill = Some(self.kill.map_or(order.kill, |at| at.min(order.kill)));
    }
}

/// Waits for a future that may be there.
async fn resolved(future: &mut Option<BoxFuture<'static, ()>>) {
    match future {
        Some(future) => future.await,
        None => std::future::pending().await,
    }
}

async fn sleep_until(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => tokio::time::sleep_until(deadline).await,
        None => std::future::pending().await,
    }
}

/// Keeps what a container prints until both its streams end.
async fn keep(output: Option<(Output, Output)>, log: &RunLog) {
    if let Some((out, err)) = output {
        tokio::join!(
            keep_stream(out, Stream::Stdout, log),
            keep_stream(err, Stream::Stderr, log)
        );
    }
}

async fn keep_stream(mut output: Output, stream: Stream, log: &RunLog) {
    let mut splitter = Splitter::new(stream);
    let mut buffer = vec![0; 8 * 1024];
    loop {
        match output.read(&mut buffer).await {
            Ok(0) | Err(_) => break,
            Ok(count) => {
                let bytes = buffer.get(..count).unwrap_or_default();
                log.append(&splitter.push(bytes, Timestamp::now()));
            }
        }
    }
    log.append(&splitter.finish(Timestamp::now()));
}
