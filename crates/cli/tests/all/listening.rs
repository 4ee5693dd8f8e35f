//! `reproof server`, for tests that talk to it.

use std::io::{BufRead as _, BufReader, Read as _, Seek as _};
use std::process::{Command, Stdio};

use crate::support::Project;

/// A server at work, ended when it goes.
pub(crate) struct Server {
    process: std::process::Child,
    /// What it said of itself.
    pub(crate) said: serde_json::Value,
    pub(crate) url: String,
    pub(crate) agent: ureq::Agent,
    log: std::fs::File,
}

impl Server {
    pub(crate) fn start(project: &Project) -> Self {
        Self::start_with(project, &[])
    }

    pub(crate) fn start_with(project: &Project, options: &[&str]) -> Self {
        Self::start_program(project.program(), options)
    }

    /// Starts it by a program that has variables. What it says of its work is kept, all of it.
    pub(crate) fn start_program(mut program: Command, options: &[&str]) -> Self {
        let log = tempfile::tempfile().unwrap();
        let mut process = program
            .args(["server", "--port", "0", "--json", "-vvv"])
            .args(options)
            .stdout(Stdio::piped())
            .stderr(log.try_clone().unwrap())
            .spawn()
            .unwrap();
        let mut said = String::new();
        let mut lines = BufReader::new(process.stdout.take().unwrap());
        while !said.trim_end().ends_with('}') {
            assert!(
                lines.read_line(&mut said).unwrap() > 0,
                "the server ended: {said}"
            );
        }
        let said: serde_json::Value = serde_json::from_str(&said).unwrap();
        let url = said["url"].as_str().unwrap().to_owned();
        let agent = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .proxy(None)
            .build()
            .into();
        Self {
            process,
            said,
            url,
            agent,
            log,
        }
    }

    /// The answer at a path.
    pub(crate) fn get(&self, path: &str) -> serde_json::Value {
        let answer = self.agent.get(format!("{}/{path}", self.url)).call();
        let text = answer.unwrap().body_mut().read_to_string().unwrap();
        serde_json::from_str(&text).unwrap()
    }

    /// Ends it as the system ends what takes too much memory.
    pub(crate) fn kill(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }

    /// What it said of its work until now.
    pub(crate) fn read_log(&mut self) -> String {
        let mut text = String::new();
        self.log.rewind().unwrap();
        self.log.read_to_string(&mut text).unwrap();
        text
    }

    pub(crate) fn post(&self, call: &str, body: &str) -> serde_json::Value {
        let request = self
            .agent
            .post(&format!("{}/api/2.0/mlflow/{call}", self.url))
            .header("Content-Type", "application/json");
        let text = request
            .send(body)
            .unwrap()
            .body_mut()
            .read_to_string()
            .unwrap();
        serde_json::from_str(&text).unwrap()
    }

    /// Asks it to end, and expects that it does so in order.
    pub(crate) fn end(mut self) {
        let pid = rustix::process::Pid::from_raw(self.process.id().try_into().unwrap()).unwrap();
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
        assert_eq!(self.process.wait().unwrap().code(), Some(0));
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // After a failed assertion; one that has ended does not mind.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
