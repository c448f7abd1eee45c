//! The pages in a real browser: the one that steps through a run, and the one on which a run is chosen.
//!
//! It needs Chromium and its driver, which `.ci/run` installs. Its screenshots are in the folder for temporary files of the
//! build, below `screenshots`.

use interrex_models::{
    evidence::trace::Trace,
    model::environment::{Budget, Start},
    protocol::registry::built_in,
    verdict::scenario::Scenario,
};
use serde_json::{Value, json};
use std::{
    collections::BTreeMap,
    fs,
    io::{BufRead, BufReader, Cursor},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};
use thirtyfour::prelude::*;
use tokio::time::sleep;

/// A process that ends with the value.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Starts a process, and reads its output until a line has this in it: what follows there.
fn started(command: &mut Command, mark: &str) -> (Running, String) {
    let mut process = Running(command.stdout(Stdio::piped()).spawn().expect("it starts"));
    let mut out = BufReader::new(process.0.stdout.take().expect("a pipe"));
    loop {
        let mut line = String::new();
        assert!(out.read_line(&mut line).expect("text") > 0, "it ends without {mark:?}");
        if let Some((_, rest)) = line.split_once(mark) {
            let rest = rest.trim_end().to_string();
            // It may go on writing.
            std::thread::spawn(move || std::io::copy(&mut out, &mut std::io::sink()));
            return (process, rest);
        }
    }
}

fn interrex() -> Command {
    Command::new(env!("CARGO_BIN_EXE_interrex"))
}

fn known(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../traces").join(name)
}

/// A folder for what this test leaves behind.
fn folder(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    fs::create_dir_all(&folder).expect("a folder");
    folder
}

/// A browser, and the driver that it ends with.
struct Browser {
    driver: WebDriver,
    downloads: PathBuf,
    _process: Running,
}

impl Browser {
    async fn start() -> Self {
        let (process, port) = started(
            Command::new("chromedriver").arg("--port=0"),
            "ChromeDriver was started successfully on port ",
        );
        let port = port.trim_end_matches('.');
        let downloads = folder("downloads");
        let mut wanted = DesiredCapabilities::chrome();
        // Continuous integration runs as root, for whom Chromium has no sandbox.
        for argument in
            ["--headless", "--no-sandbox", "--disable-dev-shm-usage", "--window-size=1400,900"]
        {
            wanted.add_arg(argument).expect("an argument");
        }
        let preferences = json!({ "download.default_directory": downloads });
        wanted.add_experimental_option("prefs", preferences).expect("preferences");
        let driver = WebDriver::new(format!("http://127.0.0.1:{port}"), wanted).await;
        let driver = driver.expect("a browser");
        Self { driver, downloads, _process: process }
    }

    async fn open(&self, address: &str) {
        // Another fragment alone would not load a page anew.
        self.driver.goto("about:blank").await.expect("a page");
        self.driver.goto(address).await.expect("a page");
    }

    /// The value of an expression on the page.
    async fn value(&self, expression: &str) -> Value {
        let script = format!("return ({expression});");
        let value = self.driver.execute(script, Vec::new()).await.expect("it is evaluated");
        value.json().clone()
    }

    async fn text(&self, expression: &str) -> String {
        self.value(expression).await.as_str().unwrap_or_default().to_string()
    }

    /// Waits until an expression on the page is this.
    async fn until(&self, expression: &str, expected: &str) {
        let mut last = String::new();
        for _ in 0..100 {
            last = self.text(expression).await;
            if last == expected {
                return;
            }
            sleep(Duration::from_millis(100)).await;
        }
        panic!("{expression} is {last:?}, and not {expected:?}");
    }

    async fn press(&self, key: Key) {
        let keys = self.driver.action_chain().key_down(key.clone()).key_up(key);
        keys.perform().await.expect("it is pressed");
    }

    async fn click(&self, selector: &str) {
        let element = self.driver.find(By::Css(selector)).await.expect(selector);
        element.scroll_into_view().await.expect(selector);
        element.click().await.expect(selector);
    }

    /// Takes pictures of the page, light and dark, and looks at them.
    async fn look(&self, name: &str) {
        for scheme in ["light", "dark"] {
            let feature = json!({ "name": "prefers-color-scheme", "value": scheme });
            let parameters = json!({ "features": [feature] });
            let tools = self.driver.cdp();
            let emulated = tools.send_raw("Emulation.setEmulatedMedia", parameters);
            emulated.await.expect("it is emulated");
            let sticks_out = self
                .value(
                    "document.documentElement.scrollWidth - document.documentElement.clientWidth",
                )
                .await;
            assert_eq!(sticks_out, 0, "{name} is wider than the window");
            let picture = self.driver.screenshot_as_png().await.expect("a picture");
            let path = folder("screenshots").join(format!("{name}-{scheme}.png"));
            fs::write(&path, &picture).expect("a file");
            let (share, brightness, colours) = ground(&picture);
            assert!((0.4..0.99).contains(&share), "{name} {scheme}: {share} of it is ground");
            assert_eq!(brightness > 128, scheme == "light", "{name} {scheme}: {brightness}");
            assert!(colours > 30, "{name} {scheme}: {colours} colours");
        }
    }
}

/// The most frequent colour of a picture: its share, its brightness, and how many colours there are.
fn ground(picture: &[u8]) -> (f64, u32, usize) {
    let mut reader = png::Decoder::new(Cursor::new(picture)).read_info().expect("a picture");
    let mut pixels = vec![0; reader.output_buffer_size().expect("a size")];
    let info = reader.next_frame(&mut pixels).expect("a frame");
    let mut count = BTreeMap::<[u8; 3], u32>::new();
    for pixel in pixels.chunks_exact(info.color_type.samples()) {
        *count.entry([pixel[0], pixel[1], pixel[2]]).or_default() += 1;
    }
    let (colour, most) = count.iter().max_by_key(|(_, count)| **count).expect("a pixel");
    let brightness = colour.iter().map(|part| u32::from(*part)).sum::<u32>() / 3;
    (f64::from(*most) / f64::from(info.width * info.height), brightness, count.len())
}

/// The page of a trace, as a file.
fn page_of(trace: &Path, name: &str) -> String {
    let output =
        interrex().args(["replay", "--format", "html"]).arg(trace).output().expect("it runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let path = folder("pages").join(name);
    fs::write(&path, output.stdout).expect("a file");
    format!("file://{}", path.display())
}

/// A run of this many steps: messages are delivered as they come, and otherwise the nodes take turns with commands.
fn long_run(steps: usize) -> PathBuf {
    let known = built_in()["gms3"];
    let scenario = Scenario::builder().protocol(known).nodes(3).start(Start::Joined);
    let scenario = scenario.budget(Budget::Commands, 300).budget(Budget::Crashes, 1);
    let scenario = scenario.property(known.properties()[0]).build().expect("a scenario");
    let harness = scenario.harness();
    let mut names: Vec<String> = vec![];
    let properties = known.properties();
    while names.len() < steps {
        let at = harness.outlook(&[], &names).expect("a run");
        let mut whole = at.ways.iter().filter(|way| !way.crashes);
        let delivery = whole.clone().find(|way| way.kind == "deliver");
        let turn = format!("command at n{}", names.len() % 3);
        let next = delivery.or_else(|| whole.find(|way| way.action == turn));
        names.push(next.expect("a way").action.clone());
    }
    let at = harness.outlook(properties, &names).expect("a run");
    let trace: Trace = at.trace("gms3", "a long run", &scenario.environment, &at.properties[0]);
    let path = folder("pages").join(format!("long-{steps}.json"));
    fs::write(&path, trace.to_json()).expect("a file");
    path
}

const HERE: &str = "document.getElementById('here').textContent";
const PLACE: &str = "document.getElementById('place').textContent";
/// The heading of the step that is shown.
const STEP: &str = "[...document.querySelectorAll('section[data-from] h2')].filter(it => it.checkVisibility()).map(it => it.textContent).join('|')";
/// The complaints about the property of the page.
const VERDICT: &str = "[...document.querySelectorAll('div[data-from] > .bad')].filter(it => it.checkVisibility()).map(it => it.textContent).join('|')";

#[tokio::test]
#[ignore = "needs Chromium: see .ci/run"]
async fn a_page_steps_through_a_run() {
    let browser = Browser::start().await;
    let trace = known("gms3/no-lost-message-validity.joined-3.json");
    browser.open(&page_of(&trace, "short.html")).await;
    browser.until(HERE, "beginning (4 steps)").await;
    browser.until(STEP, "The beginning").await;
    browser.press(Key::Right).await;
    browser.until(STEP, "Step 1: command at n1").await;
    browser.press(Key::Right).await;
    browser.until(HERE, "step 2 of 4").await;
    browser.until(STEP, "Step 2: crash n0").await;
    assert_eq!(browser.text(VERDICT).await, "");
    browser.press(Key::Left).await;
    browser.until(STEP, "Step 1: command at n1").await;
    // The keys of the slider itself.
    let slider = browser.driver.find(By::Id("step")).await.expect("a slider");
    slider.send_keys(Key::End).await.expect("it is moved");
    browser.until(HERE, "step 4 of 4").await;
    browser.until(VERDICT, "Violated: n1 sent n1.0 and never delivered it").await;
    slider.send_keys(Key::Left).await.expect("it is moved");
    browser.until(STEP, "Step 3: deliver n0 → n1").await;
    assert_eq!(browser.text("document.querySelector('.row.now').dataset.first").await, "3");
    assert_eq!(browser.text("location.hash").await, "#step-3");
    // As many steps as any known trace has, and ten times as many.
    for (trace, name) in
        [(known("gen_leader/controls/bounded-ids.one-id.json"), "29"), (long_run(300), "300")]
    {
        browser.open(&page_of(&trace, &format!("{name}.html"))).await;
        browser.press(Key::End).await;
        browser.until(HERE, &format!("step {name} of {name}")).await;
        browser.look(&format!("replay-{name}")).await;
    }
    browser.driver.quit().await.expect("it ends");
}

#[tokio::test]
#[ignore = "needs Chromium: see .ci/run"]
async fn a_run_is_chosen_saved_and_replayed() {
    let browser = Browser::start().await;
    let (_server, address) = started(interrex().args(["explore", "gms3/joined-3"]), "http://");
    browser.open(&format!("http://{address}")).await;
    browser.until(PLACE, "the beginning").await;
    browser.click("[data-do='command at n1']").await;
    browser.until(PLACE, "step 1: command at n1").await;
    browser.click("[data-do='crash n0']").await;
    browser.until(PLACE, "step 2: crash n0").await;
    let reason = "document.querySelector(\"[data-refused='crash n0']\").closest('li').textContent";
    assert_eq!(browser.text(reason).await, "crash n0: n0 is not up");
    // Back by the button, by the key, and by the browser; and on again by name.
    browser.click("#back").await;
    browser.until(PLACE, "step 1: command at n1").await;
    browser.driver.back().await.expect("a page before");
    browser.until(PLACE, "step 2: crash n0").await;
    browser.driver.refresh().await.expect("the page again");
    browser.until(PLACE, "step 2: crash n0").await;
    browser.press(Key::Backspace).await;
    browser.until(PLACE, "step 1: command at n1").await;
    let filter = browser.driver.find(By::Id("filter")).await.expect("a field");
    filter.send_keys("crash n0").await.expect("it is typed");
    filter.send_keys(Key::Enter).await.expect("it is typed");
    browser.until(PLACE, "step 2: crash n0").await;

    browser.click("#known summary").await;
    browser.click("#known a[href*='no-lost-message-validity.joined-3.json']").await;
    browser.until(PLACE, "step 4: crash n2").await;
    let standing =
        "document.querySelector(\"[data-property='no-lost-message-validity'] .bad\").textContent";
    assert_eq!(browser.text(standing).await, "violated after step 4");
    browser.look("explore-4").await;
    let saved = browser.downloads.join("no-lost-message-validity.joined-3.json");
    let _ = fs::remove_file(&saved);
    browser.click("#save").await;
    for _ in 0..100 {
        if saved.exists() {
            break;
        }
        sleep(Duration::from_millis(100)).await;
    }
    let output = interrex().arg("replay").arg(&saved).output().expect("it runs");
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(output.status.code(), Some(0), "{said}");
    assert!(said.contains("no-lost-message-validity is violated after step 4"), "{said}");

    // A path that does not lead on is a sentence, and one can go back.
    browser.open(&format!("http://{address}#do=crash+n0&do=crash+n0")).await;
    browser
        .until(
            "document.getElementById('wrong').textContent",
            "step 2, `crash n0`, is not possible: n0 is not up",
        )
        .await;
    browser.click("#back").await;
    browser.until(PLACE, "step 1: crash n0").await;
    assert_eq!(browser.value("document.getElementById('wrong').hidden").await, true);

    for (trace, name) in
        [(known("gen_leader/controls/bounded-ids.one-id.json"), "29"), (long_run(300), "300")]
    {
        let (_server, address) = started(interrex().arg("explore").arg(&trace), "http://");
        browser.open(&format!("http://{address}")).await;
        let is_there = format!("{PLACE}.startsWith('step {name}: ') ? 'yes' : {PLACE}");
        browser.until(&is_there, "yes").await;
        browser.look(&format!("explore-{name}")).await;
    }
    browser.driver.quit().await.expect("it ends");
}
