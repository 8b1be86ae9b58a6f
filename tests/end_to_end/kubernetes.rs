//! The manifests of deploy/kubernetes, as far as they can be looked at without a cluster: by the schemas of Kubernetes, by the
//! program itself, whose options they are, and by what their numbers have to do with each other.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde::Deserialize as _;
use serde_json::Value;

use crate::cluster::node::Node;
use crate::cluster::redis::Redis;
use crate::program::{output_of, scratch_folder};
use crate::server::binary;
use crate::tools;
use crate::waits::agent;

/// The oldest that has all of it (`preStop` that sleeps), and the newest of which the package has schemas.
const VERSIONS: [&str; 2] = ["1.30", "1.37"];

/// A node's name, as long as it may be.
const NAME_BYTES_MAX: usize = 16;

/// What the end of a node takes beside notice and window, in milliseconds: calls, other nodes that notice, a Redis that is away.
const REST_OF_A_DRAIN_MS: u64 = 2_000 + 2_500 + 8_000;

const SECRETS: &str = "/run/secrets/pinfold";

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy/kubernetes")
}

struct Manifests(Vec<Value>);

impl Manifests {
    fn read() -> Manifests {
        let text = fs::read_to_string(folder().join("pinfold.yml")).expect("the repository has it");
        let documents = serde_yaml_ng::Deserializer::from_str(&text);
        let documents = documents.map(|document| {
            let value = serde_yaml_ng::Value::deserialize(document).expect("YAML");
            serde_json::to_value(value).expect("names are texts")
        });
        Manifests(documents.collect())
    }

    /// The one of this kind and name.
    fn the(&self, kind: &str, name: &str) -> &Value {
        let mut found = self.0.iter();
        let found = found.find(|it| it["kind"] == kind && it["metadata"]["name"] == name);
        found.unwrap_or_else(|| panic!("there is no {kind} {name}"))
    }

    fn set(&self) -> &Value {
        &self.the("StatefulSet", "pinfold")["spec"]
    }

    fn pod(&self) -> &Value {
        &self.set()["template"]["spec"]
    }

    fn container(&self) -> &Value {
        let containers = self.pod()["containers"].as_array().expect("containers");
        assert_eq!(containers.len(), 1);
        &containers[0]
    }

    /// The configuration file of the pods.
    fn file(&self) -> &str {
        let file = &self.the("ConfigMap", "pinfold")["data"]["pinfold.toml"];
        file.as_str().expect("a text")
    }

    /// Written for this machine: with its secrets, and with ports of loopback addresses if these are given.
    fn file_in(&self, folder: &Path) -> PathBuf {
        let secrets = folder.join("secrets");
        fs::create_dir_all(&secrets).expect("our own folder");
        for item in self.secret()["items"].as_array().expect("items") {
            let path = secrets.join(item["path"].as_str().expect("a path"));
            let secret = format!("{:0>64}", path.display().to_string().len());
            let secret = match item["key"].as_str() {
                Some("admin-token") => format!("{secret}a"),
                Some("admin-read-token") => format!("{secret}b"),
                _ => secret,
            };
            fs::write(&path, secret).expect("our own folder");
            fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).expect("our own file");
        }
        let file = folder.join("pinfold.toml");
        let text = self.file().replace(SECRETS, &secrets.display().to_string());
        fs::write(&file, text).expect("our own folder");
        file
    }

    fn secret(&self) -> &Value {
        let volumes = self.pod()["volumes"].as_array().expect("volumes");
        let secrets = volumes.iter().find(|it| it["secret"].is_object());
        &secrets.expect("a volume of secrets")["secret"]
    }

    /// The variables of the pod with this number, on this machine.
    fn variables(&self, number: usize, redis: &str, folder: &Path) -> Vec<(String, String)> {
        let variables = self.container()["env"]
            .as_array()
            .expect("variables")
            .iter();
        let secrets = folder.join("secrets").display().to_string();
        let value = |variable: &Value| {
            let from = &variable["valueFrom"];
            match (
                variable["value"].as_str(),
                from["fieldRef"]["fieldPath"].as_str(),
            ) {
                (Some(value), _) => value
                    .replace("$(POD_IP)", "127.0.0.1")
                    .replace(SECRETS, &secrets),
                (_, Some("metadata.name")) => format!("pinfold-{number}"),
                (_, Some("status.podIP")) => "127.0.0.1".to_owned(),
                _ if from["secretKeyRef"]["key"] == "redis-url" => redis.to_owned(),
                _ => panic!("{variable}"),
            }
        };
        variables
            .map(|it| (it["name"].as_str().expect("a name").to_owned(), value(it)))
            .collect()
    }

    /// A time of the configuration file, in milliseconds.
    fn span_ms(&self, key: &str) -> u64 {
        let file: toml::Table = self.file().parse().expect("TOML");
        let text = file["cluster"][key].as_str().expect("a time");
        let seconds = text.strip_suffix('s').and_then(|it| it.parse::<u64>().ok());
        1_000 * seconds.unwrap_or_else(|| panic!("seconds: {text}"))
    }
}

#[test]
fn a_manifest_with_a_field_that_there_is_not() {
    let check = |file: &Path| {
        let mut command = tools::script("kubernetes.py");
        let output = output_of(command.arg(file).args(VERSIONS));
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        (
            output.status.code(),
            text + &String::from_utf8_lossy(&output.stderr),
        )
    };
    let file = folder().join("pinfold.yml");
    let (code, said) = check(&file);
    assert_eq!(code, Some(0), "{said}");
    assert!(said.starts_with("6 manifests by 2 versions"), "{said}");
    let text = fs::read_to_string(file).expect("the repository has it");
    let scratch = scratch_folder("kubernetes/wrong");
    for (right, wrong) in [
        ("readinessProbe:", "readynessProbe:"),
        ("maxUnavailable: 1", "maxUnavailable: [1]"),
        ("serviceName: pinfold-nodes", "x: 1"),
    ] {
        assert!(text.contains(right), "{right}");
        let file = scratch.join("wrong.yml");
        fs::write(&file, text.replacen(right, wrong, 1)).expect("our own folder");
        let (code, said) = check(&file);
        // What a later version no longer asks for is none of its mistakes.
        assert_eq!(code, Some(1), "{wrong}: {said}");
    }
}

#[test]
fn a_pod_whose_options_the_program_does_not_know() {
    let manifests = Manifests::read();
    let folder = scratch_folder("kubernetes/options");
    let file = manifests.file_in(&folder);
    let container = manifests.container();
    assert!(container["command"].is_null(), "process 1 is the program");
    let arguments = container["args"].as_array().expect("arguments").iter();
    let arguments: Vec<&str> = arguments.filter_map(Value::as_str).collect();
    assert_eq!(
        arguments,
        ["serve", "--config", "/etc/pinfold/pinfold.toml"]
    );
    let mounts = container["volumeMounts"].as_array().expect("mounts");
    assert!(mounts.iter().any(|it| it["mountPath"] == "/etc/pinfold"));
    assert!(mounts.iter().any(|it| it["mountPath"] == SECRETS));
    for number in 0..3 {
        let mut check = Command::new(binary());
        check.args(["config", "check", "--config"]).arg(&file);
        let variables = manifests.variables(number, "redis://:secret@redis:6379", &folder);
        let output = output_of(check.env_clear().envs(variables));
        let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
        assert!(output.status.success(), "{said}");
        // Nor is it taken for a mistyped one.
        assert!(!said.contains("PINFOLD_") && said.contains("ok"), "{said}");
    }
    // Those that Kubernetes would add for the Services.
    assert_eq!(manifests.pod()["enableServiceLinks"], false);
    let image =
        fs::read_to_string(self::folder().join("Dockerfile")).expect("the repository has it");
    assert!(
        image.contains("ENTRYPOINT [\"/usr/local/bin/pinfold\"]"),
        "no shell around it"
    );
    let user = manifests.pod()["securityContext"]["runAsUser"].to_string();
    assert!(image.contains(&format!("USER {user}:{user}")), "{image}");
}

#[test]
fn a_pod_that_is_killed_before_it_has_drained() {
    let manifests = Manifests::read();
    let (set, pod, container) = (manifests.set(), manifests.pod(), manifests.container());
    let grace_s = pod["terminationGracePeriodSeconds"]
        .as_u64()
        .expect("seconds");
    let before_s = container["lifecycle"]["preStop"]["sleep"]["seconds"].as_u64();
    let before_s = before_s.expect("seconds");
    let drain_ms = manifests.span_ms("drain-notice") + manifests.span_ms("drain-window");
    let all_ms = before_s * 1_000 + drain_ms + REST_OF_A_DRAIN_MS;
    assert!(grace_s * 1_000 >= all_ms, "{grace_s} s for {all_ms} ms");
    // Whoever sends it clients hears of it before its streams close.
    let probe = &container["readinessProbe"];
    let number = |member: &str| probe[member].as_u64().expect("a number");
    let noticed_s =
        number("failureThreshold") * (number("periodSeconds") + number("timeoutSeconds"));
    assert!((before_s * 1_000 + manifests.span_ms("drain-notice")) > noticed_s * 1_000);
    let (probes, ports) = (["readinessProbe", "livenessProbe"], &container["ports"]);
    let paths = probes.map(|it| container[it]["httpGet"]["path"].as_str().expect("a path"));
    assert_eq!(paths, ["/readyz", "/healthz"]);
    let ports = ports.as_array().expect("ports").iter();
    let ports: Vec<_> = ports
        .map(|it| (it["name"].as_str(), it["containerPort"].as_u64()))
        .collect();
    assert_eq!(
        ports,
        [(Some("http"), Some(8080)), (Some("admin"), Some(9464))]
    );
    let file: toml::Table = manifests.file().parse().expect("TOML");
    assert_eq!(
        (file["listen"].as_str(), file["admin"].as_str()),
        (Some("0.0.0.0:8080"), Some("0.0.0.0:9464"))
    );
    let cpus = container["resources"]["requests"]["cpu"]
        .as_str()
        .expect("CPUs");
    assert_eq!(
        file["cores"].as_integer(),
        cpus.parse().ok(),
        "a core for each CPU"
    );
    // The name of the hundredth.
    let name = manifests.the("StatefulSet", "pinfold")["metadata"]["name"]
        .as_str()
        .expect("a name");
    assert!(format!("{name}-99").len() <= NAME_BYTES_MAX);
    let (budget, replicas) = (
        manifests.the("PodDisruptionBudget", "pinfold"),
        &set["replicas"],
    );
    assert_eq!(
        budget["spec"]["maxUnavailable"], 1,
        "another one is there to go on"
    );
    assert!(replicas.as_u64() >= Some(2), "{replicas}");
}

#[test]
fn services_that_lead_to_no_pod() {
    let manifests = Manifests::read();
    let set = manifests.set();
    let labels = &set["template"]["metadata"]["labels"];
    assert!(labels.is_object());
    let selected = [
        &set["selector"]["matchLabels"],
        &manifests.the("Service", "pinfold")["spec"]["selector"],
        &manifests.the("Service", "pinfold-nodes")["spec"]["selector"],
        &manifests.the("PodDisruptionBudget", "pinfold")["spec"]["selector"]["matchLabels"],
    ];
    assert!(selected.iter().all(|it| *it == labels), "{selected:?}");
    let headless = &manifests.the("Service", set["serviceName"].as_str().expect("a name"))["spec"];
    assert_eq!(headless["clusterIP"], "None");
    let rules = &manifests.the("Ingress", "pinfold")["spec"]["rules"];
    let file: toml::Table = manifests.file().parse().expect("TOML");
    assert_eq!(
        rules[0]["host"].as_str(),
        file["allow-host"][0].as_str(),
        "its requests are let in"
    );
    let paths = rules[0]["http"]["paths"].as_array().expect("paths");
    assert_eq!(paths.len(), 3);
    for path in paths {
        assert_eq!(path["backend"]["service"]["name"], "pinfold", "{path}");
    }
}

/// Three pods' configuration on this machine, which have one network here: a rollout, from the last to the first.
#[test]
fn pods_that_do_not_know_each_other() {
    let manifests = Manifests::read();
    let folder = scratch_folder("kubernetes/rollout");
    let redis = Redis::start(&folder);
    let file = manifests.file_in(&folder);
    let text = fs::read_to_string(&file).expect("our own file");
    // Two addresses are what differs on one machine; and nobody waits here as long as clients are to have.
    let text = text.replace("drain-notice = \"5s\"", "drain-notice = \"1s\"");
    let text = text.replace("drain-window = \"20s\"", "drain-window = \"2s\"");
    fs::write(&file, text.replace("cores = 2\n", "")).expect("our own file");
    let token = folder.join("secrets/admin-token").display().to_string();
    let (config, url) = (file.display().to_string(), redis.url());
    let options = [
        "--config",
        &config,
        "--redis",
        &url,
        "--admin-token-file",
        &token,
    ];
    let mut nodes =
        [0, 1, 2].map(|number| Node::start_with(&format!("pinfold-{number}"), &options, &folder));
    let bearer = fs::read_to_string(&token).expect("our own file");
    let known = |node: &Node| {
        let request = agent().get(&format!("{}/cluster", node.admin()));
        let answer = request
            .header("Authorization", format!("Bearer {bearer}"))
            .call();
        let text = answer
            .expect("an answer")
            .into_body()
            .read_to_string()
            .expect("a body");
        let seen: Value = serde_json::from_str(&text).expect("JSON");
        let nodes = seen["nodes"].as_array().expect("nodes").iter();
        nodes.filter(|it| it["state"] == "alive").count()
    };
    let all_know = |nodes: &[Node; 3]| {
        crate::cluster::wait_until("all three are known", || {
            nodes.iter().all(|it| known(it) == 3)
        });
    };
    all_know(&nodes);
    for number in [2, 1, 0] {
        nodes[number]
            .stop()
            .unwrap_or_else(|fault| panic!("{fault}"));
        nodes[number].start_again();
        all_know(&nodes);
    }
    Node::stop_all(&mut nodes);
}
