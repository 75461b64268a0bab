// SPDX-License-Identifier: MIT OR Apache-2.0
//! Chromium without a window.

use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

/// How long a page may take.
const TIMEOUT: Duration = Duration::from_secs(60);

/// An installed browser.
#[derive(Debug)]
pub(crate) struct Browser(PathBuf);

/// A page that was opened and has run its script.
#[derive(Debug)]
pub(crate) struct Opened {
    /// The document as the script left it.
    pub(crate) document: String,
    /// What the browser complained of.
    pub(crate) log: String,
}

impl Browser {
    /// Returns the first browser on the path, or says on standard error that there is none.
    pub(crate) fn find() -> Option<Self> {
        let path = std::env::var_os("PATH").unwrap_or_default();
        let names = ["chromium", "chromium-browser", "google-chrome", "google-chrome-stable"];
        let mut files = std::env::split_paths(&path).flat_map(|folder| names.map(|name| folder.join(name)));
        let found = files.find(|file| file.is_file()).map(Self);
        if found.is_none() {
            eprintln!("skipped: no chromium");
        }
        found
    }

    /// Opens a page.
    pub(crate) fn open(&self, address: &str) -> Opened {
        let folder = tempfile::tempdir().unwrap();
        let (document, log) = (folder.path().join("document"), folder.path().join("log"));
        let file = |path| Stdio::from(fs_err::File::create(path).unwrap().into_parts().0);
        let mut child = Command::new(&self.0)
            .args(["--headless=new", "--no-sandbox", "--disable-gpu", "--enable-logging=stderr", "--dump-dom"])
            .arg(format!("--user-data-dir={}", folder.path().join("profile").display()))
            .arg(address)
            .stdin(Stdio::null())
            .stdout(file(&document))
            .stderr(file(&log))
            .spawn()
            .unwrap();

        let start = Instant::now();
        while child.try_wait().unwrap().is_none() {
            if start.elapsed() > TIMEOUT {
                child.kill().unwrap();
                child.wait().unwrap();
                panic!("the browser did not open {address} within {TIMEOUT:?}");
            }
            sleep(Duration::from_millis(20));
        }
        let read = |path| String::from_utf8_lossy(&fs_err::read(path).unwrap()).into_owned();
        Opened { document: read(document), log: read(log) }
    }
}
