//! The site: a frame, a view for each run, and the run as a trace. It keeps nothing: each request holds the whole run.

use crate::{
    claim::property::Property,
    evidence::{
        draw::{
            chart::Chart,
            html::outlook::{frame, view},
            svg::Caption,
        },
        known::KnownTrace,
        outlook::{Judged, Outlook},
        replay::{Mode, Replay},
        trace::Trace,
    },
    io::text::printable,
    protocol::registry::{Known, Registry},
    verdict::scenario::Scenario,
};
use axum::{
    Json, Router,
    extract::{Query, Request, State},
    http::{
        HeaderName, StatusCode,
        header::{CACHE_CONTROL, CONTENT_DISPOSITION, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HOST},
    },
    middleware::{self, Next},
    response::{Html, IntoResponse, Redirect, Response},
    routing::{get, post},
};
use form_urlencoded::Serializer;
use serde::Deserialize;
use std::sync::Arc;
use tokio::task::spawn_blocking;

/// The page loads nothing, and talks to nobody but the server that it comes from.
const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; connect-src 'self'; \
                      frame-ancestors 'none'; base-uri 'none'; form-action 'none'";

/// The content of the site.
pub(super) struct Site {
    registry: Registry,
    scenario: Scenario,
    /// The known traces of the protocol.
    traces: Vec<KnownTrace>,
    /// The address and the port.
    host: String,
}

/// A run, as the page asks for it.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Asked {
    /// The known trace in whose environment it runs; that of the scenario, if none is named.
    trace: Option<String>,
    /// The property that it is about.
    about: Option<String>,
    /// The names of its actions.
    path: Vec<String>,
}

/// A known trace that is asked for.
#[derive(Debug, Deserialize)]
struct Named {
    trace: String,
}

/// A run that was followed.
struct Followed {
    trace: Trace,
    outlook: Outlook,
    replay: Replay,
}

/// A sentence that says why there is no answer.
type Refused = (StatusCode, String);

/// The address of the end of a known trace, below the host.
pub(super) fn address(name: &str) -> String {
    format!("known?{}", Serializer::new(String::new()).append_pair("trace", name).finish())
}

impl Site {
    pub(super) fn new(
        registry: Registry,
        scenario: Scenario,
        traces: Vec<KnownTrace>,
        host: String,
    ) -> Self {
        Self { registry, scenario, traces, host }
    }

    pub(super) fn router(self) -> Router {
        let site = Arc::new(self);
        Router::new()
            .route("/", get(page))
            .route("/known", get(known))
            .route("/view", post(shown))
            .route("/trace", post(saved))
            .layer(middleware::from_fn_with_state(Arc::clone(&site), guard))
            .with_state(site)
    }

    fn known(&self, name: &str) -> Result<&KnownTrace, Refused> {
        let found = self.traces.iter().find(|known| known.name == name);
        found.ok_or_else(|| bad(format!("there is no known trace {}", printable(name))))
    }

    fn protocol(&self) -> Known {
        self.scenario.protocol.expect("the scenarios of a command name their protocol")
    }

    /// The properties that are watched: those of the scenario, and that of a trace.
    fn properties(&self, of: Option<&Trace>) -> Vec<&'static Property> {
        let named = self.scenario.properties.iter().map(|(property, _)| *property);
        let own = of.and_then(|trace| self.protocol().property(&trace.property).ok());
        let mut all: Vec<_> = named.collect();
        all.extend(own.filter(|own| !all.iter().any(|it| it.name == own.name)));
        all
    }

    fn follow(&self, asked: &Asked) -> Result<Followed, Refused> {
        let of = asked.trace.as_deref().map(|name| self.known(name)).transpose()?;
        let of = of.map(|known| &known.trace);
        if let Some(trace) = of {
            self.registry.of(trace).map_err(bad)?;
        }
        let (name, environment) = match of {
            Some(trace) => (&trace.scenario, &trace.environment),
            None => (&self.scenario.name, &self.scenario.environment),
        };
        let known = self.protocol();
        let harness = known.harness(environment);
        let outlook = harness.outlook(&self.properties(of), &asked.path);
        let outlook = outlook.map_err(|stray| bad(printable(&stray.to_string())))?;
        let about = about(&outlook.properties, asked.about.as_deref())?;
        let property = known.property(about.name).map_err(bad)?;
        let trace = outlook.trace(known.name(), name, environment, about);
        let replay = harness.replay(&trace, property, Mode::Exact, None);
        Ok(Followed { trace, outlook, replay })
    }

    fn view(&self, asked: &Asked) -> Result<Response, Refused> {
        let Followed { trace, outlook, replay } = self.follow(asked)?;
        let summary = if asked.trace.is_none() { &self.scenario.summary } else { "" };
        let dot = if summary.is_empty() { "" } else { ": " };
        let caption = Caption {
            title: printable(&trace.scenario),
            source: format!("{}{dot}{}", printable(summary), trace.environment),
            sentences: vec![],
        };
        Ok(Html(view(&Chart::of(&replay), &outlook, &caption, &trace.property)).into_response())
    }

    fn file(&self, asked: &Asked) -> Result<Response, Refused> {
        let Followed { trace, .. } = self.follow(asked)?;
        let name = trace.file_name();
        let name = name.file_name().unwrap_or_default().to_string_lossy();
        // What a header cannot hold.
        let plain =
            |letter: char| if letter.is_ascii_graphic() && letter != '"' { letter } else { '_' };
        let name: String = name.chars().map(plain).collect();
        let headers = [
            (CONTENT_TYPE, "application/json".into()),
            (CONTENT_DISPOSITION, format!("attachment; filename=\"{name}\"")),
        ];
        Ok((headers, trace.to_json()).into_response())
    }

    /// The run of a known trace, as the page names it.
    fn fragment(&self, name: &str) -> Result<String, Refused> {
        let KnownTrace { trace, .. } = self.known(name)?;
        let (known, property) = self.registry.of(trace).map_err(bad)?;
        let harness = known.harness(&trace.environment);
        let replay = harness.replay(trace, property, Mode::Schedule, None);
        let mut said = Serializer::new(String::new());
        said.extend_pairs(replay.steps.iter().map(|step| ("do", &step.action)));
        if trace.environment != self.scenario.environment {
            said.append_pair("in", name);
        }
        Ok(said.append_pair("about", property.name).finish())
    }
}

/// The property that a run is about: the one that is asked for, or else the first that is violated, or else the first.
fn about<'a>(all: &'a [Judged], asked: Option<&str>) -> Result<&'a Judged, Refused> {
    if let Some(name) = asked {
        let found = all.iter().find(|it| it.name == name);
        return found.ok_or_else(|| bad(format!("there is no property {} here", printable(name))));
    }
    let violated = all.iter().find(|it| it.violated.is_some()).or(all.first());
    violated.ok_or_else(|| bad("the scenario judges no property".into()))
}

fn bad(said: String) -> Refused {
    (StatusCode::BAD_REQUEST, said)
}

/// Refuses what is not meant for this address: another site may have given itself the address of this machine.
async fn guard(State(site): State<Arc<Site>>, request: Request, next: Next) -> Response {
    let host = request.headers().get(HOST).and_then(|host| host.to_str().ok());
    if host != Some(site.host.as_str()) {
        let said = format!("this page is at http://{}/ only", site.host);
        return (StatusCode::FORBIDDEN, said).into_response();
    }
    let mut response = next.run(request).await;
    let headers: [(HeaderName, &'static str); 2] =
        [(CONTENT_SECURITY_POLICY, POLICY), (CACHE_CONTROL, "no-store")];
    for (name, value) in headers {
        response.headers_mut().insert(name, value.parse().expect("a header"));
    }
    response
}

async fn page(State(site): State<Arc<Site>>) -> Html<String> {
    let address = |known: &KnownTrace| (printable(&known.name), address(&known.name));
    let traces: Vec<_> = site.traces.iter().map(address).collect();
    Html(frame(&printable(&site.scenario.name), &traces))
}

/// Leads to the end of a known trace. Its name, as everything that a run is, is in what the browser keeps to itself.
async fn known(State(site): State<Arc<Site>>, Query(named): Query<Named>) -> Response {
    let run = move || site.fragment(&named.trace);
    match computed(run).await {
        Ok(fragment) => Redirect::to(&format!("/#{fragment}")).into_response(),
        Err(refused) => refused.into_response(),
    }
}

async fn shown(State(site): State<Arc<Site>>, Json(asked): Json<Asked>) -> Response {
    computed(move || site.view(&asked)).await.into_response()
}

async fn saved(State(site): State<Arc<Site>>, Json(asked): Json<Asked>) -> Response {
    computed(move || site.file(&asked)).await.into_response()
}

/// Computes an answer. A machine that panics leaves the server as it is.
async fn computed<T: Send + 'static>(
    answer: impl FnOnce() -> Result<T, Refused> + Send + 'static,
) -> Result<T, Refused> {
    let panicked = "the machine has panicked: standard error says why";
    let answered = spawn_blocking(answer).await;
    answered.unwrap_or_else(|_| Err((StatusCode::INTERNAL_SERVER_ERROR, panicked.into())))
}
