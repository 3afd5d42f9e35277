//! What issuers say of the certificates that are shown (OCSP stapling).
//!
//! Answers are asked for beside the control loop, judged in it, and shown by the next acceptor, which shards get as they get any
//! other: no connection is touched. A good answer is shown until it is good no more, whatever becomes of its responder, and
//! asked for again when half of its time is over. A certificate that is revoked is shown without an answer.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use hyper::body::Bytes;
use plan::Tls;
use plan::tls::{Certificate, Der, Staple};
use tls::ocsp::{self, Refusal, Subject, Validity};
use tokio::sync::mpsc;

use crate::certs::ocsp::ask;
use crate::discovery::Discovery;

/// Questions under way at once.
const QUESTIONS_MAX: usize = 8;
/// After a failure the next question waits this long, then twice as long each time, up to a limit.
const PAUSE_MIN: Duration = Duration::from_secs(1);
const PAUSE_MAX: Duration = Duration::from_secs(10 * 60);
/// A good answer is asked for again not sooner and not later than this.
const REFRESH_MIN: Duration = Duration::from_secs(1);
const REFRESH_MAX: Duration = Duration::from_secs(24 * 60 * 60);
/// While more answers are on their way, those that have come are shown this often.
const GATHERING: Duration = Duration::from_secs(5);

/// The answers, and who is asked for them.
#[derive(Debug)]
pub(super) struct Stapling {
    /// By the names of certificates: what is fetched.
    fetched: HashMap<String, Fetched>,
    /// Certificates that the acceptor shows with an answer, and until when that is good, in seconds since 1970.
    shown: Vec<(String, i64)>,
    /// When the first of these is good no more.
    stale_unix_s: Option<i64>,
    /// There are other answers than the acceptor shows.
    has_changed: bool,
    /// The acceptor shows what it should not.
    is_urgent: bool,
    /// When there was an acceptor last.
    followed: Instant,
    under_way: usize,
    sender: mpsc::UnboundedSender<Answered>,
    answers: mpsc::UnboundedReceiver<Answered>,
}

/// What is fetched for one certificate.
#[derive(Debug)]
struct Fetched {
    certificate: Arc<Certificate>,
    staple: Option<Staple>,
    /// When its responder is asked; `None` while it is.
    ask_at: Option<Instant>,
    /// In a row.
    failures: u32,
    /// Why there was no good answer, as it was told last.
    told: Option<String>,
}

/// What came of a question.
#[derive(Debug)]
pub(super) struct Answered {
    certificate: Arc<Certificate>,
    answer: anyhow::Result<Bytes>,
}

impl Stapling {
    pub(super) fn new() -> Stapling {
        let (sender, answers) = mpsc::unbounded_channel();
        Stapling {
            fetched: HashMap::new(),
            shown: Vec::new(),
            stale_unix_s: None,
            has_changed: false,
            is_urgent: false,
            followed: Instant::now(),
            under_way: 0,
            sender,
            answers,
        }
    }

    /// An acceptor is about to be made for `tls`, at the time that is returned: it shows what [`Stapling::staple`] has then.
    pub(super) fn follow(&mut self, tls: Option<&Tls>) -> i64 {
        let now_unix_s = unix_s();
        let certificates = || tls.iter().flat_map(|tls| &tls.hosts).flat_map(|host| &host.certificates);
        let mut before = std::mem::take(&mut self.fetched);
        for certificate in certificates().filter(|one| one.stapling == plan::tls::Stapling::Fetched) {
            let known = before.remove(&certificate.name);
            let known = known.filter(|known| known.certificate.chain[0] == certificate.chain[0]);
            self.fetched.entry(certificate.name.clone()).or_insert_with(|| match known {
                // An answer that is on its way is for the certificate as it was.
                Some(known) => Fetched { certificate: Arc::clone(&known.certificate), ..known },
                None => Fetched::new(certificate),
            });
        }
        let until =
            |one: &Arc<Certificate>| Some((one.name.clone(), self.current(one, now_unix_s)?.next_update_unix_s));
        let shown: BTreeMap<String, i64> = certificates().filter_map(until).collect();
        self.shown = shown.into_iter().collect();
        self.stale_unix_s = self.shown.iter().map(|(_, until)| *until).min();
        (self.has_changed, self.is_urgent, self.followed) = (false, false, Instant::now());
        now_unix_s
    }

    /// What is shown with `certificate` at this time.
    pub(super) fn staple(&self, certificate: &Certificate, now_unix_s: i64) -> Option<Arc<Der>> {
        self.current(certificate, now_unix_s).map(|staple| Arc::clone(&staple.answer))
    }

    fn current<'s>(&'s self, certificate: &'s Certificate, now_unix_s: i64) -> Option<&'s Staple> {
        let staple = match &certificate.stapling {
            plan::tls::Stapling::Off => None,
            plan::tls::Stapling::Given(staple) => Some(staple),
            plan::tls::Stapling::Fetched => {
                let fetched = self.fetched.get(&certificate.name);
                fetched.filter(|known| known.certificate.chain[0] == certificate.chain[0])?.staple.as_ref()
            }
        };
        staple.filter(|staple| now_unix_s < staple.next_update_unix_s)
    }

    /// Certificates that are shown with an answer, and until when that is good.
    pub(super) fn shown(&self) -> &[(String, i64)] {
        &self.shown
    }

    /// Tells of answers that are shown and good no more, and returns how many they are.
    pub(super) fn drop_stale(&mut self) -> usize {
        let now_unix_s = unix_s();
        if self.stale_unix_s.is_none_or(|stale| stale > now_unix_s) {
            return 0;
        }
        let stale = self.shown.iter().filter(|(_, until)| *until <= now_unix_s);
        let count =
            stale.inspect(|(name, _)| tracing::warn!("{name}: its answer of OCSP is good no more, and is not shown"));
        let count = count.count();
        (self.stale_unix_s, self.is_urgent) = (None, true);
        count
    }

    /// Whether the acceptor has to be made anew, for the sake of what it shows.
    pub(super) fn is_due(&self) -> bool {
        self.is_urgent || self.has_changed && (self.under_way == 0 || self.followed.elapsed() >= GATHERING)
    }

    /// Asks those whose time has come, beside the loop.
    pub(super) fn ask(&mut self, discovery: &Discovery) {
        let now = Instant::now();
        for known in self.fetched.values_mut() {
            if self.under_way == QUESTIONS_MAX {
                return;
            }
            if known.ask_at.is_none_or(|at| at > now) {
                continue;
            }
            known.ask_at = None;
            self.under_way += 1;
            let (certificate, sender) = (Arc::clone(&known.certificate), self.sender.clone());
            let discovery = Discovery { names: Vec::new(), ..discovery.clone() };
            tokio::spawn(async move {
                let answer = question(&certificate, &discovery).await;
                // Nobody listens when the worker ends.
                let _ = sender.send(Answered { certificate, answer });
            });
        }
    }

    /// Waits for the next answer. May be dropped and called again.
    pub(super) async fn answered(&mut self) -> Answered {
        match self.answers.recv().await {
            Some(answered) => answered,
            None => std::future::pending().await,
        }
    }

    /// Takes note of an answer, and returns in a word what came of the question.
    pub(super) fn take(&mut self, answered: Answered) -> &'static str {
        self.under_way -= 1;
        let Answered { certificate, answer } = answered;
        let judged = answer.map(|answer| (judge(&certificate, &answer), answer));
        let word = match &judged {
            Err(_) => "unreachable",
            Ok((Ok(_), _)) => "good",
            Ok((Err(refusal), _)) => refusal.as_str(),
        };
        let known = self.fetched.get_mut(&certificate.name);
        // It may have been renewed meanwhile.
        let Some(known) = known.filter(|known| Arc::ptr_eq(&known.certificate, &certificate)) else { return word };
        let reason = match judged {
            Ok((Ok(validity), answer)) => {
                self.has_changed |= known.succeed(validity, &answer);
                return word;
            }
            Ok((Err(refusal), _)) => {
                if refusal == Refusal::Revoked {
                    // What was good before is known to be true no more.
                    self.is_urgent |= known.staple.take().is_some();
                }
                refusal.to_string()
            }
            Err(error) => format!("{error:#}"),
        };
        known.fail(reason);
        word
    }
}

impl Fetched {
    fn new(certificate: &Arc<Certificate>) -> Fetched {
        Fetched {
            certificate: Arc::clone(certificate),
            staple: None,
            ask_at: Some(Instant::now()),
            failures: 0,
            told: None,
        }
    }

    /// A good answer has come. Returns whether it is another one than before.
    fn succeed(&mut self, validity: Validity, answer: &[u8]) -> bool {
        let Validity { this_update_unix_s, next_update_unix_s } = validity;
        let left_s = u64::try_from(next_update_unix_s.saturating_sub(unix_s())).unwrap_or(0);
        let half = Duration::from_secs(left_s) / 2;
        (self.failures, self.ask_at) = (0, Some(Instant::now() + jittered(half).clamp(REFRESH_MIN, REFRESH_MAX)));
        if self.told.take().is_some() {
            tracing::info!("{}: there is an answer of OCSP again", self.certificate.name);
        }
        let is_new = self.staple.as_ref().is_none_or(|staple| *staple.answer.0 != *answer);
        if is_new {
            let answer = Arc::new(Der(answer.into()));
            self.staple = Some(Staple { answer, this_update_unix_s, next_update_unix_s });
        }
        is_new
    }

    /// None has come. What there was is shown on.
    fn fail(&mut self, reason: String) {
        let pause = (PAUSE_MIN * 2_u32.saturating_pow(self.failures.min(16))).min(PAUSE_MAX);
        self.failures = self.failures.saturating_add(1);
        self.ask_at = Some(Instant::now() + jittered(pause));
        if self.told.as_ref() != Some(&reason) {
            let name = &self.certificate.name;
            tracing::warn!(pause_ms = pause.as_millis() as u64, "{name}: no good answer of OCSP: {reason}");
            self.told = Some(reason);
        }
    }
}

/// A tenth more or less, so that many certificates are not asked for at once again and again.
fn jittered(time: Duration) -> Duration {
    time.mul_f64(0.9 + 0.2 * fastrand::f64())
}

fn subject(certificate: &Certificate) -> Option<Subject<'_>> {
    let [own, issuer, ..] = &*certificate.chain else { return None };
    Subject::new(&own.0, &issuer.0)
}

/// The configuration has seen to it that there is somebody to ask.
async fn question(certificate: &Certificate, discovery: &Discovery) -> anyhow::Result<Bytes> {
    let asked = subject(certificate).zip(ocsp::responder(&certificate.chain[0].0));
    let Some((subject, address)) = asked else { anyhow::bail!("it names nobody to ask") };
    let answer = ask(&address, subject.question(), discovery).await;
    answer.map_err(|error| error.context(address))
}

fn judge(certificate: &Certificate, answer: &[u8]) -> Result<Validity, Refusal> {
    subject(certificate).ok_or(Refusal::Foreign)?.judge(answer, unix_s())
}

fn unix_s() -> i64 {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    i64::try_from(now.as_secs()).unwrap_or(i64::MAX)
}
