//! The releases that are tried, and what Flagger made of each.

/// One kind of release.
#[derive(Clone, Debug)]
pub struct Fault {
    /// Its name, of the services that go through it too.
    pub name: &'static str,
    /// What is wrong with it, in words.
    pub words: &'static str,
    /// The container's environment that makes it so.
    pub env: &'static [(&'static str, &'static str)],
    /// When it comes.
    pub course: Course,
    /// What Flagger did, where it was measured. What it was not is tried hidden from probes only.
    pub flagger: Option<Flagger>,
    /// The share of Flagger's figures that Sluice may have.
    pub bar: f64,
    /// Whether answers on a path of its own for health tell nothing of it.
    pub can_hide: bool,
}

/// When the release comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Course {
    /// While nothing else happens.
    Quiet,
    /// While a good one has 40 %.
    OverFortyPercent,
    /// While a good one is being promoted.
    WhilePromoting,
}

/// Flagger 1.44 on a real Knative 1.21, interval 10 s, threshold 5, 20 requests a second.
#[derive(Clone, Copy, Debug)]
pub struct Flagger {
    /// Harmed requests, least and most.
    pub harmed: Option<(f64, f64)>,
    /// Seconds to the end, least and most; `None`: stuck.
    pub end: Option<(f64, f64)>,
    /// How it ended.
    pub words: &'static str,
}

impl Flagger {
    const fn new(harmed: (f64, f64), end: (f64, f64), words: &'static str) -> Self {
        Self {
            harmed: Some(harmed),
            end: Some(end),
            words,
        }
    }

    const fn stuck(harmed: (f64, f64), words: &'static str) -> Self {
        Self {
            harmed: Some(harmed),
            end: None,
            words,
        }
    }
}

const ALL_FAIL: &[(&str, &str)] = &[("FAIL_PERCENT", "100")];

/// Everything that is tried.
pub const FAULTS: &[Fault] = &[
    Fault {
        name: "good",
        words: "good",
        env: &[],
        course: Course::Quiet,
        flagger: Some(Flagger::new((0.0, 0.0), (72.0, 85.0), "100 % at 72–85 s")),
        // A good release is to be through within a minute.
        bar: 60.0 / 78.5,
        can_hide: false,
    },
    Fault {
        name: "all",
        words: "every answer 500",
        env: ALL_FAIL,
        course: Course::Quiet,
        flagger: Some(Flagger::new((108.0, 118.0), (73.0, 76.0), "rolled back")),
        bar: 0.25,
        can_hide: true,
    },
    Fault {
        name: "half",
        words: "half of them 500",
        env: &[("FAIL_PERCENT", "50")],
        course: Course::Quiet,
        flagger: Some(Flagger::new((53.0, 126.0), (75.0, 90.0), "rolled back")),
        bar: 0.25,
        can_hide: true,
    },
    Fault {
        name: "twentieth",
        words: "5 % of them 500",
        env: &[("FAIL_PERCENT", "5")],
        course: Course::Quiet,
        flagger: Some(Flagger::new((10.0, 10.0), (80.0, 80.0), "rolled back")),
        bar: 0.5,
        can_hide: true,
    },
    Fault {
        name: "slow",
        words: "800 ms slower",
        env: &[("DELAY_MS", "800")],
        course: Course::Quiet,
        flagger: Some(Flagger::new((106.0, 125.0), (75.0, 80.0), "rolled back")),
        bar: 0.25,
        can_hide: true,
    },
    Fault {
        name: "start",
        words: "crashes before it listens",
        env: &[("CRASH_AT_START", "1")],
        course: Course::Quiet,
        flagger: Some(Flagger::stuck((0.0, 0.0), "Progressing for ever")),
        bar: 0.25,
        can_hide: false,
    },
    Fault {
        name: "later",
        words: "crashes 5 s after it listens",
        env: &[("CRASH_AFTER_MS", "5000")],
        course: Course::Quiet,
        flagger: Some(Flagger::stuck((195.0, 467.0), "stuck at 10 %")),
        bar: 0.25,
        can_hide: false,
    },
    Fault {
        name: "over",
        words: "every answer 500, over a good canary at 40 %",
        env: ALL_FAIL,
        course: Course::OverFortyPercent,
        flagger: Some(Flagger {
            harmed: Some((158.0, 188.0)),
            // "1,500 requests in the window" at 20 a second.
            end: Some((75.0, 75.0)),
            words: "rolled back",
        }),
        bar: 0.25,
        can_hide: true,
    },
    Fault {
        name: "promoting",
        words: "every answer 500, while a good one is promoted",
        env: ALL_FAIL,
        course: Course::WhilePromoting,
        flagger: Some(Flagger::stuck((1038.0, 1240.0), "stuck at 50 %")),
        bar: 0.25,
        can_hide: true,
    },
    Fault::hidden("hang", "1 in 10 never answers", &[("HANG_PERCENT", "10")]),
    Fault::hidden(
        "break",
        "1 body in 10 breaks off",
        &[("BREAK_PERCENT", "10")],
    ),
    Fault::hidden(
        "tail",
        "1 in 10 takes 1.2 s",
        &[("DELAY_MS", "1200"), ("DELAY_PERCENT", "10")],
    ),
    Fault::hidden(
        "missing",
        "half of them 404",
        &[("FAIL_PERCENT", "50"), ("FAIL_STATUS", "404")],
    ),
    Fault::hidden(
        "midway",
        "half of them 500, from 10 s after the first on",
        &[("FAIL_PERCENT", "50"), ("FAIL_AFTER_MS", "10000")],
    ),
    Fault::hidden(
        "good-later",
        "good, and 800 ms slower for its first 5 s",
        &[("DELAY_MS", "800"), ("DELAY_FOR_MS", "5000")],
    ),
];

impl Fault {
    /// One that Flagger was not measured with.
    const fn hidden(
        name: &'static str,
        words: &'static str,
        env: &'static [(&'static str, &'static str)],
    ) -> Self {
        Self {
            name,
            words,
            env,
            course: Course::Quiet,
            flagger: None,
            bar: 1.0,
            can_hide: true,
        }
    }

    /// Whether it is to be promoted.
    pub fn is_good(&self) -> bool {
        self.name.starts_with("good")
    }
}

/// What Flagger made of releases without users, where it was measured.
pub fn flagger_without_users(fault: &Fault) -> &'static str {
    match fault.name {
        "good" => "**Failed** at 75 s, \"no values found\"",
        "all" => "Failed at 75 s, \"no values found\"",
        _ => "not measured",
    }
}
