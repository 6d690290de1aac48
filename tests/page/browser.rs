//! A headless browser, started once: it opens every page in a frame of its own, and gives back what their probes saw.
//!
//! ```text
//!   around.html  [ frame "walk" 1280 x 900 ][ frame "phone" 375 x 812 ] ..    each: the page, with probe.js put in
//!        ^              |                          |
//!        `- findings ---+--------------------------'   --dump-dom writes them to this process
//! ```
//!
//! Does not know: what the pages show.

use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;

/// Beyond this it hangs.
const LIMIT: Duration = Duration::from_secs(60);
/// Time that the pages have, by their own clock, which runs ahead when they have nothing to do.
const BUDGET_MS: u32 = 5_000;

/// A page to look at.
pub(crate) struct Frame {
    pub(crate) name: &'static str,
    pub(crate) html: String,
    /// What stands behind `#` in its address; `probe=..` says what is to be done with it.
    pub(crate) address: &'static str,
    pub(crate) width: u32,
    /// The language that its browser says the reader speaks.
    pub(crate) language: &'static str,
}

/// What every frame's probe saw, by the frame's name; null without a browser.
pub(crate) fn look_at(frames: &[Frame]) -> Result<Value, String> {
    let Some(browser) = find() else { return Ok(Value::Null) };
    let folder = std::env::temp_dir().join(format!("roundel-page-{}", std::process::id()));
    fs::create_dir_all(&folder).unwrap();
    let around = write_pages(&folder, frames);
    let document = open(browser, &folder, &around);
    let _ = fs::remove_dir_all(&folder);
    let found = document.split_once("<pre id=\"findings\">").and_then(|(_, rest)| rest.split_once("</pre>"));
    let (found, _) = found.ok_or_else(|| format!("the pages did not answer in time:\n{document}"))?;
    serde_json::from_str(found).map_err(|error| error.to_string())
}

/// The name of one that works: some systems have a stand-in that only says how to install it.
fn find() -> Option<&'static str> {
    let works = |name: &&str| {
        let version = Command::new(name).arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status();
        version.is_ok_and(|status| status.success())
    };
    ["chromium", "chromium-browser", "google-chrome"].into_iter().find(works)
}

/// The pages, each with a probe, and one around them that collects what the probes tell.
fn write_pages(folder: &Path, frames: &[Frame]) -> PathBuf {
    let mut body = String::new();
    for Frame { name, html, address, width, language } in frames {
        let before = format!(
            "<head><script>const errors = []; onerror = (text, file, line) => errors.push(`${{text}} (${{line}})`);\
             Object.defineProperty(navigator, 'language', {{ value: '{language}' }});</script>"
        );
        let behind = format!("<script>\n{}\n</script></body>", include_str!("probe.js"));
        let html = html.replacen("<head>", &before, 1);
        let (html, end) = html.rsplit_once("</body>").unwrap();
        fs::write(folder.join(format!("{name}.html")), format!("{html}{behind}{end}")).unwrap();
        body += &format!("<iframe name='{name}' src='{name}.html#{address}' width={width} height=812></iframe>\n");
    }
    let around = folder.join("around.html");
    let script = "const findings = {};
        addEventListener('message', ({ data }) => {
          findings[data.name] = data;
          document.title += ' ' + data.name;
          if (Object.keys(findings).length < document.querySelectorAll('iframe').length) return;
          const escaped = (char) => '\\\\u' + char.charCodeAt(0).toString(16).padStart(4, '0');
          const place = document.body.appendChild(document.createElement('pre'));
          place.id = 'findings';
          place.textContent = JSON.stringify(findings).replace(/[<>&\\u007f-\\uffff]/g, escaped);
        });";
    fs::write(&around, format!("<!doctype html><script>{script}</script><body>{body}</body>")).unwrap();
    around
}

/// The document of this page when all its scripts have had their time.
fn open(browser: &str, folder: &Path, page: &Path) -> String {
    let mut child = Command::new(browser)
        .args([
            "--headless=new",
            "--no-sandbox",
            "--disable-gpu",
            "--no-first-run",
            "--disable-background-timer-throttling",
            "--disable-renderer-backgrounding",
            "--window-size=1400,900",
        ])
        .arg(format!("--user-data-dir={}", folder.join("profile").display()))
        .arg(format!("--virtual-time-budget={BUDGET_MS}"))
        .arg("--dump-dom")
        .arg(format!("file://{}", page.display()))
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut stdout = child.stdout.take().unwrap();
    let reader = thread::spawn(move || {
        let mut document = Vec::new();
        let _ = stdout.read_to_end(&mut document);
        String::from_utf8_lossy(&document).into_owned()
    });
    let started = Instant::now();
    while child.try_wait().unwrap().is_none() {
        if started.elapsed() > LIMIT {
            let _ = child.kill();
        }
        thread::sleep(Duration::from_millis(20));
    }
    reader.join().unwrap()
}
